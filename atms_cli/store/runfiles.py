"""The files of attempts and gate runs: output, prompt, exit status."""

from __future__ import annotations

import os
from contextlib import suppress
from os.path import join
from stat import S_ISREG

from atms_cli.errors import AtmsError
from atms_cli.store import logfile
from atms_cli.store.jsontext import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.redaction import Redactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader

    from atms_cli.domain.records import JsonObject

_TAIL_BYTES = 65_536
#: Of what a gate printed, so much is looked through: its beginning and its end.
_HEAD_BYTES, _END_BYTES = 262_144, 2_097_152
#: Its time is that of the last tidying.
_TIDIED = ".tidied"
#: What `st_blocks` counts in.
_SECTOR = 512
#: What commands print may hold secrets of whoever started the loop.
_PRIVATE_DIRECTORY, _PRIVATE = 0o700, 0o600


class RunDirectories:
    """One directory for each run below `.atms/runs`."""

    def __init__(self, root: str) -> None:
        self._root = root

    def prepare(self, run: str) -> str:
        """Make a run's directory and return its path."""
        directory = join(self._root, run)
        try:
            _make_private(directory)
        except OSError as error:
            raise AtmsError(f"cannot make {directory}: {error.strerror}", "check permissions and free space") from error
        return directory

    def path(self, run: str, name: str) -> str:
        """Return where a file of a run lies."""
        return join(self._root, run, name)

    def write(self, run: str, name: str, text: str) -> str:
        """Write a file of a run, so that whoever reads it finds it whole, and return its path."""
        # An agent may say what is no character, such as half of a pair.
        return self.write_bytes(run, name, text.encode(errors="replace"))

    def write_bytes(self, run: str, name: str, content: bytes) -> str:
        """Write a file of a run byte for byte, and return its path."""
        path = join(self.prepare(run), name)
        try:
            with open(f"{path}.new", "wb", opener=_open_private) as file:
                file.write(content)
            os.replace(f"{path}.new", path)
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

    def put(self, run: str, name: str, document: JsonObject) -> None:
        """Write a file of a run that holds one JSON object."""
        self.write(run, name, encode(document) + "\n")

    def get(self, run: str, name: str) -> JsonObject | None:
        """Return the JSON object that a file of a run holds, None if there is none."""
        try:
            with open(self.path(run, name), encoding="utf-8") as file:
                document = decode(file.read().rstrip("\n"))
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def names(self, run: str) -> list[str]:
        """Return the names of a run's files."""
        with suppress(FileNotFoundError):
            return os.listdir(self.path(run, ""))
        return []

    def clear(self, run: str, name: str) -> None:
        """Remove a file of a run."""
        with suppress(FileNotFoundError):
            os.remove(self.path(run, name))

    def text(self, run: str, name: str) -> str:
        """Return what a file holds, empty if there is none; of a long file, its two ends."""
        path = self.path(run, name)
        try:
            size = os.stat(path).st_size
            if size <= _HEAD_BYTES + _END_BYTES:
                return logfile.read(path, 0).decode(errors="replace")
            ends = logfile.read(path, 0, _HEAD_BYTES) + b"\n" + logfile.read(path, -_END_BYTES)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise AtmsError(f"cannot read {path}: {error.strerror}") from error
        return ends.decode(errors="replace")

    def tail(self, run: str, name: str, lines: int) -> str:
        """Return the last lines of a file, empty if there is none."""
        try:
            content = logfile.read(self.path(run, name), -_TAIL_BYTES)
        except FileNotFoundError:
            return ""
        return "\n".join(content.decode(errors="replace").splitlines()[-lines:])

    def size(self, run: str, name: str) -> int:
        """Return how many bytes a file has, none if there is no such file."""
        try:
            return os.stat(self.path(run, name)).st_size
        except OSError:
            return 0

    def newest(self, pattern: str) -> str | None:
        """Return the file that was changed last of those anywhere that a pattern names, None if there is none."""
        from glob import glob

        times = {}
        for path in glob(pattern):
            with suppress(OSError):
                times[path] = os.stat(path).st_mtime_ns
        return max(times, key=lambda path: times[path], default=None)

    def read(self, run: str, name: str, start: int, most: int) -> tuple[bytes, int]:
        """Return about so many bytes of what a file, if there is one, holds from an offset on, and the offset behind them."""
        return self.read_anywhere(self.path(run, name), start, most)

    def read_anywhere(self, path: str, start: int, most: int) -> tuple[bytes, int]:
        """Return the same as `read` of a file anywhere."""
        try:
            return logfile.read_on(path, start, most)
        except FileNotFoundError:
            return b"", start
        except OSError as error:
            raise AtmsError(f"cannot read {path}: {error.strerror}") from error

    def mask(self, run: str, name: str, redactor: Redactor) -> None:
        """Mask the secrets in a file that nobody writes to any more."""
        path = self.path(run, name)
        try:
            logfile.mask(path, redactor)
        except OSError as error:
            raise AtmsError(f"cannot mask the secrets in {path}: {error.strerror}", "check permissions") from error

    def survey(self) -> list[tuple[str, float, int]]:
        """Return the runs that have files: name, time of the last change, and bytes on the disk."""
        found = []
        try:
            with os.scandir(self._root) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # somebody else is tidying up
                        if entry.is_dir(follow_symlinks=False):
                            found.append((entry.name, entry.stat().st_mtime, _bytes_below(entry.path)))
        except FileNotFoundError:
            return []
        return found

    def remove(self, run: str) -> None:
        """Remove the files of a run."""
        from shutil import rmtree

        rmtree(join(self._root, run), ignore_errors=True)

    def tidied(self, every_s: float, now_s: float) -> bool:
        """Return whether the last time was less than so long ago; if not, now it is."""
        path = join(self._root, _TIDIED)
        try:
            if 0 <= now_s - os.stat(path).st_mtime < every_s:
                return True
        except FileNotFoundError:
            pass
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            os.utime(path, (now_s, now_s))
        return False


def _make_private(directory: str) -> None:
    try:
        os.mkdir(directory, _PRIVATE_DIRECTORY)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_private(os.path.dirname(directory))
        os.mkdir(directory, _PRIVATE_DIRECTORY)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)


def _bytes_below(directory: str) -> int:
    """Return what a directory takes on the disk."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            total += entry.stat(follow_symlinks=False).st_blocks * _SECTOR
            if entry.is_dir(follow_symlinks=False):
                total += _bytes_below(entry.path)
    return total


def _opened(path: str) -> BufferedReader:
    """Open a file that somebody else has made; what is none, such as a pipe that nobody writes to, is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(path)
    return open(descriptor, "rb")
