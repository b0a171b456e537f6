"""Giving this clone's segments to others, and taking in theirs after a close look."""

from __future__ import annotations

import os
from os.path import join

from atms_cli.domain import agent as agents
from atms_cli.domain import foreign
from atms_cli.domain import task as tasks
from atms_cli.domain.moment import to_iso, to_ms
from atms_cli.errors import AtmsError, DamagedError
from atms_cli.store import codec, hlc, rewritten, sql
from atms_cli.store.aside import sync_directory
from atms_cli.store.journal import segment_name
from atms_cli.store.merging import Copy, Merger, agree, parsed
from atms_cli.store.projector import Projector
from atms_cli.store.swapping import write_aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.records import Event
    from atms_cli.store.eventstore import EventStore
    from atms_cli.store.rewritten import Header

    Line = tuple[Event, bytes]

#: An event from further in the future than this was stamped by a broken clock, and would drag every clock along.
_MOST_AHEAD_MS = 86_400_000
_NAME_LENGTH = len(segment_name(1))
_REPLICA_LENGTH = 8
_ID_LENGTH = 21
#: As many bytes as there are.
_ALL = -1
_REPLICA_ALPHABET = frozenset("0123456789abcdefghijklmnopqrstuvwxyz")
#: What a line that is no event of ours makes Python say.
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError)


