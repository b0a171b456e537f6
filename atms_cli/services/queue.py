"""The queue: what is next, why, and whether it gives anything at all."""

from __future__ import annotations

from atms_cli.domain import queue
from atms_cli.domain.moment import seconds_between, to_iso
from atms_cli.errors import NothingToDoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace

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


def pause(ws: Workspace, reason: str | None) -> bool:
    """Stop giving out tasks; return whether that is new."""
    with ws.store.writing(ws.actor) as tx:
        if tx.read.paused() is not None:
            return False
        tx.record([("queue.paused", "queue/default", {"reason": reason})])
        return True


def resume(ws: Workspace) -> bool:
    """Give out tasks again; return whether that is new."""
    with ws.store.writing(ws.actor) as tx:
        if tx.read.paused() is None:
            return False
        tx.record([("queue.resumed", "queue/default", {})])
        return True


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
