"""Serving groups of tasks in turn, or each by its weight: usage that fades, as in Slurm's multifactor fair-share plugin."""

from __future__ import annotations

from atms_cli.domain.moment import seconds_between
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    #: How much a group was given, decayed, and when it was given something last.
    Usage = tuple[float, str]

_NEVER: Usage = (0.0, "")


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights by which nobody would ever be served."""
    for group, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise UsageError(
                f"{group} has the weight {weight}", "give each a weight above 0; leave out who should have 1"
            )


def decayed(value: float, seconds: float, half_life_s: float) -> float:
    """Return what is left of a value that halves every half-life."""
    return float(value * 0.5 ** (max(seconds, 0.0) / half_life_s))


def used(value: float, at: str, now: str, half_life_s: float) -> float:
    """Return a group's usage after one more start now; `value` is what it was after the start before, at `at`."""
    return decayed(value, seconds_between(at, now) if at else 0.0, half_life_s) + 1.0


def next_group(
    groups: Mapping[str, Usage], strategy: str, weights: Mapping[str, float], now: str, half_life_s: float
) -> str:
    """Return whose turn it is: who waits longest for one (round_robin), or has the least for its weight (fair_share)."""

    def due(group: str) -> tuple[object, ...]:
        value, at = groups[group]
        if strategy == "round_robin":
            return at, value, group
        share = decayed(value, seconds_between(at, now) if at else 0.0, half_life_s) / weights.get(group, 1.0)
        return share, at, group

    return min(groups, key=due)


def interleave(
    heads: Mapping[str, Iterator[str]], usage: Mapping[str, Usage], strategy: str, weights: Mapping[str, float], now: str,
    half_life_s: float,
) -> Iterator[str]:  # fmt: skip
    """Yield the ids of several groups as if each had been started when it was yielded."""
    state = {group: usage.get(group, _NEVER) for group in heads}
    # A time behind `now` for each turn taken here, so that the turns of round_robin have an order.
    turn = 0
    while state:
        group = next_group(state, strategy, weights, now, half_life_s)
        found = next(heads[group], None)
        if found is None:
            del state[group]
            continue
        yield found
        value, at = state[group]
        turn += 1
        after = used(value, at, now, half_life_s) if strategy != "round_robin" else value + 1.0
        state[group] = (after, now if strategy != "round_robin" else f"{now}+{turn:09d}")
