"""The loop and the people around it: interrupts, timeouts, cancelling, following, editing while it works."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commandline import Atms, Child

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

#: Says that it has begun, waits until the test lets it go on, and says that it has finished.
WAITING = "echo $$ >> began; read line < gate; echo $ATMS_TASK_ID >> finished"
#: Ignores everything that can be ignored.
STUBBORN = "trap '' INT TERM HUP; echo $$ >> began; while :; do read line < gate; done"


class Loop:
    """`atms run` in the background."""

    def __init__(self, atms: Atms, *options: str) -> None:
        self.atms = atms
        os.mkfifo(atms.root / "gate")
        with (atms.root / "loop.log").open("w") as out:
            self.process: Child = atms.start("run", "--progress", "plain", *options, out=out)
        self.says("atms run: ")

    def says(self, words: str) -> None:
        self.atms.appears("loop.log", words)

    def began(self, count: int = 1) -> list[int]:
        """Wait until commands have begun; return their process ids."""
        path = self.atms.root / "began"
        self.atms.until(lambda: path.exists() and path.read_text().count("\n") >= count, f"{count} beginnings")
        return [int(line) for line in path.read_text().split()]

    def let_go(self) -> None:
        """Let one waiting command go on."""
        self.atms.until(self._opened, "a reader at the gate")

    def let_all_go(self, *tasks: str) -> None:
        """Let waiting commands go on until they have ended; opening the gate once may let several go."""

        def have_ended() -> bool:
            self._opened()
            statuses = self.atms.statuses()
            return all(statuses[task] == "completed" for task in tasks)

        self.atms.until(have_ended, "the end of the commands")

    def _opened(self) -> bool:
        try:
            gate = os.open(self.atms.root / "gate", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        os.write(gate, b"\n")
        os.close(gate)
        return True

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        answer = self.atms.end(self.process)
        return answer.code, (self.atms.root / "loop.log").read_text()

    def stop(self) -> None:
        self.interrupt()
        assert self.end()[0] == 130


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_first_interrupt_lets_what_runs_finish(repository: Atms) -> None:
    atms = repository
    one, two = atms.add("One", "--command", WAITING), atms.add("Two", "--command", WAITING)
    loop = Loop(atms, "-j", "1", "--drain")
    loop.began()
    loop.interrupt()
    loop.says("starting nothing new; what runs may finish (again to stop it)")
    loop.let_go()
    code, log = loop.end()
    assert code == 130
    assert f"✓ {one}  One  completed in " in log
    assert atms.statuses() == {one: "completed", two: "queued"}
    assert (atms.root / "finished").read_text() == f"{one}\n"


def test_the_second_interrupt_stops_what_runs_and_puts_it_back(repository: Atms) -> None:
    atms = repository
    one = atms.add("One", "--command", WAITING)
    loop = Loop(atms)
    (pid,) = loop.began()
    loop.interrupt()
    loop.says("starting nothing new")
    loop.interrupt()
    code, log = loop.end()
    assert code == 130
    assert "stopping what runs; it goes back into the queue (again to kill it)" in log
    assert is_gone(pid)
    task = atms.task(one)
    assert (task["status"], task["attempts"], task["reason"]) == ("queued", 0, "stopped with its loop")
    assert not (atms.root / "finished").exists()


def test_the_third_interrupt_kills_what_will_not_stop(repository: Atms) -> None:
    atms = repository
    atms.settings("version: 1\nexecution: {grace: 60s}\n")
    one = atms.add("One", "--command", STUBBORN)
    loop = Loop(atms)
    (pid,) = loop.began()
    for words in ("starting nothing new", "stopping what runs", "killing what runs"):
        loop.interrupt()
        loop.says(words)
    assert loop.end()[0] == 130
    assert atms.statuses() == {one: "queued"}
    atms.until(lambda: is_gone(pid), "the end of the command", 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_stops_what_runs_and_puts_it_back(repository: Atms, number: int) -> None:
    atms = repository
    one = atms.add("One", "--command", WAITING)
    loop = Loop(atms)
    (pid,) = loop.began()
    loop.interrupt(number)
    assert loop.end()[0] == 143
    assert atms.statuses() == {one: "queued"}
    assert is_gone(pid)


def test_a_loop_with_nothing_to_do_ends_at_once_when_interrupted(repository: Atms) -> None:
    loop = Loop(repository)
    loop.interrupt()
    code, log = loop.end()
    assert code == 130
    assert log.splitlines()[-1] == "ended: 0 completed"


def test_a_timeout_ends_a_whole_tree_that_does_not_listen(repository: Atms) -> None:
    atms = repository
    atms.settings("version: 1\nexecution: {grace: 200ms, retry_delay: 10ms}\n")
    deaf = "trap '' INT TERM HUP; echo $$ >> began; exec sleep 1000"
    command = f'setsid sh -c "{deaf}" & sh -c "{deaf}" & {deaf}'.replace("$$", "\\$\\$", 2)
    one = atms.add("One", "--command", command, "--timeout", "1s", "--retries", "0")
    answer = atms("run", "--drain", code=8)
    pids = [int(line) for line in (atms.root / "began").read_text().split()]
    assert len(set(pids)) == 3
    assert all(map(is_gone, pids))
    assert f"✗ {one}  One  failed in " in answer.out
    task = atms.task(one)
    assert (task["status"], task["reason"]) == (
        "failed",
        "ran longer than its timeout, which is final (execution.on_timeout)",
    )


def test_a_second_loop_is_refused_and_told_of_the_first(repository: Atms) -> None:
    atms = repository
    loop = Loop(atms)
    refused = atms("run", "--drain", code=5)
    assert refused.err == (
        f"error: `atms run` is at work here already (process {loop.process.pid})\nhint: one loop a workspace; see: atms status\n"
    )
    assert atms.json("status")["runner"] == f"process {loop.process.pid}"
    assert f"loop       running: process {loop.process.pid}\n" in atms("status").out
    loop.stop()
    assert atms.json("status")["runner"] is None


def test_cancelling_a_running_task_ends_its_command(repository: Atms) -> None:
    atms = repository
    one, two = atms.add("One", "--command", WAITING), atms.add("Two", "--command", WAITING)
    loop = Loop(atms, "-j", "1", "--drain")
    (pid,) = loop.began()
    assert atms("task", "cancel", one, "--reason", "not needed").out == f"– {one}  One  cancelled\n"
    loop.began(2)
    assert is_gone(pid)
    loop.let_go()
    code, log = loop.end()
    assert code == 0
    assert f"– {one}  One  cancelled in " in log
    assert log.endswith("done: 1 completed, 1 cancelled\n")
    assert atms.statuses() == {one: "cancelled", two: "completed"}


def test_a_task_that_the_loop_runs_cannot_be_released(repository: Atms) -> None:
    atms = repository
    one = atms.add("One", "--command", WAITING)
    loop = Loop(atms)
    loop.began()
    assert atms("task", "release", one, code=5).err == (
        f"error: `{one}` is being run by `atms run`\nhint: stop it with: atms task cancel {one}\n"
    )
    loop.let_go()
    atms("task", "wait", one)
    loop.stop()


def test_output_and_events_can_be_followed(repository: Atms) -> None:
    atms = repository
    one = atms.add("One", "--command", f"echo Grüße; {WAITING}; echo bye")
    loop = Loop(atms)
    loop.began()
    logs = atms.start("task", "logs", one, "-f")
    events = atms.start("log", "-f", "--json", "--type", "task.*")
    plain = atms.start("log", one, "-f")
    wait = atms.start("task", "wait", one)
    assert events.stdout is not None
    assert [json.loads(events.stdout.readline())["type"] for _ in range(2)] == ["task.created", "task.started"]
    assert logs.stdout is not None
    assert logs.stdout.readline() == "Grüße\n"
    assert plain.stdout is not None
    assert [plain.stdout.readline().split()[1] for _ in range(2)] == ["task.created", "task.started"]
    loop.let_go()
    rest = atms.end(logs)
    assert (rest.code, rest.out, rest.err) == (0, "bye\n", "")
    assert json.loads(events.stdout.readline())["type"] == "task.completed"
    assert plain.stdout.readline().split()[1] == "task.completed"
    assert atms.end(wait).out == f"✓ {one}  One\n"
    for follower in (events, plain):
        follower.send_signal(signal.SIGINT)
        assert atms.end(follower).code == 130
    loop.stop()


def test_waiting_tells_how_tasks_have_ended(repository: Atms) -> None:
    atms = repository
    good, bad = atms.add("Good", "--command", "true"), atms.add("Bad", "--command", "exit 3", "--retries", "0")
    waiting = atms("task", "wait", good, "--timeout", "50ms", code=75)
    assert waiting.out == f"○ {good}  Good\n"
    assert atms("run", "--drain", code=8).out.endswith(
        "ended: 1 completed, 1 failed\n"
        "see why: atms task list --status failed, then atms task logs ID\n"
        "try again: atms task retry ID\n"
    )
    assert atms("task", "wait", good).out == f"✓ {good}  Good\n"
    assert atms("task", "wait", good, bad, code=8).lines == [f"✓ {good}  Good", f"✗ {bad}  Bad"]


def test_settings_broken_while_the_loop_works_are_survived(repository: Atms) -> None:
    atms = repository
    atms.settings("version: 1\nexecution: {jobs: 1}\n")
    loop = Loop(atms)
    atms.settings("version: 1\nexecution: {jobs: many\n")
    loop.says("going on with the settings from before")
    atms.settings("version: 1\nexecution: {jobs: 2}\n")
    one, two = atms.add("Two", "--command", WAITING), atms.add("Three", "--command", WAITING)
    loop.began(2)
    loop.let_all_go(one, two)
    loop.stop()


def test_work_goes_on_while_settings_are_broken(repository: Atms) -> None:
    atms = repository
    atms.settings("version: 1\nexecution: {jobs: 1}\n")
    one, two = atms.add("One", "--command", WAITING), atms.add("Two", "--command", WAITING)
    loop = Loop(atms, "--drain")
    loop.began(1)
    atms.settings("gates: [")
    loop.says("going on with the settings from before")
    loop.let_go()
    loop.began(2)
    loop.let_go()
    assert loop.end()[0] == 0
    atms.settings("version: 1\n")
    assert atms.statuses() == {one: "completed", two: "completed"}


def test_once_starts_one_task_at_most(repository: Atms) -> None:
    atms = repository
    assert atms("run", "--once", code=6).out.endswith("done: 0 completed\n")
    one, two = (
        atms.add("One", "--command", "true", "-p", "high"),
        atms.add("Two", "--command", "exit 1", "--retries", "0"),
    )
    atms("run", "--once")
    assert atms.statuses() == {one: "completed", two: "queued"}
    atms("run", "--once", code=8)
    assert atms.statuses() == {one: "completed", two: "failed"}


def test_a_drain_says_what_nobody_can_run(repository: Atms) -> None:
    atms = repository
    one = atms.add("One")
    behind = atms.add("Two", "--command", "true", "--after", one)
    assert atms("run", "--drain", code=8).out.endswith(
        "ended: 0 completed, 1 blocked, 1 unassigned\n"
        f"  nobody can run {one} (One): it has no command, and no agent is there that `atms run` could start\n"
    )
    assert atms.statuses() == {one: "queued", behind: "queued"}


def test_reports_in_json_name_every_step(repository: Atms) -> None:
    atms = repository
    atms.settings("version: 1\nexecution: {retry_delay: 10ms}\ngates:\n  good: 'true'\n")
    one = atms.add("One", "--command", "test $ATMS_ATTEMPT = 2")
    reports = atms("run", "--drain", "--json").documents
    assert [report["type"] for report in reports] == [
        "run_started", "started", "retried", "started", "validating", "gate", "completed", "summary",
    ]  # fmt: skip
    assert {report["task"] for report in reports if "task" in report} == {one}
    assert reports[2]["reason"] == "attempt 1 of 3: exit code 1"
    expected = {
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
        "retried": 1,
        "blocked": 0,
        "unassigned": 0,
        "review": 0,
        "left": 0,
        "paused": False,
    }
    assert {name: reports[-1][name] for name in expected} == expected
    assert [attempt["status"] for attempt in atms.task(one)["attempt_list"]] == ["failed", "succeeded"]


def test_a_rehearsal_touches_nothing(repository: Atms) -> None:
    atms = repository
    one = atms.add("One", "--command", "touch ran", "-p", "high")
    two = atms.add("Two", "--command", "touch ran", "--after", one)
    assert atms("run", "--drain", "--dry-run").out == (
        "#  WHEN                      START  TASK        AGENT  GATES  TITLE\n"
        f"1  ████████████············  +0.0s  {one}  shell         One\n"
        f"2  ············████████████  +1h    {two}  shell         Two\n"
    )
    assert not (atms.root / "ran").exists()
    assert set(atms.statuses().values()) == {"queued"}


def test_a_paused_queue_gives_nothing_to_the_loop(repository: Atms) -> None:
    atms = repository
    one = atms.add("One", "--command", "true")
    assert atms("queue", "pause", "--reason", "release day").out == "paused; go on with: atms queue resume\n"
    assert "the queue is paused; go on with: atms queue resume\n" in atms("run", "--drain", code=None).out
    assert atms.statuses() == {one: "queued"}
    loop = Loop(atms)
    atms("queue", "resume")
    atms("task", "wait", one)
    loop.stop()


def test_a_command_sees_its_task_and_not_the_hook_around_the_loop(repository: Atms) -> None:
    atms = repository
    one = atms.add(
        "Ünï cöde",
        "--command",
        "env; pwd; git rev-parse --show-toplevel",
        "--env",
        "MINE=a b",
        "--cwd",
        "sub",
        "--feature",
        "f1",
    )
    (atms.root / "sub").mkdir()
    hook = {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index"}
    atms("run", "--drain", env=hook)
    log = atms("task", "logs", one).lines
    assert {
        f"ATMS_TASK_ID={one}", f"ATMS_WORKSPACE={atms.root}", "ATMS_AGENT=shell", "ATMS_TASK_TITLE=Ünï cöde", "ATMS_ATTEMPT=1",
        "ATMS_FEATURE_ID=f1", "MINE=a b",
    } <= set(log)  # fmt: skip
    assert log[-2:] == [f"{atms.root}/sub", str(atms.root)]
