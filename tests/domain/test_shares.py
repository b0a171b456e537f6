"""Shares of starts: in proportion to the weights, in turn, and nothing lost on the way."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atms_cli.domain.moment import plus, to_iso
from atms_cli.domain.shares import STRATEGIES, check_weights, decayed, interleave, used
from atms_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_MS = 1_767_323_045_000
NOW = to_iso(START_MS)
DAY_S = 86_400.0

names = st.sampled_from(["red", "green", "blue", "grey"])
weights = st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0])
weighted = st.dictionaries(names, weights, min_size=2)
usages = st.tuples(
    st.floats(min_value=0, max_value=1000), st.integers(min_value=-1_000_000, max_value=0).map(lambda s: plus(NOW, s))
)
states = st.dictionaries(names, usages, max_size=4)
strategies = st.sampled_from(STRATEGIES)


def test_half_is_left_after_a_half_life() -> None:
    assert decayed(8, 3600, 3600) == 4
    assert decayed(8, 0, 3600) == 8
    assert decayed(8, -100, 3600) == 8
    assert decayed(8, 1e12, 1) == 0
    assert used(8, NOW, plus(NOW, 7200), 3600) == 3
    assert used(0, "", NOW, 3600) == 1


@given(st.lists(st.floats(min_value=0, max_value=10_000), max_size=10))
def test_usage_does_not_depend_on_when_it_is_looked_at(gaps: list[float]) -> None:
    value, now = 0.0, NOW
    starts = []
    for gap in gaps:
        before, now = now, plus(now, gap)
        value = used(value, before, now, 3600)
        starts.append(now)
    whole = sum(used(0, "", NOW, 3600) * decayed(1, _since(at, now), 3600) for at in starts)
    assert value == pytest.approx(whole)


def _since(at: str, now: str) -> float:
    from atms_cli.domain.moment import seconds_between

    return seconds_between(at, now)


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
def test_a_weight_without_a_share_is_refused(weight: float) -> None:
    with pytest.raises(UsageError, match="weight of `red`") as refused:
        check_weights({"green": 1, "red": weight})
    assert refused.value.hint
    check_weights({"green": 0.5})


def next_group(
    groups: Mapping[str, tuple[float, str]], strategy: str, shares: Mapping[str, float], now: str, half_life_s: float
) -> str:
    """Return the group whose turn it is."""
    return next(interleave({name: iter([name]) for name in groups}, groups, strategy, shares, now, half_life_s))


@given(states.filter(bool), strategies, st.dictionaries(names, weights))
def test_the_choice_is_total_and_does_not_depend_on_the_order_given(
    groups: dict[str, tuple[float, str]], strategy: str, shares: dict[str, float]
) -> None:
    chosen = next_group(groups, strategy, shares, NOW, DAY_S)
    assert chosen in groups
    assert next_group(dict(reversed(groups.items())), strategy, shares, NOW, DAY_S) == chosen
    without = {name: usage for name, usage in groups.items() if name != chosen}
    if without:
        other = next_group(without, strategy, shares, NOW, DAY_S)
        assert next_group({name: groups[name] for name in (chosen, other)}, strategy, shares, NOW, DAY_S) == chosen


def test_who_had_least_for_its_weight() -> None:
    groups = {"red": (10.0, NOW), "green": (12.0, NOW)}
    assert next_group(groups, "fair_share", {}, NOW, DAY_S) == "red"
    assert next_group(groups, "fair_share", {"green": 2}, NOW, DAY_S) == "green"
    # Usage of long ago counts for little.
    assert next_group({**groups, "green": (12.0, plus(NOW, -DAY_S))}, "fair_share", {}, NOW, DAY_S) == "green"
    assert next_group({**groups, "blue": (0.0, "")}, "round_robin", {}, NOW, DAY_S) == "blue"


def simulate(
    shares: Mapping[str, float], strategy: str, present: list[frozenset[str]], step_s: float = 60.0
) -> list[str]:
    """Start one task of a group that is present every step."""
    known: dict[str, tuple[float, str]] = dict.fromkeys(shares, (0.0, ""))
    found = []
    for number, there in enumerate(present):
        now = to_iso(START_MS + round(number * step_s * 1000))
        group = next_group({name: known[name] for name in sorted(there)}, strategy, shares, now, DAY_S)
        known[group] = used(*known[group], now, DAY_S), now
        found.append(group)
    return found


def assert_shared(counts: Mapping[str, int], shares: Mapping[str, float]) -> None:
    total, whole = sum(counts[name] for name in shares), sum(shares.values())
    for name, weight in shares.items():
        assert counts[name] == pytest.approx(total * weight / whole, rel=0.05, abs=1.0)


@given(weighted)
@settings(max_examples=20)
def test_in_the_long_run_shares_are_as_the_weights(shares: dict[str, float]) -> None:
    assert_shared(Counter(simulate(shares, "fair_share", [frozenset(shares)] * 600)), shares)


@given(weights, weights, weights, st.lists(st.booleans(), min_size=8, max_size=8))
@settings(max_examples=20)
def test_who_comes_and_goes_does_not_disturb_the_shares_of_the_others(
    red: float, green: float, blue: float, there: list[bool]
) -> None:
    shares = {"red": red, "green": green, "blue": blue}
    all_three = frozenset(shares)
    present = [all_three if is_there else all_three - {"blue"} for is_there in there for _ in range(100)]
    counts = Counter(simulate(shares, "fair_share", present))
    assert_shared(counts, {"red": red, "green": green})
    # Who was away has no claim on more than its share of the whole.
    assert counts["blue"] <= 1.05 * len(present) * blue / (red + green + blue) + 1


@given(st.lists(st.sets(names, min_size=1), max_size=60))
def test_in_turn_nobody_is_served_twice_before_another_who_waits(present: list[set[str]]) -> None:
    served = simulate(
        dict.fromkeys(["red", "green", "blue", "grey"], 1.0), "round_robin", [frozenset(p) for p in present]
    )
    for later, group in enumerate(served):
        earlier = max((index for index in range(later) if served[index] == group), default=None)
        if earlier is not None:
            waiting_throughout = frozenset.intersection(*(frozenset(p) for p in present[earlier : later + 1]))
            assert waiting_throughout <= {group, *served[earlier:later]}


heads = st.dictionaries(names, st.integers(min_value=0, max_value=12))


@given(heads, states, strategies, st.dictionaries(names, weights))
def test_nothing_is_lost_or_comes_twice_and_each_group_keeps_its_order(
    lengths: dict[str, int], usage: dict[str, tuple[float, str]], strategy: str, shares: dict[str, float]
) -> None:
    runs = {name: [f"{name}-{number}" for number in range(length)] for name, length in lengths.items()}
    found = list(interleave({name: iter(run) for name, run in runs.items()}, usage, strategy, shares, NOW, DAY_S))
    for name, run in runs.items():
        assert [task for task in found if task.startswith(f"{name}-")] == run
    assert len(found) == sum(lengths.values())


@given(heads, states, strategies, st.dictionaries(names, weights))
def test_interleaving_is_choosing_again_and_again(
    lengths: dict[str, int], usage: dict[str, tuple[float, str]], strategy: str, shares: dict[str, float]
) -> None:
    runs = {name: [f"{name}-{number}" for number in range(length)] for name, length in lengths.items()}
    found = list(interleave({name: iter(run) for name, run in runs.items()}, usage, strategy, shares, NOW, DAY_S))
    known = {name: usage.get(name, (0.0, "")) for name in runs}
    for number, task in enumerate(found):
        waiting = {name: known[name] for name, run in runs.items() if run}
        group = next_group(waiting, strategy, shares, NOW, DAY_S)
        assert task == runs[group].pop(0)
        known[group] = used(*known[group], NOW, DAY_S), f"{NOW}#{number:03d}"


def test_round_robin_within_one_moment() -> None:
    runs = {name: iter([name] * 3) for name in ("red", "green", "blue")}
    assert list(interleave(runs, {}, "round_robin", {}, NOW, DAY_S)) == ["blue", "green", "red"] * 3


def test_no_more_is_taken_than_needed() -> None:
    taken: list[str] = []

    def endless(name: str) -> Iterator[str]:
        while True:
            taken.append(name)
            yield name

    found = interleave({"red": endless("red"), "green": endless("green")}, {}, "fair_share", {"red": 3}, NOW, DAY_S)
    assert len(list(islice(found, 400))) == len(taken) == 400
    assert taken.count("red") == 300
