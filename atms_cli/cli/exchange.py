"""What `task import` and `task export` print."""

from __future__ import annotations

from atms_cli.cli.render import plural, status_cell, strings, table
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject, Task

_FORMS = ("json", "jsonl", "csv", "md")


def added(call: Call, report: JsonObject) -> None:
    """Say what was added, or would be."""
    new = [each for each in report["new"] if isinstance(each, dict)] if isinstance(report["new"], list) else []
    call.answer(report, [str(each["id"]) for each in new], lambda: _added(call, report, new))


def _added(call: Call, report: JsonObject, new: Sequence[JsonObject]) -> str:
    known, missing = strings(report["known"]), strings(report["unknown_dependencies"])
    rows = [((str(each["id"]), "bold"), status_cell(str(each["status"])), (str(each["title"]), "")) for each in new]
    lines = [table(call, ("ID", "STATUS", "TITLE"), rows, stretch=2)] if rows and report["dry_run"] else []
    verb = "would be added" if report["dry_run"] else "added"
    lines.append(f"{plural(len(new), 'task')} {verb}" + (f", {len(known)} known already" if known else ""))
    if missing:
        lines.append(f"left out, as they are neither in the file nor here: {', '.join(missing)}")
    return "\n".join(lines)


def printed(call: Call, form: str, tasks: Iterable[JsonObject]) -> None:
    """Print tasks in a form that other programs read."""
    if form not in _FORMS:
        raise UsageError(f"`{form}` is not a format", f"choose one of: {', '.join(_FORMS)}")
    listed = list(tasks)
    if form == "json":
        call.document(listed)
    elif form == "jsonl":
        for task in listed:
            call.document(task)
    elif form == "md":
        for task in listed:
            call.out(f"- [{'x' if task['status'] == 'completed' else ' '}] {task['title']}")
    else:
        from atms_cli.cli import listing

        plain: list[Task] = listed  # type: ignore[assignment]  # a Task and more
        listing.show(call, "csv", plain, None)
