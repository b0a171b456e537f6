"""What approved features become: the original TaskManager's rules, with words matched as words, and its own tasks taken over."""

from __future__ import annotations

import re
from math import ceil, inf

from atms_cli.domain.decisions import MAX_TITLE
from atms_cli.domain.feature import CATEGORIES, numbered, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Json, JsonObject

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
#: Of a task in the file: nobody has to work on it.
FINISHED = ("completed", "implemented", "cancelled", "rejected", "archived")
#: Of a task in the file: nobody has approved it yet.
SUGGESTED = ("suggested",)

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
_WORD = re.compile(r"[^\W_]+")


def _words(prose: str) -> set[str]:
    return set(_WORD.findall(prose.lower()))


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
    number = 1 if not is_complex(feature) else 3 if text(feature, "category") == "new-feature" else 2
    return possible(feature)[:number]


def possible(feature: JsonObject) -> list[JsonObject]:
    """Return all tasks that a feature may have: to implement, to test, and to document it."""
    category = CATEGORIES.get(text(feature, "category"), "feature")
    title, level, effort = text(feature, "title") or text(feature, "id"), priority(feature), effort_minutes(feature)
    main: JsonObject = {
        **_common(feature),
        "title": f"Implement: {title}"[:MAX_TITLE],
        "category": category,
        "priority": level,
        "estimated_effort": effort,
        "required_capabilities": list(capabilities(feature)),
        "validation_criteria": {"gates": [], "success_criteria": criteria(feature)},
        "after": [],
    }
    return [
        main,
        _supporting(feature, "Test", "testing", level, ceil(effort / 60 * 0.6) * 60),
        _supporting(feature, "Document", "documentation", "medium", ceil(effort / 60 * 0.3) * 60),
    ]


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


def criteria(feature: JsonObject) -> list[Json]:
    """Return when a feature counts as done, in its own words."""
    for name in ("acceptanceCriteria", "acceptance_criteria", "success_criteria"):
        found = feature.get(name)
        if isinstance(found, list):
            return [criterion for criterion in found if isinstance(criterion, str)]
    return []


def tasks_in_file(document: JsonObject) -> dict[str, list[JsonObject]]:
    """Return the tasks that the file itself holds, made by the original program or by hand, by the feature they are for."""
    found: dict[str, list[JsonObject]] = {}
    for _, task in numbered(document, "tasks"):
        if feature_id := text(task, "feature_id"):
            found.setdefault(feature_id, []).append(task)
    return found


def adopt(feature: JsonObject, file_tasks: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the unfinished tasks of the file as fields; dependencies on finished ones are met and left out."""
    unfinished = [task for task in file_tasks if text(task, "status") not in FINISHED]
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
        **({"status": "created"} if text(task, "status") in SUGGESTED else {}),
    }
