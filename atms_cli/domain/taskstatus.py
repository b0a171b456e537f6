"""What a feature's status in the file means for its tasks: given up, held back, or brought back."""

from __future__ import annotations

from atms_cli.domain import decisions
from atms_cli.domain.task import CLOSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Fact, FeatureState, Json, Task

#: How the reasons begin that are given here, so that only what was stopped here is brought back.
_MARK = "its feature "


def give_up(why: str, tasks: Sequence[Task]) -> tuple[str, list[Fact]]:
    """Cancel what is open; what runs loses its task, so the loop stops it at its next turn."""
    return why, [fact for task in tasks if task["status"] not in CLOSED for fact in decisions.cancel(task, why)]


def hold(state: FeatureState, why: str, tasks: Sequence[Task]) -> tuple[str, list[Fact]]:
    """Keep what was planned from starting; what runs may finish, since the feature may well come back."""
    planned = [task for task in tasks if task["id"] in state["tasks"] and task["status"] == "queued"]
    return why, [fact for task in planned for fact in decisions.block(task, why)]


def bring_back(state: FeatureState, before: Json, tasks: Sequence[Task]) -> tuple[str, list[Fact]]:
    """Put back into the queue what the feature's former status had stopped, or had called done."""
    words = "its feature is approved again"
    facts: list[Fact] = []
    for task in tasks:
        was_stopped_here = (task["reason"] or "").startswith(_MARK)
        if task["status"] == "blocked" and was_stopped_here:
            facts += decisions.unblock(task, words)
        elif task["status"] == "cancelled" and was_stopped_here:
            facts += decisions.reopen(task, words)
        elif task["status"] == "failed":
            facts += decisions.retry_from_scratch(task, words)
        elif task["status"] == "completed" and before == "implemented" and task["id"] in state["tasks"]:
            facts += decisions.reopen(task, words)
    return words, facts
