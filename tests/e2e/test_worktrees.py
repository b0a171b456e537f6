"""Worktrees that are kept: what becomes of them, and what is done when there are too many."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)


def git(atms: Atms, *arguments: str) -> str:
    return subprocess.run(  # noqa: TID251  a test stands outside
        ["git", *arguments], cwd=atms.root, env=atms.env, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def apart(repository: Atms) -> Atms:
    atms = repository
    git(atms, "config", "user.email", "ann@example.org")
    git(atms, "config", "user.name", "Ann")
    atms.write("a.txt", "a\n")
    settings(atms, "")
    git(atms, "add", "a.txt")
    git(atms, "commit", "-qm", "first")
    return atms


def settings(atms: Atms, more: str) -> None:
    atms.settings(f"execution: {{isolation: worktree, max_attempts: 1, {more}}}\n")


def states(atms: Atms) -> dict[str, str]:
    return {each["task"]: each["state"] for each in atms.json("task", "worktrees")}


def test_what_each_is_kept_for_and_what_may_go(apart: Atms) -> None:
    empty = apart.add("Empty", "--command", "false")
    dirty = apart.add("Dirty", "--command", "echo x > new.txt; false")
    committed = apart.add("Committed", "--command", "echo y > y.txt; git add y.txt; git commit -qm y; false")
    apart("run", "--drain", code=8)
    waiting = apart.add("Waiting", "--command", "false", "--retries", "1")
    apart("run", "--once", code=8)
    assert states(apart) == {empty: "removable", dirty: "dirty", committed: "unmerged", waiting: "waiting"}
    shown = apart("task", "worktrees")
    assert "1 worktree may go: atms task worktrees --prune" in shown.err
    rows = {tuple(line.split()[:2]) for line in shown.lines[1:]}
    assert rows == {(empty, "removable"), (dirty, "dirty"), (committed, "unmerged"), (waiting, "waiting")}
    about = next(each for each in apart.json("task", "worktrees") if each["task"] == dirty)
    assert (about["title"], about["status"], about["branch"]) == ("Dirty", "failed", f"atms/{dirty}")
    assert about["size"] > 0
    assert apart("task", "worktrees", "--prune").out == f"removed the worktree of {empty}\n"
    assert {*states(apart)} == {dirty, committed, waiting}
    assert "nothing may go" in apart("task", "worktrees", "--prune").err
    assert "worktrees of tasks take" in apart("doctor").out + apart("doctor").err


def test_one_that_holds_nothing_is_kept_for_a_while(apart: Atms) -> None:
    empty = apart.add("Empty", "--command", "false")
    apart("run", "--drain", code=8)
    apart("run", "--drain", code=8)
    assert states(apart) == {empty: "removable"}
    settings(apart, "worktrees: {keep: 0.001}")
    apart("run", "--drain", code=8)
    assert states(apart) == {}
    assert git(apart, "branch", "--list", "atms/*") == ""


def test_one_that_stayed_after_its_work_came_back_goes_once_it_is_clean(apart: Atms) -> None:
    apart("gate", "add", "leaves", "--command", "touch left.txt")
    one = apart.add("Leaves something", "--command", "echo x > new.txt")
    apart("run", "--drain")
    assert states(apart) == {one: "dirty"}
    (apart.root / ".atms" / "worktrees" / one / "left.txt").unlink()
    apart("run", "--drain")
    assert states(apart) == {}


def test_no_new_one_is_made_when_too_many_are_kept_and_nothing_is_deleted(apart: Atms) -> None:
    settings(apart, "worktrees: {max_count: 1}")
    kept = apart.add("Kept", "--command", "echo x > new.txt; false")
    apart("run", "--drain", code=8)
    apart.add("Crowded out", "--command", "true", "-p", "critical")
    apart.add("In the tree", "--command", "true", "--isolation", "shared")
    again = apart("run", "--drain", "--progress", "plain", code=8)
    assert "no new worktree is made: 1 worktrees are kept of at most 1; see: atms task worktrees" in again.out
    assert sorted(apart.statuses().values()) == ["completed", "failed", "queued"]
    assert states(apart) == {kept: "dirty"}
    git(apart, "-C", str(apart.root / ".atms" / "worktrees" / kept), "clean", "-qfd")
    settings(apart, "worktrees: {max_count: 1, keep: 0.001}")
    apart("run", "--drain", code=8)
    assert sorted(apart.statuses().values()) == ["completed", "completed", "failed"]


def test_a_task_that_has_a_worktree_goes_on_in_a_crowd(apart: Atms) -> None:
    settings(apart, "worktrees: {max_count: 1}")
    apart.add("Kept", "--command", "echo x > new.txt; false", "-p", "critical")
    twice = apart.add("Twice", "--command", "test -e again || { touch again; false; }", "--retries", "1")
    apart("config", "set", "execution.retry_delay", "0.01")
    apart.add("Crowded out", "--command", "true", "-p", "critical", "--after-any", twice)
    apart("run", "--drain", "-j", "2", code=8)
    assert apart.task(twice)["status"] == "completed"
    assert sorted(apart.statuses().values()) == ["completed", "failed", "queued"]


def test_how_much_may_be_kept(apart: Atms) -> None:
    settings(apart, "worktrees: {max_size: 100K}")
    apart.add("Large", "--command", "head -c 200000 /dev/zero > large.bin; false")
    apart("run", "--drain", code=8)
    small = apart.add("Small", "--command", "true")
    assert "worktrees take" in apart("run", "--drain", "--progress", "plain", code=8).out
    assert apart.task(small)["status"] == "queued"


def test_a_teardown_is_run_for_what_is_pruned(apart: Atms) -> None:
    settings(apart, 'teardown: "test -e ../../../may-go"')
    one = apart.add("Empty", "--command", "false")
    apart("run", "--drain", code=8)
    refused = apart("task", "worktrees", "--prune", code=1)
    assert f"the worktree of {one} stays: its teardown failed; see " in refused.err
    apart.write("may-go", "")
    apart("task", "worktrees", "--prune")
    assert states(apart) == {}


def test_a_broken_one_is_a_finding_and_stays(apart: Atms) -> None:
    one = apart.add("Breaks", "--command", "rm .git; echo x > mine.txt; false")
    apart("run", "--drain", code=8)
    assert states(apart) == {one: "broken"}
    assert "is not the worktree that it was" in apart("doctor", code=1).out
    apart("task", "worktrees", "--prune")
    assert (apart.root / ".atms" / "worktrees" / one / "mine.txt").exists()
