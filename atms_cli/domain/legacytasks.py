"""Tasks in the original's shape and words, and its callers' fields in ours.

What its callers say that is not a word of ours (a type, `urgent`, their own metadata) is kept in the task's properties.
"""

from __future__ import annotations

from math import isfinite

from atms_cli.domain.breakdown import FILE_PRIORITIES
from atms_cli.domain.legacy import check, counted
from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.legacy import Fields
    from atms_cli.domain.records import Json, JsonObject, Task

NEW: Fields = {
    "title": str, "description": str, "type": str, "priority": str, "dependencies": list, "estimated_effort": (int, float),
    "required_capabilities": list, "feature_id": str, "created_by": str, "metadata": dict,
}  # fmt: skip
CHANGES: Fields = {
    "title": str, "description": str, "status": str, "priority": str, "progress_percentage": int, "metadata": dict, "updated_by": str,
}  # fmt: skip
FILTER: Fields = {"status": str, "assigned_to": str, "priority": str, "type": str, "feature_id": str}

#: The original's types of tasks, of both its times, to our categories.
TYPES = {
    "implementation": "feature", "testing": "testing", "documentation": "documentation", "validation": "testing",
    "deployment": "maintenance", "analysis": "research", "feature": "feature", "test": "testing", "error": "bug_fix", "audit": "testing",
}  # fmt: skip
#: Our categories to the types that the original gives what it derives.
_TYPE_OF = {
    "testing": "testing", "documentation": "documentation", "security": "analysis", "performance": "analysis", "research": "analysis",
    "maintenance": "deployment",
}  # fmt: skip
_PRIORITY_OF = {"medium": "normal", "background": "low"}
#: From most to least urgent, as the original sorts.
PRIORITIES = ("critical", "urgent", "high", "normal", "medium", "low")
#: Our statuses that the original has no word for.
_STATUS_OF = {"created": "suggested", "validating": "in_progress", "review": "in_progress"}
STATUSES = ("suggested", "queued", "assigned", "in_progress", "blocked", "completed", "failed", "cancelled")
_SPELLINGS = {"in-progress": "in_progress", "pending": "queued"}
#: Where the original's own words are kept among a task's properties.
_KEPT = "api"
_USUAL_EFFORT_H = 5
_MOST_EFFORT_H = 100_000

#: What leads to a status, whatever the task is at, and back into the queue by where it is.
_WAYS = {"in_progress": "start", "blocked": "block", "completed": "complete", "failed": "fail", "cancelled": "cancel"}
_WAYS_BACK = {
    "created": "enqueue", "assigned": "release", "in_progress": "release", "validating": "release", "blocked": "unblock",
    "failed": "retry", "review": "retry", "completed": "reopen", "cancelled": "reopen", "archived": "reopen",
}  # fmt: skip


def new(given: JsonObject) -> JsonObject:
    """Return the fields of a task that a caller describes, but for its dependencies."""
    fields = check(given, NEW)
    for name in ("title", "description"):
        if not str(fields.get(name, "")).strip():
            raise UsageError(f"a task needs a {name}", 'give it: {"title": "…", "description": "…"}')
    kept: JsonObject = {name: fields[name] for name in ("type", "priority", "created_by", "metadata") if name in fields}
    return {
        "title": fields["title"],
        "description": fields["description"],
        "category": _one_of(TYPES, fields.get("type", "implementation"), "type of tasks"),
        "priority": _one_of(FILE_PRIORITIES, fields.get("priority", "normal"), "priority"),
        "estimated_effort": _minutes(fields.get("estimated_effort", _USUAL_EFFORT_H)),
        "required_capabilities": [name for name in texts(fields, "required_capabilities") if name != "general"],
        "feature_id": fields.get("feature_id"),
        "metadata": {"properties": {_KEPT: kept}},
    }


def texts(fields: JsonObject, name: str) -> list[str]:
    """Return a list of words."""
    found = fields.get(name)
    words = found if isinstance(found, list) else []
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise UsageError(f"`{name}` is not a list of words", f'write it like "{name}": ["…"]')
    return [str(word) for word in words]


def _one_of(known: Mapping[str, str], word: Json, what: str) -> str:
    if word not in known:
        raise UsageError(f"`{word}` is not a {what}", f"choose one of: {', '.join(known)}")
    return known[str(word)]


def _minutes(hours: Json) -> int:
    if not isinstance(hours, int | float) or not isfinite(hours) or not 0 <= hours <= _MOST_EFFORT_H:
        raise UsageError(f"`estimated_effort` is {hours}", f"give hours, from 0 to {_MOST_EFFORT_H}")
    return round(hours * 60)


