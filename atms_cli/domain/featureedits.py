"""How FEATURES.json is changed: for each decision, the edits that write it, as the original program writes it."""

from __future__ import annotations

from atms_cli.domain.feature import CATEGORIES, PRIORITIES, REQUIRED, TRANSITIONS, listed, numbered, status, text
from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from atms_cli.domain.records import Edit, JsonObject

#: What the original demands of a suggestion: field, least and most characters.
LIMITS = (("title", 10, 200), ("description", 20, 2000), ("business_value", 10, 1000))
#: Fields of a feature that `edit` may change.
EDITABLE = (*REQUIRED, "priority")
#: How the fields of an implementation's date have been called; a file keeps to the name it has.
_DATES = ("implemented_date", "implementation_date", "implemented_at")
_WAY_TO = {"approved": "approve", "rejected": "reject", "suggested": "reopen"}


def suggest(document: JsonObject, fields: JsonObject, *, feature_id: str, by: str, now: str) -> list[Edit]:
    """Add a suggestion, checked like the original checks it."""
    check_suggestion(fields)
    feature: JsonObject = {
        "id": feature_id,
        **{name: fields[name] for name in REQUIRED},
        "status": "suggested",
        "created_at": now,
        "updated_at": now,
        "suggested_by": fields.get("suggested_by") or by,
        "metadata": fields.get("metadata") or {},
    }
    if fields.get("priority") is not None:
        feature["priority"] = fields["priority"]
    total = len(listed(document)) + 1
    edits: list[Edit] = [("append", ("features",), feature), *_touched(now)]
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or "total_features" in metadata:
        edits.append(("set", ("metadata", "total_features"), total))
    return edits


def check_suggestion(fields: JsonObject) -> None:
    """Refuse a suggestion that the original would refuse."""
    for name in REQUIRED:
        if not text(fields, name).strip():
            words = name.replace("_", " ")
            raise UsageError(f"a suggestion needs a {words}", f"give it with --{name.replace('_', '-')}")
    check_fields(fields)


def check_fields(fields: JsonObject) -> None:
    """Refuse values that the original would refuse."""
    category, level = fields.get("category"), fields.get("priority")
    if category is not None and category not in CATEGORIES:
        raise UsageError(f"`{category}` is not a category of features", f"choose one of: {', '.join(CATEGORIES)}")
    if level is not None and level not in PRIORITIES:
        raise UsageError(f"`{level}` is not a priority of features", f"choose one of: {', '.join(PRIORITIES)}")
    for name, least, most in LIMITS:
        if name not in fields:
            continue
        length = len(text(fields, name).encode("utf-16-le", "surrogatepass")) // 2  # the original counts UTF-16 units
        if not least <= length <= most:
            words = name.replace("_", " ")
            raise UsageError(f"the {words} has {length} characters", f"the original wants {least} to {most}")


def change(document: JsonObject, index: int, fields: JsonObject, now: str) -> list[Edit]:
    """Give a feature other words; what is so already is left out."""
    check_fields(fields)
    own = _feature(document, index)
    differing = {name: value for name, value in fields.items() if own.get(name) != value}
    return [*_fields(index, {**differing, "updated_at": now}), *_touched(now)] if differing else []


def approve(document: JsonObject, index: int, *, by: str, notes: str, now: str) -> list[Edit]:
    """Approve a suggestion, with an entry in the approval history."""
    _expect(document, index, "approved", ("suggested",))
    return _approval(document, index, by=by, notes=notes, now=now)


def _approval(document: JsonObject, index: int, *, by: str, notes: str, now: str) -> list[Edit]:
    fields: JsonObject = {
        "status": "approved", "updated_at": now, "approved_by": by, "approval_date": now, "approval_notes": notes,
    }  # fmt: skip
    entry: JsonObject = {"action": "approved", "timestamp": now, "approved_by": by, "notes": notes}
    return [*_fields(index, fields), *_touched(now), _remembered(document, index, entry)]


