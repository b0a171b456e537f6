"""Limits on what reports say: each in words and figures, and what is not known has not passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import figures, hunks, reports
from atms_cli.domain import thresholds as limits
from atms_cli.domain.reports.report import Coverage, Place, Report, Tally
from atms_cli.domain.thresholds import Facts
from atms_cli.errors import UsageError
from tests.recorded import recorded

if TYPE_CHECKING:
    from atms_cli.domain.records import LimitResult
    from atms_cli.domain.thresholds import Baseline, Measure, Thresholds

HERE = Place("/p", "/p")
NOTHING: Baseline = {"findings": {}, "figures": {}}


def judged(
    thresholds: Thresholds, report: Report | None = None, facts: Facts | None = None, kind: str = "custom"
) -> list[LimitResult]:
    return limits.judge(thresholds, kind, report or Report(HERE), facts or Facts(NOTHING))


def said(results: list[LimitResult]) -> list[tuple[bool, str]]:
    return [(each["passed"], each["words"]) for each in results]


def with_tests(**counts: int) -> Report:
    return Report(HERE, tests=Tally(**counts))


def with_findings(*levels: str) -> Report:
    report = Report(HERE)
    for number, level in enumerate(levels):
        report.add("t", f"R{number}", level, "m", ("a.py", number + 1, 1))
    return report


# Tests


def test_that_tests_pass_needs_no_limit() -> None:
    assert said(judged({}, with_tests(total=8, failed=3, errors=1, skipped=2))) == [(False, "4 of 6 tests failed")]
    assert said(judged({}, with_tests(total=3, skipped=1))) == [(True, "2 tests passed, 1 skipped")]


def test_no_test_at_all_is_no_pass_of_a_gate_of_tests() -> None:
    assert [each["passed"] for each in judged({}, with_tests(), kind="test")] == [True, False]
    assert [each["passed"] for each in judged({}, with_tests(total=2, skipped=2), kind="test")] == [True, False]
    assert [each["passed"] for each in judged({}, with_tests(total=1), kind="test")] == [True]
    assert [each["passed"] for each in judged({}, with_tests(), kind="custom")] == [True]


def test_fewest_tests_and_most_skipped() -> None:
    results = judged({"tests": {"min": 10, "skipped": 1}}, with_tests(total=9, skipped=2))
    assert said(results)[1:] == [
        (False, "7 tests ran, at least 10 had to"),
        (False, "2 tests skipped, at most 1"),
    ]


# Coverage


def test_coverage_is_never_rounded_up_to_what_is_asked() -> None:
    report = Report(HERE, coverage=Coverage(lines=100_000, covered=79_999))
    assert said(judged({"coverage": {"line": 80}}, report)) == [(False, "79.99 % of lines covered, at least 80 %")]
    assert judged({"coverage": {"line": 79.999}}, report)[0]["passed"]


def test_coverage_of_branches() -> None:
    report = reports.read(recorded("coverage.xml"), "auto", Place("/home/you/shop", "/home/you/shop"))
    assert said(judged({"coverage": {"line": 90, "branch": 80}}, report)) == [
        (True, "90.9 % of lines covered, at least 90 %"),
        (False, "75 % of branches covered, at least 80 %"),
    ]


DIFF = """diff --git src/shop/cart.py src/shop/cart.py
--- src/shop/cart.py
+++ src/shop/cart.py
@@ -11,0 +12,4 @@ def total():
+def label(name: str) -> str:
+    if not name:
+        return "nothing"
+    return name
@@ -30 +35,0 @@
-gone
--- docs/x.md
+++ docs/x.md
@@ -1 +1 @@
-+++ a
++++ b
--- old.py
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
"""


def test_lines_that_a_change_added() -> None:
    assert hunks.added_lines(DIFF) == {"src/shop/cart.py": [range(12, 16), range(35, 35)], "docs/x.md": [range(1, 2)]}
    quoted = '--- /dev/null\n+++ "caf\\303\\251 \\"x\\".py"\n@@ -0,0 +1,2 @@\n+a\n+b\n'
    assert hunks.added_lines(quoted) == {'café "x".py': [range(1, 3)]}
    assert hunks.added_lines("") == {}


def test_coverage_of_changed_lines() -> None:
    report = reports.read(recorded("lcov.info"), "auto", Place("/home/you/shop", "/home/you/shop"))
    facts = Facts(NOTHING, changed=hunks.added_lines(DIFF))
    (result,) = judged({"coverage": {"changed": 80}}, report, facts)
    assert not result["passed"]
    assert result["words"] == (
        "75 % of 4 changed lines covered, at least 80 % (1 changed files are in no report): src/shop/cart.py:14 is not"
    )
    assert judged({"coverage": {"changed": 75}}, report, facts)[0]["passed"]
    elsewhere = Facts(NOTHING, changed={"src/shop/cart.py": [range(100, 200)]})
    assert said(judged({"coverage": {"changed": 100}}, report, elsewhere)) == [
        (True, "no changed line has code to be covered")
    ]


@pytest.mark.parametrize(
    ("thresholds", "report"),
    [
        ({"coverage": {"line": 0}}, Report(HERE)),
        ({"coverage": {"branch": 0}}, Report(HERE, coverage=Coverage(lines=1, covered=1))),
        ({"coverage": {"changed": 0}}, Report(HERE, coverage=Coverage(lines=1, covered=1))),
        ({"tests": {"min": 0}}, Report(HERE)),
        ({"performance": [{"name": "parse", "pattern": "x"}]}, Report(HERE)),
        ({"findings": {"error": 99_999}}, Report(HERE, dropped=1)),
        ({"new_findings": {"error": 99_999}}, Report(HERE, dropped=1)),
    ],
)
def test_what_is_not_known_has_not_passed(thresholds: Thresholds, report: Report) -> None:
    assert [each["passed"] for each in judged(thresholds, report)] == [False]


def test_a_budget_of_files_that_are_not_there_has_not_passed() -> None:
    results = judged({"sizes": [{"files": ["dist/*.js"], "max": 10}]}, facts=Facts(NOTHING, sizes=[[]]))
    assert said(results) == [(False, "no file is like dist/*.js")]


# Findings


def test_most_findings_of_a_level() -> None:
    report = with_findings("error", "warning", "warning", "note")
    results = judged({"findings": {"error": 1, "warning": 1, "note": 1, "total": 3}}, report)
    assert said(results) == [
        (True, "1 error, at most 1"),
        (False, "2 warnings, at most 1"),
        (True, "1 note, at most 1"),
        (False, "4 findings, at most 3"),
    ]


def test_new_findings_are_those_that_the_baseline_does_not_have() -> None:
    report = with_findings("error", "warning")
    accepted: Baseline = {"findings": {report.findings[0]["fingerprint"]: "R0"}, "figures": {}}
    assert said(judged({"new_findings": {"total": 0}}, report, Facts(accepted))) == [
        (False, "1 finding that is new, at most 0")
    ]
    assert judged({"new_findings": {"error": 0}}, report, Facts(accepted))[0]["passed"]


# Performance


def measure(**more: object) -> Measure:
    return {"name": "parse", "unit": "ms", **more}  # type: ignore[typeddict-item]


def performance(each: Measure, samples: list[float], before: list[float] | None = None) -> LimitResult:
    kept = {} if before is None else {"parse": dict(figures.of(before).to_json())}
    facts = Facts({"findings": {}, "figures": kept}, samples={"parse": samples})
    (result,) = judged({"performance": [each]}, facts=facts)
    return result


def test_absolute_limits() -> None:
    assert performance(measure(max=10), [9, 11, 10])["passed"]
    assert performance(measure(max=10), [10.5])["words"] == "parse 10.5 ms, at most 10 ms"
    assert performance(measure(min=100, unit="/s"), [99])["words"] == "parse 99 /s, at least 100 /s"


def test_compared_with_a_baseline() -> None:
    assert performance(measure(tolerance=0.1), [10.9], [10])["passed"]
    result = performance(measure(tolerance=0.1), [11.5], [10])
    assert (result["passed"], result["words"]) == (
        False,
        "parse 11.5 ms, worse by 15.0% than the baseline of 10 ms, at most 10.0% worse",
    )
    assert performance(measure(tolerance=0.1, better="higher"), [11.5], [10])["passed"]
    assert not performance(measure(tolerance=0.1, better="higher"), [8.5], [10])["passed"]
    assert not performance(measure(tolerance=0.1), [10])["passed"], "nothing to compare with"


def test_samples_that_spread_allow_more_but_not_any_amount() -> None:
    steady, spread = [10.0, 10.0, 10.1, 9.9, 10.0], [8.0, 12.0, 10.0, 9.0, 11.0]
    slower = [each * 1.13 for each in spread]
    assert not performance(measure(tolerance=0.1), [each * 1.13 for each in steady], steady)["passed"]
    assert performance(measure(tolerance=0.1), slower, spread)["passed"]
    assert not performance(measure(tolerance=0.1), [each * 1.25 for each in spread], spread)["passed"]


samples = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=9)


@given(samples, samples, st.floats(min_value=0.001, max_value=1))
def test_the_allowance_is_between_the_tolerance_and_twice_of_it(
    now: list[float], before: list[float], tolerance: float
) -> None:
    allowed = figures.allowance(figures.of(now), figures.of(before), tolerance)
    assert tolerance <= allowed <= 2 * tolerance
    assert min(now) <= figures.of(now).median <= max(now)
    assert figures.worsening(figures.of(now), figures.of(now), "lower") == 0.0


def test_where_figures_stand() -> None:
    document = {"results": [{"median": 1.5, "times": [1, 2, 3.5], "a/b": 4, "note": "x", "nan": float("nan")}]}
    assert figures.at_pointer(document, "/results/0/median") == [1.5]
    assert figures.at_pointer(document, "/results/0/times") == [1, 2, 3.5]
    assert figures.at_pointer(document, "/results/0/a~1b") == [4]
    for nowhere in ("/results/1/median", "/results/x", "/results/0/note", "/results/0/nan", "/results", "/a/b", ""):
        assert figures.at_pointer(document, nowhere) == []
    assert figures.in_text("took 1.5 ms\ntook 1,200 ms\ntook long", r"took ([\d.,]+|long)") == [1.5, 1200]
    assert figures.in_text("1 2", r"\d") == [1, 2]


@pytest.mark.parametrize(
    ("pointer", "pattern"),
    [(None, None), ("/a", "b"), ("a", None), (None, "(")],
    ids=["none", "both", "slash", "regex"],
)
def test_sources_of_figures_that_could_find_none(pointer: str | None, pattern: str | None) -> None:
    with pytest.raises(UsageError):
        figures.check_source(pointer, pattern)


# Sizes


def test_size_budgets() -> None:
    found = [("dist/a.js", 250_001), ("dist/b.js", 1000)]
    results = judged(
        {"sizes": [{"files": ["dist/*.js"], "max": 250_000, "total": 300_000}]}, facts=Facts(NOTHING, sizes=[found])
    )
    assert said(results) == [
        (False, "dist/a.js has 244 kB (250001 bytes), at most 244 kB (250000 bytes)"),
        (True, "dist/*.js together 245 kB (251001 bytes), at most 293 kB (300000 bytes)"),
    ]
