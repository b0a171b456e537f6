"""Cutting damaged lines out of the journal; what is cut out is kept, and what follows it is not lost."""

from __future__ import annotations

from os.path import exists, join

from atms_cli.errors import AtmsError, NewerError
from atms_cli.store import codec
from atms_cli.store.journal import forget_replica, is_torn, segment_name
from atms_cli.store.paths import BACKUPS, JOURNAL
from atms_cli.store.settings import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.store.eventstore import EventStore


#: What an event's line begins with, and no text in one can hold without a backslash.
_BEGINNING = b'{"v":'


def mend(store: EventStore, directory: str) -> list[str]:
    """Cut damaged lines out of every segment; return the files that keep them.

    Other clones have the old lines, so this one goes on under a new replica id: what it published is never rewritten.

    Raises:
        NewerError: a line is of a newer version, which is no damage; nothing was changed.

    """
    with store.lock:
        segments = [
            (replica, number) for replica in store.journal.replicas() for number in store.journal.segments(replica)
        ]
        damaged = [each for each in segments if _is_damaged(_path(directory, *each))]
        if not damaged:
            return []
        # Both before anything else, because whoever goes on after a crash in between relies on the old lines' places.
        forget_replica(directory)
        store.index.empty()
        kept = [_mend_segment(directory, *each) for each in damaged]
        store.index.catch_up()
    return kept


def _path(directory: str, replica: str, number: int) -> str:
    return join(directory, JOURNAL, replica, segment_name(number))


def _lines(path: str) -> list[bytes]:
    """Return the lines of a segment; one whose end was lost is not taken together with the good one behind it."""
    with open(path, "rb") as file:
        return [part for number, line in enumerate(file) for part in _parted(line, path, number)]


def _parted(line: bytes, path: str, number: int) -> list[bytes]:
    start = line.rfind(_BEGINNING)
    if start > 0 and not _is_good(line, path, number) and _is_good(line[start:], path, number):
        return [line[:start], line[start:]]
    return [line]


def _is_damaged(path: str) -> bool:
    """Return whether something is wrong with a segment but a torn end, which the next writer cuts off."""
    lines = _lines(path)
    bad = [number for number, line in enumerate(lines) if not _is_good(line, path, number)]
    return bool(bad) and (bad[0] < len(lines) - 1 or not is_torn(b"", lines[-1]))


def _mend_segment(directory: str, replica: str, number: int) -> str:
    path = _path(directory, replica, number)
    lines = _lines(path)
    good = [line for line in lines if _is_good(line, path, 0)]
    if good and lines[-1] is not good[-1] and not is_torn(b"", lines[-1]):
        good[-1] = _ending(good[-1])
    aside = _free_name(join(directory, BACKUPS, f"damaged.{replica}.{segment_name(number)}"))
    write_atomically(aside, b"".join(line for line in lines if not _is_good(line, path, 0)))
    write_atomically(path, b"".join(good))
    return aside


def _ending(line: bytes) -> bytes:
    """Return a line as the last of its batch, whose end was cut out: what is left of the batch was acknowledged."""
    event, _ = codec.decode(line)
    return codec.encode(event, more=False)


def _free_name(path: str) -> str:
    """Return a name that keeps nothing yet: a segment may be damaged more than once."""
    name, count = path, 1
    while exists(name):
        count += 1
        name = f"{path}.{count}"
    return name


def _is_good(line: bytes, path: str, number: int) -> bool:
    try:
        codec.decode(line)
    except NewerError as error:
        raise NewerError(f"{path}:{number + 1}: {error.message}", error.hint) from error
    except (AtmsError, ValueError, KeyError, TypeError):
        return False
    return True