def reject(document: JsonObject, index: int, *, by: str, reason: str, now: str) -> list[Edit]:
    """Reject a feature, with an entry in the approval history."""
    _expect(document, index, "rejected")
    fields: JsonObject = {
        "status": "rejected", "updated_at": now, "rejected_by": by, "rejection_date": now, "rejection_reason": reason,
    }  # fmt: skip
    entry: JsonObject = {"action": "rejected", "timestamp": now, "rejected_by": by, "reason": reason}
    return [*_fields(index, fields), *_touched(now), _remembered(document, index, entry)]


def reopen(document: JsonObject, index: int, *, by: str, notes: str, now: str) -> list[Edit]:
    """Bring a feature back that was over: a rejected one as a suggestion, any other as approved once more."""
    own = _expect(document, index, "reopened", ("rejected", "implemented", "failed-implementation"))
    if status(own) != "rejected":
        return _approval(document, index, by=by, notes=notes, now=now)
    return [*_fields(index, {"status": "suggested", "updated_at": now}), *_touched(now)]


def implement(document: JsonObject, index: int, *, by: str, note: str, now: str) -> list[Edit]:
    """Say that a feature is implemented: since when, by whom, and on what evidence."""
    _expect(document, index, "implemented")
    return outcome(document, index, "implemented", by=by, note=note, now=now)


def fail(document: JsonObject, index: int, *, reason: str, now: str) -> list[Edit]:
    """Say that the implementation of a feature has failed, and why."""
    _expect(document, index, "failed-implementation")
    return outcome(document, index, "failed-implementation", by="", note=reason, now=now)


def outcome(document: JsonObject, index: int, new: str, *, by: str, note: str, now: str) -> list[Edit]:
    """Write what became of a feature, in the fields that the file has for it, and nothing else."""
    fields: JsonObject = {"status": new, "updated_at": now}
    if new == "implemented":
        fields |= {_date_field(document, index): now, "implemented_by": by, "implementation_notes": note}
    else:
        fields |= {"failure_date": now, "failure_reason": note}
    return [*_fields(index, fields), *_touched(now)]


def complete_task(index: int, now: str) -> list[Edit]:
    """Write that one of the file's own tasks is completed, as the original does."""
    fields: JsonObject = {"status": "completed", "updated_at": now, "completed_at": now}
    return [*(("set", ("tasks", index, name), value) for name, value in fields.items()), *_touched(now)]


def _date_field(document: JsonObject, index: int) -> str:
    others = [feature for _, feature in numbered(document) if status(feature) == "implemented"]
    for feature in (_feature(document, index), *others):
        for name in _DATES:
            if name in feature:
                return name
    return _DATES[0]


def _expect(document: JsonObject, index: int, new: str, only: Iterable[str] | None = None) -> JsonObject:
    """Return the feature, unless its status keeps it from what is wanted."""
    own = _feature(document, index)
    allowed = only or [before for before, after in TRANSITIONS.items() if new in after]
    if status(own) in allowed:
        return own
    *others, last = allowed
    words = f"{', '.join(others)} or {last}" if others else last
    article = "an" if words[0] in "aeiou" else "a"
    present, verb = text(own, "status") or "without status", new.removesuffix("-implementation")
    raise AtmsError(f"only {article} {words} feature can be {verb}; `{own.get('id')}` is {present}", _hint(own, new))


def _hint(own: JsonObject, new: str) -> str:
    way = next((to for to in TRANSITIONS.get(status(own), ()) if new in TRANSITIONS[to]), None)
    own_id = own.get("id")
    if status(own) == new:
        return ""
    if status(own) in ("rejected", "implemented", "failed-implementation"):
        return f"bring it back first: atms feature reopen {own_id}"
    return f"first: atms feature {_WAY_TO[way]} {own_id}" if way in _WAY_TO else f"see it: atms feature show {own_id}"


def _feature(document: JsonObject, index: int) -> JsonObject:
    features = document["features"]
    found = features[index] if isinstance(features, list) else None
    return found if isinstance(found, dict) else {}


def _remembered(document: JsonObject, index: int, entry: JsonObject) -> Edit:
    return "append", ("metadata", "approval_history"), {"feature_id": _feature(document, index).get("id"), **entry}


def _fields(index: int, fields: JsonObject) -> list[Edit]:
    return [("set", ("features", index, name), value) for name, value in fields.items()]


def _touched(now: str) -> list[Edit]:
    return [("set", ("metadata", "updated"), now)]
