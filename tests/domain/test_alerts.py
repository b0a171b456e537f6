"""Alerts: raised once, cleared once, and not by a measure that hovers about its threshold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain.alerts import CLEARS_AT, MEASURES, breaches, changes, check_thresholds
from atms_cli.errors import UsageError

names = st.sampled_from(sorted(MEASURES))
numbers = st.floats(min_value=0, max_value=1000)
values = st.dictionaries(names, st.none() | numbers)


@pytest.mark.parametrize(
    ("name", "value", "threshold", "text"),
    [
        ("size", 120, 100, "120 tasks in the queue, above 100"),
        ("size", 1, 0, "1 task in the queue, above 0"),
        ("oldest_wait_s", 7260, 3600, "the longest wait is 2h 1m, above 1h"),
        ("failure_rate", 0.625, 0.5, "62.5 % of the latest attempts failed, above 50 %"),
        ("stuck", 1, 0, "1 task stuck, above 0"),
        ("starving", 3, 2, "3 tasks starving, above 2"),
    ],
)
def test_the_words(name: str, value: float, threshold: float, text: str) -> None:
    assert breaches({name: value}, {name: threshold}) == {name: {"value": value, "threshold": threshold, "text": text}}


def test_what_is_at_its_threshold_or_unknown_is_no_breach() -> None:
    assert breaches({"size": 100}, {"size": 100}) == {}
    assert breaches({"size": None, "stuck": 5}, {"size": 0, "failure_rate": 0, "stuck": None}) == {}
    assert breaches({"size": None}, {"size": 10}, {"size"}) == {}


def test_an_alert_stays_until_well_below() -> None:
    thresholds = {"size": 100.0}
    raised: set[str] = set()
    told = []
    for size in (99, 101, 99, 101, 91, 90, 95, 100, 101, 0):
        found = breaches({"size": size}, thresholds, raised)
        new, gone = changes(raised, found)
        told.append((size, new, gone))
        raised = set(found)
    assert [(size, new, gone) for size, new, gone in told if new or gone] == [
        (101, ["size"], []),
        (90, [], ["size"]),
        (101, ["size"], []),
        (0, [], ["size"]),
    ]
    hovering = breaches({"size": 95}, thresholds, {"size"})
    assert hovering["size"]["text"] == "95 tasks in the queue, not yet well below 100"


@given(st.lists(values, max_size=20), values)
def test_raising_and_clearing_take_turns(
    series: list[dict[str, float | None]], thresholds: dict[str, float | None]
) -> None:
    raised: set[str] = set()
    for measures in series:
        found = breaches(measures, thresholds, raised)
        new, gone = changes(raised, found)
        assert not set(new) & raised
        assert set(gone) <= raised
        for name in new:
            value, threshold = measures[name], thresholds[name]
            assert value is not None
            assert threshold is not None
            assert value > threshold
        for name in gone:
            value, threshold = measures.get(name), thresholds.get(name)
            assert value is None or threshold is None or value <= threshold * CLEARS_AT
        raised = (raised | set(new)) - set(gone)
        assert raised == set(found)


@pytest.mark.parametrize("thresholds", [{"sise": 1.0}, {"size": -1.0}, {"size": float("nan")}])
def test_thresholds_that_mean_nothing_are_refused(thresholds: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        check_thresholds(thresholds)
    check_thresholds({"size": 0, "failure_rate": 0.5})
