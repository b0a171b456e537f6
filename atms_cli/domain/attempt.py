"""What an ended attempt means for its task: done, once more, or given up."""

from __future__ import annotations

from atms_cli.domain import decisions, footprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.config import Execution
    from atms_cli.domain.records import Fact, JsonObject, Task

_MAX_DOUBLINGS = 30
#: Up to this part of a wait is left out by chance, so that what failed together does not come back together.
_JITTER = 0.5


def retry_wait_s(attempts: int, base_s: float, most_s: float, chance: float) -> float:
    """Return the seconds until the next attempt, by a chance from 0 to 1: from half of `backoff_s` up to all of it."""
    return backoff_s(attempts, base_s, most_s) * (1 - _JITTER * chance)


def backoff_s(attempts: int, base_s: float, most_s: float) -> float:
    """Return the seconds to wait after that many attempts: the base, doubling each time, up to the most."""
    return min(base_s * 2.0 ** min(attempts - 1, _MAX_DOUBLINGS), most_s)


def limit(task: Task, execution: Execution) -> int:
    """Return how many attempts a task has in all."""
    return task["max_attempts"] or execution["max_attempts"]


def describe(outcome: JsonObject) -> str:
    """Say in words how a process ended, from its outcome record (system/launch.py)."""
    status, code, error = outcome.get("status"), outcome.get("exit_code"), outcome.get("error")
    words = {
        "exited": f"exit code {code}",
        "signalled": f"killed by signal {outcome.get('signal')}",
        "timed_out": "ran longer than its timeout",
        "stalled": f"stalled: {error}" if error else "was silent for too long",
        "killed": "was stopped",
        "over_budget": str(error),
        "put_back": str(error),
        "vanished": "vanished without leaving an exit status",
        "unstartable": f"could not be started: {error}",
    }
    said, hit = words.get(str(status), str(status)), outcome.get("hit")
    return f"{said}: {footprint.describe_hit(str(hit))}" if hit else said


def is_success(outcome: JsonObject) -> bool:
    """Return whether the command itself succeeded; its gates are still to come."""
    return outcome.get("status") == "exited" and outcome.get("exit_code") == 0


def after_failure(task: Task, reason: str, result: JsonObject, execution: Execution, retry_at: str) -> list[Fact]:
    """Return a retry while the task has attempts left, otherwise its failure."""
    most = limit(task, execution)
    if task["attempts"] < most and result.get("status") != "unstartable":
        return decisions.retry(
            task, f"attempt {task['attempts']} of {most}: {reason}", not_before=retry_at, result=result
        )
    spent = f" after {task['attempts']} attempts" if task["attempts"] > 1 else ""
    return decisions.fail(task, f"{reason}{spent}", result)
