"""Quality gates: which apply, what a result is, and the verdict over many."""

from __future__ import annotations

from atms_cli.domain.attempt import describe
from atms_cli.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Gate, GateResult, JsonObject, Verdict

KINDS = (
    "lint", "format", "types", "test", "coverage", "security", "performance", "build", "docs", "custom",
)  # fmt: skip
STAGES = ("task", "pre-commit", "pre-push", "ci", "manual")
DEFAULTS: JsonObject = {
    "kind": "custom",
    "required": True,
    "stages": ["task"],
    "timeout": 600.0,
    "working_directory": None,
    "environment": {},
}


def for_task(gates: Mapping[str, Gate], asked: Sequence[str]) -> list[Gate]:
    """Return the gates that judge a task: all of stage `task`, and those it asks for by name.

    Raises:
        NotFoundError: it asks for a gate that is not defined.

    """
    chosen = {name: gate for name, gate in gates.items() if "task" in gate["stages"]}
    for name in asked:
        chosen[name] = {**named(gates, name), "required": True}
    return list(chosen.values())


def named(gates: Mapping[str, Gate], name: str) -> Gate:
    """Return the gate of that name."""
    if name not in gates:
        known = ", ".join(gates) or "none is defined"
        raise NotFoundError(f"no gate `{name}`", f"known gates: {known}")
    return gates[name]


def at_stage(gates: Mapping[str, Gate], stage: str) -> list[Gate]:
    """Return the gates of a stage, in the order of atms.yaml."""
    return [gate for gate in gates.values() if stage in gate["stages"]]


def judge(gate: Gate, outcome: JsonObject, log: str | None) -> GateResult:
    """Return the result of a gate from how its process ended: only exit code 0 has passed."""
    passed = outcome.get("status") == "exited" and outcome.get("exit_code") == 0
    code, duration = outcome.get("exit_code"), outcome.get("duration_s")
    return {
        "name": gate["name"],
        "kind": gate["kind"],
        "status": "passed" if passed else _failure(str(outcome.get("status"))),
        "required": gate["required"],
        "exit_code": code if isinstance(code, int) else None,
        "duration_s": round(duration, 3) if isinstance(duration, int | float) else 0.0,
        "findings": [],
        "tests": None,
        "coverage": None,
        "log": log,
        "reason": None if passed else describe(outcome),
    }


def _failure(status: str) -> str:
    return {"timed_out": "timeout", "exited": "failed"}.get(status, "error")


def verdict(results: Sequence[GateResult]) -> Verdict:
    """Return whether every required gate passed; one that could not run has not."""
    return {
        "passed": all(result["status"] == "passed" or not result["required"] for result in results),
        "gates": list(results),
    }


def failures(judged: Verdict) -> list[GateResult]:
    """Return the required gates that did not pass."""
    return [result for result in judged["gates"] if result["required"] and result["status"] != "passed"]


def summarise(judged: Verdict) -> str:
    """Say which gates failed and how, for a reason on a task."""
    return "; ".join(f"gate {result['name']}: {result['reason']}" for result in failures(judged))
