"""What keeps a ready task from starting although it is its turn: pauses, quiet hours, counts, rates, resources.

A limit belongs to a scope: `queue` for everything, `lane NAME` or `agent NAME`. Resources belong to nobody.
"""

from __future__ import annotations

from atms_cli.domain.moment import describe_duration, parse_duration, plus
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypedDict

    from atms_cli.domain.records import JsonObject

    class Limits(TypedDict):
        """What is allowed: by scope, and for resources by name."""

        concurrency: Mapping[str, int]
        rates: Mapping[str, Rate]
        quiet: Mapping[str, Sequence[Window]]
        resources: Mapping[str, int]  # capacities; one that is not declared has 1

    class LimitState(TypedDict):
        """What is so at this moment: by scope, and for resources by name."""

        now: str
        weekday: int  # by the wall clock, 0 for Monday
        minute: int  # of that day
        stopped: Mapping[str, str]  # "paused" or "draining"
        halted: Mapping[str, JsonObject]  # agents that do not get through, with the reason and the end if known
        running: Mapping[str, int]
        starts: Mapping[str, Sequence[str]]  # newest first, as many as the rate counts
        held: Mapping[str, int]


#: So many starts in so many seconds.
Rate = tuple[int, float]
#: Days on which it begins (0 for Monday), first minute, and the minute after the last, which may be on the next day.
Window = tuple[tuple[int, ...], int, int]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
#: What stands before the key of tasks that exclude each other, to make it the name of a resource.
EXCLUSIVE = "="


def parse_rate(text: str) -> Rate:
    """Return the rate meant by `10/1h`, `10/h` or `1/90s`."""
    starts, separator, interval = text.strip().partition("/")
    if not (separator and interval.strip() and starts.strip().isdecimal() and int(starts)):
        raise _no_rate(text)
    interval = interval.strip()
    interval_s = parse_duration(interval if interval[0] in "0123456789.-" else "1" + interval)
    if interval_s < 0.001:  # noqa: PLR2004  times have no finer steps
        raise _no_rate(text)
    return int(starts), interval_s


def _no_rate(text: str) -> UsageError:
    return UsageError(f"`{text}` is not a rate", "write it like 10/1h: at most 10 starts in any hour")


def describe_rate(rate: Rate) -> str:
    """Return a rate for people: `10 in 1h`."""
    starts, interval_s = rate
    return f"{starts} in {describe_duration(interval_s).replace('.0s', 's')}"


def rate_until(starts: Sequence[str], rate: Rate, now: str) -> str | None:
    """Return when the next start is allowed, or None if one is now; `starts` come newest first.

    Each start takes one of the tokens and brings it back an interval later, so no interval holds more starts than
    tokens, wherever it begins.
    """
    tokens, interval_s = rate
    if len(starts) < tokens:
        return None
    taken = starts[tokens - 1]
    back = plus(taken, interval_s)
    # A start further ahead than an interval was stamped by a clock that was wrong; it must not stop the queue for years.
    return back if now < back and taken <= plus(now, interval_s) else None


def parse_window(text: str) -> Window:
    """Return the window meant by `22:00-06:00`, `mon-fri 09:00-17:00` or `sat-sun`."""
    try:
        return _parse_window(text.lower().split())
    except (ValueError, IndexError):
        hint = "write it like 22:00-06:00, mon-fri 09:00-17:00 or sat-sun"
        raise UsageError(f"`{text}` is not a time of the week", hint) from None


def _parse_window(words: list[str]) -> Window:
    days = _parse_days(words.pop(0)) if words[0][0].isalpha() else tuple(range(7))
    begins, ends = _parse_times(words.pop(0)) if words else (0, _DAY_MINUTES)
    if words or begins == ends:
        raise ValueError(words)
    return days, begins, ends


