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
from contextlib import suppress

from atms_cli.errors import AtmsError, ConflictError, DamagedError, NotFoundError
from atms_cli.store import jsonedit
from atms_cli.store.aside import Aside, place, sync_directory
from atms_cli.store.peerlock import PeerLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from atms_cli.domain.records import Edit, JsonObject

#: Seconds to wait for another program's lock before giving up.
LOCK_WAIT_S = 5.0
#: Seconds after which a file that cannot be parsed is damaged, and not just being written.
SETTLE_S = 0.5
#: The same for one that is empty, and for one that changes all the while.
SETTLE_EMPTY_S = 2.0
SETTLE_MOST_S = 10.0
#: How often a change is decided anew because somebody wrote to the file meanwhile.
ATTEMPTS = 20
#: How many backups of a file are kept.
BACKUPS_KEPT = 20
_PAUSE_S = 0.005

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
                with Aside(target, jsonedit.serialize(document).encode()) as aside:
                    place(aside, target)
            except FileExistsError as error:
                raise ConflictError(f"`{self.path}` exists already", "change it, or move it away first") from error
            sync_directory(target)

    def change(self, decide: Callable[[JsonObject], Sequence[Edit]]) -> bool:
        """Make the edits that `decide` finds for the document, and return whether that changed the file.

        It is asked again, with a new document, when somebody else changes the file before we have.
        """
        with _Explained("change", self.path), PeerLock(f"{self.path}.lock", self._lock_wait_s):
            for _ in range(ATTEMPTS):
                before, document = _settled(self.path)
                edits = decide(document)
                # In memory it is several times as large as in the file.
                del document
                after = self._edited(before, edits)
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
        backup = self._back_up(before, status)
        with Aside(target, after, status) as aside:
            # Editors take no lock, nor do the original's approve-feature, reject-feature and stop hook.
            if _content(target) != before:
                return False
            os.replace(aside, target)
        sync_directory(target)
        self._prune(backup)
        return True

    def _back_up(self, data: bytes, status: os.stat_result) -> str:
        """Return the backup that holds the data: a new one, or the one there is."""
        checksum = f"{zlib.crc32(data):08x}"
        os.makedirs(self._backups, exist_ok=True)
        for backup in self._kept():
            if backup.endswith(f".{checksum}") and _content(backup) == data:
                with suppress(PermissionError):  # somebody else's: it stays as old as it is
                    os.utime(backup)
                return backup
        backup = os.path.join(self._backups, f"{os.path.basename(self.path)}.{self._now()}.{checksum}")
        with Aside(backup, data, status) as aside:
            os.replace(aside, backup)
        sync_directory(backup)
        return backup

    def _kept(self) -> list[str]:
        ours = re.compile(rf"{re.escape(os.path.basename(self.path))}\.[^.]+\.[0-9a-f]{{8}}")
        return [os.path.join(self._backups, name) for name in os.listdir(self._backups) if ours.fullmatch(name)]

    def _prune(self, newest: str) -> None:
        """Remove all but the newest backups, by when the file last had their content."""
        # The change is made, so nothing that goes wrong here may make it look as if it had failed.
        with suppress(OSError):
            older = [backup for backup in self._kept() if backup != newest]
            older.sort(key=lambda backup: (os.stat(backup).st_mtime_ns, backup), reverse=True)
            for backup in older[BACKUPS_KEPT - 1 :]:
                os.unlink(backup)


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


def _settled(path: str) -> tuple[bytes, JsonObject]:
    """Return a file's content and document, giving a program that writes it in place the time to finish."""
    began = deadline = time.monotonic()
    before = None
    while True:
        data = _content(path)
        try:
            return data, _document(data)
        except DamagedError as error:
            now = time.monotonic()
            if data != before:
                # Somebody is at work on it; who has emptied it has only begun.
                patience_s = SETTLE_S if data else SETTLE_EMPTY_S
                before, deadline = data, min(now + patience_s, began + SETTLE_MOST_S)
            if now >= deadline:
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
