"""What keepers write down: whole whatever is torn, bounded however long they live, and forgotten when it is settled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import ConflictError
from atms_cli.system import ledger
from atms_cli.system.launch import Outcome, Started
from atms_cli.system.ledger import Ledger, begun, describe, describe_all, ended, forget
from atms_cli.system.tree import start_time

if TYPE_CHECKING:
    from pathlib import Path

BORN = start_time(os.getpid()) or 0
#: No process has this pid.
DEAD = 1 << 30


def run_one(book: Ledger, run_id: str, code: int | None) -> None:
    book.claim(run_id)
    book.note(run_id, begun(Started(run_id, 12, 34)))
    if code is not None:
        book.conclude(run_id, ended(Outcome(run_id, "exited", exit_code=code)))


def file_of_the_dead(directory: Path, *lines: bytes) -> Path:
    path = directory / f"{DEAD}-7-0.jsonl"
    path.write_bytes(b"\n" + b"\n".join(lines))
    return path


def test_what_happened_is_told_again(tmp_path: Path) -> None:
    directory = str(tmp_path / "keepers")
    nothing = describe(directory, "x")
    assert (nothing.is_claimed, nothing.process, nothing.outcome, nothing.is_kept()) == (False, None, None, False)
    book = Ledger(directory, BORN)
    book.claim("x")
    assert (describe(directory, "x").is_claimed, describe(directory, "x").process) == (True, None)
    book.note("x", begun(Started("x", 12, 34)))
    assert describe(directory, "x").process == Started("x", 12, 34)
    assert describe(directory, "x").is_kept()
    outcome = Outcome("x", "signalled", signal=9, hit="memory")
    book.conclude("x", ended(outcome))
    assert describe(directory, "x").outcome == outcome
    assert not describe(directory, "y").is_claimed
    assert os.stat(directory).st_mode & 0o777 == 0o700


def test_many_are_read_in_one_pass(tmp_path: Path) -> None:
    book = Ledger(str(tmp_path), BORN)
    for number in range(30):
        run_one(book, f"run{number}", number)
    found = describe_all(str(tmp_path), [f"run{number}" for number in range(40)])
    codes = [each.outcome.exit_code for each in found.values() if each.outcome]
    assert codes == list(range(30))
    assert not found["run39"].is_claimed


def test_nothing_is_started_twice_whoever_started_it(tmp_path: Path) -> None:
    file_of_the_dead(tmp_path, b'{"event": "claimed", "id": "x"}', b'{"event": "claimed", "id": "to')
    book = Ledger(str(tmp_path), BORN)
    with pytest.raises(ConflictError):
        book.claim("x")
    run_one(book, "y", 0)
    with pytest.raises(ConflictError):
        book.claim("y")
    run_one(book, "torn", 0)


def test_what_is_no_ledger_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("[1]")
    (tmp_path / f"{DEAD}-8-0.jsonl").write_bytes(b"\0" * 50 + b'\n7\n"claimed"\n{"event": "claimed"}\n')
    book = Ledger(str(tmp_path), BORN)
    run_one(book, "x", 5)
    assert describe(str(tmp_path), "x").outcome is not None
    assert describe_all(str(tmp_path), [f"run{number}" for number in range(20)])["run1"].is_claimed is False
    forget(str(tmp_path), [])
    assert {path.name for path in tmp_path.iterdir()} == {"notes.jsonl", f"{os.getpid()}-{BORN}-0.jsonl"}


def test_a_line_cut_short_spoils_no_other(tmp_path: Path) -> None:
    path = file_of_the_dead(tmp_path, b'{"event": "claimed", "id": "x"}', b'{"event": "started", "id": "x", "pi')
    record = describe(str(tmp_path), "x")
    assert (record.is_claimed, record.process, record.keeper_pid, record.is_kept()) == (True, None, DEAD, False)
    with open(path, "ab") as file:
        file.write(b"\n" + ended(Outcome("x", "exited", exit_code=3)))
    assert describe(str(tmp_path), "x").outcome == Outcome("x", "exited", exit_code=3)


def test_a_full_disk_refuses_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book, write = Ledger(str(tmp_path), BORN), os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, line: write(file, line[:9]))
        with pytest.raises(OSError, match="No space left"):
            book.claim("x")
    run_one(book, "y", 4)
    assert not describe(str(tmp_path), "x").is_claimed
    assert describe(str(tmp_path), "y").outcome == Outcome("y", "exited", exit_code=4)


def test_a_ledger_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOST_BYTES", 4096)
    book = Ledger(str(tmp_path), BORN)
    run_one(book, "long", None)
    for number in range(200):
        run_one(book, f"run{number}", 0)
    assert len(list(tmp_path.iterdir())) == 2
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 * 4096
    assert describe(str(tmp_path), "long").process == Started("long", 12, 34)
    assert describe(str(tmp_path), "run199").outcome is not None
    with pytest.raises(ConflictError):
        book.claim("run199")


def test_what_the_dead_have_left_is_forgotten_once_it_is_settled(tmp_path: Path) -> None:
    book = Ledger(str(tmp_path), BORN)
    run_one(book, "x", None)
    path = file_of_the_dead(tmp_path, b'{"event": "claimed", "id": "y"}', begun(Started("y", 1, 2)))
    forget(str(tmp_path), ["y"])
    assert path.exists()
    forget(str(tmp_path), ["x"])
    assert not path.exists()
    forget(str(tmp_path), [])
    assert describe(str(tmp_path), "x").process is not None
    forget(str(tmp_path / "nowhere"), [])
