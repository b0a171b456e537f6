"""Attempts that an earlier loop left: which, as they began, and put back if they never did."""

from __future__ import annotations

from dataclasses import replace

from atms_cli.domain import decisions
from atms_cli.services.attempts import begun, in_flight, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace
    from atms_cli.services.attempts import Start


def left_over(read: ReadModel) -> list[Task]:
    """Return the tasks that a loop was at work on; their runs are in doubt until somebody has looked."""
    return [
        task for status in ("in_progress", "validating") for task in read.of_status(status) if task["run"] is not None
    ]


def taken_up(ws: Workspace, run: str, task: Task, agent: Agent) -> Start:
    """Return an attempt that an earlier loop began.

    Raises:
        UsageError: nobody knows any more how to read such an agent.

    """
    start = begun(ws, run, task, agent)
    return replace(start, is_apart=bool(place(ws, run)))


def never_began(tx: Transaction, task_id: str, run: str) -> None:
    """Put back a task whose attempt is on record but was not launched before its loop died."""
    task = tx.read.task(task_id)
    if in_flight(task, run):
        tx.record(decisions.undo_start(task, "its loop ended before it began"))
