"""Coding agents under `atms run`, played by programs that speak as gemini, claude and codex do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

#: Plays an agent: notes how it was called, does what the first word in `plan` says, and takes that word away.
PLAYER = """
import json, os, sys

def say(**event):
    print(json.dumps(event), flush=True)

kind, here, arguments = os.path.basename(sys.argv[0]), os.environ["PLAY"], sys.argv[1:]
with open(os.path.join(here, "calls.jsonl"), "a") as calls:
    calls.write(json.dumps({"kind": kind, "argv": arguments, "prompt": sys.stdin.read(), "task": os.environ.get("ATMS_TASK_ID")}) + "\\n")
plan = os.path.join(here, "plan")
with open(plan) as file:
    act, *rest = file.read().split() or ["work"]
with open(plan, "w") as file:
    file.write(" ".join(rest))
known = {"--session-id", "--resume", "resume"}.intersection(arguments)
session = arguments[arguments.index(known.pop()) + 1] if known else "thread-1"

if kind == "codex":
    say(type="thread.started", thread_id=session)
    say(type="item.completed", item={"type": "agent_message", "text": "codex was here"})
    if act == "limit":
        say(type="turn.failed", error={"message": "You've hit your usage limit; try again in 2s."})
        sys.exit(1)
    say(type="turn.completed", usage={"input_tokens": 10, "output_tokens": 2})
elif kind == "gemini":
    say(type="init", session_id=session)
    if act == "quiet":
        sys.exit(0)
    say(type="message", role="assistant", content="gemini was here", delta=True)
    say(type="result", status="success", stats={"total_tokens": 12, "input_tokens": 10})
else:
    say(type="system", subtype="init", session_id=session)
    if act == "logout":
        say(type="assistant", error="authentication_failed")
        say(type="result", subtype="success", is_error=True, result="Not logged in")
        sys.exit(1)
    say(type="assistant", message={})
    if act != "idle":
        with open("done.txt", "a") as done:
            done.write(kind + "\\n")
    usage = {"input_tokens": 9, "output_tokens": 1}
    say(type="result", subtype="success", is_error=False, result="claude was here", total_cost_usd=0.5, usage=usage)
