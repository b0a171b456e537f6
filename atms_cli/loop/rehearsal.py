"""`atms run --dry-run`: the order in which tasks would be started if each succeeded; nothing is touched."""

from __future__ import annotations

from atms_cli.domain import graph, matching
from atms_cli.domain.moment import to_iso
from atms_cli.services import attempts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace


def rehearse(ws: Workspace, jobs: int | None, only: Sequence[str]) -> list[JsonObject]:
    """Return each task with its agent and gates, in order; what waits for a dead end is left out."""
    read = ws.store.queue(ws.config["queue"])
    force = attempts.workforce(ws, read, jobs or ws.config["execution"]["jobs"], only)
    steps: list[JsonObject] = []
    for position, task in enumerate(_in_order(ws, read), start=1):
        able = matching.may_run(force, task)
        steps.append({
            "order": position, "task": task["id"], "title": task["title"], "agent": able[0]["name"] if able else None,
            "gates": [gate["name"] for gate in attempts.gates_of(ws, task)], "after": [*task["dependencies"]],
        })  # fmt: skip
    return steps


def _in_order(ws: Workspace, read: ReadModel) -> list[Task]:
    """Return ready tasks as the queue gives them, and behind them what they release."""
    ready = [read.task(task_id) for task_id in read.ready(ws.config["queue"], to_iso(ws.clock.now_ms()))]
    open_tasks = {task["id"]: task for task in [*ready, *_released_by(read, ready)]}
    needs = {
        task_id: [need for need in task["dependencies"] if need in open_tasks] for task_id, task in open_tasks.items()
    }
    return [open_tasks[task_id] for task_id in graph.order(needs)]


def _released_by(read: ReadModel, ready: Sequence[Task]) -> list[Task]:
    """Return the queued tasks that can run once the ready ones have, transitively."""
    reachable = {task["id"] for task in ready}
    found: list[Task] = []
    waiting = [each["id"] for task in ready for each in read.waiting_on(task["id"])]
    while waiting:
        task = read.task(str(waiting.pop(0)))
        blockers = {blocker["id"] for blocker in read.blockers(task["id"])}
        if task["id"] in reachable or task["status"] != "queued" or not blockers <= reachable:
            continue
        reachable.add(task["id"])
        found.append(task)
        waiting += [each["id"] for each in read.waiting_on(task["id"])]
    return found
