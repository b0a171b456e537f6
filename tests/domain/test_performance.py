"""How an agent has done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atms_cli.domain import performance

if TYPE_CHECKING:
    from atms_cli.domain.records import Attempt


def attempt(task: str, status: str, seconds: int | None, usd: float | None = None) -> Attempt:
    made: Attempt = {
        "run": "r", "task": task, "number": 1, "agent": "a", "status": status, "exit_code": 0, "reason": None,
        "started_at": "2026-01-02T00:00:00.000Z",
        "ended_at": None if seconds is None else f"2026-01-02T00:00:{seconds:02d}.000Z",
    }  # fmt: skip
    if usd is not None:
        made["usage"] = {"input_tokens": 100, "output_tokens": 10, "cost_usd": usd}
    return made


def test_nothing_done() -> None:
    done = performance.of([])
    assert (done["attempts"], done["success_rate"], done["median_s"], done["cost_per_success_usd"]) == (
        0,
        None,
        None,
        None,
    )


def test_attempts_are_counted_timed_and_paid() -> None:
    done = performance.of([
        attempt("t1", "failed", 10, 0.5), attempt("t1", "succeeded", 20, 0.5), attempt("t2", "succeeded", 30, 1.0),
        attempt("t3", "released", 5), attempt("t4", "running", None),
    ])  # fmt: skip
    assert (done["attempts"], done["tasks"], done["succeeded"], done["failed"], done["released"]) == (5, 4, 2, 1, 1)
    assert (done["success_rate"], done["median_s"]) == (0.667, 20.0), "what was released says nothing"
    assert (done["completed"], done["gates"], done["gate_pass_rate"]) == (2, 0, None)
    assert (done["tokens"], done["cost_usd"], done["cost_per_success_usd"]) == (330, 2.0, 1.0)


def test_retries_and_gates_are_counted() -> None:
    first: Attempt = {**attempt("t1", "failed", 10), "gates": (1, 2)}
    second: Attempt = {**attempt("t1", "succeeded", 10), "number": 2, "gates": (2, 2)}
    done = performance.of([first, second, attempt("t2", "succeeded", 5)])
    assert (done["retries"], done["gates"], done["gate_pass_rate"]) == (1, 4, 0.75)
