"""The queue: what is next, why, and whether it gives anything at all."""

from __future__ import annotations

from atms_cli.domain import decisions, lanes, queue
from atms_cli.domain import task as tasks
from atms_cli.domain.moment import seconds_between, to_iso
from atms_cli.errors import AtmsError, NothingToDoError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atms_cli.domain.drawing import Edge, Node
    from atms_cli.domain.records import Agent, Fact, JsonObject, Task
    from atms_cli.ports import ReadModel, TaskFilter, Workspace
    from atms_cli.services.dispatch import Throttle

#: `queue explain` counts the tasks ahead up to this many, and names the first of them.
_MOST_AHEAD = 1000
_SHOWN_AHEAD = 5
_MOST_CAUSES = 5
#: A way of two ends is the dependency itself.
_DIRECT = 2
_TAIL_LINES = 5
_EVERY_OPEN: TaskFilter = {
    "statuses": [status for status in tasks.STATUSES if status not in tasks.CLOSED], "priorities": [], "categories": [], "tags": [],
    "features": [], "agents": [], "buckets": [], "lanes": [], "due_before": None, "search": "", "sort": "created", "reverse": False,
    "limit": None, "offset": 0,
}  # fmt: skip


def _order(ws: Workspace, read: ReadModel) -> Iterator[str]:
    return read.ready(ws.config["queue"], _now(ws))


def _now(ws: Workspace) -> str:
    return to_iso(ws.clock.now_ms())


def upcoming(ws: Workspace, limit: int | None) -> list[Task]:
    """Return the ready tasks, best first."""
    read = ws.store.queue(ws.config["queue"])
    found: list[Task] = []
    for task_id in _order(ws, read):
        if limit is not None and len(found) >= limit:
            break
        found.append(read.task(task_id))
        found[-1]["blocked_by"] = []
    return found


def next_task(ws: Workspace) -> Task:
    """Return the task that would be given next, to somebody who may do anything."""
    from atms_cli.domain.agent import anonymous
    from atms_cli.services import dispatch

    read, now = ws.store.queue(ws.config["queue"]), _now(ws)
    anybody = anonymous(ws.actor)
    throttle = dispatch.Throttle(ws, read, (), now)
    limit = throttle.of({}, None)
    if limit is not None:
        raise NothingToDoError(str(limit["text"]), dispatch.way_on(limit))

    def fit(task: Task) -> Agent | None:
        return anybody if throttle.of(task, lanes.name_of(task)) is None else None

    for task, _ in dispatch.choose(ws, read, throttle, fit, 1, now, [anybody]):
        task["blocked_by"] = []
        return task
    raise NothingToDoError("nothing in the queue can be started now", "see what waits for what: atms queue status")


def status(ws: Workspace) -> JsonObject:
    """Return the queue's numbers."""
    read = ws.store.reading()
    counts = read.counts()
    active = sum(counts.get(name, 0) for name in ("assigned", "in_progress", "validating"))
    return {
        "ready": counts.get("ready", 0),
        "blocked": sum(counts.get(name, 0) for name in ("blocked", "waiting", "family")),
        "stuck": read.stuck(),
        "delayed": counts.get("delayed", 0),
        "running": active,
        "paused": read.paused() is not None,
        "pause_reason": (read.paused() or {}).get("reason"),
        "draining": lanes.WHOLE in read.switches("draining"),
        "strategy": ws.config["queue"]["strategy"],
        "recurring": counts.get("recurring", 0),
        "lanes": _lanes(ws, read),
        "throttled": [
            {"limit": each.get("limit"), "until": each.get("until")}
            for each in read.switches("throttled").values()
            if str(each.get("until")) > _now(ws)
        ],
        "alerts": [{"alert": name.partition("/")[2], **about} for name, about in read.switches("alerted").items()],
    }


