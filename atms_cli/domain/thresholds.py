"""Limits of a gate on what its reports say, each judged in words and figures.

The exit code comes first: a gate that failed by it stays failed. What is judged here can only fail a gate that would have
passed. A limit on something that no report tells of is not kept: what is not known has not passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, inf

from atms_cli.domain import figures
from atms_cli.domain.footprint import describe_size
from atms_cli.domain.globs import matcher
from atms_cli.domain.reports import FORMATS
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypedDict

    from atms_cli.domain.records import Finding, Gate, LimitResult
    from atms_cli.domain.reports.report import Report

    class CoverageLimits(TypedDict, total=False):
        """Least percentages."""

        line: float
        branch: float
        changed: float
        base: str

    class TestLimits(TypedDict, total=False):
        """How many tests there have to be."""

        min: int
        skipped: int

    class Measure(TypedDict, total=False):
        """A figure of performance: where it stands, and what it may be."""

        name: str
        file: str
        pointer: str | None
        pattern: str | None
        unit: str
        better: str
        tolerance: float
        max: float
        min: float

    class SizeBudget(TypedDict, total=False):
        """What files may take, in bytes."""

        files: list[str]
        max: int
        total: int

    class Thresholds(TypedDict, total=False):
        """All limits of a gate."""

        coverage: CoverageLimits
        findings: dict[str, int]
        new_findings: dict[str, int]
        tests: TestLimits
        performance: list[Measure]
        repeat: int
        sizes: list[SizeBudget]

    class Baseline(TypedDict):
        """What was accepted of a gate: findings by fingerprint, figures by name."""

        findings: Mapping[str, str]
        figures: Mapping[str, Mapping[str, object]]


#: Limits on what only reports can tell.
_OF_REPORTS = ("coverage", "findings", "new_findings", "tests")
LEVELS = ("error", "warning", "note")
TOTAL = "total"
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the reports."""

    baseline: Baseline
    #: Added lines by path; None if nobody asked.
    changed: Mapping[str, Sequence[range]] | None = None
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    #: For each size budget, its files and their bytes.
    sizes: Sequence[Sequence[tuple[str, int]]] = ()


def judge(limits: Thresholds, kind: str, report: Report, facts: Facts) -> list[LimitResult]:
    """Return how each limit is kept; that no test fails, and that tests ran at all, are limits of every gate with tests."""
    return [
        *_tests(limits.get("tests", {}), kind, report),
        *_coverage(limits.get("coverage", {}), report, facts),
        *_findings(limits.get("findings", {}), report),
        *_new_findings(limits, report, facts),
        *(_measure(each, facts) for each in limits.get("performance", ())),
        *(it for at, budget in enumerate(limits.get("sizes", ())) for it in _sizes(budget, facts.sizes[at])),
    ]


def check(gate: Gate) -> None:
    """Refuse limits that could never be kept, and formats that nobody reads.

    Raises:
        UsageError: something is wrong.

    """
    limits: Thresholds = gate["thresholds"]  # type: ignore[assignment]  # it was parsed as such
    for report in gate["reports"]:
        if report["format"] not in FORMATS:
            raise UsageError(f"`{report['format']}` is no format of reports", f"choose one of: {', '.join(FORMATS)}")
        matcher([report["path"]])
    told = [name for name in _OF_REPORTS if name in limits]
    if told and not gate["reports"]:
        raise UsageError(f"it has a limit on {told[0]}, and no report tells of that", "name the file under `reports`")
    _check_measures(limits)
    for budget in limits.get("sizes", ()):
        matcher(budget["files"])
        if "max" not in budget and "total" not in budget:
            named = " ".join(budget["files"])
            raise UsageError(f"the budget of {named} has neither `max` nor `total`", "like max: 250kB")


def _check_measures(limits: Thresholds) -> None:
    measures = limits.get("performance", [])
    for measure in measures:
        figures.check_source(measure.get("pointer"), measure.get("pattern"))
        if "pointer" in measure and "file" not in measure:
            raise UsageError(
                f"the pointer of {measure['name']} needs a `file`", "for what is printed, give a `pattern`"
            )
    if len({measure["name"] for measure in measures}) < len(measures):
        raise UsageError("two figures have the same name", "give each its own")
    if "repeat" in limits and not measures:
        raise UsageError("`repeat` is for figures, and there are none", "give some under `performance`")


