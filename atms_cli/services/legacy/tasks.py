"""The original's commands about tasks, on the queue; its tasks in the file are found by their ids there as well."""

from __future__ import annotations

import json

from atms_cli.domain import decisions, legacytasks
from atms_cli.domain import feature as features
from atms_cli.domain.breakdown import FILE_PRIORITIES
from atms_cli.domain.legacy import check, number
from atms_cli.domain.matching import refusal
from atms_cli.domain.moment import to_iso
from atms_cli.errors import AtmsError, NotFoundError, UsageError
from atms_cli.services import agents, featuresync, progress, queue
from atms_cli.services import tasks as service
from atms_cli.services.legacy import sessions
from atms_cli.services.legacy.sessions import LEASE_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import TaskFilter, Workspace

    Turn = Callable[[Workspace, Task, str | None, JsonObject], object]


def create(ws: Workspace, given: JsonObject) -> JsonObject:
    """Add a task to the queue."""
    fields = legacytasks.new(given)
    after = [_own_id(ws, each) for each in legacytasks.texts(given, "dependencies")]
    feature_id = fields["feature_id"]
    if isinstance(feature_id, str):
        fields["feature_id"] = _approved(ws, feature_id)
    made = service.add(ws, fields, after=after, draft=False)
    return _told(
        made, f"`{made['id']}` is in the queue" if made["status"] == "queued" else f"`{made['id']}` is a draft"
    )


def _approved(ws: Workspace, feature_id: str) -> str:
    """Return the id of a feature that may be worked on."""
    _, feature = features.find(ws.roadmap.read() or {}, feature_id)
    if features.status(feature) != "approved":
        own, status = feature.get("id"), feature.get("status")
        raise AtmsError(f"`{own}` is {status}, not approved", f"a person approves it: atms feature approve {own}")
    return features.text(feature, "id")


def get(ws: Workspace, named: str) -> JsonObject:
    """Show a task."""
    task = _find(ws, named)
    told = _told(task, f"`{task['id']}` is {task['status'].replace('_', ' ')}")
    attempts = ws.store.reading().attempts(task["id"])
    if task["status"] == "in_progress" and attempts:
        said = progress.of(ws, attempts[-1]["run"])
        percent = said and said.get("percent")
        told["task"] = {**legacytasks.shape(task), **({} if percent is None else {"progress_percentage": percent})}
    return told


def update(ws: Workspace, named: str, given: JsonObject) -> JsonObject:
    """Change a task: its status by the transitions that there are, then its fields, then how far it has got."""
    task = _find(ws, named)
    wanted = check(given, legacytasks.CHANGES)
    if not wanted:
        raise UsageError("nothing to change", f"say what: {', '.join(legacytasks.CHANGES)}")
    fields, percent = legacytasks.changes(task, wanted), wanted.get("progress_percentage")
    # What is wrong with the fields is known before anything is done.
    decisions.update(task, fields)
    if isinstance(percent, int):
        progress.check(percent)
    way = legacytasks.way(task, str(wanted["status"])) if "status" in wanted else None
    if way is not None:
        _TURNS[way](ws, task, _token(ws, task), wanted)
    if fields:
        service.update(ws, [task["id"]], fields, tags=(), untags=())
    now = _find(ws, task["id"])
    if isinstance(percent, int) and now["status"] != "completed":
        progress.say(ws, task["id"], percent, None, _token(ws, now))
    return {**get(ws, task["id"]), "message": f"`{task['id']}` is changed"}


def complete(ws: Workspace, named: str, result: JsonObject | None = None) -> JsonObject:
    """Complete a task whose gates pass, with what it reports."""
    task = _find(ws, named)
    unblocked = _complete(ws, task, _token(ws, task), result or {})
    return {**_told(_find(ws, task["id"]), f"`{task['id']}` is completed"), "unblocked": unblocked}