def changes(task: Task, given: JsonObject) -> JsonObject:
    """Return the fields of ours that a caller changes; its status and progress are no fields."""
    found: JsonObject = {name: given[name] for name in ("title", "description") if name in given}
    if "priority" in given:
        found["priority"] = _one_of(FILE_PRIORITIES, given["priority"], "priority")
    own: JsonObject = {name: given[name] for name in ("priority", "metadata", "updated_by") if name in given}
    if own:
        properties = task["metadata"]["properties"]
        found["metadata"] = {"properties": {**properties, _KEPT: {**_kept(task), **own}}}
    return found


def way(task: Task, wanted: str) -> str | None:
    """Return what brings a task to a status, by name; None if it is there."""
    word = spelled(wanted)
    if word == status(task):
        return None
    if word in _WAYS:
        return _WAYS[word]
    if word == "queued":
        return _WAYS_BACK[task["status"]]
    raise AtmsError(
        f"`{task['id']}` cannot be set to {word}",
        "give it to an agent: atms api assign-task TASK_ID AGENT_ID" if word == "assigned" else "cancel it instead",
    )


def spelled(word: str) -> str:
    """Return a status in the original's first spelling; refuse one that is none."""
    found = _SPELLINGS.get(word, word)
    if found not in STATUSES:
        raise UsageError(f"`{word}` is not a status of tasks", f"choose one of: {', '.join(STATUSES)}")
    return found


def status(task: Task) -> str:
    """Return a task's status in the original's words."""
    if task["status"] == "archived":
        return "completed" if task["completed_at"] else "cancelled"
    return _STATUS_OF.get(task["status"], task["status"])


def shape(task: Task) -> JsonObject:
    """Return a task as the original prints it; `atms_status` is its status here."""
    kept, properties = _kept(task), task["metadata"]["properties"]
    effort = task["estimated_effort"]
    about: JsonObject = {"auto_generated": properties.get("auto_generated") is True}
    if "external_id" in properties:
        about["external_id"] = properties["external_id"]
    own = kept.get("metadata")
    return {
        "id": task["id"],
        "feature_id": task["feature_id"],
        "title": task["title"],
        "description": task["description"],
        "type": _type(task, kept),
        "priority": _priority(task, kept),
        "status": status(task),
        "dependencies": task["dependencies"],
        "estimated_effort": None if effort is None else effort // 60 if effort % 60 == 0 else effort / 60,
        "required_capabilities": task["required_capabilities"] or ["general"],
        "created_at": task["created_at"],
        "updated_at": task["updated_at"],
        "created_by": kept.get("created_by") or task["metadata"]["created_by"],
        "metadata": {**about, **(own if isinstance(own, dict) else {})},
        **_moving(task),
        "atms_status": task["status"],
    }


def _moving(task: Task) -> JsonObject:
    """Return what only a task has that somebody took, or that has ended."""
    told: JsonObject = {}
    if task["assigned_agent"] is not None:
        told |= {"assigned_to": task["assigned_agent"], "assigned_at": task["assigned_at"] or task["started_at"]}
    if task["lease"] is not None:
        told["lease_expires_at"] = task["lease"]["expires_at"]
    if task["completed_at"] is not None:
        told |= {"completed_at": task["completed_at"], "progress_percentage": 100, "result": _result(task)}
    elif task["reason"]:
        told["reason"] = task["reason"]
    return told


def _result(task: Task) -> JsonObject:
    """Return what was reported at the end of a task."""
    result = task["result"] or {}
    reported = result.get("results")
    words = result.get("text") or result.get("note")
    return {**(reported if isinstance(reported, dict) else {}), **({"text": words} if words else {})}


def _kept(task: Task) -> JsonObject:
    kept = task["metadata"]["properties"].get(_KEPT)
    return dict(kept) if isinstance(kept, dict) else {}


def _type(task: Task, kept: JsonObject) -> str:
    own = kept.get("type")
    if isinstance(own, str) and TYPES.get(own) == task["category"]:
        return own
    return _TYPE_OF.get(task["category"], "implementation")


def _priority(task: Task, kept: JsonObject) -> str:
    own = kept.get("priority")
    if isinstance(own, str) and FILE_PRIORITIES.get(own) == task["priority"]:
        return own
    return _PRIORITY_OF.get(task["priority"], task["priority"])


def most_urgent_first(shapes: Sequence[JsonObject]) -> list[JsonObject]:
    """Return tasks by priority, then by age."""
    return sorted(shapes, key=lambda each: (PRIORITIES.index(str(each["priority"])), str(each["created_at"])))


def statistics(shapes: Sequence[JsonObject]) -> JsonObject:
    """Count tasks by status, priority, type and agent, and tell what part of them is completed, in percent."""
    counts: JsonObject = {
        f"by_{name}": counted([str(each[name]) for each in shapes]) for name in ("status", "priority", "type")
    }
    completed = sum(each["status"] == "completed" for each in shapes)
    return {
        "total_tasks": len(shapes),
        **counts,
        "by_agent": counted([str(each["assigned_to"]) for each in shapes if "assigned_to" in each]),
        "completion_rate": round(100 * completed / len(shapes)) if shapes else 0,
    }
