"""How an agent has done: its attempts counted, timed and paid."""

from __future__ import annotations

from atms_cli.domain import budget
from atms_cli.domain.forecast import percentile
from atms_cli.domain.moment import seconds_between

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Attempt, JsonObject


def of(attempts: Sequence[Attempt]) -> JsonObject:
    """Return counts by how attempts ended, the shares that succeeded and of gates that passed, times, and cost by task.

    What was released (stopped, or held up by a limit of the agent) is neither a success nor a failure.
    """
    counts = dict.fromkeys(("succeeded", "failed", "released", "cancelled", "running"), 0)
    for attempt in attempts:
        counts[attempt["status"]] = counts.get(attempt["status"], 0) + 1
    judged = counts["succeeded"] + counts["failed"]
    took = [
        seconds_between(attempt["started_at"], attempt["ended_at"])
        for attempt in attempts
        if attempt["ended_at"] is not None and attempt["status"] in ("succeeded", "failed")
    ]
    spent = budget.total(attempt.get("usage") for attempt in attempts)
    tasks = len({attempt["task"] for attempt in attempts})
    completed = len({attempt["task"] for attempt in attempts if attempt["status"] == "succeeded"})
    passed, gates = (sum(attempt.get("gates", (0, 0))[place] for attempt in attempts) for place in (0, 1))
    return {
        "attempts": len(attempts),
        "tasks": tasks,
        "completed": completed,
        **counts,
        "success_rate": round(counts["succeeded"] / judged, 3) if judged else None,
        "retries": sum(attempt["number"] > 1 for attempt in attempts),
        "attempts_per_task": round(judged / tasks, 2) if tasks else None,
        "median_s": round(percentile(took, 50), 3) if took else None,
        "p90_s": round(percentile(took, 90), 3) if took else None,
        "gates": gates,
        "gate_pass_rate": round(passed / gates, 3) if gates else None,
        "tokens": spent.tokens,
        "cost_usd": round(spent.usd, 6),
        "cost_per_success_usd": round(spent.usd / counts["succeeded"], 6) if counts["succeeded"] else None,
    }
