"""What may be done with a task as it is.

A decision takes the task and returns facts (event type, aggregate id, data), or none when what is asked is already
true; it raises when the request is refused.
"""

from __future__ import annotations

from atms_cli.domain.moment import seconds_between
from atms_cli.domain.task import (
    ACTIVE,
    CATEGORIES,
    CLOSED,
    COMPLEXITIES,
    DEFAULTS,
    ISOLATIONS,
    PRIORITIES,
    TRANSITIONS,
    dependency_kind,
)
from atms_cli.errors import AtmsError, ConflictError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Fact, Json, JsonObject, Lease, Task


#: What `task.updated` may change; the rest changes through its own events.
EDITABLE = (
    "title", "description", "category", "priority", "complexity", "estimated_effort", "actual_effort", "business_value", "parent_id",
    "feature_id", "required_capabilities", "tags", "metadata", "context", "validation_criteria", "command", "prompt", "agent",
    "lane", "resources", "exclusive", "isolation", "rollup", "deadline", "not_before", "timeout", "max_attempts",
)  # fmt: skip
#: Fields that hold a name or names, and what those name.
_NAMED = {
    "lane": "lane", "exclusive": "exclusive key", "tags": "tag", "resources": "resource", "required_capabilities": "capability",
}  # fmt: skip
#: The most characters in a title.
MAX_TITLE = 500


