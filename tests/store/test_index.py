"""The index can be deleted, torn, overwritten or left behind at any time; the journal brings it back."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atms_cli.domain import agent as agents
from atms_cli.domain import decisions
from atms_cli.errors import AtmsError
from atms_cli.store import bulk, sql, transaction
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.index import MEMORY, Index
from atms_cli.store.journal import Journal
from atms_cli.store.lock import Lock
from atms_cli.store.memory import in_memory
from tests.fakes import CountingIds, FakeClock, add, change, contents, order, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from atms_cli.domain.records import Fact, Task


class NamedIds(CountingIds):
    """Ids whose replica names are given."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def replica(self) -> str:
        return self._name


def opened(directory: Path, name: str = "replica1", clock: FakeClock | None = None) -> EventStore:
    (directory / "journal").mkdir(parents=True, exist_ok=True)
    return in_directory(str(directory), clock or FakeClock(), NamedIds(name))


def starting(task: Task, _now: str) -> list[Fact]:
    return decisions.start(task, agent="ann", run=None, blocked_by=())


def completing(task: Task, now: str) -> list[Fact]:
    return decisions.complete(task, {}, now)


def filled(directory: Path) -> EventStore:
    store = opened(directory)
    for number in range(30):
        add(
            store,
            f"t{number:02d}",
            dependencies=[f"t{number - 1:02d}"] if number % 3 else [],
            tags=["x"],
            description="long " * 50,
        )
    change(store, "t00", starting)
    change(store, "t00", completing)
    record(store, *agents.register(None, "anton", {"command": "work"}))
    return store


def close(store: EventStore) -> None:
    store.index.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.index.connection.close()


