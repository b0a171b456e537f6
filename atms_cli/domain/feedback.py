"""What is said of gates that did not pass: findings in a line, what failed tests printed, the end of an output."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Finding, GateResult

#: The tool of findings that are failed tests.
TESTS = "test"
#: Of so many failed tests is told what they printed.
_MOST_DETAILS = 3
_MOST_DETAIL, _MOST_MESSAGE = 1200, 300
_MOST_LINES, _MOST_CHARACTERS = 40, 4000
#: Colours, titles and movements of a cursor.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def said(result: GateResult, log: str) -> str:
    """Return what a gate said that did not pass: what its failed tests printed, else the end of its output."""
    details = [each for each in result["findings"] if each.get("detail")][:_MOST_DETAILS]
    return "\n\n".join(f"{each['rule']}:\n{each['detail'][-_MOST_DETAIL:]}" for each in details) or trimmed(log)


def tests(results: Sequence[GateResult]) -> list[str]:
    """Return the names of the tests that failed, as reports have them."""
    return [each["rule"] for result in results for each in result["findings"] if each["tool"] == TESTS]


def told(finding: Finding) -> str:
    """Return a finding in one line, with its place first."""
    rule = f" [{finding['rule']}]" if finding["rule"] else ""
    return f"{place(finding)}{finding['message'][:_MOST_MESSAGE]}{rule}"


def place(finding: Finding) -> str:
    """Return `path:line:column: `, as far as it is known."""
    parts = [finding["path"], finding["line"], finding["column"] if finding["line"] else None]
    known = [str(part) for part in parts if part is not None]
    return f"{':'.join(known)}: " if finding["path"] else ""


def trimmed(log: str, lines: int = _MOST_LINES) -> str:
    """Return the end of what a command printed, without colours, lines that were overwritten, and rows of empty lines."""
    shown = (line.rstrip().rpartition("\r")[2] for line in _TERMINAL.sub("", log).split("\n"))
    found: list[str] = []
    for line in shown:
        if line.strip() or (found and found[-1]):
            found.append(line.rstrip())
    while found and not found[-1]:
        found.pop()
    return "\n".join(found[-lines:])[-_MOST_CHARACTERS:]


def fenced(text: str) -> str:
    """Return text as a block of code, whatever marks of such blocks it holds."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
