"""Writing: decide under the lock, append to the journal, follow in the read model, sync, and only then be done."""

from __future__ import annotations

from atms_cli.domain.moment import to_iso
from atms_cli.errors import AtmsError
from atms_cli.store import codec, hlc, sql
from atms_cli.store.index import DatabaseError
from atms_cli.store.projector import Projector
from atms_cli.store.readmodel import ReadModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from sqlite3 import Connection, Cursor
    from types import TracebackType
    from typing import Any

    from atms_cli.domain.config import QueueSettings
    from atms_cli.domain.records import Event, Fact, JsonObject, Task
    from atms_cli.store.index import Index
    from atms_cli.store.projector import Load
    from atms_cli.store.segments import Exclusive, Segments


#: So many events may be in the journal that the index has not read, while writers stand in line.
_MOST_PENDING = 64
#: From so many events in one go, if there are not more tasks than that, it pays to make the indexes anew.
_MANY = 2000


class _Inside(ReadModel):
    """Reads inside a transaction: what is folded and not yet written is, before anything but a single task is asked for."""

    def __init__(self, connection: Connection, load: Load, projector: Projector) -> None:
        super().__init__(connection, load)
        self._projector = projector
        execute = connection.execute

        def run(text: str, values: tuple[Any, ...] = ()) -> Cursor:
            projector.flush()
            return execute(text, values)

        self._run = run

    def task(self, task_id: str) -> Task:
        """Return a task by its id or the only id that begins so."""
        held = self._projector.task(task_id)
        return super().task(task_id) if held is None else {**held}


