"""What a gate's result says once its reports are read and its limits judged."""

from __future__ import annotations

from dataclasses import asdict

from atms_cli.domain import figures, thresholds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Finding, GateResult, JsonObject, LimitResult
    from atms_cli.domain.reports.report import Report
    from atms_cli.domain.thresholds import Facts

_ORDER = {level: at for at, level in enumerate(thresholds.LEVELS)}
_MOST_REASONS = 4


def weighed(
    result: GateResult, report: Report, unreadable: Sequence[str], limits: Sequence[LimitResult], facts: Facts
) -> GateResult:
    """Return the result of a gate with what its reports say; they can take away that it passed, and never give it.

    `unreadable` has a sentence for each report that cannot be read.
    """
    broken = [limit["words"] for limit in limits if not limit["passed"]]
    status = result["status"]
    if status == "passed" and (unreadable or broken):
        status = "error" if unreadable else "failed"
    found = [] if broken or unreadable else _in_words(report)
    reasons = [*([result["reason"]] if result["reason"] else []), *unreadable, *broken, *found]
    weighed_: GateResult = {
        **result,
        "status": status,
        "reason": "; ".join(reasons[:_MOST_REASONS]) if status != "passed" else None,
        "findings": _sorted(report.findings, facts),
        "tests": None if report.tests is None else {**asdict(report.tests)},
        "coverage": _coverage(report, limits),
        "counts": {**thresholds.counted(report.findings), "dropped": report.dropped},
        "limits": list(limits),
    }
    if facts.samples:
        weighed_["figures"] = {name: figures.of(each).to_json() for name, each in facts.samples.items() if each}
    return weighed_


def _in_words(report: Report) -> list[str]:
    counts = thresholds.counted(report.findings)
    return [thresholds.in_words(level, counts[level]) for level in thresholds.LEVELS if counts[level]]


def _sorted(findings: Sequence[Finding], facts: Facts) -> list[Finding]:
    """Return findings with the most pressing first; which are new is said where there is a baseline."""
    accepted = facts.baseline["findings"]
    if accepted:
        for finding in findings:
            finding["new"] = finding["fingerprint"] not in accepted
    return sorted(
        findings,
        key=lambda it: (
            not it.get("new", True),
            _ORDER[it["level"]],
            it["path"] or "",
            it["line"] or 0,
            it["column"] or 0,
        ),
    )


def _coverage(report: Report, limits: Sequence[LimitResult]) -> JsonObject | None:
    coverage = report.coverage
    if coverage is None:
        return None
    changed = next((limit["value"] for limit in limits if limit["limit"] == "coverage.changed"), None)
    shares = {"line": coverage.percent(), "branch": coverage.branch_percent(), "changed": changed}
    rounded: JsonObject = {name: None if share is None else round(share, 2) for name, share in shares.items()}
    return {**rounded, "lines": coverage.lines, "covered": coverage.covered}
