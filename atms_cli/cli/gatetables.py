"""Findings, results and baselines of gates as text."""

from __future__ import annotations

from atms_cli.cli.gatelines import MARKS
from atms_cli.cli.lines import one_line
from atms_cli.cli.render import plural, records, table
from atms_cli.domain.moment import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Finding, JsonObject

_LEVELS = {"error": "red", "warning": "yellow", "note": "dim"}
_MOST_FINDINGS = 200


def findings_text(call: Call, name: str, findings: Sequence[Finding], most: int) -> str:
    """Return findings below the name of their gate, those of one file together."""
    rest = len(findings) - most
    lines = [call.style(name, "bold"), *(_finding(call, each) for each in findings[:most])]
    return "\n".join([*lines, *([call.style(f"  and {rest} more", "dim")] if rest > 0 else [])])


def _finding(call: Call, finding: Finding) -> str:
    level = call.style(finding["level"], _LEVELS[finding["level"]])
    rule = call.style(f" [{one_line(finding['rule'])}]", "dim") if finding["rule"] else ""
    from atms_cli.domain.feedback import place

    where = one_line(place(finding))
    return f"  {where}{' ' if where else ''}{level}: {one_line(finding['message'])}{rule}"


def results_text(call: Call, found: Sequence[JsonObject]) -> str:
    """Return results as a table, and below it what each has found if that is known."""
    if not found:
        return call.style("no results yet", "dim")
    rows = [_row(each) for each in found]
    # What is cut in the table is whole below it, where there is room for it.
    below = [] if len({each["run"] for each in found}) > 1 else _reasons(call, found)
    below += [
        findings_text(call, str(each["name"]), records(each["findings"]), _MOST_FINDINGS)  # type: ignore[arg-type]  # as they were written
        for each in found
        if each.get("findings")
    ]
    return "\n\n".join(
        [table(call, ("RUN", "WHEN", "GATE", "STATUS", "TIME", "FOR", "REASON"), rows, stretch=6), *below]
    )


def _reasons(call: Call, found: Sequence[JsonObject]) -> list[str]:
    lines = [
        f"{call.style(str(each['name']), 'bold')}  {one_line(str(each['reason']))}"
        for each in found
        if each.get("reason")
    ]
    return ["\n".join(lines)] if lines else []


def _row(result: Any) -> list[tuple[str, str]]:  # noqa: ANN401  JSON
    notes = [word for word in ("cached", "flaky") if result.get(word)]
    reason = "; ".join([*notes, *([str(result["reason"])] if result.get("reason") else [])])
    return [
        (str(result["run"]), "dim"), (_moment(result["at"]), "dim"), (str(result["name"]), "bold"),
        (str(result["status"]), MARKS[str(result["status"])][1]), (describe_duration(result.get("duration_s") or 0), ""),
        (str(result.get("task") or result.get("stage") or ""), ""), (one_line(reason), ""),
    ]  # fmt: skip


def stats_text(call: Call, found: Sequence[Any]) -> str:
    """Return how gates have done as a table."""
    columns = ("GATE", "RUNS", "PASS", "MEDIAN", "P90", "FLAKY", "TREND", "LAST", "AT")
    rows = [_stats_row(each) for each in found]
    return table(call, columns, rows, stretch=8) if rows else call.style("no gates yet", "dim")


def _stats_row(each: Any) -> list[tuple[str, str]]:  # noqa: ANN401  JSON
    last = each["last"] or ""
    return [
        (each["name"], "bold"), (str(each["runs"]), ""), ("" if each["pass_rate"] is None else f"{each['pass_rate']:.0%}", ""),
        (_seconds(each["median_s"]), ""), (_seconds(each["p90_s"]), ""), (str(each["flaky"] or ""), "yellow"), (each["trend"] or "", ""),
        (last, MARKS[last][1] if last else ""), (_moment(each["last_at"]), "dim"),
    ]  # fmt: skip


def _moment(at: object) -> str:
    return str(at or "")[:19].replace("T", " ")


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else describe_duration(seconds)


def baseline_text(call: Call, told: Sequence[Any], path: str) -> str:
    """Return what is accepted, a gate a line."""
    if not told:
        return call.style("nothing is accepted yet; accept what gates find now: atms gate baseline --update", "dim")
    lines = [f"{call.style(each['name'], 'bold')}  {_accepted(each)}" for each in told]
    return "\n".join([*lines, call.style(f"in {path}", "dim")])


def _accepted(each: Any) -> str:  # noqa: ANN401  JSON
    moved = [f"{each[word]} {word}" for word in ("added", "gone") if each.get(word)]
    changed = f" ({', '.join(moved)})" if moved else ""
    figures = [f"{name} {figure['median']:.6g}" for name, figure in each["figures"].items()]
    return ", ".join([f"{plural(int(each['findings']), 'finding')}{changed}", *figures])
