"""Making the tasks that recurring ones become when their time has come."""

from __future__ import annotations

from atms_cli.domain import decisions, recurrence
from atms_cli.services.tasks import is_draining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Task
    from atms_cli.ports import Transaction, Workspace


def spawn(ws: Workspace, tx: Transaction) -> list[Task]:
    """Make what is due of every recurring task; return the new tasks."""
    made: list[Task] = []
    for task_id in tx.read.recurring(tx.now):
        template = tx.read.task(task_id)
        passed, following = _times(ws, template, tx.now)
        for at in recurrence.due(passed, _missed(template), tx.now):
            made += _make(tx, template, at)
        tx.record(decisions.recur(template, following))
    return made


def _missed(template: Task) -> str:
    return template["recurrence"]["missed"] if template["recurrence"] else "once"


def _times(ws: Workspace, template: Task, now: str) -> tuple[list[str], str]:
    """Return the times that have passed since a template was last looked at, and the one that follows."""
    cron = template["recurrence"]["cron"] if template["recurrence"] else ""
    first = template["not_before"] or now
    passed = [first, *ws.calendar.between(cron, first, now, recurrence.MOST_AT_ONCE)]
    return passed, ws.calendar.next(cron, now)


def _make(tx: Transaction, template: Task, at: str) -> list[Task]:
    task_id = recurrence.occurrence_id(template["id"], at)
    if tx.read.history(task_id):
        # Another clone was first.
        return []
    fields, creator = decisions.occurrence(template, at), template["metadata"]["created_by"]
    tx.record(decisions.create(task_id, fields, created_by=creator, draft=is_draining(tx, fields)))
    return [tx.read.task(task_id)]
