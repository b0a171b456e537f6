"""Folding events into the read model: each touched aggregate is loaded once, folded, and written once."""

from __future__ import annotations

from atms_cli.domain import lanes
from atms_cli.domain import task as tasks
from atms_cli.domain.matching import demand
from atms_cli.domain.moment import plus
from atms_cli.store import sql
from atms_cli.store.document import pack, unpack
from atms_cli.store.jsontext import decode, encode
from atms_cli.store.sortkeys import SortKeys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from sqlite3 import Connection

    from atms_cli.domain.records import Agent, Event, FeatureState, Json, JsonObject, Task

    Load = Callable[[str, int, int], Event]

#: Where TASK_ROW has what others depend on.
_OUTCOME, _OWN, _CLOSED, _LEVEL, _BORN = (
    sql.TASK_COLUMNS.index(name) for name in ("outcome", "own", "closed", "level", "born")
)

#: Ends of an attempt by the event that brings it, for the list of attempts.
_ATTEMPT_ENDS = {
    "task.completed": "succeeded",
    "task.failed": "failed",
    "task.retried": "failed",
    "task.cancelled": "cancelled",
    "task.released": "released",
    "task.lease_expired": "released",
}
#: What begins or ends an attempt, or tells what one has cost.
OF_ATTEMPTS = frozenset(("task.started", "task.spent", *_ATTEMPT_ENDS))

#: Once written, so many tasks are kept at hand, since who changes one asks for it again.
_MOST_HELD = 1000
#: Tasks that will end by themselves.
_GOING = ("ready", "assigned", "in_progress", "validating")
#: What events of queues and lanes switch on and off.
_SWITCHES: dict[str, tuple[tuple[str, bool], ...]] = {
    "queue.paused": (("paused", True),),
    "queue.resumed": (("paused", False), ("draining", False)),
    "queue.draining": (("draining", True),),
    "queue.throttled": (("throttled", True),),
    "queue.flowing": (("throttled", False),),
    "queue.alerted": (("alerted", True),),
    "queue.calmed": (("alerted", False),),
    "agent.halted": (("halted", True),),
    "agent.resumed": (("halted", False),),
    "agent.disabled": (("disabled", True),),
    "agent.enabled": (("disabled", False),),
    "agent.offline": (("offline", True),),
    "agent.recovered": (("offline", False),),
    "agent.removed": (("halted", False), ("disabled", False), ("offline", False)),
}