def _complete(ws: Workspace, task: Task, token: str | None, result: JsonObject) -> list[object]:
    text = json.dumps(result, ensure_ascii=False) if result else None
    finished = service.done(ws, [task["id"]], token=token, force_reason=None, note=None, result=text)
    return [each["id"] for each in finished.unblocked]


def _start(ws: Workspace, task: Task, token: str | None, given: JsonObject) -> object:
    agent = ws.agent or task["assigned_agent"] or features.text(given, "updated_by") or None
    return service.start(ws, [task["id"]], agent=agent, token=token)


_WHY = "as the API was asked"
_TURNS: dict[str, Turn] = {
    "start": _start,
    "complete": lambda ws, task, token, _: _complete(ws, task, token, {}),
    "fail": lambda ws, task, token, _: service.fail(ws, [task["id"]], _WHY, token),
    "cancel": lambda ws, task, _token, _: service.cancel(ws, [task["id"]], _WHY),
    "block": lambda ws, task, _token, _: service.block(ws, [task["id"]], _WHY),
    "unblock": lambda ws, task, _token, _: service.unblock(ws, [task["id"]], _WHY),
    "enqueue": lambda ws, task, _token, _: service.enqueue(ws, [task["id"]]),
    "release": lambda ws, task, token, _: service.release(ws, [task["id"]], _WHY, token),
    "retry": lambda ws, task, _token, _: service.retry(ws, [task["id"]], _WHY),
    "reopen": lambda ws, task, _token, _: service.reopen(ws, [task["id"]], _WHY),
}


def assign(ws: Workspace, named: str, agent_id: str) -> JsonObject:
    """Give a task to an agent, on a lease."""
    task, agent = _find(ws, named), agents.one(ws, agent_id)
    able: JsonObject = {"id": agent_id, "capabilities": [*agent["capabilities"]]}
    why = refusal(agent, task)
    if why is not None:
        return {
            "success": False,
            "error": f"`{agent_id}` cannot take `{task['id']}`: {why}",
            "hint": f"see who can: atms queue explain {task['id']}",
            "agent_capabilities": able["capabilities"],
            "required_capabilities": task["required_capabilities"],
        }
    claimed = service.claim(ws, task["id"], agent=agent_id, lease_s=LEASE_S)
    sessions.show_life(ws, agent_id)
    lease: JsonObject | None = {**claimed["lease"]} if claimed["lease"] else None  # type: ignore[dict-item]
    return {**_told(claimed, f"`{task['id']}` is with {agent_id}"), "agent": able, "lease": lease}


def optimize(ws: Workspace) -> JsonObject:
    """Give each agent that claims for itself, in turns, the best task for it, as long as it has room."""
    from atms_cli.errors import NothingToDoError

    made: list[JsonObject] = []
    free = [each["name"] for each in agents.everyone(ws) if each["kind"] == "pull" and each["status"] in _FREE]
    while free:
        for name in list(free):
            try:
                task = service.claim(ws, None, agent=name, lease_s=LEASE_S)
            except NothingToDoError:
                free.remove(name)
                continue
            why = f"the first in the queue that {name} may take"
            made.append({"task_id": task["id"], "agent_id": name, "task_title": task["title"], "reason": why})
    return {"success": True, "assignments": [*made], "message": f"{len(made)} assigned"}


_FREE = ("initializing", "idle", "active")


def of_agent(ws: Workspace, agent_id: str) -> JsonObject:
    """List the tasks of an agent."""
    return _listed(_all(ws, agents=[agent_id]))


def by_status(ws: Workspace, status: str) -> JsonObject:
    """List the tasks of a status."""
    word = legacytasks.spelled(status)
    return _listed(task for task in _all(ws) if legacytasks.status(task) == word)


def by_priority(ws: Workspace, priority: str) -> JsonObject:
    """List the tasks of a priority."""
    if priority not in FILE_PRIORITIES:
        raise UsageError(f"`{priority}` is not a priority", f"choose one of: {', '.join(FILE_PRIORITIES)}")
    return _listed(task for task in _all(ws) if legacytasks.shape(task)["priority"] == priority)


