"""Tasks that work apart, each in a git worktree, and how their work comes back."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    atms.settings("execution: {isolation: worktree, retry_delay: 0.1}\n")
    git(atms, "add", "a.txt", "atms.yaml")
    git(atms, "commit", "-qm", "first")
    return atms


def worktrees(atms: Atms) -> int:
    return len(git(atms, "worktree", "list").splitlines()) - 1


def test_tasks_do_not_see_each_others_half_done_work(apart: Atms) -> None:
    for name in ("b", "c", "d"):
        apart.add(f"Write {name}", "--command", f"ls > seen-{name}.txt; echo {name} > {name}.txt; sleep 0.2")
    apart("gate", "add", "quick", "--command", "test -e a.txt")
    git(apart, "commit", "-qam", "gate")
    out = apart("run", "--drain", "-j", "3", "--progress", "plain").out
    assert "done: 3 completed" in out
    assert sorted(git(apart, "ls-files", "?.txt").split()) == ["a.txt", "b.txt", "c.txt", "d.txt"]
    for name in ("b", "c", "d"):
        seen = (apart.root / f"seen-{name}.txt").read_text().split()
        assert not {"b.txt", "c.txt", "d.txt"}.intersection(seen), seen
    assert git(apart, "status", "--short") == ""
    assert (worktrees(apart), git(apart, "branch", "--list", "atms/*")) == (0, "")


def test_gates_see_the_work_and_not_the_tree_of_the_person(apart: Atms) -> None:
    apart("gate", "add", "there", "--command", "test -e new.txt && test ! -e mine.txt")
    git(apart, "commit", "-qam", "gate")
    apart.write("mine.txt", "a person is at work here\n")
    one = apart.add("Write it", "--command", "echo x > new.txt")
    apart("run", "--drain")
    result = apart.task(one)["result"]
    assert result["merge"]["kind"] == "merged"
    assert git(apart, "show", "-s", "--format=%s|%an|%(trailers:key=Atms-Task,valueonly)") == f"Write it|Ann|{one}"
    assert "+x" in apart("task", "diff", one).out
    shown = apart("task", "show", one).out
    assert f"  merged into {result['merge']['into']} ({result['merge']['commit'][:10]})\n" in shown


def test_two_that_are_green_alone_are_judged_together(apart: Atms) -> None:
    apart("gate", "add", "one-only", "--command", "test $(ls only-*.txt | wc -l) -le 1")
    git(apart, "commit", "-qam", "gate")
    apart.add("First", "--command", "sleep 0.3; echo 1 > only-1.txt", "--retries", "0")
    apart.add("Second", "--command", "sleep 0.3; echo 2 > only-2.txt", "--retries", "0")
    apart("run", "--drain", "-j", "2", code=8)
    assert sorted(apart.statuses().values()) == ["completed", "failed"]
    assert len(git(apart, "ls-files", "only-*.txt").split()) == 1
    assert worktrees(apart) == 1, "what is not merged stays to be looked at"


def test_a_conflict_goes_back_to_be_resolved(apart: Atms) -> None:
    """The command makes the other change itself, as somebody else might while it works."""
    resolve = "printf 'both\\n' > a.txt"
    clash = 'echo mine > a.txt; cd "$ATMS_WORKSPACE"; echo theirs > a.txt; git commit -qam theirs'
    one = apart.add("Change a", "--command", f"if grep -q '<<<' a.txt; then {resolve}; else {clash}; fi")
    out = apart("run", "--drain", "--progress", "plain").out
    assert "main has gone on meanwhile, and merging it conflicts in a.txt" in out.replace("master", "main")
    assert (apart.task(one)["status"], apart.task(one)["attempts"]) == ("completed", 2)
    assert (apart.root / "a.txt").read_text() == "both\n"


def test_conflicts_that_are_left_are_no_work(apart: Atms) -> None:
    clash = 'echo mine > a.txt; cd "$ATMS_WORKSPACE"; echo theirs > a.txt; git commit -qam theirs'
    one = apart.add("Change a", "--command", f"grep -q '<<<' a.txt || {{ {clash}; }}", "--retries", "1")
    apart("run", "--drain", code=8)
    assert "conflicts are not resolved: a.txt" in apart.task(one)["reason"]
    assert (apart.root / "a.txt").read_text() == "theirs\n"


def test_git_does_not_overwrite_what_a_person_has_not_committed(apart: Atms) -> None:
    one = apart.add("Change a", "--command", "echo mine > a.txt")
    apart.write("a.txt", "not committed\n")
    apart("run", "--drain", code=8)
    assert "it is done and judged, but git would not take it" in apart.task(one)["reason"]
    assert (apart.root / "a.txt").read_text() == "not committed\n"
    git(apart, "checkout", "-q", "a.txt")
    apart("task", "retry", one)
    apart("run", "--drain")
    assert (apart.root / "a.txt").read_text() == "mine\n"


def test_policies(apart: Atms) -> None:
    apart("config", "set", "execution.merge", "squash")
    git(apart, "commit", "-qam", "policy")
    before = git(apart, "rev-parse", "HEAD")
    apart.add("Two commits", "--command", "echo 1 > b.txt; git add b.txt; git commit -qm one; echo 2 > b.txt")
    apart("run", "--drain")
    assert git(apart, "rev-list", "--count", f"{before}..HEAD") == "1"
    apart("config", "set", "execution.merge", "none")
    git(apart, "commit", "-qam", "policy")
    kept = apart.add("Kept", "--command", "echo 3 > c.txt")
    apart("run", "--drain")
    assert apart.task(kept)["result"]["merge"]["branch"] == f"atms/{kept}"
    assert f"  kept on atms/{kept}: execution.merge is none\n" in apart("task", "show", kept).out
    assert git(apart, "show", f"atms/{kept}:c.txt") == "3"
    assert not (apart.root / "c.txt").exists()
    assert "+3" in apart("task", "diff", kept).out
    assert worktrees(apart) == 0


def test_a_new_worktree_is_set_up_once(apart: Atms) -> None:
    apart(
        "config", "set", "execution.setup", 'cat > /dev/null; echo once >> "$ATMS_WORKSPACE/set-up.log"; touch deps.txt'
    )
    apart.write(".gitignore", "deps.txt\nset-up.log\n")
    git(apart, "add", ".gitignore", "atms.yaml")
    git(apart, "commit", "-qm", "set-up")
    one = apart.add("Fails once", "--command", "test -e deps.txt && { test -e again || { touch again; exit 1; }; }")
    apart("run", "--drain")
    assert (apart.task(one)["status"], apart.task(one)["attempts"]) == ("completed", 2)
    assert (apart.root / "set-up.log").read_text() == "once\n"
    broken = apart.add("Never begins", "--command", "touch begun", "--retries", "0")
    apart("config", "set", "execution.setup", "echo no network >&2; false")
    apart("run", "--drain", code=8)
    assert apart.task(broken)["reason"] == "its worktree could not be set up: no network"
    assert apart.task(broken)["status"] == "failed"


def test_what_was_judged_before_the_loop_died_comes_back_all_the_same(apart: Atms) -> None:
    """A gate that waits is killed with the loop; the next loop judges again and merges."""
    apart("gate", "add", "slow", "--command", 'test -e "$ATMS_WORKSPACE/go" || sleep 60')
    apart.write(".gitignore", "go\n")
    git(apart, "add", ".gitignore", "atms.yaml")
    git(apart, "commit", "-qm", "gate")
    one = apart.add("Write it", "--command", "echo x > new.txt")
    loop = apart.start("run", "--drain")
    apart.until(lambda: apart.task(one)["status"] == "validating")
    loop.kill()
    loop.wait()
    apart.write("go", "")
    apart("run", "--drain")
    assert apart.task(one)["status"] == "completed"
    assert (apart.root / "new.txt").exists()
    assert worktrees(apart) == 0


def test_an_agent_can_work_apart_by_itself_and_elsewhere_nothing_changes(repository: Atms) -> None:
    atms = repository
    atms.write("a.txt", "a\n")
    git(atms, "add", "a.txt")
    git(atms, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    atms("agent", "register", "alone", "--command", "pwd > where.txt", "--isolation", "worktree")
    here, there = atms.add("Here", "--command", "pwd > here.txt"), atms.add("There")
    atms("run", "--drain")
    assert (atms.root / "here.txt").read_text().strip() == str(atms.root)
    assert (atms.root / "where.txt").read_text().strip().endswith(f".atms/worktrees/{there}")
    assert "merge" not in atms.task(here)["result"]
    assert "has no worktree" in atms("task", "diff", here, code=4).err
    assert "is not an isolation" in atms("agent", "register", "x", "--isolation", "moon", code=2).err


def test_without_a_repository_nothing_is_started(atms: Atms) -> None:
    atms.settings("execution: {isolation: worktree}\n")
    one = atms.add("Write it", "--command", "touch x")
    assert "is not in a git repository" in atms("run", "--drain", code=1).err
    assert atms.task(one)["status"] == "queued"


def test_what_a_task_says_beats_its_agent_and_the_workspace(apart: Atms) -> None:
    here = apart.add("Here", "--command", "pwd > here.txt", "--isolation", "shared")
    apart("agent", "register", "tied", "--command", "pwd > there.txt", "--isolation", "shared")
    there = apart.add("There", "--agent", "tied")
    apart("task", "update", there, "--isolation", "worktree")
    apart("run", "--drain")
    assert (apart.root / "here.txt").read_text().strip() == str(apart.root)
    assert (apart.root / "there.txt").read_text().strip().endswith(f".atms/worktrees/{there}")
    assert "merge" not in apart.task(here)["result"]
    assert "is not an isolation" in apart("task", "add", "x", "--isolation", "moon", code=2).err


# How work comes back


def test_a_straight_history_is_judged_on_what_it_is_put_on(apart: Atms) -> None:
    apart("config", "set", "execution.merge", "rebase")
    apart("gate", "add", "judged", "--command", 'ls > "$ATMS_WORKSPACE/.git/seen-$ATMS_TASK_ID"')
    git(apart, "commit", "-qam", "settings")
    meanwhile = 'cd "$ATMS_WORKSPACE"; echo theirs > theirs.txt; git add theirs.txt; git commit -qm theirs'
    one = apart.add("Write it", "--command", f"echo x > new.txt; {meanwhile}")
    apart("run", "--drain")
    assert apart.task(one)["result"]["merge"]["kind"] == "merged"
    assert git(apart, "log", "--format=%s", "-2") == "Write it\ntheirs"
    assert git(apart, "log", "--merges", "--format=%s") == ""
    seen = (apart.root / ".git" / f"seen-{one}").read_text().split()
    assert {"new.txt", "theirs.txt"} <= {*seen}


def test_a_conflict_can_wait_for_a_person(apart: Atms) -> None:
    apart.settings("execution: {isolation: worktree, on_conflict: review}\n")
    git(apart, "commit", "-qam", "settings")
    clash = 'echo mine > a.txt; cd "$ATMS_WORKSPACE"; echo theirs > a.txt; git commit -qam theirs'
    one = apart.add("Change a", "--command", f"grep -q '<<<' a.txt && echo both > a.txt || {{ {clash}; }}")
    apart("run", "--drain", code=8)
    task = apart.task(one)
    assert (task["status"], task["attempts"], "conflicts in a.txt" in task["reason"]) == ("review", 1, True)
    assert "mine" in apart("task", "show", one).out or task["result"]["merge"]["files"] == ["a.txt"]
    log = apart.root / ".atms" / "runs" / task["result"]["log"]
    assert "+ theirs" in log.read_text()
    apart("task", "retry", one)
    apart("run", "--drain")
    assert apart.task(one)["status"] == "completed"
    assert (apart.root / "a.txt").read_text() == "both\n"


def test_a_command_takes_the_work_over(apart: Atms) -> None:
    git(apart, "init", "-q", "--bare", str(apart.root.parent / "remote.git"))
    git(apart, "remote", "add", "origin", str(apart.root.parent / "remote.git"))
    push = 'git push -q origin "HEAD:refs/heads/$ATMS_BRANCH" && echo "https://example.org/$ATMS_BASE/$ATMS_TITLE"'
    apart("config", "set", "execution.merge_command", push)
    apart("config", "set", "execution.merge", "command")
    git(apart, "commit", "-qam", "settings")
    into, one = git(apart, "branch", "--show-current"), apart.add("It", "--command", "echo x > new.txt")
    apart("run", "--drain")
    merge = apart.task(one)["result"]["merge"]
    assert (merge["kind"], merge["said"]) == ("handed_over", f"https://example.org/{into}/It")
    assert f"  handed over: https://example.org/{into}/It\n" in apart("task", "show", one).out
    assert git(apart, "--git-dir", str(apart.root.parent / "remote.git"), "show", f"atms/{one}:new.txt") == "x"
    assert not (apart.root / "new.txt").exists()
    assert worktrees(apart) == 0, "all of it is on its branch"
    git(apart, "remote", "set-url", "origin", "/nowhere")
    lost = apart.add("Lost", "--command", "echo x > lost.txt")
    apart("run", "--drain", code=8)
    assert "nobody took it over: the merge command: exit code 128" in apart.task(lost)["reason"]
    assert (worktrees(apart), "not appear to be a git repository" in apart("task", "logs", lost).out) == (1, True)


def test_a_command_that_takes_over_needs_a_name_and_ends_in_time(apart: Atms) -> None:
    apart.settings("execution: {isolation: worktree, merge: command}\n")
    assert "merge_command has to say which" in apart("run", "--drain", code=1).err
    apart.settings(
        'execution: {isolation: worktree, merge: command, merge_command: ["sleep", "60"], merge_timeout: 0.1}\n'
    )
    one = apart.add("Write it", "--command", "echo x > new.txt")
    apart("run", "--drain", code=8)
    assert "nobody took it over: the merge command: ran longer than its timeout" in apart.task(one)["reason"]


def test_a_worktree_is_torn_down_before_it_goes_and_stays_if_that_fails(apart: Atms) -> None:
    apart("config", "set", "execution.teardown", 'pwd >> "$ATMS_WORKSPACE/.git/torn"; test ! -e stubborn.txt')
    git(apart, "commit", "-qam", "settings")
    one = apart.add("Gentle", "--command", "echo x > new.txt")
    apart("run", "--drain")
    assert (apart.root / ".git" / "torn").read_text().endswith(f"worktrees/{one}\n")
    assert worktrees(apart) == 0
    two = apart.add("Stubborn", "--command", "echo x > stubborn.txt")
    out = apart("run", "--drain", "--progress", "plain").out
    assert (apart.task(two)["status"], worktrees(apart)) == ("completed", 1)
    assert f"{two}: its worktree stays: its teardown failed: exit code 1; see" in out


# Git that is slow, and loops that are killed


@dataclass
class Gate:
    """Lets the first git that writes a certain file wait."""

    begun: Path
    go: Path

    def close(self, atms: Atms, name: str) -> None:
        wait = f"if mkdir {self.begun} 2>/dev/null; then while [ ! -e {self.go} ]; do sleep 0.05; done; fi; cat"
        git(atms, "config", "filter.slow.smudge", wait)
        (atms.root / ".git" / "info").mkdir(exist_ok=True)
        (atms.root / ".git" / "info" / "attributes").write_text(f"{name} filter=slow\n")


@pytest.fixture
def gate(apart: Atms) -> Iterator[Gate]:
    gate = Gate(apart.root / ".git" / "begun", apart.root / ".git" / "go")
    yield gate
    # Whatever came of the test, git must not wait for ever.
    gate.go.touch()


def test_a_slow_git_for_one_task_does_not_delay_the_others(apart: Atms, gate: Gate) -> None:
    gate.close(apart, "a.txt")
    tasks = [apart.add(f"Write {n}", "--command", f"echo {n} > {n}.txt") for n in range(4)]
    loop = apart.start("run", "--drain", "-j", "2")
    apart.until(gate.begun.exists)
    apart.until(lambda: [*apart.statuses().values()].count("completed") == len(tasks) - 1)
    assert sorted({*apart.statuses().values()}) == ["completed", "in_progress"]
    gate.go.touch()
    assert loop.wait() == 0
    assert sorted(git(apart, "ls-files", "[0-9].txt").split()) == ["0.txt", "1.txt", "2.txt", "3.txt"]


def test_a_loop_that_is_killed_while_git_makes_a_worktree(apart: Atms, gate: Gate) -> None:
    gate.close(apart, "a.txt")
    one = apart.add("Write it", "--command", "echo x > new.txt")
    loop = apart.start("run", "--drain")
    apart.until(gate.begun.exists)
    loop.kill()
    loop.wait()
    again = apart.start("run", "--drain")
    apart.until(lambda: apart.task(one)["status"] == "in_progress")
    gate.go.touch()
    assert again.wait() == 0
    assert (apart.task(one)["status"], apart.task(one)["attempts"]) == ("completed", 1)
    assert (git(apart, "show", "HEAD:new.txt"), worktrees(apart)) == ("x", 0)


def test_a_loop_that_is_killed_while_git_moves_the_branch_of_a_person(apart: Atms, gate: Gate) -> None:
    gate.close(apart, "new.txt")
    one = apart.add("Write it", "--command", "echo x > new.txt; echo y > other.txt")
    loop = apart.start("run", "--drain")
    apart.until(gate.begun.exists)
    loop.kill()
    loop.wait()
    again = apart.start("run", "--drain")
    apart.until(lambda: "validating" in apart.statuses().values())
    gate.go.touch()
    assert again.wait() == 0
    task = apart.task(one)
    assert (task["status"], task["attempts"], task["result"]["merge"]["kind"]) == ("completed", 1, "nothing")
    assert git(apart, "status", "--short") == ""
    assert git(apart, "log", "--format=%s", "-2") == "Write it\nfirst"
    assert worktrees(apart) == 0


def test_who_is_told_to_kill_does_not_wait_for_git(apart: Atms, gate: Gate) -> None:
    gate.close(apart, "a.txt")
    one = apart.add("Write it", "--command", "echo x > new.txt")
    loop = apart.start("run", "--drain", "--progress", "plain")
    apart.until(gate.begun.exists)
    loop.send_signal(signal.SIGTERM)
    assert loop.stdout is not None
    for line in loop.stdout:
        if "stopping what runs" in line:
            loop.send_signal(signal.SIGTERM)
    assert loop.wait() == 143
    gate.go.touch()
    apart("run", "--drain")
    assert apart.task(one)["status"] == "completed"
