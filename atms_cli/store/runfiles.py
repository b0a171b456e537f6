"""The files of attempts and gate runs: output, prompt, exit status."""

from __future__ import annotations

import os
from os.path import join
from stat import S_ISREG

from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader

    from atms_cli.domain.records import JsonObject

_TAIL_BYTES = 65_536
#: Of the events that an agent printed, so much is read from the beginning and the end: the first names its session, the
#: last say how it went.
_HEAD_EVENTS_BYTES, _TAIL_EVENTS_BYTES = 262_144, 2_097_152


class RunDirectories:
    """One directory for each run below `.atms/runs`."""

    def __init__(self, root: str) -> None:
        self._root = root

    def prepare(self, run: str) -> str:
        """Make a run's directory and return its path."""
        directory = join(self._root, run)
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise AtmsError(f"cannot make {directory}: {error.strerror}", "check permissions and free space") from error
        return directory

    def path(self, run: str, name: str) -> str:
        """Return where a file of a run lies."""
        return join(self._root, run, name)

    def write(self, run: str, name: str, text: str) -> str:
        """Write a file of a run and return its path."""
        path = join(self.prepare(run), name)
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise AtmsError(f"cannot write {path}: {error.strerror}", "check permissions and free space") from error
        return path

    def head(self, run: str, name: str, most_bytes: int) -> bytes | None:
        """Return the beginning of a file, None if there is none."""
        try:
            with _opened(self.path(run, name)) as file:
                return file.read(most_bytes)
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            raise AtmsError(f"cannot read {self.path(run, name)}: {error.strerror}") from error

    def measure(self, path: str) -> JsonObject | None:
        """Return `size` and `sha256` of a file anywhere, None if there is no file."""
        from hashlib import file_digest

        try:
            with _opened(path) as file:
                return {"size": os.fstat(file.fileno()).st_size, "sha256": file_digest(file, "sha256").hexdigest()}
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise AtmsError(f"cannot read {path}: {error.strerror}", "check its permissions") from error

    def keep(self, run: str, name: str, path: str) -> str:
        """Copy a file from anywhere to those of a run and return the copy's path."""
        from shutil import copyfile

        kept = join(self.prepare(run), name)
        try:
            copyfile(path, kept)
        except OSError as error:
            raise AtmsError(f"cannot copy {path} to {kept}: {error.strerror}", "check free space") from error
        return kept

    def tail(self, run: str, name: str, lines: int) -> str:
        """Return the last lines of a file, empty if there is none."""
        try:
            with open(self.path(run, name), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - _TAIL_BYTES))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def events(self, run: str, name: str) -> tuple[list[object], list[str]]:
        """Return the JSON lines of a file as values, and its other lines; of a long file, of its two ends."""
        try:
            with open(self.path(run, name), "rb") as file:
                content = file.read(_HEAD_EVENTS_BYTES)
                rest = os.fstat(file.fileno()).st_size - len(content)
                if rest > _TAIL_EVENTS_BYTES:
                    file.seek(-_TAIL_EVENTS_BYTES, os.SEEK_END)
                    content += b"\n"
                content += file.read()
        except FileNotFoundError:
            return [], []
        except OSError as error:
            raise AtmsError(f"cannot read {self.path(run, name)}: {error.strerror}") from error
        return _sorted_out(content.decode(errors="replace"))


def _opened(path: str) -> BufferedReader:
    """Open a file that somebody else has made; what is none, such as a pipe that nobody writes to, is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(path)
    return open(descriptor, "rb")


def _sorted_out(text: str) -> tuple[list[object], list[str]]:
    from json import JSONDecoder

    # Some agents print control characters as they are.
    decoder = JSONDecoder(strict=False)
    events: list[object] = []
    others: list[str] = []
    for line in text.split("\n"):
        try:
            events.append(decoder.decode(line))
        except (ValueError, RecursionError):
            others.append(line.rstrip("\r"))
    return events, others
