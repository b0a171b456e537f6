"""Looking into an attempt while it goes on: its output in words, and a shell where it works."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Atms, Child

pytest_plugins = ("tests.cli.commandline",)

#: Plays claude: says something, waits to be let go, and ends well.
PLAYER = """
import json, os, sys, time

def say(**event):
    print(json.dumps(event), flush=True)

say(type="system", subtype="init", session_id="s1", model="m1")
call = {"type": "tool_use", "name": "Bash", "input": {"command": "make test"}}
say(type="assistant", message={"content": [{"type": "text", "text": "I run the tests."}, call]})
print("not an event", flush=True)
while not os.path.exists(os.environ["GO"]):
    time.sleep(0.05)
say(type="user", message={"content": [{"type": "tool_result", "content": "3 passed"}]})
say(type="result", subtype="success", is_error=False, result="Done.", usage={"output_tokens": 1})
"""
BEGINNING = ["· session s1, m1", "I run the tests.", "→ Bash: make test", "not an event"]
END = ["  ✓ 3 passed", "■ done"]


@pytest.fixture
def go(repository: Atms, tmp_path: Path) -> Path:
    """The file that lets the agent end; it works apart."""
    atms, program = repository, tmp_path / "claude"
    program.write_text(f"#!{sys.executable}\n{PLAYER}")
    program.chmod(0o755)
    go = tmp_path / "go"
    atms.env["GO"] = str(go)
    atms("agent", "register", "clara", "--kind", "claude", "--command", str(program), "--isolation", "worktree")
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(commit, cwd=atms.root, env=atms.env, check=True)  # noqa: TID251  a test stands outside
    return go


def begun(atms: Atms) -> tuple[str, Child]:
    one = atms.add("Test it")
    loop = atms.start("run", "--drain", "--progress", "none")
    atms.until(lambda: "not an event" in atms("task", "logs", one, code=None).out)
    return one, loop


def test_an_attempt_is_followed_in_words_to_its_end(repository: Atms, go: Path) -> None:
    atms = repository
    one, loop = begun(atms)
    attached = atms.start("task", "attach", one)
    assert attached.stdout is not None
    assert [attached.stdout.readline().rstrip("\n") for _ in BEGINNING] == BEGINNING
    about = atms.json("task", "attach", one)
    assert (about["task"], about["agent"], about["attempt"]) == (one, "clara", 1)
    assert about["directory"].endswith(f".atms/worktrees/{one}")
    go.touch()
    rest = atms.end(attached)
    assert (rest.code, rest.out.splitlines()) == (0, END)
    assert rest.err.splitlines() == [
        f"attempt 1 at {one} by clara, in {about['directory']}",
        f"Ctrl-C leaves it alone; a shell where it works: atms task attach {one} --shell",
        f"{one} is completed",
    ]
    assert loop.wait() == 0
    assert atms("task", "logs", one).out.splitlines()[:6] == BEGINNING + END
    assert '{"type": "system"' in atms("task", "logs", one, "--raw").out
    error = atms("task", "attach", one, code=6).err
    assert (
        error
        == f"error: nothing runs for `{one}`: it is completed\nhint: what was printed before: atms task logs {one}\n"
    )


def test_ctrl_c_leaves_the_attempt_alone(repository: Atms, go: Path) -> None:
    atms = repository
    one, loop = begun(atms)
    attached = atms.start("task", "attach", one, "--raw")
    assert attached.stdout is not None
    assert attached.stdout.readline().startswith('{"type": "system"')
    attached.send_signal(signal.SIGINT)
    ended = atms.end(attached)
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "left alone; it goes on")
    go.touch()
    assert loop.wait() == 0
    assert (atms.task(one)["status"], atms.task(one)["attempts"]) == ("completed", 1)


def test_a_shell_is_opened_where_the_attempt_works(repository: Atms, go: Path) -> None:
    atms = repository
    one, loop = begun(atms)
    assert "--shell needs a terminal" in atms("task", "attach", one, "--shell", code=2).err
    ours, theirs = pty.openpty()
    try:
        shell = subprocess.Popen(  # noqa: TID251  a test stands outside
            [sys.executable, "-m", "atms_cli", "task", "attach", one, "--shell"],
            cwd=atms.root,
            env={**atms.env, "SHELL": "/bin/sh"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.write(ours, b"pwd > where.txt; exit 3\n")
        assert shell.wait(timeout=60) == 0
    finally:
        os.close(ours)
        os.close(theirs)
    where = atms.root / ".atms" / "worktrees" / one / "where.txt"
    assert where.read_text().strip() == str(where.parent)
    where.unlink()
    go.touch()
    assert loop.wait() == 0
    assert "has no worktree" in atms("task", "attach", one, "--shell", code=1).err
