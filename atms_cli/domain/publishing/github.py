"""Findings as GitHub Actions shows them beside the lines they are about.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands; of each kind, a step shows ten.
"""

from __future__ import annotations

from collections import Counter

from atms_cli.domain.gate import counts_as_passed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.domain.records import Finding, GateResult, Verdict

_MOST_OF_A_KIND = 10
_KINDS = {"error": "error", "warning": "warning", "note": "notice"}


def lines(verdict: Verdict) -> list[str]:
    """Return the commands, worst findings of each gate first; a gate without findings that did not pass is one itself."""
    given: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    commands: list[str] = []
    for kind, command in (pair for result in verdict["gates"] for pair in _of_gate(result)):
        if given[kind] < _MOST_OF_A_KIND:
            given[kind] += 1
            commands.append(command)
        else:
            left_out[kind] += 1
    return [*commands, *(f"and {count} more of the kind {kind}" for kind, count in left_out.items())]


def _of_gate(result: GateResult) -> Iterator[tuple[str, str]]:
    for finding in result["findings"]:
        kind = _KINDS[finding["level"]]
        yield kind, f"::{kind} {_where(finding, result['name'])}::{_data(finding['message'])}"
    if not result["findings"] and not counts_as_passed(result):
        kind = "error" if result["required"] else "warning"
        yield (
            kind,
            f"::{kind} title={_property('gate ' + result['name'])}::{_data(result['reason'] or result['status'])}",
        )


def _where(finding: Finding, gate: str) -> str:
    title = f"{gate}: {finding['rule']}" if finding["rule"] else gate
    known = (
        ("file", finding["path"]),
        ("line", finding["line"]),
        ("col", finding["column"] if finding["line"] else None),
    )
    places = [f"{name}={_property(str(value))}" for name, value in known if value is not None and finding["path"]]
    return ",".join([*places, f"title={_property(title)}"])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
