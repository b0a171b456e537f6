"""Cron in time zones: against a plain search by the minute, and through the nights when clocks change."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atms_cli.domain.moment import plus, to_iso, to_ms
from atms_cli.errors import UsageError
from atms_cli.system.calendar import WORDS, Calendar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BERLIN = Calendar("Europe/Berlin")
ZONES = {
    name: Calendar(name)
    for name in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
}
CRONS = (
    "* * * * *",
    "*/15 * * * *",
    "30 * * * *",
    "30 2 * * *",
    "0 9 * * mon-fri",
    "15 1,2 * * *",
    "0 0 1 * *",
    "0 */5 * * sun",
    "@daily",
)

zones = st.sampled_from(sorted(ZONES))
crons = st.sampled_from(CRONS)
moments = st.integers(min_value=1_767_323_045_000, max_value=1_798_859_045_000).map(to_iso)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 9 * * mon-fri", "2026-01-02T08:00:00.000Z", "2026-01-05T08:00:00.000Z"),  # from one Friday to Monday
        ("0 9 * * mon-fri", "2026-07-03T06:59:59.999Z", "2026-07-03T07:00:00.000Z"),  # summer
        ("*/15 * * * *", "2026-01-05T08:14:59.999Z", "2026-01-05T08:15:00.000Z"),
        ("0 0 29 2 *", "2026-01-05T08:00:00.000Z", "2028-02-28T23:00:00.000Z"),
        ("@monthly", "2026-01-05T08:00:00.000Z", "2026-01-31T23:00:00.000Z"),
        (" @Daily ", "2026-01-05T08:00:00.000Z", "2026-01-05T23:00:00.000Z"),
        # 29 March 2026, 2:00 becomes 3:00: what falls in between runs right after.
        ("30 2 * * *", "2026-03-28T12:00:00.000Z", "2026-03-29T01:00:00.000Z"),
        ("30 2 * * *", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"),
        ("*/30 * * * *", "2026-03-29T00:30:00.000Z", "2026-03-29T01:00:00.000Z"),
        # 25 October 2026, 3:00 becomes 2:00: once, the first time; by the half hour each of the four.
        ("30 2 * * *", "2026-10-24T12:00:00.000Z", "2026-10-25T00:30:00.000Z"),
        ("30 2 * * *", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"),
        ("30 2 * * *", "2026-10-25T01:15:00.000Z", "2026-10-26T01:30:00.000Z"),
        ("*/30 * * * *", "2026-10-25T00:30:00.000Z", "2026-10-25T01:00:00.000Z"),
    ],
)
def test_next(cron: str, after: str, expected: str) -> None:
    assert BERLIN.next(cron, after) == expected


@given(zones, crons, moments)
def test_next_is_later_and_nothing_is_between(zone: str, cron: str, after: str) -> None:
    calendar = ZONES[zone]
    following = calendar.next(cron, after)
    assert following > after
    seconds = (to_ms(following) - to_ms(after)) / 1000
    for part in (0.25, 0.5, 0.75, 0.999):
        middle = plus(after, seconds * part)
        if middle < following:
            assert calendar.next(cron, middle) == following


EVERY_DAY: dict[str, Callable[[datetime], bool]] = {
    "*/15 * * * *": lambda local: local.minute % 15 == 0,
    "30 * * * *": lambda local: local.minute == 30,
    "0 9 * * mon-fri": lambda local: (local.hour, local.minute) == (9, 0) and local.weekday() < 5,
}


@given(zones, st.sampled_from(sorted(EVERY_DAY)), moments)
@settings(max_examples=30)
def test_next_is_what_a_search_by_the_minute_finds(zone: str, cron: str, after: str) -> None:
    moment = datetime.fromtimestamp(to_ms(after) / 1000, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not EVERY_DAY[cron](moment.astimezone(ZoneInfo(zone))):
        moment += timedelta(minutes=1)
    assert ZONES[zone].next(cron, after) == to_iso(round(moment.timestamp()) * 1000)


def one_by_one(calendar: Calendar, cron: str, after: str) -> Iterator[str]:
    while True:
        after = calendar.next(cron, after)
        yield after


@given(zones, crons, moments, st.integers(min_value=0, max_value=5 * 86_400), st.integers(min_value=0, max_value=7))
@settings(max_examples=50)
def test_between_is_the_newest_of_all(zone: str, cron: str, after: str, seconds: int, most: int) -> None:
    calendar, until = ZONES[zone], plus(after, seconds)
    found = calendar.between(cron, after, until, most)
    assert len(found) <= most
    assert all(before < following for before, following in pairwise(found))
    assert all(after < at <= until for at in found)
    if found:
        assert calendar.next(cron, found[-1]) > until
        assert list(islice(one_by_one(calendar, cron, found[0]), len(found) - 1)) == found[1:]
        assert len(found) == most or calendar.next(cron, after) == found[0]
    elif most:
        assert calendar.next(cron, after) > until


def test_a_year_by_the_minute_is_not_gone_through() -> None:
    found = BERLIN.between("* * * * *", "2025-01-05T08:00:00.000Z", "2026-01-05T08:00:00.500Z", 100)
    assert (len(found), found[-1]) == (100, "2026-01-05T08:00:00.000Z")


@pytest.mark.parametrize(
    "cron",
    ["", "hourly", "@reboot", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *",
     "*/0 * * * *", "5-1 * * * *", "* * * * MON#1/2", "9" * 5000 + " * * * *", "0 0 30 2 *", "0 0 31 4,6 *"],
)  # fmt: skip
def test_what_is_no_expression_or_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(UsageError) as refused:
        BERLIN.check(cron)
    assert refused.value.hint


@given(st.text(alphabet="0123456789*/-,LW# montue", max_size=16))
def test_any_text_is_an_expression_or_refused(cron: str) -> None:
    try:
        BERLIN.check(cron)
    except UsageError:
        return
    assert BERLIN.next(cron, "2026-01-05T08:00:00.000Z")


def test_every_word_can_be_read() -> None:
    for word in WORDS:
        BERLIN.check(word)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="is not a time zone"):
        Calendar(zone)


def test_the_day_and_minute_on_the_wall() -> None:
    at = "2026-01-04T23:30:59.999Z"  # a Sunday
    assert Calendar("UTC").weekday_and_minute(at) == (6, 23 * 60 + 30)
    assert BERLIN.weekday_and_minute(at) == (0, 30)


@pytest.fixture(params=["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def machine_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_the_zone_of_the_machine_changes_its_clocks(machine_zone: str) -> None:
    mine, named = Calendar(), ZONES[machine_zone]
    for cron in CRONS[2:]:
        for after in (
            "2026-03-08T05:00:00.000Z",
            "2026-03-28T23:50:00.000Z",
            "2026-10-24T23:10:00.000Z",
            "2026-11-01T05:20:00.000Z",
        ):
            assert list(islice(one_by_one(mine, cron, after), 12)) == list(islice(one_by_one(named, cron, after), 12))
    for hour in range(0, 365 * 24, 5):
        at = plus("2026-01-01T00:10:00.000Z", hour * 3600)
        assert mine.weekday_and_minute(at) == named.weekday_and_minute(at)
