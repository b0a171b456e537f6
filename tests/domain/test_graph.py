"""Dependencies: order, circles, and chains that would overflow a stack."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain.graph import closure, find_cycle, find_path, order

names = st.sampled_from([f"t{number}" for number in range(8)])
graphs = st.dictionaries(names, st.lists(names, max_size=4), max_size=8)
Graph = dict[str, list[str]]


def reachable(graph: Graph, start: str) -> set[str]:
    seen, waiting = set(), [start]
    while waiting:
        for after in graph.get(waiting.pop(), ()):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return seen


@given(graphs)
def test_each_comes_after_what_it_needs_and_circles_come_last(graph: Graph) -> None:
    found = order(graph)
    assert sorted(found) == sorted(graph)
    position = {task: index for index, task in enumerate(found)}
    held = {
        task
        for task in graph
        if any(other in reachable(graph, other) for other in {task} | reachable(graph, task) if other in graph)
    }
    for task in graph:
        if task not in held:
            assert all(position[need] < position[task] for need in graph[task] if need in graph)
    free = len(graph) - len(held)
    assert set(found[:free]) == set(graph) - held
    assert found[free:] == [task for task in graph if task in held]


@given(st.lists(names, unique=True))
def test_without_dependencies_the_order_is_the_one_given(tasks: list[str]) -> None:
    assert order({task: [] for task in tasks}) == tasks


@given(graphs, names, names)
def test_a_circle_is_found_exactly_when_there_is_one(graph: Graph, task: str, on: str) -> None:
    cycle = find_cycle(task, on, lambda name: graph.get(name, []))
    closes = task == on or task in reachable(graph, on)
    assert (cycle is not None) == closes
    if cycle is not None:
        assert cycle[0] == cycle[-1] == task
        assert cycle[1] == on
        for before, after in pairwise(cycle[1:]):
            assert after in graph[before]


@given(graphs, names)
def test_a_closure_holds_all_that_can_be_reached(graph: Graph, start: str) -> None:
    assert set(closure([start], lambda name: graph.get(name, []))) == reachable(graph, start)


def test_a_chain_of_a_hundred_thousand() -> None:
    length = 100_000
    chain = {str(number): [str(number - 1)] if number else [] for number in reversed(range(length))}
    assert order(chain) == [str(number) for number in range(length)]
    path = find_path(str(length - 1), "0", chain.__getitem__)
    assert path is not None
    assert len(path) == length
    assert find_cycle("0", str(length - 1), chain.__getitem__) == ["0", *path]
    assert len(closure([str(length - 1)], chain.__getitem__)) == length - 1


def test_no_way() -> None:
    assert find_path("a", "b", lambda _: []) is None
    assert find_path("a", "a", lambda _: []) == ["a"]
