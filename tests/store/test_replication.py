"""Journals of several clones, merged in any order: the same state everywhere, and nothing bad gets in."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atms_cli.domain import decisions, foreign
from atms_cli.domain import task as tasks
from atms_cli.domain.moment import plus
from atms_cli.errors import AtmsError, DamagedError
from atms_cli.store import codec, hlc
from tests.fakes import FakeClock, add, change, record
from tests.store.clones import FIRST, Clone, bring_together, check_whole, lease_of, mix

if TYPE_CHECKING:
    from pathlib import Path

    from atms_cli.domain.records import Event, Fact, Task

THEIRS = "theirs00"


@pytest.fixture
def ours(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "ours", "ourown00")


@pytest.fixture
def theirs(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "theirs", THEIRS)


@pytest.mark.parametrize("count", [2, 3, 10])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_clones_that_took_in_everything_in_any_order_agree(
    count: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)  # noqa: S311  not for secrets
    root = tmp_path_factory.mktemp("clones")
    clones = [Clone(root / str(number), f"clone{number:03d}") for number in range(count)]
    mix(clones, rng, 25 * min(count, 4))
    bring_together(clones, rng)
    states = [clone.state() for clone in clones]
    for name, rows in states[0].items():
        assert all(state[name] == rows for state in states), name
    assert bring_together(clones, rng) == 0
    assert [clone.state() for clone in clones] == states
    check_whole(rng.choice(clones))
    for clone in clones:
        clone.close()


# Who wins


def both_know(ours: Clone, theirs: Clone) -> None:
    theirs.take_from(ours)
    ours.take_from(theirs)


def completing(task: Task, now: str) -> list[Fact]:
    return decisions.complete(task, {"by": "ann"}, now)


def history(clone: Clone, key: str) -> list[tuple[str, bool]]:
    """Return the types of a task's events, each with whether it is superseded."""
    events = clone.store.reading().history(key)
    ignored = tasks.superseded(events)
    return [(event["type"].removeprefix("task."), event["id"] in ignored) for event in events]


def test_of_completing_and_cancelling_the_earlier_holds_and_the_later_stays_in_sight(
    ours: Clone, theirs: Clone
) -> None:
    add(ours.store, "t1")
    both_know(ours, theirs)
    theirs.clock.advance(10)
    change(theirs.store, "t1", lambda task, _: decisions.cancel(task, "not wanted"))
    ours.clock.advance(5)
    change(ours.store, "t1", completing)
    both_know(ours, theirs)
    assert ours.state() == theirs.state()
    assert ours.store.reading().task("t1")["status"] == "completed"
    assert (
        history(ours, "t1") == history(theirs, "t1") == [("created", False), ("completed", False), ("cancelled", True)]
    )


def test_different_fields_both_hold_and_the_same_field_is_the_later_ones(ours: Clone, theirs: Clone) -> None:
    add(ours.store, "t1")
    both_know(ours, theirs)
    ours.clock.advance(2)
    change(ours.store, "t1", lambda task, _: decisions.update(task, {"title": "Later", "priority": "high"}))
    theirs.clock.advance(1)
    change(
        theirs.store, "t1", lambda task, _: decisions.update(task, {"title": "Earlier", "description": "Only there"})
    )
    both_know(ours, theirs)
    task = theirs.store.reading().task("t1")
    assert (task["title"], task["priority"], task["description"]) == ("Later", "high", "Only there")
    assert ours.state() == theirs.state()


def test_the_first_claim_holds_and_nothing_that_the_second_one_does_takes_it_away(ours: Clone, theirs: Clone) -> None:
    add(ours.store, "t1")
    both_know(ours, theirs)

    def claim(clone: Clone, agent: str, seconds: float) -> Task:
        return change(
            clone.store, "t1", lambda task, now: decisions.claim(task, lease_of(agent, now, seconds, f"of {agent}"), (), now)  # type: ignore[arg-type]
        )  # fmt: skip

    first = claim(ours, "ann", 1000)["lease"]
    theirs.clock.advance(1)
    claim(theirs, "bob", 10)
    theirs.clock.advance(5)
    change(theirs.store, "t1", lambda task, now: decisions.renew(task, plus(now, 100), now))
    change(theirs.store, "t1", lambda task, _: decisions.start(task, agent="bob", run=None, blocked_by=()))
    theirs.clock.advance(200)
    change(theirs.store, "t1", decisions.expire)
    both_know(ours, theirs)
    task = ours.store.reading().task("t1")
    assert (task["status"], task["assigned_agent"], task["lease"], task["attempts"]) == ("assigned", "ann", first, 0)
    assert ours.state() == theirs.state()
    assert history(theirs, "t1") == [
        ("created", False), ("claimed", False), ("claimed", True), ("renewed", True), ("started", True), ("lease_expired", True),
    ]  # fmt: skip


