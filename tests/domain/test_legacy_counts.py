"""How often agents began, in the parts of the day that the original counts by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import legacysessions
from atms_cli.domain.moment import to_iso


@pytest.mark.parametrize(
    ("now", "name"),
    [
        ("2025-09-23T07:00:00.000Z", "07:00-11:59"), ("2025-09-23T06:59:59.999Z", "03:00-07:59"),
        ("2026-11-22T08:47:39.253Z", "05:00-09:59"), ("2026-11-22T23:00:00.000Z", "20:00-00:59"),
    ],
)  # fmt: skip
def test_the_parts_of_a_day_begin_an_hour_later_each_day(now: str, name: str) -> None:
    assert legacysessions.bucket(now) == name


@given(st.lists(st.tuples(st.sampled_from(["init", "reinit"]), st.integers(0, 2_000_000_000_000)), max_size=20))
def test_every_beginning_is_counted_once(beginnings: list[tuple[str, int]]) -> None:
    stats: Any = {}
    for kind, at_ms in sorted(beginnings, key=lambda each: each[1]):
        stats = legacysessions.counted(stats, kind, to_iso(at_ms))
    told: Any = legacysessions.told(stats, to_iso(max((at for _, at in beginnings), default=0)))
    kinds = [kind for kind, _ in beginnings]
    assert told["total_initializations"] == kinds.count("init")
    assert told["total_reinitializations"] == kinds.count("reinit")
    assert len(told["time_buckets"]) == 5
    days = {to_iso(at)[:10] for _, at in beginnings}
    assert len(stats.get("daily_history", [])) == min(max(len(days) - 1, 0), legacysessions.DAYS_KEPT)


@pytest.mark.parametrize(
    "odd", [{"time_buckets": []}, {"total_initializations": "many"}, {"daily_history": 1}, {"current_day": None}]
)
def test_odd_counts_are_counted_on(odd: Any) -> None:  # noqa: ANN401  JSON
    stats = legacysessions.counted(odd, "init", "2026-11-22T08:47:39.253Z")
    assert legacysessions.told(stats, "2026-11-23T08:47:39.253Z")["current_day"] == "2026-11-23"
    assert stats["total_initializations"] == 1
