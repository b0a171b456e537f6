"""Which task is next: the order is total and stable, and nothing waits for ever."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import decisions
from atms_cli.domain import task as tasks
from atms_cli.domain.moment import plus, to_iso
from atms_cli.domain.queue import effective_priority, merge, waits_for
from atms_cli.domain.task import PRIORITIES, level

if TYPE_CHECKING:
    from atms_cli.domain.records import Dependency, Status, Task

START_MS = 1_767_323_045_000
NOW = to_iso(START_MS)

queued = st.lists(
    st.tuples(st.sampled_from(PRIORITIES), st.integers(min_value=0, max_value=10_000_000)), max_size=40
).map(lambda found: [(f"t{index:02d}", priority, START_MS + offset) for index, (priority, offset) in enumerate(found)])
ageings = st.sampled_from([1.0, 60.0, 3600.0, 86_400.0])


def merged(found: list[tuple[str, str, int]], ageing_s: float) -> list[str]:
    runs = [
        sorted(((at, name) for name, priority, at in found if level(priority) == index))
        for index in range(len(PRIORITIES))
    ]
    return list(merge([iter([(name, to_iso(at)) for at, name in run]) for run in runs], "priority", ageing_s))


@given(queued, ageings)
def test_everything_comes_once_by_effective_priority(found: list[tuple[str, str, int]], ageing_s: float) -> None:
    names = merged(found, ageing_s)
    assert sorted(names) == sorted(name for name, _, _ in found)
    by_name = {name: (priority, at) for name, priority, at in found}
    now = START_MS + 20_000_000
    ranks = [effective_priority(level(by_name[name][0]), (now - by_name[name][1]) / 1000, ageing_s) for name in names]
    for before, after in pairwise(ranks):
        assert before >= after - 1e-6


@given(queued, ageings, st.integers(min_value=0))
def test_taking_one_away_moves_no_other(found: list[tuple[str, str, int]], ageing_s: float, choice: int) -> None:
    if found:
        gone = found[choice % len(found)]
        rest = [each for each in found if each != gone]
        assert merged(rest, ageing_s) == [name for name in merged(found, ageing_s) if name != gone[0]]


@given(st.sampled_from(PRIORITIES), ageings, st.lists(st.integers(min_value=1, max_value=10**9), max_size=30))
def test_waiting_is_bounded(priority: str, ageing_s: float, later: list[int]) -> None:
    """Whoever has waited as many periods as it is levels below the top goes before every newcomer, even a critical one."""
    bound_ms = round(level(priority) * ageing_s * 1000)
    newcomers = [(f"n{index:02d}", "critical", START_MS + bound_ms + after) for index, after in enumerate(later)]
    assert merged([("old", priority, START_MS), *newcomers], ageing_s)[0] == "old"


def test_the_more_urgent_goes_first_of_equals() -> None:
    at = START_MS
    assert merged([("low", "low", at), ("critical", "critical", at)], 60) == ["critical", "low"]
    # One level above, queued exactly one period later: the same effective priority.
    assert merged([("medium", "medium", at), ("high", "high", at + 60_000)], 60) == ["high", "medium"]
    assert merged([("medium", "medium", at), ("high", "high", at + 60_001)], 60) == ["medium", "high"]


@given(queued, st.sampled_from([("fifo", 1), ("lifo", -1)]))
def test_by_time_alone_the_level_decides_only_between_equals(
    found: list[tuple[str, str, int]], strategy: tuple[str, int]
) -> None:
    name, sign = strategy
    runs = [
        iter(sorted([(who, to_iso(at)) for who, own, at in found if own == each], key=lambda run: run[1])[::sign])
        for each in PRIORITIES
    ]
    times = {who: at for who, _, at in found}
    order = [times[who] for who in merge(runs, name, 60)]
    assert order == sorted(order, reverse=sign < 0)
    assert len(order) == len(found)


def test_merge_takes_no_more_than_it_needs() -> None:
    taken: list[int] = []

    def endless() -> object:
        number = 0
        while True:
            taken.append(number)
            yield f"t{number}", to_iso(START_MS + number)
            number += 1

    found = merge([endless()], "priority", 60)  # type: ignore[list-item]
    assert [next(found) for _ in range(3)] == ["t0", "t1", "t2"]
    assert len(taken) == 3


def made(**changes: object) -> Task:
    (fact,) = decisions.create("t1", {"title": "Work"}, created_by="ann", draft=False)
    born = tasks.evolve(
        None, {"v": 1, "id": "e1", "at": NOW, "type": fact[0], "key": "t1", "actor": "ann", "data": fact[2]}
    )
    assert born is not None
    return {**born, **changes}  # type: ignore[typeddict-item]


def on(status: Status) -> Dependency:
    return {"id": "t0", "title": "First", "status": status, "kind": "success"}


@pytest.mark.parametrize(
    ("task", "dependencies", "kinds"),
    [
        (made(), [], []),
        (made(status="created"), [], ["draft"]),
        (made(status="completed"), [], ["closed"]),
        (made(status="failed", reason="broken"), [], ["closed"]),
        (made(status="in_progress", assigned_agent="anton"), [], ["running"]),
        (made(status="review"), [], ["review"]),
        (made(not_before=plus(NOW, 60)), [], ["time"]),
        (made(not_before=plus(NOW, -60)), [], []),
        (made(), [on("queued")], ["dependency"]),
        (made(not_before=plus(NOW, 60)), [on("failed")], ["dependency", "time"]),
    ],
)
def test_what_keeps_a_task_waiting(task: Task, dependencies: list[Dependency], kinds: list[str]) -> None:
    assert [reason["kind"] for reason in waits_for(task, dependencies, NOW)] == kinds


def test_the_words_name_who_when_and_what_to_do() -> None:
    (reason,) = waits_for(made(), [on("failed")], NOW)
    assert reason["text"] == "it depends on t0 (First), which is failed"
    assert str(reason["hint"]).startswith("atms task retry t0")
    (cancelled,) = waits_for(made(), [on("cancelled")], NOW)
    assert str(cancelled["hint"]).startswith("atms task reopen t0")
    (alive,) = waits_for(made(), [on("in_progress")], NOW)
    assert "hint" not in alive
    (later,) = waits_for(made(not_before=plus(NOW, 90)), [], NOW)
    assert later["text"] == f"not before {plus(NOW, 90)} (in 1m 30s)"
    (running,) = waits_for(made(status="in_progress", assigned_agent="anton"), [], NOW)
    assert running["text"] == "anton is at work on it (in progress)"
