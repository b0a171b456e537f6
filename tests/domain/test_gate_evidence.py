"""Reports can take away that a gate passed, and never give it; what agents are told; what is accepted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import baseline, feedback, figures, gateevidence
from atms_cli.domain import gate as gates
from atms_cli.domain.reports.report import Coverage, Report, Tally
from atms_cli.domain.thresholds import Facts
from atms_cli.errors import DamagedError, NewerError
from tests.gateresults import HERE, ended, findings, found, verdicts, with_findings

if TYPE_CHECKING:
    from atms_cli.domain.records import Finding, LimitResult, Verdict

NOTHING = Facts(baseline.nothing())
KEPT: LimitResult = {"limit": "a", "passed": True, "value": 1.0, "bound": 1.0, "words": "fine"}
BROKEN: LimitResult = {"limit": "b", "passed": False, "value": 2.0, "bound": 1.0, "words": "2 of 3 tests failed"}


@given(st.integers(0, 2), st.lists(st.sampled_from((KEPT, BROKEN)), max_size=3), st.booleans())
def test_passed_is_only_taken_away(exit_code: int, limits: list[LimitResult], is_unreadable: bool) -> None:  # noqa: FBT001
    unreadable = ["report x cannot be read: it is empty"] if is_unreadable else []
    result = gateevidence.weighed(ended("g", exit_code), Report(HERE), unreadable, limits, NOTHING)
    is_kept = all(limit["passed"] for limit in limits)
    assert (result["status"] == "passed") == (exit_code == 0 and is_kept and not is_unreadable)
    assert (result["reason"] is None) == (result["status"] == "passed")
    if exit_code == 0 and is_unreadable:
        assert result["status"] == "error"


def test_the_reason_has_exit_code_and_figures() -> None:
    result = gateevidence.weighed(ended("g", 1), Report(HERE), [], [KEPT, BROKEN], NOTHING)
    assert result["reason"] == "exit code 1; 2 of 3 tests failed"


def test_what_reports_say_is_in_the_result() -> None:
    report = Report(HERE, tests=Tally(total=3, failed=1), coverage=Coverage(lines=3, covered=2))
    result = gateevidence.weighed(ended("g"), report, [], [], Facts(baseline.nothing(), samples={"t": [1.0, 2.0]}))
    assert result["tests"] == {"total": 3, "failed": 1, "errors": 0, "skipped": 0}
    assert result["coverage"] == {"line": 66.67, "branch": None, "changed": None, "lines": 3, "covered": 2}
    assert result["figures"] == {"t": {"median": 1.5, "error": 0.0, "samples": 2}}


def test_new_and_worst_findings_come_first() -> None:
    listed = found(("note", "N", "n", "a.py", 1), ("error", "E", "e", "b.py", 1), ("error", "E", "e", "a.py", 9))
    result = with_findings(ended("g", 1), listed)
    assert [(it["level"], it["path"]) for it in result["findings"]] == [
        ("error", "a.py"),
        ("error", "b.py"),
        ("note", "a.py"),
    ]
    accepted = Facts(baseline.accepting([it for it in listed if it["level"] == "error"], {}))
    result = gateevidence.weighed(ended("g", 1), Report(HERE, findings=listed), [], [], accepted)
    assert [(it["rule"], it["new"]) for it in result["findings"]] == [("N", True), ("E", False), ("E", False)]


@given(verdicts())
def test_the_journal_keeps_little_and_the_verdict(verdict: Verdict) -> None:
    kept = gates.kept(verdict)
    assert kept["passed"] == verdict["passed"]
    assert [it["status"] for it in kept["gates"]] == [it["status"] for it in verdict["gates"]]
    assert all(len(it["findings"]) <= 5 for it in kept["gates"])
    assert [it["counts"] for it in kept["gates"]] == [it["counts"] for it in verdict["gates"]]


# Feedback


def test_what_failed_tests_printed_is_told_before_the_output() -> None:
    listed = found(("error", "t::a", "boom", "t.py", 3), ("error", "t::b", "bang", "t.py", 9))
    listed[0]["detail"] = "> assert x\nE boom"
    failed = with_findings(ended("tests", 1), listed)
    assert feedback.said(failed, "log") == "t::a:\n> assert x\nE boom"
    assert feedback.said(ended("build", 1), "one\ntwo\n") == "one\ntwo"
    listed[1]["tool"] = feedback.TESTS
    assert feedback.tests([failed]) == ["t::b"]


def test_a_finding_is_told_with_its_place_first() -> None:
    (finding, other) = found(("error", "E1", "boom", "a.py", 3), ("note", "", "m", None, 3))
    assert feedback.told(finding) == "a.py:3:1: boom [E1]"
    assert feedback.told(other) == "m"


def test_logs_are_trimmed() -> None:
    log = "\x1b[31mred\x1b[0m\n\n\n\n10%\r50%\r100%\ndone  \n\n\x1b]0;title\x07"
    assert feedback.trimmed(log) == "red\n\n100%\ndone"
    assert feedback.trimmed("\n".join(map(str, range(100))), 3) == "97\n98\n99"
    assert len(feedback.trimmed("x" * 100_000)) == 4000


@given(st.text())
def test_a_trimmed_log_has_no_control_characters_but_ends_of_lines(log: str) -> None:
    assert not any(char < " " and char not in "\n\t" for char in feedback.trimmed(log))


# Baselines


@given(st.dictionaries(st.text(max_size=8), findings, max_size=4))
def test_a_baseline_is_read_as_it_was_written(listed: dict[str, list[Finding]]) -> None:
    baselines = {
        name: baseline.accepting(each, {"f": figures.of([1.0, 2.0, 2.5]).to_json()}) for name, each in listed.items()
    }
    text = baseline.render(baselines)
    assert baseline.parse(text) == baselines
    assert baseline.render(baseline.parse(text)) == text
    assert baseline.render(dict(reversed(baselines.items()))) == text, "the order is its own"


def test_each_finding_of_a_baseline_is_a_line() -> None:
    accepted = baseline.accepting(found(("error", "E1", "two\nlines", "a.py", 3)), {})
    (line,) = [line for line in baseline.render({"lint": accepted}).splitlines() if "E1" in line]
    assert line.strip().endswith('": "error E1 a.py two lines"')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version":1}',
        '{"version":1,"gates":[]}',
        '{"version":1,"gates":{"a":1}}',
        "<<<<<<< HEAD",
        "[" * 100_000,
    ],
)
def test_a_damaged_baseline_is_said_to_be_so(text: str) -> None:
    with pytest.raises(DamagedError, match="cannot be read"):
        baseline.parse(text)


def test_a_newer_baseline_is_left_to_newer_programs() -> None:
    with pytest.raises(NewerError):
        baseline.parse(json.dumps({"version": 2, "gates": {}}))
