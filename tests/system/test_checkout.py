"""A tree of files as git knows it, with real git: what is there, what has changed, and what tells contents apart."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import NotFoundError
from atms_cli.system.checkout import Checkout

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {
    "PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org",
}  # fmt: skip


def git(root: Path, *words: str) -> str:
    return subprocess.run(  # noqa: TID251  a test stands outside
        ["git", *words], cwd=root, env=ENVIRON, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-qb", "main")
    for name in ("a.txt", "sub/b c.txt", "\u00fc.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("*.log\n", encoding="utf-8")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_where_git_is_not_nothing_is_known(tmp_path: Path) -> None:
    assert not Checkout(str(tmp_path), ENVIRON).is_there()
    assert not Checkout(str(tmp_path / "nowhere"), ENVIRON).is_there()
    assert not Checkout(str(tmp_path), {"PATH": "/nowhere"}).is_there()


def test_what_is_there_and_what_has_changed(root: Path) -> None:
    checkout = Checkout(str(root), ENVIRON)
    assert checkout.is_there()
    assert checkout.files() == [".gitignore", "a.txt", "sub/b c.txt", "\u00fc.txt"]
    assert checkout.changed(None) == []
    (root / "a.txt").unlink()
    (root / "\u00fc.txt").write_text("2\n", encoding="utf-8")
    (root / "sub" / "new.txt").write_text("new\n", encoding="utf-8")
    (root / "x.log").write_text("ignored\n", encoding="utf-8")
    assert checkout.files() == [".gitignore", "sub/b c.txt", "sub/new.txt", "\u00fc.txt"]
    assert checkout.changed(None) == ["a.txt", "sub/new.txt", "\u00fc.txt"]
    assert Checkout(str(root / "sub"), ENVIRON).changed(None) == ["new.txt"], (
        "paths are from the directory, as are its files"
    )


def test_what_has_changed_since_a_branch_was_left(root: Path) -> None:
    git(root, "switch", "-qc", "work")
    (root / "mine.txt").write_text("mine\n", encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "-qm", "mine")
    git(root, "switch", "-q", "main")
    (root / "theirs.txt").write_text("theirs\n", encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "-qm", "theirs")
    git(root, "switch", "-q", "work")
    checkout = Checkout(str(root), ENVIRON)
    assert checkout.changed("main") == ["mine.txt"]
    with pytest.raises(NotFoundError, match="cannot compare with `nowhere`"):
        checkout.changed("nowhere")


def test_before_the_first_commit_all_has_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("1\n", encoding="utf-8")
    assert Checkout(str(tmp_path), ENVIRON).changed(None) == ["a.txt"]


def test_contents_are_told_apart_whether_they_are_committed_or_not(root: Path) -> None:
    checkout = Checkout(str(root), ENVIRON)
    committed = checkout.contents()
    assert committed is not None
    (root / "a.txt").write_text("2\n", encoding="utf-8")
    (root / "new.txt").write_text("1\n", encoding="utf-8")
    os.symlink("a.txt", root / "link")
    changed = checkout.contents()
    assert changed is not None
    assert changed["a.txt"] != committed["a.txt"]
    assert changed["new.txt"] == committed["a.txt"], "the same content counts as the same, wherever it is"
    git(root, "add", "--all")
    assert checkout.contents() == changed
    git(root, "commit", "-qm", "second")
    assert checkout.contents() == changed
    (root / "a.txt").chmod(0o755)
    assert checkout.contents() != changed
    (root / "a.txt").chmod(0o644)
    (root / "new.txt").unlink()
    gone = checkout.contents()
    assert gone is not None
    assert gone["new.txt"] == "gone"


def test_of_what_is_no_file_nothing_is_said(root: Path) -> None:
    os.mkdir(root / "within")
    git(root / "within", "init", "-q")
    git(root / "within", "commit", "-q", "--allow-empty", "-m", "first")
    git(root, "add", "within")
    git(root, "commit", "-qm", "a repository within")
    assert Checkout(str(root), ENVIRON).contents() is not None
    git(root / "within", "commit", "-q", "--allow-empty", "-m", "second")
    assert Checkout(str(root), ENVIRON).contents() is None


def test_looking_writes_nothing(root: Path) -> None:
    before = (root / ".git" / "index").stat().st_mtime_ns
    os.utime(root / "a.txt", (1, 1))
    checkout = Checkout(str(root), {**ENVIRON, "GIT_INDEX_FILE": str(root / "somebody's"), "GIT_DIR": "/nowhere"})
    assert checkout.is_there()
    checkout.contents()
    checkout.changed(None)
    assert (root / ".git" / "index").stat().st_mtime_ns == before
    assert not (root / "somebody's").exists()