def _result(limit: str, passed: bool, words: str, value: float | None, bound: float | None = None) -> LimitResult:  # noqa: FBT001
    return {"limit": limit, "passed": passed, "value": value, "bound": bound, "words": words}


def _unknown(limit: str, words: str) -> LimitResult:
    return _result(limit, False, words, None)


# Tests


def _tests(limits: TestLimits, kind: str, report: Report) -> Iterator[LimitResult]:
    tests = report.tests
    if tests is None:
        if limits:
            yield _unknown("tests", "no report tells of tests")
        return
    bad, ran = tests.failed + tests.errors, max(0, tests.total - tests.skipped)
    skipped = f", {tests.skipped} skipped" if tests.skipped else ""
    yield _result(
        "tests.failed", not bad, f"{bad} of {ran} tests failed" if bad else f"{_tests_in_words(ran)} passed{skipped}", bad, 0
    )  # fmt: skip
    least = limits.get("min", 1 if kind == "test" else 0)
    if ran < least:
        yield _result(
            "tests.min", False, f"{_tests_in_words(ran) if ran else 'no test'} ran, at least {least} had to", ran, least
        )
    most = limits.get("skipped")
    if most is not None:
        yield _result(
            "tests.skipped",
            tests.skipped <= most,
            f"{tests.skipped} tests skipped, at most {most}",
            tests.skipped,
            most,
        )


def _tests_in_words(number: int) -> str:
    return "1 test" if number == 1 else f"{number} tests"


# Coverage


def _coverage(limits: CoverageLimits, report: Report, facts: Facts) -> Iterator[LimitResult]:
    coverage = report.coverage
    if coverage is None:
        if limits:
            yield _unknown("coverage", "no report tells of coverage")
        return
    if "line" in limits:
        yield _share("coverage.line", "lines", coverage.percent(), limits["line"])
    if "branch" in limits:
        yield _share("coverage.branch", "branches", coverage.branch_percent(), limits["branch"])
    if "changed" in limits:
        yield _changed(limits["changed"], report, facts)


def _share(limit: str, what: str, percent: float | None, least: float) -> LimitResult:
    if percent is None:
        return _unknown(limit, f"the reports tell of no {what}")
    return _result(
        limit, percent >= least, f"{percent_in_words(percent)} of {what} covered, at least {least:g} %", percent, least
    )


def percent_in_words(percent: float) -> str:
    """Return a percentage, never rounded up to one that is not reached."""
    return f"{floor(percent * 100) / 100:g} %"


def _changed(least: float, report: Report, facts: Facts) -> LimitResult:
    limit = "coverage.changed"
    if facts.changed is None:
        return _unknown(limit, "nobody can tell which lines have changed")
    if report.coverage is None or not report.coverage.files:
        return _unknown(limit, "the reports do not say which lines are covered")
    found = [(path, line, hit) for path, line, hit in _changed_lines(report, facts.changed)]
    unknown = len(facts.changed.keys() - report.coverage.files.keys())
    beside = f" ({unknown} changed files are in no report)" if unknown else ""
    if not found:
        return _result(limit, True, f"no changed line has code to be covered{beside}", None, least)
    covered = sum(hit for _, _, hit in found)
    percent = 100.0 * covered / len(found)
    missing = [f"{path}:{line}" for path, line, hit in found if not hit]
    named = (
        f": {', '.join(missing[:_MOST_NAMED])}{', ...' if len(missing) > _MOST_NAMED else ''} is not" if missing else ""
    )
    words = f"{percent_in_words(percent)} of {len(found)} changed lines covered, at least {least:g} %{beside}"
    return _result(limit, percent >= least, words + (named if percent < least else ""), percent, least)


def _changed_lines(report: Report, changed: Mapping[str, Sequence[range]]) -> Iterator[tuple[str, int, bool]]:
    files = report.coverage.files if report.coverage else {}
    for path in sorted(changed.keys() & files.keys()):
        for line, hit in sorted(files[path].items()):
            if any(line in hunk for hunk in changed[path]):
                yield path, line, hit


# Findings


