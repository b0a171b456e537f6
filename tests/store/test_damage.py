"""Damage from outside, wherever it falls: in the journal it is named and never passed over; the index is made anew."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import DamagedError
from atms_cli.store import codec, paths
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.index import DatabaseError, remove
from atms_cli.store.mending import mend
from atms_cli.system.ids import RandomIds
from tests.fakes import FakeClock, add, contents, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atms_cli.domain.records import Fact

STEP = 1 if "ATMS_KILLS" in os.environ else 9
#: Of the journal that `made` makes: three lines alone, then a batch of three.
KEYS = ["t1", "t2", "t3", "b1", "b2", "b3"]


def opened(directory: Path) -> EventStore:
    for name in (paths.JOURNAL, paths.BACKUPS):
        (directory / name).mkdir(parents=True, exist_ok=True)
    return in_directory(str(directory), FakeClock(), RandomIds())


def made(directory: Path) -> EventStore:
    store = opened(directory)
    for key in KEYS[:3]:
        add(store, key)
    batch: list[Fact] = [("task.created", key, {"title": key}) for key in KEYS[3:]]
    record(store, *batch)
    return store


def segment(directory: Path) -> Path:
    [path] = sorted((directory / paths.JOURNAL).glob("*/*.jsonl"))
    return path


def known(store: EventStore) -> list[str]:
    return [event["key"] for event in store.reading().events_after("")]


def close(store: EventStore) -> None:
    store.index.connection.close()


@pytest.mark.parametrize("index", ["with its index", "without one"])
def test_a_journal_cut_anywhere_keeps_what_is_whole_and_goes_on(tmp_path: Path, index: str) -> None:
    close(made(tmp_path / "whole"))
    whole = segment(tmp_path / "whole").read_bytes()
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(ends[0], len(whole), STEP):
        directory = tmp_path / f"{cut}"
        shutil.copytree(tmp_path / "whole", directory)
        segment(directory).write_bytes(whole[:cut])
        if index == "without one":
            remove(str(directory / paths.INDEX))
        store = opened(directory)
        kept = sum(end <= cut for end in ends[:3])
        assert known(store) == KEYS[:kept], f"cut at {cut}"
        add(store, "next")
        assert known(store) == [*KEYS[:kept], "next"]
        assert store.doctor() == []
        close(store)


def flipped(line: bytes) -> Iterator[bytes]:
    for position, bit in ((position, bit) for position in range(len(line)) for bit in range(8)):
        yield line[:position] + bytes([line[position] ^ 1 << bit]) + line[position + 1 :]


@pytest.mark.parametrize("number", [2, 5], ids=["in the middle", "at the end"])
def test_a_flipped_bit_is_named_and_never_taken_for_a_torn_end(tmp_path: Path, number: int) -> None:
    store = made(tmp_path)
    path = segment(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    [replica] = store.journal.replicas()
    for line in flipped(lines[number]):
        path.write_bytes(b"".join([*lines[:number], line, *lines[number + 1 :]]))
        with pytest.raises(DamagedError, match=rf"{path}:{number + 1}: "):
            list(store.journal.read(replica, 1, 0))


@pytest.mark.parametrize("number", [1, 4, 5], ids=["alone", "in a batch", "at the end"])
def test_whatever_bit_was_flipped_mending_loses_no_other_line(tmp_path: Path, number: int) -> None:
    close(made(tmp_path / "whole"))
    lines = segment(tmp_path / "whole").read_bytes().splitlines(keepends=True)
    for count, line in enumerate(list(flipped(lines[number]))[:: 37 * STEP]):
        directory = tmp_path / f"{count}"
        shutil.copytree(tmp_path / "whole", directory)
        segment(directory).write_bytes(b"".join([*lines[:number], line, *lines[number + 1 :]]))
        store = opened(directory)
        [problem] = store.doctor()
        assert f"{segment(directory)}:{number + 1}: " in str(problem["detail"])
        assert "atms doctor --fix keeps the bad lines" in str(problem["repair"])
        [aside] = mend(store, str(directory))
        assert Path(aside).read_bytes() == line
        assert store.doctor() == []
        assert known(store) == KEYS[:number] + KEYS[number + 1 :]
        add(store, "next")
        assert store.doctor() == []
        close(store)


def test_a_line_that_lost_its_end_takes_no_other_with_it(tmp_path: Path) -> None:
    store = made(tmp_path)
    path = segment(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:-1] + b"\x0b" + b"".join(lines[2:]))
    with pytest.raises(DamagedError, match=rf"{path}:2: "):
        opened(tmp_path).rebuild()
    [aside] = mend(store, str(tmp_path))
    assert Path(aside).read_bytes() == lines[1][:-1] + b"\x0b"
    assert known(store) == ["t1", "t3", "b1", "b2", "b3"]


@pytest.mark.parametrize("size", [1, 100, 4096, 70_000])
def test_a_tail_of_nothing_is_cut(tmp_path: Path, size: int) -> None:
    store = made(tmp_path)
    path = segment(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(size))
    assert known(store) == KEYS
    assert store.doctor() == []
    add(store, "next")
    assert path.read_bytes().startswith(whole + b'{"v":1')
    assert store.doctor() == []


# The index


def crashed(directory: Path) -> Path:
    """Return a workspace as a killed process leaves it: with a log beside the index that nobody has folded in."""
    store = made(directory / "live")
    shutil.copytree(directory / "live", directory / "left")
    close(store)
    # A copied journal would go on under a new name.
    replica = directory / "left" / paths.REPLICA
    replica.write_text(f"{replica.read_text().split()[0]} {replica.stat().st_ino}\n")
    return directory / "left"


def _cut(size: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, min(size, path.stat().st_size))


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(max(8192, path.stat().st_size)))  # noqa: S311  not for secrets


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


HARMS: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink, "empty": _nothing, "noise": _noise, "zeros": _zeros, "cut at 1": _cut(1), "cut at 16": _cut(16),
    "cut at 100": _cut(100), "cut at 5000": _cut(5000), "cut at 30000": _cut(30_000),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-wal -shm", " -shm", " -wal"])
@pytest.mark.parametrize("folded", ["folded", "unfolded"])
def test_a_harmed_index_is_made_anew_by_the_next_command_or_the_one_it_names(
    tmp_path: Path, suffix: str, harm: str, folded: str
) -> None:
    directory = crashed(tmp_path)
    expected = contents(opened(tmp_path / "live"))
    if folded == "folded":
        store = opened(directory)
        store.reading()
        store.index.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(directory, tmp_path / "copy")
        close(store)
        shutil.rmtree(directory)
        (tmp_path / "copy").rename(directory)
    for each in suffix.split(" "):
        path = directory / (paths.INDEX + each)
        if path.exists():
            HARMS[harm](path)
    store = opened(directory)
    assert healed(store) == expected
    add(store, "next")
    assert store.doctor() == []
    close(store)


def healed(store: EventStore) -> dict[str, list[tuple[object, ...]]]:
    """Return what a store holds, after the command that its errors name if it has one."""
    try:
        store.reading()
        if store.doctor() == []:
            return contents(store)
    except DatabaseError as error:
        # __main__ says then: build it anew with `atms rebuild`.
        assert "malformed" in str(error)  # noqa: PT017  it may as well go well
    store.rebuild()
    return contents(store)


def test_noise_in_any_page_of_the_index_is_found_and_mended(tmp_path: Path) -> None:
    directory = crashed(tmp_path)
    close(opened(directory))
    expected = contents(opened(tmp_path / "live"))
    content = (directory / paths.INDEX).read_bytes()
    noise = random.Random(2).randbytes(4096)  # noqa: S311  not for secrets
    for start in range(0, len(content), 4096):
        remove(str(directory / paths.INDEX))
        (directory / paths.INDEX).write_bytes(content[:start] + noise + content[start + 4096 :])
        store = opened(directory)
        assert healed(store) == expected, f"page at {start}"
        assert store.doctor() == []
        close(store)


def test_an_index_of_another_workspace_or_version_is_made_anew(tmp_path: Path) -> None:
    store = made(tmp_path / "one")
    expected = contents(store)
    store.index.connection.execute("PRAGMA user_version = 99")
    close(store)
    assert contents(opened(tmp_path / "one")) == expected
    other = opened(tmp_path / "two")
    add(other, "stranger")
    close(other)
    shutil.copy(tmp_path / "two" / paths.INDEX, tmp_path / "one" / paths.INDEX)
    store = opened(tmp_path / "one")
    assert contents(store) == expected
    assert store.doctor() == []


# The lock


def test_the_name_in_a_lock_file_keeps_nobody_out(tmp_path: Path) -> None:
    store = made(tmp_path)
    (tmp_path / paths.LOCK).write_bytes(b"process 999999\n" + bytes(500))
    add(store, "next")
    (tmp_path / paths.LOCK).write_bytes(b"")
    add(store, "another")
    assert known(store) == [*KEYS, "next", "another"]


def test_a_lock_file_deleted_while_it_is_held_lets_nobody_write_over_another(tmp_path: Path) -> None:
    first, second = made(tmp_path), opened(tmp_path)
    second.reading()
    with first.writing("ann") as tx:
        tx.record([("task.created", "first", {"title": "first"})])
        (tmp_path / paths.LOCK).unlink()
        second.index.connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises((DatabaseError, Exception), match=r"locked|without the lock"):
            add(second, "second")
    add(second, "second")
    assert known(first) == [*KEYS, "first", "second"]
    assert first.doctor() == second.doctor() == []


def test_the_checksum_guards_all_that_the_journal_says(tmp_path: Path) -> None:
    made(tmp_path)
    for line in segment(tmp_path).read_bytes().splitlines(keepends=True):
        for other in flipped(line):
            with pytest.raises((DamagedError, ValueError)):
                codec.decode(other)
