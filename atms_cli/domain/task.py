"""The life of a task: its statuses, the one transition table, its events, and how they fold into it.

`evolve` folds an event into a task and never refuses: what is in the journal has happened. Which events may come to be
is for decisions.py to say.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atms_cli.domain.records import Event, Json, JsonObject, Task

CATEGORIES = (
    "feature", "bug_fix", "enhancement", "refactoring", "testing", "documentation", "security", "performance",
    "maintenance", "research",
)  # fmt: skip
#: From most to least urgent; the position is the level that the queue sorts by.
PRIORITIES = ("critical", "high", "medium", "low", "background")
COMPLEXITIES = ("trivial", "simple", "moderate", "complex", "critical")

#: Where attempts work: in the tree as it is, or each task in a git worktree of its own.
ISOLATIONS = ("shared", "worktree")

#: From each status to those that may follow. The diagram in docs/reference/tasks.md is made from this.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "created": (
        "queued",
        "assigned",
        "in_progress",
        "validating",
        "review",
        "completed",
        "blocked",
        "cancelled",
        "archived",
    ),
    "queued": (
        "assigned",
        "in_progress",
        "validating",
        "review",
        "completed",
        "failed",
        "blocked",
        "cancelled",
        "created",
    ),
    "assigned": ("in_progress", "validating", "review", "queued", "completed", "failed", "blocked", "cancelled"),
    "in_progress": ("validating", "completed", "failed", "queued", "review", "blocked", "cancelled"),
    "validating": ("completed", "failed", "queued", "review", "in_progress", "cancelled"),
    "review": ("completed", "failed", "queued", "cancelled"),
    "blocked": ("queued", "completed", "cancelled"),
    "failed": ("queued", "completed", "cancelled", "archived"),
    "completed": ("queued", "archived"),
    "cancelled": ("queued", "archived"),
    "archived": ("queued",),
}
STATUSES = tuple(TRANSITIONS)
#: Nothing more will happen to these by itself.
CLOSED = ("completed", "cancelled", "archived")
#: Somebody is at work on these.
ACTIVE = ("assigned", "in_progress", "validating")
#: These keep their dependents waiting for ever unless a person acts.
DEAD_ENDS = ("failed", "cancelled")

#: Event type to the status it leads to and the timestamp it sets; None leaves them alone.
EVENTS: dict[str, tuple[str | None, str | None]] = {
    "task.created": (None, "created_at"),
    "task.imported": (None, None),
    "task.updated": (None, None),
    "task.linked": (None, None),
    "task.unlinked": (None, None),
    "task.moved": (None, None),
    "task.recurred": (None, None),
    "task.blocked": ("blocked", None),
    "task.unblocked": ("queued", None),
    "task.queued": ("queued", "queued_at"),
    "task.claimed": ("assigned", "assigned_at"),
    "task.renewed": (None, None),
    "task.released": ("queued", None),
    "task.lease_expired": ("queued", None),
    "task.started": ("in_progress", "started_at"),
    "task.validating": ("validating", None),
    "task.judged": (None, None),
    "task.review_requested": ("review", None),
    "task.merging": (None, None),
    "task.spent": (None, None),
    "task.approved": (None, None),
    "task.overridden": (None, None),
    "task.completed": ("completed", "completed_at"),
    "task.failed": ("failed", "failed_at"),
    "task.retried": ("queued", None),
    "task.reopened": ("queued", "queued_at"),
    "task.cancelled": ("cancelled", "cancelled_at"),
    "task.archived": ("archived", None),
    "task.restored": (None, None),
    "task.folded": (None, None),
}

#: What a new task has unless told otherwise. Part of the event format: `task.created` holds only what differs.
DEFAULTS: dict[str, Json] = {
    "description": "",
    "category": "feature",
    "priority": "medium",
    "status": "queued",
    "complexity": "moderate",
    "estimated_effort": None,
    "actual_effort": None,
    "business_value": "",
    "dependencies": [],
    "dependency_kinds": {},
    "parent_id": None,
    "assigned_agent": None,
    "lease": None,
    "feature_id": None,
    "required_capabilities": [],
    "tags": [],
    "metadata": {},
    "context": {},
    "validation_criteria": {},
    "command": None,
    "prompt": None,
    "agent": None,
    "lane": None,
    "resources": [],
    "exclusive": None,
    "isolation": None,
    "place": None,
    "recurrence": None,
    "rollup": False,
    "deadline": None,
    "not_before": None,
    "timeout": None,
    "max_attempts": None,
    "attempts": 0,
    "run": None,
    "result": None,
    "reason": None,
    "created_at": None,
    "updated_at": None,
    "queued_at": None,
    "assigned_at": None,
    "started_at": None,
    "completed_at": None,
    "failed_at": None,
    "cancelled_at": None,
}
#: What the fields that hold fields have unless told otherwise.
NESTED_DEFAULTS: dict[str, dict[str, Json]] = {
    "metadata": {
        "properties": {}, "affected_files": [], "related_issues": [], "created_by": "", "approved_by": None, "approved_at": None,
    },
    "context": {
        "working_directory": None, "environment": {}, "required_tools": [], "inputs": {}, "outputs": {}, "constraints": {},
    },
    "validation_criteria": {"gates": [], "success_criteria": [], "commands": []},
}  # fmt: skip
_FIELDS = (frozenset(DEFAULTS) | {"title"}) - {"status", "dependencies", "dependency_kinds"}
#: How the other must end before a task may start; `soft` only asks to go first, if it can go at all.
DEPENDENCY_KINDS = ("success", "failure", "always", "soft")
#: What a task of each complexity is taken to need when nobody has said so, in minutes.
USUAL_EFFORT = {"trivial": 15, "simple": 30, "moderate": 60, "complex": 240, "critical": 480}


def level(priority: str) -> int:
    """Return 0 for the most urgent priority, counting up."""
    return PRIORITIES.index(priority)


def evolve(task: Task | None, event: Event) -> Task | None:
    """Fold one event into a task; an event that the transition table forbids is superseded and changes nothing."""
    kind, data, at = event["type"], event["data"], event["at"]
    if task is None or kind == "task.folded":
        return BIRTHS[kind](event) if kind in BIRTHS else None
    if kind not in EVENTS or _is_superseded(task, event):
        return task
    if kind == "task.restored":
        return _put_back(task, event)
    status, stamp = EVENTS[kind]
    changed: JsonObject = {name: value for name, value in data.items() if name in _FIELDS}
    if kind in ("task.linked", "task.unlinked"):
        changed |= _relinked(task, data, linking=kind == "task.linked")
    if status is not None:
        waits: JsonObject = {"not_before": None} if status == "queued" else {}
        changed = {"reason": None, **waits, **changed, **_on_entering(status, task, at), "status": status}
    if stamp is not None:
        changed[stamp] = at
    return {**task, **changed, "updated_at": at}  # type: ignore[return-value]


def _is_superseded(task: Task, event: Event) -> bool:
    """Return whether an event comes too late to change anything: another clone's was earlier."""
    kind, data, lease = event["type"], event["data"], task["lease"]
    if kind == "task.renewed":
        # A second clone may have claimed the task too; the first claim holds.
        return lease is None or task["status"] not in ACTIVE or _token(data.get("lease")) != lease["token"]
    if lease is not None and (
        (kind == "task.lease_expired" and lease["expires_at"] > event["at"])
        or (kind == "task.started" and "lease" not in data and lease["agent"] != data["assigned_agent"])
    ):
        return True
    status, _ = EVENTS[kind]
    return kind in BIRTHS if status is None else status not in TRANSITIONS[task["status"]]


