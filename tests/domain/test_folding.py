"""Folding: one event says what many did, and its place in the order is that of the last of them."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import decisions, folding, foreign, terse
from atms_cli.domain import task as tasks
from atms_cli.domain.moment import to_iso
from atms_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Event, Fact, Task

START_MS = 1_767_323_045_000
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def id_at(number: int) -> str:
    """Return the id of an event so many milliseconds after the start."""
    value = START_MS + number
    return "".join(_DIGITS[value >> 5 * place & 31] for place in range(8, -1, -1)) + "0000replica1"


class Past:
    """A task and its events, one a millisecond."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.task: Task | None = None
        self.numbers = itertools.count()

    def add(self, *facts: Fact, actor: str = "ann") -> None:
        for kind, key, data in facts:
            number = next(self.numbers)
            at = to_iso(START_MS + number)
            event: Event = {
                "v": 1,
                "id": id_at(number),
                "at": at,
                "type": kind,
                "key": key,
                "actor": actor,
                "data": data,
            }
            self.events.append(event)
            self.task = tasks.evolve(self.task, event)

    def known(self) -> Task:
        assert self.task is not None
        return self.task

    def fold(self) -> Event:
        fact = folding.fold(self.known(), self.events)
        assert fact is not None
        self.add(fact)
        return self.events[-1]


def finished(result: dict[str, object] | None = None) -> Past:
    past = Past()
    past.add(*decisions.create("t1", {"title": "Work", "description": "d" * 400}, created_by="ann", draft=False))
    past.add(*decisions.start(past.known(), agent="bob", run="run1", blocked_by=()), actor="atms run")
    past.add(*decisions.retry(past.known(), "r" * 400, result={"log": "x" * 900, "exit_code": 1}))
    past.add(*decisions.start(past.known(), agent="eve", run=None, blocked_by=()))
    past.add(*decisions.complete(past.known(), result or {"by": "eve"}, to_iso(START_MS + 99_000)))  # type: ignore[arg-type]
    return past


def test_a_fold_brings_forth_the_same_task() -> None:
    past = finished({"by": "eve", "validation": {"passed": True, "gates": [{"name": "g" * 400}]}})
    before = past.known()
    fold = past.fold()
    assert past.known() == before
    assert tasks.evolve(None, fold) == before
    # Nothing is said twice: the history alone tells it all.
    assert fold["data"]["task"] == {}


def test_long_data_is_cut_to_who_and_why() -> None:
    past = finished()
    past.fold()
    retried = next(each for each in folding.shown(past.events[-1:]) if each["type"] == "task.retried")
    assert retried["data"] == {"reason": "r" * 400, "not_before": None, "result": {"exit_code": 1}, "run": None}
    assert (retried["actor"], retried["at"], retried.get("folded")) == ("ann", to_iso(START_MS + 2), True)


def test_what_is_shown_is_the_same_with_and_without_the_events() -> None:
    past = finished()
    past.fold()
    with_events, without = folding.shown(past.events), folding.shown(past.events[-1:])
    assert [(each["id"], each["type"]) for each in with_events] == [(each["id"], each["type"]) for each in without]
    assert with_events[2]["data"]["result"] == {"log": "x" * 900, "exit_code": 1}
    assert without[-1]["data"] == {"events": 5}
    assert not any(each.get("superseded") for each in (*with_events, *without))


def late(number: float, kind: str = "task.updated", **data: object) -> Event:
    event_id = id_at(int(number))[:-8] + "replica2"
    return {"v": 1, "id": event_id, "at": to_iso(START_MS), "type": kind, "key": "t1", "actor": "zoe", "data": data}  # type: ignore[typeddict-item]


def outcome(history: Sequence[Event]) -> Task | None:
    *_, (_, _, task) = folding.replay(history)
    return task


def test_what_is_older_than_the_end_comes_too_late_and_what_is_younger_counts() -> None:
    past = finished()
    past.add(("task.updated", "t1", {"priority": "low"}))
    end = next(past.numbers)
    for _ in range(10):
        next(past.numbers)
    past.fold()
    older, younger = late(2, title="Older"), late(end + 3, title="Younger")
    for events in (past.events, past.events[-1:]):
        history = sorted([*events, older, younger], key=lambda event: event["id"])
        task = outcome(history)
        assert task is not None
        assert task["title"] == "Younger"
        marks = {each["data"].get("title"): each.get("superseded", False) for each in folding.shown(history)}
        assert (marks["Older"], marks["Younger"]) == (True, False)


def test_of_two_folds_of_the_same_events_the_later_holds_and_of_others_the_one_that_reaches_further() -> None:
    past = finished()
    fact = folding.fold(past.known(), past.events)
    assert fact is not None
    past.add(fact, fact)
    assert [position[:2] for position in map(folding.position, past.events[-2:])] == [(past.events[4]["id"], True)] * 2
    shorter = finished()
    first = shorter.fold()
    longer = finished()
    longer.add(*decisions.reopen(longer.known(), None), *decisions.cancel({**longer.known(), "status": "queued"}, "no"))
    second = {**longer.fold(), "id": id_at(5)}
    history: list[Event] = sorted([first, second], key=lambda event: event["id"])  # type: ignore[list-item]
    task = outcome(history)
    assert task is not None
    assert task["status"] == "cancelled"


