"""Compacting a journal: the state and the audit stay, clones agree, and nothing that is interrupted does harm."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atms_cli.domain import decisions
from atms_cli.errors import AtmsError, ConflictError
from atms_cli.services import history as service
from atms_cli.store import bulk, swapping
from atms_cli.store.index import DatabaseError
from tests.fakes import add, change, contents, record
from tests.store.clones import Clone, act, bring_together, check_whole

if TYPE_CHECKING:
    from atms_cli.domain.records import Fact, Task

SEGMENT_BYTES = 2_000
DAY_S = 86_400


@pytest.fixture
def ours(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "ours", "ourown00", SEGMENT_BYTES)


@pytest.fixture
def theirs(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "theirs", "theirs00", SEGMENT_BYTES)


def completing(task: Task, now: str) -> list[Fact]:
    return decisions.complete(task, {"by": "ann", "forced": "the gate is broken", "note": "n" * 400}, now)


def finish(clone: Clone, task_id: str) -> None:
    """Take a task through everything that may happen to it, to its end."""
    add(clone.store, task_id, description="d" * 200)
    go_through(clone, task_id)


def go_through(clone: Clone, task_id: str) -> None:
    for decide in (
        lambda task, _: decisions.start(task, agent="ann", run=f"run{task_id}", blocked_by=()),
        lambda task, _: decisions.fail(task, "it broke", {"exit_code": 3, "log": "x" * 500}),
        lambda task, _: decisions.retry_from_scratch(task, "once more"),
        lambda task, _: decisions.start(task, agent="bob", run=None, blocked_by=()),
        completing,
    ):
        clone.clock.advance(1)
        change(clone.store, task_id, decide)


def lived_in(clone: Clone, count: int = 6) -> None:
    """Fill some segments with tasks that are done and some that are not."""
    for number in range(count):
        finish(clone, f"{clone.name}{number}")
        add(clone.store, f"{clone.name}open{number}")
    record(
        clone.store, ("agent.registered", "robot", {"kind": "pull"}), ("queue.paused", "default", {"reason": "lunch"})
    )
    clone.clock.advance(40 * DAY_S)


def journal_bytes(clone: Clone) -> int:
    return sum(path.stat().st_size for path in (clone.root / "journal").glob("*/*"))


def told(clone: Clone, key: str) -> list[tuple[object, ...]]:
    """Return who did what to a task, as `atms log ID` shows it, but for the folding."""
    events = service.marked(clone.store.reading().history(key))
    return [
        (
            event["id"],
            event["at"],
            event["type"],
            event["actor"],
            event["data"].get("reason"),
            event.get("superseded", False),
        )
        for event in events
        if event["type"] != "task.folded"
    ]


# One clone


def test_the_state_stays_and_the_journal_shrinks(ours: Clone) -> None:
    lived_in(ours)
    before, log = ours.state(), {key: told(ours, key) for key in ("ourown000", "ourown00open0")}
    size = journal_bytes(ours)
    report = ours.compact(30 * DAY_S)
    after = ours.state()
    assert before.keys() == after.keys()
    for name in before.keys() - {"events", "tasks"}:
        assert after[name] == before[name], name
    # `last` is the fold now.
    assert [row[:16] + row[17:] for row in after["tasks"]] == [row[:16] + row[17:] for row in before["tasks"]]
    assert {key: told(ours, key) for key in log} == log
    saved = size - journal_bytes(ours)
    assert saved > 0
    # A line that ends a batch says nothing of more to come.
    assert 0 <= saved - int(str(report["bytes_saved"])) <= 12 * int(str(report["tasks"]))
    assert len(after["events"]) < len(before["events"])
    check_whole(ours)


def test_who_approved_forced_and_cancelled_and_why_stays_in_sight(ours: Clone) -> None:
    add(
        ours.store,
        "t1",
        metadata={"approved_by": "eve", "approved_at": "2026-01-01T00:00:00.000Z", "properties": {"x": "y" * 400}},
    )
    change(ours.store, "t1", lambda task, _: decisions.cancel(task, "not wanted " * 40))
    change(ours.store, "t1", lambda task, _: decisions.reopen(task, "after all"))
    change(ours.store, "t1", completing)
    lived_in(ours)
    ours.compact()
    events: Any = service.marked(ours.store.reading().history("t1"))
    assert [(event["type"], event["actor"]) for event in events[:-1]] == [
        ("task.created", "ann"), ("task.cancelled", "ann"), ("task.reopened", "ann"), ("task.completed", "ann"),
    ]  # fmt: skip
    assert all(event.get("folded") for event in events[:-1])
    created, cancelled, reopened, completed, folded = [event["data"] for event in events]  # JSON
    assert created["metadata"]["approved_by"] == "eve"
    assert cancelled["reason"] == "not wanted " * 40
    assert reopened["reason"] == "after all"
    assert completed["result"]["forced"] == "the gate is broken"
    assert folded == {"events": 4}


def test_a_second_time_changes_nothing(ours: Clone) -> None:
    lived_in(ours)
    assert ours.compact()["tasks"]
    before, size = contents(ours.store), journal_bytes(ours)
    report = ours.compact()
    assert (report["tasks"], report["segments"], report["bytes_added"]) == (0, [], 0)
    assert (contents(ours.store), journal_bytes(ours)) == (before, size)


def test_what_was_said_beforehand_is_what_is_done(ours: Clone) -> None:
    lived_in(ours, 12)
    before, files = contents(ours.store), {path: path.read_bytes() for path in ours.root.rglob("*.jsonl*")}
    said = ours.compact(only_show=True)
    assert said["dry_run"] is True
    assert contents(ours.store) == before
    assert {path: path.read_bytes() for path in ours.root.rglob("*.jsonl*")} == files
    done = ours.compact()
    # Folds seal segments too, so somewhat more may be done.
    assert 0 < int(str(said["tasks"])) <= int(str(done["tasks"]))
    first = [[each["segment"] for each in report["segments"]][:3] for report in (said, done)]
    assert first[0] == first[1]


def test_what_is_open_young_or_in_the_last_segment_is_left_alone(ours: Clone) -> None:
    finish(ours, "t1")
    assert ours.compact()["tasks"] == 0
    lived_in(ours, 3)
    assert ours.compact(50 * DAY_S)["tasks"] == 0
    assert ours.compact(30 * DAY_S)["tasks"]
    kinds = {row[2] for row in contents(ours.store)["events"] if str(row[0]).startswith("ourown00open")}
    assert kinds == {"task.created"}


def test_a_segment_of_which_little_would_go_stays(ours: Clone) -> None:
    ours.store.journal.segment_bytes = 100_000
    finish(ours, "t1")
    for number in range(200):
        add(ours.store, f"open{number}", description="o" * 1000)
    before = ours.state()
    report = ours.compact()
    assert (report["tasks"], report["segments"]) == (0, [])
    assert ours.state() == before


def test_segments_as_they_were_are_kept_packed_or_not(ours: Clone) -> None:
    lived_in(ours)
    originals = {path.name: path.read_bytes() for path in ours.path("ourown00").parent.glob("*.jsonl")}
    shutil.copytree(ours.root, ours.root.parent / "copy")
    report = ours.compact()
    for each in report["segments"]:
        kept = each["kept_in"]
        assert gzip.decompress(Path(kept).read_bytes()) == originals[each["segment"]]
    assert len(list((ours.root / "backups").iterdir())) == len(report["segments"])
    copy = Clone(ours.root.parent / "copy", "copyof00", SEGMENT_BYTES)
    copy.clock.at_ms = ours.clock.at_ms
    report = copy.compact(keep_originals=False)
    assert [each["kept_in"] for each in report["segments"]]
    assert list((copy.root / "backups").iterdir()) == []


def test_a_task_that_goes_on_is_folded_again_with_all_of_its_past(ours: Clone) -> None:
    lived_in(ours)
    ours.compact()
    change(ours.store, "ourown000", lambda task, _: decisions.reopen(task, "one thing is missing"))
    change(ours.store, "ourown000", lambda task, _: decisions.cancel(task, "never mind"))
    log = told(ours, "ourown000")
    for number in range(10, 16):
        finish(ours, f"ourown00{number}")
    ours.compact()
    assert told(ours, "ourown000") == log
    assert len(ours.store.reading().event_ids("ourown000")) == 1
    events = service.marked(ours.store.reading().history("ourown000"))
    assert [event["type"] for event in events].count("task.folded") == 2
    check_whole(ours)


def test_kept_lines_are_kept_byte_for_byte(ours: Clone) -> None:
    lived_in(ours)
    before = {path: set(path.read_bytes().splitlines()) for path in ours.path("ourown00").parent.glob("*.jsonl")}
    report = ours.compact()
    for each in report["segments"]:
        path = ours.path("ourown00", str(each["segment"]))
        header, *lines = path.read_bytes().splitlines()
        assert set(lines) < before[path]
        said = json.loads(header)["rewritten"]
        assert said["events"] - said["dropped"] == len(lines)
        assert said["bytes"] == each["bytes_before"]


def test_only_one_compacts_at_a_time(ours: Clone) -> None:
    lived_in(ours)
    with ours.workspace().compaction.alone(), pytest.raises(ConflictError, match="another `atms compact`"):
        ours.compact()
    assert ours.compact()["tasks"]


def test_a_full_disk_leaves_all_as_it_was(ours: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    lived_in(ours)
    state = ours.state()
    files = {path: path.read_bytes() for path in (ours.root / "journal").glob("*/*.jsonl")}
    sync = os.fsync

    def full(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.endswith((".compact", ".tmp")):
            raise OSError(28, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(AtmsError, match="No space left on device"):
            ours.compact()
    for path, content in files.items():
        assert path.read_bytes().startswith(content)
    assert [path.name for path in (ours.root / "journal").glob("*/.*")] == []
    assert ours.state()["attempts"] == state["attempts"]
    check_whole(ours)
    assert ours.compact()["segments"]
    check_whole(ours)


def test_an_index_that_cannot_be_written_leaves_the_segments_as_they_were(
    ours: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(ours)
    first = ours.path("ourown00").read_bytes()

    def full(*_: object) -> None:
        raise DatabaseError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(swapping, "move", full)
        with pytest.raises(AtmsError, match="database or disk is full"):
            ours.compact()
    assert ours.path("ourown00").read_bytes() == first
    assert ours.store.index.is_current()
    check_whole(ours)


# Building the index anew


def test_folds_and_late_events_are_the_same_built_at_once_and_in_several_goes(
    ours: Clone, theirs: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task_id in ("t1", "t2", "t3"):
        add(ours.store, task_id, description="d" * 200)
    theirs.take_from(ours)
    theirs.clock.advance(0.5)
    change(theirs.store, "t1", lambda task, _: decisions.start(task, agent="zoe", run="late", blocked_by=()))
    for task_id in ("t1", "t2"):
        go_through(ours, task_id)
    theirs.take_from(ours)
    theirs.clock.at_ms = ours.clock.at_ms + 3_000
    change(theirs.store, "t2", lambda task, _: decisions.reopen(task, "still broken"))
    lived_in(theirs)
    lived_in(ours)
    ours.compact()
    theirs.clock.at_ms = ours.clock.at_ms
    theirs.take_from(ours)
    ours.take_from(theirs)
    for clone in (ours, theirs):
        before = clone.state()
        for most in (1, 2, 5):
            monkeypatch.setattr(bulk, "_MOST_TASKS", most)
            monkeypatch.setattr(bulk, "_MOST_ROWS", most)
            clone.store.rebuild()
            assert clone.state() == before


# Several clones


@pytest.mark.parametrize("count", [2, 3, 5])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_clones_that_compact_when_they_like_agree(
    count: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)  # noqa: S311  not for secrets
    root = tmp_path_factory.mktemp("clones")
    clones = [Clone(root / str(number), f"clone{number:03d}", 1_500) for number in range(count)]
    for number in range(60):
        act(rng.choice(clones), rng, number)
        if rng.random() < 0.2:
            taker, giver = rng.sample(clones, 2)
            taker.take_from(giver)
        if rng.random() < 0.1:
            rng.choice(clones).compact(rng.choice((0, 5, 60)))
    fresh = Clone(root / "fresh", "fresh000", 1_500)
    everyone = [*clones, fresh]
    bring_together(everyone, rng)
    if rng.random() < 0.5:
        rng.choice(clones).compact()
        bring_together(everyone, rng)
    states = [without_events(clone) for clone in everyone]
    for name, rows in states[0].items():
        assert all(state[name] == rows for state in states), name
    assert bring_together(everyone, rng) == 0
    for clone in everyone:
        check_whole(clone)
        clone.close()


def without_events(clone: Clone) -> dict[str, list[tuple[object, ...]]]:
    """Return the state; which of the folded events are still there is nobody's concern."""
    state = clone.state()
    del state["events"]
    return state