def _lanes(ws: Workspace, read: ReadModel) -> list[JsonObject]:
    """Return what is to be said of each lane that has settings or ready tasks, if there is more than the usual one."""
    names = {*ws.config["queue"]["lanes"], *read.ready_lanes()}
    paused, draining = read.switches("paused"), read.switches("draining")
    names |= {key.removeprefix("lane/") for key in (*paused, *draining) if key != lanes.WHOLE}
    if names <= {lanes.DEFAULT} and f"lane/{lanes.DEFAULT}" not in (*paused, *draining):
        return []
    return [
        {
            "lane": name, "strategy": lanes.settings_of(ws.config["queue"], name)["strategy"],
            "paused": f"lane/{name}" in paused, "draining": f"lane/{name}" in draining,
        }
        for name in sorted(names)
    ]  # fmt: skip


def _aggregate(lane: str | None) -> str:
    if lane is not None and not lane.strip():
        raise UsageError("a lane needs a name", "leave --lane out for the whole queue")
    return lanes.WHOLE if lane is None else f"lane/{lane}"


def pause(ws: Workspace, reason: str | None, lane: str | None = None) -> bool:
    """Stop giving out tasks, of the whole queue or of a lane; return whether that is new."""
    return _switch(ws, "paused", _aggregate(lane), ("queue.paused", {"reason": reason}))


def drain(ws: Workspace, reason: str | None, lane: str | None = None) -> bool:
    """Work off what is there and take in nothing new: what is added meanwhile stays a draft. Return whether that is new."""
    return _switch(ws, "draining", _aggregate(lane), ("queue.draining", {"reason": reason}))


def _switch(ws: Workspace, switch: str, aggregate: str, event: tuple[str, JsonObject]) -> bool:
    with ws.store.writing(ws.actor) as tx:
        if aggregate in tx.read.switches(switch):
            return False
        tx.record([(event[0], aggregate, event[1])])
        return True


def resume(ws: Workspace, lane: str | None = None) -> bool:
    """Give out tasks again, and take new ones in; return whether that is new."""
    aggregate = _aggregate(lane)
    with ws.store.writing(ws.actor) as tx:
        if all(aggregate not in tx.read.switches(switch) for switch in ("paused", "draining")):
            return False
        tx.record([("queue.resumed", aggregate, {})])
        return True


def move(ws: Workspace, task_id: str, *, before: str | None, last: bool) -> Task:
    """Put a task before all others of its lane, behind them, or right before another one.

    Raises:
        AtmsError: one of them is not in the queue, or they are in different lanes.

    """
    with ws.store.writing(ws.actor) as tx:
        read = tx.queue(ws.config["queue"])
        task = read.task(task_id)
        if before is not None:
            tx.record(_right_before(ws, read, task, read.resolve(before)))
        else:
            lowest, highest = read.ends_of_lane(lanes.name_of(task))
            place: JsonObject = {"pin": max(highest, 0.0) + 1.0 if last else min(lowest, 0.0) - 1.0}
            tx.record(decisions.move(task, place))
        return tx.read.task(task["id"])


def _right_before(ws: Workspace, read: ReadModel, task: Task, other: str) -> list[Fact]:
    lane, pin, level, since, nudge, bucket = read.place(other)
    if bucket != "ready":
        raise AtmsError(
            f"`{other}` is not ready to start, so nothing can be put before it", f"atms queue explain {other}"
        )
    if lane != lanes.name_of(task):
        raise AtmsError(
            f"`{other}` is in lane {lane}, `{task['id']}` in {lanes.name_of(task)}", "put them into one lane first"
        )
    if other == task["id"]:
        raise UsageError("a task cannot be put before itself")
    settings = ws.config["queue"]
    if not lanes.keeps_places(settings, lane, pin):
        message = f"the strategy of lane {lane} leaves no task where it was put"
        raise AtmsError(message, f"put it before all others: atms queue move {task['id']} --first")
    newest_first = lanes.has_newest_first(settings, lane, pin)
    beyond, equals = read.neighbours(other, newest_first=newest_first)
    before = [read.task(each) for each in equals if each != task["id"]]
    facts: list[Fact] = []
    if before:
        # What came in one batch is told apart by nothing but ids: those before the gap make room for it.
        beyond = lanes.nudged(nudge, beyond, newest_first=newest_first)
        for each in before:
            place: JsonObject = {**(each["place"] or {}), "nudge": beyond}  # type: ignore[dict-item]  # a Place is JSON
            facts += decisions.move(each, place)
    middle = lanes.nudged(nudge, beyond, newest_first=newest_first)
    return [*facts, *decisions.move(task, {"pin": pin, "level": level, "since": since, "nudge": middle})]


