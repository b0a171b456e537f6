"""What other programs read of a verdict, read back by the readers of their formats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given

from atms_cli.domain import gate as gates
from atms_cli.domain import reports
from atms_cli.domain.publishing import WRITERS, github
from atms_cli.domain.reports.report import Tally
from tests.gateresults import HERE, ended, found, gate, verdicts, with_findings

if TYPE_CHECKING:
    from atms_cli.domain.records import Finding, GateResult, Verdict

LINT = with_findings(
    ended("lint", 1, kind="lint"),
    found(
        ("error", "F401", "`os` imported but unused", "src/a b.py", 3),
        ("warning", "W1", "100% | <b>", "/usr/x.py", None),
        ("note", "N", "no place", None, None),
    ),
)
TESTS = ended("tests", 2, kind="test")
FINE = ended("types", 0, kind="types")
VERDICT = gates.verdict([LINT, TESTS, FINE])


def essence(finding: Finding) -> tuple[object, ...]:
    return finding["level"], finding["message"], finding["path"], finding["line"] if finding["path"] else None


def test_sarif_has_what_its_schema_requires_and_what_code_scanning_needs() -> None:
    document = json.loads(WRITERS["sarif"](VERDICT))
    assert document["version"] == "2.1.0"
    lint, tests, fine = document["runs"]
    for run in document["runs"]:
        assert run["tool"]["driver"]["name"] == "atms"
        assert {each["ruleId"] for each in run["results"]} == {rule["id"] for rule in run["tool"]["driver"]["rules"]}
        assert all(each["message"]["text"] for each in run["results"])
    assert lint["automationDetails"]["id"] == "atms/lint/"
    assert lint["results"][0] == {
        "ruleId": "tool/F401",
        "level": "error",
        "message": {"text": "`os` imported but unused"},
        "partialFingerprints": {"atms/v1": LINT["findings"][0]["fingerprint"]},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "src/a%20b.py", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 3, "startColumn": 1},
                }
            }
        ],
    }
    assert lint["results"][1]["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "file:///usr/x.py"}}
    assert "locations" not in lint["results"][2]
    assert tests["results"] == [
        {"ruleId": "gate/tests", "level": "error", "message": {"text": "gate tests: exit code 2"}}
    ]
    assert tests["invocations"] == [{"executionSuccessful": True, "exitCode": 2}]
    assert fine["results"] == []


@given(verdicts())
def test_sarif_says_every_finding(verdict: Verdict) -> None:
    for run, result in zip(json.loads(WRITERS["sarif"](verdict))["runs"], verdict["gates"], strict=True):
        content = json.dumps({"version": "2.1.0", "runs": [run]}).encode()
        read = reports.read(content, "sarif", HERE).findings
        if result["findings"]:
            assert [each["level"] for each in read] == [each["level"] for each in result["findings"]]
            assert [each["path"] for each in read] == [each["path"] for each in result["findings"]]
        else:
            assert len(read) == (result["status"] != "passed")


def test_junit_has_a_test_for_each_gate() -> None:
    read = reports.read(WRITERS["junit"](VERDICT).encode(), "auto", HERE)
    assert read.tests == Tally(total=3, failed=2)
    assert [each["rule"] for each in read.findings] == ["atms.gates.lint::lint", "atms.gates.test::tests"]
    assert "src/a b.py:3:1: `os` imported but unused [F401]" in read.findings[0]["detail"]


def test_junit_tells_failures_errors_and_what_was_not_run_apart() -> None:
    results: list[GateResult] = [
        {**TESTS, "status": "timeout"},
        gates.skipped(gate("g"), "condition", "not now"),
        gates.reviewed(gate("r", kind="review"), None),
        TESTS,
    ]
    read = reports.read(WRITERS["junit"](gates.verdict(results)).encode(), "junit", HERE)
    assert read.tests == Tally(total=4, failed=1, errors=1, skipped=2)


@given(verdicts())
def test_junit_can_always_be_read(verdict: Verdict) -> None:
    read = reports.read(WRITERS["junit"](verdict).encode(), "junit", HERE)
    assert read.tests is not None
    assert read.tests.total == len(verdict["gates"])
    assert read.tests.failed == sum(result["status"] == "failed" for result in verdict["gates"])


@given(verdicts())
def test_json_is_the_verdict(verdict: Verdict) -> None:
    assert json.loads(WRITERS["json"](verdict)) == verdict


def test_markdown_leads_with_what_failed_and_escapes_what_tools_say() -> None:
    text = WRITERS["md"](VERDICT)
    assert text.startswith("## 2 of 3 gates did not pass\n")
    assert "| ✅ | types | 1.5s |  |" in text
    assert "- src/a b.py:3:1: \\`os\\` imported but unused `F401`" in text
    assert "100% \\| \\<b\\>" in text


@given(verdicts())
def test_each_gate_is_one_row_of_the_table(verdict: Verdict) -> None:
    rows = WRITERS["md"](verdict).split("\n\n")[1].strip("\n").split("\n")
    assert len(rows) == 2 + len(verdict["gates"]) or not verdict["gates"]


def test_annotations_name_file_line_and_column() -> None:
    assert github.lines(VERDICT) == [
        "::error file=src/a b.py,line=3,col=1,title=lint%3A F401::`os` imported but unused",
        "::warning file=/usr/x.py,title=lint%3A W1::100%25 | <b>",
        "::notice title=lint%3A N::no place",
        "::error title=gate tests::exit code 2",
    ]


@given(verdicts())
def test_annotations_are_lines_and_ten_of_a_kind(verdict: Verdict) -> None:
    lines = github.lines(verdict)
    assert all("\n" not in line and "\r" not in line for line in lines)
    for kind in ("error", "warning", "notice"):
        assert sum(line.startswith(f"::{kind} ") for line in lines) <= 10
