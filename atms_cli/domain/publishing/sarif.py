"""A verdict as SARIF 2.1.0: a run for each gate, paths from the root of the tree."""

from __future__ import annotations

from atms_cli import __version__
from atms_cli.domain.gate import ENDED, counts_as_passed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Finding, GateResult, JsonObject, Verdict

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"


def render(verdict: Verdict) -> str:
    """Return the text of the file."""
    from json import dumps

    document = {"version": "2.1.0", "$schema": _SCHEMA, "runs": [_run(result) for result in verdict["gates"]]}
    return dumps(document, ensure_ascii=False, indent=1) + "\n"


def _run(result: GateResult) -> JsonObject:
    results = [_result(finding) for finding in result["findings"]]
    if not counts_as_passed(result) and not results:
        results = [{"ruleId": _own_rule(result), "level": _level(result), "message": {"text": _said(result)}}]
    rules = dict.fromkeys(str(each["ruleId"]) for each in results)
    invocation: JsonObject = {"executionSuccessful": result["status"] in (*ENDED, "skipped")}
    if result["exit_code"] is not None:
        invocation["exitCode"] = result["exit_code"]
    return {
        "tool": {"driver": {"name": "atms", "semanticVersion": __version__, "rules": [{"id": rule} for rule in rules]}},
        "automationDetails": {"id": f"atms/{result['name']}/"},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }


def _own_rule(result: GateResult) -> str:
    return f"gate/{result['name']}"


def _level(result: GateResult) -> str:
    return "error" if result["required"] else "warning"


def _said(result: GateResult) -> str:
    return f"gate {result['name']}: {result['reason'] or result['status']}"


def _result(finding: Finding) -> JsonObject:
    about: JsonObject = {
        "ruleId": f"{finding['tool']}/{finding['rule']}" if finding["rule"] else finding["tool"],
        "level": finding["level"],
        "message": {"text": finding["message"] or finding["rule"] or finding["tool"]},
        "partialFingerprints": {"atms/v1": finding["fingerprint"]},
    }
    if "new" in finding:
        about["baselineState"] = "new" if finding["new"] else "unchanged"
    if finding["path"]:
        about["locations"] = [{"physicalLocation": _place(finding, finding["path"])}]
    return about


def _place(finding: Finding, path: str) -> JsonObject:
    from urllib.parse import quote

    quoted = quote(path, errors="replace")
    location = {"uri": f"file://{quoted}"} if path.startswith("/") else {"uri": quoted, "uriBaseId": _ROOT}
    region = {"startLine": finding["line"], "startColumn": finding["column"]}
    known: JsonObject = {name: value for name, value in region.items() if value is not None}
    return {"artifactLocation": location, **({"region": known} if "startLine" in known else {})}
