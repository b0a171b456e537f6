"""What a log says went wrong: the names of tests that failed, and places in files."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from atms_cli.domain.records import JsonObject

#: An agent is told so many of each; who has broken more begins with these.
MOST = 20
_MOST_CHARACTERS = 200
#: How test runners name a test that failed, one to a line.
_TESTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:FAILED|ERROR) (\S+\.py(?:::.+?)?)(?: - .*)?$",  # pytest
        r"(?:FAIL|ERROR): (\w+ \([\w.]+\))$",  # unittest
        r"\s*--- FAIL: (\S+)",  # go
        r"test (\S+) \.\.\. FAILED$",  # cargo
        r"\s*● (.+ › .+)$",  # jest
        r"not ok \d+ (?:- )?(.+)$",  # TAP
        r"(\S+ > .+) FAILED$",  # gradle
        r"\s*(?:×|✗|✘) (.+ > .+?)(?: \d+m?s)?$",  # vitest
    )
)
_PLACES = (
    re.compile(r"\s*File \"(?P<path>[^\"]+)\", line (?P<line>\d+)(?P<words>.*)"),  # Python
    re.compile(r"(?P<path>[\w./\\+-]+\.[A-Za-z]\w*)\((?P<line>\d+)(?:,\d+)?\): (?P<words>.+)"),  # tsc, msbuild
    re.compile(r"(?:.*?[\s(])??(?P<path>[\w./\\+-]+\.[A-Za-z]\w*):(?P<line>\d+)(?::\d+)?(?![\w./])(?P<words>.*)"),
)
#: Where libraries lie: a place in one is on the way to what went wrong, and seldom it.
_OF_LIBRARIES = ("site-packages/", "node_modules/", "/lib/python", "dist-packages/", "<frozen")


def tests_in(log: str) -> list[str]:
    """Return the names of the tests that failed, as pytest, unittest, go, cargo, jest, vitest, gradle and TAP write them."""
    found = (match[1] for line in log.splitlines() for pattern in _TESTS if (match := pattern.match(line)))
    return _first(found)


def places_in(log: str) -> list[str]:
    """Return the places that a log names, like `src/a.py:12: undefined name`."""
    return _first(place for line in log.splitlines() if (place := _place(line)) is not None)


def _place(line: str) -> str | None:
    for pattern in _PLACES:
        match = pattern.match(line[: 2 * _MOST_CHARACTERS])
        if match is not None:
            if any(sign in match["path"] for sign in _OF_LIBRARIES):
                return None
            words = match["words"].strip(" :,)")
            return f"{match['path']}:{match['line']}" + (f": {words}" if words else "")
    return None


def places_of(findings: Sequence[object]) -> list[str]:
    """Return the places of what a gate's report found."""
    return _first(_finding(each) for each in findings if isinstance(each, dict) and each.get("path"))


def _finding(finding: JsonObject) -> str:
    line = f":{finding['line']}" if finding.get("line") else ""
    return f"{finding['path']}{line}: {finding.get('message') or finding.get('rule') or ''}".rstrip(": ")


def _first(found: Iterable[str]) -> list[str]:
    """Return the first few that differ, none of them too long."""
    return list(_distinct(found))


def _distinct(found: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for each in found:
        shown = each.strip()[:_MOST_CHARACTERS]
        if shown and shown not in seen:
            seen.add(shown)
            yield shown
        if len(seen) >= MOST:
            return
