"""The forms of a task list: table, JSON, JSON lines, ids, CSV."""

from __future__ import annotations

import sys

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Task

_FORMS = ("table", "json", "jsonl", "ids", "csv")
_CSV_COLUMNS = (
    "id", "title", "status", "priority", "category", "complexity", "assigned_agent", "feature_id", "tags", "blocked_by",
    "created_at", "updated_at", "completed_at",
)  # fmt: skip


def form(call: Call, chosen: str | None) -> str:
    """Return the form asked for."""
    if chosen is None:
        return "json" if call.json else "ids" if call.quiet else "table"
    if chosen not in _FORMS:
        raise UsageError(f"`{chosen}` is not a format", f"choose one of: {', '.join(_FORMS)}")
    return chosen


def sort(chosen: str | None) -> str:
    """Return the order asked for, open tasks first by age unless told otherwise."""
    from atms_cli.store.listing import SORTS

    if chosen is not None and chosen not in SORTS:
        raise UsageError(f"cannot sort by `{chosen}`", f"choose one of: {', '.join(SORTS)}")
    return chosen or "created"


def show(call: Call, wanted: str, tasks: Sequence[Task], most: int | None) -> None:
    """Print tasks; a table ends after `most` rows and says how to see the rest."""
    if wanted == "json":
        call.document(tasks)
    elif wanted == "jsonl":
        for task in tasks:
            call.document(task)
    elif wanted == "ids":
        sys.stdout.write("".join(f"{task['id']}\n" for task in tasks))
    elif wanted == "csv":
        _csv(tasks)
    else:
        _table(call, tasks, most)


def _table(call: Call, tasks: Sequence[Task], most: int | None) -> None:
    from atms_cli.cli.render import task_table

    shown = tasks[:most]
    if shown:
        call.out(task_table(call, shown))
    else:
        call.say("no tasks like that")
    if len(tasks) > len(shown):
        call.say(f"and more; see them with --limit N or --offset {len(shown)}")


def _csv(tasks: Sequence[Task]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for task in tasks:
        values = [task.get(column) for column in _CSV_COLUMNS]
        writer.writerow(
            [" ".join(value) if isinstance(value, list) else "" if value is None else value for value in values]
        )
