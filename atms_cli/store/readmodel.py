"""Questions to the read model. Every answer costs the same with a hundred tasks or a hundred thousand."""

from __future__ import annotations

from atms_cli.domain.lanes import WHOLE, name_of, settings_of
from atms_cli.domain.task import ACTIVE, PRIORITIES
from atms_cli.errors import AtmsError, DamagedError, NotFoundError, UsageError
from atms_cli.store import sql
from atms_cli.store.document import unpack
from atms_cli.store.jsontext import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from sqlite3 import Connection, Cursor

    from atms_cli.domain.config import LaneSettings, QueueSettings
    from atms_cli.domain.records import Agent, Attempt, Dependency, Event, FeatureState, JsonObject, Task
    from atms_cli.ports import ResultFilter, TaskFilter
    from atms_cli.store.projector import Load

    AtRest = Callable[[Callable[[], list[Event]]], list[Event]]

_SEVERAL = 2


class ReadModel:
    """Reads over one connection; inside a transaction they see its changes."""

    def __init__(self, connection: Connection, load: Load, at_rest: AtRest | None = None) -> None:
        self._run: Callable[..., Cursor] = connection.execute
        self._load = load
        #: Looks while nobody writes; inside a transaction nobody else does.
        self._at_rest = at_rest

    # Tasks

    def task(self, task_id: str) -> Task:
        """Return a task by its id or the only id that begins so."""
        row = self._run(sql.TASK, (task_id,)).fetchone()
        if row is None:
            row = self._run(sql.TASK, (self.resolve(task_id),)).fetchone()
        return unpack(row[0])

    def resolve(self, prefix: str) -> str:
        """Return the full id of a task from its beginning.

        Raises:
            NotFoundError: no task begins so.
            UsageError: several do.

        """
        found = [row[0] for row in self._run(sql.TASK_BY_PREFIX, (prefix.lower(),))] if prefix else []
        if not found:
            raise NotFoundError(f"no task `{prefix}`", "see them all: atms task list")
        if len(found) > 1 and found[0] != prefix:
            raise UsageError(f"`{prefix}` stands for several tasks: {', '.join(found[:5])}", "give more of the id")
        return str(found[0])

    def tasks(self, wanted: TaskFilter) -> list[Task]:
        """Return the tasks that a filter lets through, each with its open dependencies."""
        from atms_cli.store.listing import statement

        text, values = statement(wanted)
        return [self._with_blockers(unpack(row[0]), row[1]) for row in self._run(text, values).fetchall()]

    def _with_blockers(self, task: Task, blockers: int) -> Task:
        task["blocked_by"] = [blocker["id"] for blocker in self.blockers(task["id"])] if blockers else []
        return task

    def blockers(self, task_id: str) -> list[Dependency]:
        """Return the open dependencies of a task."""
        return [
            {"id": row[0], "title": row[1], "status": row[2], "kind": row[3]}
            for row in self._run(sql.BLOCKERS, (task_id,))
        ]

    def needs(self, task_id: str) -> list[str]:
        """Return the ids that a task depends on."""
        return [row[0] for row in self._run(sql.NEEDS, (task_id,))]

    def waiting_on(self, task_id: str) -> list[JsonObject]:
        """Return the open tasks that depend on one, with how many dependencies each still waits for."""
        rows = self._run(sql.WAITING_ON, (task_id,))
        return [{"id": row[0], "title": row[1], "status": row[2], "blockers": row[3], "kind": row[4]} for row in rows]

    def of_status(self, status: str) -> list[Task]:
        """Return all tasks of a status, oldest first."""
        return [unpack(row[0]) for row in self._run(sql.OF_STATUS, (status,))]

    def attempts(self, task_id: str) -> list[Attempt]:
        """Return the attempts at a task, first to last."""
        return [decode(row[0]) for row in self._run(sql.ATTEMPTS_OF, (task_id,))]

    def task_of_run(self, run: str) -> str | None:
        """Return the task that an attempt was made at, None if there was no such attempt."""
        row = self._run(sql.TASK_OF_RUN, (run,)).fetchone()
        return None if row is None else str(row[0])

    def agent_of_feature(self, feature: str) -> str | None:
        """Return who has or had the newest task of a feature, of those that are done if there are any."""
        row = self._run(sql.AGENT_OF_FEATURE, (feature,)).fetchone()
        return None if row is None else str(row[0])

    def attempts_of_agent(self, agent: str, limit: int) -> list[Attempt]:
        """Return the newest attempts of an agent, newest first."""
        return [decode(row[0]) for row in self._run(sql.ATTEMPTS_OF_AGENT, (agent, limit))]

    def usages_since(self, at: str) -> list[JsonObject]:
        """Return what the attempts used up that were started since a time, of agents that say so."""
        return [decode(row[0]) for row in self._run(sql.USAGES_SINCE, (at,))]

    def gate_results(self, wanted: ResultFilter) -> list[JsonObject]:
        """Return the newest results of gates that a filter lets through, newest first."""
        from atms_cli.store.resultlist import statement

        return [decode(row[0]) for row in self._run(*statement(wanted)).fetchall()]

    # The queue

    def ready(self, queue: QueueSettings, now: str, but: Collection[str] = ()) -> Iterator[str]:
        """Yield the ids of tasks that may start now, but for some lanes: the best of each lane, then the second best, and so on.

        The store must have been asked for its queue, not just its read model (ports.Store).
        """
        from atms_cli.store.ordering import in_turns

        return in_turns(
            [self.ready_in(lane, settings_of(queue, lane), now) for lane in self.ready_lanes() if lane not in but]
        )

    def ready_in(self, lane: str, settings: LaneSettings, now: str, without: Collection[str] = ()) -> Iterator[str]:
        """Yield the ids of a lane's tasks that may start now, best first, but for those of some demands."""
        from atms_cli.store.ordering import ready

        return ready(self._run, lane, settings, now, without)

    def ready_lanes(self) -> list[str]:
        """Return the lanes in which a task is ready: those with the least running first, then who has waited longest for a turn."""
        from atms_cli.store.ordering import lanes_with_ready

        lanes = lanes_with_ready(self._run)
        if len(lanes) < _SEVERAL:
            return lanes
        running: dict[str, int] = {}
        for task in self.active():
            running[name_of(task)] = running.get(name_of(task), 0) + 1
        turns: dict[str, str] = dict(self._run(sql.TURNS).fetchall())
        return sorted(lanes, key=lambda lane: (running.get(lane, 0), turns.get(lane, ""), lane))

    def starts(self, limit: int, *, lane: str | None = None, agent: str | None = None) -> list[str]:
        """Return when the last attempts began, newest first: all, or those of a lane or of an agent."""
        if lane is not None:
            rows = self._run(sql.STARTS_OF_LANE, (lane, limit))
        elif agent is not None:
            rows = self._run(sql.STARTS_OF_AGENT, (agent, limit))
        else:
            rows = self._run(sql.STARTS, (limit,))
        return [row[0] for row in rows]

    def last_attempts(self, limit: int) -> list[tuple[Attempt, str, str, str | None]]:
        """Return the newest attempts with category, complexity, and time of queueing of their tasks."""
        rows = self._run(sql.LAST_ATTEMPTS, (limit,))
        return [(decode(row[0]), row[1], row[2] or "moderate", row[3]) for row in rows]

    def starving(self, lane: str, own_level: int, before: str) -> int:
        """Return how many ready tasks of a lane and level wait since before a time."""
        return int(self._run(sql.STARVING, (lane, own_level, before)).fetchone()[0])

    def running(self) -> list[tuple[str, str, str | None, str]]:
        """Return id, lane, agent and demand of the tasks that somebody is at work on."""
        return self._run(sql.RUNNING).fetchall()

    def active(self) -> list[Task]:
        """Return the tasks that somebody is at work on."""
        return [task for status in ACTIVE for task in self.of_status(status)]

    def oldest_ready(self) -> str | None:
        """Return since when the ready task waits that has waited longest."""
        rows = (
            self._run(sql.OLDEST_READY, (lane, level)).fetchone()[0]
            for lane in self.ready_lanes()
            for level in range(len(PRIORITIES))
        )
        return min((row for row in rows if row is not None), default=None)

    def ends_of_lane(self, lane: str) -> tuple[float, float]:
        """Return the pins of the first and the last of a lane's ready tasks."""
        row = self._run(sql.ENDS_OF_LANE, (lane,)).fetchone()
        return row[0] or 0.0, row[1] or 0.0

    def place(self, task_id: str) -> tuple[str, float, int, str, float, str]:
        """Return a task's lane, pin, level, time from which it counts as waiting, nudge, and bucket."""
        found: tuple[str, float, int, str, float, str] = self._run(sql.PLACE, (task_id,)).fetchone()
        return found

    def neighbours(self, task_id: str, *, newest_first: bool) -> tuple[float | None, list[str]]:
        """Return the nudge of who stands before a task that has waited as long, and those before it whose nudge is the same."""
        place = self.place(task_id)[:5]
        beyond, equals = (sql.BEHIND, sql.EQUALS_BEHIND) if newest_first else (sql.BEFORE, sql.EQUALS_BEFORE)
        nudge: float | None = self._run(beyond, place).fetchone()[0]
        return nudge, [row[0] for row in self._run(equals, (*place, self.born(task_id)))]

    def recurring(self, now: str) -> list[str]:
        """Return the templates whose next time has come."""
        return [row[0] for row in self._run(sql.RECURRING, (now,))]

    def children(self, task_id: str) -> list[JsonObject]:
        """Return the tasks that are parts of one."""
        return [{"id": row[0], "title": row[1], "status": row[2]} for row in self._run(sql.CHILDREN, (task_id,))]

    def born(self, task_id: str) -> str:
        """Return the id of the event that a task came from; ids tell who came first."""
        row = self._run(sql.BORN, (task_id,)).fetchone()
        return "" if row is None else str(row[0])

    def forward_span(self) -> tuple[str, str] | None:
        """Return when the oldest task was born that waits for a younger, and the youngest that an older waits for, if any."""
        oldest, youngest = self._run(sql.FORWARD_SPAN).fetchone()
        return None if oldest is None else (str(oldest), str(youngest))

    def dependents(self, task_id: str) -> list[str]:
        """Return the ids of the tasks that wait for one."""
        return [row[0] for row in self._run(sql.DEPENDENTS, (task_id,))]

    def switches(self, switch: str) -> dict[str, JsonObject]:
        """Return the queues and lanes where something is on (paused, draining, throttled, alerted), with what was said."""
        rows = self._run(sql.SWITCHES, (f"{switch} ", f"{switch} {chr(127)}"))
        return {row[0].partition(" ")[2]: decode(row[1]) for row in rows}

    def delayed_ahead(self, now: str) -> list[str]:
        """Return the ids of tasks whose wait began later than now, by a clock that has been set back since."""
        return [row[0] for row in self._run(sql.CHANGED_AHEAD, (now,))]

    def expired(self, now: str) -> list[str]:
        """Return the ids of tasks whose lease has ended."""
        return [row[0] for row in self._run(sql.EXPIRED, (now,))]

    def next_due(self) -> str | None:
        """Return when the next delayed task becomes ready."""
        found: str | None = self._run(sql.NEXT_DUE).fetchone()[0]
        return found

    def next_recurrence(self) -> str | None:
        """Return when the next recurring task is to be made."""
        found: str | None = self._run(sql.NEXT_RECURRENCE).fetchone()[0]
        return found

    def next_expiry(self) -> str | None:
        """Return when the next lease ends."""
        found: str | None = self._run(sql.NEXT_EXPIRY).fetchone()[0]
        return found

    def counts(self) -> dict[str, int]:
        """Return the number of tasks in each bucket (store/projector.py)."""
        return dict(self._run(sql.COUNTS).fetchall())

    def stuck(self) -> int:
        """Return how many tasks wait for one that failed or was cancelled."""
        return int(self._run(sql.STUCK).fetchone()[0])

    def paused(self) -> JsonObject | None:
        """Return why the whole queue is paused, or None if it is not."""
        row = self._run(sql.META, (f"paused {WHOLE}",)).fetchone()
        return None if row is None or row[0] is None else decode(row[0])

    # Agents, features, history

    def agent(self, name: str) -> Agent | None:
        """Return a registered agent."""
        row = self._run(sql.AGENT, (name,)).fetchone()
        return None if row is None else decode(row[0])

    def agents(self) -> list[Agent]:
        """Return all registered agents by name."""
        return [decode(row[0]) for row in self._run(sql.AGENTS)]

    def heartbeats(self) -> dict[str, str]:
        """Return when each agent was last heard of, as far as this index knows."""
        return dict(self._run(sql.HEARTBEATS).fetchall())

    def load(self) -> dict[str, int]:
        """Return how many tasks each agent is at work on."""
        return dict(self._run(sql.LOAD).fetchall())

    def feature(self, feature_id: str) -> FeatureState | None:
        """Return what is known of a feature."""
        row = self._run(sql.FEATURE, (feature_id,)).fetchone()
        return None if row is None else decode(row[0])

    def features(self) -> list[FeatureState]:
        """Return what is known of all features."""
        # One call for all of them takes half of what one for each would.
        found: list[FeatureState] = decode(f"[{','.join([row[0] for row in self._run(sql.FEATURES)])}]")
        return found

    def statuses_by_feature(self) -> dict[str, set[str]]:
        """Return which statuses the tasks of each feature have."""
        found: dict[str, set[str]] = {}
        for feature, status in self._run(sql.FEATURE_STATUSES):
            found.setdefault(feature, set()).add(status)
        return found

    def history(self, key: str) -> list[Event]:
        """Return all events of an aggregate, oldest first."""
        return self._events(sql.HISTORY, key)

    def event_ids(self, key: str) -> list[str]:
        """Return the ids of all events of an aggregate, oldest first."""
        return [row[0] for row in self._run(sql.IDS_OF, (key,))]

    def events_after(self, event_id: str) -> list[Event]:
        """Return all events behind one, oldest first; all there are for an empty id."""
        return self._events(sql.EVENTS_AFTER, event_id)

    def newest(self) -> str:
        """Return the id of the newest event, empty if there is none."""
        row = self._run(sql.LAST_EVENT_ID).fetchone()
        return "" if row is None else str(row[0])

    def last_events(self, limit: int) -> list[Event]:
        """Return the newest events, oldest first, but for those that only fold others."""
        return self._events(sql.LAST_EVENTS, limit)[::-1]

    def overrides(self) -> int:
        """Return how often gates were passed over, as far as that is not folded."""
        return int(self._run(sql.OVERRIDES).fetchone()[0])

    def folds_since(self, at: str) -> list[Event]:
        """Return the folds of tasks that have changed since a time; these changes are in the folds, or came after them."""
        return self._events(sql.FOLDS_SINCE, at)

    def _events(self, text: str, value: object) -> list[Event]:
        """Load what a query finds; if a segment was being rewritten meanwhile, ask and load once more."""

        def look() -> list[Event]:
            return [self._event(*row) for row in self._run(text, (value,)).fetchall()]

        try:
            return look()
        except (AtmsError, OSError, ValueError, KeyError):
            if self._at_rest is None:
                raise
        return self._at_rest(look)

    def _event(self, replica: str, segment: int, offset: int, event_id: str) -> Event:
        event = self._load(replica, segment, offset)
        if event["id"] != event_id:
            raise DamagedError(f"event {event_id} is not where it was in {replica}/{segment:08d}.jsonl", "atms rebuild")
        return event
