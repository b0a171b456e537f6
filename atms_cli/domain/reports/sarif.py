"""SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/)."""

from __future__ import annotations

from atms_cli.domain.reports.jsontext import parse
from atms_cli.domain.reports.report import UnreadableError, clean, members, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.reports.report import Report

#: SARIF's levels in ours; `none` says that nothing is wrong.
_LEVELS = {"error": "error", "warning": "warning", "note": "note", "none": "note"}
#: Kinds of results that are no findings.
_FINE = ("pass", "notApplicable", "informational")


def read(content: bytes, report: Report) -> None:
    """Read the results of all runs; what is suppressed or the same as in the tool's own baseline is left out."""
    document = members(parse(content))
    if not str(document.get("version", "")).startswith("2."):
        raise UnreadableError("it has no `version` 2.1.0")
    for run in objects(document.get("runs")):
        _run(run, report)


def _run(run: Mapping[str, object], report: Report) -> None:
    driver = members(members(run.get("tool")).get("driver"))
    tool, rules = clean(driver.get("name"), 100) or "sarif", driver.get("rules")
    defaults = [members(rule) for rule in rules] if isinstance(rules, list) else []
    if any(invocation.get("executionSuccessful") is False for invocation in objects(run.get("invocations") or [])):
        raise UnreadableError(f"{tool} says in it that it did not get through")
    bases = members(run.get("originalUriBaseIds"))
    for result in objects(run.get("results") or []):
        if result.get("kind") not in _FINE and not _is_set_aside(result):
            _result(report, tool, result, _rule(result, defaults), bases)


def _is_set_aside(result: Mapping[str, object]) -> bool:
    suppressions = result.get("suppressions")
    accepted = isinstance(suppressions, list) and any(
        members(each).get("status", "accepted") == "accepted" for each in suppressions
    )
    return accepted or result.get("baselineState") == "absent"


def _rule(result: Mapping[str, object], rules: list[Mapping[str, object]]) -> Mapping[str, object]:
    """Return the rule of a result, which names it by its place or its id."""
    index = result.get("ruleIndex", members(result.get("rule")).get("index"))
    if isinstance(index, int) and 0 <= index < len(rules):
        return rules[index]
    return next((rule for rule in rules if rule.get("id") == result.get("ruleId")), {})


def _result(
    report: Report,
    tool: str,
    result: Mapping[str, object],
    rule: Mapping[str, object],
    bases: Mapping[str, object],
) -> None:
    level = result.get("level") or members(rule.get("defaultConfiguration")).get("level") or "warning"
    message = members(result.get("message"))
    text = message.get("text") or message.get("markdown") or members(rule.get("shortDescription")).get("text")
    locations = result.get("locations")
    first = members(locations[0]) if isinstance(locations, list) and locations else {}
    physical = members(first.get("physicalLocation"))
    region = members(physical.get("region"))
    report.add(
        tool,
        result.get("ruleId") or members(result.get("rule")).get("id") or rule.get("id"),
        _LEVELS.get(str(level), "warning"),
        text,
        (_uri(members(physical.get("artifactLocation")), bases), region.get("startLine"), region.get("startColumn")),
    )


def _uri(location: Mapping[str, object], bases: Mapping[str, object]) -> str | None:
    """Return the path of a location: its URI, behind that of the directory it names."""
    from urllib.parse import unquote

    uri = location.get("uri")
    if not isinstance(uri, str):
        return None
    base = members(bases.get(str(location.get("uriBaseId")))).get("uri")
    whole = f"{base.rstrip('/')}/{uri}" if isinstance(base, str) and base and ":" not in uri else uri
    return whole if whole.startswith("file://") else unquote(whole)
