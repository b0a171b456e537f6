"""Folding events into the read model: each touched aggregate is loaded once, folded, and written once."""

from __future__ import annotations

from atms_cli.domain import task as tasks
from atms_cli.store import sql
from atms_cli.store.document import pack, unpack
from atms_cli.store.jsontext import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from sqlite3 import Connection

    from atms_cli.domain.records import Agent, Event, FeatureState, JsonObject, Task

    Load = Callable[[str, int, int], Event]

#: Where TASK_ROW has the column `met`.
_MET = sql.TASK_COLUMNS.index("met")

#: Ends of an attempt by the event that brings it, for the list of attempts.
_ATTEMPT_ENDS = {
    "task.completed": "succeeded",
    "task.failed": "failed",
    "task.retried": "failed",
    "task.cancelled": "cancelled",
    "task.released": "released",
    "task.lease_expired": "released",
}


class Projector:
    """Applies events to the tables, in one SQLite transaction that its owner opens and commits."""

    def __init__(self, connection: Connection, load: Load) -> None:
        self._run = connection.execute
        self._load = load
        self._tasks: dict[str, tuple[Task | None, str, str]] = {}
        self._changed: dict[str, Task] = {}

    def apply(self, event: Event, replica: str, segment: int, offset: int) -> None:
        """Fold one event; call `flush` after the last."""
        self._put_event((event["key"], event["id"], event["type"], replica, segment, offset))
        kind = event["type"].partition(".")[0]
        if kind == "task":
            self._apply_to_task(event)
        elif kind == "agent":
            self._apply_to_agent(event)
        elif kind == "feature":
            self._apply_to_feature(event)
        elif kind == "queue":
            self._apply_to_queue(event)

    def _put_event(self, row: tuple[str, str, str, str, int, int]) -> None:
        self._run(sql.PUT_EVENT, row)

    def _task(self, key: str) -> tuple[Task | None, str, str]:
        if key not in self._tasks:
            row = self._run(sql.TASK, (key,)).fetchone()
            self._tasks[key] = (None, "", "") if row is None else (unpack(row[0]), row[1], row[2])
        return self._tasks[key]

    def _is_newest(self, event: Event) -> bool:
        """Return whether nothing later is known of an aggregate; replicas are read one after another, not by time."""
        return self._run(sql.LATER_EVENT, (event["key"], event["id"])).fetchone() is None

    def _history(self, key: str) -> list[Event]:
        return [self._load(*row) for row in self._run(sql.EVENTS_OF, (key,)).fetchall()]

    def _apply_to_task(self, event: Event) -> None:
        task, _, last = self._task(event["key"])
        is_next = event["id"] > last and (task is not None or self._is_newest(event))
        if is_next and (event["type"] != "task.folded" or self._is_in_place(event)):
            self._fold(event)
        else:
            self._refold(event["key"])

    def _is_in_place(self, event: Event) -> bool:
        """Return whether nothing is known that lies between a fold and the last event it stands for."""
        from atms_cli.domain.terse import through

        return self._run(sql.IN_BETWEEN, (event["key"], through(event), event["id"])).fetchone() is None

    def _fold(self, event: Event) -> None:
        """Fold an event that is later than all that is known of its task."""
        key = event["key"]
        if event["type"] == "task.folded":
            self._unfold(event)
            return
        before, born, _ = self._task(key)
        after = tasks.evolve(before, event)
        if after is None:
            return
        self._tasks[key] = (after, born or event["id"], event["id"])
        self._changed[key] = after
        if after is not before:
            self._note_attempt(before, event)

    def _unfold(self, event: Event) -> None:
        """Take a task as `task.folded` has it, with the attempts that the folded events tell of."""
        from atms_cli.domain.terse import born

        self._drop_attempts(event["key"])
        for before, each, after in tasks.unfold(event):
            if after is not None and each is not event:
                if after is not before:
                    self._note_attempt(before, each)
            elif after is not None:
                self._tasks[event["key"]] = (after, born(event), event["id"])
                self._changed[event["key"]] = after

    def _drop_attempts(self, key: str) -> None:
        self._run(sql.DROP_ATTEMPTS, (key,))

    def _refold(self, key: str) -> None:
        """Fold all events of a task anew, because one arrived that is older than what is known."""
        from atms_cli.domain.folding import in_order

        self._drop_attempts(key)
        self._tasks[key] = (None, "", "")
        for event in in_order(self._history(key)):
            self._fold(event)

    def _note_attempt(self, before: Task | None, event: Event) -> None:
        data = event["data"]
        if event["type"] == "task.started":
            run = str(data.get("run") or event["id"])
            attempt: JsonObject = {
                "run": run, "task": event["key"], "number": data["attempts"], "agent": data["assigned_agent"],
                "status": "running", "exit_code": None, "reason": None, "started_at": event["at"], "ended_at": None,
            }  # fmt: skip
            self._put_attempt(event, attempt)
        elif event["type"] in _ATTEMPT_ENDS and before is not None and before["attempts"]:
            self._end_attempt(event)

    def _end_attempt(self, event: Event) -> None:
        attempt = self._latest_attempt(event["key"])
        if attempt.get("status") != "running":
            return
        result = event["data"].get("result")
        code = result.get("exit_code") if isinstance(result, dict) else None
        attempt |= {
            "status": _ATTEMPT_ENDS[event["type"]], "exit_code": code, "reason": event["data"].get("reason"), "ended_at": event["at"],
        }  # fmt: skip
        self._replace_attempt(attempt)

    def _put_attempt(self, event: Event, attempt: JsonObject) -> None:
        self._run(sql.PUT_ATTEMPT, (attempt["run"], event["key"], event["id"], encode(attempt)))

    def _latest_attempt(self, key: str) -> JsonObject:
        row = self._run(sql.LATEST_ATTEMPT, (key,)).fetchone()
        return {} if row is None else decode(row[0])

    def _replace_attempt(self, attempt: JsonObject) -> None:
        self._run(sql.END_ATTEMPT, (encode(attempt), attempt["run"]))

    def _apply_to_agent(self, event: Event) -> None:
        from atms_cli.domain import agent as agents

        is_newest, row = self._is_newest(event), self._run(sql.AGENT, (event["key"],)).fetchone()
        agent: Agent | None = decode(row[0]) if is_newest and row is not None else None
        for each in [event] if is_newest else self._history(event["key"]):
            agent = agents.evolve(agent, each)
        if agent is None:
            self._run(sql.DROP_AGENT, (event["key"],))
        else:
            self._run(sql.PUT_AGENT, (event["key"], encode(agent)))

    def _apply_to_feature(self, event: Event) -> None:
        from atms_cli.domain import feature as features

        is_newest, row = self._is_newest(event), self._run(sql.FEATURE, (event["key"],)).fetchone()
        state: FeatureState | None = decode(row[0]) if is_newest and row is not None else None
        for each in [event] if is_newest else self._history(event["key"]):
            state = features.evolve(state, each)
        if state is not None:
            self._run(sql.PUT_FEATURE, (event["key"], encode(state)))

    def _apply_to_queue(self, event: Event) -> None:
        if event["type"] in ("queue.paused", "queue.resumed") and self._is_newest(event):
            self._run(sql.PUT_META, ("paused", encode(event["data"]) if event["type"] == "queue.paused" else None))

    def flush(self) -> None:
        """Write every touched task, then let go those whose last open dependency is met."""
        moved: list[str] = []
        for key, task in self._changed.items():
            before = self._run(sql.TASK_ROW, (key,)).fetchone()
            self._put(task, before)
            if (before is not None and bool(before[_MET])) != tasks.is_met(task):
                moved.append(key)
        for key in moved:
            self._run(sql.RECOUNT, (key,))
            self._run(sql.REBUCKET, (key,))
        self._changed.clear()
        self._tasks.clear()

    def _put(self, task: Task, before: tuple[object, ...] | None) -> None:
        key = task["id"]
        if before is not None or task["dependencies"] or task["tags"]:
            self._put_lists(task, known=before is not None)
        blockers = self._run(sql.COUNT_BLOCKERS, (key,)).fetchone()[0] if task["dependencies"] else 0
        row = task_row(task, *self._tasks[key][1:], blockers)
        if before is None:
            self._run(sql.PUT_TASK, row)
        else:
            self._change(key, before, row)

    def _change(self, key: str, before: tuple[object, ...], after: tuple[object, ...]) -> None:
        """Set only the columns that differ: each one that is named has its indexes written anew."""
        differing = [place for place, value in enumerate(after) if value != before[place]]
        if differing:
            names = ", ".join(f"{sql.TASK_COLUMNS[place]} = ?" for place in differing)
            # The names are ours, from the list above the schema's statements.
            self._run(f"UPDATE tasks SET {names} WHERE id = ?", (*(after[place] for place in differing), key))  # noqa: S608

    def _put_lists(self, task: Task, *, known: bool) -> None:
        key = task["id"]
        for present, wanted, drop, put in (
            (sql.NEEDS, task["dependencies"], sql.DROP_DEPENDENCY, sql.PUT_DEPENDENCY),
            (sql.TAGS, task["tags"], sql.DROP_TAG, sql.PUT_TAG),
        ):
            there = {row[0] for row in self._run(present, (key,))} if known else set()
            for name in there.difference(wanted):
                self._run(drop, (key, name))
            for name in wanted:
                if name not in there:
                    self._run(put, (key, name))


def task_row(task: Task, born: str, last: str, blockers: int) -> tuple[object, ...]:
    """Return the values of `sql.PUT_TASK`."""
    lease = task["lease"]
    return (
        task["id"], pack(task), task["title"], task["status"], bucket(task, blockers), tasks.level(task["priority"]), task["category"],
        task["feature_id"], task["assigned_agent"], task["parent_id"], born, last, task["queued_at"], task["updated_at"],
        task["not_before"], task["deadline"], None if lease is None else lease["expires_at"], task["status"] in tasks.CLOSED,
        tasks.is_met(task), blockers,
    )  # fmt: skip


def bucket(task: Task, blockers: int) -> str:
    """Return where a task is counted and found: its status, with `queued` split by what it waits for."""
    if task["status"] != "queued":
        return task["status"]
    if blockers:
        return "waiting"
    return "delayed" if task["not_before"] else "ready"