class Projector:
    """Applies events to the tables, in one SQLite transaction that its owner opens and commits."""

    def __init__(self, connection: Connection, load: Load) -> None:
        self._run = connection.execute
        self._load = load
        self._tasks: dict[str, tuple[Task | None, str, str]] = {}
        self._changed: dict[str, Task] = {}
        #: Tasks as they stand in the tables.
        self._stored: dict[str, Task] = {}
        self._keys: SortKeys | None = None

    @property
    def keys(self) -> SortKeys:
        """Return what strategies sort by beyond what every task has."""
        if self._keys is None:
            self._keys = SortKeys(self._run)
        return self._keys

    def apply(self, event: Event, replica: str, segment: int, offset: int) -> None:
        """Fold one event; call `flush` after the last."""
        self._run(sql.PUT_EVENT, (event["key"], event["id"], event["type"], replica, segment, offset))
        self._take(event)

    def _take(self, event: Event) -> None:
        kind = event["type"].partition(".")[0]
        if kind == "task":
            self._apply_to_task(event)
        elif kind == "agent":
            self._apply_to_agent(event)
        elif kind == "feature":
            self._apply_to_feature(event)
        elif kind == "queue":
            self._apply_to_queue(event)
        elif kind == "gate":
            self._note_results(event)

    def _task(self, key: str) -> tuple[Task | None, str, str]:
        if key not in self._tasks:
            row = self._run(sql.TASK, (key,)).fetchone()
            if row is None:
                self._tasks[key] = (None, "", "")
            else:
                self._stored[key] = task = unpack(row[0])
                self._tasks[key] = (task, row[1], row[2])
        return self._tasks[key]

    def _is_newest(self, event: Event) -> bool:
        """Return whether nothing later is known of an aggregate; replicas are read one after another, not by time."""
        return self._run(sql.LATER_EVENT, (event["key"], event["id"])).fetchone() is None

    def _history(self, key: str) -> list[Event]:
        return [self._load(*row) for row in self._run(sql.EVENTS_OF, (key,)).fetchall()]

    def _apply_to_task(self, event: Event) -> None:
        kind, (task, _, last) = event["type"], self._task(event["key"])
        is_next = event["id"] > last and (task is not None or self._is_newest(event))
        if is_next and (kind != "task.folded" or self._is_in_place(event)):
            self._fold(event)
            if kind == "task.started" and task is not None:
                self.keys.count_start(task, event["at"])
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
        if after is not before and event["type"] in OF_ATTEMPTS:
            self._note_attempt(before, event)

    def _unfold(self, event: Event) -> None:
        """Take a task as `task.folded` has it, with the attempts that the folded events tell of."""
        from atms_cli.domain.terse import born

        self._drop_attempts(event["key"])
        for before, each, after in tasks.unfold(event):
            if after is not None and each is not event:
                if after is not before and each["type"] in OF_ATTEMPTS:
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
            self._put_attempt(event, attempt, lanes.DEFAULT if before is None else lanes.name_of(before))
        elif event["type"] == "task.spent":
            attempt = self._find_attempt(event["key"], str(data.get("run")))
            if attempt:
                self._replace_attempt({**attempt, "usage": data.get("usage")})
        elif before is not None and before["attempts"]:
            self._end_attempt(event)

    def _end_attempt(self, event: Event) -> None:
        attempt = self._latest_attempt(event["key"])
        if attempt.get("status") != "running":
            return
        result = event["data"].get("result")
        code = result.get("exit_code") if isinstance(result, dict) else None
        usage = result.get("usage") if isinstance(result, dict) else None
        # Who puts an attempt back uncounted has stopped it; it has not failed.
        is_uncounted = event["type"] == "task.retried" and "attempts" in event["data"]
        attempt |= {
            "status": "released" if is_uncounted else _ATTEMPT_ENDS[event["type"]],
            "exit_code": code, "reason": event["data"].get("reason"), "ended_at": event["at"],
            **({"usage": usage} if usage else {}),
            **_resources(result),
            **({"gates": judged} if (judged := _judged(result)) else {}),
        }  # fmt: skip
        self._replace_attempt(attempt)

    def _put_attempt(self, event: Event, attempt: JsonObject, lane: str) -> None:
        self._run(
            sql.PUT_ATTEMPT,
            (attempt["run"], event["key"], event["id"], lane, attempt["agent"], event["at"], encode(attempt)),
        )

    def _latest_attempt(self, key: str) -> JsonObject:
        row = self._run(sql.LATEST_ATTEMPT, (key,)).fetchone()
        return {} if row is None else decode(row[0])

    def _find_attempt(self, key: str, run: str) -> JsonObject:
        row = self._run(sql.ATTEMPT, (run, key)).fetchone()
        return {} if row is None else decode(row[0])

    def _replace_attempt(self, attempt: JsonObject) -> None:
        self._run(sql.END_ATTEMPT, (encode(attempt), attempt["run"]))

    def _apply_to_agent(self, event: Event) -> None:
        from atms_cli.domain import agent as agents

        if event["type"] in _SWITCHES:
            self._switch(event, event["key"])
        if event["type"] not in ("agent.registered", "agent.removed"):
            return
        is_newest, row = self._is_newest(event), self._run(sql.AGENT, (event["key"],)).fetchone()
        agent: Agent | None = decode(row[0]) if is_newest and row is not None else None
        for each in [event] if is_newest else self._history(event["key"]):
            agent = agents.evolve(agent, each)
        if agent is None:
            self._run(sql.DROP_AGENT, (event["key"],))
            self._run(sql.DROP_BEAT, (event["key"],))
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

    def _note_results(self, event: Event) -> None:
        from atms_cli.domain.gatehistory import rows

        for gate, status, result in rows(event):
            row = (event["id"], gate, status, event["key"], result.get("task"), encode(result))
            self._run(sql.PUT_GATE_RESULT, row)

    def _apply_to_queue(self, event: Event) -> None:
        """Keep what is switched on at a queue or lane."""
        if event["type"] not in _SWITCHES:
            return
        key = event["key"]
        # Whoever says less than a lane, a limit or an alert means the whole queue.
        self._switch(event, key if key.partition("/")[0] in ("lane", "limit", "alert") else lanes.WHOLE)

    def _switch(self, event: Event, what: str) -> None:
        """Keep what an event switches on or off, as the newest ones of its aggregate have it."""
        key = event["key"]
        for each in [event] if self._is_newest(event) else self._history(key):
            for switch, is_on in _SWITCHES.get(each["type"], ()):
                self._run(sql.PUT_META, (f"{switch} {what}", encode(each["data"]) if is_on else None))

    def task(self, key: str) -> Task | None:
        """Return a task as it is folded here, be it written or not; None if there is none."""
        return self._task(key)[0]

    def flush(self) -> None:
        """Write every touched task, then see to those that wait for it and those that it waits for."""
        if not self._changed:
            return
        turned: list[str] = []
        urgent: dict[str, None] = {}
        for task in self._changed.values():
            self._write(task, turned, urgent)
        self._settle(turned)
        self._inherit(list(urgent))
        self._stored |= self._changed
        self._changed.clear()
        if len(self._tasks) > _MOST_HELD:
            self._tasks.clear()
            self._stored.clear()

    def _write(self, task: Task, turned: list[str], urgent: dict[str, None]) -> None:
        """Write a task; note whose dependents have to be looked at again, and whose urgency."""
        key = task["id"]
        before = self._run(sql.TASK_ROW, (key,)).fetchone()
        row, there, wanted = self._put(task, before)
        has_dependents = self._run(sql.HAS_DEPENDENTS, (key,)).fetchone() is not None
        if (there != wanted or before is None or before[_BORN] != row[_BORN]) and (before or wanted or has_dependents):
            self._note_forward(key, task)
        if has_dependents:
            urgent[key] = None
            if before is None or before[_OUTCOME] != row[_OUTCOME]:
                turned.append(key)
        needs = {*there, *wanted}
        if there != wanted or before is None or any(before[place] != row[place] for place in (_OWN, _CLOSED)):
            urgent |= dict.fromkeys(needs)
        self.keys.mark_stale(key, needs)

    def _settle(self, turned: list[str]) -> None:
        """Let dependents know that tasks mean something else to them now, and theirs where that matters in turn."""
        while turned:
            key = turned.pop()
            self._run(sql.RECOUNT, (key,))
            self._run(sql.REBUCKET, (key,))
            turned += [row[0] for row in self._run(sql.TURNED, (key,)).fetchall()]
            self._run(sql.REJUDGE, (key,))

    def _inherit(self, keys: list[str]) -> None:
        """Give tasks the urgency of those that wait for them, and so on up."""
        while keys:
            key = keys.pop()
            row = self._run(sql.INHERITED, (key,)).fetchone()
            if row is None or row[2]:
                continue
            own, level, _, most_urgent = row
            inherited = own if most_urgent is None else min(own, most_urgent)
            if inherited != level:
                self._run(sql.SET_LEVEL, (inherited, key))
                keys += [need[0] for need in self._run(sql.NEEDS, (key,))]

    def promote(self, now: str) -> None:
        """Make those ready whose time has come."""
        due = self._run(sql.DUE, (now,)).fetchall()
        for (key,) in due:
            self._run(sql.PROMOTE, (key,))
            self._settle([key])
        if due:
            self._run(sql.PUT_META, ("promoted", now))

    def _put(
        self, task: Task, before: tuple[object, ...] | None
    ) -> tuple[tuple[object, ...], Mapping[str, str], Mapping[str, str]]:
        """Write a task; return its row, and what it waited for until now and waits for from now on, with the kinds."""
        key = task["id"]
        there, wanted = self._put_lists(task, known=before is not None)
        blockers = self._run(sql.COUNT_BLOCKERS, (key,)).fetchone()[0] if wanted else 0
        row = task_row(task, *self._tasks[key][1:], blockers, self.keys.group(task))
        if before is None:
            self._run(sql.PUT_TASK, row)
        else:
            # What was inherited holds until `_inherit` has looked.
            inherited = before[_LEVEL] if before[_OWN] == row[_OWN] and not row[_CLOSED] else row[_OWN]
            row = (*row[:_LEVEL], inherited, *row[_LEVEL + 1 :])
            self._change(key, before, row)
        return row, there, wanted

    def _note_forward(self, key: str, task: Task) -> None:
        self._run(sql.FORGET_FORWARD, (key, key))
        for need in task["dependencies"]:
            self._run(sql.PUT_FORWARD, (key, need))
        for (dependent,) in self._run(sql.DEPENDENTS, (key,)).fetchall():
            self._run(sql.PUT_FORWARD, (dependent, key))

    def _change(self, key: str, before: tuple[object, ...], after: tuple[object, ...]) -> None:
        """Set only the columns that differ: each one that is named has its indexes written anew."""
        differing = [place for place, value in enumerate(after) if value != before[place]]
        if differing:
            names = ", ".join(f"{sql.TASK_COLUMNS[place]} = ?" for place in differing)
            # The names are ours, from the list above the schema's statements.
            self._run(f"UPDATE tasks SET {names} WHERE id = ?", (*(after[place] for place in differing), key))  # noqa: S608

    def _put_lists(self, task: Task, *, known: bool) -> tuple[dict[str, str], dict[str, str]]:
        key, stored = task["id"], self._stored.get(task["id"])
        wanted = _kinds(task)
        if stored is None or not known:
            there: dict[str, str] = dict(self._run(sql.NEEDS_WITH_KINDS, (key,)).fetchall()) if known else {}
        else:
            there = _kinds(stored)
        for need in there.keys() - wanted.keys():
            self._run(sql.DROP_DEPENDENCY, (key, need))
            self._run(sql.DROP_FORWARD, (key, need))
        for need, kind in wanted.items():
            if there.get(need) != kind:
                self._run(sql.PUT_DEPENDENCY, (key, need, kind))
        self._put_tags(task, known=known)
        return there, wanted

    def _put_tags(self, task: Task, *, known: bool) -> None:
        key, is_closed, born = task["id"], task["status"] in tasks.CLOSED, self._tasks[task["id"]][1]
        if not task["tags"] and key in self._stored and not self._stored[key]["tags"]:
            return
        there = {row[0]: row[1:] for row in self._run(sql.TAGS, (key,)).fetchall()} if known else {}
        for tag in there.keys() - {*task["tags"]}:
            self._run(sql.DROP_TAG, (key, tag))
        for tag in task["tags"]:
            if there.get(tag) != (is_closed, born):
                self._run(sql.PUT_TAG, (key, tag, is_closed, born))


