"""Files that commands leave, whatever they are, and what git says has changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from atms_cli.domain.hunks import added_lines
from atms_cli.errors import AtmsError, NotFoundError
from atms_cli.system.checkout import Checkout
from atms_cli.system.reportfiles import ReportFiles
from tests.system.test_worktree import ENVIRON, commit, git

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1 << 20
files = ReportFiles()


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * MOST)
    assert len(files.read(str(path), MOST)) == MOST
    path.write_bytes(b"x" * (MOST + 1))
    with pytest.raises(AtmsError, match="larger than 1 MiB"):
        files.read(str(path), MOST)


def test_what_is_no_file_is_refused_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AtmsError, match="it is not a file"):
        files.read(str(tmp_path / "pipe"), MOST)
    with pytest.raises(AtmsError, match="not there"):
        files.read(str(tmp_path / "nothing"), MOST)
    for wrong in (str(tmp_path), "/dev/zero", "a\0b", f"{tmp_path}/{'x' * 5000}"):
        with pytest.raises(AtmsError):
            files.read(wrong, MOST)


def test_what_is_written_again_has_another_mark(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert files.mark(str(path)) == ""
    path.write_text("1")
    before = files.mark(str(path))
    assert before == files.mark(str(path)) != ""
    path.write_text("12")
    assert files.mark(str(path)) != before
    assert files.mark("a\0b") == ""


def test_files_by_globs(tmp_path: Path) -> None:
    for name in ("dist/a.js", "dist/deep/b.js", "dist/c.css", "src/d.js", ".git/e.js", "node_modules/f.js"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "dist/link.js").symlink_to("a.js")
    found = {tuple(globs): [name for name, _ in files.found(str(tmp_path), globs)] for globs in (
        ["dist/*.js"], ["dist/**/*.js"], ["**/*.js"], ["dist/", "!*.css"], ["dist/a.js"], ["nowhere/*"], ["node_modules/*.js"],
    )}  # fmt: skip
    assert found == {
        ("dist/*.js",): ["dist/a.js"],
        ("dist/**/*.js",): ["dist/a.js", "dist/deep/b.js"],
        ("**/*.js",): ["dist/a.js", "dist/deep/b.js", "src/d.js"],
        ("dist/", "!*.css"): ["dist/a.js", "dist/deep/b.js"],
        ("dist/a.js",): ["dist/a.js"],
        ("nowhere/*",): [],
        ("node_modules/*.js",): ["node_modules/f.js"],
    }
    assert files.found(str(tmp_path), ["dist/a.js"]) == [("dist/a.js", 9)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    return root


def test_lines_that_have_changed(root: Path) -> None:
    checkout = Checkout(str(root), ENVIRON)
    (root / "new.py").write_text("1\n2\n")
    assert checkout.head() is None
    assert added_lines(checkout.diff(None)) == {"new.py": [range(1, 4)]}, "nothing is committed yet"
    commit(root, "a b.py", "1\n2\n3\n")
    commit(root, "é.py", "1\n")
    git(root, "switch", "-qc", "work")
    (root / "a b.py").write_text("1\ntwo\n3\n4\n")
    assert added_lines(checkout.diff(None)) == {"a b.py": [range(2, 3), range(4, 5)], "new.py": [range(1, 4)]}
    commit(root, "é.py", "1\n+++ x\n")
    git(root, "commit", "-qam", "all")
    assert added_lines(checkout.diff(None)) == {"new.py": [range(1, 4)]}
    assert added_lines(checkout.diff("main")) == {
        "a b.py": [range(2, 3), range(4, 5)],
        "é.py": [range(2, 3)],
        "new.py": [range(1, 4)],
    }
    assert checkout.head() == git(root, "rev-parse", "HEAD")
    with pytest.raises(NotFoundError):
        checkout.diff("nowhere")
