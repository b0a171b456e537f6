"""What will happen to the queue as it stands: the order in which tasks would start, and when, as far as history tells."""

from __future__ import annotations

from itertools import islice

from atms_cli.domain import forecast, graph
from atms_cli.domain.moment import seconds_between
from atms_cli.domain.task import effort_minutes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atms_cli.domain.forecast import Forecast, Planned
    from atms_cli.domain.records import Task
    from atms_cli.ports import ReadModel, Workspace

    History = dict[tuple[str, str, str], list[float]]

#: So many attempts tell how long others will take.
_ATTEMPTS = 500
#: What is further off is not foretold: it would be guessed from guesses.
_MOST_PLANNED = 250
#: So many tasks are played in all, so that a long plan is played less often.
_MOST_PLAYED = 15_000


def in_order(ws: Workspace, read: ReadModel, now: str, most: int | None = None) -> list[Task]:
    """Return ready tasks as the queue gives them, and behind them what they release; what waits for a dead end is left out."""
    ready = [read.task(task_id) for task_id in islice(read.ready(ws.config["queue"], now), most)]
    open_tasks = {task["id"]: task for task in [*ready, *_released_by(read, [*read.active(), *ready], most)]}
    needs = {key: [need for need in task["dependencies"] if need in open_tasks] for key, task in open_tasks.items()}
    return [open_tasks[task_id] for task_id in graph.order(needs)]


def _released_by(read: ReadModel, first: Sequence[Task], most: int | None) -> list[Task]:
    """Return the queued tasks that can run once the first ones have, transitively."""
    reachable = {task["id"] for task in first}
    found: list[Task] = []
    waiting = [str(each["id"]) for task in first for each in read.waiting_on(task["id"])]
    # The list grows while it is walked.
    for task_id in waiting:
        if most is not None and len(found) >= most:
            break
        if task_id in reachable:
            continue
        task = read.task(task_id)
        # What is done only if another one fails is no part of a plan in which all goes well.
        blockers = {blocker["id"] if blocker["kind"] != "failure" else "" for blocker in read.blockers(task_id)}
        if task["status"] == "queued" and not task["rollup"] and blockers <= reachable:
            reachable.add(task_id)
            found.append(task)
            waiting += [str(each["id"]) for each in read.waiting_on(task_id)]
    return found


def history(read: ReadModel) -> History:
    """Return how long the last successful attempts took, in seconds, by category, complexity and agent."""
    found: History = {}
    for attempt, category, complexity, _ in read.last_attempts(_ATTEMPTS):
        if attempt["status"] == "succeeded" and attempt["ended_at"] is not None:
            seconds = max(0.001, seconds_between(attempt["started_at"], attempt["ended_at"]))
            found.setdefault((category, complexity, attempt["agent"]), []).append(seconds)
    return found


def planned(tasks: Iterable[Task], now: str) -> list[Planned]:
    """Return what a forecast needs to know of tasks."""
    return [_planned(task, now) for task in tasks]


def _planned(task: Task, now: str) -> Planned:
    about: Planned = {
        "id": task["id"],
        "category": task["category"],
        "complexity": task["complexity"],
        "agent": task["assigned_agent"] or task["agent"],
        "estimated_effort": task["estimated_effort"],
        "needs": task["dependencies"],
    }
    if task["status"] in ("assigned", "in_progress", "validating") and task["started_at"]:
        about["elapsed_s"] = max(0.0, seconds_between(task["started_at"], now))
    return about


def predict(ws: Workspace, read: ReadModel, task_id: str, now: str) -> Forecast:
    """Return when a task will probably start and be done."""
    plan = planned([*read.active(), *in_order(ws, read, now, _MOST_PLANNED)], now)
    if len(plan) >= _MOST_PLANNED and all(each["id"] != task_id for each in plan):
        return {
            "start": None,
            "finish": None,
            "basis": f"about {_MOST_PLANNED} tasks or more are ahead of it",
            "thin": True,
        }
    runs = min(forecast.RUNS, _MOST_PLAYED // max(1, len(plan)))
    slots, chance = ws.config["execution"]["jobs"], ws.ids.chance(task_id)
    return forecast.forecast(task_id, plan, slots, history(read), chance, runs=runs)


def timetable(read: ReadModel, tasks: Sequence[Task], slots: int, now: str) -> dict[str, tuple[int, float, float]]:
    """Return worker, start and finish in seconds from now of each task, if each takes as long as is usual."""
    plan, pooled = planned(tasks, now), forecast.pools(history(read))
    lasting: dict[str, float] = {}
    for about, task in zip(plan, tasks, strict=True):
        samples, _ = forecast.basis_of(about, pooled)
        lasting[task["id"]] = forecast.percentile(samples, 50) if samples else effort_minutes(task) * 60.0
    return {task_id: (slot, start, end) for task_id, slot, start, end in forecast.schedule(plan, slots, lasting)}
