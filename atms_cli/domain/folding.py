"""Folding: one event that stands for all earlier events of a closed task, so that those need not be kept.

`task.folded` holds the events in few bytes (domain/terse.py) and the fields that they do not tell. What it says replaces
whatever is known of the task up to the last event it stands for, and that event's place is its own place in the order:
so clones with and without the events that were folded agree, and what another clone did later on still counts.
"""

from __future__ import annotations

from atms_cli.domain import task as tasks
from atms_cli.domain.terse import FOLDED, born, entries, listed, shortened, through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from atms_cli.domain.records import Event, Fact, JsonObject, Task

    Segment = tuple[str, int]

#: A fold must take no more than this part of what it replaces, and a segment is rewritten if no more than this part stays.
WORTH = 0.9
#: About what an event costs in the index, beside its line.
EVENT_BYTES = 100


def position(event: Event) -> tuple[str, bool, str]:
    """Return an event's place in the order: a fold comes right behind the last event that it stands for."""
    is_fold = event["type"] == FOLDED
    return through(event) if is_fold else event["id"], is_fold, event["id"]


def has_fold(history: Iterable[Event]) -> bool:
    """Return whether some of the events were folded."""
    return any(event["type"] == FOLDED for event in history)


def in_order(history: Sequence[Event]) -> Sequence[Event]:
    """Return the events of one aggregate in the order in which they count."""
    return sorted(history, key=position) if has_fold(history) else history


def replay(history: Sequence[Event]) -> Iterator[tuple[Task | None, Event, Task | None]]:
    """Yield each event that counts, with the task before and after it; of a fold, the events it stands for and then itself."""
    ordered = in_order(history)
    last = max((number for number, event in enumerate(ordered) if event["type"] == FOLDED), default=None)
    task: Task | None = None
    if last is not None:
        for step in tasks.unfold(ordered[last]):
            yield step
            task = step[2]
    for event in ordered if last is None else ordered[last + 1 :]:
        before, task = task, tasks.evolve(task, event)
        yield before, event, task


def shown(history: Sequence[Event]) -> list[Event]:
    """Return all that is known of a task's past: what was folded is back in its place, and what changed nothing is marked."""
    folds = sorted((event for event in history if event["type"] == FOLDED), key=position)
    found: dict[str, Event] = {each["id"]: each for fold in folds for each in entries(fold)}
    # What is still in the journal has all of its data.
    found |= {event["id"]: _digest(event) for event in history}
    counted = {
        event["id"]
        for before, event, after in replay(history)
        if event.get("folded") or before is None or after is not before
    }
    return [_marked(found[event_id], superseded=event_id not in counted) for event_id in sorted(found)]


def _digest(event: Event) -> Event:
    return {**event, "data": {"events": len(listed(event))}} if event["type"] == FOLDED else event


def _marked(event: Event, *, superseded: bool) -> Event:
    can_be = event["type"] in tasks.EVENTS and event["type"] != FOLDED
    marked: Event = {**event, "superseded": True}
    if not superseded or not can_be:
        del marked["superseded"]
    return marked


def fold(task: Task, history: Sequence[Event]) -> Fact | None:
    """Return the event that stands for all of a closed task's others, or None if that cannot be said in one."""
    past = [event for event in history if event["type"].startswith("task.")]
    if task["status"] not in tasks.CLOSED or any(event["type"] not in tasks.EVENTS for event in past):
        return None
    told_by = [shortened(each, task) for each in shown(past)]
    data: JsonObject = {"task": {}, "history": told_by}
    birth = _birth(past)
    if birth != told_by[0][0]:
        data["born"] = birth
    told: Mapping[str, object] = tasks.evolve(None, _event(task["id"], data)) or {}
    data["task"] = {name: value for name, value in task.items() if name not in told or told[name] != value}
    return FOLDED, task["id"], data


def _event(key: str, data: JsonObject) -> Event:
    return {"v": 1, "id": "", "at": "", "type": FOLDED, "key": key, "actor": "", "data": data}


def _birth(history: Sequence[Event]) -> str:
    folds = [event for event in history if event["type"] == FOLDED]
    if folds:
        return born(max(folds, key=position))
    return next(event["id"] for _, event, after in replay(history) if after is not None)


def choose(
    folds: Mapping[str, int], replaced: Mapping[str, Mapping[Segment, tuple[int, int]]], segments: Mapping[Segment, tuple[int, int]]
) -> tuple[set[str], set[Segment]]:  # fmt: skip
    """Return the tasks worth folding and the segments worth rewriting then.

    `folds` has the bytes of each task's fold, `replaced` the bytes and number of the events that it would replace in each
    segment, `segments` the bytes of each and those of them that no longer count already.
    """
    chosen = set(folds)
    while True:
        saved = {segment: dead for segment, (_, dead) in segments.items()}
        for task in chosen:
            for segment, (size, _) in replaced[task].items():
                saved[segment] += size
        rewritten = {each for each, (size, _) in segments.items() if is_worth(size - saved[each], size)}
        good = {task for task in chosen if _pays(folds[task], replaced[task], rewritten)}
        if good == chosen:
            return chosen, rewritten
        chosen = good


def is_worth(after: int, before: int) -> bool:
    """Return whether so many bytes are enough less than before."""
    return after <= WORTH * before


def _pays(size: int, replaced: Mapping[Segment, tuple[int, int]], rewritten: set[Segment]) -> bool:
    taken = [each for segment, each in replaced.items() if segment in rewritten]
    replaced_bytes = sum(replaced_size for replaced_size, _ in taken)
    in_index = EVENT_BYTES * sum(number for _, number in taken)
    return size < replaced_bytes and is_worth(size + EVENT_BYTES, replaced_bytes + in_index)