def available(ws: Workspace, agent_id: str) -> JsonObject:
    """List what an agent may begin now, best first."""
    agent = agents.one(ws, agent_id)
    return _listed(task for task in queue.upcoming(ws, None) if refusal(agent, task) is None)


def in_order(ws: Workspace, wanted: JsonObject | None = None) -> JsonObject:
    """List tasks, most urgent first."""
    filters = check(wanted or {}, legacytasks.FILTER)
    if "status" in filters:
        filters["status"] = legacytasks.spelled(str(filters["status"]))
    shapes = [legacytasks.shape(task) for task in _all(ws)]
    found = [each for each in shapes if all(each.get(name) == value for name, value in filters.items())]
    return {
        "success": True,
        "tasks": [*legacytasks.most_urgent_first(found)],
        "total": len(found),
        "filters_applied": filters,
        "message": f"{len(found)} of {number(len(shapes), 'task')}",
    }


def stats(ws: Workspace) -> JsonObject:
    """Count the tasks."""
    told = legacytasks.statistics([legacytasks.shape(task) for task in _all(ws)])
    return {"success": True, "statistics": told, "message": number(told["total_tasks"], "task")}


def from_features(ws: Workspace, options: JsonObject | None = None) -> JsonObject:
    """Make the tasks of approved features that have none yet."""
    if check(options or {}, {"force": bool}).get("force"):
        raise AtmsError("a feature's tasks are made once", "to have them done again: atms feature reopen FEATURE_ID")
    created = featuresync.sync(ws)["created"] if ws.roadmap.read() is not None else []
    made = [legacytasks.shape(task) for task in created] if isinstance(created, list) else []
    return {"success": True, "created_tasks": [*made], "message": f"{number(len(made), 'task')} made"}


def _token(ws: Workspace, task: Task) -> str | None:
    """Return the lease to act on: the caller's, else that of whoever holds the task, for whom it speaks.

    The original's callers know of no leases. But who is known to be another agent, or comes after the lease has ended,
    does not act in its name; neither does anybody on what `atms run` does.
    """
    given, lease = ws.environ.get("ATMS_LEASE"), task["lease"]
    if given or lease is None:
        return given or None
    is_over = lease["expires_at"] <= to_iso(ws.clock.now_ms())
    return None if is_over or task["run"] is not None or ws.agent not in (None, lease["agent"]) else lease["token"]


def _find(ws: Workspace, named: str) -> Task:
    return ws.store.reading().task(_own_id(ws, named))


def _own_id(ws: Workspace, named: str) -> str:
    """Return the id of a task here, which may be named as in the file."""
    read = ws.store.reading()
    try:
        return read.resolve(named)
    except NotFoundError:
        of_the_file = features.by_id(ws.roadmap.read() or {}, "tasks").get(named)
        state = read.feature(features.text(of_the_file[1], "feature_id")) if of_the_file else None
        for task_id in state["tasks"] if state else ():
            if read.task(task_id)["metadata"]["properties"].get("external_id") == named:
                return task_id
        raise


def _all(ws: Workspace, agents: Iterable[str] = ()) -> list[Task]:
    wanted: TaskFilter = {
        "statuses": [], "priorities": [], "categories": [], "tags": [], "features": [], "agents": [*agents], "buckets": [], "lanes": [],
        "due_before": None, "search": "", "sort": "created", "reverse": False, "limit": None, "offset": 0,
    }  # fmt: skip
    return service.find(ws, wanted)


def _listed(found: Iterable[Task]) -> JsonObject:
    shapes = [legacytasks.shape(task) for task in found]
    return {"success": True, "tasks": [*shapes], "count": len(shapes), "message": number(len(shapes), "task")}


def _told(task: Task, message: str) -> JsonObject:
    return {"success": True, "task": legacytasks.shape(task), "message": message}