"""


@pytest.fixture
def play(atms: Atms, tmp_path: Path) -> Path:
    """A directory with the three programs on the PATH, and a plan that says what they do."""
    here = tmp_path / "play"
    here.mkdir()
    for kind in ("gemini", "claude", "codex"):
        program = here / kind
        program.write_text(f"#!{sys.executable}\n{PLAYER}")
        program.chmod(0o755)
    (here / "plan").write_text("")
    atms.env["PATH"] = f"{here}:{atms.env['PATH']}"
    atms.env["PLAY"] = str(here)
    atms("config", "set", "execution.retry_delay", "0.1")
    return here


def calls(play: Path) -> list[Any]:
    return [json.loads(line) for line in (play / "calls.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("gemini", "gemini was here"), ("claude", "claude was here"), ("codex", "codex was here")],
)
def test_each_kind_does_a_task(atms: Atms, play: Path, kind: str, said: str) -> None:
    atms("agent", "register", "anna", "--kind", kind, "--model", "m1")
    one = atms.add("Write it down", "-d", "In done.txt.")
    assert "done: 1 completed" in atms("run", "--drain").out
    (call,) = calls(play)
    assert call["task"] == one
    assert call["prompt"].startswith("# Write it down\n\nIn done.txt.\n")
    assert call["argv"][call["argv"].index("--model") :][:2] == ["--model", "m1"]
    result = atms.task(one)["result"]
    assert (result["agent"], result["report"]["text"]) == ("anna", said)
    assert result["usage"]["input_tokens"] > 0
    shown = atms("task", "show", one).out
    assert f"  {said}\n" in shown
    assert " tokens in, " in shown
    assert "1 attempt at 1 task: 1 succeeded; 100% succeeded" in atms("agent", "show", "anna").out


def test_a_gate_sends_the_agent_back_into_its_session(atms: Atms, play: Path) -> None:
    atms("agent", "register", "clara", "--kind", "claude")
    atms("gate", "add", "done", "--command", "grep -c claude done.txt || { echo 'done.txt:1: nothing in it'; exit 1; }")
    (play / "plan").write_text("idle work")
    one = atms.add("Write it down")
    atms("run", "--drain")
    first, second = calls(play)
    assert second["argv"][-2:] == ["--resume", first["argv"][-1]]
    assert "done.txt:1: nothing in it" in second["prompt"]
    assert (atms.task(one)["status"], atms.task(one)["attempts"]) == ("completed", 2)


def test_success_is_not_taken_from_the_exit_code_alone(atms: Atms, play: Path) -> None:
    atms("agent", "register", "gina", "--kind", "gemini")
    (play / "plan").write_text("quiet work")
    one = atms.add("Write it down")
    out = atms("run", "--drain").out
    assert "gina: it ended without saying how it went (exit code 0)" in out
    assert atms.task(one)["attempts"] == 2


def test_a_limit_is_waited_for_and_costs_no_attempt(atms: Atms, play: Path) -> None:
    atms("agent", "register", "cody", "--kind", "codex")
    (play / "plan").write_text("limit work")
    atms("config", "set", "execution.max_attempts", "1")
    one = atms.add("Write it down")
    out = atms("run", "--drain").out
    assert "agent cody gets nothing more (rate_limit)" in out
    assert (atms.task(one)["status"], atms.task(one)["attempts"]) == ("completed", 1)
    assert calls(play)[1]["argv"][-3:] == ["resume", "thread-1", "-"]
    assert atms.json("agent", "show", "cody")["halted"] is None


def test_who_is_not_logged_in_stops_and_says_so(atms: Atms, play: Path) -> None:
    atms("agent", "register", "clara", "--kind", "claude")
    (play / "plan").write_text("logout")
    one, two = atms.add("One"), atms.add("Two")
    out = atms("run", "--drain", code=8).out
    assert (
        "agent clara gets nothing more (auth): exit code 1: Not logged in; go on with: atms agent resume clara" in out
    )
    assert "the agent clara is halted" in out
    assert len(calls(play)) == 1, "the second task was spared"
    assert [atms.task(each)["attempts"] for each in (one, two)] == [0, 0]
    assert atms.json("agent", "show", "clara")["status"] == "error"
    assert "when that is mended: atms agent resume clara" in atms("agent", "list").err
    assert atms.json("agent", "test", "clara")["answered"] is True
    assert atms.json("agent", "show", "clara")["status"] == "idle"
    assert "done: 2 completed" in atms("run", "--drain").out


def test_a_run_ends_when_it_has_cost_enough(atms: Atms, play: Path) -> None:
    atms("agent", "register", "clara", "--kind", "claude")
    for title in ("One", "Two", "Three"):
        atms.add(title)
    out = atms("run", "--drain", "-j", "1", "--max-cost", "$0.75", "--progress", "plain", code=8).out
    assert len(calls(play)) == 2, "each costs 0.50"
    assert "■ $1.00 of $0.75 are spent: starting nothing new, commands may finish" in out
    assert "1 task left; go on with: atms run --drain" in out
    out = atms("run", "--max-tokens", "1", "--progress", "plain", code=0).out
    assert "10 of 1 tokens are used up" in out


def test_a_run_ends_when_too_much_has_failed_or_its_time_is_over(atms: Atms) -> None:
    for _ in range(3):
        atms.add("Fails", "--command", "false", "--retries", "0")
    out = atms("run", "-j", "1", "--max-failures", "2", "--progress", "plain", code=8).out
    assert "2 of at most 2 failures: starting nothing new" in out
    assert sorted(atms.statuses().values()) == ["failed", "failed", "queued"]
    atms("task", "cancel", *[key for key, status in atms.statuses().items() if status == "queued"])
    slow = atms.add("Slow", "--command", "sleep 100")
    out = atms("run", "--max-time", "1s", "--progress", "plain", code=8).out
    assert "the time of this run is over (1.0s): starting nothing new, stopping what runs" in out
    assert (atms.task(slow)["status"], atms.task(slow)["attempts"]) == ("queued", 0)


@pytest.mark.parametrize(
    "words", [("--max-cost", "much"), ("--max-cost", "-1"), ("--max-time", "soon"), ("--max-failures", "0")]
)
def test_limits_of_a_run_that_are_none(atms: Atms, words: tuple[str, str]) -> None:
    assert atms("run", *words, code=2).err.startswith("error: ")


def test_an_agent_can_be_tried_out(atms: Atms, play: Path) -> None:
    atms("agent", "register", "clara", "--kind", "claude", "--env", "MODE=x y")
    dry = atms("agent", "test", "clara", "--dry-run").out
    assert "command  claude -p --output-format stream-json --verbose --permission-mode acceptEdits --session-id " in dry
    assert "with     NO_COLOR=1 MODE='x y'\n" in dry
    assert not (play / "calls.jsonl").exists()
    assert "✓ it answered in " in atms("agent", "test", "clara").out
    (play / "plan").write_text("logout")
    failed = atms("agent", "test", "clara", code=75)
    assert "✗ it did not get through" in failed.out
    assert "(auth): exit code 1: Not logged in" in failed.out
    assert atms.json("task", "list") == []


def test_what_is_refused_when_registering(atms: Atms) -> None:
    assert "`hal` is not a kind of agent" in atms("agent", "register", "x", "--kind", "hal", code=2).err
    assert (
        "looks like a secret"
        in atms("agent", "register", "x", "--kind", "gemini", "--env", "API_KEY=s3cret", code=2).err
    )
    assert "sets no variable" in atms("agent", "register", "x", "--kind", "gemini", "--env", "=1", code=2).err
    assert "is not an approval" in atms("agent", "register", "x", "--kind", "gemini", "--approval", "all", code=2).err
    assert atms.json("agent", "list") == []


def test_a_kind_from_the_settings(atms: Atms) -> None:
    atms.settings(
        "drivers:\n  echo: {argv: [sh, -c, 'echo \"$0\" > said.txt'], prompt: ['{task_id}'], stdin: false}\n"
        "agents:\n  eve: {kind: echo}\n"
    )
    one = atms.add("Say something")
    assert "done: 1 completed" in atms("run", "--drain").out
    assert (atms.root / "said.txt").read_text() == f"{one}\n"


def test_the_prompt_can_be_read_beforehand(atms: Atms) -> None:
    one = atms.add("Write it down", "-d", "In done.txt.")
    assert atms("task", "show", one, "--prompt").out.startswith("# Write it down\n\nIn done.txt.\n\nTask ")
    assert atms.json("task", "show", one, "--prompt")["prompt"].endswith("\n")
    two = atms.add("Run it", "--command", "true")
    assert "no agent is told anything" in atms("task", "show", two, "--prompt", code=2).err
