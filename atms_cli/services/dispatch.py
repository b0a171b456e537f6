"""What is started next: of each lane in turn the best task that somebody is free for and that no limit keeps back."""

from __future__ import annotations

from atms_cli.domain import lanes, limits, matching
from atms_cli.domain.agent import DRIVERLESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from atms_cli.domain.config import LaneSettings, QueueSettings
    from atms_cli.domain.limits import Limits, LimitState
    from atms_cli.domain.records import Agent, JsonObject, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace

    Fit = Callable[[Task], Agent | None]

#: With more than so many tasks in a lane that nobody can take, or so many demands of theirs, they are looked at one by one.
_MOST_REFUSALS, _MOST_DEMANDS = 200, 5000
#: So many tasks that have no worktree are passed over, one by one, for one that has.
_MOST_PASSED = 1000


class Throttle:
    """What runs, and the limits that leaves room under; it counts what is started on."""

    def __init__(
        self, ws: Workspace, read: ReadModel, force: Sequence[Agent], now: str, crowded: str | None = None
    ) -> None:
        self._ws = ws
        #: Why no new worktree may be made, and the tasks that were passed over for that.
        self.crowded = crowded
        self.passed: set[str] = set()
        queue = ws.config["queue"]
        running = read.running()
        rates = _rates(queue, force)
        weekday, minute = ws.clock.local()
        self._limits: Limits = {
            "concurrency": {scope: most for scope, its in _scopes(queue) if (most := its["concurrency"]) is not None},
            "rates": rates,
            "quiet": {scope: [limits.parse_window(text) for text in its["quiet"]] for scope, its in _scopes(queue)},
            "resources": queue["resources"],
        }
        self._state: LimitState = {
            "now": now,
            "weekday": weekday,
            "minute": minute,
            "stopped": {_scope_of(aggregate): "paused" for aggregate in read.switches("paused")},
            "halted": _halted(ws, read, force, now),
            "running": _running(running),
            "starts": {scope: _starts(read, scope, rate[0]) for scope, rate in rates.items()},
            "held": limits.held_by(read.task(key) for key, _, _, its in running if matching.holds_something(its)),
        }
        #: Limits of time that kept something back, by the aggregate that stands for them in the journal.
        self.reached: dict[str, JsonObject] = {}

    def of(self, task: Mapping[str, object], lane: str | None, agent: str | None = None) -> JsonObject | None:
        """Return the first limit in the way of a start, or None; an empty mapping stands for any task at all."""
        found = limits.first_limit(task, lane, agent, self._limits, self._state)
        if found is not None and found["until"] is not None:
            self.reached[f"limit/{found['scope']}"] = {"limit": found["text"], "until": found["until"]}
        return found

    def of_resources(self, task: Task) -> JsonObject | None:
        """Return what a task has to hold and cannot have, or None."""
        without: LimitState = {**self._state, "stopped": {}, "halted": {}, "running": {}, "starts": {}}
        unlimited: Limits = {"concurrency": {}, "rates": {}, "quiet": {}, "resources": self._limits["resources"]}
        return limits.first_limit(task, None, None, unlimited, without)

    def with_room(self, task: Task, agents: list[Agent]) -> list[Agent]:
        """Return those agents that can work on a task where they work."""
        if self.crowded is None:
            return agents
        from atms_cli.services.isolation import needs_worktree

        left = [agent for agent in agents if not needs_worktree(self._ws, task, agent)]
        if agents and not left:
            self.passed.add(task["id"])
        return left

    def started(self, task: Task, agent: Agent) -> None:
        """Count a task as running from now on."""
        self._state = limits.admit(self._state, task, lanes.name_of(task), agent["name"])


def _halted(ws: Workspace, read: ReadModel, force: Sequence[Agent], now: str) -> dict[str, JsonObject]:
    """Return the agents, by their scope, that get nothing more for now, with the reason and the end if known."""
    halted = {f"agent {name}": about for name, about in read.switches("halted").items()}
    if ws.config["execution"]["prompt"] or any(agent["prompt"] for agent in force):
        from atms_cli.services.agents import untold

        wrong = {agent["name"]: words for agent in force if (words := untold(ws, agent)) is not None}
        for name, words in wrong.items():
            halted[f"agent {name}"] = {"kind": "prompt", "reason": words, "until": None, "times": 0}
    for name, about in read.switches("disabled").items():
        halted[f"agent {name}"] = {"kind": "disabled", "reason": about["reason"], "until": None, "times": 0}
    if all(agent["kind"] in DRIVERLESS for agent in force):
        return halted
    from atms_cli.services import budget

    return {**halted, **budget.of_day(ws, read, force, now)}


def _scopes(queue: QueueSettings) -> list[tuple[str, LaneSettings]]:
    """Return whose settings hold for what: the whole queue's and each lane's that has some."""
    return [("queue", queue), *((f"lane {name}", lanes.settings_of(queue, name)) for name in queue["lanes"])]


def _rates(queue: QueueSettings, force: Sequence[Agent]) -> dict[str, limits.Rate]:
    said = {scope: its["rate"] for scope, its in _scopes(queue)} | {
        f"agent {agent['name']}": agent["rate"] for agent in force
    }
    return {scope: limits.parse_rate(text) for scope, text in said.items() if text is not None}


