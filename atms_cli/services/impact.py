"""What a task holds up: what its end sets free, all that waits for it, and the longest way from it to the end."""

from __future__ import annotations

from atms_cli.domain.criticalpath import longest_path
from atms_cli.domain.task import effort_minutes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import ReadModel

#: The most tasks that are looked at; more would be felt by who only wants to see a task.
_MOST = 100
#: Kinds of dependencies that hold a task up until the other one has ended well.
_HOLDING = ("success", "always")


def measure(read: ReadModel, task_id: str) -> JsonObject:
    """Return what completing a task frees, how many wait for it, directly or not, and the critical path from it.

    The path is null, and the number too low, if more wait than are looked at (`is_more`). Efforts, in minutes, are the
    estimates, else what is usual for a complexity.
    """
    freed = [
        each["id"]
        for each in _held_up(read, task_id)
        if each["blockers"] == 1 and each["status"] in ("queued", "created")
    ]
    needs: dict[str, list[str]] = {task_id: []}
    # The mapping grows while it is walked, so it is walked by a list of its own.
    waiting = [task_id]
    for current in waiting:
        for after in _held_up(read, current):
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


def _held_up(read: ReadModel, task_id: str) -> Iterable[JsonObject]:
    return (each for each in read.waiting_on(task_id) if each["kind"] in _HOLDING)