def matching(ws: Workspace, wanted: TaskFilter, task_ids: Sequence[str]) -> list[str]:
    """Return the ids of the tasks named, or of all that a filter lets through.

    Raises:
        UsageError: neither was given; a change of every task is asked for by its filter.

    """
    if task_ids:
        read = ws.store.reading()
        return [read.resolve(task_id) for task_id in task_ids]
    if not any(wanted[name] for name in ("priorities", "categories", "tags", "features", "agents", "lanes", "search")):
        raise UsageError(
            "which tasks?", "name them, or say which with --tag, --feature, --category, --lane or --search"
        )
    return [task["id"] for task in ws.store.reading().tasks(wanted)]


def explain(ws: Workspace, task_id: str) -> JsonObject:
    """Say where a task is in the queue, why, what it waits for, and when it will probably start and be done."""
    read, now = ws.store.queue(ws.config["queue"]), _now(ws)
    task = read.task(task_id)
    waits = queue.waits_for(task, read.blockers(task["id"]), now)
    explanation = {**_standing(ws, read, task, now), "waits_for": [*waits], "root_causes": _root_causes(read, task)}
    if task["status"] == "queued" and not task["rollup"]:
        if not waits:
            explanation |= _rank(ws, read, task["id"])
            explanation["waits_for"] = [*_held_back(ws, read, task, now)]
        from atms_cli.services import planning

        explanation["forecast"] = {**planning.predict(ws, read, task["id"], now)}
    return explanation


def _standing(ws: Workspace, read: ReadModel, task: Task, now: str) -> JsonObject:
    """Return what decides a task's place."""
    settings = lanes.settings_of(ws.config["queue"], lanes.name_of(task))
    _, pin, own_level, since, _, _ = read.place(task["id"])
    own = lanes.place_of(task)[1]
    waited = seconds_between(since, now) if since else 0.0
    return {
        "id": task["id"],
        "title": task["title"],
        "status": task["status"],
        "priority": task["priority"],
        "lane": lanes.name_of(task),
        "strategy": settings["strategy"],
        "waited_s": round(waited, 3),
        "base_priority": queue.effective_priority(own, 0.0, settings["ageing"]),
        "inherited": queue.effective_priority(own_level, 0.0, settings["ageing"]) if own_level < own else None,
        "effective_priority": round(queue.effective_priority(own_level, waited, settings["ageing"]), 4),
        "pinned": None if not pin else "first" if pin < 0 else "last",
        "rank": None,
        "ahead": [],
        "forecast": None,
    }


def _root_causes(read: ReadModel, task: Task) -> list[JsonObject]:
    """Return the tasks that really hold one up, with the way to each, if they are not those that it waits for itself."""
    from itertools import islice

    from atms_cli.domain.criticalpath import root_causes

    found: list[JsonObject] = []
    for cause, path in islice(root_causes(task["id"], read.blockers), _MOST_CAUSES):
        if len(path) > _DIRECT:
            other = read.task(cause)
            found.append({"id": cause, "title": other["title"], "status": other["status"], "path": [*path]})
    return found


