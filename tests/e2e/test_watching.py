"""Agents that are watched while they work: stopped at a limit in the middle, or when they get nowhere; nothing is lost."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from commandline import Atms, Child

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

#: Says what it reads from the pipe of its task, line by line; `exit N` ends it.
PARROT = """
import os, sys
here, task = os.environ["PLAY"], os.environ["ATMS_TASK_ID"]
with open(os.path.join(here, "calls"), "a") as calls:
    calls.write(" ".join([task, *sys.argv[1:]]) + "\\n")
pipe = os.path.join(here, task)
with open(pipe) as lines:
    for line in lines:
        if line.startswith("exit "):
            sys.exit(int(line[5:]))
        sys.stdout.write(line)
        sys.stdout.flush()
"""


class Stage:
    """An agent `clara` of kind claude that says what the test says, and `atms run` in the background."""

    def __init__(self, atms: Atms, here: Path) -> None:
        self.atms = atms
        self.here = here
        self.loop: Child | None = None
        self._pipes: dict[str, int] = {}

    def task(self, title: str, *more: str) -> str:
        task = self.atms.add(title, *more)
        os.mkfifo(self.here / task)
        # Open at both ends, so that nobody waits for the other, and an agent that comes back finds it.
        self._pipes[task] = os.open(self.here / task, os.O_RDWR)
        return task

    def run(self, *options: str) -> None:
        with (self.atms.root / "loop.log").open("w") as out:
            self.loop = self.atms.start("run", "--json", *options, out=out)

    def say(self, task: str, *lines: object) -> None:
        for line in lines:
            text = line if isinstance(line, str) else json.dumps(line)
            os.write(self._pipes[task], f"{text}\n".encode())

    def reports(self, kind: str) -> list[Any]:
        lines = (self.atms.root / "loop.log").read_text().splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [each for each in whole if each["type"] == kind]

    def until(self, kind: str, **wanted: object) -> Any:  # noqa: ANN401  JSON
        """Wait for a report with these values."""

        def found() -> list[Any]:
            return [each for each in self.reports(kind) if wanted.items() <= each.items()]

        self.atms.until(found, f"{kind} {wanted}")
        return found()[0]

    def end(self, code: int) -> None:
        assert self.loop is not None
        assert self.atms.end(self.loop).code == code, (self.atms.root / "loop.log").read_text()

    def close(self) -> None:
        for pipe in self._pipes.values():
            os.close(pipe)


@pytest.fixture
def stage(atms: Atms, tmp_path: Path) -> Iterator[Stage]:
    here = tmp_path / "play"
    here.mkdir()
    program = here / "claude"
    program.write_text(f"#!{sys.executable}\n{PARROT}")
    program.chmod(0o755)
    atms.env["PATH"] = f"{here}:{atms.env['PATH']}"
    atms.env["PLAY"] = str(here)
    atms("agent", "register", "clara", "--kind", "claude", "--max", "4")
    stage = Stage(atms, here)
    yield stage
    stage.close()


SETTINGS = """\
version: 1
execution: {retry_delay: 10ms, grace: 1s, jobs: 4}
budget: {prices: {opus: {input: 1000, output: 1000}}%s}
"""
INIT = {"type": "system", "subtype": "init", "session_id": "c1", "model": "opus"}


def message(number: int, tokens: int, command: str = "make") -> dict[str, Any]:
    content = [{"type": "tool_use", "name": "Bash", "input": {"command": command}}]
    usage = {"input_tokens": tokens, "output_tokens": 0}
    return {"type": "assistant", "message": {"id": f"m{number}", "content": content, "usage": usage}}


RESULT = {"type": "result", "subtype": "success", "is_error": False, "result": "done", "usage": {"input_tokens": 1}}


def attempts_of(atms: Atms, task: str) -> list[Any]:
    found: list[Any] = atms.task(task)["attempt_list"]
    return found


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("attempt_usd: 2", "clara: the attempt's budget is used up: $2.50 of $2.00 are spent"),
        ("attempt_tokens: 2000", "clara: the attempt's budget is used up: 2500 of 2000 tokens are used up"),
        ("task_usd: 2.5", "clara: the task's budget is used up: $2.50 of $2.50 are spent"),
    ],
)
def test_an_attempt_over_its_limit_is_stopped_in_the_middle(stage: Stage, limit: str, reason: str) -> None:
    atms = stage.atms
    atms.settings(SETTINGS % f", {limit}")
    one = stage.task("Dear")
    stage.run("--drain")
    stage.say(one, INIT, message(1, 1000))
    seen = stage.until("progress", steps=1)
    assert seen["usage"] == {"input_tokens": 1000, "cost_usd": 1.0, "output_tokens": 0, "cached_tokens": 0}
    assert (seen["doing"], seen["phase"]) == ("Bash: make", "running")
    assert not stage.reports("failed"), "there is something left"
    stage.say(one, message(2, 1500))
    stage.end(8)
    task = atms.task(one)
    assert (task["status"], task["reason"], task["attempts"]) == ("failed", reason, 1)
    (attempt,) = task["attempt_list"]
    assert attempt["usage"]["cost_usd"] == 2.5, "what it has cost is on record, though it never got to sum it up"
    assert (stage.here / "calls").read_text().count("\n") == 1, "a budget is final"


def test_what_an_agent_is_doing_is_seen_from_outside(stage: Stage) -> None:
    atms = stage.atms
    atms.settings(SETTINGS % "")
    one = stage.task("Long")
    stage.run("--drain")
    stage.say(one, INIT, message(1, 1000, "make all"))
    stage.until("progress", steps=1)
    said = atms("task", "progress", one, "40", "--note", "half of it", env={"ATMS_AGENT": "clara"})
    assert said.line == f"{one} 40 %: half of it"
    (attempt,) = attempts_of(atms, one)
    assert (attempt["status"], attempt["phase"]) == ("running", "running")
    known = attempt["progress"]
    assert (known["doing"], known["steps"], known["usage"]["cost_usd"]) == ("Bash: make all", 1, 1.0)
    assert (known["percent"], known["note"]) == (40, "half of it")
    words = "running by clara: 40 %; half of it; Bash: make all; 1000 tokens in, 0 out, $1.0000"
    assert words in atms("task", "show", one).out
    (running,) = atms.json("status")["running"]
    assert (running["task"], running["agent"], running["phase"], running["progress"]) == (
        one,
        "clara",
        "running",
        known,
    )
    assert "Long  running, clara: 40 %; half of it; Bash: make all; 1000 tokens in" in atms("status").out
    assert stage.loop is not None
    stage.loop.kill()
    stage.loop.wait()
    assert attempts_of(atms, one)[0]["progress"] == known, "no loop is needed for that"
    stage.run("--drain")
    stage.say(one, RESULT, "exit 0")
    stage.end(0)
    assert [each["phase"] for each in attempts_of(atms, one)] == ["succeeded"]
    assert stage.reports("completed")[0]["phase"] == "succeeded"
    assert atms.json("status")["running"] == []
    assert [each.get("phase") for each in atms.json("log", one)] == [None, "launching", "succeeded"]


def test_the_limit_of_a_run_stops_all_agents_and_loses_nothing(stage: Stage) -> None:
    atms = stage.atms
    atms.settings(SETTINGS % "")
    one, two = stage.task("One"), stage.task("Two")
    free = atms.add("Free", "--command", f"read line < {stage.here}/gate")
    os.mkfifo(stage.here / "gate")
    stage.run("--drain", "--max-cost", "3")
    stage.say(one, INIT, message(1, 1500))
    stage.say(two, INIT, message(1, 1000))
    stage.until("progress", task=one, steps=1)
    stage.until("progress", task=two, steps=1)
    stage.say(one, message(2, 500))
    for task in (one, two):
        stage.until("retried", task=task)
    with (stage.here / "gate").open("w") as gate:
        gate.write("go on\n")
    stage.end(8)
    assert atms.statuses() == {one: "queued", two: "queued", free: "completed"}
    for task, cost in ((one, 2.0), (two, 1.0)):
        now = atms.task(task)
        assert now["attempts"] == 0
        assert now["reason"] == "the budget of this run is used up: $3.00 of $3.00 are spent"
        assert [(each["usage"]["cost_usd"], each["phase"]) for each in now["attempt_list"]] == [(cost, "released")]
    stage.run("--drain")
    stage.say(one, RESULT, "exit 0")
    stage.say(two, RESULT, "exit 0")
    stage.end(0)
    calls = (stage.here / "calls").read_text().splitlines()
    assert sum("--resume c1" in each for each in calls) == 2, "both go on in their sessions"


def test_the_days_limit_puts_work_back_until_tomorrow(stage: Stage) -> None:
    atms = stage.atms
    atms.settings(SETTINGS % ", day_usd: 2")
    one = stage.task("One")
    stage.run("--drain")
    stage.say(one, INIT, message(1, 2000))
    stage.end(8)
    task = atms.task(one)
    assert (task["status"], task["attempts"]) == ("queued", 0)
    assert task["reason"] == "the day's budget is used up: $2.00 of $2.00 are spent"
    (summary,) = stage.reports("summary")
    assert "the agent clara waits (the day's budget: $2.00 of $2.00 are spent)" in summary["limits"][0]


def test_what_a_cancelled_attempt_has_cost_is_on_record(stage: Stage) -> None:
    atms = stage.atms
    atms.settings(SETTINGS % "")
    one = stage.task("One")
    stage.run("--drain")
    stage.say(one, INIT, message(1, 2000))
    stage.until("progress", task=one, steps=1)
    atms("task", "cancel", one)
    stage.end(0)
    (attempt,) = attempts_of(atms, one)
    assert (attempt["status"], attempt["usage"]["cost_usd"]) == ("cancelled", 2.0)
    atms("rebuild")
    assert attempts_of(atms, one) == [attempt]
    assert [each["type"] for each in atms.json("log", one)][-2:] == ["task.cancelled", "task.spent"]


def test_output_without_progress_is_stopped_and_tried_again_as_stalled(stage: Stage) -> None:
    atms = stage.atms
    atms.settings((SETTINGS % "").replace("jobs: 4", "jobs: 4, idle: 2s, max_attempts: 20"))
    one = stage.task("One")
    stage.run("--drain")
    stage.say(one, INIT, message(1, 10, "wait for ever"))
    stage.until("progress", task=one, steps=1)
    retry = {"type": "system", "subtype": "status", "attempt": 1}

    def is_retried() -> object:
        stage.say(one, retry)
        return stage.reports("retried")

    atms.until(is_retried, "the end of its patience")
    assert stage.reports("retried")[0]["reason"] == (
        "attempt 1 of 20: clara: stalled: no progress for 2.0s; the last was: Bash: wait for ever"
    )
    stage.say(one, message(2, 10), RESULT, "exit 0")
    stage.end(0)
    assert atms.statuses() == {one: "completed"}
    stalled, *_, done = attempts_of(atms, one)
    assert (stalled["phase"], stalled["usage"]["input_tokens"], done["phase"]) == ("stalled", 10, "succeeded")
    assert stage.reports("retried")[0]["phase"] == "stalled"
    assert "(stalled)" in atms("log", one).out


def test_a_loop_that_takes_over_hears_from_the_beginning(stage: Stage) -> None:
    atms = stage.atms
    atms.settings(SETTINGS % ", attempt_usd: 2")
    one = stage.task("One")
    stage.run()
    stage.say(one, INIT, message(1, 1500))
    stage.until("progress", task=one, steps=1)
    assert stage.loop is not None
    stage.loop.kill()
    stage.loop.wait()
    stage.run("--drain")
    stage.until("resumed", task=one)
    assert stage.until("progress", task=one)["usage"]["cost_usd"] == 1.5
    stage.say(one, message(2, 500))
    stage.end(8)
    assert atms.task(one)["reason"] == "clara: the attempt's budget is used up: $2.00 of $2.00 are spent"


def test_the_wall_is_final_unless_it_is_said_otherwise(atms: Atms) -> None:
    atms.settings("version: 1\nexecution: {retry_delay: 10ms, grace: 200ms}\n")
    one = atms.add("Slow", "--command", "sleep 100", "--timeout", "200ms")
    atms("run", "--drain", code=8)
    task = atms.task(one)
    assert (task["status"], task["attempts"]) == ("failed", 1)
    assert task["reason"] == "ran longer than its timeout, which is final (execution.on_timeout)"
    atms("config", "set", "execution.on_timeout", "retry")
    atms("task", "retry", one)
    atms("run", "--drain", code=8)
    task = atms.task(one)
    assert (task["attempts"], task["reason"]) == (3, "ran longer than its timeout after 3 attempts")
    assert {each["phase"] for each in task["attempt_list"]} == {"timed_out"}
