"""The lock that the original TaskManager takes beside its file, so that its programs and ours wait for each other."""

from __future__ import annotations

import os
import re
import time
from fcntl import LOCK_EX, LOCK_NB, flock

from atms_cli.errors import UnavailableError
from atms_cli.store.aside import name_aside, place, remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    Sighting = tuple[tuple[int, int, int], bytes]

#: Seconds after which a lock without a process id is abandoned: the original creates its own empty, and fills it then.
EMPTY_LOCK_S = 0.1
_PAUSE_S = 0.005
#: What JavaScript's parseInt makes of a lock's content.
_PID = re.compile(rb"\s*([1-9][0-9]*)")


class PeerLock:
    """The original's lock: a file that names its holder's process, and that dies with it."""

    def __init__(self, path: str, wait_s: float) -> None:
        self._path = path
        self._wait_s = wait_s
        self._own: Sighting | None = None
        self._nameless: tuple[Sighting, float] | None = None

    def __enter__(self) -> None:
        aside = name_aside(self._path)
        try:
            self._own = self._introduced(aside)
            self._wait(aside)
        except BaseException:
            # Ctrl-C may have come between taking the lock and saying so.
            self._release()
            raise
        finally:
            remove(aside)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _introduced(self, aside: str) -> Sighting | None:
        # The original takes an empty lock for an abandoned one, so ours has its content before it has its name.
        with open(aside, "xb") as file:
            file.write(str(os.getpid()).encode())
        return _sighted(aside)

    def _release(self) -> None:
        if self._own and _sighted(self._path) == self._own:
            os.unlink(self._path)

    def _wait(self, aside: str) -> None:
        deadline = time.monotonic() + self._wait_s
        while not self._is_placed(aside):
            seen = _sighted(self._path)
            if seen and self._is_abandoned(seen):
                self._clear(seen)
            elif time.monotonic() >= deadline:
                raise self._unavailable(seen)
            else:
                time.sleep(_PAUSE_S)

    def _is_placed(self, aside: str) -> bool:
        try:
            place(aside, self._path)
        except FileExistsError:
            return False
        return True

    def _is_abandoned(self, seen: Sighting) -> bool:
        pid = _pid(seen)
        if pid is not None:
            return not _is_alive(pid)
        if not self._nameless or self._nameless[0] != seen:
            self._nameless = seen, time.monotonic()
        return time.monotonic() - self._nameless[1] >= EMPTY_LOCK_S

    def _clear(self, abandoned: Sighting) -> None:
        """Remove an abandoned lock, one process at a time: else the second would remove the lock of the first."""
        directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not _is_locked(directory):
                time.sleep(_PAUSE_S)
            elif _sighted(self._path) == abandoned:
                self._set_aside(abandoned)
        finally:
            os.close(directory)

    def _set_aside(self, abandoned: Sighting) -> None:
        aside = name_aside(self._path)
        try:
            os.rename(self._path, aside)
            # The original may have replaced the lock by its own since we looked.
            if _sighted(aside) != abandoned:
                place(aside, self._path)
        except (FileNotFoundError, FileExistsError):
            return
        finally:
            remove(aside)

    def _unavailable(self, seen: Sighting | None) -> UnavailableError:
        pid = _pid(seen) if seen else None
        holder = "another process" if pid is None else f"process {pid}"
        return UnavailableError(f"`{self._path}` is held by {holder}", "try again when it has finished")


def _sighted(path: str) -> Sighting | None:
    """Return what tells one lock from another that comes after it, and its content."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            return (status.st_dev, status.st_ino, status.st_mtime_ns), file.read(64)
    except FileNotFoundError:
        return None


def _is_locked(directory: int) -> bool:
    try:
        flock(directory, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Network file systems cannot lock a directory. There, looking again after the renaming has to do.
        return True
    return True


def _pid(seen: Sighting) -> int | None:
    match = _PID.match(seen[1])
    return int(match[1]) if match else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