def _findings(limits: Mapping[str, int], report: Report) -> Iterator[LimitResult]:
    counts = counted(report.findings)
    for level, most in limits.items():
        count = counts[level]
        if report.dropped:
            yield _unknown(
                f"findings.{level}", f"more than {len(report.findings)} findings, at most {in_words(level, most)}"
            )
        else:
            yield _result(f"findings.{level}", count <= most, f"{in_words(level, count)}, at most {most}", count, most)


def counted(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each level, and in all."""
    counts = dict.fromkeys((*LEVELS, TOTAL), 0)
    for finding in findings:
        counts[finding["level"]] += 1
        counts[TOTAL] += 1
    return counts


def in_words(level: str, count: int) -> str:
    """Return a number of findings of a level."""
    noun = "finding" if level == TOTAL else level
    return f"{count} {noun}{'' if count == 1 else 's'}"


def new(findings: Sequence[Finding], baseline: Baseline) -> list[Finding]:
    """Return the findings that a baseline does not have."""
    return [finding for finding in findings if finding["fingerprint"] not in baseline["findings"]]


def _new_findings(limits: Thresholds, report: Report, facts: Facts) -> Iterator[LimitResult]:
    bounds = limits.get("new_findings", {})
    if bounds and report.dropped:
        yield _unknown(
            "new_findings", f"more than {len(report.findings)} findings: too many to compare with a baseline"
        )
        return
    counts = counted(new(report.findings, facts.baseline))
    for level, most in bounds.items():
        count = counts[level]
        words = f"{in_words(level, count)} that {'is' if count == 1 else 'are'} new, at most {most}"
        yield _result(f"new_findings.{level}", count <= most, words, count, most)


# Performance


def _measure(measure: Measure, facts: Facts) -> LimitResult:
    name, samples = measure["name"], facts.samples.get(measure["name"], ())
    limit = f"performance.{name}"
    if not samples:
        return _unknown(limit, f"{name}: no figure was found where it should stand")
    now = figures.of(samples)
    value = f"{name} {_figure(now.median, measure)}"
    for bound, is_kept, word in (
        (measure.get("max"), now.median <= measure.get("max", inf), "most"),
        (measure.get("min"), now.median >= measure.get("min", -inf), "least"),
    ):
        if not is_kept:
            return _result(limit, False, f"{value}, at {word} {_figure(bound or 0, measure)}", now.median, bound)
    if "tolerance" not in measure:
        return _result(limit, True, value, now.median, measure.get("max", measure.get("min")))
    return _compared(limit, value, now, measure, facts)


def _compared(limit: str, value: str, now: figures.Figure, measure: Measure, facts: Facts) -> LimitResult:
    before = figures.stored(facts.baseline["figures"].get(measure["name"], {}))
    if before is None:
        return _result(limit, False, f"{value}, and there is no baseline to compare with", now.median)
    worse = figures.worsening(now, before, measure.get("better", figures.LOWER))
    allowed = figures.allowance(now, before, measure["tolerance"])
    change = f"{'worse' if worse > 0 else 'better'} by {abs(worse):.1%}" if worse else "the same"
    words = f"{value}, {change} than the baseline of {_figure(before.median, measure)}, at most {allowed:.1%} worse"
    return _result(limit, worse <= allowed, words.replace("the same than", "the same as"), now.median, before.median)


def _figure(value: float, measure: Measure) -> str:
    return f"{value:.6g} {measure.get('unit', '')}".rstrip()


# Sizes


def _sizes(budget: SizeBudget, found: Sequence[tuple[str, int]]) -> Iterator[LimitResult]:
    named = " ".join(budget["files"])
    limit = f"size.{named}"
    if not found:
        yield _unknown(limit, f"no file is like {named}")
        return
    if "max" in budget:
        path, size = max(found, key=lambda each: each[1])
        over = sum(bytes_ > budget["max"] for _, bytes_ in found)
        more = f" ({over} files are larger)" if over > 1 else ""
        words = f"{path} has {_size(size)}, at most {_size(budget['max'])}{more}"
        yield _result(f"{limit}.max", not over, words, size, budget["max"])
    if "total" in budget:
        total = sum(size for _, size in found)
        words = f"{named} together {_size(total)}, at most {_size(budget['total'])}"
        yield _result(f"{limit}.total", total <= budget["total"], words, total, budget["total"])


def _size(count: int) -> str:
    """Return bytes for people, and exactly."""
    short = describe_size(count)
    return short if short.endswith(" B") else f"{short} ({count} bytes)"
