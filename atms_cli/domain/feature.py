"""Features of FEATURES.json: what tasks an approved one becomes, and what its tasks make of it.

Features are read as they come: any key may be missing, and values we do not know are left alone
(docs/reference/features.md). The rules are the original TaskManager's, with words matched as words.
"""

from __future__ import annotations

from math import ceil, inf

from atms_cli.domain.decisions import MAX_TITLE
from atms_cli.errors import AtmsError, NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atms_cli.domain.records import Edit, Event, Fact, FeatureState, Json, JsonObject

#: The original's categories to ours. A hand-written plan without a category is plain feature work.
CATEGORIES = {
    "enhancement": "enhancement",
    "bug-fix": "bug_fix",
    "new-feature": "feature",
    "performance": "performance",
    "security": "security",
    "documentation": "documentation",
}
#: What the original demands of a suggestion: field, least and most characters.
SUGGESTION_LIMITS = (("title", 10, 200), ("description", 20, 2000), ("business_value", 10, 1000))
_REQUIRED = ("title", "description", "business_value", "category")

_TYPE_CATEGORIES = {
    "testing": "testing",
    "test": "testing",
    "validation": "testing",
    "audit": "testing",
    "documentation": "documentation",
    "deployment": "maintenance",
    "error": "bug_fix",
}
#: The original's priorities, `urgent` included, to ours.
FILE_PRIORITIES = {
    "critical": "critical",
    "urgent": "critical",
    "high": "high",
    "normal": "medium",
    "medium": "medium",
    "low": "low",
}
_FINISHED = ("completed", "implemented", "cancelled", "rejected", "archived")

_BASE_EFFORT_H = 5
_EFFORT_FACTORS = {"new-feature": 2.0, "enhancement": 1.5, "security": 1.8}
_LONG_DESCRIPTION = 800
_EFFORT_PER_CHARACTERS = 500
_MOST_EXTRA_EFFORT = 3
_CAPABILITY_WORDS = {
    "frontend": ("frontend", "ui", "uis", "interface", "interfaces"),
    "backend": ("backend", "api", "apis", "server", "servers"),
    "testing": ("test", "tests", "testing"),
}
_CAPABILITY_OF_CATEGORY = {
    "security": "security", "performance": "performance", "documentation": "documentation", "bug-fix": "analysis",
}  # fmt: skip


def listed(document: JsonObject) -> list[JsonObject]:
    """Return the features of a file in its order, leaving out what is not an object."""
    features = document.get("features")
    return [feature for feature in features if isinstance(feature, dict)] if isinstance(features, list) else []


def text(record: Mapping[str, Json], name: str) -> str:
    """Return a field as text, empty if missing or of another type."""
    value = record.get(name)
    return value if isinstance(value, str) else ""


def find(document: JsonObject, feature_id: str) -> tuple[int, JsonObject]:
    """Return the position and the feature of that id, or of the only id that begins so."""
    features = document.get("features")
    numbered = [(n, f) for n, f in enumerate(features if isinstance(features, list) else []) if isinstance(f, dict)]
    found = [pair for pair in numbered if pair[1].get("id") == feature_id]
    found = found or [pair for pair in numbered if text(pair[1], "id").startswith(feature_id)]
    if not found:
        raise NotFoundError(f"no feature `{feature_id}`", "see them all: atms feature list")
    if len(found) > 1:
        raise UsageError(f"`{feature_id}` stands for {len(found)} features", "give more of its id")
    return found[0]


def _words(prose: str) -> set[str]:
    return set("".join(character if character.isalnum() else " " for character in prose.lower()).split())


def priority(feature: Mapping[str, Json]) -> str:
    """Return the priority of a feature's main task, from its own, its category or its business value."""
    own = FILE_PRIORITIES.get(text(feature, "priority").lower())
    if own is not None:
        return own
    category, words = text(feature, "category"), _words(text(feature, "business_value"))
    if category == "security" or (category not in ("bug-fix", "performance") and "critical" in words):
        return "critical"
    return "high" if category in ("bug-fix", "performance") or "essential" in words else "medium"