def _token(lease: Json) -> object:
    return lease.get("token") if isinstance(lease, dict) else None


def superseded(history: Sequence[Event]) -> set[str]:
    """Return the ids of the events of a task that changed nothing, because an earlier one ruled them out."""
    task: Task | None = None
    found: set[str] = set()
    for event in history:
        before, task = task, evolve(task, event)
        if before is not None and task is before and event["type"] in EVENTS:
            found.add(event["id"])
    return found


def _born(event: Event) -> Task:
    data = event["data"]
    task: JsonObject = {"id": event["key"], "title": "", **DEFAULTS, **data, **_nested(data)}
    if task["status"] == "queued":
        task["queued_at"] = event["at"]
    task["created_at"] = task["updated_at"] = event["at"]
    return task  # type: ignore[return-value]


def _nested(given: Mapping[str, object]) -> JsonObject:
    """Return the fields that hold fields, each whole; those of which nothing is said are shared."""
    return {
        name: {**defaults, **own} if isinstance(own := given.get(name), dict) else defaults
        for name, defaults in NESTED_DEFAULTS.items()
    }


def _settled(event: Event) -> Task:
    """Return a task as another workspace knew it; nobody here is at work on it."""
    given = event["data"]["task"]
    whole = given if isinstance(given, dict) else {}
    task: JsonObject = {"title": "", **DEFAULTS, **whole, **_nested(whole), "id": event["key"]}
    if task["status"] in ACTIVE:
        task["status"] = "queued"
    task |= {"lease": None, "run": None, **({"assigned_agent": None} if task["status"] == "queued" else {})}
    for stamp in ("created_at", "updated_at", *(("queued_at",) if task["status"] == "queued" else ())):
        task[stamp] = task[stamp] or event["at"]
    return task  # type: ignore[return-value]


