"""What is started next: of each lane in turn the best task that somebody is free for and that no limit keeps back."""

from __future__ import annotations

from atms_cli.domain import lanes, limits, matching, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atms_cli.domain.config import LaneSettings
    from atms_cli.domain.records import Agent, JsonObject, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace

    Fit = Callable[[Task], Agent | None]

#: With more demands in a lane than this that nobody can meet, tasks are looked at one by one.
_MOST_DEMANDS = 200


class Throttle:
    """What runs, and which limits that leaves room under; it counts what is started on."""

    def __init__(self, ws: Workspace, read: ReadModel, now: str) -> None:
        self._queue = ws.config["queue"]
        self._read = read
        self._now = now
        self._weekday, self._minute = ws.clock.local()
        self._paused = read.switches("paused")
        active = read.active()
        self.running = len(active)
        self.running_in: dict[str, int] = {}
        for task in active:
            self._count(lanes.name_of(task))
        self._held = limits.held_by(active)
        self._starts: dict[str, list[str]] = {}
        #: Limits of time that kept something back, by whose they are.
        self.reached: dict[str, JsonObject] = {}

    def _count(self, lane: str) -> None:
        self.running_in[lane] = self.running_in.get(lane, 0) + 1

    def of_queue(self) -> JsonObject | None:
        """Return the limit of the whole queue that keeps everything back, or None."""
        return self._of("queue", lanes.WHOLE, self._queue, self.running)

    def of_lane(self, lane: str) -> JsonObject | None:
        """Return the limit that keeps a lane back, or None."""
        settings = lanes.settings_of(self._queue, lane)
        return self._of(f"lane {lane}", f"lane/{lane}", settings, self.running_in.get(lane, 0))

    def _of(self, scope: str, aggregate: str, settings: LaneSettings, running: int) -> JsonObject | None:
        if aggregate in self._paused:
            reason = self._paused[aggregate].get("reason")
            return _limit("paused", scope, f"the {scope} is paused" + (f": {reason}" if reason else ""))
        most = settings["concurrency"]
        if most is not None and running >= most:
            return _limit("concurrency", scope, f"{running} of at most {most} tasks run in the {scope}")
        return self._of_time(scope, settings)

    def _of_time(self, scope: str, settings: LaneSettings) -> JsonObject | None:
        for text in settings["quiet"]:
            minutes = limits.window_ends_in(limits.parse_window(text), self._weekday, self._minute)
            if minutes is not None:
                return self._reached(
                    "quiet", scope, f"the {scope} is quiet {text}", moment.plus(self._now, minutes * 60)
                )
        if settings["rate"] is None:
            return None
        return self._of_rate(scope, settings["rate"])

    def _of_rate(self, scope: str, text: str) -> JsonObject | None:
        rate = limits.parse_rate(text)
        until = limits.rate_until(self._started(scope, rate[0]), rate, self._now)
        return None if until is None else self._reached("rate", scope, f"the {scope} starts at most {text}", until)

    def _started(self, scope: str, count: int) -> list[str]:
        if scope not in self._starts:
            kind, _, name = scope.partition(" ")
            self._starts[scope] = self._read.starts(count, **({kind: name} if name else {}))
        return self._starts[scope]

    def _reached(self, kind: str, scope: str, text: str, until: str) -> JsonObject:
        self.reached[f"limit/{scope} {kind}"] = {"limit": text, "until": until}
        return _limit(kind, scope, text, until)

    def of_agent(self, agent: Agent) -> JsonObject | None:
        """Return the rate that keeps an agent from starting, or None."""
        return None if agent["rate"] is None else self._of_rate(f"agent {agent['name']}", agent["rate"])

    def of_task(self, task: Task) -> JsonObject | None:
        """Return what a task has to hold and cannot have, or None."""
        lacking = limits.lacking(limits.wanted_by(task), self._queue["resources"], self._held)
        if lacking is None:
            return None
        if lacking.startswith("="):
            return _limit("exclusive", lacking[1:], f"another task with the key {lacking[1:]} runs")
        return _limit("resource", lacking, f"all of {lacking} is held by tasks that run")

    def started(self, task: Task, agent: Agent | None) -> None:
        """Count a task as running from now on."""
        lane = lanes.name_of(task)
        self.running += 1
        self._count(lane)
        for name in limits.wanted_by(task):
            self._held[name] = self._held.get(name, 0) + 1
        for scope in ("queue", f"lane {lane}", *([f"agent {agent['name']}"] if agent else [])):
            if scope in self._starts:
                self._starts[scope].insert(0, self._now)


def _limit(kind: str, scope: str, text: str, until: str | None = None) -> JsonObject:
    return {"kind": kind, "scope": scope, "text": text, "until": until}


class _Walk:
    """The ready tasks of a lane, without those whose like nobody can take now."""

    def __init__(self, ws: Workspace, read: ReadModel, lane: str, now: str) -> None:
        self._read = read
        self._lane = lane
        self._settings = lanes.settings_of(ws.config["queue"], lane)
        self._now = now
        self._without: set[str] = set()
        self._taken: set[str] = set()
        self._ids = self._begin()

    def _begin(self) -> Iterator[str]:
        return self._read.ready_in(self._lane, self._settings, self._now, self._without)

    def next(self, fit: Fit) -> tuple[Task, Agent] | None:
        """Return the best task that fits somebody, with who that is."""
        while (task_id := next(self._ids, None)) is not None:
            if task_id in self._taken:
                continue
            task = self._read.task(task_id)
            agent = fit(task)
            if agent is not None:
                self._taken.add(task_id)
                return task, agent
            if len(self._without) < _MOST_DEMANDS:
                # The index leaves out the rest of them, however many there are.
                self._without.add(matching.demand(task))
                self._ids = self._begin()
        return None


def choose(
    ws: Workspace, read: ReadModel, throttle: Throttle, fit: Fit, room: int, now: str
) -> Iterator[tuple[Task, Agent]]:
    """Yield tasks to start, each with an agent: the lanes with the least running first, then in turn."""
    names = sorted(read.ready_lanes(), key=lambda lane: (throttle.running_in.get(lane, 0), lane))
    walks = {lane: _Walk(ws, read, lane, now) for lane in names}

    def fits(task: Task) -> Agent | None:
        return None if throttle.of_task(task) else fit(task)

    while walks:
        for lane, walk in list(walks.items()):
            if room <= 0 or throttle.of_queue() is not None:
                return
            found = None if throttle.of_lane(lane) else walk.next(fits)
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
    throttle = throttle or Throttle(ws, read, now)
    busy = dict(load)

    def fit(task: Task) -> Agent | None:
        free = [agent for agent in force if throttle.of_agent(agent) is None]
        agent = matching.choose(free, task, busy)
        if agent is not None:
            busy[agent["name"]] = busy.get(agent["name"], 0) + 1
        return agent

    return list(choose(ws, read, throttle, fit, room, now))


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