def effort_minutes(feature: Mapping[str, Json]) -> int:
    """Return the estimate for the main task: five hours, more by category and length of description."""
    factor = _EFFORT_FACTORS.get(text(feature, "category"), 1.0)
    extra = min(len(text(feature, "description")) / _EFFORT_PER_CHARACTERS, _MOST_EXTRA_EFFORT)
    return ceil(_BASE_EFFORT_H * factor * (1 + extra)) * 60


def capabilities(feature: Mapping[str, Json]) -> list[str]:
    """Return what working on a feature takes, from its category and the words of its description."""
    own = _CAPABILITY_OF_CATEGORY.get(text(feature, "category"))
    words = _words(text(feature, "description"))
    found = [own] if own else []
    found.extend(name for name, signs in _CAPABILITY_WORDS.items() if name not in found and words.intersection(signs))
    return found


def is_complex(feature: Mapping[str, Json]) -> bool:
    """Return whether a feature gets a testing task of its own."""
    return (
        text(feature, "category") == "new-feature"
        or len(text(feature, "description")) > _LONG_DESCRIPTION
        or "comprehensive" in _words(text(feature, "business_value"))
    )


def derive(feature: JsonObject) -> list[JsonObject]:
    """Return the tasks of an approved feature as fields; `after` holds positions in the same list."""
    category = CATEGORIES.get(text(feature, "category"), "feature")
    title, level, effort = text(feature, "title") or text(feature, "id"), priority(feature), effort_minutes(feature)
    main = {
        **_common(feature),
        "title": f"Implement: {title}"[:MAX_TITLE],
        "category": category,
        "priority": level,
        "estimated_effort": effort,
        "required_capabilities": list(capabilities(feature)),
        "validation_criteria": {"gates": [], "success_criteria": _criteria(feature)},
        "after": [],
    }
    tasks: list[JsonObject] = [main]
    if is_complex(feature):
        tasks.append(_supporting(feature, "Test", "testing", level, ceil(effort / 60 * 0.6) * 60))
        if text(feature, "category") == "new-feature":
            tasks.append(_supporting(feature, "Document", "documentation", "medium", ceil(effort / 60 * 0.3) * 60))
    return tasks


def _common(feature: JsonObject) -> JsonObject:
    return {
        "description": text(feature, "description"),
        "business_value": text(feature, "business_value"),
        "feature_id": text(feature, "id"),
        "metadata": {
            "properties": {"auto_generated": True},
            "approved_by": feature.get("approved_by"),
            "approved_at": feature.get("approval_date"),
        },
    }


def _supporting(feature: JsonObject, verb: str, category: str, level: str, effort: int) -> JsonObject:
    return {
        **_common(feature),
        "title": f"{verb}: {text(feature, 'title') or text(feature, 'id')}"[:MAX_TITLE],
        "category": category,
        "priority": level,
        "estimated_effort": effort,
        "required_capabilities": [category],
        "after": [0],
    }


def _criteria(feature: JsonObject) -> list[Json]:
    for name in ("acceptanceCriteria", "acceptance_criteria", "success_criteria"):
        criteria = feature.get(name)
        if isinstance(criteria, list):
            return [criterion for criterion in criteria if isinstance(criterion, str)]
    return []


def tasks_in_file(document: JsonObject, feature_id: str) -> list[JsonObject]:
    """Return the tasks that the file itself holds for a feature, made by the original program or by hand."""
    tasks = document.get("tasks")
    listed_tasks = tasks if isinstance(tasks, list) else []
    return [task for task in listed_tasks if isinstance(task, dict) and task.get("feature_id") == feature_id]


