"""LCOV tracefiles, as lcov, istanbul, coverage.py, cargo-llvm-cov and others write them."""

from __future__ import annotations

from atms_cli.domain.reports.jsontext import decoded
from atms_cli.domain.reports.report import Coverage, UnreadableError, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.reports.report import Report

#: Parts of a branch's record: line, block, branch, how often it was taken.
_BRANCH_PARTS = 4


def read(content: bytes, report: Report) -> None:
    """Read which lines and branches were reached."""
    coverage = report.coverage = Coverage()
    path: str | None = None
    records = 0
    for text in decoded(content).splitlines():
        kind, _, value = text.strip().partition(":")
        if kind == "end_of_record":
            path, records = None, records + 1
        elif kind == "SF":
            _check(path is None, "a file begins before the one before it ends")
            path = report.place.relative(value)
        elif kind in _RECORDS:
            _check(path is not None, "a line stands outside of any file")
            _RECORDS[kind](coverage, path or "", value)
    _check(path is None, "it ends in the middle of a file")
    _check(records > 0, "it has no file in it")
    coverage.count_lines()


def _check(holds: bool, otherwise: str) -> None:  # noqa: FBT001  what it is given is what it is about
    if not holds:
        raise UnreadableError(otherwise)


def _line(coverage: Coverage, path: str, value: str) -> None:
    line, _, rest = value.partition(",")
    hits = rest.partition(",")[0]
    found = number(line)
    if found is None or not hits.lstrip("-").isdecimal():
        raise UnreadableError(f"`DA:{value[:40]}` is no line and how often it was reached")
    coverage.reach(path, found, hit=not hits.startswith("-") and hits.strip("0") != "")


def _branch(coverage: Coverage, path: str, value: str) -> None:
    del path
    parts = value.split(",")
    if len(parts) < _BRANCH_PARTS:
        raise UnreadableError(f"`BRDA:{value[:40]}` is no branch")
    coverage.branches += 1
    coverage.covered_branches += parts[-1].strip() not in ("-", "0")


_RECORDS = {"DA": _line, "BRDA": _branch}
