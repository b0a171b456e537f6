"""Cobertura XML, as coverage.py, istanbul, gcovr, JaCoCo's converters and others write it."""

from __future__ import annotations

import re

from atms_cli.domain.reports.markup import walk
from atms_cli.domain.reports.report import Coverage, UnreadableError, amount, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.reports.report import Report

#: `50% (1/2)`, of one line's branches.
_CONDITIONS = re.compile(r"\((\d{1,9})/(\d{1,9})\)")


def read(content: bytes, report: Report) -> None:
    """Read which lines and branches were reached."""
    reader = _Reader(report)
    walk(content, reader.start, reader.end)
    reader.finish()


class _Reader:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._coverage = report.coverage = Coverage()
        self._names: list[str] = []
        self._sources: list[str] = []
        self._files: dict[str, dict[int, bool]] = {}
        self._lines: dict[int, bool] = {}
        self._declared: Mapping[str, str] = {}
        self._branches: dict[tuple[int, int], tuple[int, int]] = {}

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._names:
            if name != "coverage":
                raise UnreadableError(f"it begins with <{name}>, not with <coverage>")
            self._declared = attributes
        self._names.append(name)
        if name == "class":
            self._lines = self._files.setdefault(attributes.get("filename", ""), {})
        elif name == "line" and self._names[-2:-1] == ["lines"]:
            self._note(attributes)

    def _note(self, attributes: Mapping[str, str]) -> None:
        line, hits = number(attributes.get("number")), attributes.get("hits", "")
        if line is None or not hits.isdecimal():
            raise UnreadableError("a line has no number, or does not say how often it was reached")
        self._lines[line] = self._lines.get(line, False) or hits.strip("0") != ""
        conditions = _CONDITIONS.search(attributes.get("condition-coverage", ""))
        if conditions:
            # A line may stand under its method and under its class.
            self._branches[id(self._lines), line] = int(conditions[1]), int(conditions[2])

    def end(self, name: str, text: str) -> None:
        self._names.pop()
        if name == "source" and text.strip():
            self._sources.append(text.strip())

    def finish(self) -> None:
        """Count the lines; a report that only has totals is believed."""
        coverage = self._coverage
        for filename, lines in self._files.items():
            path = self._report.place.relative(self._located(filename))
            for line, hit in lines.items():
                coverage.reach(path, line, hit=hit)
        coverage.count_lines()
        coverage.branches = sum(all_ for _, all_ in self._branches.values())
        coverage.covered_branches = sum(min(taken, all_) for taken, all_ in self._branches.values())
        if not coverage.lines:
            self._take_declared()

    def _take_declared(self) -> None:
        declared = self._declared
        if not declared.get("lines-valid", "").isdecimal():
            raise UnreadableError("it has no lines and no totals")
        self._coverage.lines = amount(declared.get("lines-valid"))
        self._coverage.covered = min(amount(declared.get("lines-covered")), self._coverage.lines)

    def _located(self, filename: str) -> str:
        """Return a file's path: names are relative to one of the sources, of which most reports have one."""
        is_alone = len(self._sources) == 1 and not filename.startswith("/")
        return f"{self._sources[0].rstrip('/')}/{filename}" if is_alone else filename