def adopt(feature: JsonObject, file_tasks: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the unfinished tasks of the file as fields; dependencies on finished ones are met and left out."""
    unfinished = [task for task in file_tasks if text(task, "status") not in _FINISHED]
    position = {text(task, "id"): index for index, task in enumerate(unfinished)}
    return [_adopted(feature, task, position) for task in unfinished]


def _adopted(feature: JsonObject, task: JsonObject, position: Mapping[str, int]) -> JsonObject:
    own, needs, skills = text(task, "id"), task.get("dependencies"), task.get("required_capabilities")
    effort = task.get("estimated_effort")
    fields = _common(feature)
    return {
        **fields,
        "title": (text(task, "title").strip() or f"Implement: {text(feature, 'title')}")[:MAX_TITLE],
        "description": text(task, "description") or fields["description"],
        "category": _TYPE_CATEGORIES.get(text(task, "type"), CATEGORIES.get(text(feature, "category"), "feature")),
        "priority": FILE_PRIORITIES.get(text(task, "priority"), "medium"),
        "estimated_effort": round(effort * 60) if isinstance(effort, int | float) and 0 < effort < inf else None,
        "required_capabilities": [s for s in skills if isinstance(s, str) and s.strip() not in ("", "general")]
        if isinstance(skills, list)
        else [],
        "metadata": {**_common(feature)["metadata"], "properties": {"external_id": own}},  # type: ignore[dict-item]
        "after": [position[n] for n in needs if isinstance(n, str) and n in position and n != own]
        if isinstance(needs, list)
        else [],
    }


def outcome(statuses: Iterable[str]) -> str | None:
    """Return the feature status that its tasks' statuses mean, or None while work is left or was given up."""
    seen = set(statuses)
    if "completed" in seen and seen <= {"completed", "cancelled", "archived"}:
        return "implemented"
    # A task that waits behind a failed one stays queued; nothing moves until a person acts.
    if "failed" in seen and not seen & {"assigned", "in_progress", "validating", "review"}:
        return "failed-implementation"
    return None


#: From which statuses in the file our outcome may be written; anything else is somebody's decision.
_OVERWRITES = {"implemented": ("approved", "failed-implementation"), "failed-implementation": ("approved",)}


def may_write(current: str, new: str) -> bool:
    """Return whether the file's status may give way to an outcome."""
    return current in _OVERWRITES[new]


def outcome_edits(document: JsonObject, index: int, new: str, note: str, now: str) -> list[Edit]:
    """Return the edits that write an outcome: status, when, and why, and nothing else."""
    when, why = (
        ("implemented_date", "implementation_notes") if new == "implemented" else ("failure_date", "failure_reason")
    )
    return [*_field_edits(index, {"status": new, "updated_at": now, when: now, why: note}), *_touched(document, now)]


def approve_edits(document: JsonObject, index: int, *, by: str, notes: str, now: str) -> list[Edit]:
    """Return the edits of an approval, with its entry in the approval history, as the original writes them."""
    feature_id = _judged(document, index, "approved")
    fields: JsonObject = {
        "status": "approved", "updated_at": now, "approved_by": by, "approval_date": now, "approval_notes": notes,
    }  # fmt: skip
    entry: JsonObject = {
        "feature_id": feature_id,
        "action": "approved",
        "timestamp": now,
        "approved_by": by,
        "notes": notes,
    }
    return [*_field_edits(index, fields), *_touched(document, now), ("append", ("metadata", "approval_history"), entry)]


def reject_edits(document: JsonObject, index: int, *, by: str, reason: str, now: str) -> list[Edit]:
    """Return the edits of a rejection, with its entry in the approval history."""
    feature_id = _judged(document, index, "rejected")
    fields: JsonObject = {
        "status": "rejected", "updated_at": now, "rejected_by": by, "rejection_date": now, "rejection_reason": reason,
    }  # fmt: skip
    entry: JsonObject = {
        "feature_id": feature_id,
        "action": "rejected",
        "timestamp": now,
        "rejected_by": by,
        "reason": reason,
    }
    return [*_field_edits(index, fields), *_touched(document, now), ("append", ("metadata", "approval_history"), entry)]


def _judged(document: JsonObject, index: int, verb: str) -> Json:
    features = document["features"]
    feature = features[index] if isinstance(features, list) else None
    record: JsonObject = feature if isinstance(feature, dict) else {}
    feature_id, status = record.get("id"), text(record, "status")
    if status != "suggested":
        raise AtmsError(f"only a suggested feature can be {verb}; `{feature_id}` is {status or 'without status'}")
    return feature_id


def suggest_edits(document: JsonObject, fields: JsonObject, *, feature_id: str, by: str, now: str) -> list[Edit]:
    """Return the edits that add a suggestion, checked like the original checks it.

    Raises:
        UsageError: a field is missing, too short, too long, or the category is unknown.

    """
    check_suggestion(fields)
    feature: JsonObject = {
        "id": feature_id,
        **{name: fields[name] for name in _REQUIRED},
        "status": "suggested",
        "created_at": now,
        "updated_at": now,
        "suggested_by": by,
        "metadata": {},
    }
    return [("append", ("features",), feature), *_touched(document, now, total=len(listed(document)) + 1)]


def check_suggestion(fields: JsonObject) -> None:
    """Refuse a suggestion that the original would refuse."""
    for name in _REQUIRED:
        if not text(fields, name).strip():
            raise UsageError(
                f"a suggestion needs a {name.replace('_', ' ')}", f"give it with --{name.replace('_', '-')}"
            )
    category = text(fields, "category")
    if category not in CATEGORIES:
        raise UsageError(f"`{category}` is not a category of features", f"choose one of: {', '.join(CATEGORIES)}")
    for name, least, most in SUGGESTION_LIMITS:
        length = len(text(fields, name).encode("utf-16-le")) // 2  # the original counts UTF-16 units
        if not least <= length <= most:
            raise UsageError(
                f"the {name.replace('_', ' ')} has {length} characters", f"the original wants {least} to {most}"
            )


def _field_edits(index: int, fields: JsonObject) -> list[Edit]:
    return [("set", ("features", index, name), value) for name, value in fields.items()]


def _touched(document: JsonObject, now: str, total: int | None = None) -> list[Edit]:
    edits: list[Edit] = [("set", ("metadata", "updated"), now)]
    metadata = document.get("metadata")
    if total is not None and (not isinstance(metadata, dict) or "total_features" in metadata):
        edits.append(("set", ("metadata", "total_features"), total))
    return edits


def evolve(state: FeatureState | None, event: Event) -> FeatureState | None:
    """Fold one event into what is known of a feature."""
    data = event["data"]
    before: FeatureState = state or {"id": event["key"], "title": "", "status": "", "tasks": []}
    if event["type"] == "feature.planned":
        planned = data["tasks"]
        tasks = [task for task in planned if isinstance(task, str)] if isinstance(planned, list) else []
        return {**before, "title": text(data, "title"), "status": "approved", "tasks": [*before["tasks"], *tasks]}
    if event["type"] in ("feature.approved", "feature.rejected", "feature.suggested", "feature.written"):
        return {**before, "title": text(data, "title") or before["title"], "status": text(data, "status")}
    return state


def planned(feature: JsonObject, task_ids: Sequence[str]) -> Fact:
    """State that a feature's tasks are in the queue."""
    return "feature.planned", text(feature, "id"), {"title": text(feature, "title"), "tasks": list(task_ids)}


def skeleton(project: str, now: str) -> JsonObject:
    """Return an empty roadmap as the original program makes it."""
    return {
        "project": project,
        "features": [],
        "agents": {},
        "metadata": {"version": "1.0.0", "created": now, "updated": now, "total_features": 0, "approval_history": []},
        "workflow_config": {
            "require_approval": True,
            "auto_reject_timeout_hours": 168,
            "allowed_statuses": ["suggested", "approved", "rejected", "implemented"],
            "required_fields": list(_REQUIRED),
        },
    }
