"""Results of gates, made and generated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from atms_cli.domain import gate as gates
from atms_cli.domain.gateevidence import weighed
from atms_cli.domain.reports.report import Place, Report
from atms_cli.domain.thresholds import Facts

if TYPE_CHECKING:
    from atms_cli.domain.records import Finding, Gate, GateResult, Verdict

HERE = Place("/p", "/p")


def gate(name: str, **fields: object) -> Gate:
    return {**gates.DEFAULTS, "name": name, "command": "true", **fields}  # type: ignore[typeddict-item]


def ended(name: str, exit_code: int = 0, **fields: object) -> GateResult:
    """Return the result of a gate whose command ended with that."""
    return gates.judge(gate(name, **fields), {"status": "exited", "exit_code": exit_code, "duration_s": 1.5}, "log")


def found(*records: tuple[str, str, str, str | None, int | None]) -> list[Finding]:
    """Return findings from level, rule, message, path and line."""
    report = Report(HERE)
    for level, rule, message, path, line in records:
        report.add("tool", rule, level, message, (path, line, 1))
    return report.findings


def with_findings(result: GateResult, findings: list[Finding]) -> GateResult:
    nothing = Facts({"findings": {}, "figures": {}})
    return weighed(result, Report(HERE, findings=findings), [], [], nothing)


texts = st.text(st.characters(codec="utf-8"), max_size=30)
findings = st.lists(
    st.tuples(
        st.sampled_from(("error", "warning", "note")),
        texts,
        texts,
        st.none() | texts.filter(str.strip),
        st.none() | st.integers(1, 10_000),
    ),
    max_size=30,
).map(lambda records: found(*records))


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """Draw verdicts over a few gates with findings."""
    names = draw(st.lists(texts.filter(bool), max_size=4, unique=True))
    results = []
    for name in names:
        result = ended(name, draw(st.integers(0, 1)), required=draw(st.booleans()))
        result["reason"] = draw(texts) if result["status"] != "passed" else None
        results.append(with_findings(result, draw(findings)))
    return gates.verdict(results)
