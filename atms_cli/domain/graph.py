"""Dependencies between tasks as plain mappings of ids. Iterative, so a chain may be as long as it likes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


def find_path(start: str, goal: str, dependencies: Callable[[str], Sequence[str]]) -> list[str] | None:
    """Return the ids from `start` along dependencies to `goal`, or None if there is no way."""
    came_from: dict[str, str | None] = {start: None}
    waiting = [start]
    while waiting:
        current = waiting.pop()
        if current == goal:
            return _walk_back(came_from, current)
        for dependency in dependencies(current):
            if dependency not in came_from:
                came_from[dependency] = current
                waiting.append(dependency)
    return None


def _walk_back(came_from: Mapping[str, str | None], last: str) -> list[str]:
    path = [last]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


def find_cycle(task: str, on: str, dependencies: Callable[[str], Sequence[str]]) -> list[str] | None:
    """Return the circle that `task` waiting for `on` would close, first id repeated at the end; or None."""
    path = find_path(on, task, dependencies)
    return None if path is None else [task, *path]


def order(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the ids so that each comes after what it depends on, otherwise in the order given.

    Dependencies outside the mapping count as met. Ids in a circle, or behind one, come last in the order given.
    """
    missing = {task: sum(dependency in graph for dependency in set(needs)) for task, needs in graph.items()}
    dependents = _reversed(graph)
    position = {task: index for index, task in enumerate(graph)}
    ready = [task for task in graph if not missing[task]]
    done: list[str] = []
    while ready:
        done.extend(ready)
        released = {dependent for task in ready for dependent in dependents.get(task, ()) if _met(missing, dependent)}
        ready = sorted(released, key=position.__getitem__)
    placed = set(done)
    return done + [task for task in graph if task not in placed]


def _met(missing: dict[str, int], task: str) -> bool:
    missing[task] -= 1
    return not missing[task]


def _reversed(graph: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    dependents: dict[str, list[str]] = {}
    for task, needs in graph.items():
        for dependency in dict.fromkeys(needs):
            dependents.setdefault(dependency, []).append(task)
    return dependents


def closure(start: Iterable[str], neighbours: Callable[[str], Sequence[str]]) -> list[str]:
    """Return every id that can be reached from `start`, which are not included unless reached again."""
    seen: dict[str, None] = {}
    waiting = list(start)
    while waiting:
        for neighbour in neighbours(waiting.pop()):
            if neighbour not in seen:
                seen[neighbour] = None
                waiting.append(neighbour)
    return list(seen)
