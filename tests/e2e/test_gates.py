"""Gates with real commands and real git: chains of real tools, files, timeouts, kills, reviews, and the loop."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

TOOLS = all((Path(sys.executable).parent / tool).exists() for tool in ("ruff", "mypy", "pytest"))
SOURCE = "def double(number: int) -> int:\n    return 2 * number\n"
IGNORED = ".atms/\n__pycache__/\n.ruff_cache/\n.mypy_cache/\n.pytest_cache/\n"


def git(atms: Atms, *arguments: str) -> str:
    return subprocess.run(  # noqa: TID251  a test stands outside
        ["git", *arguments], cwd=atms.root, env=atms.env, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def project(repository: Atms) -> Atms:
    atms = repository
    git(atms, "config", "user.email", "ann@example.org")
    git(atms, "config", "user.name", "Ann")
    atms.write(".gitignore", IGNORED)
    git(atms, "add", ".gitignore")
    git(atms, "commit", "-qm", "first")
    return atms


def judged(atms: Atms, *arguments: str, code: int = 0) -> dict[str, Any]:
    return {gate["name"]: gate for gate in atms.json("gate", "run", *arguments, code=code)["gates"]}


@pytest.mark.skipif(not TOOLS, reason="ruff, mypy or pytest is not here")
def test_a_chain_of_real_tools(project: Atms) -> None:
    atms = project
    atms.write("doubling.py", "import os\n" + SOURCE)
    atms.write(
        "test_doubling.py", "from doubling import double\n\n\ndef test_double() -> None:\n    assert double(2) == 4\n"
    )
    atms.write("pyproject.toml", "[tool.ruff]\n[tool.mypy]\nstrict = true\n[tool.pytest.ini_options]\n")
    assert [gate["name"] for gate in atms.json("init", "--template", "auto")["gates"]] == ["ruff", "mypy", "pytest"]
    atms("config", "set", "gates.pytest.depends_on", "[ruff, mypy]")
    found = judged(atms, code=7)
    assert {name: gate["status"] for name, gate in found.items()} == {
        "ruff": "failed",
        "mypy": "passed",
        "pytest": "skipped",
    }
    assert found["pytest"]["reason"] == "ruff did not pass"
    assert "`os` imported but unused" in atms("gate", "run", "ruff", "-v", code=7).out
    atms.write("doubling.py", SOURCE)
    assert {gate["status"] for gate in judged(atms).values()} == {"passed"}
    assert all(gate["cached"] for gate in judged(atms).values())
    assert "cached: passed at " in atms("gate", "run", "pytest").out
    atms.write("doubling.py", SOURCE.replace("2", "3"))
    found = judged(atms, code=7)
    assert [found[name]["status"] for name in ("ruff", "mypy", "pytest")] == ["passed", "passed", "failed"]
    assert not any(gate.get("cached") for gate in found.values())


def test_only_changed_files_are_given(project: Atms) -> None:
    atms = project
    for name in ("a.txt", "b b.txt", "-c.txt", "d.md"):
        atms.write(name, "1\n")
    git(atms, "add", "--all")
    git(atms, "commit", "-qm", "second")
    atms("gate", "add", "look", "--arg", "./look", "--arg", "{files}", "--path", "*.txt")
    atms.write("look", '#!/bin/sh\nfor each; do echo "<$each>"; done\n').chmod(0o755)
    git(atms, "add", "look", "atms.yaml")
    git(atms, "commit", "-qm", "third")
    assert judged(atms, "--changed")["look"]["skip"] == "unchanged"
    for name in ("b b.txt", "-c.txt", "d.md"):
        atms.write(name, "2\n")
    (atms.root / "a.txt").unlink()
    atms.write("new.txt", "new\n")
    assert printed(judged(atms, "--changed")["look"]) == ["<./-c.txt>", "<b b.txt>", "<new.txt>"]
    git(atms, "checkout", "-qb", "work")
    git(atms, "commit", "-qam", "fourth")
    assert printed(judged(atms, "--changed")["look"]) == ["<new.txt>"]
    git(atms, "switch", "-q", "--detach", "work~1")
    git(atms, "tag", "before")
    git(atms, "switch", "-q", "work")
    assert printed(judged(atms, "--base", "before")["look"]) == ["<./-c.txt>", "<b b.txt>", "<new.txt>"]
    assert "cannot compare with `nowhere`" in atms("gate", "run", "--base", "nowhere", code=4).err
    assert judged(atms)["look"]["status"] == "passed"


def printed(gate: dict[str, Any]) -> list[str]:
    with open(gate["log"], encoding="utf-8") as file:
        return file.read().splitlines()


def test_a_gate_that_takes_too_long_ends_with_all_it_started(atms: Atms) -> None:
    atms("gate", "add", "slow", "--command", "sleep 600 & echo $! > pid; wait", "--timeout", "1s")
    assert judged(atms, code=7)["slow"]["status"] == "timeout"
    with pytest.raises(ProcessLookupError):
        os.kill(int((atms.root / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--command", "kill -9 $$"), "killed by signal 9"),
        (("--arg", "no-such-program"), "could not be started: no such program: no-such-program"),
        (("--command", "true", "--cwd", "nowhere"), "could not be started: no such directory"),
        (("--command", "true {files}"), "is not in a git repository"),
    ],
)
def test_what_did_not_run_to_its_end_has_not_passed(atms: Atms, words: tuple[str, ...], reason: str) -> None:
    atms("gate", "add", "one", *words)
    one = atms.add("Work")
    found = judged(atms, code=7)["one"]
    assert found["status"] == "error"
    assert reason in found["reason"]
    assert reason in atms("task", "done", one, code=7).err


def test_an_interrupt_ends_what_runs(atms: Atms) -> None:
    atms("gate", "add", "one", "--command", "echo $$ > pid; exec sleep 600")
    child = atms.start("gate", "run")
    atms.until(lambda: (atms.root / "pid").exists() and (atms.root / "pid").read_text().endswith("\n"))
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((atms.root / "pid").read_text()), 0)


def test_on_a_terminal_a_gate_is_seen_at_work(atms: Atms) -> None:
    os.mkfifo(atms.root / "go")
    atms("gate", "add", "one", "--command", "echo at work; read line < go")
    ours, theirs = pty.openpty()
    child = atms.start("gate", "run", out=theirs)
    os.close(theirs)
    seen = b""
    while b"at work" not in seen:
        seen += os.read(ours, 4096)
    assert child.poll() is None
    (atms.root / "go").write_text("\n")
    assert child.wait(60) == 0
    while b"the gate passed" not in seen:
        seen += os.read(ours, 4096)
    assert seen.count(b"at work") == 1
    os.close(ours)


def test_the_loop_goes_through_chains_retries_and_checks(project: Atms) -> None:
    atms = project
    atms("gate", "add", "flaky", "--command", "test -e once || { touch once; exit 1; }", "--retries", "1")
    atms(
        "gate",
        "add",
        "last",
        "--command",
        "test -e once && echo all is well",
        "--after",
        "flaky",
        "--expect-output",
        "^all is",
    )
    one = atms.add("Work", "--command", "true", "--check", "exit 3", "--check-exit", "3")
    assert "done: 1 completed" in atms("run", "--drain", "--progress", "plain").out
    gates = {gate["name"]: gate for gate in atms.task(one)["result"]["validation"]["gates"]}
    assert [(name, gate["status"]) for name, gate in gates.items()] == [
        ("flaky", "passed"), ("last", "passed"), ("check-1", "passed"),
    ]  # fmt: skip
    assert (gates["flaky"]["attempts"], gates["flaky"]["flaky"], gates["check-1"]["exit_code"]) == (2, True, 3)
    assert "flaky: passed at attempt 2" in atms("task", "show", one).out


def test_in_the_loop_too_a_need_that_fails_stops_the_chain(atms: Atms) -> None:
    atms("gate", "add", "first", "--command", "false")
    atms("gate", "add", "second", "--command", "touch second", "--after", "first")
    one = atms.add("Work", "--command", "true", "--retries", "0")
    atms("run", "--drain", code=8)
    task = atms.task(one)
    assert (task["status"], task["reason"]) == ("failed", "gate first: exit code 1; gate second: first did not pass")
    assert not (atms.root / "second").exists()


def test_a_loop_that_is_killed_between_gates_judges_anew_and_completes_once(atms: Atms) -> None:
    os.mkfifo(atms.root / "go")
    atms("gate", "add", "first", "--command", "echo x >> first")
    atms("gate", "add", "second", "--command", "echo x >> second; read line < go", "--after", "first")
    one = atms.add("Work", "--command", "echo x >> worked")
    loop = atms.start("run", "--drain")
    atms.until((atms.root / "second").exists)
    loop.kill()
    loop.wait(60)
    again = atms.start("run", "--drain")
    atms.until(lambda: (atms.root / "second").read_text() == "x\nx\n")
    (atms.root / "go").write_text("\n")
    assert again.wait(60) == 0
    assert atms.task(one)["status"] == "completed"
    assert (atms.root / "worked").read_text() == "x\n"
    assert (atms.root / "first").read_text() == "x\nx\n"


@pytest.mark.parametrize("isolation", ["shared", "worktree"])
def test_work_waits_for_a_person(project: Atms, isolation: str) -> None:
    atms = project
    atms("config", "set", "execution.isolation", isolation)
    atms("gate", "add", "there", "--command", "test -e new.txt")
    atms("gate", "add", "eyes", "--kind", "review", "--category", "security")
    git(atms, "add", "atms.yaml")
    git(atms, "commit", "-qm", "gates")
    plain = atms.add("Plain", "--command", "echo 1 > new.txt")
    atms("run", "--drain")
    assert atms.task(plain)["status"] == "completed", "a review of security is not for features"
    one = atms.add("Rotate", "--command", "echo 2 > new.txt", "-c", "security")
    assert f"atms task approve {one}" in atms("run", "--drain", "--progress", "plain", code=8).out
    assert atms.task(one)["status"] == "review"
    assert [attempt["phase"] for attempt in atms.task(one)["attempt_list"]] == ["succeeded"]
    assert atms("task", "logs", one).out == "== gate there: passed\n", "a review prints nothing"
    agent = {"ATMS_AGENT": "robot"}
    assert "agents cannot approve work" in atms("task", "approve", one, code=1, env=agent).err
    atms("task", "done", one, env=agent)
    assert atms.task(one)["status"] == "review"
    atms("task", "approve", one, "--note", "looked at it")
    done = atms.task(one)
    assert (done["status"], done["result"]["review"]["by"], done["result"]["review"]["note"]) == (
        "completed",
        "ann",
        "looked at it",
    )
    assert (atms.root / "new.txt").read_text() == "2\n"
    assert "task.approved" in atms("log", one).out
    shown = atms("task", "show", one).out
    assert "by ann at " in shown
    assert "looked at it" in shown


def test_an_override_is_seen(atms: Atms) -> None:
    atms("gate", "add", "never", "--command", "false")
    one = atms.add("Work")
    assert "needs a reason" in atms("task", "done", one, "--force", code=2).err
    atms("task", "done", one, "--force", "--reason", "the build machine is down")
    assert "by ann: the build machine is down" in atms("task", "show", one).out
    assert "the build machine is down" in atms("log", one, "--type", "task.overridden").out
    assert atms.json("status")["overrides"] == 1
    assert "gates were passed over 1 time: atms log --type task.overridden" in atms("status").out
