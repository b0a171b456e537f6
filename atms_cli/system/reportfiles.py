"""Files that gates' commands leave: reports, and what has a budget of bytes. Whatever lies there, looking at it ends."""

from __future__ import annotations

import os
import stat
from os.path import join

from atms_cli.domain.globs import matcher
from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Directories in which nothing is looked for, unless a glob begins with their names.
_PASSED_OVER = (".git", ".atms", "node_modules")
_WILD = "*?[{"
_MOST_FILES = 100_000


class ReportFiles:
    """The file system, read only."""

    def mark(self, path: str) -> str:
        """Return what tells a file apart from what it was before, empty if there is none."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return ""
        return f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"

    def read(self, path: str, most: int) -> bytes:
        """Return what is in a file.

        Raises:
            AtmsError: there is none, it cannot be read, or it is too large; the message is why.

        """
        try:
            content = _whole(path, most + 1)
        except FileNotFoundError:
            raise AtmsError("it is not there") from None
        except (OSError, ValueError) as error:
            raise AtmsError(f"{getattr(error, 'strerror', None) or error}") from None
        if len(content) > most:
            raise AtmsError(f"it is larger than {most // 1024**2} MiB")
        return content

    def found(self, directory: str, globs: Sequence[str]) -> list[tuple[str, int]]:
        """Return the files below a directory that globs mean, with their bytes, sorted.

        Raises:
            AtmsError: there are too many files to look through.

        """
        is_meant = matcher(globs)
        found: dict[str, int] = {}
        for start in {_fixed(glob) for glob in globs if not glob.startswith("!")}:
            for looked_at, (path, size) in enumerate(_below(directory, start)):
                if looked_at >= _MOST_FILES:
                    raise AtmsError(f"more than {_MOST_FILES} files are below {join(directory, start)}")
                if is_meant(path):
                    found[path] = size
        return sorted(found.items())


def _whole(path: str, most: int) -> bytes:
    """Return the first bytes of a file."""
    # A pipe that nobody writes to would hold us up for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise AtmsError("it is not a file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def _fixed(glob: str) -> str:
    """Return the directory that all that a glob means lies in."""
    parts = glob.strip("/").split("/")
    wild = next((at for at, part in enumerate(parts) if any(sign in part for sign in _WILD)), len(parts) - 1)
    return "/".join(parts[:wild])


def _below(directory: str, start: str) -> Iterator[tuple[str, int]]:
    for place, directories, names in os.walk(join(directory, start)):
        directories[:] = sorted(name for name in directories if name not in _PASSED_OVER)
        for name in names:
            path = join(place, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield os.path.relpath(path, directory).replace(os.sep, "/"), status.st_size
