"""Forecasts: the plan that is played keeps to the queue, the same seed gives the same, and what is not known is said."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atms_cli.domain.forecast import MOST_AHEAD, basis_of, forecast, percentile, pools, schedule

if TYPE_CHECKING:
    from atms_cli.domain.forecast import Forecast, Planned

EXACT = ("feature", "simple", "anton")


def planned(name: str, **changes: object) -> Planned:
    plain: dict[str, object] = {
        "id": name,
        "category": "feature",
        "complexity": "simple",
        "agent": None,
        "estimated_effort": None,
        "needs": [],
    }
    return {**plain, **changes}  # type: ignore[typeddict-item]


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile([4, 1, 3, 2], percent) for percent in (0, 25, 26, 50, 95, 100)] == [1, 1, 2, 2, 4, 4]
    assert percentile([7], 50) == 7


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(min_value=0.1, max_value=100))
def test_a_percentile_is_the_smallest_that_is_enough(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values) - 1e-6
    assert sum(value < found for value in values) * 100 < percent * len(values) + 1e-6


def test_the_narrowest_history_with_enough_samples() -> None:
    task = planned("t", agent="anton", estimated_effort=30)
    history = {EXACT: [1.0] * 4}
    assert basis_of(task, pools(history)) == ((1800.0,), "its estimate; there is no history like it")
    history["bug_fix", "simple", "anton"] = [2.0]
    assert basis_of(task, pools(history))[1] == "5 attempts at any tasks"
    history["feature", "complex", "berta"] = [3.0]
    assert basis_of(task, pools(history)) == ([1.0] * 4 + [3.0], "5 attempts at feature tasks")
    history["feature", "simple", "berta"] = [4.0]
    assert basis_of(task, pools(history))[1] == "5 attempts at simple feature tasks"
    history[EXACT] = [1.0] * 5
    assert basis_of(task, pools(history)) == ([1.0] * 5, "5 attempts at simple feature tasks by anton")
    assert basis_of({**task, "agent": None}, pools(history))[1] == "6 attempts at simple feature tasks"
    assert basis_of(planned("t"), {}) == ((), "no history and no estimate")


def test_a_free_worker_takes_the_first_task_that_waits_for_nothing() -> None:
    tasks = [planned("a"), planned("b", needs=["a"]), planned("c"), planned("d", needs=["b", "c", "gone"])]
    durations = {"a": 10.0, "b": 20.0, "c": 5.0, "d": 1.0}
    assert schedule(tasks, 1, durations) == [("a", 0, 0, 10), ("b", 0, 10, 30), ("c", 0, 30, 35), ("d", 0, 35, 36)]
    assert schedule(tasks, 2, durations) == [("a", 0, 0, 10), ("c", 1, 0, 5), ("b", 0, 10, 30), ("d", 0, 30, 31)]
    assert schedule(tasks, 0, durations) == []
    assert schedule([], 2, {}) == []
    circle = [planned("a", needs=["b"]), planned("b", needs=["a"]), planned("c")]
    assert schedule(circle, 1, durations) == [("c", 0, 0, 5)]


SIZE = 10
plans = st.lists(
    st.tuples(
        st.lists(st.integers(min_value=0, max_value=SIZE - 1), max_size=3), st.integers(min_value=0, max_value=50)
    ),
    max_size=SIZE,
).map(
    lambda rows: (
        [
            planned(f"t{place}", needs=[f"t{need}" for need in needs if need < place])
            for place, (needs, _) in enumerate(rows)
        ],
        {f"t{place}": float(span) for place, (_, span) in enumerate(rows)},
    )
)


@given(plans, st.integers(min_value=1, max_value=4))
def test_a_schedule_keeps_workers_and_dependencies(plan: tuple[list[Planned], dict[str, float]], slots: int) -> None:
    tasks, durations = plan
    rows = schedule(tasks, slots, durations)
    assert sorted(row[0] for row in rows) == sorted(durations)
    assert [row[2] for row in rows] == sorted(row[2] for row in rows)
    ends = {name: end for name, _, _, end in rows}
    needs = {task["id"]: task["needs"] for task in tasks}
    for name, slot, start, end in rows:
        assert end == start + durations[name]
        assert 0 <= slot < slots
        assert all(ends[need] <= start for need in needs[name])
    for slot in range(slots):
        mine = [row for row in rows if row[1] == slot]
        assert all(before[3] <= after[2] for before, after in pairwise(mine))


@given(plans, st.integers(min_value=1, max_value=4))
def test_no_worker_is_idle_while_a_task_could_start(plan: tuple[list[Planned], dict[str, float]], slots: int) -> None:
    tasks, durations = plan
    rows = schedule(tasks, slots, durations)
    ends = {name: end for name, _, _, end in rows}
    needs = {task["id"]: task["needs"] for task in tasks}
    for name, _, start, _ in rows:
        ready = max((ends[need] for need in needs[name]), default=0.0)
        for moment in {ready, *(end for end in ends.values() if ready < end < start)} if ready < start else ():
            assert sum(begin <= moment < end for _, _, begin, end in rows) >= slots


def of(goal: str, tasks: list[Planned], slots: int = 1, seed: int = 7, **samples: list[float]) -> Forecast:
    history = {("feature", complexity, "anton"): durations for complexity, durations in samples.items()}
    return forecast(goal, tasks, slots, history, Random(seed))  # noqa: S311  dice, not secrets


def test_with_durations_that_never_vary_it_is_the_schedule() -> None:
    tasks = [planned(name) for name in "abc"]
    found = of("c", tasks, simple=[60.0] * 20)
    assert found == {
        "start": {"p50": 120, "p80": 120, "p95": 120},
        "finish": {"p50": 180, "p80": 180, "p95": 180},
        "basis": "20 attempts at simple feature tasks",
        "thin": False,
    }
    assert of("c", tasks, slots=3, simple=[60.0] * 20)["start"] == {"p50": 0, "p80": 0, "p95": 0}


def test_few_samples_or_an_estimate_are_thin() -> None:
    assert of("a", [planned("a")], simple=[60.0] * 5)["thin"]
    found = of("a", [planned("a", estimated_effort=2)])
    assert (found["finish"], found["thin"]) == ({"p50": 120, "p80": 120, "p95": 120}, True)


def test_what_is_not_known_is_said() -> None:
    tasks = [planned("a", estimated_effort=2), planned("b"), planned("c", estimated_effort=1)]
    unknown = of("b", tasks)
    assert unknown["start"] == {"p50": 120, "p80": 120, "p95": 120}
    assert (unknown["finish"], unknown["basis"], unknown["thin"]) == (None, "no history and no estimate", True)
    behind = of("c", tasks)
    assert behind["basis"] == "its estimate; there is no history like it; 1 ahead of it has no history and no estimate"
    assert behind["start"] is not None
    nothing = of("b", [planned("a"), planned("b")])
    assert (nothing["start"], nothing["finish"]) == (None, None)
    assert of("a", [planned("a")])["start"] == {"p50": 0, "p80": 0, "p95": 0}


def test_what_never_starts_has_no_forecast() -> None:
    assert (
        of("a", [planned("a", needs=["b"]), planned("b", needs=["a"])])["basis"]
        == "it waits for what this plan never finishes"
    )
    assert of("a", [planned("a")], slots=0)["start"] is None
    assert of("z", [planned("a")])["basis"] == "it is far off, or it waits for what will not end by itself"


def test_what_is_left_of_a_task_at_work() -> None:
    after = planned("b", estimated_effort=1)
    samples = [60.0, 100.0, 100.0, 100.0, 100.0]
    started = of("b", [planned("a", elapsed_s=70.0), after], simple=samples)["start"]
    assert started == {"p50": 30, "p80": 30, "p95": 30}
    # It has taken longer than any before.
    assert of("b", [planned("a", elapsed_s=500.0), after], simple=samples)["start"] == {
        "p50": 500,
        "p80": 500,
        "p95": 500,
    }


durations = st.lists(st.floats(min_value=1, max_value=1000), min_size=5, max_size=30)


@given(durations, st.integers(min_value=1, max_value=3), st.integers(min_value=0, max_value=9))
@settings(max_examples=30)
def test_the_same_seed_gives_the_same_and_percentiles_rise(samples: list[float], slots: int, seed: int) -> None:
    tasks = [planned(f"t{number}") for number in range(6)]
    found = of("t5", tasks, slots, seed, simple=samples)
    assert found == of("t5", tasks, slots, seed, simple=samples)
    start, finish = found["start"], found["finish"]
    assert start is not None
    assert finish is not None
    assert start["p50"] <= start["p80"] <= start["p95"]
    assert finish["p50"] <= finish["p80"] <= finish["p95"]
    assert all(start[name] < finish[name] for name in start)
    assert finish["p95"] <= 6 * max(samples) * (1 + 1e-9)


def test_percentiles_are_those_of_the_sum() -> None:
    """Two tasks of 1 s or 3 s each are done after 2 s, 4 s or 6 s, in one, two and one cases of four."""
    tasks = [planned("a"), planned("b")]
    found = forecast("b", tasks, 1, {("feature", "simple", "anton"): [1.0, 3.0] * 10}, Random(1), runs=2000)  # noqa: S311  dice
    assert found["finish"] == {"p50": 4, "p80": 6, "p95": 6}


@pytest.mark.parametrize(("place", "known"), [(MOST_AHEAD - 1, True), (MOST_AHEAD, False)])
def test_the_work_is_bounded(*, place: int, known: bool) -> None:
    tasks = [planned(f"t{number}") for number in range(MOST_AHEAD + 5)]
    history = {("feature", "simple", "anton"): [60.0] * 1000}
    found = forecast(f"t{place}", tasks, 4, history, Random(1), runs=3)  # noqa: S311  dice
    assert (found["start"] is not None) is known
    if not known:
        assert found["basis"] == f"more than {MOST_AHEAD} tasks are ahead of it"