def test_a_deleted_index_comes_back(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = contents(store)
    close(store)
    (tmp_path / "index.sqlite").unlink()
    assert contents(opened(tmp_path)) == before


def test_an_index_cut_anywhere_comes_back(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = contents(store)
    close(store)
    whole = (tmp_path / "index.sqlite").read_bytes()
    for cut in [*range(0, 200, 33), *range(200, len(whole), len(whole) // 25)]:
        (tmp_path / "index.sqlite").write_bytes(whole[:cut])
        again = opened(tmp_path)
        again.rebuild()
        assert contents(again) == before, f"cut at {cut}"
        assert again.doctor() == []
        close(again)


@pytest.mark.parametrize("seed", range(8))
def test_garbage_is_replaced_or_seen_by_the_doctor_and_then_rebuilt(tmp_path: Path, seed: int) -> None:
    store = filled(tmp_path)
    before = contents(store)
    close(store)
    chance, path = random.Random(seed), tmp_path / "index.sqlite"  # noqa: S311  not for secrets
    garbled = bytearray(path.read_bytes())
    start = 0 if seed < 2 else chance.randrange(len(garbled))
    length = min(chance.choice((1, 100, 4096, 40_000)), len(garbled) - start)
    garbled[start : start + length] = chance.randbytes(length)
    path.write_bytes(bytes(garbled))
    again = opened(tmp_path)
    again.doctor()  # says something or nothing, but does not break
    again.rebuild()
    assert contents(again) == before
    assert again.doctor() == []


def test_something_else_altogether_is_replaced(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = contents(store)
    close(store)
    (tmp_path / "index.sqlite").write_bytes(b"This is not a database, and longer than a header of one. " * 90)
    again = opened(tmp_path)
    add(again, "new")
    assert set(contents(again)["dependencies"]) == set(before["dependencies"])
    assert again.doctor() == []


@pytest.mark.parametrize("version", [0, 1, sql.SCHEMA_VERSION - 1, sql.SCHEMA_VERSION + 1, 99])
def test_an_index_of_another_version_is_built_anew(tmp_path: Path, version: int) -> None:
    store = filled(tmp_path)
    before = contents(store)
    store.index.connection.execute("DROP TABLE tags")
    store.index.connection.execute("CREATE TABLE from_another_time (x)")
    store.index.connection.execute(f"PRAGMA user_version = {version}")
    assert contents(opened(tmp_path)) == before


def test_missing_tables_are_made_again(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = contents(store)
    store.index.connection.execute("DROP TABLE positions")
    assert contents(opened(tmp_path)) == before


def test_a_kill_between_journal_and_index_is_made_up_for(tmp_path: Path) -> None:
    store = filled(tmp_path)
    close(store)
    shutil.copy(tmp_path / "index.sqlite", tmp_path / "old")
    later = opened(tmp_path)
    add(later, "late", dependencies=["t05"])
    change(later, "t01", completing)
    expected = contents(later)
    close(later)
    shutil.copy(tmp_path / "old", tmp_path / "index.sqlite")
    again = opened(tmp_path)
    assert contents(again) == expected
    add(again, "latest")
    assert again.doctor() == []


def test_events_appended_without_an_index_are_read(tmp_path: Path) -> None:
    store = filled(tmp_path)
    other = EventStore(store.journal, Index(":memory:", store.journal), store.lock, FakeClock())
    add(other, "from-elsewhere")
    assert store.reading().task("from-elsewhere")["title"] == "Task from-elsewhere"
    assert contents(store) == contents(other)


def test_an_index_that_knows_more_than_the_journal_is_built_anew(tmp_path: Path) -> None:
    store = opened(tmp_path)
    add(store, "t1")
    path = tmp_path / "journal" / "replica1" / "00000001.jsonl"
    size = path.stat().st_size
    add(store, "t2")
    # A power failure took what had not reached the disk.
    path.write_bytes(path.read_bytes()[:size])
    assert store.reading().counts() == {"ready": 1}
    again = opened(tmp_path)
    assert again.reading().counts() == {"ready": 1}
    add(again, "t3")
    assert store.reading().counts() == {"ready": 2}
    assert again.doctor() == store.doctor() == []


def test_a_journal_restored_from_elsewhere_is_noticed(tmp_path: Path) -> None:
    store, other = opened(tmp_path / "one"), opened(tmp_path / "two")
    add(store, "t1")
    for name in ("a", "b", "c"):
        add(other, name)
    shutil.copytree(tmp_path / "two" / "journal", tmp_path / "one" / "journal", dirs_exist_ok=True)
    assert sorted(row[0] for row in contents(store)["tasks"]) == ["a", "b", "c"]  # type: ignore[type-var]


def test_the_doctor_finds_an_index_that_lies_and_a_rebuild_repairs_it(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = contents(store)
    store.index.connection.execute("UPDATE tasks SET doc = json_set(doc, '$.title', 'a lie') WHERE id = 't07'")
    store.index.connection.execute("UPDATE tasks SET bucket = 'ready', blockers = 0 WHERE id = 't08'")
    (problem,) = store.doctor()
    assert (problem["check"], problem["detail"]) == (
        "index",
        "4 rows of the index are missing or wrong, 4 too many; first ready",
    )
    assert store.rebuild() == len(before["events"])
    assert contents(store) == before
    assert store.doctor() == []


def test_the_doctor_of_a_store_that_nobody_has_opened_yet(tmp_path: Path) -> None:
    assert opened(tmp_path).doctor() == []
    filled(tmp_path)
    (tmp_path / "index.sqlite").unlink()
    assert opened(tmp_path).doctor() == []


def test_two_stores_on_one_directory_see_each_other(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    add(one, "a")
    assert other.reading().task("a")["status"] == "queued"
    change(other, "a", completing)
    assert one.reading().task("a")["status"] == "completed"
    add(one, "b", dependencies=["a"])
    assert order(other, "9") == ["b"]
    one.rebuild()
    change(other, "b", starting)
    assert contents(one) == contents(other)


def test_a_full_disk_under_the_index_loses_nothing_and_holds_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path)
    connection = store.index.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises((sqlite3.Error, AtmsError)):
        add(store, "more", description="x" * 5_000_000)
    connection.execute("PRAGMA max_page_count = 100000")
    written = len(store.reading().events_after(""))
    add(store, "after")
    assert len(store.reading().events_after("")) == written + 1
    assert store.doctor() == []
    add(opened(tmp_path), "the lock is free")


# Several clones: each line is read where it lies, and the state depends on the ids alone.


def merged(target: Path, *sources: Path) -> None:
    """Bring the segments of other clones, as `atms sync` does."""
    for source in sources:
        for replica in (source / "journal").iterdir():
            size = {path.name: path.stat().st_size for path in (target / "journal" / replica.name).glob("*")}
            for path in replica.glob("*.jsonl"):
                if path.stat().st_size > size.get(path.name, -1):
                    (target / "journal" / replica.name).mkdir(exist_ok=True)
                    shutil.copy(path, target / "journal" / replica.name / path.name)


def by_id(store: EventStore) -> dict[str, list[tuple[object, ...]]]:
    return contents(store)


@pytest.mark.parametrize("name", ["aaaaaaaa", "zzzzzzzz"])
def test_a_copy_that_went_on_is_rebuilt_to_what_it_was(tmp_path: Path, name: str) -> None:
    """The copy writes under its own name; a rebuild reads names in their order, not in the order of time."""
    clock = FakeClock()
    store = opened(tmp_path / "one", "mmmmmmmm", clock)
    add(store, "t1")
    add(store, "t2", dependencies=["t1"])
    record(store, *agents.register(None, "anton", {"command": "work"}), ("queue.paused", "default", {"reason": "x"}))
    record(store, ("feature.planned", "f1", {"title": "F", "tasks": ["t1"]}))
    close(store)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copied = opened(tmp_path / "two", name, clock)
    clock.advance(1)
    change(copied, "t1", starting)
    change(copied, "t1", completing)
    record(copied, ("agent.removed", "anton", {}), ("queue.resumed", "default", {}))
    record(copied, ("feature.written", "f1", {"status": "implemented"}))
    add(copied, "t3")
    before = contents(copied)
    assert copied.reading().paused() is None
    assert [each["status"] for each in copied.reading().attempts("t1")] == ["succeeded"]
    copied.rebuild()
    assert contents(copied) == before


def test_clones_that_exchange_their_segments_agree_in_whatever_order(tmp_path: Path) -> None:
    clock = FakeClock()
    first, second = opened(tmp_path / "one", "mmmmmmmm", clock), opened(tmp_path / "two", "bbbbbbbb", clock)
    add(first, "t1")
    add(first, "t2", dependencies=["t1"])
    merged(tmp_path / "two", tmp_path / "one")
    clock.advance(5)
    change(second, "t1", starting)
    clock.advance(5)
    change(first, "t1", lambda task, _: decisions.cancel(task, "not needed"))
    clock.advance(5)
    change(second, "t1", completing)
    record(second, *agents.register(None, "anton", {"command": "b"}))
    clock.advance(5)
    record(first, *agents.register(None, "anton", {"command": "a"}))
    merged(tmp_path / "one", tmp_path / "two")
    merged(tmp_path / "two", tmp_path / "one")
    assert first.reading().task("t1")["status"] == "cancelled", "it was cancelled before it was completed"
    assert contents(first) == contents(second)
    third = opened(tmp_path / "three", "cccccccc", clock)
    merged(tmp_path / "three", tmp_path / "one")
    assert contents(third) == contents(first)
    for store in (first, second, third):
        before = contents(store)
        store.rebuild()
        assert contents(store) == before


MOVES: dict[str, Callable[[Task, str], list[Fact]]] = {
    "start": starting,
    "done": completing,
    "cancel": lambda task, _: decisions.cancel(task, None),
    "reopen": lambda task, _: decisions.reopen(task, None),
    "fail": lambda task, _: decisions.fail(task, "x"),
    "rename": lambda task, now: decisions.update(task, {"title": f"At {now}"}),
    "link": lambda task, _: decisions.link(task, "t0"),
}
writers = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from([*MOVES, "sync"]), st.integers(0, 3)), max_size=14
)


@settings(max_examples=15)
@given(writers)
def test_clones_converge(tmp_path_factory: pytest.TempPathFactory, found: list[tuple[int, str, int]]) -> None:
    root, clock = tmp_path_factory.mktemp("clones"), FakeClock()
    paths = [root / "one", root / "two"]
    stores = [opened(path, name, clock) for path, name in zip(paths, ("mmmmmmmm", "bbbbbbbb"), strict=True)]
    add(stores[0], "t1")
    add(stores[0], "t0")
    merged(paths[1], paths[0])
    for who, move, seconds in found:
        clock.advance(seconds)
        if move == "sync":
            merged(paths[who], paths[1 - who])
            continue
        with contextlib.suppress(AtmsError):
            change(stores[who], "t1", MOVES[move])
    merged(paths[0], paths[1])
    merged(paths[1], paths[0])
    assert contents(stores[0]) == contents(stores[1])
    for store in stores:
        assert store.doctor() == []
        close(store)


def test_memory_forgets_and_rebuilds_too() -> None:
    store = in_memory(FakeClock())
    add(store, "t1")
    before = contents(store)
    assert store.rebuild() == 1
    assert contents(store) == before


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_a_rebuild_in_several_goes_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    store = filled(tmp_path)
    change(store, "t01", lambda task, _now: decisions.unlink(task, "t00"))
    change(store, "t02", lambda task, _now: decisions.update(task, {"tags": ["y"]}))
    for number in range(3, 9):
        change(store, f"t{number:02d}", lambda task, _now: decisions.cancel(task, "enough"))
        change(store, f"t{number:02d}", lambda task, _now: decisions.reopen(task, None))
    change(store, "t09", starting)
    change(store, "t09", lambda task, _now: decisions.retry(task, "again"))
    change(store, "t09", starting)
    before = contents(store)
    monkeypatch.setattr(bulk, "_MOST_TASKS", at_once)
    monkeypatch.setattr(bulk, "_MOST_ROWS", at_once)
    store.rebuild()
    assert contents(store) == before


def test_many_tasks_at_once_are_sorted_in_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "_MANY", 5)
    facts = [
        fact
        for number in range(30)
        for fact in decisions.create(f"t{number:02d}", {"title": "One", "tags": ["x"]}, created_by="ann", draft=False)
    ]
    store, expected = opened(tmp_path / "a"), in_memory(FakeClock())
    statements: list[str] = []
    store.index.connection.set_trace_callback(statements.append)
    with store.writing("ann") as tx:
        assert tx.read.counts() == {}
        tx.record(facts)
    assert len([text for text in statements if text.startswith("DROP INDEX")]) == sql.SCHEMA.count(" ON tasks (")
    record(expected, *facts)
    assert indexes(store) == indexes(expected)
    assert store.reading().counts() == {"ready": 30}
    assert store.doctor() == []


def indexes(store: EventStore) -> list[tuple[object, ...]]:
    found = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
    return [tuple(row) for row in store.index.connection.execute(found)]


def test_news_is_what_others_wrote_however_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    ours, theirs = (in_directory(str(tmp_path), FakeClock(), CountingIds()) for _ in range(2))
    add(ours, "t1")
    ours.take_news()
    add(ours, "t2")
    assert (ours.has_news(), ours.take_news()) == (False, False)
    add(theirs, "t3")
    assert (ours.has_news(), ours.take_news()) == (True, False), "nobody has read it here"
    add(ours, "t4")
    assert (ours.has_news(), ours.take_news()) == (True, True), "a transaction of ours has read it"
    assert (ours.has_news(), ours.take_news()) == (False, False)
    add(theirs, "t5")
    add(theirs, "t6")
    assert ours.reading().task("t6")
    assert ours.has_news(), "they have put it into the index, and we have read it there"
    ours.reading()
    add(ours, "t7")
    ours.take_news()
    journal = Journal(str(tmp_path), theirs.journal.own_replica)
    add(EventStore(journal, Index(MEMORY, journal), Lock(str(tmp_path / "lock")), FakeClock()), "t8")
    assert ours.reading().task("t8")
    assert (ours.has_news(), ours.take_news()) == (True, True), "it was in the journal alone, and we have read it there"
