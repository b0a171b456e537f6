"""The JSON of coverage.py (`coverage json`)."""

from __future__ import annotations

from atms_cli.domain.reports.jsontext import parse
from atms_cli.domain.reports.report import Coverage, UnreadableError, amount, members, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.reports.report import Report


def read(content: bytes, report: Report) -> None:
    """Read which lines and branches were reached."""
    document = members(parse(content))
    totals = members(document.get("totals"))
    if not isinstance(totals.get("num_statements"), int) or not isinstance(document.get("files"), dict):
        raise UnreadableError("it has no `totals` with `num_statements`, or no `files`")
    report.coverage = coverage = Coverage(
        amount(totals["num_statements"]),
        amount(totals.get("covered_lines")),
        amount(totals.get("num_branches")),
        amount(totals.get("covered_branches")),
    )
    for name, about in members(document["files"]).items():
        path = report.place.relative(name)
        for member, hit in (("executed_lines", True), ("missing_lines", False)):
            listed = members(about).get(member)
            for line in listed if isinstance(listed, list) else ():
                if (found := number(line)) is not None:
                    coverage.reach(path, found, hit=hit)
