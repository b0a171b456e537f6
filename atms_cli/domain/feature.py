"""Features of FEATURES.json: how they are read, their statuses, and what is known of them here.

Features are read as they come: any key may be missing, and values we do not know are left alone
(docs/reference/features.md). What an approved one becomes is in breakdown.py, how the file is changed in featureedits.py.
"""

from __future__ import annotations

from atms_cli.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atms_cli.domain.records import Event, Fact, FeatureState, Json, JsonObject

#: The original's categories to ours. A hand-written plan without a category is plain feature work.
CATEGORIES = {
    "enhancement": "enhancement",
    "bug-fix": "bug_fix",
    "new-feature": "feature",
    "performance": "performance",
    "security": "security",
    "documentation": "documentation",
}
#: Those that the original and its users write, from most to least urgent.
PRIORITIES = ("critical", "urgent", "high", "normal", "medium", "low")
#: What the original demands of a suggestion.
REQUIRED = ("title", "description", "business_value", "category")

#: From each status to those that atms, or a person with it, may write next. What others write into the file is theirs to decide.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "suggested": ("approved", "rejected"),
    "approved": ("implemented", "failed-implementation", "rejected"),
    "rejected": ("suggested",),
    "implemented": ("approved",),
    "failed-implementation": ("approved", "implemented", "rejected"),
}
#: Other programs' words for a status.
_SPELLINGS = {
    "in_progress": "approved", "in-progress": "approved", "completed": "implemented", "failed": "failed-implementation",
}  # fmt: skip
#: After these there is nothing left to do for a feature.
OVER = ("rejected", "implemented", "failed-implementation")


def listed(document: JsonObject) -> list[JsonObject]:
    """Return the features of a file in its order, leaving out what is not an object."""
    return [feature for _, feature in numbered(document)]


def numbered(document: JsonObject, name: str = "features") -> list[tuple[int, JsonObject]]:
    """Return the objects in a list of the file with their positions."""
    found = document.get(name)
    return [(n, each) for n, each in enumerate(found) if isinstance(each, dict)] if isinstance(found, list) else []


def by_id(document: JsonObject, name: str = "features") -> dict[str, tuple[int, JsonObject]]:
    """Return position and object by id; of several with one id, which only hands can make, the first one counts."""
    found: dict[str, tuple[int, JsonObject]] = {}
    for position, each in numbered(document, name):
        if own := text(each, "id"):
            found.setdefault(own, (position, each))
    return found


def listed_at(document: JsonObject, index: int) -> JsonObject:
    """Return the feature at a position."""
    return dict(numbered(document)).get(index, {})


def text(record: Mapping[str, Json], name: str) -> str:
    """Return a field as text, empty if missing or of another type."""
    value = record.get(name)
    return value if isinstance(value, str) else ""


def status(feature: Mapping[str, Json]) -> str:
    """Return a feature's status in the words of the transition table, whichever spelling the file has."""
    own = text(feature, "status")
    return _SPELLINGS.get(own, own)


def find(document: JsonObject, feature_id: str) -> tuple[int, JsonObject]:
    """Return the position and the feature of that id, or of the only id that begins so."""
    features = numbered(document)
    found = [pair for pair in features if pair[1].get("id") == feature_id]
    found = found or [pair for pair in features if text(pair[1], "id").startswith(feature_id)]
    if not found:
        raise NotFoundError(f"no feature `{feature_id}`", "see them all: atms feature list")
    if len({text(feature, "id") for _, feature in found}) > 1:
        raise UsageError(f"`{feature_id}` stands for {len(found)} features", "give more of its id")
    if len(found) > 1:
        places = " and ".join(f"features[{position}]" for position, _ in found)
        raise UsageError(f"{places} have the same id, `{feature_id}`", "give one of them another id in the file")
    return found[0]


