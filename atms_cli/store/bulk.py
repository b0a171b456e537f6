"""Building the read model from nothing: the whole journal in order, folded in memory, written in bulk, indexed last."""

from __future__ import annotations

import gc
from heapq import merge

from atms_cli.domain import queue
from atms_cli.domain import task as tasks
from atms_cli.domain.terse import through
from atms_cli.store import sql
from atms_cli.store.jsontext import decode, encode
from atms_cli.store.projector import OF_ATTEMPTS, Projector, task_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from sqlite3 import Connection

    from atms_cli.domain.records import Event, JsonObject, Task
    from atms_cli.store.segments import Segments

    Located = tuple[Event, str, int, int]

#: So many tasks are held in memory; a journal with more is written in several goes.
_MOST_TASKS = 20_000
_MOST_ROWS = 50_000
_UNKNOWN: tuple[Task | None, str, str] = (None, "", "")
#: Events that change a task and nothing else; an agent may have the name of a task.
_PLAIN = frozenset(tasks.EVENTS) - OF_ATTEMPTS - {"task.folded"}


def build(connection: Connection, journal: Segments, statements: list[str]) -> None:
    """Fill empty tables from the journal, inside the caller's transaction; `statements` are the schema's."""
    dropped = "SELECT type, name FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    for kind, name in connection.execute(dropped).fetchall():
        connection.execute(f"DROP {kind} {name}")
    _fold(connection, journal)
    for statement in statements:
        if statement.lstrip().startswith("CREATE INDEX"):
            connection.execute(statement)
    _relate(connection)
    connection.execute(sql.COUNT_ALL)
    for statement in statements:
        if statement.lstrip().startswith("CREATE TRIGGER"):
            connection.execute(statement)


def without_indexes(connection: Connection, project: Callable[[], None]) -> None:
    """Put many tasks into the table at once, and sort them into its indexes together when all are there."""
    found = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'tasks' AND sql IS NOT NULL"
    indexes = connection.execute(found).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    project()
    for _, statement in indexes:
        connection.execute(statement)


def _relate(connection: Connection) -> None:
    """Work out what tasks mean to each other: who waits, who inherits whose urgency, who came before whom."""
    run = connection.execute
    # A task that goes first, if it can, may itself be waiting for one that does: as often as such pairs stand in a row.
    for _ in range(run(sql.SOFT_PAIRS).fetchone()[0] + 1):
        run(sql.RECOUNT_ALL)
        run(sql.REBUCKET_ALL)
        if not run(sql.REJUDGE_ALL).rowcount:
            break
    run(sql.FORWARD_ALL)
    own: dict[str, int] = dict(run(sql.LEVELS_ALL).fetchall())
    needs: dict[str, list[str]] = {}
    for task, need in run(sql.PAIRS_ALL).fetchall():
        needs.setdefault(task, []).append(need)
    inherited = queue.inherit(own, needs)
    connection.executemany(sql.SET_LEVEL, [(level, task) for task, level in inherited.items() if level != own[task]])


def _fold(connection: Connection, journal: Segments) -> None:
    projector = _BulkProjector(connection, journal.event_at)
    # Half of the time would go into looking for cycles among records that have none.
    gc.disable()
    try:
        # Clones are read side by side, so that no event arrives late.
        for located in merge(*(_events(connection, journal, replica) for replica in journal.replicas()), key=_id):
            projector.apply(*located)
        projector.finish()
    finally:
        gc.enable()


def _id(located: Located) -> str:
    return located[0]["id"]


def _events(connection: Connection, journal: Segments, replica: str) -> Iterator[Located]:
    for segment in journal.segments(replica):
        end = 0
        for event, offset, behind in journal.read(replica, segment, 0):
            yield event, replica, segment, offset
            end = behind
        connection.execute(sql.PUT_POSITION, (replica, *journal.position(replica, segment, end)))


def _pairs(task: Task) -> Iterator[tuple[str, str, str]]:
    return ((task["id"], need, tasks.dependency_kind(task, need)) for need in task["dependencies"])