class Transaction:
    """The lock, the caught-up read model, and the batch of events to be appended when it ends well.

    Where others stand in line for the lock, the read model is only brought up to date if it is asked for: whoever reads it
    next reads the events of all of them in one go, which costs a fraction.
    """

    def __init__(self, journal: Segments, index: Index, lock: Exclusive, now_ms: Callable[[], int], actor: str) -> None:
        self._journal = journal
        self._index = index
        self._now_ms = now_ms
        self._actor = actor
        self._lock = lock
        self._lines: list[tuple[Event, bytes]] = []

    def __enter__(self) -> Transaction:
        self._lock.__enter__()
        try:
            self._begin()
        except BaseException as error:
            self._give_up()
            if isinstance(error, DatabaseError):
                raise self._refusal(error) from error
            raise
        return self

    def _begin(self) -> None:
        self._replica = self._journal.own_replica()
        self._stamp_ms = self._now_ms()
        self.now = to_iso(self._stamp_ms)
        self._reader: ReadModel | None = None
        self._pending = 0
        if not (self._lock.was_awaited and self._is_noted()):
            self._open_index()

    def _is_noted(self) -> bool:
        """Take the journal's end from the last holder's note, if it is still right; others wait, so each step counts."""
        try:
            replica, segment, offset, seal, last, pending = self._lock.noted().split()
            self._segment, self._offset, self._last, self._pending = int(segment), int(offset), last, int(pending)
        except ValueError:
            return False
        end = (self._replica, self._segment, self._offset)
        is_end = self._journal.size(replica, self._segment) == self._offset < self._journal.segment_bytes
        is_right = replica == self._replica and is_end and self._journal.seal_at(*end) == seal
        return is_right and self._pending < _MOST_PENDING

    def _note(self, seal: str, written: int) -> None:
        """Tell the next holder where the journal ends, and how many events the index has not read."""
        offset = self._offset + written
        self._lock.note(f"{self._replica} {self._segment} {offset} {seal} {self._last} {self._pending}")

    @property
    def read(self) -> ReadModel:
        """Return the read model, caught up, with what was recorded here."""
        return self._reader or self._open_index()

    def _open_index(self) -> ReadModel:
        segment, offset, _ = self._index.catch_up().get(self._replica, (1, 0, ""))
        connection = self._index.connection
        self._segment, self._offset = self._tail(segment, offset)
        self._pending = 0
        if not self._lines:
            self._last = (connection.execute(sql.LAST_EVENT_ID).fetchone() or ("",))[0]
        connection.execute("BEGIN IMMEDIATE")
        due = connection.execute(sql.NEXT_DUE).fetchone()[0]
        if due is not None and due <= self.now:
            Projector(connection, self._event_at).promote(self.now)
        self._projector = Projector(connection, self._event_at)
        self._reader = _Inside(connection, self._event_at, self._projector)
        self._project(self._lines, self._offset)
        return self._reader

    def _project(self, lines: Sequence[tuple[Event, bytes]], offset: int) -> None:
        """Fold recorded events; what comes of it is written when it is asked for, and at the end."""
        for event, line in lines:
            self._projector.apply(event, self._replica, self._segment, offset)
            offset += len(line)

    def draining(self) -> dict[str, JsonObject]:
        """Return which queues and lanes take in nothing new; asked of the index as it is.

        What it has not read yet was recorded by somebody who did not look at it either, so no such switch is among it.
        """
        if self._reader is None:
            try:
                return ReadModel(self._index.connection, self._event_at).switches("draining")
            except DatabaseError:
                # There is no index yet, or one of another version.
                return self.read.switches("draining")
        return self.read.switches("draining")

    def _tail(self, segment: int, offset: int) -> tuple[int, int]:
        """Return where to append: behind the last whole batch, in a new segment if the old one is full."""
        if self._journal.size(self._replica, segment) > offset:
            self._journal.cut_torn_tail(self._replica, segment, offset)
        return (segment, offset) if offset < self._journal.segment_bytes else (segment + 1, 0)

    def _event_at(self, replica: str, segment: int, offset: int) -> Event:
        """Load an event, also one that still waits to be appended."""
        position = self._offset
        if (replica, segment) == (self._replica, self._segment) and offset >= position:
            for event, line in self._lines:
                if position == offset:
                    return event
                position += len(line)
        return self._journal.event_at(replica, segment, offset)

    def record(self, facts: Sequence[Fact]) -> list[Event]:
        """Add facts to the batch and fold them into the read model, unless that is left to whoever reads it next."""
        lines: list[tuple[Event, bytes]] = []
        offset = self._offset + sum(len(line) for _, line in self._lines)
        for kind, key, data in facts:
            self._last = hlc.following(self._last, self._stamp_ms, self._replica)
            event: Event = {
                "v": codec.VERSION, "id": self._last, "at": self.now, "type": kind, "key": key, "actor": self._actor, "data": data,
            }  # fmt: skip
            lines.append((event, codec.encode(event, more=True)))
        self._lines += lines
        if self._reader is not None:
            self._take(lines, offset)
        return [event for event, _ in lines]

    def _take(self, lines: Sequence[tuple[Event, bytes]], offset: int) -> None:
        connection = self._index.connection
        if len(lines) < _MANY or len(lines) < sum(row[1] for row in connection.execute(sql.COUNTS)):
            self._project(lines, offset)
            return
        from atms_cli.store.bulk import without_indexes

        self._projector.flush()
        without_indexes(connection, lambda: self._project_whole(lines, offset))

    def _project_whole(self, lines: Sequence[tuple[Event, bytes]], offset: int) -> None:
        self._project(lines, offset)
        self._projector.flush()

    def queue(self, settings: QueueSettings) -> ReadModel:
        """Return the read model with all that the order of the queue needs."""
        from atms_cli.store.sortkeys import is_prepared

        read, connection = self.read, self._index.connection
        self._projector.flush()
        if not is_prepared(connection, settings, self.now):
            from atms_cli.store.preparing import prepare

            prepare(connection, self._event_at, settings, self.now)
        return read

    def gave(self, lane: str) -> None:
        """Note that a lane had its turn."""
        _ = self.read
        self._index.connection.execute(sql.PUT_TURN, (lane, self.now))

    def beat(self, agent: str) -> None:
        """Note that an agent is alive."""
        _ = self.read
        self._index.connection.execute(sql.BEAT, (agent, self.now))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        index = self._index
        if kind is not None:
            self._give_up()
            if isinstance(error, DatabaseError):
                raise self._refusal(error) from error
            return
        try:
            appended = self._append()
        except BaseException as failure:
            self._give_up()
            if isinstance(failure, DatabaseError):
                raise self._refusal(failure) from failure
            raise
        try:
            if self._reader is not None:
                index.connection.execute("COMMIT")
                index.checkpoint()
        except DatabaseError:
            # What a commit loses, the next one to open the index reads again from the journal.
            index.roll_back()
        finally:
            self._lock.release()
            if appended is not None:
                appended()

    def _refusal(self, error: Exception) -> AtmsError:
        return AtmsError(
            f"cannot write {self._index.path}: {error}",
            "nothing was changed; check permissions and free space, or build it anew: atms rebuild",
        )

    def _give_up(self) -> None:
        try:
            self._index.roll_back()
        finally:
            self._lock.release()

    def _append(self) -> Callable[[], None] | None:
        """Write the batch to the journal; return what makes it durable."""
        if self._reader is not None:
            self._projector.flush()
        if not self._lines:
            return None
        last_event, _ = self._lines[-1]
        last_line = codec.encode(last_event, more=False)
        lines = b"".join([line for _, line in self._lines[:-1]] + [last_line])
        seal = codec.seal(last_line)
        if self._reader is None:
            self._pending += len(self._lines)
        else:
            # Before the journal, so that nothing which may fail lies between it and the commit.
            self._index.put_position(self._replica, (self._segment, self._offset + len(lines), seal))
        appended = self._journal.append(self._replica, self._segment, self._offset, lines)
        self._note(seal, len(lines))
        return appended