def outcome(statuses: Iterable[str]) -> str | None:
    """Return the feature status that its tasks' statuses mean, or None while work is left or was given up."""
    seen = set(statuses)
    if "completed" in seen and seen <= {"completed", "cancelled", "archived"}:
        return "implemented"
    # A task that waits behind a failed one stays queued; nothing moves until a person acts.
    if "failed" in seen and not seen & {"assigned", "in_progress", "validating", "review"}:
        return "failed-implementation"
    return None


def may_write(current: str, new: str) -> bool:
    """Return whether the file's status may give way to an outcome."""
    return new in TRANSITIONS.get(current, ())


def evolve(state: FeatureState | None, event: Event) -> FeatureState | None:
    """Fold one event into what is known of a feature."""
    data, kind = event["data"], event["type"]
    before: FeatureState = state or {"id": event["key"], "title": "", "status": "", "tasks": []}
    if kind == "feature.planned":
        planned_tasks = data["tasks"]
        tasks = [task for task in planned_tasks if isinstance(task, str)] if isinstance(planned_tasks, list) else []
        after: FeatureState = {
            **before,
            "title": text(data, "title"),
            "status": "approved",
            "tasks": [*before["tasks"], *tasks],
        }
        return _agreed(after, data)
    if kind in _STATUSES_SAID_BY:
        said: FeatureState = {**before, "title": text(data, "title") or before["title"], "status": text(data, "status")}
        fields = before.get("fields")
        said.pop("written", None)
        if kind == "feature.written" and fields is not None:
            said |= {"written": said["status"], "fields": {**fields, "status": said["status"]}}
        return said
    return _evolve_merge(before, event) if kind in _MERGES else state


_STATUSES_SAID_BY = (
    "feature.approved", "feature.rejected", "feature.suggested", "feature.reopened", "feature.implemented", "feature.failed",
    "feature.edited", "feature.written",
)  # fmt: skip
_MERGES = ("feature.synced", "feature.conflicted", "feature.resolved", "feature.renamed")


def _evolve_merge(before: FeatureState, event: Event) -> FeatureState:
    data = event["data"]
    if event["type"] == "feature.synced":
        return _agreed(before, data)
    if event["type"] == "feature.renamed":
        return {**before, "tasks": [], "status": "renamed"}
    conflicts = {**before.get("conflicts", {})}
    name = text(data, "field")
    if event["type"] == "feature.conflicted":
        conflicts[name] = {side: data.get(side) for side in ("base", "theirs", "ours")}
    else:
        conflicts.pop(name, None)
    return {**before, "conflicts": conflicts}


def _agreed(before: FeatureState, data: JsonObject) -> FeatureState:
    """Take over the common state that an event tells of, if it does."""
    fields = data.get("fields")
    if not isinstance(fields, dict):
        return before
    own = text(fields, "status")
    after: FeatureState = {**before, "title": text(fields, "title") or before["title"], "fields": {**fields}}
    after["status"] = own or before["status"]
    if before.get("written") not in (None, own):
        del after["written"]
    return after


#: What is written with an outcome, in all spellings.
_TRACES = {
    "implemented": ("implemented_date", "implementation_date", "implemented_at", "implementation_notes"),
    "failed-implementation": ("failure_date", "failure_reason"),
}


def has_lost(state: FeatureState, feature: Mapping[str, Json]) -> bool:
    """Return whether a program that knew the file from before has overwritten what atms wrote there.

    Whoever takes an outcome back changes the status; no trace of the outcome is left only in a content from before.
    """
    written = state.get("written")
    if written is None or not may_write(status(feature), written):
        return False
    return not any(feature.get(name) for name in _TRACES.get(written, ()))


def planned(feature: JsonObject, task_ids: Sequence[str], fields: JsonObject) -> Fact:
    """State that a feature's tasks are in the queue, and from which state of the feature they were made."""
    data: JsonObject = {"title": text(feature, "title"), "tasks": list(task_ids), "fields": fields}
    return "feature.planned", text(feature, "id"), data


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
            "required_fields": list(REQUIRED),
        },
    }
