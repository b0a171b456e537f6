"""What a task holds up: what its end sets free, all that waits for it, and the longest way from it to the end."""

from __future__ import annotations

from atms_cli.domain.criticalpath import longest_path
from atms_cli.domain.task import effort_minutes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import ReadModel

#: The most tasks that are looked at; more would be felt by who only wants to see a task.
_MOST = 100
#: Kinds of dependencies that hold a task up until the other one has ended well.
_HOLDING = ("success", "always")


def measure(read: ReadModel, task_id: str, dependents: Sequence[JsonObject]) -> JsonObject:
    """Return what completing a task frees of those that wait for it, how many wait for it, directly or not, and the critical path from it.

    The path is null, and the number too low, if more wait than are looked at (`is_more`). Efforts, in minutes, are the
    estimates, else what is usual for a complexity.
    """
    direct = _held_up(dependents)
    freed = [each["id"] for each in direct if each["blockers"] == 1 and each["status"] in ("queued", "created")]
    needs: dict[str, list[str]] = {task_id: []}
    # The mapping grows while it is walked, so it is walked by a list of its own.
    waiting = [task_id]
    for current in waiting:
        for after in direct if current == task_id else _held_up(read.waiting_on(current)):
            name = str(after["id"])
            if name not in needs:
                if len(waiting) > _MOST:
                    return {"frees": freed, "holds_up": _MOST, "is_more": True, "critical_path": None}
                needs[name] = []
                waiting.append(name)
            needs[name].append(current)
    minutes = {each: effort_minutes(read.task(each)) for each in needs}
    path = longest_path(needs, minutes)
    length = sum(minutes[each] for each in path)
    return {
        "frees": freed,
        "holds_up": len(needs) - 1,
        "is_more": False,
        "critical_path": {"tasks": [*path], "minutes": length},
    }


def _held_up(dependents: Sequence[JsonObject]) -> list[JsonObject]:
    return [each for each in dependents if each["kind"] in _HOLDING]
