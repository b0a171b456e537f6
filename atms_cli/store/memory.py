"""A store without files, for tests and rehearsals: the same index over a journal in memory."""

from __future__ import annotations

import sys

from atms_cli.store import codec
from atms_cli.store.eventstore import EventStore
from atms_cli.store.index import Index
from atms_cli.store.lock import NoLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atms_cli.domain.records import Event
    from atms_cli.ports import Clock

_REPLICA = "memory00"


class MemoryJournal:
    """One replica with one segment, a bytearray."""

    def __init__(self) -> None:
        self.lines = bytearray()
        self.segment_bytes = sys.maxsize

    def replicas(self) -> list[str]:
        """Return the one replica."""
        return [_REPLICA]

    def segments(self, replica: str, first: int = 1) -> list[int]:
        """Return the one segment."""
        return [1] if replica == _REPLICA and first <= 1 else []

    def size(self, replica: str, segment: int) -> int:
        """Return the bytes in it."""
        return len(self.lines) if (replica, segment) == (_REPLICA, 1) else 0

    def seal_at(self, replica: str, segment: int, end: int) -> str:
        """Return the checksum of the line that ends there."""
        return (
            codec.seal(bytes(self.lines[max(0, end - codec.SEAL_LENGTH) : end]))
            if end and self.size(replica, segment)
            else ""
        )

    def beginning(self, replica: str, segment: int, most: int) -> bytes:
        """Return the first bytes of it."""
        return bytes(self.lines[: min(most, self.size(replica, segment))])

    def position(self, replica: str, segment: int, end: int) -> tuple[int, int, str]:
        """Return where to read on, and the seal before."""
        return segment, end, self.seal_at(replica, segment, end)

    def own_replica(self) -> str:
        """Return the one replica."""
        return _REPLICA

    def read(self, replica: str, segment: int, start: int) -> Iterator[tuple[Event, int, int]]:
        """Yield each event with its offset and end."""
        offset = start
        for line in bytes(self.lines[start : start + self.size(replica, segment)]).splitlines(keepends=True):
            yield codec.decode(line)[0], offset, offset + len(line)
            offset += len(line)

    def event_at(self, replica: str, segment: int, offset: int) -> Event:
        """Return the event whose line begins there."""
        return next(self.read(replica, segment, offset))[0]

    def cut_torn_tail(self, replica: str, segment: int, start: int) -> int:
        """Return 0: memory does not tear."""
        del replica, segment, start
        return 0

    def append(self, replica: str, segment: int, offset: int, lines: bytes) -> Callable[[], None]:
        """Add a batch; it is as durable as it will ever be."""
        del replica, segment, offset
        self.lines += lines
        return lambda: None


def in_memory(clock: Clock) -> EventStore:
    """Return an empty store that vanishes with the process."""
    journal = MemoryJournal()
    return EventStore(journal, Index(":memory:", journal), NoLock(), clock)
