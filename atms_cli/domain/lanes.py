"""Lanes: named queues in one workspace, each with its own strategy and limits, so that a flood in one starves no other."""

from __future__ import annotations

from atms_cli.domain.task import level

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.config import LaneSettings, QueueSettings
    from atms_cli.domain.records import JsonObject, Place, Task

#: The lane of a task that names none.
DEFAULT = "default"
#: The aggregate of the whole queue in the journal; a lane's is `lane/NAME`.
WHOLE = "queue/default"
STRATEGIES = ("priority", "fifo", "lifo", "dependency", "round_robin", "fair_share", "deadline")
#: What tasks can be told apart by, for those strategies that serve groups in turn.
GROUPINGS = ("feature", "category", "agent", "tag", "creator")
_SERVES_GROUPS = ("round_robin", "fair_share")
#: Of a task that belongs to no group.
NO_GROUP = "-"
#: A task is at risk when it has less than so many times its effort left until its deadline.
_RISK_FACTOR = 2.0


def name_of(task: Task) -> str:
    """Return the lane that a task is in."""
    return task["lane"] or DEFAULT


def settings_of(queue: QueueSettings, lane: str) -> LaneSettings:
    """Return what holds for a lane: its own settings, and the queue's where it says nothing."""
    own = {name: value for name, value in queue["lanes"].get(lane, {}).items() if value is not None}
    # Limits of the whole queue are limits of the whole queue; a lane has its own or none.
    without: JsonObject = {"concurrency": None, "rate": None, "quiet": []}
    return {**queue, **without, **own}  # type: ignore[typeddict-item]  # what the schema has checked


def groupings(queue: QueueSettings) -> dict[str, str]:
    """Return by what the tasks of each lane are told apart, for the lanes where that matters; `*` is every other lane."""
    found = {lane: settings_of(queue, lane) for lane in queue["lanes"]} | {"*": settings_of(queue, "*")}
    return {lane: its["by"] for lane, its in found.items() if its["strategy"] in _SERVES_GROUPS}


def needs_tails(queue: QueueSettings) -> bool:
    """Return whether a lane is ordered by what follows from a task."""
    return any(settings_of(queue, lane)["strategy"] == "dependency" for lane in ("*", *queue["lanes"]))


def group_of(task: Task, by: str) -> str:
    """Return the group that a task belongs to."""
    groups: Mapping[str, str | None] = {
        "feature": task["feature_id"],
        "category": task["category"],
        "agent": task["agent"],
        "tag": task["tags"][0] if task["tags"] else None,
        "creator": task["metadata"]["created_by"],
    }
    return groups[by] or NO_GROUP


def place_of(task: Task) -> tuple[float, int, str | None, float]:
    """Return where a task stands in its lane: pin, level, since when it counts as waiting, and a nudge between equals."""
    place: Place = task["place"] or {}
    return (
        place.get("pin", 0.0),
        place.get("level", level(task["priority"])),
        place.get("since", task["queued_at"]),
        place.get("nudge", 0.0),
    )


def has_newest_first(queue: QueueSettings, lane: str, pin: float) -> bool:
    """Return whether of equals the later comes first; those that were moved to an end of their lane stand as always."""
    return not pin and settings_of(queue, lane)["strategy"] == "lifo"


def keeps_places(queue: QueueSettings, lane: str, pin: float) -> bool:
    """Return whether a task that was put right before another stays there: not where something else decides."""
    return bool(pin) or settings_of(queue, lane)["strategy"] in ("priority", "fifo", "lifo", "deadline")


def nudged(nudge: float, beyond: float | None, *, newest_first: bool) -> float:
    """Return a nudge between that of a task and that of who stands before it now, if anybody does."""
    if beyond is None:
        return nudge + 1.0 if newest_first else nudge - 1.0
    return (beyond + nudge) / 2


def effort_at_risk_s(minutes: float) -> float:
    """Return how long before its deadline a task of that effort is at risk."""
    return minutes * 60.0 * _RISK_FACTOR
