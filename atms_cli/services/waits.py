"""Waits that time ends: for a holder that is silent, and for another try."""

from __future__ import annotations

from atms_cli.domain import decisions, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.ports import Transaction, Workspace


def expire_leases(tx: Transaction) -> None:
    """Return tasks to the queue whose holders have not been heard of in time."""
    for task_id in tx.read.expired(tx.now):
        tx.record(decisions.expire(tx.read.task(task_id), tx.now))


def wait_anew(ws: Workspace, tx: Transaction) -> None:
    """Let tasks wait for another try from now on whose wait began by a clock that was ahead, lest it be hours.

    A time that a person has set is meant as it stands.
    """
    longest_s = ws.config["execution"]["retry_delay_max"]
    for task in map(tx.read.task, tx.read.delayed_ahead(tx.now)):
        wait_s = moment.seconds_between(task["updated_at"], task["not_before"] or task["updated_at"])
        if task["attempts"] and 0 <= wait_s <= longest_s:
            tx.record(decisions.update(task, {"not_before": moment.plus(tx.now, wait_s)}))
