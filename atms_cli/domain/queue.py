"""Which task is next, and why: head-merge over one sorted run per priority level.

Within a level the task that has waited longest comes first, so only the heads of the five levels compete. A head's
effective priority grows with its waiting, one level per ageing period; a task that has waited as many periods as it
is levels below the top outranks every newcomer (docs/explanation/queue.md has the bound). Nothing is rewritten as
time passes, whatever the strategy.
"""

from __future__ import annotations

from atms_cli.domain.moment import describe_duration, seconds_between, to_ms
from atms_cli.domain.task import ACTIVE, CLOSED, DEAD_ENDS, PRIORITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atms_cli.domain.records import Dependency, JsonObject, Task

_LEVELS = len(PRIORITIES)


def effective_priority(own_level: int, waited_s: float, ageing_s: float) -> float:
    """Return the priority with ageing: one point a level, and one for each ageing period waited.

    The base is 4 for critical (level 0) down to 0 for background (level 4).
    """
    return _LEVELS - 1 - own_level + waited_s / ageing_s


def merge(runs: Sequence[Iterator[tuple[str, str]]], strategy: str, ageing_s: float) -> Iterator[str]:
    """Yield task ids best first from one run per level of (id, queued_at), each sorted by time, newest first for lifo.

    Heads that are equal go to the more urgent level, so the order is total.
    """
    heads = [next(run, None) for run in runs]
    while True:
        waiting = [(_key(head[1], index, strategy, ageing_s), index) for index, head in enumerate(heads) if head]
        if not waiting:
            return
        _, best = min(waiting)
        head = heads[best]
        if head is not None:
            yield head[0]
        heads[best] = next(runs[best], None)


def _key(queued_at: str, index: int, strategy: str, ageing_s: float) -> float:
    """Return what is compared; a level below the top starts as if queued that many ageing periods later."""
    seconds = to_ms(queued_at) / 1000
    return {"priority": seconds + index * ageing_s, "fifo": seconds, "lifo": -seconds}[strategy]


def inherit(own: Mapping[str, int], needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return each task's level, the most urgent of its own and those of the tasks that wait for it, however far off.

    `needs` has the open tasks that wait and for what; a task that is not in `own` passes nothing on.
    """
    levels = {**own}
    # From the most urgent on, so that most tasks are given their level once.
    waiting = sorted(own, key=own.__getitem__, reverse=True)
    while waiting:
        task = waiting.pop()
        for need in needs.get(task, ()):
            if levels.get(need, -1) > levels[task]:
                levels[need] = levels[task]
                waiting.append(need)
    return levels


def waits_for(task: Task, dependencies: Sequence[Dependency], now: str) -> list[JsonObject]:
    """Return what keeps a task from starting, each as kind and words; nothing for one that may start now."""
    if task["status"] in CLOSED or task["status"] == "failed":
        return [
            {"kind": "closed", "text": f"it is {task['status']}" + (f": {task['reason']}" if task["reason"] else "")}
        ]
    if task["status"] in ACTIVE:
        return [
            {
                "kind": "running",
                "text": f"{task['assigned_agent']} is at work on it ({task['status'].replace('_', ' ')})",
            }
        ]
    reasons: list[JsonObject] = []
    if task["status"] == "created":
        reasons.append({"kind": "draft", "text": "it is a draft"})
    if task["status"] in ("blocked", "review"):
        reasons.append(
            {"kind": task["status"], "text": f"it is {task['status']}: {task['reason'] or 'no reason given'}"}
        )
    reasons.extend(_waits_for_dependency(task, dependency) for dependency in dependencies)
    if task["not_before"] and task["not_before"] > now:
        left = describe_duration(seconds_between(now, task["not_before"]))
        reasons.append(
            {"kind": "time", "text": f"not before {task['not_before']} (in {left})", "until": task["not_before"]}
        )
    if task["rollup"] and not reasons:
        reasons.append({"kind": "parts", "text": "nobody works on it: it ends when all of its parts have"})
    return reasons


_WORDS = {
    "success": "it depends on {id} ({title}), which is {status}",
    "failure": "it starts only if {id} ({title}) fails, which is {status}",
    "always": "it starts once {id} ({title}) has ended, which is {status}",
    "soft": "it goes after {id} ({title}), which is {status}",
}


def _waits_for_dependency(task: Task, dependency: Dependency) -> JsonObject:
    status = dependency["status"].replace("_", " ")
    words = _WORDS[dependency["kind"]].format(id=dependency["id"], title=dependency["title"], status=status)
    reason: JsonObject = {
        "kind": "dependency", "id": dependency["id"], "status": dependency["status"], "when": dependency["kind"], "text": words,
    }  # fmt: skip
    if dependency["status"] in DEAD_ENDS:
        again = "retry" if dependency["status"] == "failed" else "reopen"
        without = f"atms task depend {task['id']} --on {dependency['id']} --remove"
        reason["hint"] = f"atms task {again} {dependency['id']}, or go on without it: {without}"
    return reason
