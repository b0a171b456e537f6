"""A verdict as JUnit XML: a test for each gate."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from atms_cli.domain.feedback import told
from atms_cli.domain.gate import ENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.domain.records import GateResult, Verdict

#: What XML 1.0 cannot hold, even escaped.
_ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_FINDINGS = 200


def render(verdict: Verdict) -> str:
    """Return the text of the file."""
    gates = verdict["gates"]
    outcomes = [_outcome(result) for result in gates]
    counts = (
        f'tests="{len(gates)}" failures="{outcomes.count("failure")}" errors="{outcomes.count("error")}" '
        f'skipped="{outcomes.count("skipped")}" time="{sum(result["duration_s"] for result in gates):.3f}"'
    )
    cases = "".join(line for result in gates for line in _case(result))
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites {counts}>\n<testsuite name="atms gates" {counts}>\n'
        f"{cases}</testsuite>\n</testsuites>\n"
    )


def _outcome(result: GateResult) -> str | None:
    """Return what a gate's test is called that did not pass; what a person has yet to look at was not run."""
    if result["status"] == "passed":
        return None
    if result["status"] in ("skipped", "waiting"):
        return "skipped"
    return "failure" if result["status"] in ENDED else "error"


def _case(result: GateResult) -> Iterator[str]:
    outcome = _outcome(result)
    name = f'<testcase classname="atms.gates.{result["kind"]}" name={_attribute(result["name"])} time="{result["duration_s"]:.3f}"'
    if outcome is None:
        yield f"{name}/>\n"
        return
    message = _attribute(result["reason"] or result["status"])
    findings = "\n".join(told(each) for each in result["findings"][:_MOST_FINDINGS])
    yield f"{name}><{outcome} message={message}>{escape(_ILLEGAL.sub('', findings))}</{outcome}></testcase>\n"


def _attribute(text: str) -> str:
    return quoteattr(_ILLEGAL.sub("", text))