def _held_back(ws: Workspace, read: ReadModel, task: Task, now: str) -> list[JsonObject]:
    """Say what keeps a ready task from starting: limits, or that nobody is there for it."""
    from atms_cli.services import attempts, dispatch

    force = attempts.workforce(ws, read, ws.config["execution"]["jobs"], ())
    able = [agent for agent in force if attempts.why_nobody([agent], task) is None]
    throttle = dispatch.Throttle(ws, read, able, now)
    limit = throttle.of(task, lanes.name_of(task))
    held = [limit] if limit is not None else []
    reason = attempts.why_nobody(force, task)
    if reason is not None:
        return [*held, {"kind": "agent", "text": f"`atms run` has nobody for it: {reason}"}]
    load = read.load()
    busy = [each for agent in able if (each := _busy(throttle, agent, task, load))]
    return [*held, *(busy if not held and len(busy) == len(able) else [])]


def _busy(throttle: Throttle, agent: Agent, task: Task, load: Mapping[str, int]) -> JsonObject | None:
    """Return why an agent that may take a task cannot now."""
    running, limit = load.get(agent["name"], 0), throttle.of(task, lanes.name_of(task), agent["name"])
    if limit is None and running >= agent["max_concurrent"]:
        return {
            "kind": "agent",
            "text": f"{agent['name']} is at work on {running} of at most {agent['max_concurrent']} tasks",
        }
    return limit


def _rank(ws: Workspace, read: ReadModel, task_id: str) -> JsonObject:
    """Return a ready task's place, and the first of those ahead of it."""
    ahead: list[str] = []
    for rank, other in enumerate(_order(ws, read), start=1):
        if other == task_id:
            first = [read.task(each) for each in ahead[:_SHOWN_AHEAD]]
            return {"rank": rank, "ahead": [{"id": each["id"], "title": each["title"]} for each in first]}
        if rank >= _MOST_AHEAD:
            break
        ahead.append(other)
    return {"rank": None, "more_than": _MOST_AHEAD}


def dead_letters(ws: Workspace) -> list[JsonObject]:
    """Return the tasks that used up their attempts, newest first, each with the reason and the end of its log."""
    read = ws.store.reading()
    return [
        {
            "id": task["id"], "title": task["title"], "attempts": task["attempts"], "reason": task["reason"],
            "failed_at": task["failed_at"], "log_tail": _log_tail(ws, task),
        }
        for task in sorted(read.of_status("failed"), key=lambda task: task["failed_at"] or "", reverse=True)
    ]  # fmt: skip


def _log_tail(ws: Workspace, task: Task) -> str:
    log = (task["result"] or {}).get("log")
    run, _, name = log.partition("/") if isinstance(log, str) else ("", "", "")
    return ws.run_files.tail(run, name, _TAIL_LINES) if run and name else ""


def stats(ws: Workspace) -> JsonObject:
    """Return how the queue is doing: size, waiting, throughput, and what is stuck or starves."""
    from atms_cli.services import measures

    return measures.of_queue(ws, ws.store.queue(ws.config["queue"]), _now(ws))


def graph(ws: Workspace, task_id: str | None) -> tuple[list[Node], list[Edge]]:
    """Return the tasks that one waits for and those that wait for it, or all open ones, and what waits for what."""
    read = ws.store.reading()
    if task_id is None:
        found = [task["id"] for task in read.tasks(_EVERY_OPEN)]
    else:
        start = read.resolve(task_id)
        found = [*_reached(start, read.needs), *(each for each in _reached(start, read.dependents) if each != start)]
    known = [read.task(each) for each in found if read.born(each)]
    shown = {task["id"] for task in known}
    edges = [
        (task["id"], need, tasks.dependency_kind(task, need))
        for task in known
        for need in task["dependencies"]
        if need in shown
    ]
    return [(task["id"], task["title"], task["status"]) for task in known], edges


def _reached(start: str, neighbours: Callable[[str], Sequence[str]]) -> list[str]:
    found = {start: None}
    # The mapping keeps the order in which they were found; the list grows while it is walked.
    waiting = [start]
    for current in waiting:
        waiting += [each for each in neighbours(current) if each not in found and found.setdefault(each) is None]
    return list(found)
