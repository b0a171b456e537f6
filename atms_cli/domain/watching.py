"""Whether an attempt that runs may go on: what it has used up until now, and for how long it has got nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from atms_cli.domain import budget
from atms_cli.domain.budget import Spent
from atms_cli.domain.moment import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

#: Whose limits end the task; those of a day or a run only end the attempt, and the task goes on after them.
_FINAL = ("attempt", "task")


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be used up by an attempt, a task, a day or a run, and what others have taken of it."""

    whose: str
    usd: float | None
    tokens: int | None
    others: Spent = field(default_factory=Spent)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an attempt must not go on, and what follows for its task (system/launch.py)."""

    verdict: Literal["over_budget", "put_back", "stalled"]
    reason: str


def over(spent: Spent, limits: Iterable[Limit]) -> Stop | None:
    """Return a stop by the first limit that is reached with what an attempt has spent until now."""
    for limit in limits:
        reached = budget.reached(limit.others.beside(spent), limit.usd, limit.tokens)
        if reached is not None:
            verdict: Literal["over_budget", "put_back"] = "over_budget" if limit.whose in _FINAL else "put_back"
            return Stop(verdict, f"{budget.WHOSE[limit.whose]} is used up: {reached}")
    return None


def idle(quiet_s: float, limit_s: float, doing: str) -> Stop | None:
    """Return a stop of an attempt that has got nowhere for as long as it may, with what it did last."""
    if quiet_s < limit_s:
        return None
    last = f"; the last was: {doing.splitlines()[0]}" if doing.strip() else ""
    return Stop("stalled", f"no progress for {describe_duration(limit_s)}{last}")
