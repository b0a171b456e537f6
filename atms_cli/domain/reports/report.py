"""What a report says, in one form whatever tool wrote it, and how that form is filled."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from posixpath import normpath
from urllib.parse import unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atms_cli.domain.records import Finding

    #: Path, line and column as a report has them.
    At = tuple[object, object, object]

#: Reports are read whole, so one that is larger is refused.
MOST_BYTES = 32 * 1024 * 1024
#: So many findings are kept and compared with a baseline; the others are counted.
MOST_FINDINGS = 20_000
_MOST_MESSAGE, _MOST_PATH, _MOST_RULE = 2_000, 1_000, 300
#: Of a failed test, so much of what it printed is kept: the end, where the error is.
_MOST_DETAIL = 2_000
_MOST_NUMBER = 2**31
#: What a terminal could take for an order, or a file for a line, and what turns the direction of text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_CONTROL_BUT_NEWLINE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]+")
_DIGITS = re.compile(r"\d+")


class UnreadableError(Exception):
    """A report is not what it should be; the text says why, to follow `cannot be read: `."""


@dataclass(slots=True)
class Tally:
    """How many tests ran and how they ended."""

    total: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0


@dataclass(slots=True)
class Coverage:
    """What tests reached; `files` has, where the report says so, each line that can be reached and whether it was."""

    lines: int = 0
    covered: int = 0
    branches: int = 0
    covered_branches: int = 0
    files: dict[str, dict[int, bool]] = field(default_factory=dict)

    def percent(self) -> float | None:
        """Return the share of lines that were reached, in percent."""
        return _share(self.covered, self.lines)

    def branch_percent(self) -> float | None:
        """Return the share of branches that were taken, in percent."""
        return _share(self.covered_branches, self.branches)

    def reach(self, path: str, line: int, *, hit: bool) -> None:
        """Note a line; one that stands in several classes or runs was reached if any reached it."""
        lines = self.files.setdefault(path, {})
        lines[line] = lines.get(line, False) or hit

    def count_lines(self) -> None:
        """Take the totals from the lines noted."""
        self.lines = sum(len(lines) for lines in self.files.values())
        self.covered = sum(sum(lines.values()) for lines in self.files.values())


def _share(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole > 0 else None


@dataclass(slots=True)
class Place:
    """Where a gate ran: the tree of files, and its directory in there, both absolute."""

    tree: str
    directory: str

    def relative(self, path: str) -> str:
        """Return a path or file URI of a report as a path from the tree on; what lies outside stays absolute."""
        given = unquote(path.removeprefix("file://")) if path.startswith("file://") else path
        given = given.replace("\\", "/")
        if not given:
            return ""
        whole = normpath(given if given.startswith("/") else f"{self.directory}/{given}")
        tree = normpath(self.tree)
        return whole.removeprefix(f"{tree}/") if whole.startswith(f"{tree}/") else whole


@dataclass(slots=True)
class Report:
    """Everything that was read in one report."""

    place: Place
    findings: list[Finding] = field(default_factory=list)
    #: Findings beyond the most that are kept.
    dropped: int = 0
    tests: Tally | None = None
    coverage: Coverage | None = None
    _seen: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def add(
        self, tool: str, rule: object, level: str, message: object, at: At = (None, None, None), detail: str = ""
    ) -> None:
        """Add a finding, with whatever the report holds in its places."""
        if len(self.findings) >= MOST_FINDINGS:
            self.dropped += 1
            return
        path, line, column = at
        where = clean(self.place.relative(path), _MOST_PATH) if isinstance(path, str) else ""
        finding: Finding = {
            "tool": tool,
            "rule": clean(rule, _MOST_RULE),
            "level": level,
            "message": clean(message, _MOST_MESSAGE),
            "path": where or None,
            "line": number(line),
            "column": number(column),
            "fingerprint": "",
        }
        if detail:
            finding["detail"] = _CONTROL_BUT_NEWLINE.sub(" ", detail.strip())[-_MOST_DETAIL:]
        finding["fingerprint"] = self._fingerprint(finding)
        self.findings.append(finding)

    def _fingerprint(self, finding: Finding) -> str:
        """Name a finding so that it has the same name when lines move: its place among its equals stands for the line."""
        what = (finding["tool"], finding["rule"], finding["path"] or "", _DIGITS.sub("0", finding["message"]))
        self._seen[what] += 1
        return sha256("\0".join((*what, str(self._seen[what]))).encode()).hexdigest()[:16]


def combined(reports: Sequence[Report], place: Place) -> Report:
    """Return what several reports of one gate say together."""
    whole = Report(place)
    for each in reports:
        room = MOST_FINDINGS - len(whole.findings)
        whole.findings += each.findings[:room]
        whole.dropped += each.dropped + len(each.findings[room:])
        whole.tests = _added(whole.tests, each.tests)
        whole.coverage = _joined(whole.coverage, each.coverage)
    return whole


def _added(one: Tally | None, other: Tally | None) -> Tally | None:
    if one is None or other is None:
        return one or other
    return Tally(
        one.total + other.total, one.failed + other.failed, one.errors + other.errors, one.skipped + other.skipped
    )


def _joined(one: Coverage | None, other: Coverage | None) -> Coverage | None:
    """Return what two runs reached together: a line counts once, if the reports say which lines they mean."""
    if one is None or other is None:
        return one or other
    joined = Coverage(
        one.lines + other.lines,
        one.covered + other.covered,
        one.branches + other.branches,
        one.covered_branches + other.covered_branches,
        {path: dict(lines) for path, lines in one.files.items()},
    )
    for path, lines in other.files.items():
        for line, hit in lines.items():
            joined.reach(path, line, hit=hit)
    if one.files and other.files:
        joined.count_lines()
    return joined


def clean(value: object, most: int = _MOST_MESSAGE) -> str:
    """Return a value as one line of text without anything that could pass for more."""
    if value is None:
        return ""
    # Cut first: replacing in what is thrown away would take a while.
    return _CONTROL.sub(" ", str(value)[: 2 * most]).strip()[:most] if isinstance(value, str | int | float) else ""


def number(value: object) -> int | None:
    """Return a line or column, counted from 1, or None if it can be none."""
    if isinstance(value, str):
        value = int(value) if len(value) < 11 and value.isdecimal() else None  # noqa: PLR2004
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST_NUMBER else None


def amount(value: object) -> int:
    """Return a count, 0 if it can be none."""
    return number(value) or 0


def members(value: object) -> Mapping[str, object]:
    """Return an object's members; of anything else none."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> Iterator[Mapping[str, object]]:
    """Yield the objects in a list.

    Raises:
        UnreadableError: it is no list of objects.

    """
    if not isinstance(value, list):
        raise UnreadableError("a list is missing where there has to be one")
    for each in value:
        if not isinstance(each, dict):
            raise UnreadableError("something in a list is no object")
        yield each
