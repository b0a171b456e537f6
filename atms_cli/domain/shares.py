"""Whose turn it is among groups of tasks: each in turn, or each by its share of what was started lately.

A group's usage is its number of starts, each worth half as much after every half-life. It is kept as a value and the
time of its last start, at which the value was so. Nothing is rewritten as time passes.
"""

from __future__ import annotations

from atms_cli.domain.moment import seconds_between
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STRATEGIES = ("round_robin", "fair_share")
_ISO_LENGTH = len("2026-11-22T17:26:00.123Z")
#: Usage as of the last start, and when that was; no text for a group that never started anything. What stands behind
#: the time orders starts of the same millisecond.
Usage = tuple[float, str]
_NEVER: Usage = (0.0, "")


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse a weight that gives no share."""
    for group, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise UsageError(f"the weight of `{group}` is {weight}", "a weight is a number above 0; 1 is usual")


def decayed(value: float, seconds: float, half_life_s: float) -> float:
    """Return what is left of a usage after that many seconds; a clock that went back takes nothing away."""
    return float(value * 0.5 ** (max(0.0, seconds) / half_life_s))


def used(value: float, at: str, now: str, half_life_s: float) -> float:
    """Return the usage once another start is counted now, from the value at the last one."""
    return _left((value, at), now, half_life_s) + 1.0


def _left(usage: Usage, now: str, half_life_s: float) -> float:
    value, last_start = usage
    return decayed(value, seconds_between(last_start[:_ISO_LENGTH], now), half_life_s) if last_start else value


def _key(
    group: str, usage: Usage, strategy: str, weights: Mapping[str, float], now: str, half_life_s: float
) -> tuple[float, str, str]:
    share = _left(usage, now, half_life_s) / weights.get(group, 1.0) if strategy == "fair_share" else 0.0
    return share, usage[1], group


def interleave(
    heads: Mapping[str, Iterator[str]],
    usage: Mapping[str, Usage],
    strategy: str,
    weights: Mapping[str, float],
    now: str,
    half_life_s: float,
) -> Iterator[str]:
    """Yield ids from the groups, one after another as if each were started now; nothing is taken ahead of its turn.

    First comes the group that waited longest, or the one that had least for its weight; of equals the one that waited
    longest, then the first by name. A fair share is in proportion to the weights as long as the half-life spans many
    starts of every group.
    """
    # The half of `heapq` that is written in C; the other would cost more than the question.
    from _heapq import heapify, heappop, heapreplace

    known = {group: usage.get(group, _NEVER) for group in heads}
    waiting = [_key(group, known[group], strategy, weights, now, half_life_s) for group in heads]
    heapify(waiting)
    started = 0
    while waiting:
        group = waiting[0][-1]
        found = next(heads[group], None)
        if found is None:
            heappop(waiting)
            continue
        started += 1
        known[group] = used(*known[group], now, half_life_s), f"{now}#{started:012d}"
        heapreplace(waiting, _key(group, known[group], strategy, weights, now, half_life_s))
        yield found
