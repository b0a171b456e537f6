"""Writers that stand in line leave the index to whoever reads it next; nobody sees less for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atms_cli.domain import decisions
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.lock import Lock
from tests.fakes import CountingIds, FakeClock, contents

if TYPE_CHECKING:
    from pathlib import Path


class BusyLock(Lock):
    """A lock for which somebody else always had to be waited for."""

    def acquire(self) -> bool:
        is_taken = super().acquire()
        self.was_awaited = True
        return is_taken


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    (tmp_path / "journal").mkdir()
    store = in_directory(str(tmp_path), FakeClock(), CountingIds())
    add(store, "first")
    store.lock = BusyLock(str(tmp_path / "lock"))
    return store


def add(store: EventStore, *names: str) -> None:
    with store.writing("ann") as tx:
        for name in names:
            tx.record(decisions.create(name, {"title": name}, created_by="ann", draft=False))


def unread(store: EventStore) -> int:
    """Return how many events the index has not read."""
    (replica,) = store.journal.replicas()
    _, offset, _ = store.index.positions()[replica]
    return sum(1 for _ in store.journal.read(replica, 1, offset))


def test_what_is_left_to_others_is_read_by_the_next_reader(store: EventStore) -> None:
    add(store, "second")
    add(store, "third", "fourth")
    assert unread(store) == 3
    assert {row[0] for row in contents(store)["tasks"]} == {"first", "second", "third", "fourth"}
    assert unread(store) == 0
    assert store.doctor() == []


def test_who_reads_while_writing_sees_all_of_it(store: EventStore) -> None:
    add(store, "second")
    with store.writing("ann") as tx:
        tx.record(decisions.create("third", {"title": "Third"}, created_by="ann", draft=False))
        assert [tx.read.task(name)["title"] for name in ("first", "second", "third")] == ["first", "second", "Third"]
        tx.record(decisions.update(tx.read.task("second"), {"title": "Second"}))
        assert tx.read.task("second")["title"] == "Second"
    assert unread(store) == 0
    assert store.reading().task("third")["title"] == "Third"


def test_ids_only_grow(store: EventStore) -> None:
    for number in range(5):
        add(store, f"t{number}")
    ids = [event["id"] for event in store.reading().events_after("")]
    (replica,) = store.journal.replicas()
    in_file = [event["id"] for event, _, _ in store.journal.read(replica, 1, 0)]
    assert in_file == sorted(in_file)
    assert ids == in_file


def test_no_more_than_so_many_are_left(store: EventStore) -> None:
    most = 0
    for number in range(150):
        add(store, f"t{number:03d}")
        most = max(most, unread(store))
    assert 32 < most <= 64
    assert len(store.reading().events_after("")) == 151


def test_a_queue_that_is_being_drained_is_seen(store: EventStore) -> None:
    add(store, "second")
    with store.writing("ann") as tx:
        assert tx.draining() == {}
        assert tx.read.switches("draining") == {}
        tx.record([("queue.draining", "queue/default", {"reason": "move"})])
    with store.writing("ann") as tx:
        assert tx.draining() == {"queue/default": {"reason": "move"}}
    assert unread(store) == 0


@pytest.mark.parametrize("note", ["", "nonsense", "r000001 1 1 00000000 x 0", "r000001 9 0  x 0"])
def test_a_note_that_is_not_right_is_not_believed(store: EventStore, note: str) -> None:
    with store.lock:
        store.lock.note(note)
    add(store, "second")
    assert unread(store) == 0
    assert store.reading().task("second")["title"] == "second"


def test_lines_that_somebody_added_without_a_note_are_not_passed_over(store: EventStore) -> None:
    (replica,) = store.journal.replicas()
    noted = ""
    with store.lock:
        noted = store.lock.noted()
    add(store, "second")
    with store.lock:
        store.lock.note(noted)
    add(store, "third")
    assert unread(store) == 0
    assert [event["key"] for event, _, _ in store.journal.read(replica, 1, 0)] == ["first", "second", "third"]


def test_a_torn_end_is_cut_off_all_the_same(store: EventStore) -> None:
    add(store, "second")
    (replica,) = store.journal.replicas()
    with open(store.journal.path(replica, 1), "ab") as file:  # type: ignore[attr-defined]
        file.write(b'{"v":1,"id":"torn')
    add(store, "third")
    assert [event["key"] for event, _, _ in store.journal.read(replica, 1, 0)] == ["first", "second", "third"]
    assert store.doctor() == []