def _scope_of(aggregate: str) -> str:
    return "queue" if aggregate == lanes.WHOLE else aggregate.replace("/", " ", 1)


def _running(found: Sequence[tuple[str, str, str | None, str]]) -> dict[str, int]:
    running: dict[str, int] = {}
    for _, lane, agent, _ in found:
        for scope in limits.scopes(lane, agent):
            running[scope] = running.get(scope, 0) + 1
    return running


def _starts(read: ReadModel, scope: str, count: int) -> list[str]:
    kind, _, name = scope.partition(" ")
    if kind == "lane":
        return read.starts(count, lane=name)
    return read.starts(count, agent=name) if kind == "agent" else read.starts(count)


class _Walk:
    """The ready tasks of a lane, without those whose like nobody can take now."""

    def __init__(self, ws: Workspace, read: ReadModel, lane: str, now: str, force: Sequence[Agent]) -> None:
        self._read = read
        self._force = force
        self._refusals = 0
        self._lane = lane
        self._settings = lanes.settings_of(ws.config["queue"], lane)
        self._now = now
        self._without: set[str] = set()
        self._taken: set[str] = set()
        self._ids = self._begin()
        self._following: str | None = None

    def _begin(self) -> Iterator[str]:
        return self._read.ready_in(self._lane, self._settings, self._now, self._without)

    def is_over(self) -> bool:
        """Return whether nothing is left to look at."""
        if self._following is None:
            self._following = next((task_id for task_id in self._ids if task_id not in self._taken), None)
        return self._following is None

    def next(self, fit: Fit, passed: Collection[str]) -> tuple[Task, Agent] | None:
        """Return the best task that fits somebody, with who that is; those passed over say nothing of their like."""
        while not self.is_over():
            task = self._read.task(self._following or "")
            self._following = None
            agent = fit(task)
            if agent is not None:
                self._taken.add(task["id"])
                return task, agent
            if task["id"] in passed and len(passed) < _MOST_PASSED:
                continue
            if self._refusals < _MOST_REFUSALS and len(self._without) < _MOST_DEMANDS:
                # The index leaves out the rest of them, however many there are.
                self._refusals += 1
                self._without.update(matching.alike(self._force, task))
                self._ids = self._begin()
        return None


def choose(
    ws: Workspace, read: ReadModel, throttle: Throttle, fit: Fit, room: int, now: str, force: Sequence[Agent]
) -> Iterator[tuple[Task, Agent]]:
    """Yield tasks to start, each with an agent: the lanes in turn, from the one that has waited longest for it.

    `fit` chooses among the agents of `force`.
    """
    walks = {lane: _Walk(ws, read, lane, now, force) for lane in read.ready_lanes()}
    while walks:
        for lane, walk in list(walks.items()):
            if walk.is_over():
                del walks[lane]
                continue
            if room <= 0 or throttle.of({}, None) is not None:
                return
            found = None if throttle.of({}, lane) else walk.next(fit, throttle.passed)
            if found is None:
                del walks[lane]
                continue
            throttle.started(*found)
            room -= 1
            yield found


def upcoming(
    ws: Workspace, read: ReadModel, force: Sequence[Agent], load: Mapping[str, int], room: int, now: str,
    throttle: Throttle | None = None,
) -> list[tuple[Task, Agent]]:  # fmt: skip
    """Return which tasks start next and with which agents, best first, as long as there is room."""
    limited = throttle or Throttle(ws, read, force, now)
    from atms_cli.services.balance import Balance

    busy, balance = dict(load), Balance(ws, read, force)

    def fit(task: Task) -> Agent | None:
        lane = lanes.name_of(task)
        free = [agent for agent in force if limited.of(task, lane, agent["name"]) is None]
        free = limited.with_room(task, free)
        agent = balance.choose(free, task, busy)
        if agent is not None:
            busy[agent["name"]] = busy.get(agent["name"], 0) + 1
        return agent

    return list(choose(ws, read, limited, fit, room, now, force))


def note_limits(tx: Transaction, throttle: Throttle) -> str | None:
    """Put on record which limits of time were reached and which no longer hold; return when the first of them is over."""
    before = tx.read.switches("throttled")
    for name, about in throttle.reached.items():
        if name not in before:
            tx.record([("queue.throttled", name, about)])
    for name, about in before.items():
        if name not in throttle.reached and str(about.get("until")) <= tx.now:
            tx.record([("queue.flowing", name, {})])
    return min((str(about["until"]) for about in throttle.reached.values()), default=None)


def way_on(limit: JsonObject) -> str:
    """Say what to do about a limit."""
    if limit["kind"] == "paused":
        return "go on with: atms queue resume"
    if limit["kind"] == "disabled":
        return f"let it work again: atms agent enable {str(limit['scope']).partition(' ')[2]}"
    if limit["kind"] == "prompt":
        return "mend its template; see: atms config validate"
    if limit["kind"] == "halted" and not limit["until"]:
        return f"when that is mended: atms agent resume {str(limit['scope']).partition(' ')[2]}"
    return f"try again after {limit['until']}" if limit["until"] else "try again when a task has ended"
