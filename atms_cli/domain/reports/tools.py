"""JSON of single tools that write no SARIF, or not everywhere: ruff, mypy, pip-audit, bandit, eslint."""

from __future__ import annotations

from atms_cli.domain.reports.jsontext import lines, parse
from atms_cli.domain.reports.report import UnreadableError, members, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.reports.report import Report


def ruff(content: bytes, report: Report) -> None:
    """Read `ruff check --output-format json`."""
    for record in objects(parse(content)):
        if "filename" not in record or "message" not in record:
            raise UnreadableError("something in it has no `filename` or no `message`")
        location = members(record.get("location"))
        rule = record.get("code") or "syntax-error"
        report.add(
            "ruff", rule, _ruff_level(record), record["message"],
            (record["filename"], location.get("row"), location.get("column")),
        )  # fmt: skip


def _ruff_level(record: Mapping[str, object]) -> str:
    return {"warning": "warning", "info": "note"}.get(str(record.get("severity")), "error")


def mypy(content: bytes, report: Report) -> None:
    """Read `mypy --output json`: an object a line, and nothing at all where nothing is wrong."""
    for record in lines(content):
        about = members(record)
        if "file" not in about or "severity" not in about:
            raise UnreadableError("a line in it has no `file` or no `severity`")
        level = "note" if about["severity"] == "note" else "error"
        report.add(
            "mypy", about.get("code") or about["severity"], level, about.get("message"),
            (about["file"], about.get("line"), _from_1(about.get("column"))),
        )  # fmt: skip


def pip_audit(content: bytes, report: Report) -> None:
    """Read `pip-audit --format json`."""
    document = members(parse(content))
    for dependency in objects(document.get("dependencies")):
        if "skip_reason" in dependency:
            name, reason = dependency.get("name"), dependency["skip_reason"]
            report.add("pip-audit", "skipped", "note", f"{name} was not looked at: {reason}")
            continue
        for flaw in objects(dependency.get("vulns")):
            _vulnerability(report, dependency, flaw)


def _vulnerability(report: Report, dependency: Mapping[str, object], flaw: Mapping[str, object]) -> None:
    fixes = flaw.get("fix_versions")
    fixed = [str(version) for version in fixes] if isinstance(fixes, list) else []
    cure = f"fixed in {', '.join(fixed[:5])}" if fixed else "not fixed in any version"
    about = f": {flaw['description']}" if flaw.get("description") else ""
    report.add(
        "pip-audit", flaw.get("id"), "error", f"{dependency.get('name')} {dependency.get('version')}: {cure}{about}"
    )


_BANDIT_LEVELS = {"HIGH": "error", "MEDIUM": "warning"}


def bandit(content: bytes, report: Report) -> None:
    """Read `bandit --format json`; files that it could not read are errors."""
    document = members(parse(content))
    for broken in objects(document.get("errors")):
        report.add("bandit", "unreadable", "error", broken.get("reason"), (broken.get("filename"), None, None))
    for record in objects(document.get("results")):
        report.add(
            "bandit", record.get("test_id"), _BANDIT_LEVELS.get(str(record.get("issue_severity")), "note"), record.get("issue_text"),
            (record.get("filename"), record.get("line_number"), _from_1(record.get("col_offset"))),
        )  # fmt: skip


#: Severities of eslint's messages.
_ESLINT_LEVELS = {2: "error", 1: "warning"}


def eslint(content: bytes, report: Report) -> None:
    """Read `eslint --format json`."""
    for file in objects(parse(content)):
        for record in objects(file.get("messages")):
            severity = record.get("severity")
            level = _ESLINT_LEVELS.get(severity, "note") if isinstance(severity, int) else "note"
            report.add(
                "eslint", record.get("ruleId") or "syntax-error", level, record.get("message"),
                (file.get("filePath"), record.get("line"), record.get("column")),
            )  # fmt: skip


def _from_1(column: object) -> int | None:
    """Return a column that a tool counts from 0."""
    return column + 1 if isinstance(column, int) else None
