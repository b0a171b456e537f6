"""Times as text, against the standard library's idea of them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atms_cli.domain import moment
from atms_cli.errors import UsageError

NOW = "2026-01-02T03:04:05.678Z"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
locals_of_time = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29))  # noqa: DTZ001  the zone comes later
milliseconds = st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999)


def as_datetime(at_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at_ms)


@given(milliseconds)
@example(0)
@example(951_782_400_000)  # 2000-02-29
@example(-1)
def test_the_same_text_as_datetime(at_ms: int) -> None:
    text = as_datetime(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert moment.to_iso(at_ms) == text
    assert moment.to_ms(text) == at_ms


@given(milliseconds, milliseconds)
def test_text_sorts_as_time_does(one: int, other: int) -> None:
    assert (moment.to_iso(one) < moment.to_iso(other)) == (one < other)


@given(locals_of_time, st.integers(min_value=-23 * 60, max_value=23 * 60))
def test_any_offset_is_understood(naive: datetime, minutes: int) -> None:
    local = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (local - EPOCH) // timedelta(milliseconds=1)
    assert moment.to_ms(local.isoformat(timespec="milliseconds")) == expected
    assert moment.to_ms(local.isoformat(sep=" ", timespec="microseconds")) == expected


@given(st.integers(min_value=0, max_value=4_102_444_800_000), st.floats(min_value=-1e8, max_value=1e8))
def test_plus_and_between_are_inverse(at_ms: int, seconds: float) -> None:
    start = moment.to_iso(at_ms)
    assert moment.seconds_between(start, moment.plus(start, seconds)) == pytest.approx(seconds, abs=0.0006)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800), ("250ms", 0.25), (" 1.5H ", 5400),
     ("0", 0), ("1d2h3m4s", 93_784)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert moment.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "s",
        "h1",
        "1h30",
        "1x",
        "-5s",
        "1..5h",
        ".",
        "1 h",
        "five",
        "1e3",
        "inf",
        "99999999999w",
        "9" * 400,
        "nan",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        moment.parse_duration(text)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert moment.parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-12-01", "2026-12-01T00:00:00.000Z"),
        ("2026-12-01T09:00", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01 09:00", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01T09:00:07", "2026-12-01T09:00:07.000Z"),
        ("2026-12-01T09:00:07.5Z", "2026-12-01T09:00:07.500Z"),
        ("2026-12-01T09:00+02:00", "2026-12-01T07:00:00.000Z"),
        ("2026-12-01T09:00:07-0530", "2026-12-01T14:30:07.000Z"),
        ("2024-02-29", "2024-02-29T00:00:00.000Z"),
        ("2h", "2026-01-02T05:04:05.678Z"),
        ("in 2h", "2026-01-02T05:04:05.678Z"),
        ("90", "2026-01-02T03:05:35.678Z"),
    ],
)
def test_when(text: str, when: str) -> None:
    assert moment.parse_when(text, NOW) == when


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow",
        "99999999999w",
        "0000-00-00",
        "9999-12-31T23:59-01:00", "2026-13-01", "2026-02-30", "2026-00-10", "2026-01-01T25:00",
     "2026-01-01T10:61", "2026-1-1", "2026-01-01T9:00",
     "2026-01-01T10:00 o'clock", "2026-+1-01", "2026-01-01T10:00:99", "2023-02-29"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        moment.parse_when(text, NOW)


@given(st.text(max_size=25) | st.from_regex(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ][0-9:.+Z-]{0,12})?", fullmatch=True))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        when = moment.parse_when(text, NOW)
        assert moment.to_iso(moment.to_ms(when)) == when


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0.4s"), (12, "12s"), (59.7, "1m"), (60, "1m"), (200, "3m 20s"), (3599.6, "1h"), (18_120, "5h 2m"), (356_400, "4d 3h"),
     (86_400, "1d")],
)  # fmt: skip
def test_durations_in_words(seconds: float, words: str) -> None:
    assert moment.describe_duration(seconds) == words
