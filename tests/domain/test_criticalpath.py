"""Longest paths and root causes; against plain recursion on small graphs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain.criticalpath import (
    longest_path,
    root_causes,
    search_both_ways,
    tails,
)
from atms_cli.domain.graph import find_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import Dependency, Status

SIZE = 8
NAMES = [f"t{number}" for number in range(SIZE)]
names = st.sampled_from(NAMES)
Graph = dict[str, list[str]]
graphs = st.dictionaries(names, st.lists(names, max_size=4), max_size=SIZE)
#: Each needs only what comes before it, listed in any order.
acyclic = st.builds(
    lambda needs, listed: {NAMES[index]: [NAMES[each] for each in needs[index] if each < index] for index in listed},
    st.lists(st.lists(st.integers(min_value=0, max_value=SIZE - 1), max_size=4), min_size=SIZE, max_size=SIZE),
    st.permutations(range(SIZE)),
)
efforts = st.dictionaries(names, st.integers(min_value=0, max_value=100).map(float))


def reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for after in graph.get(waiting.pop(), ()):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return seen


def dependents_of(graph: Graph) -> Graph:
    return {task: [after for after, needs in graph.items() if task in needs] for task in graph}


def of(graph: Graph) -> Callable[[str], list[str]]:
    return lambda name: graph.get(name, [])


@given(acyclic, efforts)
def test_a_tail_is_the_longest_way_to_the_end(graph: Graph, minutes: dict[str, float]) -> None:
    after = dependents_of(graph)

    def tail(task: str) -> float:
        return minutes.get(task, 0) + max((tail(each) for each in after[task]), default=0)

    assert tails(graph, minutes) == {task: tail(task) for task in graph}


@given(acyclic, efforts)
def test_the_longest_path_goes_along_dependencies_and_takes_as_long_as_its_tail(
    graph: Graph, minutes: dict[str, float]
) -> None:
    path = longest_path(graph, minutes)
    assert sum(minutes.get(task, 0) for task in path) == max(tails(graph, minutes).values())
    for before, after in pairwise(path):
        assert before in graph[after]


@given(graphs, efforts)
def test_circles_end(graph: Graph, minutes: dict[str, float]) -> None:
    assert tails(graph, minutes).keys() == graph.keys()
    path = longest_path(graph, minutes)
    assert len(path) == len(set(path))
    assert bool(path) == bool(graph)


def test_the_critical_path_of_an_example() -> None:
    graph = {"design": [], "build": ["design"], "docs": ["design", "gone"], "ship": ["build", "docs"]}
    minutes = {"design": 30.0, "build": 60.0, "docs": 90.0, "ship": 5.0}
    assert tails(graph, minutes) == {"design": 125, "build": 65, "docs": 95, "ship": 5}
    assert longest_path(graph, minutes) == ["design", "docs", "ship"]
    assert longest_path({}, {}) == []


def open_tasks(graph: Graph, completed: set[str]) -> Callable[[str], list[Dependency]]:
    def status(name: str) -> Status:
        return "completed" if name in completed else "queued"

    return lambda name: [
        {"id": each, "title": each, "status": status(each), "kind": "success"} for each in graph.get(name, [])
    ]


@given(graphs, names, st.sets(names))
def test_root_causes_are_open_and_wait_for_nothing_open(graph: Graph, task: str, completed: set[str]) -> None:
    still = {name: [each for each in needs if each not in completed] for name, needs in graph.items()}
    found = list(root_causes(task, open_tasks(graph, completed)))
    assert {cause for cause, _ in found} == {each for each in reachable(still, task) if not still.get(each)} - {task}
    assert len({cause for cause, _ in found}) == len(found)
    for cause, path in found:
        assert (path[0], path[-1]) == (task, cause)
        for before, after in pairwise(path):
            assert after in still[before]
    assert [len(path) for _, path in found] == sorted(len(path) for _, path in found)


def test_a_root_cause_is_found_behind_what_waits_itself() -> None:
    graph = {"ship": ["build", "docs"], "build": ["design"], "docs": []}
    found = list(root_causes("ship", open_tasks(graph, {"docs"})))
    assert found == [("design", ["ship", "build", "design"])]
    assert list(root_causes("docs", open_tasks(graph, set()))) == []
    assert list(root_causes("a", open_tasks({"a": ["b"], "b": ["a"]}, set()))) == []


@given(graphs, names, names)
def test_searching_both_ways_finds_a_path_exactly_when_there_is_one(graph: Graph, start: str, goal: str) -> None:
    after = dependents_of({name: graph.get(name, []) for name in NAMES})
    path = search_both_ways(start, goal, of(graph), of(after))
    assert (path is None) == (find_path(start, goal, of(graph)) is None)
    if path is not None:
        assert (path[0], path[-1]) == (start, goal)
        for before, following in pairwise(path):
            assert following in graph[before]


@pytest.mark.parametrize("goal", ["new", "1"])
def test_the_smaller_side_ends_the_search(goal: str) -> None:
    asked = []

    def needs(name: str) -> list[str]:
        asked.append(name)
        return [] if name == "0" else [str(int(name) - 1)]

    # Nothing waits for a new task; for "1" nothing does either, once the chain is only above it.
    assert search_both_ways("100000", goal, needs, lambda _: []) is None
    assert len(asked) <= 2
    assert search_both_ways("new", "100000", lambda _: [], needs) is None
    assert len(asked) <= 4


def test_a_wide_side_does_not_hold_up_a_narrow_one() -> None:
    asked = []

    def wide(name: str) -> list[str]:
        asked.append(name)
        return [f"{name}.{number}" for number in range(1000)] if len(name) < 3 else []

    narrow = {"z": ["y"], "y": ["x"]}
    assert search_both_ways("a", "z", wide, of(narrow)) is None
    assert len(asked) < 5


def test_a_chain_of_a_hundred_thousand() -> None:
    length = 100_000
    chain = {str(number): [str(number - 1)] if number else [] for number in reversed(range(length))}
    after = {str(number): [str(number + 1)] if number + 1 < length else [] for number in range(length)}
    last = str(length - 1)
    assert len(longest_path(chain, dict.fromkeys(chain, 1.0))) == length
    ((cause, path),) = root_causes(last, open_tasks(chain, set()))
    assert (cause, len(path)) == ("0", length)
    both = search_both_ways(last, "0", chain.__getitem__, after.__getitem__)
    assert both == path