def test_an_edit_that_arrives_before_the_creation_waits_for_it(ours: Clone, theirs: Clone, tmp_path: Path) -> None:
    third = Clone(tmp_path / "third", "third000")
    add(ours.store, "t1")
    add(ours.store, "t2", dependencies=["t1"])
    theirs.take_from(ours)
    theirs.clock.advance(1)
    change(theirs.store, "t1", completing)
    third.take_from(theirs)
    assert third.store.reading().counts() == {}
    add(third.store, "t3", dependencies=["t1"])
    assert [each["status"] for each in third.store.reading().blockers("t3")] == ["created"]
    third.take_from(ours)
    assert third.store.reading().counts() == {"completed": 1, "ready": 2}
    check_whole(third)


def test_of_two_births_the_earlier_places_the_task(ours: Clone, theirs: Clone) -> None:
    theirs.clock.advance(5)
    record(theirs.store, foreign.imported("t1", {"title": "Later"}))
    record(ours.store, foreign.imported("t1", {"title": "Earlier"}))
    both_know(ours, theirs)
    assert theirs.store.reading().task("t1")["title"] == "Earlier"
    assert ours.state() == theirs.state()
    check_whole(theirs)


# A sync that was interrupted


def test_whatever_a_killed_sync_left_behind_is_overwritten_by_the_next(ours: Clone, theirs: Clone) -> None:
    add(theirs.store, "t1")
    ours.take_from(theirs)
    known = ours.path(THEIRS).read_bytes()
    with theirs.store.writing("bob") as tx:
        for number in range(2, 5):
            tx.record(decisions.create(f"t{number}", {"title": "More"}, created_by="bob", draft=False))
    whole = theirs.path(THEIRS).read_bytes()
    for cut in range(len(known) + 1, len(whole), 7):
        for tail in (whole[len(known) : cut], b"\0" * (cut - len(known)), b'{"v":1,"'):
            ours.path(THEIRS).write_bytes(known + tail)
            assert ours.replication.known_size(THEIRS, FIRST) == len(known)
            assert ours.store.reading().counts() == {"ready": 1}
    assert [event["key"] for event in ours.take_from(theirs)] == ["t2", "t3", "t4"]
    assert ours.path(THEIRS).read_bytes() == whole
    check_whole(ours)


