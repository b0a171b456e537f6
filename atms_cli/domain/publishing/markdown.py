"""A verdict as Markdown, for a pull request or the summary of a CI job."""

from __future__ import annotations

from atms_cli.domain import gate as gates
from atms_cli.domain.feedback import fenced, place
from atms_cli.domain.moment import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.domain.records import GateResult, Verdict

_MOST_FINDINGS, _MOST_DETAILS = 50, 5
_MARKS = {"passed": "✅", "skipped": "➖", "waiting": "⏳"}
#: What Markdown or HTML would take for its own.
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]<>#|~"} | {"\n": " ", "\r": " "})


def render(verdict: Verdict) -> str:
    """Return the text of the file."""
    failed = gates.failures(verdict)
    head = "All gates passed" if verdict["passed"] else f"{len(failed)} of {len(verdict['gates'])} gates did not pass"
    rows = [
        f"| {_MARKS.get(it['status'], '❌')} | {_plain(it['name'])} | {_time(it)} | {_plain(_said(it))} |"
        for it in verdict["gates"]
    ]
    table = "\n".join(["| | gate | time | |", "| --- | --- | ---: | --- |", *rows])
    details = "".join(f"\n{text}\n" for result in verdict["gates"] for text in _details(result))
    return f"## {head}\n\n{table}\n{details}"


def _time(result: GateResult) -> str:
    return "cached" if result.get("cached") else describe_duration(result["duration_s"])


def _said(result: GateResult) -> str:
    """Return why a gate did not pass, or what there is to say of one that did."""
    words = [result["reason"] or "", *(limit["words"] for limit in result.get("limits", ()) if limit["passed"])]
    advisory = [] if result["required"] else ["advisory"]
    return "; ".join(word for word in [*words, *advisory] if word)


def _details(result: GateResult) -> Iterator[str]:
    findings = result["findings"]
    if gates.counts_as_passed(result) or not findings:
        return
    yield f"### {_plain(result['name'])}"
    yield "\n".join(
        f"- {_plain(place(it))}{_plain(it['message'])} `{_code(it['rule'])}`" for it in findings[:_MOST_FINDINGS]
    )
    if len(findings) > _MOST_FINDINGS:
        yield f"and {len(findings) - _MOST_FINDINGS} more"
    for finding in [it for it in findings if it.get("detail")][:_MOST_DETAILS]:
        yield f"<details><summary>{_html(finding['rule'])}</summary>\n\n{fenced(finding['detail'])}\n\n</details>"


def _plain(text: str) -> str:
    return text.translate(_SPECIAL)


def _code(text: str) -> str:
    return text.replace("`", "'").replace("|", "\\|")


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
