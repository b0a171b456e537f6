"""Gates: only exit code 0 has passed, and a required gate that did not pass decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import gate as gates
from atms_cli.errors import AtmsError, NotFoundError

if TYPE_CHECKING:
    from atms_cli.domain.records import Gate, GateResult, JsonObject

STATUSES = ("exited", "signalled", "timed_out", "stalled", "killed", "vanished", "unstartable")


def made(name: str, **fields: object) -> Gate:
    return {**gates.DEFAULTS, "name": name, "command": "true", **fields}  # type: ignore[typeddict-item]


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
    defined |= {"load": made("load", stages=["manual"]), "eyes": made("eyes", kind="review", command=None)}
    assert [gate["name"] for gate in gates.without_being_asked_for(defined)] == ["tests", "slow", "lint"]
    with pytest.raises(NotFoundError) as refusal:
        gates.for_task(defined, ["nope"])
    assert refusal.value.hint == "known gates: tests, slow, lint, load, eyes"


def refusal_of(**definitions: Gate) -> str:
    with pytest.raises(AtmsError) as refusal:
        gates.check(definitions)
    return refusal.value.message


def test_definitions_that_cannot_be_run_are_refused() -> None:
    assert refusal_of(**{"check-1": made("check-1")}) == "check-1: commands of tasks have such names"
    assert refusal_of(a=made("a", command="")) == "a: it has no command"
    assert refusal_of(a=made("a", kind="review")) == "a: a review has no command"
    assert refusal_of(a=made("a", depends_on=["b"])) == "a: it depends on `b`, which is not defined"
    assert refusal_of(a=made("a", group="b"), b=made("b")) == "a: the group `b` has the name of a gate"
    assert (
        refusal_of(a=made("a", when={"gates": {"b": ["passed"]}}))
        == "a: its condition is about `b`, which is not defined"
    )
    assert "no regular expression" in refusal_of(
        a=made("a", expect={"exit_codes": [0], "output": ["("], "no_output": []})
    )
    assert "no exit code" in refusal_of(a=made("a", expect={"exit_codes": [256], "output": [], "no_output": []}))
    review = made("r", kind="review", command="")
    assert refusal_of(r=review, a=made("a", depends_on=["r"])) == "a: it depends on the review `r`"


def test_a_circle_is_shown() -> None:
    circle = {
        "a": made("a", depends_on=["b"]),
        "b": made("b", when={"gates": {"c": ["passed"]}}),
        "c": made("c", depends_on=["a"]),
    }
    assert refusal_of(**circle) == "dependencies would form a cycle: a -> b -> c -> a"
    assert refusal_of(a=made("a", group="g", depends_on=["g"]), b=made("b", group="g", depends_on=["a"])).endswith(
        "a -> b -> a"
    )


def test_what_a_gate_depends_on_comes_along() -> None:
    defined = {
        "build": made("build", stages=["manual"], required=False),
        "unit": made("unit", group="fast", stages=["manual"], depends_on=["build"]),
        "lint": made("lint", group="fast", stages=["manual"]),
        "all": made("all", depends_on=["fast"]),
    }
    gates.check(defined)
    assert [gate["name"] for gate in gates.for_task(defined, [])] == ["build", "unit", "lint", "all"]
    assert [gate["name"] for gate in gates.named(defined, ["fast"])] == ["unit", "lint"]
    own = gates.for_task(defined, [], [{"command": "./check"}])[-1]
    assert (own["name"], own["command"], own["required"]) == ("check-1", "./check", True)


@pytest.mark.parametrize(
    ("expect", "code", "output", "reason"),
    [
        ({"exit_codes": [1, 3]}, 3, "", None),
        ({"exit_codes": [1, 3]}, 0, "", "exit code 0, not 1 or 3"),
        ({"output": ["^ok$"]}, 0, "first\nok\n", None),
        ({"output": ["^ok$"]}, 0, "not ok", "its output has nothing like `^ok$`"),
        ({"no_output": ["warn\\w*"]}, 0, "some warnings", "its output has `warnings`"),
        ({"output": ["ok"]}, 1, "ok", "exit code 1"),
    ],
)
def test_what_is_expected(expect: dict[str, object], code: int, output: str, reason: str | None) -> None:
    gate = made("g", expect={"exit_codes": [0], "output": [], "no_output": [], **expect})
    assert gates.judge(gate, {"status": "exited", "exit_code": code}, None, output)["reason"] == reason


def test_what_was_skipped_speaks_against_nothing_unless_a_need_failed() -> None:
    gate = made("g")
    assert gates.verdict([gates.skipped(gate, "condition", "why"), gates.skipped(gate, "unchanged", "why")])["passed"]
    assert not gates.verdict([gates.skipped(gate, "need", "why")])["passed"]
    advisory = made("a", required=False)
    assert gates.verdict([gates.skipped(advisory, "need", "why")])["passed"]


def test_a_review_is_all_that_is_missing() -> None:
    review = made("r", kind="review", command="")
    waiting = gates.reviewed(review, None)
    assert gates.awaits_review(gates.verdict([result(passed=True, required=True), waiting]))
    assert not gates.awaits_review(gates.verdict([result(passed=False, required=True), waiting]))
    assert not gates.awaits_review(gates.verdict([result(passed=True, required=True)]))
    approved = gates.reviewed(review, {"by": "ann"})
    assert (approved["status"], approved["reviewed_by"]) == ("passed", "ann")
