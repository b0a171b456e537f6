"""Points in time and spans of time as text: ISO 8601 in UTC with milliseconds, `90s`, `2h`, `in 3d`.

Written by hand because the hot path cannot afford `datetime` or `re`.
"""

from __future__ import annotations

from atms_cli.errors import UsageError

_DAY_MS = 86_400_000
_YEAR_10000_MS = 253_402_300_800_000
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
#: A century; times beyond the year 9999 would no longer sort as text.
_MOST_S = 36_525 * 86_400.0
_ISO_LENGTH = len("2026-11-22T17:26:00")
_FULL_LENGTH = len("2026-11-22T17:26:00.123Z")
_MARKS = ("-", "-", "T", ":", ":", ".", "Z")


def _days_from_civil(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms")."""
    year -= month <= 2  # noqa: PLR2004  the year starts in March there
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1  # noqa: PLR2004
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _civil_from_days(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a day since 1970-01-01 (same source)."""
    days += 719_468
    era = days // 146_097
    day_of_era = days - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)  # noqa: PLR2004
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1  # noqa: PLR2004


def to_iso(at_ms: int) -> str:
    """Return milliseconds since the epoch as `2026-11-22T17:26:00.123Z`."""
    days, rest = divmod(at_ms, _DAY_MS)
    year, month, day = _civil_from_days(days)
    seconds, milliseconds = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{milliseconds:03d}Z"


def to_ms(iso: str) -> int:
    """Return milliseconds since the epoch of a UTC ISO 8601 time; ValueError if it is none."""
    if len(iso) < _ISO_LENGTH or iso[10] not in "T ":
        raise ValueError(iso)
    days = _days_from_civil(int(iso[0:4]), int(iso[5:7]), int(iso[8:10]))
    seconds = int(iso[11:13]) * 3600 + int(iso[14:16]) * 60 + int(iso[17:19])
    fraction, offset = _split_offset(iso[_ISO_LENGTH:])
    milliseconds = int((fraction + "000")[:3]) if fraction else 0
    return days * _DAY_MS + (seconds - offset) * 1000 + milliseconds


def _split_offset(rest: str) -> tuple[str, int]:
    """Split `.123+02:00` into its fraction digits and the offset in seconds."""
    for sign, factor in (("+", 1), ("-", -1)):
        if sign in rest:
            fraction, _, offset = rest.partition(sign)
            digits = offset.replace(":", "").ljust(4, "0")
            return fraction.lstrip("."), factor * (int(digits[:2]) * 3600 + int(digits[2:4]) * 60)
    return rest.rstrip("Zz").lstrip("."), 0


def is_iso(text: str) -> bool:
    """Return whether a text is a time in the one form that `to_iso` gives."""
    if len(text) != _FULL_LENGTH or (text[4], text[7], text[10], text[13], text[16], text[19], text[23]) != _MARKS:
        return False
    date, month, day = text[:4] + text[5:7] + text[8:10], text[5:7], text[8:10]
    clock = text[11:13] + text[14:16] + text[17:19] + text[20:23]
    if not (date.isdecimal() and clock.isdecimal() and text.isascii()):
        return False
    in_range = "01" <= month <= "12" and text[11:13] <= "23" and text[14:16] <= "59" and text[17:19] <= "59"
    # Every month has 28 days; what is later is looked up.
    return in_range and ("01" <= day <= "28" or to_iso(to_ms(text)) == text)


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds from one time to another."""
    return (to_ms(later) - to_ms(earlier)) / 1000


def plus(iso: str, seconds: float) -> str:
    """Return the time that many seconds later."""
    return to_iso(to_ms(iso) + round(seconds * 1000))


def parse_duration(text: str) -> float:
    """Return the seconds of `90`, `90s`, `15m`, `1h30m`, `2d`."""
    try:
        return _parse_duration(text.strip().lower())
    except (ValueError, KeyError):
        raise UsageError(f"`{text}` is not a duration", "write it like 90s, 15m, 1h30m or 2d") from None


def _parse_duration(text: str) -> float:
    total, digits, unit = 0.0, "", ""
    if not text or text[0] not in "0123456789.":
        raise ValueError(text)
    for character in text + "0":
        if character not in "0123456789.":
            unit += character
        elif unit:
            total, digits, unit = total + float(digits) * _UNITS_S[unit], character, ""
        else:
            digits += character
    # The sentinel "0" closed the last unit; digits without a unit are seconds, but not behind others (`1h30` is unclear).
    bare = digits[:-1]
    if bare and text != bare:
        raise ValueError(text)
    total += float(bare or 0)
    if total > _MOST_S:
        raise ValueError(text)
    return total


def parse_when(text: str, now: str) -> str:
    """Return the time meant by `2026-12-01`, `2026-12-01T09:00`, `in 2h` or `2h`."""
    words = text.strip()
    try:
        if words[:4].isdigit() and words[4:5] == "-":
            return to_iso(_exact_ms(_complete(words)))
        return plus(now, _parse_duration(words.removeprefix("in ").strip().lower()))
    except (ValueError, KeyError, IndexError):
        hint = "write it like 2026-12-01, 2026-12-01T09:00, 2026-12-01T09:00+02:00 or 2h (from now)"
        raise UsageError(f"`{text}` is not a time", hint) from None


def _exact_ms(iso: str) -> int:
    """Return milliseconds since the epoch of a time that is in the calendar, unlike 30 February."""
    bare = iso[:_ISO_LENGTH]
    at_ms = to_ms(iso)
    if to_iso(to_ms(bare))[:_ISO_LENGTH] != bare or at_ms >= _YEAR_10000_MS:
        raise ValueError(iso)
    return at_ms


def _complete(words: str) -> str:
    """Fill a date, or a time without seconds, up to the full form."""
    date, separator, time = words.replace(" ", "T").partition("T")
    if not separator:
        return date + "T00:00:00"
    has_seconds = time[5:6] == ":"
    return f"{date}T{time[:8]}{time[8:]}" if has_seconds else f"{date}T{time[:5]}:00{time[5:]}"


def describe_duration(seconds: float) -> str:
    """Return a span for people: `0.4s`, `12s`, `3m 20s`, `5h 2m`, `4d 3h`."""
    if seconds < 10:  # noqa: PLR2004  below that a tenth matters
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, size, lower, lower_size in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // lower_size
            return f"{whole // size}{unit} {rest}{lower}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"