def _parse_days(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.partition("-")
        begin = DAYS.index(first)
        length = (DAYS.index(last) - begin) % 7 if separator else 0
        found.update((begin + day) % 7 for day in range(length + 1))
    return tuple(sorted(found))


def _parse_times(text: str) -> tuple[int, int]:
    begins, ends = map(_parse_clock, text.split("-"))
    return begins % _DAY_MINUTES, ends or _DAY_MINUTES


def _parse_clock(text: str) -> int:
    hour, minute = text.split(":")
    if not (hour.isdecimal() and minute.isdecimal() and len(hour) <= 2 and len(minute) == 2):  # noqa: PLR2004  digits
        raise ValueError(text)
    at = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or at > _DAY_MINUTES:  # noqa: PLR2004  minutes in an hour
        raise ValueError(text)
    return at


def window_ends_in(window: Window, weekday: int, minute: int) -> int:
    """Return the minutes until a window closes, 0 when it is not open; one over midnight belongs to the day it began on."""
    days, begins, ends = window
    over_midnight = ends < begins
    if weekday in days and begins <= minute and (over_midnight or minute < ends):
        return ends + (_DAY_MINUTES if over_midnight else 0) - minute
    if over_midnight and (weekday - 1) % 7 in days and minute < ends:
        return ends - minute
    return 0


def quiet_for(windows: Sequence[Window], weekday: int, minute: int) -> int | None:
    """Return the minutes until none of the windows is open, 0 when none is; None when one always is."""
    waited = 0
    while waited <= _WEEK_MINUTES:
        days, then = divmod(minute + waited, _DAY_MINUTES)
        longest = max((window_ends_in(window, (weekday + days) % 7, then) for window in windows), default=0)
        if not longest:
            return waited
        waited += longest
    return None


def wanted(task: Mapping[str, object]) -> list[str]:
    """Return the resources that a task holds while it is worked on; a name given twice means two of it."""
    names = task.get("resources")
    key = task.get("exclusive")
    return [str(name) for name in names if name] + _excluding(key) if isinstance(names, list) else _excluding(key)


def _excluding(key: object) -> list[str]:
    return [f"{EXCLUSIVE}{key}"] if key else []


def held_by(active: Iterable[Mapping[str, object]]) -> dict[str, int]:
    """Return how much of each resource the active tasks hold."""
    held: dict[str, int] = {}
    for task in active:
        _add(held, wanted(task))
    return held


def _add(counts: dict[str, int], names: Sequence[str]) -> None:
    for name in names:
        counts[name] = counts.get(name, 0) + 1


def lacking(names: Sequence[str], capacity: Mapping[str, int], held: Mapping[str, int]) -> str | None:
    """Return the first of the wanted resources of which too little is free, or None."""
    for name in dict.fromkeys(names):
        if held.get(name, 0) + names.count(name) > capacity.get(name, 1):
            return name
    return None


def scopes(lane: str | None, agent: str | None) -> tuple[str, ...]:
    """Return the scopes whose limits a start in a lane by an agent must keep, the widest first."""
    return ("queue", *([f"lane {lane}"] if lane else []), *([f"agent {agent}"] if agent else []))


def first_limit(
    task: Mapping[str, object], lane: str | None, agent: str | None, limits: Limits, state: LimitState
) -> JsonObject | None:
    """Return the first limit that is in the way of a start, as kind, scope, words and end if known; or None."""
    within = scopes(lane, agent)
    for check in (_stopped, _halted, _quiet, _full, _too_fast):
        for scope in within:
            found = check(scope, limits, state)
            if found is not None:
                return found
    return _without_resource(wanted(task), limits["resources"], state["held"])


def _limit(kind: str, scope: str, text: str, until: str | None = None) -> JsonObject:
    return {"kind": kind, "scope": scope, "text": text, "until": until}


def _named(scope: str) -> str:
    return f"the {scope}"


def _stopped(scope: str, _limits: Limits, state: LimitState) -> JsonObject | None:
    kind = state["stopped"].get(scope)
    if kind is None:
        return None
    words = "is draining: it starts nothing new" if kind == "draining" else "is paused"
    return _limit(kind, scope, f"{_named(scope)} {words}")


def _halted(scope: str, _limits: Limits, state: LimitState) -> JsonObject | None:
    about = state["halted"].get(scope)
    if about is None:
        return None
    until, reason = about["until"], about["reason"]
    if about.get("kind") == "disabled":
        return _limit("disabled", scope, f"{_named(scope)} is disabled" + (f" ({reason})" if reason else ""))
    if about.get("kind") == "prompt":
        return _limit("prompt", scope, f"{_named(scope)} cannot be told anything ({reason})")
    if until is None:
        return _limit("halted", scope, f"{_named(scope)} is halted ({reason})")
    return (
        _limit("halted", scope, f"{_named(scope)} waits ({reason})", str(until)) if str(until) > state["now"] else None
    )


def _quiet(scope: str, limits: Limits, state: LimitState) -> JsonObject | None:
    left = quiet_for(limits["quiet"].get(scope, ()), state["weekday"], state["minute"])
    if left is None:
        return _limit("quiet", scope, f"{_named(scope)} is quiet at all hours")
    if not left:
        return None
    # Zones differ by whole minutes, so the seconds are those of the wall clock. When the clocks change meanwhile the
    # end is an hour off, which nobody acts on: it is only shown.
    until = plus(state["now"][:17] + "00Z", left * 60)
    return _limit("quiet", scope, f"{_named(scope)} is quiet for {describe_duration(left * 60)}", until)


def _full(scope: str, limits: Limits, state: LimitState) -> JsonObject | None:
    most = limits["concurrency"].get(scope)
    running = state["running"].get(scope, 0)
    if most is None or running < most:
        return None
    return _limit("concurrency", scope, f"{_named(scope)} has {running} of at most {most} running")


def _too_fast(scope: str, limits: Limits, state: LimitState) -> JsonObject | None:
    rate = limits["rates"].get(scope)
    until = rate_until(state["starts"].get(scope, ()), rate, state["now"]) if rate else None
    if rate is None or until is None:
        return None
    return _limit("rate", scope, f"{_named(scope)} has used up its rate of {describe_rate(rate)}", until)


def _without_resource(names: Sequence[str], capacity: Mapping[str, int], held: Mapping[str, int]) -> JsonObject | None:
    name = lacking(names, capacity, held)
    if name is None:
        return None
    if name.startswith(EXCLUSIVE):
        key = name.removeprefix(EXCLUSIVE)
        return _limit("exclusive", f"resource {name}", f"another task with the key {key} is at work")
    most = capacity.get(name, 1)
    needed = names.count(name)
    words = f"{name} is in use ({held.get(name, 0)} of {most})"
    if needed > most:
        words = f"it needs {needed} of {name}, and there is no more than {most}"
    return _limit("resource", f"resource {name}", words)


def admit(state: LimitState, task: Mapping[str, object], lane: str | None, agent: str | None) -> LimitState:
    """Return the state as it is once a task has started now."""
    within = scopes(lane, agent)
    running, held = dict(state["running"]), dict(state["held"])
    _add(running, within)
    _add(held, wanted(task))
    starts = {**state["starts"], **{scope: (state["now"], *state["starts"].get(scope, ())) for scope in within}}
    return {**state, "running": running, "held": held, "starts": starts}
