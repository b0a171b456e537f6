"""Keeping agents within what they may cost: a task, and a day."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.domain import budget
from atms_cli.domain.moment import plus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.budget import Spent
    from atms_cli.domain.records import Agent, JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace

_DAY_MINUTES = 24 * 60


def of_task(ws: Workspace, read: ReadModel, task: Task, usage: JsonObject | None) -> str | None:
    """Say that a task has used up its budget, with an attempt that is not on record yet; None while it has not."""
    limits = ws.config["budget"]
    if usage is None or (limits["task_usd"] is None and limits["task_tokens"] is None):
        return None
    spent = spent_on(read, task).plus(usage)
    reached = budget.reached(spent, limits["task_usd"], limits["task_tokens"])
    return reached and f"{budget.WHOSE['task']} is used up: {reached}"


def spent_on(read: ReadModel, task: Task) -> Spent:
    """Return what the attempts at a task have used up that are on record."""
    return budget.total(attempt.get("usage") for attempt in read.attempts(task["id"]))


def day_began(ws: Workspace, now: str) -> str:
    """Return when the day began here."""
    _, minute = ws.clock.local()
    # Days begin at a whole minute of the local clock; the seconds of now are those of its clock too.
    return plus(now[:17] + "00.000Z", -minute * 60)


def of_day(ws: Workspace, read: ReadModel, force: Sequence[Agent], now: str) -> dict[str, JsonObject]:
    """Return the agents, by their scope, that get nothing more today, with the reason and when the next day begins here."""
    limits = ws.config["budget"]
    costly = [agent for agent in force if agent["kind"] not in agents.DRIVERLESS]
    if not costly or (limits["day_usd"] is None and limits["day_tokens"] is None):
        return {}
    began = day_began(ws, now)
    reached = budget.reached(budget.total(read.usages_since(began)), limits["day_usd"], limits["day_tokens"])
    if reached is None:
        return {}
    until = plus(began, _DAY_MINUTES * 60)
    return {
        f"agent {agent['name']}": {"reason": f"{budget.WHOSE['day']}: {reached}", "until": until} for agent in costly
    }
