"""Journal, index and lock together: the Store port."""

from __future__ import annotations

import os
from os.path import join

from atms_cli.errors import AtmsError
from atms_cli.store.index import MEMORY, DatabaseError, Index
from atms_cli.store.journal import Journal
from atms_cli.store.lock import Lock, NoLock
from atms_cli.store.paths import INDEX, LOCK
from atms_cli.store.readmodel import ReadModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.config import QueueSettings
    from atms_cli.domain.records import Event, JsonObject
    from atms_cli.ports import Clock, Ids
    from atms_cli.store.segments import Exclusive, Segments
    from atms_cli.store.transaction import Transaction


def in_directory(directory: str, clock: Clock, ids: Ids) -> EventStore:
    """Return the store of a `.atms` directory."""
    journal = Journal(directory, ids.replica)
    if not os.access(directory, os.W_OK):
        # Reading needs no file of ours: the journal is folded in memory, and writing will say what is missing.
        return EventStore(journal, Index(MEMORY, journal), NoLock(), clock)
    return EventStore(journal, Index(join(directory, INDEX), journal), Lock(join(directory, LOCK)), clock)


class EventStore:
    """Durable state: events in a journal, and a read model that follows it."""

    def __init__(self, journal: Segments, index: Index, lock: Exclusive, clock: Clock) -> None:
        self.journal = journal
        self.index = index
        self.lock = lock
        self._clock = clock

    def reading(self) -> ReadModel:
        """Return the read model, caught up with the journal."""
        if not self._holds(self.index.is_current):
            with self.lock:
                self.index.catch_up()
        return ReadModel(self.index.connection, self.journal.event_at, self._at_rest)

    def _at_rest(self, look: Callable[[], list[Event]]) -> list[Event]:
        """Look while nobody is rewriting a segment."""
        with self.lock:
            if self.index.path == MEMORY:
                # An index of our own does not hear of it.
                self.index.empty()
            self.index.catch_up()
            return look()

    def queue(self, settings: QueueSettings) -> ReadModel:
        """Return the read model, caught up, with all that the order of the queue needs."""
        from atms_cli.domain.moment import to_iso
        from atms_cli.store.sortkeys import is_prepared

        read, now = self.reading(), to_iso(self._clock.now_ms())
        if not is_prepared(self.index.connection, settings, now):
            from atms_cli.store.preparing import prepare

            with self.lock:
                self.index.catch_up()
                self.index.change(lambda connection: prepare(connection, self.journal.event_at, settings, now))
        return read

    @staticmethod
    def _holds(question: Callable[[], bool]) -> bool:
        try:
            return question()
        except DatabaseError:
            return False

    def has_news(self) -> bool:
        """Return whether others have written, be it read by now or not, since `take_news`."""
        return self.index.has_news or not self._holds(self.index.is_as_left)

    def take_news(self) -> bool:
        """Return whether what was read since the last time was written by others."""
        has_news, self.index.has_news = self.index.has_news, False
        return has_news

    def writing(self, actor: str) -> Transaction:
        """Begin a transaction on behalf of an actor."""
        # Readers do without the modules that encode and fold events.
        from atms_cli.store.transaction import Transaction

        return Transaction(self.journal, self.index, self.lock, self._clock.now_ms, actor)

    def rebuild(self) -> int:
        """Build the index anew from the journal; return the number of events."""
        with self.lock:
            self.index.empty()
            self.index.catch_up()
        if self.index.path == MEMORY and isinstance(self.journal, Journal):
            # It stands in for a file that nobody can write; it goes with this process.
            raise AtmsError(
                f"the index beside {self.journal.root} cannot be written: read-only or full",
                "check permissions and free space",
            )
        return int(self.index.connection.execute("SELECT count(*) FROM events").fetchone()[0])

    def doctor(self) -> list[JsonObject]:
        """Return what is wrong with journal and index."""
        from atms_cli.store.checkup import examine

        return examine(self.journal, self.index, self.lock)
