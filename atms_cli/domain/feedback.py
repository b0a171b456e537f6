"""What an agent, or a person, is told of gates that did not pass: first what to fix and where, then the end of the output."""

from __future__ import annotations

import re

from atms_cli.domain import gate as gates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.records import Finding, GateResult, Verdict

#: Of each gate so many findings are told, and of so many what a test printed.
_MOST_FINDINGS, _MOST_DETAILS = 15, 3
_MOST_DETAIL, _MOST_MESSAGE = 1200, 300
_MOST_LINES, _MOST_CHARACTERS = 40, 4000
#: Colours, titles and movements of a cursor.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def of(verdict: Verdict, logs: Mapping[str, str]) -> str:
    """Return in Markdown what is wrong with work that its required gates did not let pass; `logs` has their outputs by name."""
    return "\n\n".join(_of_gate(result, logs.get(result["name"], "")) for result in gates.failures(verdict))


def _of_gate(result: GateResult, log: str) -> str:
    findings = result["findings"]
    parts = [f"Gate `{result['name']}` did not pass: {result['reason'] or result['status']}"]
    if findings:
        parts.append("\n".join(f"- {told(each)}" for each in findings[:_MOST_FINDINGS]) + _rest(result))
    details = [each for each in findings if each.get("detail")][:_MOST_DETAILS]
    parts += [f"{each['rule']}:\n{fenced(each['detail'][-_MOST_DETAIL:])}" for each in details]
    end = trimmed(log) if not findings else ""
    parts += [f"The end of its output:\n{fenced(end)}"] if end else []
    return "\n\n".join(parts)


def told(finding: Finding) -> str:
    """Return a finding in one line, with its place first."""
    rule = f" [{finding['rule']}]" if finding["rule"] else ""
    return f"{place(finding)}{finding['message'][:_MOST_MESSAGE]}{rule}"


def place(finding: Finding) -> str:
    """Return `path:line:column: `, as far as it is known."""
    parts = [finding["path"], finding["line"], finding["column"] if finding["line"] else None]
    known = [str(part) for part in parts if part is not None]
    return f"{':'.join(known)}: " if finding["path"] else ""


def _rest(result: GateResult) -> str:
    counts = result.get("counts", {})
    whole = counts.get("total", len(result["findings"])) + counts.get("dropped", 0)
    more = whole - min(_MOST_FINDINGS, len(result["findings"]))
    return f"\n- and {more} more" if more > 0 else ""


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
