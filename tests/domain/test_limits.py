"""Limits on starts: how they are written, and that no series of starts breaks one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atms_cli.domain.limits import (
    DAYS,
    admit,
    describe_rate,
    first_limit,
    held_by,
    lacking,
    parse_rate,
    parse_window,
    quiet_for,
    rate_until,
    scopes,
    wanted,
    window_ends_in,
)
from atms_cli.domain.moment import plus, seconds_between, to_iso
from atms_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.limits import Limits, LimitState, Rate, Window

NOW = "2026-01-05T23:04:05.678Z"  # a Monday
EVERY_DAY = tuple(range(7))
FREE: Limits = {"concurrency": {}, "rates": {}, "quiet": {}, "resources": {}}


def state(**changes: object) -> LimitState:
    plain = {
        "now": NOW,
        "weekday": 0,
        "minute": 1384,
        "stopped": {},
        "halted": {},
        "running": {},
        "starts": {},
        "held": {},
    }
    return {**plain, **changes}  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("text", "rate", "words"),
    [
        ("10/1h", (10, 3600), "10 in 1h"),
        ("10/h", (10, 3600), "10 in 1h"),
        (" 3 / 5s ", (3, 5), "3 in 5s"),
        ("1/90", (1, 90), "1 in 1m 30s"),
        ("2/1.5s", (2, 1.5), "2 in 1.5s"),
    ],
)
def test_rates(text: str, rate: Rate, words: str) -> None:
    assert parse_rate(text) == rate
    assert describe_rate(rate) == words


@pytest.mark.parametrize(
    "text", ["", "10", "10/", "/1h", "0/1h", "-1/1h", "1.5/1h", "10/0", "10/-1h", "10/x", "a/1h", "1/2/3", "²/1h"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_rate(text)
    assert refused.value.hint


@given(st.text(alphabet="0123456789/hms. -", max_size=8))
def test_any_text_is_a_rate_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        starts, interval_s = parse_rate(text)
        assert starts > 0
        assert interval_s > 0


@given(
    st.integers(min_value=1, max_value=4),
    st.floats(min_value=0.001, max_value=100),
    st.lists(st.floats(min_value=0, max_value=30), max_size=40),
)
def test_no_interval_holds_more_starts_than_the_rate(tokens: int, interval_s: float, steps: list[float]) -> None:
    starts: list[str] = []
    now = NOW
    for step in steps:
        now = plus(now, step)
        until = rate_until(starts, (tokens, interval_s), now)
        if until is not None:
            # Waiting is never in vain, and never one millisecond longer than needed.
            assert now < until <= plus(now, interval_s)
            assert rate_until(starts, (tokens, interval_s), plus(until, -0.001)) is not None
            now = until
        assert rate_until(starts, (tokens, interval_s), now) is None
        starts.insert(0, now)
    for newest, oldest in zip(starts, starts[tokens:], strict=False):
        assert seconds_between(oldest, newest) >= round(interval_s, 3)


def test_a_clock_that_was_wrong_does_not_stop_the_queue() -> None:
    assert rate_until([plus(NOW, 86_400 * 365)], (1, 60.0), NOW) is None
    assert rate_until([plus(NOW, 1)], (1, 60.0), NOW) == plus(NOW, 61)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("22:00-06:00", (EVERY_DAY, 1320, 360)),
        ("mon-fri 09:00-17:00", ((0, 1, 2, 3, 4), 540, 1020)),
        ("Sat-Sun", ((5, 6), 0, 1440)),
        ("fri-mon 9:30-24:00", ((0, 4, 5, 6), 570, 1440)),
        ("tue,thu 22:00-00:00", ((1, 3), 1320, 1440)),
        ("24:00-06:00", (EVERY_DAY, 0, 360)),
        ("mon-mon", ((0,), 0, 1440)),
    ],
)
def test_windows(text: str, window: Window) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize(
    "text",
    ["", "22:00", "22-06", "22:00-06:60", "25:00-06:00", "24:01-06:00", "9:0-10:00", "09:00-09:00", "montag", "mon-", "-fri", "mon,",
     "09:00-17:00 mon", "mon 09:00-17:00 x", "mon tue", "09:00-12:00-13:00", "²:00-06:00", "-1:00-02:00"],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_window(text)
    assert refused.value.hint


@given(st.text(alphabet="monfrisatu0123:-, ", max_size=14))
def test_any_text_is_a_window_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        days, begins, ends = parse_window(text)
        assert set(days) <= set(EVERY_DAY)
        assert 0 <= begins < 1440
        assert 0 < ends <= 1440


windows = st.tuples(
    st.sets(st.integers(min_value=0, max_value=6), min_size=1).map(lambda days: tuple(sorted(days))),
    st.integers(min_value=0, max_value=1439),
    st.integers(min_value=1, max_value=1440),
).filter(lambda window: window[1] != window[2])
minutes = st.integers(min_value=0, max_value=7 * 1440 - 1)


def is_open(window: Window, minute_of_week: int) -> bool:
    """The same by looking at every opening."""
    days, begins, ends = window
    length = ends - begins if ends > begins else ends + 1440 - begins
    return any((minute_of_week - day * 1440 - begins) % (7 * 1440) < length for day in days)


@given(windows, minutes)
def test_a_window_is_open_from_its_beginning_to_its_end(window: Window, at: int) -> None:
    left = window_ends_in(window, at // 1440, at % 1440)
    assert (left > 0) == is_open(window, at)
    assert all(is_open(window, at + passed) for passed in range(left))


@given(st.lists(windows, max_size=3), minutes)
@settings(max_examples=50)
def test_quiet_until_no_window_is_open(several: list[Window], at: int) -> None:
    left = quiet_for(several, at // 1440, at % 1440)
    for passed in range(7 * 1440 if left is None else left):
        assert any(is_open(window, at + passed) for window in several)
    if left is not None:
        assert not any(is_open(window, at + left) for window in several)


def test_over_midnight_belongs_to_the_day_it_began_on() -> None:
    window = parse_window("fri 22:00-06:00")
    friday, saturday = DAYS.index("fri"), DAYS.index("sat")
    assert window_ends_in(window, friday, 60) == 0
    assert window_ends_in(window, friday, 1320) > 0
    assert window_ends_in(window, saturday, 60) == 300
    assert window_ends_in(window, saturday, 1320) == 0


def test_the_resources_a_task_wants() -> None:
    assert wanted({}) == []
    assert wanted({"resources": ["gpu", "gpu"], "exclusive": "deploy"}) == ["gpu", "gpu", "=deploy"]
    assert wanted({"exclusive": "deploy", "resources": None}) == ["=deploy"]
    assert held_by([{"resources": ["gpu"]}, {"resources": ["gpu", "db"]}, {}]) == {"gpu": 2, "db": 1}


def test_what_is_not_declared_exists_once() -> None:
    assert lacking(["db"], {}, {}) is None
    assert lacking(["db"], {}, {"db": 1}) == "db"
    assert lacking(["gpu", "db"], {"gpu": 2}, {"gpu": 1}) is None
    assert lacking(["gpu", "gpu"], {"gpu": 2}, {"gpu": 1}) == "gpu"
    assert lacking(["off"], {"off": 0}, {}) == "off"


WORK: dict[str, object] = {"resources": ["gpu"], "exclusive": "deploy"}


@pytest.mark.parametrize(
    ("limits", "changes", "kind", "scope", "until"),
    [
        ({}, {}, None, None, None),
        ({}, {"stopped": {"queue": "paused"}}, "paused", "queue", None),
        ({}, {"stopped": {"lane deep": "draining", "agent anton": "paused"}}, "draining", "lane deep", None),
        ({}, {"stopped": {"lane other": "paused", "agent berta": "paused"}}, None, None, None),
        ({"quiet": {"queue": [parse_window("22:00-06:00")]}}, {}, "quiet", "queue", "2026-01-06T06:00:00.000Z"),
        ({"quiet": {"lane deep": [parse_window("mon-sun")]}}, {}, "quiet", "lane deep", None),
        ({"quiet": {"queue": [parse_window("sat-sun")]}}, {}, None, None, None),
        ({"concurrency": {"agent anton": 2}}, {"running": {"agent anton": 2}}, "concurrency", "agent anton", None),
        ({"concurrency": {"agent anton": 2}}, {"running": {"agent anton": 1, "queue": 9}}, None, None, None),
        ({"rates": {"queue": (1, 60.0)}}, {"starts": {"queue": [plus(NOW, -20)]}}, "rate", "queue", plus(NOW, 40)),
        ({"rates": {"queue": (1, 60.0)}}, {"starts": {"queue": [plus(NOW, -60)]}}, None, None, None),
        ({"resources": {"gpu": 2}}, {"held": {"gpu": 2}}, "resource", "resource gpu", None),
        ({"resources": {"gpu": 0}}, {}, "resource", "resource gpu", None),
        ({}, {"held": {"=deploy": 1}}, "exclusive", "resource =deploy", None),
        ({"concurrency": {"queue": 0}, "rates": {"queue": (1, 60.0)}}, {"starts": {"queue": [NOW]}}, "concurrency", "queue", None),
    ],
)  # fmt: skip
def test_the_first_limit(
    limits: dict[str, object], changes: dict[str, object], kind: str | None, scope: str | None, until: str | None
) -> None:
    found = first_limit(WORK, "deep", "anton", {**FREE, **limits}, state(**changes))  # type: ignore[typeddict-item]
    if kind is None:
        assert found is None
    else:
        assert found is not None
        assert (found["kind"], found["scope"], found["until"]) == (kind, scope, until)
        assert found["text"]


def test_the_words_say_what_and_how_much() -> None:
    def text(limits: dict[str, object], **changes: object) -> object:
        found = first_limit(WORK, "deep", None, {**FREE, **limits}, state(**changes))  # type: ignore[typeddict-item]
        assert found is not None
        return found["text"]

    assert text({"resources": {"gpu": 2}}, held={"gpu": 2}) == "gpu is in use (2 of 2)"
    assert text({"resources": {"gpu": 0}}) == "it needs 1 of gpu, and there is no more than 0"
    assert text({}, held={"=deploy": 1}) == "another task with the key deploy is at work"
    assert text({}, stopped={"lane deep": "draining"}) == "the lane deep is draining: it starts nothing new"
    assert text({"quiet": {"queue": [parse_window("22:00-24:00")]}}) == "the queue is quiet for 56m"
    assert (
        text({"rates": {"lane deep": (1, 3600.0)}}, starts={"lane deep": [NOW]})
        == "the lane deep has used up its rate of 1 in 1h"
    )


def test_scopes_from_the_widest_to_the_narrowest() -> None:
    assert scopes("deep", "anton") == ("queue", "lane deep", "agent anton")
    assert scopes(None, None) == ("queue",)


def test_admitting_leaves_the_state_before_as_it_was() -> None:
    before = state(running={"queue": 1}, starts={"queue": (plus(NOW, -9),)}, held={"gpu": 1})
    copy = {**before}
    after = admit(before, WORK, "deep", None)
    assert before == copy
    assert after["running"] == {"queue": 2, "lane deep": 1}
    assert after["starts"] == {"queue": (NOW, plus(NOW, -9)), "lane deep": (NOW,)}
    assert after["held"] == {"gpu": 2, "=deploy": 1}


names = st.sampled_from(["gpu", "db", "port"])
works = st.fixed_dictionaries(
    {"resources": st.lists(names, max_size=2), "exclusive": st.sampled_from([None, "deploy", "schema"])}
)
steps = st.lists(
    st.tuples(works, st.sampled_from([None, "deep", "wide"]), st.sampled_from([None, "anton"]), st.integers(0, 20_000), st.integers(0, 5)),
    max_size=40,
)  # fmt: skip
Work = dict[str, object]


def finish(now: LimitState, running: Sequence[tuple[Work, tuple[str, ...]]], at_ms: int) -> LimitState:
    counts: dict[str, int] = {}
    for _, within in running:
        for scope in within:
            counts[scope] = counts.get(scope, 0) + 1
    return {**now, "now": to_iso(at_ms), "running": counts, "held": held_by(work for work, _ in running)}


@given(steps)
def test_no_series_of_starts_breaks_a_limit(
    series: list[tuple[Work, str | None, str | None, int, int]],
) -> None:
    limits: Limits = {
        "concurrency": {"queue": 3, "lane deep": 1},
        "rates": {"queue": (3, 10.0), "lane wide": (1, 15.0)},
        "quiet": {},
        "resources": {"gpu": 2},
    }
    at_ms, current = 1_767_323_045_000, state()
    running: list[tuple[Work, tuple[str, ...]]] = []
    for work, lane, agent, passed_ms, ended in series:
        at_ms += passed_ms
        running = running[ended:]
        current = finish(current, running, at_ms)
        if first_limit(work, lane, agent, limits, current) is None:
            current = admit(current, work, lane, agent)
            running.append((work, scopes(lane, agent)))
        assert all(current["running"].get(scope, 0) <= most for scope, most in limits["concurrency"].items())
        assert all(count <= limits["resources"].get(name, 1) for name, count in held_by(w for w, _ in running).items())
    for scope, (tokens, interval_s) in limits["rates"].items():
        starts = current["starts"].get(scope, ())
        for newest, oldest in zip(starts, starts[tokens:], strict=False):
            assert seconds_between(oldest, newest) >= interval_s