class Replication:
    """The journal of a store, as others see it."""

    def __init__(self, store: EventStore, root: str, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._root = root
        self._now_ms = now_ms

    def own(self) -> tuple[str, dict[str, int]]:
        """Return this clone's replica id, and its segments with the bytes of their whole batches."""
        with self._store.lock:
            replica = self._store.journal.own_replica()
            self._store.index.catch_up()
            position = self._store.index.positions().get(replica, (1, 0, ""))
            sealed = [number for number in self._store.journal.segments(replica) if number < position[0]]
            sizes = {segment_name(number): self._store.journal.size(replica, number) for number in sealed}
        if position[1]:
            sizes[segment_name(position[0])] = position[1]
        return replica, sizes

    def content(self, replica: str, name: str, size: int) -> bytes:
        """Return the first bytes of a segment, made durable before anyone else may see them.

        Raises:
            DamagedError: a line is damaged; others must not get it, for then nobody could give the good one back.

        """
        path = join(self._root, replica, name)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            content = file.read(size)
        _refuse_damaged(path, content)
        return content

    def known_size(self, replica: str, name: str) -> int:
        """Return how many bytes of a segment are here, in whole batches."""
        number = check_names(replica, name)
        self._store.reading()
        segment, offset, _ = self._store.index.positions().get(replica, (1, 0, ""))
        if number == segment:
            return offset
        return rewritten.original_size(self._store.journal, replica, number) if number < segment else 0

    def lost(self, replica: str, name: str) -> int:
        """Return how many events of a segment were lost here to damage."""
        header = rewritten.at(self._store.journal, replica, check_names(replica, name))
        return header["dropped"] if header and header["why"] == rewritten.MENDED else 0

    def wants(self, replica: str, name: str, size: int, *, is_last: bool) -> bool:
        """Return whether a segment of another clone may hold what is not here; `is_last` says that its clone has no later one."""
        number, known = check_names(replica, name), self.known_size(replica, name)
        if size > known or rewritten.is_mended(self._store.journal, replica, number):
            return True
        segment, offset, _ = self._store.index.positions().get(replica, (1, 0, ""))
        # It is closed there and not yet here: it may have been rewritten meanwhile, and be smaller for it.
        return not is_last and number == segment and offset < self._store.journal.segment_bytes

    def agrees(self, replica: str, name: str, content: bytes) -> bool:
        """Return whether a segment of our own, as it was published, is the one that is here or was before it was rewritten."""
        with open(join(self._root, replica, name), "rb") as file:
            return agree(file.read(), content)

    def take_in(self, replica: str, name: str, content: bytes) -> list[Event]:
        """Add what is new in another clone's segment; return the new events.

        Raises:
            DamagedError: it is damaged, rewritten, or not what that clone can have written; nothing was added.

        """
        number = check_names(replica, name)
        theirs = self._header(replica, name, content)
        with self._store.lock:
            if replica == self._store.journal.own_replica():
                raise DamagedError(f"{replica} is the id of this very workspace")
            self._store.index.catch_up()
            if theirs or rewritten.at(self._store.journal, replica, number):
                return self._reconcile(replica, number, content)
            start = self._start(replica, number, len(content))
            if content[:start] != self._known(replica, name, start)[: len(content)]:
                raise DamagedError(
                    f"{replica}/{name} was rewritten since it was last seen", "ask whoever works there to look at it"
                )
            # It may also be shorter: another sync of this clone has brought more of it meanwhile.
            lines = self._checked(replica, name, content[start:], self._last_id(replica, number))
            if lines:
                self._fold_and_append(replica, number, start, lines)
        return [event for event, _ in lines]

    def _header(self, replica: str, name: str, content: bytes) -> Header | None:
        try:
            header = rewritten.of(content)
        except AtmsError as error:
            raise DamagedError(f"{replica}/{name}: {error.message}", error.hint) from error
        if header is None:
            return None
        stays = header["events"] - header["dropped"]
        if header["segment"] != check_names(replica, name) or len(rewritten.split(content)) != stays:
            raise DamagedError(f"{replica}/{name} is not what its first line says")
        if header["through"][-_REPLICA_LENGTH:] != replica:
            raise DamagedError(f"{replica}/{name} was rewritten from another clone's segment")
        return header

    def _reconcile(self, replica: str, number: int, content: bytes) -> list[Event]:
        """Take in a segment that was rewritten, there or here."""
        name = segment_name(number)
        segment, offset, _ = self._store.index.positions().get(replica, (1, 0, ""))
        here = self._known(replica, name, offset if number == segment else _ALL) if number <= segment else b""
        is_mended = rewritten.is_mended(self._store.journal, replica, number)
        is_closed = number < segment or offset >= self._store.journal.segment_bytes
        if here and is_closed and not is_mended:
            if len(content) > rewritten.original_size(self._store.journal, replica, number):
                raise DamagedError(f"{replica}/{name} grew after it was closed")
            return []
        lines = self._checked(replica, name, content, "" if here else self._last_id(replica, number))
        if here:
            return Merger(self._store, self._root, replica, number).merge(parsed(here), Copy(content, lines))
        # It must be the next one; what a killed sync has left of it is replaced.
        self._start(replica, number, len(content))
        self._fold_and_append(replica, number, 0, lines, content[: content.index(b"\n") + 1])
        return [event for event, _ in lines]

    def _start(self, replica: str, number: int, size: int) -> int:
        """Return where new events of a segment begin: behind the whole batches that are here."""
        segment, offset, _ = self._store.index.positions().get(replica, (1, 0, ""))
        if number == segment:
            return offset
        known = rewritten.original_size(self._store.journal, replica, number) if number < segment else 0
        if number < segment and size <= known:
            return known
        if number == segment + 1 and offset >= self._store.journal.segment_bytes:
            return 0
        reason = "grew after it was closed" if number < segment else "comes before the end of the segment before it"
        raise DamagedError(f"{replica}/{segment_name(number)} {reason}")

    def _known(self, replica: str, name: str, size: int) -> bytes:
        if not size:
            return b""
        with open(join(self._root, replica, name), "rb") as file:
            return file.read(size)

    def _checked(self, replica: str, name: str, added: bytes, last: str) -> list[Line]:
        """Decode every line behind the event `last`; all of it must be good before any of it is taken in."""
        lines: list[Line] = []
        more = False
        for number, line in enumerate(rewritten.split(added), start=1):
            try:
                event, more = codec.decode(line)
                _check_shape(event)
                self._check_origin(replica, event["id"], last)
            except AtmsError as error:
                raise DamagedError(f"{replica}/{name}, new line {number}: {error.message}", error.hint) from error
            except _NONSENSE as error:
                raise DamagedError(f"{replica}/{name}, new line {number}: not an event") from error
            lines.append((event, line))
            last = event["id"]
        if more and not rewritten.of(added):
            raise DamagedError(f"{replica}/{name} ends in the middle of a batch")
        return lines

    def _last_id(self, replica: str, number: int) -> str:
        """Return the id of the last event of a clone that is here, or was before it was folded."""
        row = self._store.index.connection.execute(
            "SELECT id FROM events WHERE replica = ? ORDER BY id DESC LIMIT 1", (replica,)
        ).fetchone()
        before = rewritten.at(self._store.journal, replica, number - 1)
        return max("" if row is None else str(row[0]), before["through"] if before else "")

    def _check_origin(self, replica: str, event_id: str, last: str) -> None:
        if event_id[-_REPLICA_LENGTH:] != replica:
            raise DamagedError(f"event {event_id} belongs to another clone than {replica}")
        if event_id <= last:
            raise DamagedError(f"event {event_id} is out of order")
        if hlc.time_ms(event_id) > self._now_ms() + _MOST_AHEAD_MS:
            raise DamagedError(f"event {event_id} is more than a day in the future", "set the clock there")

    def _fold_and_append(
        self, replica: str, number: int, start: int, lines: Sequence[Line], header: bytes = b""
    ) -> None:
        """Fold into the index first: what cannot be folded must never get into the journal."""
        index, name = self._store.index, segment_name(number)
        pending: dict[int, Event] = {}

        def load(of: str, segment: int, offset: int) -> Event:
            if (of, segment) == (replica, number) and offset >= start:
                return pending[offset]
            return self._store.journal.event_at(of, segment, offset)

        index.connection.execute("BEGIN IMMEDIATE")
        try:
            projector, end = Projector(index.connection, load), start + len(header)
            for event, line in lines:
                pending[end] = event
                projector.apply(event, replica, number, end)
                end += len(line)
            projector.flush()
            position = (number + 1, 0, "") if header else (number, end, codec.seal(lines[-1][1]))
            index.connection.execute(sql.PUT_POSITION, (replica, *position))
            added = header + b"".join(line for _, line in lines)
            (self._place if header else self._append)(replica, name, start, added)
            index.connection.execute("COMMIT")
        except index.connection.OperationalError as error:
            raise AtmsError(f"cannot write {index.path}: {error}", "free some space and sync again") from error
        except (*_NONSENSE, index.connection.Error) as error:
            raise DamagedError(
                f"{replica}/{name} does not make sense: {error}", "upgrade atms, here or there"
            ) from error
        finally:
            index.roll_back()
        index.checkpoint()

    def _place(self, replica: str, name: str, _start: int, content: bytes) -> None:
        """Write a segment that will never grow: whole or not at all."""
        path = join(self._root, replica, name)
        os.makedirs(join(self._root, replica), exist_ok=True)
        write_aside(f"{path}.new", content)
        os.replace(f"{path}.new", path)
        sync_directory(path)

    def _append(self, replica: str, name: str, start: int, added: bytes) -> None:
        """Write behind the whole batches; what a killed sync left there is cut off first."""
        directory = join(self._root, replica)
        try:
            os.makedirs(directory, exist_ok=True)
            with open(join(directory, name), "ab") as file:
                file.truncate(start)
                try:
                    file.write(added)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(start)
                    raise
        except OSError as error:
            raise AtmsError(
                f"cannot write {directory}/{name}: {error.strerror}", "free some space and sync again"
            ) from error


def _refuse_damaged(path: str, content: bytes) -> None:
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            codec.decode(line)
        except (AtmsError, *_NONSENSE) as error:
            raise DamagedError(
                f"{path}:{number} is damaged, so nothing was given to others", "see: atms doctor"
            ) from error


def check_names(replica: str, name: str) -> int:
    """Refuse names that no clone of ours writes; they come from outside and become paths. Return the segment's number."""
    good_replica = len(replica) == _REPLICA_LENGTH and _REPLICA_ALPHABET.issuperset(replica)
    good_name = len(name) == _NAME_LENGTH and name.endswith(".jsonl") and name[:8].isdecimal() and name.isascii()
    if not good_replica or not good_name or not int(name[:8]):
        raise DamagedError(f"`{replica}/{name}` is not a segment")
    return int(name[:8])


def _check_shape(event: Event) -> None:
    """Refuse what has the form of an event and holds what no event does; it would harm whoever meets it later."""
    fields: Mapping[str, object] = event
    texts = [fields[name] for name in ("id", "at", "type", "key", "actor")]
    if not all(isinstance(text, str) and text for text in texts) or not isinstance(fields["data"], dict):
        raise DamagedError("not an event")
    if len(event["id"]) != _ID_LENGTH or to_iso(to_ms(event["at"])) != event["at"]:
        raise DamagedError("not an event")
    if event["type"] in tasks.EVENTS:
        foreign.check_event(event)
    elif event["type"] == "agent.registered":
        for name, value in event["data"].items():
            default = agents.DEFAULTS.get(name)
            if default is not None and type(value) is not type(default):
                raise DamagedError(f"{value!r} is no {name} of an agent")
