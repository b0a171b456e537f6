"""Agents that get nothing more for a while: at a limit, refused, or failing again and again."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.domain import attempt, moment, trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Agent
    from atms_cli.domain.trouble import Trouble
    from atms_cli.ports import Transaction

#: An agent that fails so often in a row rests, twice as long each time until it gets through: a circuit breaker.
MOST_FAILURES = 5
FAILING_WAIT_S, FAILING_WAIT_MOST_S = 60.0, 3600.0
_NEVER = "9999"


def halt(tx: Transaction, agent: Agent, found: Trouble) -> None:
    """Give an agent nothing more; who is halted already, as attempts beside this one told, is not halted once more."""
    about = tx.read.switches("halted").get(agent["name"])
    is_halted = agents.is_halted(about, tx.now)
    times = _times_halted(tx, agent) + (0 if is_halted else 1)
    until = _until(found, times, tx.now) if found.kind == "rate_limit" else None
    if is_halted and about is not None and str(about["until"] or _NEVER) >= (until or _NEVER):
        return
    tx.record(agents.halt(agent["name"], found.kind, found.reason, until, times))


def _until(found: Trouble, times: int, now: str) -> str:
    """Return when to try again: when the limit is over, but never sooner than a wait that doubles."""
    if found.resets_at is None:
        wait = attempt.backoff_s(times, trouble.RATE_LIMIT_WAIT_S, trouble.RATE_LIMIT_WAIT_MOST_S)
        return moment.plus(now, wait)
    least = attempt.backoff_s(times, trouble.LEAST_WAIT_S, trouble.RATE_LIMIT_WAIT_MOST_S)
    return max(found.resets_at, moment.plus(now, least))


def break_circuit(tx: Transaction, agent: Agent, failures: int) -> bool:
    """Let an agent rest that has failed so many times in a row, longer each time; return whether it does.

    After its rest one failure is enough: the count goes on until it gets through.
    """
    if failures < MOST_FAILURES:
        return False
    times = _times_halted(tx, agent) + 1
    wait = attempt.backoff_s(times, FAILING_WAIT_S, FAILING_WAIT_MOST_S)
    reason = f"{failures} attempts failed in a row"
    tx.record(agents.halt(agent["name"], "failing", reason, moment.plus(tx.now, wait), times))
    return True


def _times_halted(tx: Transaction, agent: Agent) -> int:
    times = tx.read.switches("halted").get(agent["name"], {}).get("times")
    return times if isinstance(times, int) else 0


def let_go_on(tx: Transaction, agent: Agent) -> None:
    """Forget a halt that is over, now that its agent has got through."""
    about = tx.read.switches("halted").get(agent["name"])
    if not agents.is_halted(about, tx.now):
        tx.record(agents.resume(agent["name"], about))
