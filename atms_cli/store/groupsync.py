"""One sync for all who wait for one: group commit across processes.

Writers append under the workspace lock, release it, and come here. Syncs run one after another and are numbered. Who
has to wait for a sync that began before its own lines were there finds, when its turn comes, that the next one has
covered them too, or runs that one itself. Source: DeWitt et al., "Implementation Techniques for Main Memory Database
Systems", 1984, section 5.2, with a file in place of the shared memory.
"""

from __future__ import annotations

import os
from fcntl import LOCK_UN, flock

from atms_cli.errors import AtmsError
from atms_cli.store.lock import take

#: macOS has no fdatasync.
_fdatasync = getattr(os, "fdatasync", os.fsync)
#: Whoever has waited so long for others syncs by itself.
_PATIENCE_S = 5.0
_DIGITS = 15
_LENGTH = 3 * (_DIGITS + 1)


class GroupSync:
    """The file by which writers know what others have synced: numbers of the syncs begun and finished, and of what."""

    def __init__(self, path: str) -> None:
        self._path = path

    def sync(self, written: int, what: str) -> None:
        """Wait until what was written through a descriptor before this call is on the disk.

        Raises:
            AtmsError: the disk did not take it.

        """
        try:
            shared = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            sync_alone(written)
            return
        try:
            self._sync_in_turn(shared, written, what)
        finally:
            os.close(shared)

    def _sync_in_turn(self, shared: int, written: int, what: str) -> None:
        begun, _, _ = _read(shared)
        if not take(shared, _PATIENCE_S):
            sync_alone(written)
            return
        try:
            last, finished, of = _read(shared)
            if finished > begun and of == what:
                return
            _write(shared, last + 1, finished, of)
            sync_alone(written)
            _write(shared, last + 1, last + 1, what)
        finally:
            flock(shared, LOCK_UN)


def sync_alone(descriptor: int) -> None:
    """Sync one file for oneself.

    One file has one order, so what is durable is always a prefix: what others appended before is covered too.
    """
    try:
        _fdatasync(descriptor)
    except OSError as error:
        raise AtmsError(
            f"the disk did not take the change: {error.strerror}", "see whether it arrived: atms log"
        ) from error


def _read(shared: int) -> tuple[int, int, str]:
    """Return the numbers of the last sync begun and finished, and what was synced; zeros for a file that says nothing.

    It is also read without the lock, so the first number stands there twice: a reader that meets a writer halfway sees
    two that differ and looks again.
    """
    while True:
        record = os.pread(shared, 256, 0).decode(errors="replace")
        first, again, finished = (record[place : place + _DIGITS] for place in range(0, _LENGTH, _DIGITS + 1))
        if not (first.isdecimal() and again.isdecimal() and finished.isdecimal()):
            return 0, 0, ""
        if first == again:
            return int(first), int(finished), record[_LENGTH:].rstrip()


def _write(shared: int, begun: int, finished: int, what: str) -> None:
    """Tell the others; where the disk is too full for it, each syncs for itself."""
    try:
        os.pwrite(shared, f"{begun:0{_DIGITS}d} {begun:0{_DIGITS}d} {finished:0{_DIGITS}d} {what:<32}\n".encode(), 0)
    except OSError:
        return
