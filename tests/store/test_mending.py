"""Damage in the middle of a journal: named, cut out with a copy kept, and nothing behind it lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError, DamagedError, NewerError
from atms_cli.store import codec
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.index import remove
from atms_cli.store.mending import mend
from atms_cli.system.ids import RandomIds
from tests.fakes import FakeClock, add, record

if TYPE_CHECKING:
    from atms_cli.domain.records import Fact

NOBODY = 65534


def opened(directory: Path) -> EventStore:
    for name in ("journal", "backups"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    return in_directory(str(directory), FakeClock(), RandomIds())


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "journal").glob("*/*.jsonl"))


def damaged(directory: Path, line: int) -> EventStore:
    store = opened(directory)
    for number in range(6):
        add(store, f"t{number}")
    [path] = segments(directory)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"title"', b'"tittle"')
    path.write_bytes(b"".join(lines))
    store.index.connection.close()
    remove(str(directory / "index.sqlite"))
    return opened(directory)


@pytest.mark.parametrize("line", [0, 2, 4])
def test_what_follows_a_damaged_line_is_not_lost(tmp_path: Path, line: int) -> None:
    store = damaged(tmp_path, line)
    with pytest.raises(DamagedError, match=rf"00000001.jsonl:{line + 1}: the checksum does not match"):
        store.reading()
    [problem] = store.doctor()
    assert (problem["check"], "doctor --fix" in str(problem["repair"])) == ("journal", True)
    [aside] = mend(store, str(tmp_path))
    with open(aside, "rb") as file:
        assert b"tittle" in file.read()
    assert store.doctor() == []
    assert store.reading().counts() == {"ready": 5}


def test_the_mended_clone_goes_on_under_another_name(tmp_path: Path) -> None:
    store = damaged(tmp_path, 2)
    mend(store, str(tmp_path))
    add(store, "later")
    assert len(segments(tmp_path)) == 2
    assert mend(store, str(tmp_path)) == []
    assert len(opened(tmp_path).reading().events_after("")) == 6


def test_a_workspace_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(3):
        add(store, f"t{number}")
    for path in [tmp_path, *tmp_path.parents]:
        if path.owner() == tmp_path.owner() and path.stat().st_mode & 0o005 != 0o005 and os.getuid() == 0:
            path.chmod(path.stat().st_mode | 0o055)
    child = os.fork()
    if child == 0:
        os._exit(_as_a_stranger(tmp_path))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(segments(tmp_path)) == 1


def _as_a_stranger(directory: Path) -> int:
    """Read and try to write without the right to; return 0 if all went as it should."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    else:
        directory.chmod(0o555)
        segments(directory)[0].parent.chmod(0o555)
        segments(directory)[0].chmod(0o444)
    store = in_directory(str(directory), FakeClock(), RandomIds())
    if store.reading().counts() != {"ready": 3}:
        return 1
    try:
        add(store, "no")
    except AtmsError as error:
        sys.stderr.write(f"{error.message}\n")
        return 0
    return 2


def test_a_damaged_last_line_is_cut_out_and_the_rest_of_its_batch_stays(tmp_path: Path) -> None:
    store = opened(tmp_path)
    add(store, "t1")
    batch: list[Fact] = [("task.created", f"b{number}", {"title": "x"}) for number in range(3)]
    record(store, *batch)
    [path] = segments(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"key":"b2"', b'"key":"b9"'))
    with pytest.raises(DamagedError, match=r"00000001\.jsonl:4: the checksum does not match"):
        opened(tmp_path).rebuild()
    [aside] = mend(store, str(tmp_path))
    with open(aside, "rb") as file:
        assert b'"key":"b9"' in file.read()
    assert store.doctor() == []
    assert [event["key"] for event in opened(tmp_path).reading().events_after("")] == ["t1", "b0", "b1"]


def test_what_was_cut_out_before_is_still_kept_when_the_same_segment_is_damaged_again(tmp_path: Path) -> None:
    store = damaged(tmp_path, 1)
    asides = mend(store, str(tmp_path))
    [path] = segments(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"key":"t4"', b'"key":"tX"'))
    asides += mend(store, str(tmp_path))
    assert len(set(asides)) == 2
    assert b"tittle" in Path(asides[0]).read_bytes()
    assert b'"key":"tX"' in Path(asides[1]).read_bytes()
    assert store.reading().counts() == {"ready": 4}


def test_a_torn_end_and_lines_of_a_newer_version_are_no_damage(tmp_path: Path) -> None:
    store = opened(tmp_path)
    add(store, "t1")
    [path] = segments(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    assert mend(store, str(tmp_path)) == []
    event, _ = codec.decode(whole)
    path.write_bytes(whole + codec.encode({**event, "v": 2}, more=False) + whole.replace(b"t1", b"t2"))
    before = path.read_bytes()
    with pytest.raises(NewerError, match=r"00000001\.jsonl:2: written in format 2, this atms knows 1") as refusal:
        mend(store, str(tmp_path))
    assert refusal.value.hint == "upgrade atms"
    assert path.read_bytes() == before
    assert [problem["repair"] for problem in store.doctor()] == ["upgrade atms"]