def test_a_full_disk_takes_nothing_in_and_says_so(ours: Clone, theirs: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    add(theirs.store, "t1")
    ours.replication.own()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        content = theirs.path(THEIRS).read_bytes()
        with pytest.raises(AtmsError, match=r"cannot write .*: No space left on device"):
            ours.replication.take_in(THEIRS, FIRST, content)
    assert ours.store.reading().counts() == {}
    assert len(ours.take_from(theirs)) == 1
    assert ours.store.reading().counts() == {"ready": 1}
    check_whole(ours)


# Segments


def test_segments_are_taken_in_one_after_another(ours: Clone, theirs: Clone) -> None:
    for clone in (ours, theirs):
        clone.store.journal.segment_bytes = 1000
    for number in range(20):
        add(theirs.store, f"t{number:02d}")
    names = list(theirs.replication.own()[1])
    assert len(names) > 2
    second = theirs.path(THEIRS, names[1]).read_bytes()
    with pytest.raises(DamagedError, match=r"00000002\.jsonl comes before the end of the segment before it"):
        ours.replication.take_in(THEIRS, names[1], second)
    ours.take_from(theirs)
    assert ours.state() == theirs.state()
    assert ours.take_from(theirs) == []
    first = theirs.path(THEIRS, names[0]).read_bytes()
    with pytest.raises(DamagedError, match=r"00000001\.jsonl grew after it was closed"):
        ours.replication.take_in(THEIRS, names[0], first + first)
    assert ours.replication.take_in(THEIRS, names[0], first[: first.index(b"\n") + 1]) == []
    for number in range(20, 28):
        add(theirs.store, f"t{number:02d}")
    ours.take_from(theirs)
    assert ours.state() == theirs.state()
    check_whole(ours)


# What is refused


def event(number: int = 1, **changed: object) -> Event:
    made: dict[str, object] = {
        "v": 1, "id": hlc.following("", FakeClock().at_ms + number, THEIRS), "at": FakeClock().now(), "type": "task.created",
        "key": f"t{number}", "actor": "bob", "data": {"title": "One"},
    }  # fmt: skip
    return {**made, **changed}  # type: ignore[typeddict-item]


def lines(*events: Event, more: bool = False) -> bytes:
    return b"".join(codec.encode(each, more=more) for each in events)


def other_id(number: int, replica: str) -> str:
    return hlc.following("", FakeClock().at_ms + number, replica)


REFUSED: dict[str, tuple[bytes, str]] = {
    "another clone's id": (lines(event(2, id=other_id(2, "ourown00"))), "belongs to another clone than theirs00"),
    "a third clone's id": (lines(event(2, id=other_id(2, "third000"))), "belongs to another clone than theirs00"),
    "an older id": (lines(event(-5)), "is out of order"),
    "the same id again": (lines(event(2), event(2)), "is out of order"),
    "the far future": (lines(event(2 * 86_400_000)), "is more than a day in the future"),
    "a newer format": (lines(event(2, v=2)), "written in format 2, this atms knows 1"),
    "a flipped bit": (lines(event(2)).replace(b"One", b"Onf"), "the checksum does not match"),
    "half a line": (lines(event(2), event(3))[:-20], "the checksum does not match"),
    "half a batch": (lines(event(2), more=True), "ends in the middle of a batch"),
    "no JSON": (b"hello\n", "the checksum does not match"),
    "a list": (b"[1]\n", "the checksum does not match"),
    "no version": (lines({"id": other_id(2, THEIRS)}), "not an event"),  # type: ignore[typeddict-item]
    "a version in words": (lines(event(2, v="2")), "not an event"),
    "an id that is too short": (lines(event(2, id=THEIRS)), "not an event"),
    "an id in other letters": (lines(event(2, id="~" * 13 + THEIRS)), "not an event"),
    "an id that is a number": (lines(event(2, id=7)), "not an event"),
    "no key": (lines(event(2, key="")), "not an event"),
    "data that is a list": (lines(event(2, data=[])), "not an event"),
    "a time in words": (lines(event(2, at="yesterday")), "not an event"),
    "a title that is a number": (lines(event(2, data={"title": 5})), "a task needs a title"),
    "a priority from elsewhere": (lines(event(2, data={"title": "One", "priority": "p0"})), "`p0` is not a priority"),
    "a status from elsewhere": (lines(event(2, data={"title": "One", "status": "doing"})), "`doing` is not a status"),
    "a priority that is a list": (lines(event(2, data={"title": "One", "priority": []})), "is not a priority"),
    "tags that are text": (lines(event(2, data={"title": "One", "tags": "a"})), "cannot be the tags of a task"),
    "needs that are objects": (lines(event(2, data={"title": "One", "dependencies": [{}]})), "cannot be the dependencies"),
    "gates that are text": (lines(event(2, data={"title": "One", "validation_criteria": {"gates": "a"}})), "cannot be the"),
    "a link to nothing": (lines(event(2, type="task.linked", key="t1", data={})), "None cannot be the on of a task"),
    "a lease without end": (lines(event(2, type="task.claimed", key="t1", data={"lease": {}})), "cannot be the lease"),
    "a start without a count": (lines(event(2, type="task.started", key="t1", data={})), "does not make sense"),
    "an import of nothing": (lines(event(2, type="task.imported", data={})), "not an event"),
    "fields that are none": (lines(event(2, type="task.restored", key="t1", data={"fields": 1})), "are no fields"),
    "an agent that is odd": (lines(event(2, type="agent.registered", key="a", data={"capabilities": 1})), "is no capabilities"),
    "a number too great": (lines(event(2, type="feature.planned", key="f", data={"title": 10**400, "tasks": []})), ""),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_event_is_refused_with_all_that_came_with_it(ours: Clone, what: str) -> None:
    bad, reason = REFUSED[what]
    good = lines(event(1))
    ours.replication.take_in(THEIRS, FIRST, good)
    add(ours.store, "own")
    before = ours.state()
    if not reason:
        ours.replication.take_in(THEIRS, FIRST, good + bad)  # odd, and harmless
    else:
        with pytest.raises(DamagedError) as refused:
            ours.replication.take_in(THEIRS, FIRST, good + bad)
        assert reason in refused.value.message
        assert refused.value.message.startswith(f"{THEIRS}/{FIRST}")
        assert ours.state() == before
        assert ours.path(THEIRS).read_bytes() == good
    add(ours.store, "still works")
    check_whole(ours)


def test_good_events_before_a_bad_one_wait_with_it_and_come_when_it_is_mended(ours: Clone) -> None:
    good, broken = lines(event(1), event(2)), lines(event(3)).replace(b"One", b"Two")
    with pytest.raises(DamagedError, match="new line 3: the checksum does not match"):
        ours.replication.take_in(THEIRS, FIRST, good + broken)
    assert not ours.path(THEIRS).exists()
    assert len(ours.replication.take_in(THEIRS, FIRST, good + lines(event(3)))) == 3


def test_a_history_that_was_rewritten_is_refused_and_ours_stays(ours: Clone) -> None:
    ours.replication.take_in(THEIRS, FIRST, lines(event(1), event(2)))
    before = ours.state()
    for rewritten in (lines(event(2), event(3), event(4)), lines(event(2)), lines(event(1, actor="eve"))):
        with pytest.raises(DamagedError, match="was rewritten since it was last seen"):
            ours.replication.take_in(THEIRS, FIRST, rewritten)
    # A sync that was overtaken by another one of the same clone comes with less.
    assert ours.replication.take_in(THEIRS, FIRST, lines(event(1))) == []
    assert ours.state() == before


def test_our_own_id_is_not_taken_from_anybody(ours: Clone) -> None:
    add(ours.store, "own")
    before = ours.path("ourown00").read_bytes()
    with pytest.raises(DamagedError, match="ourown00 is the id of this very workspace"):
        ours.replication.take_in("ourown00", FIRST, before + lines(event(2, id=other_id(99, "ourown00"))))
    assert ours.path("ourown00").read_bytes() == before


def test_a_damaged_line_of_ours_is_not_given_to_others(ours: Clone, theirs: Clone) -> None:
    add(ours.store, "one")
    theirs.take_from(ours)
    before = theirs.state()
    add(ours.store, "two")
    segment = ours.path(ours.name)
    good = segment.read_bytes()
    segment.write_bytes(good[:-5] + b"#" + good[-4:])
    with pytest.raises(DamagedError, match=r"0001\S*:\d+ is damaged, so nothing was given to others"):
        theirs.take_from(ours)
    assert theirs.state() == before
    segment.write_bytes(good)
    theirs.take_from(ours)
    assert theirs.state() == ours.state()


@pytest.mark.parametrize(
    ("replica", "name"),
    [
        ("..", FIRST), ("a/b/c/de", FIRST), ("short", FIRST), ("UPPERCAS", FIRST), ("........", FIRST), ("theirs0\n", FIRST),
        ("thëirs00", FIRST), (THEIRS, "../../../x.jsonl"), (THEIRS, "0000001.jsonl"), (THEIRS, "00000000.jsonl"), (THEIRS, "README.md"),
        (THEIRS, "0000000a.jsonl"), (THEIRS, "0000000١.jsonl"), (THEIRS, "00000001.jsonm"),
    ],
)  # fmt: skip
def test_names_that_no_clone_writes_are_refused(ours: Clone, replica: str, name: str) -> None:
    for asks in (
        lambda: ours.replication.take_in(replica, name, lines(event(1))),
        lambda: ours.replication.known_size(replica, name),
    ):
        with pytest.raises(DamagedError, match="is not a segment"):
            asks()
    assert ours.store.journal.replicas() == []


def test_events_of_types_that_are_not_known_yet_are_kept_and_change_nothing(ours: Clone, theirs: Clone) -> None:
    add(theirs.store, "t1")
    record(theirs.store, ("task.painted", "t1", {"colour": "red"}), ("moon.landed", "m1", {}))
    assert len(ours.take_from(theirs)) == 3
    assert history(ours, "t1") == [("created", False), ("painted", False)]
    check_whole(ours)


def test_a_clone_whose_clock_is_ahead_wins_no_more_than_a_day(ours: Clone, theirs: Clone) -> None:
    theirs.clock.advance(86_000)
    add(theirs.store, "t1")
    ours.take_from(theirs)
    # What is done here after that comes behind it, whatever the clock here says.
    change(ours.store, "t1", lambda task, _: decisions.update(task, {"title": "Ours"}))
    theirs.take_from(ours)
    assert theirs.store.reading().task("t1")["title"] == "Ours"
    assert ours.state() == theirs.state()
