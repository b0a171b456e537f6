"""FEATURES.json or TASKS.json, shared with people and with programs that know nothing of atms.

The original TaskManager writes the file in place and takes its lock for some of its commands only. So a reader waits
out half a file, and a writer, lock or no lock, compares once more before it replaces.
"""

from __future__ import annotations

import errno
import os
import re
import time
import zlib
from fcntl import LOCK_EX, LOCK_NB, flock

from atms_cli.errors import AtmsError, ConflictError, DamagedError, NotFoundError, UnavailableError
from atms_cli.store import jsonedit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from atms_cli.domain.records import Edit, JsonObject

    Sighting = tuple[tuple[int, int, int], bytes]

#: Seconds to wait for another program's lock before giving up.
LOCK_WAIT_S = 5.0
#: Seconds after which a file that cannot be parsed is damaged, and not just being written.
SETTLE_S = 0.5
#: Seconds after which a lock without a process id is abandoned: the original creates its own empty, and fills it then.
EMPTY_LOCK_S = 0.1
#: How often a change is decided anew because somebody wrote to the file meanwhile.
ATTEMPTS = 20
_PAUSE_S = 0.005
_MODE_BITS = 0o7777

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_HINTS = {
    errno.EACCES: "check who owns it and its directory, and their permissions",
    errno.EPERM: "check who owns it and its directory, and their permissions",
    errno.ENOSPC: "free some space on that disk and try again",
    errno.EDQUOT: "free some of your disk quota and try again",
    errno.EROFS: "that file system is mounted read-only",
    errno.ENOENT: "check the path",
}
_OTHER_HINT = "check the disk it is on"
_DAMAGED_HINT = "correct the file by hand, or restore it from .atms/backups or from git"
#: What JavaScript's parseInt makes of a lock's content.
_PID = re.compile(rb"\s*([1-9][0-9]*)")


def _utc_now() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


class JsonFeatureFile:
    """The roadmap's file, whose every byte that a change is not about stays as it is."""

    def __init__(
        self, path: str, *, backups: str, now: Callable[[], str] = _utc_now, lock_wait_s: float = LOCK_WAIT_S
    ) -> None:
        self.path = path
        self._backups = backups
        self._now = now
        self._lock_wait_s = lock_wait_s

    def exists(self) -> bool:
        """Tell whether there is such a file."""
        return os.path.exists(self.path)

    def read(self) -> JsonObject | None:
        """Return the document, or None without a file."""
        with _Explained("read", self.path):
            try:
                _, document = _settled(self.path)
            except FileNotFoundError:
                return None
        return document

    def create(self, document: JsonObject) -> None:
        """Write a new file; refuse if there is one."""
        with _Explained("create", self.path):
            target = os.path.realpath(self.path)
            try:
                with _Aside(target, jsonedit.serialize(document).encode()) as aside:
                    _place(aside, target)
            except FileExistsError as error:
                raise ConflictError(f"`{self.path}` exists already", "change it, or move it away first") from error
            _sync_directory(target)

    def change(self, decide: Callable[[JsonObject], Sequence[Edit]]) -> bool:
        """Make the edits that `decide` finds for the document, and return whether that changed the file.

        It is asked again, with a new document, when somebody else changes the file before we have.
        """
        with _Explained("change", self.path), _PeerLock(f"{self.path}.lock", self._lock_wait_s):
            for _ in range(ATTEMPTS):
                before, document = _settled(self.path)
                after = self._edited(before, decide(document))
                if after == before:
                    return False
                if self._replace(before, after):
                    return True
        raise ConflictError(f"`{self.path}` was changed by others {ATTEMPTS} times in a row", "try again")

    def _edited(self, before: bytes, edits: Sequence[Edit]) -> bytes:
        if not edits:
            return before
        try:
            return jsonedit.apply(before.decode(), edits).encode()
        except DamagedError as error:
            raise DamagedError(f"{self.path}: {error.message}", _DAMAGED_HINT) from error

    def _replace(self, before: bytes, after: bytes) -> bool:
        target = os.path.realpath(self.path)
        status = os.stat(target)
        self._back_up(before, status)
        with _Aside(target, after, status) as aside:
            # Editors take no lock, nor do the original's approve-feature, reject-feature and stop hook.
            if _content(target) != before:
                return False
            os.replace(aside, target)
        _sync_directory(target)
        return True

    def _back_up(self, data: bytes, status: os.stat_result) -> None:
        name, checksum = os.path.basename(self.path), f"{zlib.crc32(data):08x}"
        os.makedirs(self._backups, exist_ok=True)
        for other in os.listdir(self._backups):
            alike = other.startswith(f"{name}.") and other.endswith(f".{checksum}")
            if alike and _content(os.path.join(self._backups, other)) == data:
                return
        backup = os.path.join(self._backups, f"{name}.{self._now()}.{checksum}")
        with _Aside(backup, data, status) as aside:
            os.replace(aside, backup)
        _sync_directory(backup)


