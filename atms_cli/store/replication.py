"""Giving this clone's segments to others, and taking in theirs after a close look."""

from __future__ import annotations

import os
from os.path import join

from atms_cli.errors import AtmsError, DamagedError
from atms_cli.store import codec, hlc
from atms_cli.store.journal import segment_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import Event
    from atms_cli.store.eventstore import EventStore

#: An event from further in the future than this was stamped by a broken clock, and would drag every clock along.
_MOST_AHEAD_MS = 86_400_000
_NAME_LENGTH = len(segment_name(1))
_REPLICA_LENGTH = 8


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
        """Return the first bytes of a segment, made durable before anyone else may see them."""
        with open(join(self._root, replica, name), "rb") as file:
            os.fsync(file.fileno())
            return file.read(size)

    def known_size(self, replica: str, name: str) -> int:
        """Return how many bytes of a segment are here."""
        try:
            return os.stat(join(self._root, replica, name)).st_size
        except FileNotFoundError:
            return 0

    def take_in(self, replica: str, name: str, content: bytes) -> list[Event]:
        """Add what is new in another clone's segment; return the new events.

        Raises:
            DamagedError: it is damaged, rewritten, or not what that clone can have written; nothing was added.

        """
        check_names(replica, name)
        with self._store.lock:
            known = self._known(replica, name)
            if content[: len(known)] != known:
                raise DamagedError(
                    f"{replica}/{name} was rewritten since it was last seen", "ask whoever works there to look at it"
                )
            events = self._checked(replica, name, content[len(known) :])
            if events:
                self._append(replica, name, content[len(known) :])
                self._store.index.catch_up()
        return events

    def _known(self, replica: str, name: str) -> bytes:
        try:
            with open(join(self._root, replica, name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def _checked(self, replica: str, name: str, added: bytes) -> list[Event]:
        """Decode every new line; all of it must be good before any of it is taken in."""
        events: list[Event] = []
        more = False
        for number, line in enumerate(added.splitlines(keepends=True), start=1):
            try:
                event, more = codec.decode(line)
                self._check_origin(replica, event, events[-1] if events else None)
            except (AtmsError, ValueError, KeyError, TypeError) as error:
                reason = error.message if isinstance(error, AtmsError) else "not an event"
                hint = error.hint if isinstance(error, AtmsError) else ""
                raise DamagedError(f"{replica}/{name}, new line {number}: {reason}", hint) from error
            events.append(event)
        if more:
            raise DamagedError(f"{replica}/{name} ends in the middle of a batch")
        return events

    def _check_origin(self, replica: str, event: Event, before: Event | None) -> None:
        if event["id"][-_REPLICA_LENGTH:] != replica:
            raise DamagedError(f"event {event['id']} belongs to another clone than {replica}")
        if before is not None and event["id"] <= before["id"]:
            raise DamagedError(f"event {event['id']} is out of order")
        if hlc.time_ms(event["id"]) > self._now_ms() + _MOST_AHEAD_MS:
            raise DamagedError(f"event {event['id']} is more than a day in the future", "set the clock there")

    def _append(self, replica: str, name: str, added: bytes) -> None:
        directory = join(self._root, replica)
        os.makedirs(directory, exist_ok=True)
        with open(join(directory, name), "ab") as file:
            file.write(added)
            file.flush()
            os.fsync(file.fileno())


def check_names(replica: str, name: str) -> None:
    """Refuse names that no clone of ours writes; they come from outside and become paths."""
    good_replica = len(replica) == _REPLICA_LENGTH and replica.isascii() and replica.isalnum()
    good_name = len(name) == _NAME_LENGTH and name.endswith(".jsonl") and name[:8].isdigit()
    if not good_replica or not good_name:
        raise DamagedError(f"`{replica}/{name}` is not a segment")
