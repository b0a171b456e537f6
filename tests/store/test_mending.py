"""Damage in the middle of a journal: named, cut out with a copy kept, and nothing behind it lost."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError, DamagedError
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.index import remove
from atms_cli.store.mending import mend
from atms_cli.system.ids import RandomIds
from tests.fakes import FakeClock, add

if TYPE_CHECKING:
    from pathlib import Path

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
