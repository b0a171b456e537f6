"""JUnit XML, as pytest, vitest, jest, surefire, gotestsum and many others write it."""

from __future__ import annotations

import re

from atms_cli.domain.feedback import TESTS
from atms_cli.domain.reports.markup import walk
from atms_cli.domain.reports.report import Tally, UnreadableError, amount, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.reports.report import Report

_SUITES = ("testsuites", "testsuite")
_FAILURES = ("failure", "error")
_COUNTS = ("tests", "failures", "errors", "skipped")
#: `tests/test_m.py:3: AssertionError`, of pytest; the last one is where the error was raised.
_PYTHON = re.compile(r"^([\w./\\-]+):(\d+): ", re.MULTILINE)
#: `\u276f f src/a.test.ts:4:17` or `at f (src/a.test.js:4:17)`; the first one is where it was thrown.
_SCRIPT = re.compile(r"(?:\u276f (?:[^\n ]+ )?|at (?:[^\n(]*\()?)(?:file://)?([\w./\\@-]+):(\d+):(\d+)")
_FOREIGN = ("site-packages/", "node_modules/", "node:")


def read(content: bytes, report: Report) -> None:
    """Read the tests of a report; each one that failed is a finding."""
    reader = _Reader(report)
    walk(content, reader.start, reader.end)
    reader.finish()


class _Reader:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._tests = report.tests = report.tests or Tally()
        self._names: list[str] = []
        self._case: Mapping[str, str] = {}
        self._outcome: str | None = None
        self._message = self._detail = ""
        self._declared = dict.fromkeys(_COUNTS, 0)
        self._has_declared = False
        self._cases = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._names and name not in _SUITES:
            raise UnreadableError(f"it begins with <{name}>, not with <testsuites>")
        self._names.append(name)
        if name in _SUITES:
            self._note_declared(attributes)
        elif name == "testcase":
            self._case, self._outcome, self._message, self._detail = dict(attributes), None, "", ""
        elif name in _FAILURES and self._outcome not in _FAILURES:
            self._outcome, self._message = name, attributes.get("message", "")
        elif name == "skipped" and self._outcome is None:
            self._outcome = name

    def _note_declared(self, attributes: Mapping[str, str]) -> None:
        """Take the counts of the root if it has them, else the sums of the suites right below it."""
        depth = len(self._names)
        if depth == 1 and "tests" in attributes:
            self._has_declared = True
        elif depth != 2 or self._has_declared:  # noqa: PLR2004
            return
        for count in _COUNTS:
            self._declared[count] += amount(attributes.get(count))

    def end(self, name: str, text: str) -> None:
        self._names.pop()
        if name in _FAILURES and not self._detail and self._names[-1:] == ["testcase"]:
            self._detail = text
        elif name == "testcase":
            self._end_case()

    def _end_case(self) -> None:
        self._cases += 1
        self._tests.failed += self._outcome == "failure"
        self._tests.errors += self._outcome == "error"
        self._tests.skipped += self._outcome == "skipped"
        if self._outcome in _FAILURES:
            self._add()

    def _add(self) -> None:
        case = self._case
        place = self._place() or (case.get("file") or _as_path(case.get("classname", "")), case.get("line"), None)
        first = self._detail.strip().partition("\n")[0]
        name = "::".join(part for part in (case.get("classname", ""), case.get("name", "")) if part)
        self._report.add(
            TESTS, name or "test", "error", clean(self._message) or clean(first) or f"the test has a {self._outcome}",
            place, self._detail,
        )  # fmt: skip

    def _place(self) -> tuple[str, str, str | None] | None:
        """Return path, line and column of an error from what a test printed: where in the tree it was raised."""
        python = [(found[1], found[2], None) for found in _PYTHON.finditer(self._detail) if self._is_own(found[1])]
        if python:
            return python[-1]
        script = ((found[1], found[2], found[3]) for found in _SCRIPT.finditer(self._detail) if self._is_own(found[1]))
        return next(script, None)

    def _is_own(self, path: str) -> bool:
        return not self._report.place.relative(path).startswith("/") and not any(part in path for part in _FOREIGN)

    def finish(self) -> None:
        """Count what is there; where suites tell of failures that no case shows, believe them."""
        tests, declared = self._tests, self._declared
        tests.total += self._cases or declared["tests"]
        tests.skipped = tests.skipped if self._cases else declared["skipped"]
        tests.failed = max(tests.failed, declared["failures"])
        tests.errors = max(tests.errors, declared["errors"])


def _as_path(classname: str) -> str | None:
    """Return what stands for a class if that is a path, as vitest has it."""
    return classname if "/" in classname and "." in classname.rpartition("/")[2] else None
