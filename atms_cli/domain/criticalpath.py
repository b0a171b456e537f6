"""The longest way through what is left: which tasks must not wait so that the whole ends soonest. Iterative."""

from __future__ import annotations

from atms_cli.domain.graph import order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def tails(graph: Mapping[str, Sequence[str]], minutes: Mapping[str, float]) -> dict[str, float]:
    """Return for each task the minutes from its start to the end of the longest chain of tasks that wait for it.

    `graph` has what each task waits for. What is in a circle, or behind one, counts as if nothing waited for it.
    """
    longest = dict.fromkeys(graph, 0.0)
    for task in reversed(order(graph)):
        whole = minutes[task] + longest[task]
        for need in graph[task]:
            if need in longest:
                longest[need] = max(longest[need], whole)
    return {task: minutes[task] + longest[task] for task in graph}


def search_both_ways(
    start: str, goal: str, needs: Callable[[str], Sequence[str]], dependents: Callable[[str], Sequence[str]]
) -> list[str] | None:
    """Return the ids from `start` along what is needed to `goal`, or None: looked for from both ends by turns.

    It is over as soon as one end has nowhere to go, so a short side makes a long one not matter.
    """
    if start == goal:
        return [start]
    down: dict[str, str | None] = {start: None}
    up: dict[str, str | None] = {goal: None}
    below, above = [start], [goal]
    while below and above:
        for frontier, seen, other, neighbours in ((below, down, up, needs), (above, up, down, dependents)):
            current = frontier.pop()
            for neighbour in neighbours(current):
                if neighbour in seen:
                    continue
                seen[neighbour] = current
                frontier.append(neighbour)
                if neighbour in other:
                    return [*_chain(down, neighbour)[::-1], *_chain(up, neighbour)[1:]]
            if not frontier:
                return None
    return None


def _chain(came_from: Mapping[str, str | None], last: str) -> list[str]:
    """Return the ids from `last` back to where the search began."""
    path = [last]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return path
