"""One writer at a time, by an operating-system lock that the kernel drops when its holder dies.

It is the same `flock(2)` on the same file that the filelock library takes, so other programs can join in.
"""

from __future__ import annotations

import os
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from time import monotonic, sleep

from atms_cli.errors import AtmsError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

#: Seconds to wait for another writer before giving up.
DEFAULT_TIMEOUT_S = 10.0
#: How often a thread looks whether the lock is free.
_LOOK_S = 0.001
_NAME_LENGTH = 120
_NOTE_LENGTH = 136


class Lock:
    """`with Lock(path): …` while nobody else does; the file itself is never removed."""

    def __init__(self, path: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._descriptor: int | None = None
        #: Whether somebody else had to be waited for.
        self.was_awaited = False

    def __enter__(self) -> Lock:
        if not self.acquire():
            raise UnavailableError(f"{self._path} is held by {holder(self._path)}", "try again when it has finished")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> bool:
        """Take the lock within the timeout; return whether it was possible."""
        try:
            self._descriptor = _opened(self._path)
        except OSError as error:
            raise AtmsError(f"cannot write in {os.path.dirname(self._path)}: {error.strerror}") from error
        self.was_awaited = not take(self._descriptor, 0)
        if self.was_awaited and not take(self._descriptor, self._timeout_s):
            os.close(self._descriptor)
            self._descriptor = None
            return False
        try:
            os.pwrite(self._descriptor, _own_name(), 0)
        except OSError:
            # The name is a courtesy; a full disk must not keep anyone from reading.
            return True
        return True

    def note(self, text: str) -> None:
        """Leave a line for the next holder, in the file; nothing relies on its being there."""
        if self._descriptor is not None:
            try:
                os.pwrite(self._descriptor, text.ljust(_NOTE_LENGTH - 1).encode() + b"\n", _NAME_LENGTH)
            except OSError:
                return

    def noted(self) -> str:
        """Return the line that an earlier holder left, empty if there is none."""
        if self._descriptor is None:
            return ""
        return os.pread(self._descriptor, _NOTE_LENGTH, _NAME_LENGTH).decode(errors="replace").strip()

    def release(self) -> None:
        """Let go; nothing happens if it is not held."""
        if self._descriptor is not None:
            flock(self._descriptor, LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        if not os.access(path, os.R_OK):
            raise
        # Somebody else's: taking the lock needs no right to write, only leaving a name does.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class NoLock:
    """The lock of a store that only one thread knows, or that nobody can write."""

    was_awaited = False

    def note(self, text: str) -> None:
        """Leave nothing: there is no next holder."""

    def noted(self) -> str:
        """Return nothing."""
        return ""

    def __enter__(self) -> NoLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let go of nothing."""


def take(descriptor: int, timeout_s: float) -> bool:
    """Lock an open file within a time; return whether it was possible."""
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return timeout_s > 0 and _wait_in_line(descriptor, timeout_s)
    return True


class _TimeUpError(Exception):
    """The timer went off while waiting."""


def _time_up(_number: int, _frame: FrameType | None) -> None:
    raise _TimeUpError


def _wait_in_line(descriptor: int, timeout_s: float) -> bool:
    """Wait for the lock in the kernel's queue, which wakes the next one at once; a timer bounds it."""
    import signal

    try:
        before = signal.signal(signal.SIGALRM, _time_up)
    except ValueError:
        # Only the main thread may set a timer.
        return _look_again_and_again(descriptor, timeout_s)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        flock(descriptor, LOCK_EX)
    except _TimeUpError:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return True


def _look_again_and_again(descriptor: int, timeout_s: float) -> bool:
    deadline = monotonic() + timeout_s
    while monotonic() < deadline:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            sleep(_LOOK_S)
        else:
            return True
    return False


def _own_name() -> bytes:
    return f"process {os.getpid()}".ljust(_NAME_LENGTH).encode()[: _NAME_LENGTH - 1] + b"\n"


def holder(path: str) -> str:
    """Return the name that the last holder of a lock left in its file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_NAME_LENGTH).strip() or "another process"
    except OSError:
        return "another process"


def is_held(path: str) -> bool:
    """Return whether somebody holds the lock right now; asking leaves no name, and keeps nobody waiting for long."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        flock(descriptor, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
