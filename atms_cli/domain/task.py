"""The life of a task: its statuses, the one transition table, its events, and the decisions that emit them.

A decision takes the task as it is and returns facts (event type, aggregate id, data), or none when what is
asked is already true; it raises when the request is refused. `evolve` folds an event into a task and never refuses.
"""

from __future__ import annotations

from atms_cli.domain.moment import is_iso, seconds_between
from atms_cli.errors import AtmsError, ConflictError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atms_cli.domain.records import Event, Fact, Json, JsonObject, Lease, Task

CATEGORIES = (
    "feature", "bug_fix", "enhancement", "refactoring", "testing", "documentation", "security", "performance",
    "maintenance", "research",
)  # fmt: skip
#: From most to least urgent; the position is the level that the queue sorts by.
PRIORITIES = ("critical", "high", "medium", "low", "background")
COMPLEXITIES = ("trivial", "simple", "moderate", "complex", "critical")

#: From each status to those that may follow. The diagram in docs/reference/tasks.md is made from this.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "created": ("queued", "assigned", "in_progress", "validating", "completed", "blocked", "cancelled", "archived"),
    "queued": ("assigned", "in_progress", "validating", "completed", "failed", "blocked", "cancelled", "created"),
    "assigned": ("in_progress", "validating", "queued", "completed", "failed", "blocked", "cancelled"),
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
    "validation_criteria": {"gates": [], "success_criteria": []},
}  # fmt: skip
#: What `task.updated` may change; the rest changes through its own events.
EDITABLE = (
    "title", "description", "category", "priority", "complexity", "estimated_effort", "actual_effort", "business_value", "parent_id",
    "feature_id", "required_capabilities", "tags", "metadata", "context", "validation_criteria", "command", "prompt", "agent",
    "lane", "resources", "exclusive", "rollup", "deadline", "not_before", "timeout", "max_attempts",
)  # fmt: skip
_TIMES = frozenset(name for name in DEFAULTS if name.endswith("_at")) | {"deadline", "not_before"}
_FIELDS = (frozenset(DEFAULTS) | {"title"}) - {"status", "dependencies", "dependency_kinds"}
#: How the other must end before a task may start; `soft` only asks to go first, if it can go at all.
DEPENDENCY_KINDS = ("success", "failure", "always", "soft")
#: What a task of each complexity is taken to need when nobody has said so, in minutes.
USUAL_EFFORT = {"trivial": 15, "simple": 30, "moderate": 60, "complex": 240, "critical": 480}
#: The most characters in a title.
MAX_TITLE = 500


def level(priority: str) -> int:
    """Return 0 for the most urgent priority, counting up."""
    return PRIORITIES.index(priority)


def evolve(task: Task | None, event: Event) -> Task | None:
    """Fold one event into a task; an event that the transition table forbids is superseded and changes nothing."""
    kind, data, at = event["type"], event["data"], event["at"]
    if task is None or kind == "task.folded":
        return _BIRTHS[kind](event) if kind in _BIRTHS else None
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
    return kind in _BIRTHS if status is None else status not in TRANSITIONS[task["status"]]


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
    """Return the fields that hold fields, each whole."""
    own = {name: value for name, value in given.items() if isinstance(value, dict)}
    return {name: {**defaults, **own.get(name, {})} for name, defaults in NESTED_DEFAULTS.items()}


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


def _unfolded(event: Event) -> Task:
    """Return a task as its folded events tell it, and the fields that they do not tell."""
    *_, (_, _, task) = unfold(event)
    return task  # type: ignore[return-value]  # a fold brings forth a task


_BIRTHS = {"task.created": _born, "task.imported": _settled, "task.folded": _unfolded}


def _on_entering(status: str, task: Task, at: str) -> JsonObject:
    """Return what a status takes away: nobody works on a queued or closed task, and a queued one has not ended."""
    if status == "queued":
        return {
            "assigned_agent": None, "lease": None, "run": None, "completed_at": None, "failed_at": None, "cancelled_at": None,
            # A draft that was started, or cancelled, without ever being queued has no place yet.
            "queued_at": task["queued_at"] or at,
        }  # fmt: skip
    if status in CLOSED or status == "failed":
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


