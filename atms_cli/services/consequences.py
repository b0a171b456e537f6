"""What follows from the end of a task for others: parents that end with their children, and tasks that are not needed now."""

from __future__ import annotations

from atms_cli.domain import decisions
from atms_cli.domain import task as tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from atms_cli.domain.records import Fact, Task
    from atms_cli.ports import Transaction


def follow(tx: Transaction, task_ids: Iterable[str]) -> None:
    """Record what follows from how tasks have ended, and what follows from that."""
    waiting = list(task_ids)
    while waiting:
        task = tx.read.task(waiting.pop())
        if task["status"] not in (*tasks.CLOSED, "failed"):
            continue
        for other_id, facts in [*_not_needed(tx, task), *_with_its_children(tx, task)]:
            if facts:
                tx.record(facts)
                waiting.append(other_id)


def _not_needed(tx: Transaction, ended: Task) -> list[tuple[str, list[Fact]]]:
    """Give up what was to be done if a task failed, now that it has ended otherwise."""
    if ended["status"] == "failed":
        return []
    reason = f"not needed: {ended['id']} was {'completed' if tasks.is_met(ended) else 'given up'}"
    return [
        (str(each["id"]), decisions.cancel(tx.read.task(str(each["id"])), reason))
        for each in tx.read.waiting_on(ended["id"])
        if each["kind"] == "failure" and each["status"] in ("created", "queued", "blocked")
    ]


def _with_its_children(tx: Transaction, ended: Task) -> list[tuple[str, list[Fact]]]:
    """End a parent that ends with its children, once the last of them has: well if any of them did."""
    if ended["parent_id"] is None:
        return []
    parent = tx.read.task(ended["parent_id"])
    if not parent["rollup"] or parent["status"] in (*tasks.CLOSED, "failed"):
        return []
    children = tx.read.children(parent["id"])
    if any(child["status"] not in tasks.CLOSED for child in children):
        return []
    # One that was completed may be in the archive by now.
    if not any(tasks.is_met(tx.read.task(str(child["id"]))) for child in children):
        return [(parent["id"], decisions.cancel(parent, "all of its parts were given up"))]
    return [
        (
            parent["id"],
            decisions.complete(parent, {"by": "atms", "note": f"all {len(children)} parts have ended"}, tx.now),
        )
    ]
