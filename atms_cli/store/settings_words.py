"""What settings are made of: the types of single values, each with its check, and what all sections have in common."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct  # noqa: TID253

from atms_cli.domain import agent as agents
from atms_cli.domain import config as defaults
from atms_cli.domain import driver, figures, gate, hooks, lanes, matching, task
from atms_cli.domain.footprint import parse_size
from atms_cli.domain.limits import parse_rate, parse_window
from atms_cli.domain.moment import parse_duration
from atms_cli.domain.redaction import check_pattern
from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import JsonObject


class Duration(float):
    """Seconds above 0, written as a number or like 90s, 15m, 1h30m, 2d."""

    __slots__ = ()


class Rate(str):
    """Starts in an interval, like 10/1h."""

    __slots__ = ()


class Window(str):
    """A time of the week, local, like 22:00-06:00, mon-fri 09:00-17:00 or sat-sun."""

    __slots__ = ()


class Strategy(str):
    """How a queue orders its tasks."""

    __slots__ = ()


class Grouping(str):
    """What tasks are told apart by."""

    __slots__ = ()


class GateKind(str):
    """What a gate looks at."""

    __slots__ = ()


class Stage(str):
    """When a gate is run."""

    __slots__ = ()


class Approval(str):
    """What an agent may do without being asked."""

    __slots__ = ()


class Isolation(str):
    """Where an attempt works."""

    __slots__ = ()


class OnConflict(str):
    """Who gets a conflict."""

    __slots__ = ()


class Size(int):
    """Bytes, written as a number or like 500K, 64M, 2G."""

    __slots__ = ()


class Balance(str):
    """Which of several able agents takes a task."""

    __slots__ = ()


class AfterTimeout(str):
    """What comes after an attempt that took too long."""

    __slots__ = ()


class Category(str):
    """What a task is about."""

    __slots__ = ()


class Complexity(str):
    """How hard a task is."""

    __slots__ = ()


class Priority(str):
    """How urgent a task is."""

    __slots__ = ()


class Merge(str):
    """How the branch of a task comes back."""

    __slots__ = ()


class Better(str):
    """Which figures are better."""

    __slots__ = ()


class Grouped(str):
    """Whether control groups may be used."""

    __slots__ = ()


class Pattern(str):
    """A regular expression."""

    __slots__ = ()


class HookTree(str):
    """Where gates of a git hook find the files."""

    __slots__ = ()


class Stream(str):
    """What reads the output of an agent."""

    __slots__ = ()


_CHOICES = {
    Strategy: lanes.STRATEGIES, Grouping: lanes.GROUPINGS, GateKind: gate.KINDS, Stage: gate.STAGES, Approval: agents.APPROVALS,
    Stream: driver.STREAMS, Isolation: task.ISOLATIONS, Merge: defaults.MERGES, Balance: matching.BALANCES,
    Grouped: defaults.CGROUPS, AfterTimeout: defaults.AFTER_TIMEOUT,
    OnConflict: defaults.ON_CONFLICT, HookTree: hooks.TREES,
    Category: task.CATEGORIES, Complexity: task.COMPLEXITIES, Priority: task.PRIORITIES, Better: (figures.LOWER, figures.HIGHER),
}  # fmt: skip
_CHECKS: dict[type, Callable[[str], object]] = {Rate: parse_rate, Window: parse_window, Pattern: check_pattern}
_T = TypeVar("_T")
Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
StartRate = Annotated[Rate | None, Meta(description="Starts in an interval, like 10/1h.")]


class Section(Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of atms.yaml; a key that it does not have is refused."""


def refuse(check: Callable[[Any], _T], value: object) -> _T:
    """Return what a check makes of a value; what it finds wrong is a ValueError, which msgspec gives a place."""
    try:
        return check(value)
    except AtmsError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def parsed(kind: type, value: object) -> object:
    """Return a value of one of the classes above."""
    if kind is Duration:
        return Duration(refuse(_seconds, value))
    if kind is Size:
        return Size(refuse(_bytes, value))
    if kind in _CHOICES:
        refuse(_chosen(_CHOICES[kind]), value)
    elif kind in _CHECKS:
        refuse(_CHECKS[kind], str(value))
    return kind(value)


def builtin(value: object) -> object:
    """Return the plain value of one of the classes above."""
    return next((kind(value) for kind in (float, int) if isinstance(value, kind)), str(value))


def json_type(kind: type) -> JsonObject:
    """Return what the JSON Schema says of one of the classes above."""
    if kind is Duration:
        return {"type": ["number", "string"]}
    if kind is Size:
        return {"type": ["integer", "string"]}
    return {"enum": list(_CHOICES[kind])} if kind in _CHOICES else {"type": "string"}


def _bytes(value: object) -> int:
    size = parse_size(value) if isinstance(value, str) else value
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"`{value}` is not a size", "write it like 500K, 64M or 2G")
    return size


def _chosen(choices: Sequence[str]) -> Callable[[object], None]:
    def check(value: object) -> None:
        if value not in choices:
            raise UsageError(f"`{value}` is not possible", f"choose one of: {', '.join(choices)}")

    return check


def _seconds(value: object) -> float:
    seconds = parse_duration(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < inf:
        raise UsageError(f"`{value}` is no time to wait", "write it like 90s, 15m, 1h30m or 2d")
    return seconds
