"""Finding the workspace from anywhere, with real git."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import NotFoundError
from atms_cli.store import creation, paths

if TYPE_CHECKING:
    from pathlib import Path


def git(directory: Path, *words: str) -> None:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *words], cwd=directory, check=True, capture_output=True)  # noqa: TID251  a test stands outside


def repository(root: Path) -> Path:
    root.mkdir()
    git(root, "init")
    git(root, "commit", "--allow-empty", "-m", "first")
    return root


def test_upward_from_the_working_directory(tmp_path: Path) -> None:
    assert creation.create(str(tmp_path))
    assert not creation.create(str(tmp_path)), "a second time changes nothing"
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert paths.find_root(str(deep), {}) == str(tmp_path)
    assert (tmp_path / ".atms" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_the_nearest_one_counts(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    creation.create(str(tmp_path))
    creation.create(str(inner))
    assert paths.find_root(str(inner), {}) == str(inner)


def test_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as refusal:
        paths.find_root(str(tmp_path), {})
    assert refusal.value.hint == "make one here: atms init"


def test_named_by_the_environment(tmp_path: Path) -> None:
    creation.create(str(tmp_path))
    assert paths.find_root("/", {"ATMS_WORKSPACE": str(tmp_path)}) == str(tmp_path)
    with pytest.raises(NotFoundError):
        paths.find_root(str(tmp_path), {"ATMS_WORKSPACE": str(tmp_path / "elsewhere")})


def test_a_linked_worktree_has_the_main_ones_queue(tmp_path: Path) -> None:
    main = repository(tmp_path / "main")
    creation.create(str(main))
    git(main, "worktree", "add", str(tmp_path / "linked"))
    git(main, "worktree", "add", str(main / ".atms" / "worktrees" / "t1"))
    below = tmp_path / "linked" / "src"
    below.mkdir()
    for start in (tmp_path / "linked", below, main / ".atms" / "worktrees" / "t1"):
        assert paths.find_root(str(start), {}) == str(main)


def test_a_linked_worktree_with_a_relative_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git makes it from 2.48 on if `worktree.useRelativePaths` is set."""
    main = repository(tmp_path / "main")
    creation.create(str(main))
    git(main, "worktree", "add", str(tmp_path / "linked"))
    (tmp_path / "linked" / ".git").write_text("gitdir: ../main/.git/worktrees/linked\n", encoding="utf-8")
    below = tmp_path / "linked" / "src"
    below.mkdir()
    monkeypatch.chdir(below)
    assert paths.find_root(str(below), {}) == str(main)


def test_a_submodule_is_not_a_linked_worktree(tmp_path: Path) -> None:
    library, main = repository(tmp_path / "library"), repository(tmp_path / "main")
    git(main, "-c", "protocol.file.allow=always", "submodule", "add", str(library), "library")
    creation.create(str(main))
    assert paths.find_root(str(main / "library"), {}) == str(main), "found upward, like any directory"