class _Explained:
    """Turns errors of the operating system into ours, which say what to do."""

    def __init__(self, verb: str, path: str) -> None:
        self._verb = verb
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            wrapper = NotFoundError if isinstance(error, FileNotFoundError) else AtmsError
            hint = _HINTS.get(error.errno or 0, _OTHER_HINT)
            raise wrapper(f"cannot {self._verb} `{self._path}`: {error.strerror or error}", hint) from error


class _Aside:
    """A file written next to another, to take its place in one step; if it has not by the end, it goes.

    It gets the owner and the mode of a third file, if there is one.
    """

    def __init__(self, path: str, data: bytes, like: os.stat_result | None = None) -> None:
        self._name = _name_aside(path)
        self._data = data
        self._like = like

    def __enter__(self) -> str:
        mode = self._like.st_mode & _MODE_BITS if self._like else 0o666
        descriptor = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            self._write(descriptor)
        except BaseException:
            _remove(self._name)
            raise
        return self._name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _remove(self._name)

    def _write(self, descriptor: int) -> None:
        with open(descriptor, "wb") as file:
            if self._like:
                _own_alike(descriptor, self._like)
            file.write(self._data)
            file.flush()
            os.fsync(descriptor)


class _PeerLock:
    """The original's lock: a file that names its holder's process, and that dies with it."""

    def __init__(self, path: str, wait_s: float) -> None:
        self._path = path
        self._wait_s = wait_s
        self._own: Sighting | None = None
        self._nameless: tuple[Sighting, float] | None = None

    def __enter__(self) -> None:
        aside = _name_aside(self._path)
        try:
            self._own = self._introduced(aside)
            self._wait(aside)
        except BaseException:
            # Ctrl-C may have come between taking the lock and saying so.
            self._release()
            raise
        finally:
            _remove(aside)

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
            _place(aside, self._path)
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
        aside = _name_aside(self._path)
        try:
            os.rename(self._path, aside)
            # The original may have replaced the lock by its own since we looked.
            if _sighted(aside) != abandoned:
                _place(aside, self._path)
        except (FileNotFoundError, FileExistsError):
            return
        finally:
            _remove(aside)

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


def _settled(path: str) -> tuple[bytes, JsonObject]:
    """Return a file's content and document, giving a program that writes it in place the time to finish."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        data = _content(path)
        try:
            return data, _document(data)
        except DamagedError as error:
            if time.monotonic() >= deadline:
                raise DamagedError(f"{path}:{error.message}", _DAMAGED_HINT) from error
        time.sleep(_PAUSE_S)


def _document(data: bytes) -> JsonObject:
    try:
        document = jsonedit.parse(data.decode())
    except UnicodeDecodeError as error:
        line, column = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
        raise DamagedError(f"{line}:{column}: this is not UTF-8") from error
    if not isinstance(document, dict):
        raise DamagedError(f"1:1: the top level is {jsonedit.described(document)}, not an object")
    return document


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _name_aside(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")


def _own_alike(descriptor: int, like: os.stat_result) -> None:
    for user, group in ((-1, like.st_gid), (like.st_uid, -1)):
        try:
            os.fchown(descriptor, user, group)
        except PermissionError:
            # Somebody else's file in a directory we may write to: its content matters more than whose it is.
            continue
    os.fchmod(descriptor, like.st_mode & _MODE_BITS)


def _place(aside: str, path: str) -> None:
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
            _remove(path)
            raise


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _sync_directory(path: str) -> None:
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
