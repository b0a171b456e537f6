"""Figures of performance: found in what a benchmark reports, and compared with a baseline in spite of noise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import hypot, inf, sqrt

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from atms_cli.domain.records import JsonObject

LOWER, HIGHER = "lower", "higher"
#: Of normally spread samples: their standard deviation in median absolute deviations, and the standard error of a median
#: in those of a mean.
_DEVIATIONS, _MEDIAN = 1.4826, 1.2533
#: A difference of so many standard errors is no accident.
_SURE = 3.0
#: Fewer samples say nothing about how they spread.
_FEWEST = 3
#: However much samples differ, no more than so many times the tolerance passes.
_MOST_LENIENT = 2.0


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of some samples, and by what share of it another run could differ by accident."""

    median: float
    error: float
    samples: int

    def to_json(self) -> JsonObject:
        """Return what a baseline keeps."""
        return {"median": self.median, "error": round(self.error, 6), "samples": self.samples}


def of(samples: Sequence[float]) -> Figure:
    """Return the figure of samples, of which there is at least one."""
    middle = _median(samples)
    if len(samples) < _FEWEST or not middle:
        return Figure(middle, 0.0, len(samples))
    spread = _median([abs(each - middle) for each in samples]) / abs(middle)
    return Figure(middle, _DEVIATIONS * _MEDIAN * spread / sqrt(len(samples)), len(samples))


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def stored(record: Mapping[str, object]) -> Figure | None:
    """Return a figure of a baseline, or None if it cannot be one."""
    median, error, samples = (record.get(name) for name in ("median", "error", "samples"))
    if not _is_number(median) or not _is_number(error) or not isinstance(samples, int):
        return None
    return Figure(float(median), float(error), samples)  # type: ignore[arg-type]


def worsening(now: Figure, before: Figure, better: str) -> float:
    """Return by what share a figure is worse than it was; below 0 it is better."""
    if before.median == now.median:
        return 0.0
    if not before.median:
        return inf
    change = (now.median - before.median) / abs(before.median)
    return change if better == LOWER else -change


def allowance(now: Figure, before: Figure, tolerance: float) -> float:
    """Return by what share a figure may be worse: the tolerance, or more where the samples spread, within bounds."""
    noise = _SURE * hypot(now.error, before.error)
    return min(max(tolerance, noise), _MOST_LENIENT * tolerance)


def at_pointer(value: object, pointer: str) -> list[float]:
    """Return the number, or the numbers of the list, that a JSON pointer (RFC 6901) leads to; none if it leads nowhere."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and len(name) < _MOST_INDEX and int(name) < len(value):
            value = value[int(name)]
        else:
            return []
    found: list[Any] = value if isinstance(value, list) else [value]
    return [float(each) for each in found] if all(map(_is_number, found)) else []


#: Digits of an index into a list.
_MOST_INDEX = 10


def in_text(text: str, pattern: str) -> list[float]:
    """Return each number that a regular expression finds: in its group, if it has one."""
    found = (match[1] if match.re.groups else match[0] for match in re.finditer(pattern, text, re.MULTILINE))
    return [number for number in map(_number, found) if number is not None]


def _number(text: str | None) -> float | None:
    try:
        number = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return number if _is_number(number) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST < value < _MOST


#: Far beyond any figure; what JSON calls a number may be too large for arithmetic.
_MOST = 1e300


def check_source(pointer: str | None, pattern: str | None) -> None:
    """Refuse what could find no figure.

    Raises:
        UsageError: neither or both are given, or one is wrong.

    """
    if (pointer is None) == (pattern is None):
        raise UsageError(
            "a figure needs either `pointer` or `pattern`", "say where it stands: pattern: 'took ([0-9.]+) s'"
        )
    if pointer is not None and pointer and not pointer.startswith("/"):
        raise UsageError(f"`{pointer}` is no JSON pointer", "write it like /results/0/median")
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"`{pattern}` is no regular expression: {error}", "see docs.python.org/library/re") from error
