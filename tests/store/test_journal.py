"""The journal: what is cut, what is refused, and what survives."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError, DamagedError, UnavailableError
from atms_cli.store import codec, journal
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.journal import Journal
from tests.fakes import CountingIds, FakeClock, add, contents, record

if TYPE_CHECKING:
    from pathlib import Path

    from atms_cli.domain.records import Event, Fact, JsonObject
    from atms_cli.store.segments import Segments

REPLICA = "replica1"


class NamedIds(CountingIds):
    """Ids whose replica names are given."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def replica(self) -> str:
        return self._name


def made(directory: Path) -> Journal:
    (directory / "journal").mkdir(parents=True, exist_ok=True)
    return Journal(str(directory), lambda: REPLICA)


def opened(directory: Path, name: str = REPLICA, clock: FakeClock | None = None) -> EventStore:
    (directory / "journal").mkdir(parents=True, exist_ok=True)
    return in_directory(str(directory), clock or FakeClock(), NamedIds(name))


def event(number: int, **data: object) -> Event:
    record: JsonObject = {"title": f"Task {number}", **data}  # type: ignore[dict-item]
    return {
        "v": 1, "id": f"{number:013d}{REPLICA}", "at": "2026-01-02T03:04:05.000Z", "type": "task.created", "key": f"t{number}",
        "actor": "ann", "data": record,
    }  # fmt: skip


def lines(*numbers: int) -> bytes:
    """Return the lines of one batch."""
    return b"".join(codec.encode(event(number), more=number != numbers[-1]) for number in numbers)


def keys(found: Segments, start: int = 0) -> list[str]:
    return [each["key"] for each, _, _ in found.read(REPLICA, 1, start)]


def segment(directory: Path, number: int = 1, replica: str = REPLICA) -> Path:
    return directory / "journal" / replica / f"{number:08d}.jsonl"


