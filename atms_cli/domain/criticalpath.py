"""What holds work up: longest paths and root causes.

Iterative, so a chain may be as long as it likes; circles, which only a merge of clones can bring, end the search.
"""

from __future__ import annotations

from atms_cli.domain.graph import order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atms_cli.domain.records import Dependency


def tails(graph: Mapping[str, Sequence[str]], minutes: Mapping[str, float]) -> dict[str, float]:
    """Return for each task the longest way to the end through those that wait for it, its own effort included.

    A dependency that closes a circle counts for nothing.
    """
    return _tails(graph, minutes)[0]


def longest_path(graph: Mapping[str, Sequence[str]], minutes: Mapping[str, float]) -> list[str]:
    """Return the critical path: the tasks that one after another take longest, the first of equals in the order given."""
    found, following = _tails(graph, minutes)
    path: list[str] = []
    task = max(found, key=found.__getitem__, default=None)
    while task is not None:
        path.append(task)
        task = following.get(task)
    return path


def _tails(graph: Mapping[str, Sequence[str]], minutes: Mapping[str, float]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the tails, and for each task the one that follows it on the longest way."""
    found = dict.fromkeys(graph, 0.0)
    following: dict[str, str] = {}
    placed: set[str] = set()
    for task in reversed(order(graph)):
        placed.add(task)
        tail = found[task] = found[task] + minutes.get(task, 0.0)
        for dependency in graph[task]:
            # One that is placed already is behind this one in a circle.
            if found.get(dependency, tail + 1) <= tail and dependency not in placed:
                found[dependency], following[dependency] = tail, task
    return found, following


def root_causes(task: str, blockers: Callable[[str], Sequence[Dependency]]) -> Iterator[tuple[str, list[str]]]:
    """Yield the tasks that really hold a task up, nearest first, each with the way there from the task.

    They are the ones at the far end: not completed, and waiting for nothing that is not completed. None of those in a
    circle, nor of those that wait for it alone, has such an end.
    """
    came_from: dict[str, str | None] = {task: None}
    # The list grows while it is walked: what is found waits at its end.
    waiting = [task]
    for current in waiting:
        found = [dependency["id"] for dependency in blockers(current) if dependency["status"] != "completed"]
        if not found and current != task:
            yield current, _walk_back(came_from, current)
        for blocker in found:
            if blocker not in came_from:
                came_from[blocker] = current
                waiting.append(blocker)


def _walk_back(came_from: Mapping[str, str | None], last: str) -> list[str]:
    path = [last]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


def search_both_ways(
    start: str, goal: str, needs: Callable[[str], Sequence[str]], dependents: Callable[[str], Sequence[str]]
) -> list[str] | None:
    """Return the ids from `start` along what each needs to `goal`, or None as soon as one end has nowhere to go.

    Both ends search in step, so the work is twice that of the smaller side: nothing at all for a task that is new.
    """
    ahead: dict[str, str | None] = {start: None}
    behind: dict[str, str | None] = {goal: None}
    for steps in zip(_spread(start, needs, ahead), _spread(goal, dependents, behind), strict=False):
        for met in steps:
            if met in ahead and met in behind:
                return _walk_back(ahead, met) + _walk_back(behind, met)[-2::-1]
    return None


def _spread(start: str, neighbours: Callable[[str], Sequence[str]], came_from: dict[str, str | None]) -> Iterator[str]:
    """Yield every id on the way, known ones too, so that two searches can keep in step."""
    waiting = [start]
    for current in waiting:
        yield current
        for neighbour in neighbours(current):
            if neighbour not in came_from:
                came_from[neighbour] = current
                waiting.append(neighbour)
            yield neighbour