def _kinds(task: Task) -> dict[str, str]:
    """Return what a task waits for, with the kinds."""
    return {need: tasks.dependency_kind(task, need) for need in task["dependencies"]}


def _judged(result: Json) -> list[int] | None:
    """Return how many gates passed, of how many that judged an attempt."""
    verdict = result.get("validation") if isinstance(result, dict) else None
    gates = verdict.get("gates") if isinstance(verdict, dict) else None
    statuses = [gate["status"] for gate in gates if gate["status"] != "skipped"] if isinstance(gates, list) else []
    return [statuses.count("passed"), len(statuses)] if statuses else None


def task_row(task: Task, born: str, last: str, blockers: int, group: str | None) -> tuple[object, ...]:
    """Return the values of `sql.PUT_TASK`."""
    lease, own_bucket = task["lease"], bucket(task, blockers)
    pin, level, since, nudge = lanes.place_of(task)
    return (
        task["id"], pack(task), task["title"], task["status"], own_bucket, level, level, lanes.name_of(task), pin, since, nudge, group,
        task["category"], task["feature_id"], task["assigned_agent"], task["parent_id"], born, last, task["updated_at"], demand(task),
        task["not_before"], task["deadline"], _risk(task), None if lease is None else lease["expires_at"],
        task["status"] in tasks.CLOSED, outcome(task, own_bucket), blockers,
    )  # fmt: skip


def _risk(task: Task) -> str | None:
    """Return since when a task's deadline is at risk."""
    if task["deadline"] is None:
        return None
    return plus(task["deadline"], -lanes.effort_at_risk_s(tasks.effort_minutes(task)))


def bucket(task: Task, blockers: int) -> str:
    """Return where a task is counted and found: its status, with `queued` split by what it waits for."""
    if task["status"] == "created" and task["recurrence"]:
        return "recurring"
    if task["status"] != "queued":
        return task["status"]
    if task["rollup"]:
        return "family"
    if blockers:
        return "waiting"
    return "delayed" if task["not_before"] else "ready"


def outcome(task: Task, own_bucket: str) -> str:
    """Return what a task means to those that wait for it."""
    if tasks.is_met(task):
        return "met"
    if task["status"] == "failed":
        return "failed"
    if task["status"] in ("cancelled", "archived"):
        return "dropped"
    return "going" if own_bucket in _GOING else "idle"


def _resources(result: Json) -> JsonObject:
    """Return what an attempt used of the machine, if that was measured."""
    if not isinstance(result, dict) or "cpu_s" not in result:
        return {}
    from atms_cli.domain.footprint import measured

    return {"resources": measured(result)}
