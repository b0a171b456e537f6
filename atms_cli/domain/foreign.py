"""Tasks and events from elsewhere: looked at closely before they are taken for ours."""

from __future__ import annotations

from atms_cli.domain.decisions import check_fields, check_title
from atms_cli.domain.moment import is_iso
from atms_cli.domain.task import BIRTHS, DEFAULTS, DEPENDENCY_KINDS, NESTED_DEFAULTS, PRIORITIES, STATUSES, unfolded
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atms_cli.domain.records import Event, Fact, Json, JsonObject


#: What a task has in fields of which nothing is said.
_USUAL: dict[str, Json] = {**DEFAULTS, **NESTED_DEFAULTS}
_TIMES = frozenset(name for name in DEFAULTS if name.endswith("_at")) | {"deadline", "not_before"}


def imported(task_id: str, original: JsonObject) -> Fact:
    """State that a task came whole from another workspace, with its events.

    Raises:
        UsageError: somebody has edited it since, and a field is no good.

    """
    whole = {
        name: original[name] for name in ("title", *DEFAULTS) if original.get(name) not in (None, _USUAL.get(name))
    }
    check_title(whole.get("title"))
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
    if "title" in fields or kind in BIRTHS:
        check_title(fields.get("title"))
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
        task: JsonObject = {**unfolded(event)}  # type: ignore[dict-item]  # a Task is JSON throughout
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
            "isolation",
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
