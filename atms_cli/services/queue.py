"""The queue: what is next, why, and whether it gives anything at all."""

from __future__ import annotations

from atms_cli.domain import lanes, queue
from atms_cli.domain import task as tasks
from atms_cli.domain.moment import seconds_between, to_iso
from atms_cli.errors import AtmsError, NothingToDoError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import ReadModel, TaskFilter, Workspace

#: `queue explain` counts the tasks ahead up to this many.
_MOST_AHEAD = 1000


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
    """Return the task that would be given next."""
    read = ws.store.queue(ws.config["queue"])
    if read.paused() is not None:
        raise NothingToDoError("the queue is paused", "go on with: atms queue resume")
    for task_id in _order(ws, read):
        task = read.task(task_id)
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
        "blocked": counts.get("blocked", 0) + counts.get("waiting", 0),
        "stuck": read.stuck(),
        "delayed": counts.get("delayed", 0),
        "running": active,
        "paused": read.paused() is not None,
        "pause_reason": (read.paused() or {}).get("reason"),
        "strategy": ws.config["queue"]["strategy"],
    }


def _aggregate(lane: str | None) -> str:
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
            place = _right_before(read, task, read.resolve(before))
        else:
            lowest, highest = read.ends_of_lane(lanes.name_of(task))
            place = {"pin": max(highest, 0.0) + 1.0 if last else min(lowest, 0.0) - 1.0}
        tx.record(tasks.move(task, place))
        return tx.read.task(task["id"])


def _right_before(read: ReadModel, task: Task, other: str) -> JsonObject:
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
    return lanes.beside(pin, level, since, nudge, read.nudge_before(other))


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
    """Say where a task is in the queue and what it waits for."""
    read, now = ws.store.queue(ws.config["queue"]), _now(ws)
    task = read.task(task_id)
    waits = queue.waits_for(task, read.blockers(task["id"]), now, paused=read.paused() is not None)
    ageing = ws.config["queue"]["ageing"]
    waited = seconds_between(task["queued_at"], now) if task["queued_at"] else 0.0
    explanation: JsonObject = {
        "id": task["id"],
        "title": task["title"],
        "status": task["status"],
        "priority": task["priority"],
        "strategy": ws.config["queue"]["strategy"],
        "waited_s": round(waited, 3),
        "effective_priority": round(queue.effective_priority(task["priority"], waited, ageing), 4),
        "base_priority": queue.effective_priority(task["priority"], 0.0, ageing),
        "waits_for": list(waits),
        "rank": None,
    }
    if task["status"] == "queued" and all(reason["kind"] == "paused" for reason in waits):
        explanation["rank"] = _rank(ws, read, task["id"])
        explanation["waits_for"] = [*waits, *_nobody(ws, read, task)]
    return explanation


def _nobody(ws: Workspace, read: ReadModel, task: Task) -> list[JsonObject]:
    """Say why `atms run` would not start a task that nothing else keeps waiting."""
    from atms_cli.services import attempts

    reason = attempts.why_nobody(attempts.workforce(ws, read, 1, ()), task)
    return [] if reason is None else [{"kind": "agent", "text": f"`atms run` has nobody for it: {reason}"}]


def _rank(ws: Workspace, read: ReadModel, task_id: str) -> int | None:
    for rank, other in enumerate(_order(ws, read), start=1):
        if other == task_id:
            return rank
        if rank >= _MOST_AHEAD:
            break
    return None