def create(task_id: str, fields: JsonObject, *, created_by: str, draft: bool) -> list[Fact]:
    """Return the birth of a task from the fields given; queued at once unless a draft.

    Raises:
        UsageError: a value is out of its set or the title is empty or too long.

    """
    check_title(fields.get("title"))
    check_fields(fields)
    given = {name: value for name, value in fields.items() if name == "title" or value != DEFAULTS.get(name)}
    metadata = given.get("metadata")
    given["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), "created_by": created_by}
    if draft:
        given["status"] = "created"
    return [("task.created", task_id, given)]


def check_title(title: Json) -> None:
    """Refuse a title that is none."""
    if not isinstance(title, str) or not title.strip():
        raise UsageError("a task needs a title", 'give it in quotes: atms task add "Fix the login redirect"')
    if len(title) > MAX_TITLE:
        raise UsageError(
            f"the title has {len(title)} characters, more than {MAX_TITLE}", "put the details into -d TEXT"
        )


def restored(present: Task, before: Task | None, undoes: JsonObject) -> Fact:
    """Put a task where it was; one that was not there goes to the archive."""
    now: Mapping[str, Json] = {**present}  # type: ignore[dict-item]  # a Task is JSON throughout
    if before is None:
        return (
            "task.restored",
            present["id"],
            {**undoes, "fields": {"status": "archived", "reason": "its creation was undone"}},
        )
    then: Mapping[str, Json] = {**before}  # type: ignore[dict-item]
    fields = {name: value for name, value in then.items() if now.get(name) != value and name != "updated_at"}
    return "task.restored", present["id"], {**undoes, "fields": fields}


_CHOICES = {"category": CATEGORIES, "priority": PRIORITIES, "complexity": COMPLEXITIES, "isolation": ISOLATIONS}


def check_fields(fields: Mapping[str, Json]) -> None:
    """Refuse a value that is out of its set or its range."""
    for name, choices in _CHOICES.items():
        value = fields.get(name)
        if value is not None and value not in choices:
            article = "an" if name[0] in "aeiou" else "a"
            raise UsageError(f"`{value}` is not {article} {name}", f"choose one of: {', '.join(choices)}")
    for name, word in _NAMED.items():
        value = fields.get(name)
        names = value if isinstance(value, list | tuple) else () if value is None else (value,)
        if not all(isinstance(each, str) and each.strip() for each in names):
            raise UsageError(f"an empty name makes no {word}", "leave the option out")
    _check_secrets(fields.get("context"), fields.get("command"))
    for name, least in (("estimated_effort", 0), ("actual_effort", 0), ("timeout", 0), ("max_attempts", 1)):
        value = fields.get(name)
        if isinstance(value, int | float) and value < least:
            raise UsageError(f"{name} is {value}, less than {least}")


def _check_secrets(context: Json, command: Json) -> None:
    environment = context.get("environment") if isinstance(context, dict) else None
    if not environment and not command:
        return
    from atms_cli.domain.secrets import refuse_secrets, without_secrets

    if isinstance(environment, dict):
        refuse_secrets(environment)
    if isinstance(command, str) and without_secrets(command) != command:
        raise UsageError(
            "the command has a secret in it, and a task is kept in the journal",
            "set a variable where `atms run` is started, and name that in the command",
        )


def update(task: Task, changes: JsonObject) -> list[Fact]:
    """Change fields; what is as asked already is left out."""
    check_fields(changes)
    unknown = [name for name in changes if name not in EDITABLE]
    if unknown:
        raise UsageError(f"`{unknown[0]}` cannot be changed by update")
    if "title" in changes:
        check_title(changes["title"])
    before: Mapping[str, object] = task
    differing = {name: value for name, value in changes.items() if before.get(name) != value}
    return [("task.updated", task["id"], differing)] if differing else []


def link(task: Task, on: str, kind: str = "success") -> list[Fact]:
    """Make a task wait for another; the caller has looked for cycles (domain/graph.py)."""
    if on in task["dependencies"] and dependency_kind(task, on) == kind:
        return []
    return [("task.linked", task["id"], {"on": on, **({} if kind == "success" else {"kind": kind})})]


def unlink(task: Task, on: str) -> list[Fact]:
    """Let a task no longer wait for another."""
    return [("task.unlinked", task["id"], {"on": on})] if on in task["dependencies"] else []


def enqueue(task: Task) -> list[Fact]:
    """Put a draft into the queue."""
    if task["status"] == "queued":
        return []
    if task["status"] != "created":
        raise _refusal(task, "queued")
    return [("task.queued", task["id"], {})]


def claim(task: Task, lease: Lease, blocked_by: Sequence[str], now: str) -> list[Fact]:
    """Take a ready task on a lease; the same agent claiming again renews it under the same token.

    Raises:
        ConflictError: another agent holds it.
        AtmsError: it waits for others, or it is not in the queue.

    """
    held = task["lease"]
    if held is not None and held["expires_at"] > now:
        if held["agent"] != lease["agent"]:
            raise ConflictError(*_held_by(task, held))
        return renew(task, lease["expires_at"], now)
    facts = expire(task, now)
    status = "queued" if facts else task["status"]
    if status != "queued":
        raise _refusal(task, "claimed")
    if blocked_by:
        raise AtmsError(f"`{task['id']}` waits for {', '.join(blocked_by)}", f"atms queue explain {task['id']}")
    data: JsonObject = {"assigned_agent": lease["agent"], "lease": lease}
    return [*facts, ("task.claimed", task["id"], data)]


#: A renewal is an event only if it adds this part of what the lease still has; heartbeats come many times an hour.
_WORTH_RENEWING = 1.25


def renew(task: Task, expires_at: str, now: str) -> list[Fact]:
    """Make a lease last longer, unless it would gain too little to be worth an event."""
    held = task["lease"]
    if held is None or task["status"] not in ACTIVE:
        raise ConflictError(f"nobody holds `{task['id']}`", f"claim it first: atms task claim {task['id']}")
    if seconds_between(now, expires_at) < _WORTH_RENEWING * seconds_between(now, held["expires_at"]):
        return []
    return [("task.renewed", task["id"], {"lease": {**held, "expires_at": expires_at}})]


def _held_by(task: Task, lease: Lease) -> tuple[str, str]:
    message = f"`{task['id']}` is claimed by {lease['agent']} until {lease['expires_at']}"
    return message, "wait for the lease to end, or ask its holder to run: atms task release " + task["id"]


def expire(task: Task, now: str) -> list[Fact]:
    """Return a task whose lease has ended to the queue."""
    lease = task["lease"]
    if lease is None or lease["expires_at"] > now or task["status"] not in ACTIVE:
        return []
    return [
        ("task.lease_expired", task["id"], {"reason": f"the lease of {lease['agent']} ended at {lease['expires_at']}"})
    ]


def guard(task: Task, agent: str | None, token: str | None, now: str) -> None:
    """Refuse whoever acts on a task that is somebody else's, or with a token that is no longer good.

    `agent` is None for a person, who may act on anything that no one holds.
    """
    lease = task["lease"]
    if token is not None and (lease is None or lease["token"] != token):
        message = f"the lease on `{task['id']}` is no longer yours; your work is untouched"
        raise ConflictError(message, f"see who has it now: atms task show {task['id']}")
    if lease is None or token is not None or lease["expires_at"] <= now:
        return
    if agent != lease["agent"]:
        raise ConflictError(*_held_by(task, lease))


def release(task: Task, reason: str | None) -> list[Fact]:
    """Give a claimed or started task back to the queue."""
    if task["status"] == "queued":
        return []
    if task["status"] not in ACTIVE:
        raise _refusal(task, "released")
    return [("task.released", task["id"], _because(reason))]


def start(task: Task, *, agent: str, run: str | None, blocked_by: Sequence[str]) -> list[Fact]:
    """Begin an attempt. `run` names it when the loop executes it; None when its agent works by itself."""
    if task["status"] == "in_progress" and task["assigned_agent"] == agent:
        return []
    if task["status"] not in ("created", "queued", "assigned"):
        raise _refusal(task, "started")
    if blocked_by:
        raise AtmsError(f"`{task['id']}` waits for {', '.join(blocked_by)}", f"atms queue explain {task['id']}")
    data: JsonObject = {"assigned_agent": agent, "attempts": task["attempts"] + 1, "run": run}
    if task["lease"] is not None and task["lease"]["agent"] != agent:
        # Its holder let it end; his token must not open the work of another.
        data["lease"] = None
    return [("task.started", task["id"], data)]


def judged(task: Task, result: JsonObject) -> list[Fact]:
    """Note that gates were run and did not pass; the task stays as it is, for whoever works on it to go on."""
    return [("task.judged", task["id"], {"result": result})]


def validate(task: Task) -> list[Fact]:
    """Begin the quality gates."""
    if task["status"] == "validating":
        return []
    if "validating" not in TRANSITIONS[task["status"]]:
        raise _refusal(task, "done")
    return [("task.validating", task["id"], {})]


def request_review(task: Task, reason: str, result: JsonObject) -> list[Fact]:
    """Let a person look at work that its agent has ended, and say how it goes on."""
    if task["status"] == "review":
        return []
    if "review" not in TRANSITIONS[task["status"]]:
        raise _refusal(task, "reviewed")
    return [("task.review_requested", task["id"], {"reason": reason, "result": result, "run": None})]


def approve(task: Task, result: JsonObject, note: str | None, now: str) -> list[Fact]:
    """Finish a task that waited for a person, with what that person said."""
    if task["status"] == "completed":
        return []
    if task["status"] != "review":
        raise _refusal(task, "approved")
    return [("task.approved", task["id"], {"note": note} if note else {}), *complete(task, result, now)]


def override(task: Task, reason: str) -> list[Fact]:
    """Note that a person passes over the gates of a task."""
    return [] if task["status"] == "completed" else [("task.overridden", task["id"], {"reason": reason})]


def complete(task: Task, result: JsonObject, now: str) -> list[Fact]:
    """Finish a task with its evidence: gate results, exit code, or who said so."""
    if task["status"] == "completed":
        return []
    if "completed" not in TRANSITIONS[task["status"]]:
        raise _refusal(task, "done")
    data: JsonObject = {"result": result, "run": task["run"]}
    if task["actual_effort"] is None and task["started_at"] is not None:
        data["actual_effort"] = max(1, round(seconds_between(task["started_at"], now) / 60))
    return [("task.completed", task["id"], data)]


def block(task: Task, reason: str | None) -> list[Fact]:
    """Keep a task from being worked on until a person lets it go."""
    if task["status"] == "blocked":
        return []
    if "blocked" not in TRANSITIONS[task["status"]]:
        raise _refusal(task, "held")
    return [("task.blocked", task["id"], _because(reason))]


def unblock(task: Task, reason: str | None) -> list[Fact]:
    """Let a blocked task go on; it keeps its place in the queue."""
    if task["status"] == "queued":
        return []
    if task["status"] != "blocked":
        raise _refusal(task, "let go")
    return [("task.unblocked", task["id"], _because(reason))]


def move(task: Task, place: JsonObject | None) -> list[Fact]:
    """Give a queued task another place, or with None its own one back."""
    if task["status"] != "queued":
        raise _refusal(task, "moved")
    return [] if task["place"] == place else [("task.moved", task["id"], {"place": place})]


def fail(task: Task, reason: str | None, result: JsonObject | None = None) -> list[Fact]:
    """End a task without success; its dependents stay blocked until somebody acts."""
    if task["status"] == "failed":
        return []
    if "failed" not in TRANSITIONS[task["status"]]:
        raise _refusal(task, "failed")
    return [("task.failed", task["id"], {**_because(reason), "result": result, "run": task["run"]})]


def cancel(task: Task, reason: str | None) -> list[Fact]:
    """Give a task up for good."""
    if task["status"] == "cancelled":
        return []
    if "cancelled" not in TRANSITIONS[task["status"]]:
        raise _refusal(task, "cancelled")
    return [("task.cancelled", task["id"], _because(reason))]


#: Of a template, what the tasks made from it have not.
_OF_THE_TEMPLATE = frozenset((
    "id", "status", "recurrence", "not_before", "place", "lease", "run", "result", "reason", "attempts", "assigned_agent", "blocked_by",
    "dependencies", "dependency_kinds",
))  # fmt: skip


def occurrence(template: Task, at: str) -> JsonObject:
    """Return the fields of the task that a template of a recurring task becomes at a time."""
    whole: JsonObject = {**template}  # type: ignore[dict-item]  # a Task is JSON throughout
    own = {name: value for name, value in whole.items() if name not in _OF_THE_TEMPLATE and not name.endswith("_at")}
    properties = {**template["metadata"]["properties"], "recurs_from": template["id"], "occurrence": at}
    return {**own, "metadata": {**template["metadata"], "properties": properties}}


def spent(task_id: str, run: str, usage: JsonObject) -> list[Fact]:
    """Note what an attempt has cost that its end says nothing of."""
    return [("task.spent", task_id, {"run": run, "usage": usage})]


def merging(task: Task) -> list[Fact]:
    """Note that the work on a task is judged and is now brought back."""
    return [("task.merging", task["id"], {"run": task["run"]})]


def recur(template: Task, following: str) -> list[Fact]:
    """Note that a template's time has come, and when it comes next."""
    return [("task.recurred", template["id"], {"not_before": following})]


def archive(task: Task, reason: str | None) -> list[Fact]:
    """Put a task that has ended out of sight."""
    if task["status"] == "archived":
        return []
    if "archived" not in TRANSITIONS[task["status"]]:
        raise _refusal(task, "archived")
    return [("task.archived", task["id"], _because(reason))]


def retry(
    task: Task, reason: str | None, *, not_before: str | None = None, result: JsonObject | None = None
) -> list[Fact]:
    """Put a failed or interrupted task back into the queue, keeping its place and its count of attempts."""
    if task["status"] == "queued":
        return []
    if task["status"] not in ("failed", "in_progress", "validating", "assigned"):
        raise _refusal(task, "retried")
    data: JsonObject = {**_because(reason), "not_before": not_before, "result": result, "run": None}
    return [("task.retried", task["id"], data)]


def retry_from_scratch(task: Task, reason: str | None) -> list[Fact]:
    """Put a failed task, or one that waits for a review, back with all of its attempts, as a person asks for it."""
    if task["status"] == "queued":
        return []
    if task["status"] not in ("failed", "review"):
        raise _refusal(task, "retried")
    return [("task.retried", task["id"], {**_because(reason), "attempts": 0})]


def undo_start(task: Task, reason: str, result: JsonObject | None = None) -> list[Fact]:
    """Put a task back whose attempt never began, was stopped on purpose, or failed through no fault of the task's.

    It does not count as an attempt. A result, if given, says how to go on.
    """
    kept: JsonObject = {} if result is None else {"result": result}
    return [("task.retried", task["id"], {"reason": reason, "attempts": max(0, task["attempts"] - 1), **kept})]


def reopen(task: Task, reason: str | None) -> list[Fact]:
    """Bring a closed task back into the queue."""
    if task["status"] == "queued":
        return []
    if task["status"] not in (*CLOSED, "failed", "review", "blocked"):
        raise _refusal(task, "reopened")
    return [("task.reopened", task["id"], {**_because(reason), "attempts": 0, "result": None})]


def _because(reason: str | None) -> JsonObject:
    return {"reason": reason} if reason else {}


_WAY_OUT = {
    "completed": "bring it back first: atms task reopen {id}",
    "cancelled": "bring it back first: atms task reopen {id}",
    "archived": "bring it back first: atms task reopen {id}",
    "failed": "try it again first: atms task retry {id}",
    "in_progress": "give it back first: atms task release {id}",
    "validating": "give it back first: atms task release {id}",
    "assigned": "give it back first: atms task release {id}",
    "review": "let it go on first: atms task retry {id}",
}


def _refusal(task: Task, wanted: str) -> AtmsError:
    status = task["status"].replace("_", " ")
    hint = _WAY_OUT.get(task["status"], "see its history: atms log {id}").format(id=task["id"])
    return AtmsError(f"`{task['id']}` is {status}, so it cannot be {wanted}", hint)
