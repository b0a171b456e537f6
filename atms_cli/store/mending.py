"""Cutting damaged lines out of the journal; what is cut out is kept, and what follows it is not lost."""

from __future__ import annotations

from os.path import exists, join

from atms_cli.errors import AtmsError, NewerError
from atms_cli.store import codec, rewritten
from atms_cli.store.journal import forget_replica, segment_name
from atms_cli.store.paths import BACKUPS, JOURNAL
from atms_cli.store.settings import write_atomically
from atms_cli.store.swapping import mark_stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atms_cli.store.eventstore import EventStore
    from atms_cli.store.rewritten import Header
    from atms_cli.store.segments import Segments

#: What an event's line begins with, and no text in one can hold without a backslash.
_BEGINNING = b'{"v":'


def mend(store: EventStore, directory: str) -> list[str]:
    """Cut damaged lines out of every segment; return the files that keep them.

    Each segment then says that it was mended, so that a sync can bring the lost lines back. This clone goes on under a
    new replica id: its copy is no longer the one that it published.

    Raises:
        NewerError: a line is of a newer version, which is no damage; nothing was changed.

    """
    with store.lock:
        damaged = [segment for segment in _segments(store.journal, directory) if segment.is_damaged]
        if not damaged:
            return []
        # Both before any file changes: whoever comes after a kill builds the index from what is there then.
        forget_replica(directory)
        store.index.empty()
        mark_stale(store.index)
        kept = [_mend(segment, directory) for segment in damaged]
        store.index.catch_up()
    return kept


class _Segment:
    """The lines of a segment, good and bad."""

    def __init__(self, path: str, replica: str, number: int, *, is_last: bool) -> None:
        self.path = path
        self.replica = replica
        self.number = number
        with open(path, "rb") as file:
            whole = [part for count, line in enumerate(file) for part in _parted(line, path, count)]
        self.all_lines = whole
        are_good = [_is_good(line, path, count) for count, line in enumerate(whole)]
        # Only the last segment can have an unfinished end, and that is no damage: the next writer cuts it off.
        self.lines = whole[: _acknowledged(whole)] if is_last else whole
        self.is_damaged = not all(are_good[: len(self.lines)])


def _parted(line: bytes, path: str, number: int) -> list[bytes]:
    """Return a line as two if it lost its end, so that the good one behind it is not taken together with it."""
    start = line.rfind(_BEGINNING)
    if start > 0 and not _is_good(line, path, number) and _is_good(line[start:], path, number):
        return [line[:start], line[start:]]
    return [line]


def _segments(journal: Segments, directory: str) -> Iterator[_Segment]:
    for replica in journal.replicas():
        numbers = journal.segments(replica)
        for number in numbers:
            path = join(directory, JOURNAL, replica, segment_name(number))
            yield _Segment(path, replica, number, is_last=number == numbers[-1])


def _acknowledged(lines: Sequence[bytes]) -> int:
    """Return how many lines there are without an unfinished batch at the end, which was never acknowledged."""
    end = len(lines)
    is_torn = bool(lines) and not _is_good(lines[-1]) and (not lines[-1].endswith(b"\n") or b"\0" in lines[-1])
    if not lines or lines[0].startswith(codec.HEADER_MARK) or not (is_torn or _goes_on(lines[-1])):
        return end
    end -= is_torn
    while end and _goes_on(lines[end - 1]):
        end -= 1
    return end


def _mend(segment: _Segment, directory: str) -> str:
    good = [line for line in segment.lines if _is_good(line)]
    kept = frozenset(good)
    aside = _free_name(join(directory, BACKUPS, f"damaged.{segment.replica}.{segment_name(segment.number)}"))
    write_atomically(aside, b"".join(line for line in segment.all_lines if line not in kept))
    events = [line for line in good if not line.startswith(codec.HEADER_MARK)]
    write_atomically(segment.path, b"".join([rewritten.line(_header(segment, good)), *events]))
    return aside


def _free_name(path: str) -> str:
    """Return a name that keeps nothing yet: a segment may be damaged more than once."""
    name, count = path, 1
    while exists(name):
        count += 1
        name = f"{path}.{count}"
    return name


def _goes_on(line: bytes) -> bool:
    return _is_good(line) and codec.decode(line)[1]


def _header(segment: _Segment, good: Sequence[bytes]) -> Header:
    """Return what a segment was before lines were cut out of it; one that had been rewritten has said so."""
    old = rewritten.of(good[0]) if good else None
    ids = [codec.decode(line)[0]["id"] for line in good if not line.startswith(codec.HEADER_MARK)]
    total = old["events"] if old else sum(not line.startswith(codec.HEADER_MARK) for line in segment.lines)
    return {
        "why": rewritten.MENDED, "segment": segment.number, "events": total, "bytes": old["bytes"] if old else sum(map(len, segment.lines)),
        "through": old["through"] if old else max(ids, default=""), "dropped": total - len(ids),
    }  # fmt: skip


def _is_good(line: bytes, path: str = "", number: int = 0) -> bool:
    try:
        codec.decode(line)
    except NewerError as error:
        raise NewerError(f"{path}:{number + 1}: {error.message}" if path else error.message, error.hint) from error
    except (AtmsError, ValueError, KeyError, TypeError):
        return False
    return True
