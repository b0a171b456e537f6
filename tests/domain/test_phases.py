"""The phase of an attempt follows from the events that are there anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atms_cli.domain import decisions, phases
from atms_cli.domain import task as tasks

if TYPE_CHECKING:
    from atms_cli.domain.records import Event, Fact, JsonObject, Task

NOW = "2026-01-02T03:04:05.000Z"


class Past:
    """One task and its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.state: Task | None = None
        self.add(*decisions.create("a", {"title": "A"}, created_by="ann", draft=False))

    @property
    def task(self) -> Task:
        assert self.state is not None
        return self.state

    def add(self, *facts: Fact) -> None:
        for kind, key, data in facts:
            number = len(self.events)
            event: Event = {
                "v": 1, "id": f"e{number}", "at": NOW, "type": kind, "key": key, "actor": "ann", "data": data,
            }  # fmt: skip
            self.events.append(event)
            self.state = tasks.evolve(self.state, event)

    def start(self, run: str = "run1") -> None:
        self.add(*decisions.start(self.task, agent="clara", run=run, blocked_by=()))

    def phases(self) -> list[str | None]:
        return [phase for _, phase in phases.along(self.events)]


def ended(past: Past, how: str) -> list[Fact]:
    result: JsonObject = {"status": how}
    return decisions.retry(past.task, how, result=result)


@pytest.mark.parametrize(
    ("how", "phase"),
    [
        ("exited", "failed"),
        ("timed_out", "timed_out"),
        ("stalled", "stalled"),
        ("killed", "failed"),
        ("over_budget", "failed"),
    ],
)
def test_how_a_command_ended_is_the_last_phase(how: str, phase: str) -> None:
    for end in (ended, lambda past, how: decisions.fail(past.task, how, {"status": how})):
        past = Past()
        past.start()
        past.add(*end(past, how))
        assert past.phases() == [None, "launching", phase]


def test_the_whole_way() -> None:
    past = Past()
    past.start("run1")
    past.add(*decisions.undo_start(past.task, "the day is over", {"status": "put_back"}))
    past.start("run2")
    past.add(*decisions.validate(past.task), *decisions.merging(past.task))
    past.add(*decisions.complete(past.task, {"status": "exited"}, NOW))
    past.add(*decisions.spent("a", "run1", {"cost_usd": 1.0}))
    assert list(phases.along(past.events)) == [
        (None, None), ("run1", "launching"), ("run1", "released"), ("run2", "launching"), ("run2", "validating"), ("run2", "merging"),
        ("run2", "succeeded"), (None, None),
    ]  # fmt: skip


def test_what_a_person_does_with_a_task_is_no_phase() -> None:
    past = Past()
    past.add(*decisions.fail(past.task, "no"))
    past.add(*decisions.retry_from_scratch(past.task, "once more"))
    past.start()
    past.add(*decisions.cancel(past.task, None))
    past.add(*decisions.reopen(past.task, None))
    past.add(*decisions.cancel(past.task, None))
    assert past.phases() == [None, None, None, "launching", "cancelled", None, None]


def test_every_phase_is_a_known_one() -> None:
    assert {phases.of_end("failed", how) for how in ("exited", "timed_out", "stalled", "put_back")} <= {*phases.PHASES}
    assert [phases.of_end(status, None) for status in ("succeeded", "cancelled")] == ["succeeded", "cancelled"]