def test_a_tail_torn_at_any_byte_loses_no_more_than_the_last_batch(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.own_replica()
    kept, last = lines(1) + lines(2, 3), lines(4, 5, 6)
    path, torn = segment(tmp_path), 0
    for cut in range(len(last)):
        path.write_bytes(kept + last[:cut])
        assert keys(found) == ["t1", "t2", "t3"], f"cut at {cut}"
        assert found.cut_torn_tail(REPLICA, 1, len(kept)) == cut
        assert path.read_bytes() == kept
        torn += cut > 0
    path.write_bytes(kept + last)
    assert keys(found) == ["t1", "t2", "t3", "t4", "t5", "t6"]
    assert found.cut_torn_tail(REPLICA, 1, 0) == 0
    assert torn == len(last) - 1


def test_a_tail_that_a_dying_disk_never_filled_is_cut(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.own_replica()
    path, last = segment(tmp_path), lines(2)
    for filled in range(len(last)):
        path.write_bytes(lines(1) + last[:filled] + bytes(len(last) - filled))
        assert keys(found) == ["t1"]


def test_damage_in_the_middle_is_named_by_file_and_line(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.own_replica()
    whole = lines(1) + lines(2) + lines(3)
    path = segment(tmp_path)
    start, end = len(lines(1)), len(lines(1) + lines(2))
    for place in range(start, end - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(bytes(damaged))
        with pytest.raises(DamagedError) as refusal:
            keys(found)
        assert refusal.value.message.startswith(f"{path}:2: ")
        assert "atms doctor" in refusal.value.hint


def test_a_store_stops_at_damage_and_the_doctor_names_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(3):
        add(store, f"t{number}")
    path = segment(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"Task t1", b"Task tX"))
    (tmp_path / "index.sqlite").unlink()
    fresh = opened(tmp_path)
    with pytest.raises(DamagedError, match=":2: the checksum does not match"):
        fresh.reading()
    (problem,) = fresh.doctor()
    assert problem["check"] == "journal"
    assert f"{path}:2" in str(problem["detail"])
    assert path.read_bytes() == whole.replace(b"Task t1", b"Task tX"), "nothing is repaired by guessing"


def test_a_flipped_last_newline_is_damage_and_not_a_torn_tail(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.own_replica()
    segment(tmp_path).write_bytes((lines(1) + lines(2))[:-1] + b"\x0b")
    with pytest.raises(DamagedError):
        keys(found)


def test_a_newer_format_says_to_upgrade(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.own_replica()
    segment(tmp_path).write_bytes(lines(1) + codec.encode({**event(2), "v": 2}, more=False) + lines(3))
    with pytest.raises(DamagedError, match=":2: written in format 2") as refusal:
        keys(found)
    assert refusal.value.hint == "upgrade atms"


def test_a_batch_is_all_or_nothing_through_the_store(tmp_path: Path) -> None:
    store = opened(tmp_path)
    add(store, "t0")
    batch: list[Fact] = [("task.created", f"t{number}", {"title": "x"}) for number in range(1, 5)]
    record(store, *batch)
    path = segment(tmp_path)
    whole, first = path.read_bytes(), path.read_bytes().index(b"\n") + 1
    for cut in range(first, len(whole), 7):
        path.write_bytes(whole[:cut])
        seen = opened(tmp_path)
        assert seen.reading().counts() == {"ready": 1}
        add(seen, "later")
        assert set(path.read_bytes().splitlines()[0:1]) == {whole.splitlines()[0]}
        assert seen.reading().counts() == {"ready": 2}
        assert seen.doctor() == []


def test_a_copied_directory_gets_a_new_name(tmp_path: Path) -> None:
    store = opened(tmp_path / "one", "first000")
    add(store, "t1")
    assert store.journal.own_replica() == "first000"
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copied = opened(tmp_path / "two", "second00")
    add(copied, "t2")
    add(store, "t3")
    assert copied.journal.replicas() == ["first000", "second00"]
    assert store.journal.replicas() == ["first000"]
    assert opened(tmp_path / "two", "third000").journal.own_replica() == "second00", "and keeps it"
    (tmp_path / "one").rename(tmp_path / "moved")
    assert opened(tmp_path / "moved", "other000").journal.own_replica() == "first000", "a moved one stays who it is"


@pytest.mark.parametrize("content", ["", "garbage", "a b c", "ä ö", "first000 notanumber"])
def test_a_name_that_cannot_be_read_is_given_up(tmp_path: Path, content: str) -> None:
    found = made(tmp_path)
    (tmp_path / "replica").write_text(content, encoding="utf-8")
    assert found.own_replica() == REPLICA
    assert found.own_replica() == REPLICA


@pytest.mark.parametrize("written", [0, 1, 17, 10**9])
def test_a_full_disk_leaves_the_segment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    store = opened(tmp_path)
    add(store, "t1")
    path = segment(tmp_path)
    before, really = path.read_bytes(), os.write
    room = [written]

    def write(descriptor: int, data: bytes | memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken, room[0] = min(room[0], len(data) - 1 or 1), 0
        return really(descriptor, data[:taken])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(AtmsError, match="No space left") as refusal:
            add(store, "t2")
    assert "nothing was changed" in refusal.value.hint
    assert path.read_bytes() == before
    assert [task["id"] for task in map(store.reading().task, ["t1"])] == ["t1"]
    assert store.reading().counts() == {"ready": 1}
    add(store, "t3")
    assert store.reading().counts() == {"ready": 2}
    assert store.doctor() == []


def test_a_segment_that_is_full_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 600)
    store = opened(tmp_path)
    for number in range(12):
        add(store, f"t{number:02d}")
    numbers = store.journal.segments(REPLICA)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 2
    fresh = opened(tmp_path)
    (tmp_path / "index.sqlite").unlink()
    rebuilt = opened(tmp_path)
    assert contents(rebuilt) == contents(store)
    assert [each["key"] for each in fresh.reading().events_after("")] == [f"t{number:02d}" for number in range(12)]


def test_a_tail_torn_at_the_beginning_of_a_segment_is_cut_before_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 600)
    store = opened(tmp_path)
    while segment(tmp_path).exists() is False or segment(tmp_path).stat().st_size < 600:
        add(store, f"t{store.reading().counts().get('ready', 0)}")
    sealed = store.reading().counts()["ready"]
    segment(tmp_path, 2).write_bytes(lines(7)[:50])
    add(store, "next")
    assert store.reading().counts() == {"ready": sealed + 1}
    assert store.doctor() == []
    assert [each["key"] for each, _, _ in store.journal.read(REPLICA, 2, 0)] == ["next"]


def test_what_finder_leaves_behind_is_ignored(tmp_path: Path) -> None:
    store = opened(tmp_path)
    add(store, "t1")
    (tmp_path / "journal" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "journal" / REPLICA / "._00000001.jsonl").write_bytes(b"\0")
    assert opened(tmp_path).reading().counts() == {"ready": 1}
    assert opened(tmp_path).rebuild() == 1


def test_nothing_is_written_behind_what_the_lock_did_not_keep_out(tmp_path: Path) -> None:
    store = opened(tmp_path)
    add(store, "t1")
    transaction = store.writing("ann")
    transaction.__enter__().record([("task.created", "t2", {"title": "x"})])
    with segment(tmp_path).open("ab") as file:
        file.write(codec.encode({**event(9), "id": "9" * 21}, more=False))
    with pytest.raises(UnavailableError, match="somebody writes without the lock"):
        transaction.__exit__(None, None, None)
    assert keys(store.journal) == ["t1", "t9"]
    add(store, "t3")
    assert keys(store.journal) == ["t1", "t9", "t3"]
    assert store.doctor() == []


def test_a_journal_that_is_gone_is_named(tmp_path: Path) -> None:
    store = opened(tmp_path)
    add(store, "t1")
    shutil.rmtree(tmp_path / "journal")
    with pytest.raises(DamagedError, match="journal is missing"):
        store.reading()
