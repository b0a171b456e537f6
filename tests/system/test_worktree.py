"""Worktrees of tasks, in real repositories."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError
from atms_cli.system.worktree import branch
from atms_cli.system.worktrees import Worktrees

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_DIR": "/somebody/else's",
}
PLAIN = {name: value for name, value in ENVIRON.items() if name != "GIT_DIR"} | {
    "GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@x", "GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "ann@x",
}  # fmt: skip


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(  # noqa: TID251  a test stands outside
        ["git", *arguments], cwd=directory, env=PLAIN, check=True, capture_output=True, text=True
    ).stdout.strip()  # fmt: skip


def commit(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(text)
    git(directory, "add", name)
    git(directory, "commit", "-qm", f"{name}: {text.strip()}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, "a.txt", "a\n")
    return root


@pytest.fixture
def trees(root: Path) -> Worktrees:
    return Worktrees(str(root), str(root.parent / "worktrees"), ENVIRON)


def worked(trees: Worktrees, root: Path, task: str, name: str, text: str) -> Path:
    trees.ensure(task)
    place = root.parent / "worktrees" / task
    (place / name).write_text(text)
    assert trees.commit(task, f"Work on {task}") == []
    return place


def test_a_worktree_is_made_once_and_found_again(trees: Worktrees, root: Path) -> None:
    assert trees.path("t1") is None
    place, is_set_up = trees.ensure("t1")
    assert (place, is_set_up) == (str(root.parent / "worktrees" / "t1"), False)
    assert trees.path("t1") == place
    (root.parent / "worktrees" / "t1.ready").touch()
    assert trees.ensure("t1") == (place, True)
    assert git(root, "branch", "--list", "atms/*").endswith("atms/t1")


def test_a_workspace_below_the_repository_is_found_in_the_worktree(root: Path) -> None:
    (root / "part").mkdir()
    commit(root, "part/b.txt", "b\n")
    place, _ = Worktrees(str(root / "part"), str(root.parent / "w"), ENVIRON).ensure("t1")
    assert place == str(root.parent / "w" / "t1" / "part")


def test_a_worktree_that_was_deleted_by_hand_goes_on_with_its_branch(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "b.txt", "b\n")
    git(root, "worktree", "remove", "--force", str(place))
    trees.ensure("t1")
    assert (place / "b.txt").read_text() == "b\n"


@pytest.mark.parametrize(("policy", "parents"), [("fast-forward", 1), ("squash", 1)])
def test_work_comes_back_and_its_worktree_goes(trees: Worktrees, root: Path, policy: str, parents: int) -> None:
    place = worked(trees, root, "t1", "b.txt", "b\n")
    (place / "c.txt").write_text("c\n")
    trees.commit("t1", "More")
    merged = trees.merge("t1", policy, "All of it")
    assert (merged["kind"], merged["into"]) == ("merged", "main")
    assert trees.merge("t1", policy, "All of it") == {"kind": "nothing"}, "as after a crash"
    assert trees.clean_up("t1", is_merged=True) is None
    assert (root / "b.txt").read_text() + (root / "c.txt").read_text() == "b\nc\n"
    assert git(root, "rev-parse", "HEAD") == merged["commit"]
    assert int(git(root, "rev-list", "--count", f"{merged['base']}..HEAD")) == (1 if policy == "squash" else 2)
    assert len(git(root, "show", "-s", "--format=%P").split()) == parents
    assert git(root, "status", "--short") == ""
    assert not place.exists()
    assert git(root, "branch", "--list", "atms/*") == ""
    assert "+c" in trees.changes(str(merged["base"]), str(merged["commit"]))


def test_without_changes_there_is_nothing_to_merge(trees: Worktrees, root: Path) -> None:
    place, _ = trees.ensure("t1")
    assert trees.commit("t1", "Nothing") == []
    assert trees.merge("t1", "fast-forward", "x") == {"kind": "nothing"}
    assert trees.clean_up("t1", is_merged=True) is None
    assert not os.path.exists(place)
    assert git(root, "branch", "--list", "atms/*") == ""


def test_without_a_policy_the_work_stays_on_its_branch(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "b.txt", "b\n")
    kept = trees.merge("t1", "none", "x")
    assert (kept["kind"], kept["branch"]) == ("kept", branch("t1"))
    assert trees.clean_up("t1", is_merged=False) is None
    assert not place.exists(), "all of it is on the branch"
    assert git(root, "show", f"{branch('t1')}:b.txt") == "b"
    assert "+b" in str(trees.diff("t1"))
    git(root, "checkout", "-q", "--detach")
    worked(trees, root, "t2", "c.txt", "c\n")
    assert trees.merge("t2", "fast-forward", "x")["kind"] == "kept", "there is no branch to bring it into"


def test_what_others_did_meanwhile_is_judged_with_it(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "b.txt", "b\n")
    commit(root, "other.txt", "theirs\n")
    assert trees.merge("t1", "fast-forward", "x") == {"kind": "again", "into": "main"}
    assert (place / "other.txt").exists()
    assert not (root / "b.txt").exists(), "not before the gates have seen both"
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "merged"
    assert (root / "b.txt").exists()


def test_a_conflict_is_left_in_the_work_until_it_is_resolved(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "a.txt", "mine\n")
    commit(root, "a.txt", "theirs\n")
    conflict = trees.merge("t1", "fast-forward", "x")
    assert (conflict["kind"], conflict["into"], conflict["files"]) == ("conflict", "main", ["a.txt"])
    assert " +mine\n" in str(conflict["text"])
    assert "+ theirs\n" in str(conflict["text"])
    assert "<<<<<<<" in (place / "a.txt").read_text()
    assert trees.commit("t1", "Not resolved") == ["a.txt"]
    git(place, "commit", "-qam", "the agent says that it is")
    assert trees.commit("t1", "Not resolved") == ["a.txt"], "markers are no work, whoever commits them"
    (place / "a.txt").write_text("both\n")
    assert trees.commit("t1", "Resolved") == []
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "merged"
    assert (root / "a.txt").read_text() == "both\n"


def test_a_conflict_without_markers_is_not_resolved_by_doing_nothing(trees: Worktrees, root: Path) -> None:
    (root / "picture").write_bytes(b"\0base")
    git(root, "add", "picture")
    git(root, "commit", "-qm", "picture")
    trees.ensure("t1")
    place = root.parent / "worktrees" / "t1"
    (place / "picture").write_bytes(b"\0mine")
    git(place, "rm", "-q", "a.txt")
    trees.commit("t1", "Mine")
    (root / "picture").write_bytes(b"\0theirs")
    (root / "a.txt").write_text("theirs\n")
    git(root, "commit", "-qam", "theirs")
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "conflict"
    assert trees.commit("t1", "Nothing done") == ["a.txt", "picture"]
    (place / "picture").write_bytes(b"\0both")
    (place / "a.txt").write_text("both\n")
    assert trees.commit("t1", "Done") == []


def test_a_heading_is_no_conflict(trees: Worktrees, root: Path) -> None:
    worked(trees, root, "t1", "CHANGES.rst", "Changes\n=======\n")
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "merged"


@pytest.mark.parametrize(
    "words", [["checkout", "-q", "--detach"], ["checkout", "-qb", "feature"], ["branch", "-m", "other"]]
)
def test_work_that_is_not_on_its_branch_is_not_taken_and_not_lost(
    trees: Worktrees, root: Path, words: list[str]
) -> None:
    trees.ensure("t1")
    place = root.parent / "worktrees" / "t1"
    git(place, *words)
    commit(place, "mine.txt", "mine\n")
    for act in (lambda: trees.commit("t1", "x"), lambda: trees.merge("t1", "fast-forward", "x")):
        with pytest.raises(AtmsError, match="it has to be on atms/t1"):
            act()
    assert "it has to be on atms/t1" in str(trees.clean_up("t1", is_merged=True))
    assert (place / "mine.txt").exists()


def test_git_is_not_let_loose_on_the_repository_around_a_worktree_that_is_none(trees: Worktrees, root: Path) -> None:
    inside = Worktrees(str(root), str(root / ".atms" / "worktrees"), ENVIRON)
    place = root / ".atms" / "worktrees" / "t1"
    inside.ensure("t1")
    (place / ".git").unlink()
    (root / "secret.txt").write_text("a person's\n")
    for act in (lambda: inside.commit("t1", "x"), lambda: inside.merge("t1", "none", "x"), lambda: inside.ensure("t1")):
        with pytest.raises(AtmsError, match="is not the worktree that it was"):
            act()
    assert "is not the worktree that it was" in str(inside.clean_up("t1", is_merged=True))
    assert git(root, "log", "--oneline").count("\n") == 0
    assert trees.path("t1") is None


def test_a_worktree_whose_making_was_cut_short_is_made_anew(trees: Worktrees, root: Path) -> None:
    place = root.parent / "worktrees" / "t1"
    git(root, "worktree", "add", "--no-checkout", "-q", "-b", "atms/t1", str(place), "HEAD")
    git(root, "worktree", "lock", "--reason", "initializing", str(place))
    assert trees.path("t1") is None
    trees.ensure("t1")
    assert (place / "a.txt").read_text() == "a\n"


def test_a_repository_within_the_work_is_refused(trees: Worktrees, root: Path) -> None:
    trees.ensure("t1")
    within = root.parent / "worktrees" / "t1" / "lib"
    within.mkdir()
    git(within, "init", "-q")
    commit(within, "v.txt", "v\n")
    with pytest.raises(AtmsError, match="lib: a git repository within the work"):
        trees.commit("t1", "x")


def test_who_switches_branches_does_not_get_the_work_on_the_other_one(trees: Worktrees, root: Path) -> None:
    worked(trees, root, "t1", "b.txt", "b\n")
    git(root, "checkout", "-qb", "release")
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "kept"
    git(root, "checkout", "-q", "main")
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "merged"


def test_what_a_person_has_set_for_git_does_not_get_in_the_way(trees: Worktrees, root: Path) -> None:
    for name, value in (
        ("merge.ff", "only"),
        ("color.ui", "always"),
        ("commit.cleanup", "strip"),
        ("commit.gpgsign", "true"),
    ):
        git(root, "config", name, value)
    trees.ensure("t1")
    (root.parent / "worktrees" / "t1" / "b.txt").write_text("b\n")
    trees.commit("t1", "#12 fix it\n")
    assert git(root, "show", "-s", "--format=%s", branch("t1")) == "#12 fix it"
    git(root, "config", "commit.gpgsign", "false")
    commit(root, "other.txt", "theirs\n")
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "again"
    assert "\x1b" not in str(trees.diff("t1"))


def test_changes_of_a_person_are_not_overwritten(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "a.txt", "mine\n")
    (root / "a.txt").write_text("not committed\n")
    refused = trees.merge("t1", "fast-forward", "x")
    assert refused["kind"] == "refused"
    assert "a.txt" in str(refused["detail"])
    assert (root / "a.txt").read_text() == "not committed\n"
    assert place.exists()


def test_a_worktree_with_changes_stays(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "b.txt", "b\n")
    (place / "later.txt").write_text("made by a gate\n")
    merged = trees.merge("t1", "fast-forward", "x")
    assert merged["kind"] == "merged"
    assert trees.clean_up("t1", is_merged=True) == "something in it is not committed"
    assert (place / "later.txt").exists()


def test_the_person_is_the_author_if_git_knows_one(trees: Worktrees, root: Path) -> None:
    worked(trees, root, "t1", "b.txt", "b\n")
    assert git(root, "show", "-s", "--format=%an", branch("t1")) == "atms"
    git(root, "config", "user.email", "ann@example.org")
    git(root, "config", "user.name", "Ann")
    worked(Worktrees(str(root), str(root.parent / "worktrees"), ENVIRON), root, "t2", "c.txt", "c\n")
    assert git(root, "show", "-s", "--format=%an", branch("t2")) == "Ann"


def test_what_is_not_committed_yet_shows_in_the_diff(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "b.txt", "b\n")
    (place / "a.txt").write_text("changed\n")
    (place / "new.txt").write_text("new\n")
    assert "+changed" in str(trees.diff("t1"))
    assert "+new" in str(trees.diff("t1"))
    assert git(place, "status", "--short") == "M a.txt\n?? new.txt", "its index is as it was"
    assert "+b" in str(trees.diff("t1"))
    assert trees.diff("t9") is None


def test_where_there_is_nothing_to_branch_from(tmp_path: Path) -> None:
    trees = Worktrees(str(tmp_path), str(tmp_path / "w"), ENVIRON)
    with pytest.raises(AtmsError, match="not a git repository"):
        trees.ensure("t1")
    git(tmp_path, "init", "-q")
    with pytest.raises(AtmsError) as refusal:
        trees.ensure("t1")
    assert refusal.value.hint == "make a first commit: git commit"


def test_a_straight_history(trees: Worktrees, root: Path) -> None:
    worked(trees, root, "t1", "b.txt", "b\n")
    commit(root, "other.txt", "theirs\n")
    assert trees.merge("t1", "rebase", "x") == {"kind": "again", "into": "main"}
    assert not (root / "b.txt").exists(), "not before the gates have seen both"
    assert trees.merge("t1", "rebase", "x")["kind"] == "merged"
    assert git(root, "log", "--format=%s") == "Work on t1\nother.txt: theirs\na.txt: a"


def test_a_conflict_in_a_rebase_is_left_in_a_merge_and_comes_back_straight(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "a.txt", "mine\n")
    commit(root, "a.txt", "theirs\n")
    assert trees.merge("t1", "rebase", "All of it")["kind"] == "conflict"
    assert "<<<<<<<" in (place / "a.txt").read_text()
    (place / "a.txt").write_text("both\n")
    assert trees.commit("t1", "Resolved") == []
    assert trees.merge("t1", "rebase", "All of it")["kind"] == "merged"
    assert git(root, "log", "--format=%s") == "All of it\na.txt: theirs\na.txt: a"
    assert (root / "a.txt").read_text() == "both\n"


def test_work_is_handed_over_to_whoever_opens_the_pull_request(trees: Worktrees, root: Path) -> None:
    worked(trees, root, "t1", "b.txt", "b\n")
    tip = git(root, "rev-parse", branch("t1"))
    assert trees.merge("t1", "command", "x") == {
        "kind": "hand_over",
        "into": "main",
        "branch": branch("t1"),
        "commit": tip,
    }
    trees.ensure("t2")
    assert trees.merge("t2", "command", "x") == {"kind": "nothing"}


def test_why_work_stays_on_its_branch_is_said(trees: Worktrees, root: Path) -> None:
    worked(trees, root, "t1", "b.txt", "b\n")
    git(root, "checkout", "-qb", "release")
    assert (
        trees.merge("t1", "fast-forward", "x")["reason"]
        == "main is not checked out in the workspace any more, release is"
    )
    git(root, "checkout", "-q", "--detach")
    assert trees.merge("t1", "fast-forward", "x")["reason"] == "main is not checked out in the workspace any more"
    worked(trees, root, "t2", "c.txt", "c\n")
    assert trees.merge("t2", "fast-forward", "x")["reason"] == "no branch was checked out when its worktree was made"


def test_hooks_of_a_person_guard_their_branch(trees: Worktrees, root: Path) -> None:
    hook = root / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        '#!/bin/sh\n[ "$1" != prepared ] || ! grep -q refs/heads/main || { echo "main is frozen" >&2; exit 1; }\n'
    )
    hook.chmod(0o755)
    worked(trees, root, "t1", "b.txt", "b\n")
    before = git(root, "rev-parse", "HEAD")
    refused = trees.merge("t1", "fast-forward", "x")
    assert (refused["kind"], "main is frozen" in str(refused["detail"])) == ("refused", True)
    assert git(root, "rev-parse", "HEAD") == before
    assert git(root, "status", "--short") == "", "the files are as they were"
    hook.unlink()
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "merged"


def test_a_hook_that_fails_afterwards_changes_nothing(trees: Worktrees, root: Path) -> None:
    hook = root / ".git" / "hooks" / "post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ntouch "$PWD/hooked.txt"; exit 1\n')
    hook.chmod(0o755)
    worked(trees, root, "t1", "b.txt", "b\n")
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "merged"
    assert (root / "hooked.txt").exists()


@pytest.mark.parametrize("name", ["../t1", "a/b", ".git", "-x", "", "a" * 101, "ü"])
def test_no_name_leads_out_of_the_directory(trees: Worktrees, root: Path, name: str) -> None:
    for act in (
        lambda: trees.ensure(name),
        lambda: trees.commit(name, "x"),
        lambda: trees.path(name),
        lambda: trees.diff(name),
    ):
        with pytest.raises(AtmsError, match="cannot be the name of a worktree"):
            act()
    assert git(root, "worktree", "list").count("\n") == 0


def test_a_note_that_was_deleted_costs_nothing(trees: Worktrees, root: Path) -> None:
    place, _ = trees.ensure("t1")
    (root.parent / "worktrees" / "t1.json").unlink()
    (root.parent / "worktrees" / "t1" / "b.txt").write_text("half done\n")
    assert trees.ensure("t1") == (place, False)
    assert (root.parent / "worktrees" / "t1" / "b.txt").read_text() == "half done\n"


def test_what_is_in_the_way_is_moved_and_not_removed(trees: Worktrees, root: Path) -> None:
    there = root.parent / "worktrees" / "t1"
    there.mkdir(parents=True)
    (there / "mine.txt").write_text("a person's\n")
    trees.ensure("t1")
    assert (root.parent / "worktrees" / "t1.left-1" / "mine.txt").read_text() == "a person's\n"
    assert (there / "a.txt").exists()


def test_locks_of_a_git_that_was_killed_are_no_hindrance(trees: Worktrees, root: Path) -> None:
    trees.ensure("t1")
    (root / ".git" / "worktrees" / "t1" / "index.lock").touch()
    (root / ".git" / "refs" / "heads" / "atms" / "t1.lock").touch()
    worked(trees, root, "t1", "b.txt", "b\n")
    assert git(root, "show", f"{branch('t1')}:b.txt") == "b"


def kill_at(root: Path, name: str, *, once: Path) -> None:
    """Let the git that writes a file of that name be killed in the middle, once."""
    git(root, "config", "filter.deadly.smudge", f"test -e {once} || {{ touch {once}; kill -9 $PPID; }}; cat")
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "attributes").write_text(f"{name} filter=deadly\n")


def test_a_git_that_is_killed_while_it_makes_a_worktree(trees: Worktrees, root: Path) -> None:
    for name in ("k.txt", "z.txt"):
        commit(root, name, "whole\n")
    kill_at(root, "k.txt", once=root.parent / "killed")
    with pytest.raises(AtmsError, match="git reset failed: exit code -9"):
        trees.ensure("t1")
    assert (root.parent / "killed").exists()
    place, is_set_up = trees.ensure("t1")
    assert not is_set_up
    assert git(root.parent / "worktrees" / "t1", "status", "--short") == ""
    assert sorted(os.listdir(root.parent / "worktrees")) == [".locks", "t1", "t1.json"]
    assert place.endswith("t1")


def test_a_git_that_is_killed_while_it_moves_the_branch_of_a_person(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "a.txt", "changed\n")
    for name in ("b.txt", "k.txt", "z.txt"):
        (place / name).write_text(f"{name}\n")
    trees.commit("t1", "More")
    kill_at(root, "k.txt", once=root.parent / "killed")
    refused = trees.merge("t1", "fast-forward", "x")
    assert (root.parent / "killed").exists()
    assert (refused["kind"], "index.lock" in str(refused["detail"])) == ("refused", True)
    (root / ".git" / "index.lock").unlink()
    assert trees.merge("t1", "fast-forward", "x")["kind"] == "merged"
    assert git(root, "status", "--short") == ""
    assert (root / "z.txt").read_text() == "z.txt\n"


def test_a_git_that_is_killed_while_it_rebases(trees: Worktrees, root: Path) -> None:
    place = worked(trees, root, "t1", "b.txt", "b\n")
    (place / "c.txt").write_text("c\n")
    trees.commit("t1", "More")
    commit(root, "k.txt", "theirs\n")
    kill_at(root, "k.txt", once=root.parent / "killed")
    with pytest.raises(AtmsError):
        trees.merge("t1", "rebase", "x")
    assert trees.merge("t1", "rebase", "x")["kind"] == "again"
    assert trees.merge("t1", "rebase", "x")["kind"] == "merged"
    assert git(root, "log", "--format=%s", "-3") == "More\nWork on t1\nk.txt: theirs"
