"""Which worktrees may go, which have to stay, and when no new one is made. What is not merged is never removed."""

from __future__ import annotations

from atms_cli.domain.footprint import describe_size
from atms_cli.domain.moment import seconds_between
from atms_cli.domain.task import ACTIVE, CLOSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.config import WorktreeLimits
    from atms_cli.domain.records import JsonObject, Task

#: Of these tasks the loop goes on with the work by itself, or once it is let.
_OPEN = ("created", "queued", "blocked")


def state(task: Task | None, tree: Mapping[str, object]) -> str:
    """Return what becomes of a worktree: `in_use`, `waiting` for its task to go on, `broken`, `dirty`, `unmerged`, or `removable`.

    `tree` says what git knows of it (system/worktrees.py).
    """
    if task is not None and task["status"] in ACTIVE:
        return "in_use"
    if task is not None and task["status"] in _OPEN:
        return "waiting"
    if tree["problem"] is not None:
        return "broken"
    if tree["is_dirty"]:
        return "dirty"
    if tree["is_unmerged"]:
        return "unmerged"
    return "removable" if task is None or task["status"] in (*CLOSED, "failed") else "waiting"


def is_due(found: JsonObject, limits: WorktreeLimits, now: str) -> bool:
    """Return whether a worktree that may be removed has been kept long enough; one whose work came back is not kept."""
    if found["state"] != "removable":
        return False
    ended = found["updated_at"]
    return ended is None or found["status"] == "completed" or seconds_between(str(ended), now) >= limits["keep"]


def full(found: Sequence[JsonObject], limits: WorktreeLimits) -> str | None:
    """Return why no new worktree may be made, in words, or None. Those of tasks that go on do not count: they will be gone."""
    kept = [each for each in found if each["state"] not in ("in_use", "waiting")]
    most, size = limits["max_count"], limits["max_size"]
    if most is not None and len(kept) >= most:
        return f"{len(kept)} worktrees are kept of at most {most}"
    taken = sum(int(str(each["size"])) for each in kept) if size is not None else 0
    if size is not None and taken >= size:
        return f"kept worktrees take {describe_size(taken)} of at most {describe_size(size)}"
    return None
