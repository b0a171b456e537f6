"""Two copies of one segment, of which one was rewritten, made into one: what either has is kept."""

from __future__ import annotations

import os
from os.path import exists

from atms_cli.errors import AtmsError, DamagedError
from atms_cli.store import codec, rewritten, sql, swapping
from atms_cli.store.projector import Projector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from sqlite3 import Connection

    from atms_cli.domain.records import Event
    from atms_cli.store.eventstore import EventStore
    from atms_cli.store.rewritten import Header

    Line = tuple[Event, bytes]

_ADVICE = "ask whoever works there to look at it"
#: What an event that makes no sense makes Python say.
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError)


class Copy:
    """A copy of a segment: its header, if it was rewritten, and its lines by the ids of their events."""

    def __init__(self, content: bytes, lines: Sequence[Line]) -> None:
        self.size = len(content)
        self.header = rewritten.of(content)
        self.lines = {event["id"]: line for event, line in lines}
        self.events = {event["id"]: event for event, _ in lines}
        last = max(self.lines, default="")
        self.through = max(self.header["through"], last) if self.header else last


def parsed(content: bytes) -> Copy:
    """Return a copy that is known to be good."""
    return Copy(content, [(codec.decode(line)[0], line) for line in rewritten.split(content)])


def agree(ours: bytes, theirs: bytes) -> bool:
    """Return whether one of two copies holds all that the other one does."""
    if not (rewritten.of(ours) or rewritten.of(theirs)):
        return ours.startswith(theirs)
    one, other = set(rewritten.split(ours)), set(rewritten.split(theirs))
    return one <= other or other <= one


class Merger:
    """Merges another's copy of a segment into the one that is here; call it under the lock, with the index caught up."""

    def __init__(self, store: EventStore, root: str, replica: str, number: int) -> None:
        self._store = store
        self._replica = replica
        self._number = number
        self._path = os.path.join(root, replica, f"{number:08d}.jsonl")

    def merge(self, here: Copy, theirs: Copy) -> list[Event]:
        """Add what only their copy has; return the new events.

        Raises:
            DamagedError: the copies contradict each other; nothing was changed.

        """
        self._check(here, theirs)
        lines = dict(sorted((here.lines | theirs.lines).items()))
        new = [theirs.events[event_id] for event_id in lines if event_id not in here.lines]
        header = _header(here, theirs, lines)
        if new or header != here.header:
            self._replace(here, lines, new, header, is_closed=bool(header or theirs.header))
        return new

    def _check(self, here: Copy, theirs: Copy) -> None:
        changed = any(here.lines[each] != line for each, line in theirs.lines.items() if each in here.lines)
        is_mended = here.header is not None and here.header["why"] == rewritten.MENDED
        slipped_in = not is_mended and any(
            each <= here.through for each in theirs.lines if each not in here.lines
        )  # it would have been here already
        if changed or slipped_in or self._has_lost(here, theirs):
            raise self._refusal("was rewritten since it was last seen")
        elsewhere = "SELECT 1 FROM events WHERE id = ?"
        run = self._store.index.connection.execute
        if any(run(elsewhere, (each,)).fetchone() for each in theirs.lines if each not in here.lines):
            raise self._refusal("holds events of another segment")

    def _has_lost(self, here: Copy, theirs: Copy) -> bool:
        """Return whether their copy lacks what it must have; events of tasks may have been folded."""
        lost = [each for each in here.lines if each not in theirs.lines and each <= theirs.through]
        if theirs.header is None:
            return bool(lost)
        beyond = [each for each in here.lines if each > theirs.through]
        others = [each for each in lost if not here.events[each]["type"].startswith("task.")]
        return bool(beyond or others) or len(lost) > theirs.header["dropped"]

    def _refusal(self, reason: str) -> DamagedError:
        return DamagedError(f"{self._replica}/{os.path.basename(self._path)} {reason}", _ADVICE)

    def _replace(
        self, here: Copy, lines: Mapping[str, bytes], new: Sequence[Event], header: Header | None, *, is_closed: bool
    ) -> None:
        first = rewritten.line(header) if header else b""
        content = first + b"".join(lines.values())
        offsets, end = dict[str, int](), len(first)
        for event_id, line in lines.items():
            offsets[event_id] = end
            end += len(line)
        position = self._position(content, is_closed=is_closed)

        def change(connection: Connection) -> None:
            swapping.move(connection, [(offsets[each], event["key"], each) for each, event in here.events.items()])
            self._fold(connection, content, new, offsets)
            if position:
                connection.execute(sql.PUT_POSITION, (self._replica, *position))

        self._swap(content, change)

    def _swap(self, content: bytes, change: swapping.Change) -> None:
        aside = f"{self._path}.merged"
        swapping.write_aside(aside, content)
        index = self._store.index
        try:
            swapping.swap(index, aside, self._path, change)
        except index.connection.OperationalError as error:
            raise AtmsError(f"cannot write {index.path}: {error}", "free some space and sync again") from error
        except (*_NONSENSE, index.connection.Error) as error:
            raise self._refusal(f"does not make sense: {error}") from error
        finally:
            if exists(aside):
                os.remove(aside)

    def _fold(self, connection: Connection, content: bytes, new: Sequence[Event], offsets: Mapping[str, int]) -> None:
        """Fold into the index first: what cannot be folded must never get into the journal."""

        def load(of: str, segment: int, offset: int) -> Event:
            if (of, segment) != (self._replica, self._number):
                return self._store.journal.event_at(of, segment, offset)
            return codec.decode(content[offset : content.index(b"\n", offset) + 1])[0]

        projector = Projector(connection, load)
        for event in new:
            projector.apply(event, self._replica, self._number, offsets[event["id"]])
        projector.flush()

    def _position(self, content: bytes, *, is_closed: bool) -> tuple[int, int, str] | None:
        """Return where to read on after this segment, None if more has been read already."""
        segment, offset, _ = self._store.index.positions().get(self._replica, (1, 0, ""))
        if (segment, offset) > (self._number + 1, 0):
            return None
        if is_closed:
            return self._number + 1, 0, ""
        return self._number, len(content), codec.seal(content)


def _header(here: Copy, theirs: Copy, lines: Mapping[str, bytes]) -> Header | None:
    """Return the header of what two copies make together, None if that is the segment as it was written."""
    if theirs.header is None and len(lines) == len(theirs.lines):
        return None
    known = theirs.header or here.header
    if known is None:
        raise AtmsError("one of the two was rewritten")
    dropped = max(known["events"], len(lines)) - len(lines)
    if not dropped and known["bytes"] == sum(map(len, lines.values())):
        return None
    return {**known, "events": len(lines) + dropped, "dropped": dropped}