def create(task_id: str, fields: JsonObject, *, created_by: str, draft: bool) -> list[Fact]:
    """Return the birth of a task from the fields given; queued at once unless a draft.

    Raises:
        UsageError: a value is out of its set or the title is empty or too long.

    """
    _check_title(fields.get("title"))
    check_fields(fields)
    given = {name: value for name, value in fields.items() if name == "title" or value != DEFAULTS.get(name)}
    metadata = given.get("metadata")
    given["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), "created_by": created_by}
    if draft:
        given["status"] = "created"
    return [("task.created", task_id, given)]


def _check_title(title: Json) -> None:
    if not isinstance(title, str) or not title.strip():
        raise UsageError("a task needs a title", 'give it in quotes: atms task add "Fix the login redirect"')
    if len(title) > MAX_TITLE:
        raise UsageError(
            f"the title has {len(title)} characters, more than {MAX_TITLE}", "put the details into -d TEXT"
        )


def imported(task_id: str, original: JsonObject) -> Fact:
    """State that a task came whole from another workspace, with its events.

    Raises:
        UsageError: somebody has edited it since, and a field is no good.

    """
    whole = {name: original[name] for name in ("title", *DEFAULTS) if original.get(name) is not None}
    _check_title(whole.get("title"))
    check_fields(whole)
    if whole.get("status", "queued") not in STATUSES:
        raise UsageError(f"`{whole['status']}` is not a status", f"choose one of: {', '.join(STATUSES)}")
    for name, value in whole.items():
        if not _fits(name, value):
            raise UsageError(f"`{task_id}` has {value!r} as its {name}")
    return "task.imported", task_id, {"task": whole, "history": original.get("history", [])}


def _fits(name: str, value: Json) -> bool:
    """Return whether a value is of the kind that a field holds."""
    if name in _TIMES:
        return isinstance(value, str) and is_iso(value)
    default = DEFAULTS.get(name)
    return default is None or type(value) is type(default)


def check_event(event: Event) -> None:
    """Refuse an event of a task, from another clone, whose data no decision here can have made.

    Raises:
        UsageError: it would make a task that nobody can work with.

    """
    kind, data = event["type"], event["data"]
    fields = _given(event)
    if not isinstance(fields, dict):
        raise UsageError(f"`{fields!r}` are no fields")
    if "title" in fields or kind in _BIRTHS:
        _check_title(fields.get("title"))
    check_fields(fields)
    if fields.get("status", "queued") not in STATUSES:
        raise UsageError(f"`{fields['status']}` is not a status")
    if kind in ("task.linked", "task.unlinked"):
        _require(isinstance(data.get("on"), str), "on", data.get("on"))
        _require(data.get("kind", "success") in DEPENDENCY_KINDS, "kind", data.get("kind"))
    for name, value in fields.items():
        _require(_is_of_its_kind(name, value), name, value)


def _given(event: Event) -> Json:
    """Return the fields that an event of a task sets, wherever it has them."""
    if event["type"] == "task.folded":
        from atms_cli.domain.terse import is_whole

        _require(is_whole(event), "history", event["data"].get("history"))
        task: JsonObject = {**_unfolded(event)}  # type: ignore[dict-item]  # a Task is JSON throughout
        _require(bool(task["created_at"] and task["updated_at"]), "created_at", task["created_at"])
        return task
    holder = {"task.imported": "task", "task.restored": "fields"}.get(event["type"])
    return event["data"][holder] if holder else event["data"]


def _require(holds: bool, name: str, value: Json) -> None:  # noqa: FBT001  a condition, not a switch
    if not holds:
        raise UsageError(f"{value!r} cannot be the {name} of a task")


def _is_of_its_kind(name: str, value: Json) -> bool:
    if value is None and DEFAULTS.get(name) is None:
        return True
    if name in NESTED_DEFAULTS:
        return isinstance(value, dict) and _is_nested_well(NESTED_DEFAULTS[name], value)
    return _KINDS[name](value) if name in _KINDS else _fits(name, value)


def _is_nested_well(defaults: Mapping[str, Json], given: Mapping[str, object]) -> bool:
    known = [(default, given[name]) for name, default in defaults.items() if name in given]
    return all(default is None or type(value) is type(default) for default, value in known)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_lease(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(value.get(each)) for each in ("agent", "token", "expires_at"))


#: What a place in the queue may say (domain/lanes.py).
_PLACE_KINDS: dict[str, Callable[[object], bool]] = {
    "pin": _is_number,
    "nudge": _is_number,
    "level": lambda value: isinstance(value, int) and 0 <= value < len(PRIORITIES),
    "since": lambda value: _fits("queued_at", value),  # type: ignore[arg-type]  # what is not JSON does not fit
}


def _is_place(value: object) -> bool:
    return isinstance(value, dict) and all(name in _PLACE_KINDS and _PLACE_KINDS[name](value[name]) for name in value)


#: What fields hold whose default does not say it.
_KINDS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(
        (
            "assigned_agent",
            "parent_id",
            "feature_id",
            "command",
            "prompt",
            "agent",
            "lane",
            "exclusive",
            "run",
            "reason",
        ),
        _is_text,
    ),
    **dict.fromkeys(("estimated_effort", "actual_effort", "timeout", "max_attempts"), _is_number),
    **dict.fromkeys(("dependencies", "required_capabilities", "resources", "tags"), _are_texts),
    "dependency_kinds": lambda value: isinstance(value, dict) and set(value.values()) <= set(DEPENDENCY_KINDS),
    "place": _is_place,
    "recurrence": lambda value: isinstance(value, dict) and _is_text(value.get("cron")),
    "lease": _is_lease,
    "result": lambda value: isinstance(value, dict),
}


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