class _BulkProjector(Projector):
    """Folds events that come in order into tables that hold nothing else."""

    def __init__(self, connection: Connection, load: object) -> None:
        super().__init__(connection, load)  # type: ignore[arg-type]
        self._many = connection.executemany
        self._rows: list[tuple[str, str, str, str, int, int]] = []
        self._attempts: dict[str, tuple[tuple[str, str, str, str], JsonObject]] = {}
        self._finished: dict[str, list[tuple[object, ...]]] = {}
        self._folds: list[tuple[str, str, str]] = []
        self._spilled: set[str] = set()

    def apply(self, event: Event, replica: str, segment: int, offset: int) -> None:
        """Fold one event; what only changes fields of a task that is held, as most do, takes a short way."""
        key, number, kind = event["key"], event["id"], event["type"]
        self._rows.append((key, number, kind, replica, segment, offset))
        task, born, last = self._tasks.get(key, _UNKNOWN)
        if task is not None and last < number and kind in _PLAIN:
            after = tasks.evolve(task, event)
            self._tasks[key] = (after, born, number)
            self._changed[key] = after  # type: ignore[assignment]  # nothing makes a task go away
        else:
            self._take(event)
        if len(self._rows) >= _MOST_ROWS:
            self._write_rows()
        if len(self._tasks) >= _MOST_TASKS:
            self.flush()

    def _task(self, key: str) -> tuple[Task | None, str, str]:
        held = self._tasks.get(key)
        if held is None:
            held = self._tasks[key] = super()._task(key) if key in self._spilled else _UNKNOWN
        return held

    def _is_newest(self, event: Event) -> bool:
        del event
        return True

    def _put_attempt(self, event: Event, attempt: JsonObject, lane: str) -> None:
        self._keep_attempt(event["key"])
        self._attempts[event["key"]] = ((event["id"], lane, str(attempt["agent"]), event["at"]), attempt)

    def _latest_attempt(self, key: str) -> JsonObject:
        if key in self._attempts:
            return self._attempts[key][1]
        if key not in self._spilled:
            return {}
        self._find_attempts_by_task()
        return super()._latest_attempt(key)

    def _find_attempt(self, key: str, run: str) -> JsonObject:
        if key in self._attempts and self._attempts[key][1]["run"] == run:
            return self._attempts[key][1]
        earlier = next((row for row in self._finished.get(key, ()) if row[0] == run), None)
        if earlier is not None:
            found: JsonObject = decode(str(earlier[-1]))
            return found
        return super()._find_attempt(key, run) if key in self._spilled else {}

    def _replace_attempt(self, attempt: JsonObject) -> None:
        key, run = str(attempt["task"]), attempt["run"]
        earlier = self._finished.get(key, [])
        place = next((place for place, row in enumerate(earlier) if row[0] == run), None)
        if place is not None:
            earlier[place] = (*earlier[place][:-1], encode(attempt))
        elif key in self._attempts and self._attempts[key][1]["run"] == run:
            self._attempts[key] = (self._attempts[key][0], attempt)
        else:
            super()._replace_attempt(attempt)

    def _keep_attempt(self, key: str) -> None:
        """Set an attempt aside that another one has followed."""
        if key in self._attempts:
            about, attempt = self._attempts.pop(key)
            self._finished.setdefault(key, []).append((attempt["run"], key, *about, encode(attempt)))

    def _drop_attempts(self, key: str) -> None:
        self._attempts.pop(key, None)
        self._finished.pop(key, None)
        if key in self._spilled:
            self._find_attempts_by_task()
            super()._drop_attempts(key)

    def _find_attempts_by_task(self) -> None:
        self._run("CREATE INDEX IF NOT EXISTS attempts_by_task ON attempts (task, started)")

    def _is_in_place(self, event: Event) -> bool:
        """Take a fold as it comes, and look at the end whether something had come in between."""
        self._folds.append((event["key"], through(event), event["id"]))
        return True

    def _write_rows(self) -> None:
        # In the order of the table's key, so that it grows at its end.
        self._rows.sort()
        self._many(sql.PUT_EVENT, self._rows)
        self._rows.clear()

    def flush(self) -> None:
        """Write every touched task as if it waited for nothing; `build` counts what it waits for at the end."""
        changed = self._changed.values()
        again = [task for key, task in self._changed.items() if key in self._spilled]
        self._put_tasks(sql.PUT_TASK, [task for key, task in self._changed.items() if key not in self._spilled])
        self._put_tasks(sql.REPLACE_TASK, again)
        self._many(sql.PUT_DEPENDENCY, [row for task in changed for row in _pairs(task)])
        self._many(
            sql.PUT_TAG,
            [
                (task["id"], tag, task["status"] in tasks.CLOSED, self._tasks[task["id"]][1])
                for task in changed
                for tag in task["tags"]
            ],
        )
        for task in again:
            # What an earlier go wrote may have been taken away since.
            self._put_lists(task, known=True)
        for key in list(self._attempts):
            self._keep_attempt(key)
        self._many(sql.PUT_ATTEMPT, [row for rows in self._finished.values() for row in rows])
        self._finished.clear()
        self._spilled.update(self._changed)
        self._changed.clear()
        self._tasks.clear()

    def _put_tasks(self, statement: str, written: list[Task]) -> None:
        self._many(statement, [task_row(task, *self._tasks[task["id"]][1:], 0, None) for task in written])

    def finish(self) -> None:
        """Write what is left, and fold anew what counts in another order than that of the ids."""
        self._write_rows()
        self.flush()
        for key in {fold[0] for fold in self._folds if self._run(sql.IN_BETWEEN, fold).fetchone()}:
            self._refold(key)
        self.flush()
        self._run("DROP INDEX IF EXISTS attempts_by_task")
