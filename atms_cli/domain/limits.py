"""What keeps a ready task from starting although it is its turn: rates, quiet hours, and what tasks hold while they run."""

from __future__ import annotations

from atms_cli.domain.moment import parse_duration, plus
from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atms_cli.domain.records import Task

    #: So many starts in an interval of seconds.
    Rate = tuple[int, float]
    #: Days of the week from Monday as 0, and the minutes of the day from and to which; to may be before from.
    Window = tuple[frozenset[int], int, int]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60
#: How many tasks may hold what is not declared.
_USUAL_CAPACITY = 1


def parse_rate(text: str) -> Rate:
    """Return the number of starts and the seconds of `10/1h`."""
    count, _, interval = text.partition("/")
    try:
        rate = int(count), parse_duration(interval)
    except (ValueError, AtmsError):
        rate = (0, 0.0)
    if rate[0] < 1 or rate[1] <= 0:
        raise UsageError(f"`{text}` is not a rate", "write it like 10/1h: so many starts in so long")
    return rate


def rate_until(starts: Sequence[str], rate: Rate, now: str) -> str | None:
    """Return when the next start is allowed, or None if one is now. `starts` are the latest ones, newest first.

    A bucket of as many tokens as the rate has starts; each comes back an interval after it was taken.
    """
    count, interval_s = rate
    if len(starts) < count:
        return None
    back = plus(starts[count - 1], interval_s)
    return back if back > now else None


def parse_window(text: str) -> Window:
    """Return the days and minutes of `22:00-06:00`, `mon-fri 09:00-17:00` or `sat-sun`."""
    words = text.lower().split()
    has_days = bool(words) and words[0][:1].isalpha()
    hint = "write it like 22:00-06:00, mon-fri 09:00-17:00 or sat-sun"
    if len(words) not in (1, 1 + has_days):
        raise UsageError(f"`{text}` is not a time of the week", hint)
    try:
        days = _parse_days(words.pop(0)) if has_days else frozenset(range(len(_DAYS)))
        begin, end = _parse_hours(words.pop(0)) if words else (0, _DAY_MINUTES)
    except ValueError:
        raise UsageError(f"`{text}` is not a time of the week", hint) from None
    return days, begin, end


def _parse_days(text: str) -> frozenset[int]:
    first, _, last = text.partition("-")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return frozenset((begin + step) % len(_DAYS) for step in range((end - begin) % len(_DAYS) + 1))


def _parse_hours(text: str) -> tuple[int, int]:
    begin, end = (_parse_minute(part) for part in text.split("-"))
    if begin == end:
        raise ValueError(text)
    return begin, end


def _parse_minute(text: str) -> int:
    hours, minutes = text.split(":")
    if not (hours.isdecimal() and minutes.isdecimal()) or int(minutes) >= 60:  # noqa: PLR2004  minutes of an hour
        raise ValueError(text)
    minute = int(hours) * 60 + int(minutes)
    if minute > _DAY_MINUTES:
        raise ValueError(text)
    return minute


def window_ends_in(window: Window, weekday: int, minute: int) -> int | None:
    """Return the minutes until a window ends that a minute of the week is in, or None if it is in none.

    What goes on over midnight belongs to the day on which it began; windows that touch are one.
    """
    if not _is_in(window, weekday, minute):
        return None
    for ahead in range(1, len(_DAYS) * _DAY_MINUTES + 1):
        days, at = divmod(minute + ahead, _DAY_MINUTES)
        if not _is_in(window, (weekday + days) % len(_DAYS), at):
            return ahead
    return len(_DAYS) * _DAY_MINUTES


def _is_in(window: Window, weekday: int, minute: int) -> bool:
    days, begin, end = window
    if begin < end:
        return weekday in days and begin <= minute < end
    return (weekday in days and minute >= begin) or ((weekday - 1) % len(_DAYS) in days and minute < end)


def wanted_by(task: Task) -> list[str]:
    """Return the names of what a task holds while it runs; an exclusive key is written `=KEY`."""
    return [*dict.fromkeys(task["resources"]), *([f"={task['exclusive']}"] if task["exclusive"] else [])]


def held_by(tasks: Iterable[Task]) -> dict[str, int]:
    """Return how many of the tasks hold each thing."""
    held: dict[str, int] = {}
    for task in tasks:
        for name in wanted_by(task):
            held[name] = held.get(name, 0) + 1
    return held


def lacking(wanted: Sequence[str], capacity: Mapping[str, int], held: Mapping[str, int]) -> str | None:
    """Return the first thing wanted that is all held already, or None."""
    return next((name for name in wanted if held.get(name, 0) >= capacity.get(name, _USUAL_CAPACITY)), None)
