"""When an attempt that runs has to stop, and what has cost too much without getting anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import attempt, headway, trouble, watching
from atms_cli.domain.budget import Spent
from atms_cli.domain.streams import Report
from atms_cli.domain.watching import Limit, Stop

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject

NOW = "2026-01-02T15:00:00.000Z"


@pytest.mark.parametrize(
    ("whose", "verdict", "words"),
    [
        ("attempt", "over_budget", "the attempt's budget is used up: $3.00 of $2.50 are spent"),
        ("task", "over_budget", "the task's budget is used up: $3.00 of $2.50 are spent"),
        ("day", "put_back", "the day's budget is used up: $3.00 of $2.50 are spent"),
        ("run", "put_back", "the budget of this run is used up: $3.00 of $2.50 are spent"),
    ],
)
def test_limits_of_a_task_are_final_and_those_of_a_day_or_run_are_not(whose: str, verdict: str, words: str) -> None:
    stop = watching.over(Spent(10, 1.0), [Limit(whose, 2.5, None, Spent(0, 2.0))])
    assert stop is not None
    assert (stop.verdict, stop.reason) == (verdict, words)


def test_the_first_limit_that_is_reached_counts() -> None:
    none, tokens = Limit("attempt", None, None, Spent(10**9, 10**9)), Limit("task", 5.0, 100)
    assert watching.over(Spent(99, 4.99), [none, tokens]) is None
    stop = watching.over(Spent(100, 0), [none, tokens, Limit("day", 0.0, None)])
    assert stop == Stop("over_budget", "the task's budget is used up: 100 of 100 tokens are used up")


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_stop_comes_exactly_at_the_limit(spent: int, others: int, most: int) -> None:
    stop = watching.over(Spent(spent), [Limit("attempt", None, most, Spent(others))])
    assert (stop is not None) == (spent + others >= most)


def test_who_gets_nowhere_is_told_what_was_last() -> None:
    assert watching.idle(59, 60, "Bash: make") is None
    assert watching.idle(60, 60, "Bash: make\nall") == Stop("stalled", "no progress for 1m; the last was: Bash: make")
    assert watching.idle(61, 60, "") == Stop("stalled", "no progress for 1m")


@pytest.mark.parametrize(
    ("outcome", "kind", "words"),
    [
        ({"status": "over_budget", "error": "the task's budget is used up"}, "budget", "the task's budget is used up"),
        ({"status": "stalled", "error": "no progress for 1m"}, "stalled", "stalled: no progress for 1m"),
        ({"status": "stalled"}, "stalled", "was silent for too long"),
        ({"status": "timed_out"}, "timeout", "ran longer than its timeout"),
    ],
)
def test_what_cut_an_attempt_off(outcome: dict[str, Any], kind: str, words: str) -> None:
    found = trouble.find("claude", Report(), outcome, [], NOW, 0)
    assert found is not None
    assert (found.kind, found.reason, attempt.is_success(outcome)) == (kind, words, False)


# Spending without progress


def verdict(*failing: int, tests: int = 0) -> Any:  # noqa: ANN401  a verdict, as far as it is looked at
    gates = [
        {"name": str(n), "required": True, "status": "failed", "findings": [{}] * findings, "tests": {"failed": tests}}
        for n, findings in enumerate(failing)
    ]
    return {"passed": not gates, "gates": [*gates, {"name": "x", "required": True, "status": "passed", "findings": []}]}


def tally(*attempts: tuple[Any, str | None]) -> Any:  # noqa: ANN401  JSON
    known: JsonObject = {}
    for judged, commit in attempts:
        known = headway.after(known, {"cost_usd": 1.0, "input_tokens": 10}, judged, commit)
    return known


@pytest.mark.parametrize(
    ("attempts", "in_vain"),
    [
        ([(None, None)], 1),
        ([(None, "a"), (None, "a"), (None, "a")], 3),
        ([(None, "a"), (None, "b")], 0),
        ([(None, "a"), (None, None), (None, "b"), (None, "b")], 1),
        ([(verdict(3), None)], 0),
        ([(verdict(3), None), (verdict(3), None), (verdict(4), None)], 2),
        ([(verdict(3), None), (verdict(2), None)], 0),
        ([(verdict(3), None), (verdict(4), None), (verdict(3), None)], 2),
        ([(verdict(3, 3), None), (verdict(9), None)], 0),
        ([(verdict(3), None), (None, None), (verdict(3), None)], 2),
        ([(verdict(0, tests=5), None), (verdict(0, tests=4), None)], 0),
        ([(verdict(0, tests=5), None), (verdict(0, tests=5), None)], 1),
    ],
)
def test_progress_is_a_commit_or_a_better_verdict(attempts: list[tuple[Any, str | None]], in_vain: int) -> None:
    found = tally(*attempts)
    assert (found["attempts"], found["usd"], found["tokens"]) == (in_vain, 1.0 * in_vain, 10 * in_vain)


def test_what_is_spent_in_vain_is_said_in_words() -> None:
    twice = tally((None, "a"), (None, "a"))
    assert headway.exceeded(twice, 2.01, 21) is None
    assert headway.exceeded(twice, None, None) is None
    words = "nothing has come of it in 2 attempts in a row, no commit and no fewer failing gates or findings: "
    assert headway.exceeded(twice, 2.0, None) == words + "$2.00 of $2.00 are spent"
    assert headway.exceeded(twice, None, 20) == words + "20 of 20 tokens are used up"
    assert headway.exceeded(tally((None, "a"), (None, "b")), 0.0, 1) is None, "there was progress"


VERDICTS = [None, verdict(1), verdict(2), verdict(1, 1)]


@given(st.lists(st.tuples(st.sampled_from(VERDICTS), st.sampled_from([None, "a", "b"]))))
def test_who_never_gets_better_is_stopped_in_the_end(attempts: list[tuple[Any, str | None]]) -> None:
    """After any past, attempts that all end alike add up."""
    last: Any = tally(*attempts, (verdict(2), "c"))
    for number in range(1, 5):
        last = headway.after(last, {"cost_usd": 1.0}, verdict(2), "c")
        assert last["attempts"] >= number
    assert headway.exceeded(last, 4.0, None)
