"""Gates: only exit code 0 has passed, and a required gate that did not pass decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import gate as gates
from atms_cli.errors import NotFoundError

if TYPE_CHECKING:
    from atms_cli.domain.records import Gate, GateResult, JsonObject

STATUSES = ("exited", "signalled", "timed_out", "stalled", "killed", "vanished", "unstartable")


def made(name: str, **fields: object) -> Gate:
    return {"name": name, "command": "true", **gates.DEFAULTS, **fields}  # type: ignore[typeddict-item]


def result(*, passed: bool, required: bool, name: str = "g") -> GateResult:
    return gates.judge(made(name, required=required), {"status": "exited", "exit_code": 0 if passed else 1}, "log")


@given(
    st.sampled_from(STATUSES),
    st.one_of(st.none(), st.integers(min_value=-255, max_value=255)),
    st.one_of(st.none(), st.integers(min_value=1, max_value=64)),
)
def test_nothing_but_exit_code_0_has_passed(status: str, code: int | None, signal: int | None) -> None:
    outcome: JsonObject = {"status": status, "exit_code": code, "signal": signal, "error": "why", "duration_s": 0.12345}
    judged = gates.judge(made("g"), outcome, "log")
    assert (judged["status"] == "passed") == (status == "exited" and code == 0)
    assert (judged["reason"] is None) == (judged["status"] == "passed")
    assert judged["duration_s"] == 0.123


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ({"status": "exited", "exit_code": 1}, "failed"),
        ({"status": "signalled", "exit_code": 0}, "error"),
        ({"status": "timed_out", "exit_code": 0}, "timeout"),
        ({"status": "unstartable", "error": "no such file"}, "error"),
        ({"status": "vanished"}, "error"),
        ({}, "error"),
    ],
)
def test_how_it_did_not_pass(outcome: JsonObject, status: str) -> None:
    judged = gates.judge(made("g"), outcome, None)
    assert judged["status"] == status
    assert not gates.verdict([judged])["passed"]


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_the_verdict_is_that_of_the_required_ones(found: list[tuple[bool, bool]]) -> None:
    judged = gates.verdict([result(passed=passed, required=required) for passed, required in found])
    assert judged["passed"] == all(passed for passed, required in found if required)
    assert bool(gates.failures(judged)) != judged["passed"]


def test_the_summary_names_those_that_decided() -> None:
    judged = gates.verdict(
        [result(passed=False, required=True, name="tests"), result(passed=False, required=False, name="docs")]
    )
    assert gates.summarise(judged) == "gate tests: exit code 1"


def test_which_gates_judge_a_task() -> None:
    defined = {
        "tests": made("tests"),
        "slow": made("slow", stages=["ci"], required=False),
        "lint": made("lint", stages=["task", "pre-commit"], required=False),
    }
    assert [gate["name"] for gate in gates.for_task(defined, [])] == ["tests", "lint"]
    asked = {gate["name"]: gate["required"] for gate in gates.for_task(defined, ["slow", "lint"])}
    assert asked == {"tests": True, "slow": True, "lint": True}, "what a task asks for is required"
    assert not defined["slow"]["required"], "the definition itself stays"
    assert [gate["name"] for gate in gates.at_stage(defined, "pre-commit")] == ["lint"]
    with pytest.raises(NotFoundError) as refusal:
        gates.for_task(defined, ["nope"])
    assert refusal.value.hint == "known gates: tests, slow, lint"