def _put_back(task: Task, event: Event) -> Task:
    """Set fields as they were, whatever the transition table says: this is how a mistake is taken back."""
    fields = event["data"]["fields"]
    return {**task, **(fields if isinstance(fields, dict) else {}), "updated_at": event["at"]}  # type: ignore[typeddict-item]


def unfold(event: Event) -> Iterator[tuple[Task | None, Event, Task | None]]:
    """Yield the events that a fold stands for and that had an effect, each with the task before and after; the fold is last."""
    from atms_cli.domain.terse import entries

    task: Task | None = None
    for each in entries(event):
        if each["type"] != "task.folded" and not each.get("superseded"):
            before, task = task, evolve(task, each)
            yield before, each, task
    rest = event["data"]["task"]
    told: JsonObject = {**task} if task else {"id": "", "title": "", **DEFAULTS}  # type: ignore[dict-item]
    whole: JsonObject = {**told, **(rest if isinstance(rest, dict) else {}), "id": event["key"]}
    yield task, event, whole  # type: ignore[misc]


def unfolded(event: Event) -> Task:
    """Return a task as its folded events tell it, and the fields that they do not tell."""
    *_, (_, _, task) = unfold(event)
    return task  # type: ignore[return-value]  # a fold brings forth a task


BIRTHS = {"task.created": _born, "task.imported": _settled, "task.folded": unfolded}


def _on_entering(status: str, task: Task, at: str) -> JsonObject:
    """Return what a status takes away: nobody works on a queued, reviewed or closed task, and a queued one has not ended."""
    if status == "queued":
        return {
            "assigned_agent": None, "lease": None, "run": None, "completed_at": None, "failed_at": None, "cancelled_at": None,
            # A draft that was started, or cancelled, without ever being queued has no place yet.
            "queued_at": task["queued_at"] or at,
        }  # fmt: skip
    if status in (*CLOSED, "failed", "review"):
        return {"lease": None, "run": None}
    return {}


def _relinked(task: Task, data: JsonObject, *, linking: bool) -> JsonObject:
    """Return the dependencies with one more or less, and of which kind those are that are not of the usual one."""
    on, kind = str(data["on"]), str(data.get("kind") or "success")
    others = [need for need in task["dependencies"] if need != on]
    kinds = {need: its for need, its in task["dependency_kinds"].items() if need != on}
    if not linking:
        return {"dependencies": others, "dependency_kinds": kinds}
    return {
        "dependencies": task["dependencies"] if on in task["dependencies"] else [*others, on],
        "dependency_kinds": kinds if kind == "success" else {**kinds, on: kind},
    }


def dependency_kind(task: Task, on: str) -> str:
    """Return how a dependency must end before a task may start."""
    return task["dependency_kinds"].get(on, "success")


def effort_minutes(task: Task) -> float:
    """Return how long a task is taken to need: its estimate, or what is usual for its complexity."""
    return task["estimated_effort"] or USUAL_EFFORT[task["complexity"]]


def is_met(task: Task) -> bool:
    """Return whether those who wait for this task may go on."""
    return task["status"] == "completed" or (task["status"] == "archived" and task["completed_at"] is not None)