def test_what_another_clone_did_before_the_end_of_a_task_is_superseded_and_what_it_did_later_counts(
    ours: Clone, theirs: Clone
) -> None:
    for task_id in ("t1", "t2"):
        add(ours.store, task_id, description="d" * 200)
    theirs.take_from(ours)
    theirs.clock.advance(0.5)
    change(theirs.store, "t1", lambda task, _: decisions.update(task, {"title": "Too late"}))
    for task_id in ("t1", "t2"):
        go_through(ours, task_id)
    theirs.take_from(ours)
    theirs.clock.at_ms = ours.clock.at_ms + 3_000
    change(theirs.store, "t2", lambda task, _: decisions.reopen(task, "still broken"))
    lived_in(ours)
    ours.compact()
    theirs.clock.at_ms = ours.clock.at_ms
    for clone, other in ((ours, theirs), (theirs, ours)):
        clone.take_from(other)
        assert clone.store.reading().task("t2")["status"] == "queued"
        events = service.marked(clone.store.reading().history("t1"))
        late = [event for event in events if event["data"].get("title") == "Too late"]
        assert [event.get("superseded", False) for event in late] == [True]
        assert clone.store.reading().task("t1")["title"] == "Task t1"
    assert without_events(ours) == without_events(theirs)
    check_whole(ours)