_CHOICES = {"category": CATEGORIES, "priority": PRIORITIES, "complexity": COMPLEXITIES}


def check_fields(fields: Mapping[str, Json]) -> None:
    """Refuse a value that is out of its set or its range."""
    for name, choices in _CHOICES.items():
        value = fields.get(name)
        if value is not None and value not in choices:
            raise UsageError(f"`{value}` is not a {name}", f"choose one of: {', '.join(choices)}")
    for name, least in (("estimated_effort", 0), ("actual_effort", 0), ("timeout", 0), ("max_attempts", 1)):
        value = fields.get(name)
        if isinstance(value, int | float) and value < least:
            raise UsageError(f"{name} is {value}, less than {least}")


def update(task: Task, changes: JsonObject) -> list[Fact]:
    """Change fields; what is as asked already is left out."""
    check_fields(changes)
    unknown = [name for name in changes if name not in EDITABLE]
    if unknown:
        raise UsageError(f"`{unknown[0]}` cannot be changed by update")
    if "title" in changes:
        _check_title(changes["title"])
    before: Mapping[str, object] = task
    differing = {name: value for name, value in changes.items() if before.get(name) != value}
    return [("task.updated", task["id"], differing)] if differing else []


def dependency_kind(task: Task, on: str) -> str:
    """Return how a dependency must end before a task may start."""
    return task["dependency_kinds"].get(on, "success")


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


def effort_minutes(task: Task) -> float:
    """Return how long a task is taken to need: its estimate, or what is usual for its complexity."""
    return task["estimated_effort"] or USUAL_EFFORT[task["complexity"]]


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


def is_met(task: Task) -> bool:
    """Return whether those who wait for this task may go on."""
    return task["status"] == "completed" or (task["status"] == "archived" and task["completed_at"] is not None)


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
    """Put a failed task back with all of its attempts, as a person asks for it."""
    if task["status"] == "queued":
        return []
    if task["status"] != "failed":
        raise _refusal(task, "retried")
    return [("task.retried", task["id"], {**_because(reason), "attempts": 0})]


def undo_start(task: Task, reason: str) -> list[Fact]:
    """Put a task back whose attempt never began or was stopped on purpose; it does not count as an attempt."""
    return [("task.retried", task["id"], {"reason": reason, "attempts": max(0, task["attempts"] - 1)})]


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
}


def _refusal(task: Task, wanted: str) -> AtmsError:
    status = task["status"].replace("_", " ")
    hint = _WAY_OUT.get(task["status"], "see its history: atms log {id}").format(id=task["id"])
    return AtmsError(f"`{task['id']}` is {status}, so it cannot be {wanted}", hint)
