"""Files written aside, which take a name in one step: whoever looks finds the whole file or none."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_MODE_BITS = 0o7777
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class Aside:
    """A file written next to another, to take its place in one step; if it has not by the end, it goes.

    It gets the owner and the mode of a third file, if there is one.
    """

    def __init__(self, path: str, data: bytes, like: os.stat_result | None = None) -> None:
        self._name = name_aside(path)
        self._data = data
        self._like = like

    def __enter__(self) -> str:
        mode = self._like.st_mode & _MODE_BITS if self._like else 0o666
        descriptor = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            self._write(descriptor)
        except BaseException:
            remove(self._name)
            raise
        return self._name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self._name)

    def _write(self, descriptor: int) -> None:
        with open(descriptor, "wb") as file:
            if self._like:
                _own_alike(descriptor, self._like)
            file.write(self._data)
            file.flush()
            os.fsync(descriptor)


def name_aside(path: str) -> str:
    """Make up a name in the same directory that nobody else uses."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")


def place(aside: str, path: str) -> None:
    """Give a file its name, complete with its content, unless the name is taken."""
    try:
        os.link(aside, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        try:
            os.replace(aside, path)
        except BaseException:
            remove(path)
            raise


def remove(path: str) -> None:
    """Remove a file if it is there."""
    if os.path.lexists(path):
        os.unlink(path)


def sync_directory(path: str) -> None:
    """Make the names in the directory of a file last."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _own_alike(descriptor: int, like: os.stat_result) -> None:
    for user, group in ((-1, like.st_gid), (like.st_uid, -1)):
        try:
            os.fchown(descriptor, user, group)
        except PermissionError:
            # Somebody else's file in a directory we may write to: its content matters more than whose it is.
            continue
    os.fchmod(descriptor, like.st_mode & _MODE_BITS)
