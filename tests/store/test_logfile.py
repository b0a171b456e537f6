"""Reading output past what was dropped of it, and masking the secrets in it where they stand."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atms_cli.domain.redaction import Redactor
from atms_cli.errors import AtmsError
from atms_cli.store import logfile
from atms_cli.store.runfiles import RunDirectories
from atms_cli.system.logcap import punch

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "ghp_" + "a1" * 18
MOST = 1 << 18


@pytest.fixture
def holed(tmp_path: Path) -> Path:
    """A log whose middle was dropped."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %06d\n" % number for number in range(100_000)))
    if not punch(str(path), path.stat().st_size, MOST):
        pytest.skip("this file system cannot drop a part of a file")
    return path


def test_a_hole_reads_as_one_line(holed: Path) -> None:
    text = logfile.read(str(holed), 0)
    assert text.startswith(b"line 000000\n")
    assert text.endswith(b"line 099999\n")
    assert text.count(b"\n[... ") == 1
    assert b"\0" not in text
    # From within the hole, only what is behind it is left.
    assert logfile.read(str(holed), 500_000).startswith(b"\n[... ")
    assert logfile.read(str(holed), -12) == b"line 099999\n"
    assert logfile.read(str(holed), 0, 12) == b"line 000000\n"


def test_both_ends_of_a_log_with_a_hole_are_looked_through(holed: Path) -> None:
    runs = RunDirectories(str(holed.parent.parent))
    run = holed.parent.name
    assert runs.tail(run, "log", 2) == "line 099998\nline 099999"
    found, end = b"", 0
    while end < runs.size(run, "log"):
        piece, end = runs.read(run, "log", end, 1000)
        found += piece
    assert found == logfile.read(str(holed), 0), "piece by piece it is the same"
    assert runs.read(run, "log", end, 1000) == (b"", end)


def test_secrets_on_both_sides_of_a_hole_are_masked(holed: Path) -> None:
    content = bytearray(holed.read_bytes())
    with open(holed, "r+b") as file:
        for place in (24, len(content) - 60):
            file.seek(place)
            file.write(f" {TOKEN}\n".encode())
    blocks = os.stat(holed).st_blocks
    logfile.mask(str(holed), Redactor())
    assert TOKEN.encode() not in holed.read_bytes()
    assert holed.read_bytes().count(b" [redacted]*****") == 2
    assert (os.stat(holed).st_size, os.stat(holed).st_blocks) == (len(content), blocks)


@given(st.integers(0, 140_000), st.integers(0, 70_000))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_secret_is_masked_wherever_it_stands(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"." * before + f" {TOKEN} ".encode() + b"\n" * after)
    logfile.mask(str(path), Redactor())
    masked = b"[redacted]".ljust(len(TOKEN), b"*")
    assert path.read_bytes() == b"." * before + b" " + masked + b" " + b"\n" * after


def test_masking_once_more_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"a {TOKEN}\nb https://joe:secret@host/ {TOKEN}\n")
    logfile.mask(str(path), Redactor())
    once = path.read_bytes()
    before = os.stat(path).st_mtime_ns
    logfile.mask(str(path), Redactor())
    assert (path.read_bytes(), os.stat(path).st_mtime_ns) == (once, before)


def test_what_is_not_there_has_no_secrets(tmp_path: Path) -> None:
    RunDirectories(str(tmp_path)).mask("run", "output.log", Redactor())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "output.log").mkdir()
    with pytest.raises(AtmsError, match="cannot mask"):
        RunDirectories(str(tmp_path)).mask("run", "output.log", Redactor())


# Directories of runs


def test_run_directories_are_private(tmp_path: Path) -> None:
    runs = RunDirectories(str(tmp_path / "runs"))
    runs.prepare("a/gates/b")
    path = runs.write("a", "prompt.md", "text")
    modes = [stat.S_IMODE(os.stat(each).st_mode) for each in (tmp_path / "runs", tmp_path / "runs" / "a", path)]
    assert modes == [0o700, 0o700, 0o600]
    runs.prepare("a/gates/b")


def test_runs_are_surveyed_and_removed(tmp_path: Path) -> None:
    runs = RunDirectories(str(tmp_path / "runs"))
    assert runs.survey() == []
    runs.write("a", "output.log", "x" * 10_000)
    runs.write("b/gates/1", "log", "x" * 20_000)
    os.utime(tmp_path / "runs" / "a", (1000, 1000))
    found = {name: (at, size) for name, at, size in runs.survey()}
    assert found["a"][0] == 1000
    assert 10_000 <= found["a"][1] < 30_000
    assert found["b"][1] >= 20_000
    runs.remove("b")
    runs.remove("b")
    assert [name for name, _, _ in runs.survey()] == ["a"]


def test_tidying_has_its_time(tmp_path: Path) -> None:
    runs = RunDirectories(str(tmp_path))
    assert not runs.tidied(60, 1000)
    assert runs.tidied(60, 1059)
    assert not runs.tidied(60, 1060)
    # The clock was set back.
    assert not runs.tidied(60, 500)
    assert runs.survey() == []


def test_file_systems_without_holes_are_read_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "no such thing")

    path = tmp_path / "log"
    path.write_text(f"a {TOKEN}\n" * 5000)
    monkeypatch.setattr(os, "lseek", refuse)
    assert logfile.read(str(path), 0) == path.read_bytes()
    logfile.mask(str(path), Redactor())
    assert TOKEN.encode() not in logfile.read(str(path), 0)
