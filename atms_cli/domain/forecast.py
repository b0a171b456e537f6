"""When a task will start and be done, by playing the queue many times with durations from history.

What is played is plain list scheduling: a worker that is free takes the first task that waits for nothing. Limits,
priorities that change and tasks that are yet to come are left out, so a forecast is an estimate of what is there now.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NotRequired, Protocol, TypedDict

    class Chance(Protocol):
        """Where chance comes from: a `random.Random`."""

        def random(self) -> float:
            """Return a number from 0 up to 1."""
            ...

    class Planned(TypedDict):
        """What a forecast needs to know of a task; those at work come first in the plan."""

        id: str
        category: str
        complexity: str
        agent: str | None
        estimated_effort: int | None  # minutes
        needs: Sequence[str]  # what is not in the plan counts as done
        elapsed_s: NotRequired[float]  # for a task at work

    class Forecast(TypedDict):
        """Seconds from now by percentile, or None when nothing is known; and what that rests on."""

        start: dict[str, float] | None
        finish: dict[str, float] | None
        basis: str
        thin: bool


#: Category, complexity and agent of the tasks whose durations these are; None for any.
Group = tuple[str | None, str | None, str | None]
#: The durations that a task may take, and the words for where they are from.
Basis = tuple["Sequence[float]", str]
#: Indexes of the plan: how many of its tasks each task waits for, and who waits for it.
Waits = tuple[list[int], list[list[int]]]

RUNS = 200
PERCENTILES = (50, 80, 95)
#: A group with fewer samples says nothing of its own.
MIN_SAMPLES = 5
#: With fewer samples the 95th percentile is the longest of them.
THIN_SAMPLES = 20
#: What is further ahead would be guessed from guesses, and take seconds to play.
MOST_AHEAD = 1000
_NEVER = float("inf")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the values that at least that part of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-percent * len(ordered) // 100) - 1)]


def pools(history: Mapping[tuple[str, str, str], Sequence[float]]) -> dict[Group, list[float]]:
    """Return the samples of each group and of each wider one it is part of."""
    found: dict[Group, list[float]] = {}
    for (category, complexity, agent), samples in history.items():
        for group in _widening(category, complexity, agent):
            found.setdefault(group, []).extend(samples)
    return found


def _widening(category: str, complexity: str, agent: str | None) -> tuple[Group, ...]:
    exact: tuple[Group, ...] = ((category, complexity, agent),) if agent is not None else ()
    return (*exact, (category, complexity, None), (category, None, None), (None, None, None))


def basis_of(task: Planned, pooled: Mapping[Group, Sequence[float]]) -> Basis:
    """Return the narrowest history with enough samples, or else the estimate, or else nothing."""
    for group in _widening(task["category"], task["complexity"], task["agent"]):
        samples = pooled.get(group, ())
        if len(samples) >= MIN_SAMPLES:
            return samples, f"{len(samples)} attempts at {_describe(group)}"
    effort = task["estimated_effort"]
    if effort is not None:
        return (effort * 60.0,), "its estimate; there is no history like it"
    return (), "no history and no estimate"


def _describe(group: Group) -> str:
    category, complexity, agent = group
    kind = " ".join(word.replace("_", " ") for word in (complexity, category) if word) or "any"
    return f"{kind} tasks" + (f" by {agent}" if agent else "")


def schedule(
    tasks: Sequence[Planned], slots: int, durations: Mapping[str, float]
) -> list[tuple[str, int, float, float]]:
    """Return task, worker, start and finish in seconds from now, in order of start; what can never start is missing."""
    spans = [durations[task["id"]] for task in tasks]
    return [(tasks[index]["id"], slot, start, end) for index, slot, start, end in _play(_waits(tasks), slots, spans)]


def _waits(tasks: Sequence[Planned]) -> Waits:
    index = {task["id"]: place for place, task in enumerate(tasks)}
    missing, dependents = [0] * len(tasks), [list[int]() for _ in tasks]
    for place, task in enumerate(tasks):
        for need in dict.fromkeys(task["needs"]):
            if need in index:
                missing[place] += 1
                dependents[index[need]].append(place)
    return missing, dependents


def _play(waits: Waits, slots: int, spans: Sequence[float]) -> Iterator[tuple[int, int, float, float]]:
    from heapq import heappop, heappush

    missing, dependents = list(waits[0]), waits[1]
    # Ascending, so a heap already: the first of the plan and the lowest worker come out first.
    ready, idle = [place for place, count in enumerate(missing) if not count], list(range(slots))
    busy: list[tuple[float, int, int]] = []
    now = 0.0
    while True:
        while ready and idle:
            place, slot = heappop(ready), heappop(idle)
            end = now + spans[place]
            yield place, slot, now, end
            heappush(busy, (end, slot, place))
        if not busy:
            return
        now = busy[0][0]
        while busy and busy[0][0] <= now:
            _, slot, place = heappop(busy)
            heappush(idle, slot)
            for after in dependents[place]:
                missing[after] -= 1
                if not missing[after]:
                    heappush(ready, after)


def forecast(
    goal: str,
    tasks: Sequence[Planned],
    slots: int,
    history: Mapping[tuple[str, str, str], Sequence[float]],
    chance: Chance,
    *,
    runs: int = RUNS,
) -> Forecast:
    """Return when a task of the plan starts and finishes; the plan is in the order of the queue.

    A task ahead of which nothing is known is taken to last as long as the others do.
    """
    place = next((place for place, task in enumerate(tasks) if task["id"] == goal), None)
    if place is None:
        return _unknown("it is far off, or it waits for what will not end by itself")
    if place >= MOST_AHEAD:
        return _unknown(f"more than {MOST_AHEAD} tasks are ahead of it")
    plan, pooled = tasks[:MOST_AHEAD], pools(history)
    bases = [basis_of(task, pooled) for task in plan]
    others = _stand_in(bases)
    spans = [
        _remaining(samples or others, task.get("elapsed_s", 0.0))
        for task, (samples, _) in zip(plan, bases, strict=True)
    ]
    outcomes = _outcomes(place, _waits(plan), slots, spans, chance, runs)
    return _summary(outcomes, bases, place) if outcomes else _unknown("it waits for what this plan never finishes")


def _unknown(why: str) -> Forecast:
    return {"start": None, "finish": None, "basis": why, "thin": True}


def _stand_in(bases: Sequence[Basis]) -> Sequence[float]:
    """Return the middle duration of each task that has one, for those that have none."""
    medians = {id(samples): percentile(samples, 50) for samples, _ in bases if samples}
    return [medians[id(samples)] for samples, _ in bases if samples] or [_NEVER]


def _remaining(samples: Sequence[float], elapsed_s: float) -> Sequence[float]:
    """Return what may be left of a task at work: what is left of those samples that it has not outlived."""
    if not elapsed_s:
        return samples
    # What has taken longer than ever before may well take as long again.
    return [sample - elapsed_s for sample in samples if sample > elapsed_s] or [elapsed_s]


def _outcomes(
    goal: int, waits: Waits, slots: int, spans: Sequence[Sequence[float]], chance: Chance, runs: int
) -> list[tuple[float, float]]:
    """Return start and finish of the task in each run."""
    found = []
    for _ in range(runs):
        drawn = [samples[int(chance.random() * len(samples))] for samples in spans]
        for place, _, start, end in _play(waits, slots, drawn):
            if place == goal:
                found.append((start, end))
                break
    return found


def _summary(outcomes: Sequence[tuple[float, float]], bases: Sequence[Basis], place: int) -> Forecast:
    samples, words = bases[place]
    guessed = sum(not ahead for ahead, _ in bases[:place])
    if guessed:
        words += f"; {guessed} ahead of it {'has' if guessed == 1 else 'have'} no history and no estimate"
    return {
        "start": _percentiles([start for start, _ in outcomes]),
        "finish": _percentiles([end for _, end in outcomes]) if samples else None,
        "basis": words,
        "thin": len(samples) < THIN_SAMPLES or guessed > 0,
    }


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    found = {f"p{percent}": percentile(values, percent) for percent in PERCENTILES}
    return None if _NEVER in found.values() else found