def test_a_fold_carries_an_earlier_one_along() -> None:
    past = finished()
    past.fold()
    past.add(*decisions.reopen(past.known(), "again"))
    past.add(*decisions.cancel(past.known(), "never mind"))
    before, shown = past.known(), folding.shown(past.events)
    last = past.fold()
    assert tasks.evolve(None, last) == before
    assert terse.born(last) == past.events[0]["id"]
    alone = folding.shown([last])
    assert [each["id"] for each in alone[:-1]] == [each["id"] for each in shown]
    assert [each["type"] for each in alone].count("task.folded") == 2


def test_what_is_open_or_holds_what_is_not_known_is_not_folded() -> None:
    past = Past()
    past.add(*decisions.create("t1", {"title": "Work"}, created_by="ann", draft=False))
    assert folding.fold(past.known(), past.events) is None
    past = finished()
    past.add(("task.painted", "t1", {"colour": "red"}))
    assert folding.fold(past.known(), past.events) is None


def test_an_event_whose_time_is_not_that_of_its_id_keeps_it() -> None:
    past = finished()
    past.events[1] = {**past.events[1], "at": "2025-01-01T00:00:00.000Z"}
    fold = past.fold()
    assert [each["at"] for each in terse.entries(fold)] == [event["at"] for event in past.events[:-1]]


@given(seed=st.integers(0, 2**32))
def test_any_life_can_be_folded(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  not for secrets
    past = Past()
    past.add(*decisions.create("t1", {"title": "Work"}, created_by="ann", draft=rng.random() < 0.3))
    moves: list[tuple[str, dict[str, Any]]] = [
        ("task.updated", {"title": "Other" * rng.randrange(1, 90)}), ("task.updated", {"tags": ["a" * 30] * 20}), ("task.queued", {}),
        ("task.claimed", {"assigned_agent": "a" * 120, "lease": {"agent": "a", "token": "t", "expires_at": to_iso(START_MS + 9)}}),
        ("task.started", {"assigned_agent": "a", "attempts": 1, "run": None}), ("task.validating", {}), ("task.linked", {"on": "t2"}),
        ("task.failed", {"reason": "r" * 300, "result": {"log": "l" * 300, "exit_code": 3}, "run": None}), ("task.unlinked", {"on": "t2"}),
        ("task.retried", {"reason": "again", "attempts": 0}), ("task.completed", {"result": {"note": "n" * 400}, "run": None}),
        ("task.cancelled", {"reason": "no"}), ("task.reopened", {"attempts": 0, "result": None}), ("task.released", {}),
        ("task.restored", {"fields": {"metadata": {"properties": {"x": "y" * 400}}}, "undoes": ["i" * 21] * 30}),
        ("task.imported", {"task": {"title": "Again", "description": "d" * 400}, "history": []}),
    ]  # fmt: skip
    for _ in range(rng.randrange(1, 30)):
        kind, data = rng.choice(moves)
        past.add((kind, "t1", data))
        if past.known()["status"] in tasks.CLOSED and rng.random() < 0.3:
            before, marks = past.known(), {each["id"]: each.get("superseded") for each in folding.shown(past.events)}
            fold = past.fold()
            assert tasks.evolve(None, fold) == past.known() == before
            for history in (past.events, [fold]):
                shown = folding.shown(history)
                assert {each["id"]: each.get("superseded") for each in shown if each["id"] != fold["id"]} == marks
            foreign.check_event(fold)


# From elsewhere


@pytest.mark.parametrize(
    "changed",
    [
        {"history": []}, {"history": {}}, {"history": [["short", "task.created", "ann", {}]]}, {"task": []}, {"born": 7},
        {"history": [[id_at(0), "agent.removed", "ann", {}]]}, {"history": [[id_at(0), "task.created", "", {}]]},
        {"history": [[id_at(0), "task.created", "ann", {"title": "x"}, {"at": "noon"}]]}, {"history": [[id_at(0), "task.folded", "a", {}]]},
        {"history": [["~" * 21, "task.created", "ann", {}]]}, {"task": {"title": 7}}, {"task": {"status": "gone"}}, {"task": {"tags": "a"}},
        {"task": {"created_at": None}}, {"history": [[id_at(0), "task.created", "ann", []]]},
    ],
)  # fmt: skip
def test_a_fold_that_no_clone_of_ours_makes_is_refused(changed: dict[str, Any]) -> None:
    fold = finished().fold()
    foreign.check_event(fold)
    with pytest.raises((UsageError, ValueError, KeyError)):
        foreign.check_event({**fold, "data": {**fold["data"], **changed}})


# What is worth it

ONE, TWO = ("replica1", 1), ("replica1", 2)


def test_tasks_are_folded_where_it_makes_a_segment_smaller() -> None:
    replaced = {"big": {ONE: (900, 9)}, "small": {TWO: (50, 1)}}
    assert folding.choose({"big": 400, "small": 20}, replaced, {ONE: (1000, 0), TWO: (1000, 0)}) == ({"big"}, {ONE})


def test_a_fold_that_is_no_smaller_is_not_made_and_what_is_dead_goes_anyway() -> None:
    replaced = {"a": {ONE: (900, 1)}, "b": {ONE: (90, 3)}}
    assert folding.choose({"a": 900, "b": 40}, replaced, {ONE: (1000, 0), TWO: (1000, 500)}) == (set(), {TWO})
