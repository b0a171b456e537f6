"""What work leaves behind in git."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from atms_cli.system.traces import Traces

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO_S = 1_600_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        git(tmp_path, *words)
    (tmp_path / "kept.txt").write_text("one\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "second")
    os.utime(tmp_path / ".git" / "logs" / "HEAD", (LONG_AGO_S, LONG_AGO_S))
    return tmp_path


def git(tree: Path, *words: str) -> None:
    identity = ["-c", "user.name=Ann", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, *words], cwd=tree, check=True, capture_output=True)  # noqa: TID251  a test stands outside


def at(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


def changed(tree: Path) -> int | None:
    found = Traces(os.environ).changed_at_ms(tree.as_posix())
    return None if found is None else found // 1000


def test_a_changed_file_tells_when(tree: Path) -> None:
    assert changed(tree) == LONG_AGO_S
    (tree / "kept.txt").write_text("two\n")
    at(tree / "kept.txt", LONG_AGO_S + 10)
    assert changed(tree) == LONG_AGO_S + 10
    (tree / "new").mkdir()
    (tree / "new" / "with a blank\n.txt").write_text("")
    at(tree / "new" / "with a blank\n.txt", LONG_AGO_S + 20)
    assert changed(tree) == LONG_AGO_S + 20
    assert changed(tree / "new") == LONG_AGO_S + 20, "wherever in the tree one asks"


def test_what_git_ignores_is_no_work(tree: Path) -> None:
    (tree / "noise.log").write_text("")
    assert changed(tree) == LONG_AGO_S


def test_a_deleted_and_a_renamed_file_are_changes(tree: Path) -> None:
    git(tree, "mv", "kept.txt", "moved.txt")
    at(tree / "moved.txt", LONG_AGO_S + 5)
    assert changed(tree) == LONG_AGO_S + 5
    (tree / "moved.txt").unlink()
    at(tree, LONG_AGO_S + 30)
    assert changed(tree) == LONG_AGO_S + 30


def test_a_commit_is_work(tree: Path) -> None:
    traces = Traces(os.environ)
    before = traces.commit(tree.as_posix())
    git(tree, "commit", "-q", "--allow-empty", "-m", "third")
    assert traces.commit(tree.as_posix()) not in (None, before)
    assert (changed(tree) or 0) > LONG_AGO_S


def test_where_there_is_no_git_nobody_can_tell(tmp_path: Path) -> None:
    traces = Traces({**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    for tree in (tmp_path, tmp_path / "gone"):
        assert traces.changed_at_ms(tree.as_posix()) is None
        assert traces.commit(tree.as_posix()) is None
