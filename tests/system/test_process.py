"""Real processes only. Every tree is looked for again at the end of its test: nothing may be left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import ConflictError
from atms_cli.system.process import (
    MARKER,
    OUTER_MARKER,
    Launch,
    Outcome,
    Processes,
    Started,
    is_alive,
    kill_marked,
    look_in_proc,
    look_with_psutil,
    marked,
    runs_in_proc,
    runs_with_psutil,
    shell,
    start_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(60)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="this system has no /proc")

#: A process that has left its session, ignores all polite signals and says when it is there, as often as it is told.
STUBBORN = """
import os, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        os.setsid()
        break
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
while True:
    signal.pause()
"""


def until(is_true: Callable[[], object], timeout_s: float = 20) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < give_up_at, "it did not come true"
        time.sleep(0.002)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def await_pids(path: Path, count: int) -> list[int]:
    until(lambda: len(lines(path)) >= count)
    return [int(line) for line in lines(path)]


def is_gone(pid: int) -> bool:
    born = start_time(pid)
    return born is None or not is_alive(pid, born)


class Desk:
    """Makes launches in a directory of their own, and starts them."""

    def __init__(self, directory: Path, processes: Processes) -> None:
        self.directory = directory
        self.processes = processes
        self.ids: list[str] = []

    def launch(self, *argv: str) -> Launch:
        run_id = f"run-{secrets.token_hex(8)}"
        self.ids.append(run_id)
        output = str(self.directory / f"{run_id}.out")
        env = {"PATH": os.environ["PATH"]}
        return Launch(run_id, argv, str(self.directory), env, output, grace_s=0.1)

    def stubborn(self, children: int = 0) -> tuple[Launch, Path]:
        pids = self.directory / "pids"
        return self.launch(sys.executable, "-S", "-c", STUBBORN, str(pids), str(children)), pids

    def start(self, launch: Launch) -> Started:
        started = self.processes.start(launch)
        assert isinstance(started, Started)
        return started

    def run(self, launch: Launch) -> Outcome:
        self.start(launch)
        return self.wait()

    def sh(self, command: str) -> Outcome:
        return self.run(self.launch(*shell(command)))

    def wait(self) -> Outcome:
        (outcome,) = self.processes.poll(30)
        return outcome

    def said(self, launch: Launch) -> str:
        return Path(launch.output).read_text()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Processes() as processes:
        desk = Desk(tmp_path, processes)
        yield desk
    assert marked(desk.ids) == {run_id: [] for run_id in desk.ids}
    with contextlib.suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0), "a zombie was left"


# What a command comes to


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_reported(desk: Desk, code: int) -> None:
    outcome = desk.sh(f"exit {code}")
    assert (outcome.status, outcome.exit_code, outcome.signal, outcome.error) == ("exited", code, None, "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_the_signal_that_ended_a_command_is_reported(desk: Desk, number: int) -> None:
    outcome = desk.sh(f"kill -{number} $$")
    assert (outcome.status, outcome.exit_code, outcome.signal) == ("signalled", None, number)


def test_time_and_memory_are_reported(desk: Desk) -> None:
    outcome = desk.run(desk.launch(sys.executable, "-c", "x = bytearray(40 << 20); sum(range(2_000_000))"))
    assert 0 < outcome.cpu_s <= outcome.duration_s + 0.1
    assert outcome.max_rss_kb > 40 << 10


def test_outcomes_and_launches_survive_json(desk: Desk) -> None:
    launch = replace(desk.launch("a", "b"), timeout_s=1.5, input="/dev/null")
    assert Launch.from_json(json.loads(json.dumps(launch.to_json()))) == launch
    outcome = Outcome("id", "signalled", signal=9, duration_s=0.25, error="no", cpu_s=0.125, max_rss_kb=7)
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json() | {"of_a_later_version": 1}))) == outcome


def test_fifty_commands_at_once_are_told_apart(desk: Desk) -> None:
    gate = desk.directory / "gate"
    os.mkfifo(gate)
    launches = [desk.launch(*shell(f"read line < {gate}; exit {number}")) for number in range(50)]
    for launch in launches:
        desk.start(launch)
    assert len(desk.processes.running) == 50
    assert desk.processes.poll(0) == []
    # Each reader takes what it finds, and sees the end of the file once nobody writes.
    writer = os.open(gate, os.O_RDWR)
    os.write(writer, b"\n" * 50)
    codes: dict[str, int | None] = {}
    while len(codes) < 50:
        codes.update((outcome.id, outcome.exit_code) for outcome in desk.processes.poll(30))
    os.close(writer)
    assert codes == {launch.id: number for number, launch in enumerate(launches)}


def test_an_end_wakes_whoever_selects(desk: Desk) -> None:
    desk.start(desk.launch("true"))
    assert select.select([desk.processes], [], [], 20)[0]
    until(lambda: desk.processes.poll(0))


def test_nothing_running_is_nothing_to_wait_for(desk: Desk) -> None:
    assert desk.processes.due_in_s() == float("inf")
    assert desk.processes.poll() == []


def test_a_run_is_not_started_twice_at_once(desk: Desk) -> None:
    launch = desk.launch("cat", "/dev/zero")
    started = desk.start(replace(launch, output="/dev/null"))
    with pytest.raises(ConflictError):
        desk.processes.start(launch)
    with pytest.raises(ConflictError):
        desk.processes.adopt(started)


# What cannot be started


def test_no_such_program(desk: Desk) -> None:
    for argv in (("no-such-program",), ("/no/such/program",), ("",), ()):
        outcome = desk.processes.start(desk.launch(*argv))
        assert outcome == Outcome(desk.ids[-1], "unstartable", error=f"no such program: {''.join(argv)}")


def test_no_such_directory(desk: Desk) -> None:
    outcome = desk.processes.start(replace(desk.launch("true"), cwd="/no/such/directory"))
    assert isinstance(outcome, Outcome)
    assert outcome.error == "no such directory: /no/such/directory"


def test_a_directory_that_is_a_file(desk: Desk) -> None:
    outcome = desk.processes.start(replace(desk.launch("true"), cwd="/dev/null"))
    assert isinstance(outcome, Outcome)
    assert outcome.error == "cannot enter directory /dev/null: Not a directory"


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [
        ("#!/bin/sh", 0o644, "not executable: ./script"),
        ("exit 0", 0o755, "not executable: ./script; a script must begin with a line such as `#!/bin/sh`"),
        ("#!/no/such/shell", 0o755, "no such interpreter: see the first line of ./script"),
    ],
)
def test_a_script_that_cannot_be_executed(desk: Desk, content: str, mode: int, error: str) -> None:
    script = desk.directory / "script"
    script.write_text(content)
    script.chmod(mode)
    outcome = desk.processes.start(desk.launch("./script"))
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.error) == ("unstartable", error)


def test_files_that_cannot_be_opened(desk: Desk) -> None:
    for launch in (
        replace(desk.launch("true"), output="/no/such/file"),
        replace(desk.launch("true"), input="/no/such/file"),
    ):
        outcome = desk.processes.start(launch)
        assert isinstance(outcome, Outcome)
        assert outcome.error == "cannot open /no/such/file: No such file or directory"


def test_words_that_no_system_takes(desk: Desk) -> None:
    for launch in (
        desk.launch("true", "a\0b"),
        desk.launch("true\0"),
        replace(desk.launch("true"), env={"PATH": os.environ["PATH"], "a=b": "c"}),
        desk.launch("true", "x" * (1 << 24)),
    ):
        outcome = desk.processes.start(launch)
        assert isinstance(outcome, Outcome)
        assert outcome.status == "unstartable"
        assert "true" in outcome.error


# What a command sees


def test_both_outputs_go_to_the_end_of_one_file_in_order(desk: Desk) -> None:
    launch = desk.launch(*shell("for i in 1 2 3; do echo out $i; echo err $i >&2; done"))
    Path(launch.output).write_text("before\n")
    desk.run(launch)
    assert desk.said(launch).split("\n") == ["before", *(f"{to} {i}" for i in "123" for to in ("out", "err")), ""]


def test_input_comes_from_a_file_or_nowhere(desk: Desk) -> None:
    source = desk.directory / "in"
    source.write_text("hello")
    given, none = replace(desk.launch("cat"), input=str(source)), desk.launch("cat")
    desk.run(given)
    desk.run(none)
    assert (desk.said(given), desk.said(none)) == ("hello", "")


def test_the_environment_is_the_given_one_and_the_marker(desk: Desk) -> None:
    launch = replace(desk.launch("env"), env={"PATH": os.environ["PATH"], "A": "b"})
    desk.run(launch)
    assert sorted(desk.said(launch).splitlines()) == sorted(
        [f"PATH={os.environ['PATH']}", "A=b", f"{MARKER}={launch.id}"]
    )


def test_runs_within_runs_keep_all_marks(desk: Desk) -> None:
    launch = desk.launch("env")
    desk.run(replace(launch, env={**launch.env, OUTER_MARKER: "first", MARKER: "second"}))
    assert {f"{MARKER}={launch.id}", f"{OUTER_MARKER}=first second"} <= set(desk.said(launch).splitlines())


def test_the_program_is_looked_for_on_the_path_of_the_command_from_its_directory(desk: Desk) -> None:
    program = desk.directory / "bin" / "tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 42\n")
    program.chmod(0o755)
    assert desk.run(replace(desk.launch("tool"), env={"PATH": "nowhere:bin"})).exit_code == 42
    assert desk.run(replace(desk.launch("bin/tool"))).exit_code == 42


def test_the_directory_is_that_of_the_command_and_ours_stays(desk: Desk) -> None:
    before = Path.cwd()
    launch = desk.launch("pwd", "-P")
    desk.run(launch)
    assert desk.said(launch).strip() == str(desk.directory.resolve())
    desk.processes.start(replace(desk.launch("no-such-program")))
    assert Path.cwd() == before


def test_signals_are_as_a_fresh_shell_has_them(desk: Desk) -> None:
    assert desk.sh("kill -PIPE $$; exit 5").signal == signal.SIGPIPE


def test_a_command_leads_its_own_session(desk: Desk) -> None:
    gate = desk.directory / "gate"
    os.mkfifo(gate)
    started = desk.start(desk.launch(*shell(f"read line < {gate}")))
    assert os.getsid(started.pid) == os.getpgid(started.pid) == started.pid
    assert is_alive(started.pid, started.start_time)


def test_what_we_have_open_stays_ours(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with Processes() as processes:
        desk = Desk(tmp_path, processes)
        desk.start(replace(desk.launch("cat", "/dev/zero"), output="/dev/null"))
        os.close(lock)
        again = os.open(tmp_path / "lock", os.O_RDWR)
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(again)


# How trees end


def test_a_kill_ends_even_those_who_left_the_session_and_ignore_signals(desk: Desk) -> None:
    launch, pids = desk.stubborn(children=3)
    desk.start(launch)
    tree = await_pids(pids, 4)
    assert sorted(marked([launch.id])[launch.id]) == sorted(tree)
    desk.processes.kill(launch.id, "enough")
    outcome = desk.wait()
    assert (outcome.status, outcome.signal, outcome.error) == ("killed", signal.SIGKILL, "enough")
    assert all(map(is_gone, tree))


def test_a_command_that_takes_too_long_is_timed_out_with_its_tree(desk: Desk) -> None:
    launch, pids = desk.stubborn(children=2)
    outcome = desk.run(replace(launch, timeout_s=1))
    assert (outcome.status, outcome.error) == ("timed_out", "took longer than 1 s")
    assert outcome.duration_s >= 1.2
    assert all(map(is_gone, await_pids(pids, 0)))


def test_a_command_may_end_in_its_own_words(desk: Desk) -> None:
    ready = desk.directory / "ready"
    command = f"trap 'exit 7' INT; echo > {ready}; while :; do sleep 0.01; done"
    launch = replace(desk.launch(*shell(command)), grace_s=60)
    desk.start(launch)
    until(ready.exists)
    assert desk.processes.kill(launch.id, "please")
    assert desk.processes.ending == [launch.id]
    assert not desk.processes.kill(launch.id, "again")
    outcome = desk.wait()
    assert (outcome.status, outcome.exit_code, outcome.error) == ("killed", 7, "please")
    assert not desk.processes.kill(launch.id, "too late")


def test_who_ignores_an_interrupt_is_terminated(desk: Desk) -> None:
    ready = desk.directory / "ready"
    launch = desk.launch(*shell(f"trap '' INT; trap 'exit 8' TERM; echo > {ready}; while :; do sleep 0.01; done"))
    desk.start(replace(launch, grace_s=0.3))
    until(ready.exists)
    desk.processes.kill(launch.id, "please")
    assert desk.wait().exit_code == 8


def test_a_stopped_command_is_woken_to_hear_its_end(desk: Desk) -> None:
    launch = replace(desk.launch("sleep", "600"), grace_s=60)
    os.kill(desk.start(launch).pid, signal.SIGSTOP)
    desk.processes.kill(launch.id, "please")
    assert desk.wait().signal == signal.SIGINT


def test_silence_is_a_stall(desk: Desk) -> None:
    outcome = desk.run(replace(desk.launch(*shell("echo hello; exec sleep 600")), silence_s=0.5, timeout_s=60))
    assert (outcome.status, outcome.error) == ("stalled", "no output for 0.5 s")
    assert outcome.duration_s < 20


def test_who_keeps_talking_is_not_stalled(desk: Desk) -> None:
    talk = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.3; done"
    outcome = desk.run(replace(desk.launch(*shell(talk)), silence_s=1.5))
    assert outcome.status == "exited"


@pytest.mark.parametrize(
    "leave", ["sleep 600 & echo $!", "setsid sleep 600 & echo $!", "(setsid sh -c 'echo $$; exec sleep 600' &)"]
)
def test_what_a_finished_command_left_running_is_ended(desk: Desk, leave: str) -> None:
    other = desk.start(desk.launch("sleep", "600"))
    launch = desk.launch(*shell(f"{leave}; exit 3"))
    outcome = desk.run(launch)
    assert (outcome.id, outcome.status, outcome.exit_code) == (launch.id, "exited", 3)
    assert all(is_gone(int(pid)) for pid in desk.said(launch).split())
    assert is_alive(other.pid, other.start_time)


@on_linux
def test_not_even_a_wiped_environment_hides_the_last_leftover(desk: Desk) -> None:
    pids = desk.directory / "pids"
    daemon = f"(env -i setsid sh -c 'echo $$ >> {pids}; exec sleep 600' &)"
    outcome = desk.sh(f"{daemon}; until test -s {pids}; do sleep 0.01; done")
    assert outcome.status == "exited"
    assert all(map(is_gone, await_pids(pids, 1)))


def test_a_leftover_that_ignores_termination_is_killed(desk: Desk) -> None:
    launch, pids = desk.stubborn(children=1)
    quoted = f"{sys.executable} -S -c '{STUBBORN.replace(chr(39), chr(34))}' {pids} 1"
    outcome = desk.run(
        replace(launch, argv=shell(f"{quoted} & until test $(cat {pids} | wc -l) = 2; do sleep 0.01; done"))
    )
    assert outcome.status == "exited"
    assert all(map(is_gone, await_pids(pids, 2)))


@on_linux
def test_an_orphan_of_one_run_outlives_the_end_of_another(desk: Desk) -> None:
    pids = desk.directory / "pids"
    launch = desk.launch(*shell(f"(setsid sh -c 'echo $$ >> {pids}; exec sleep 600' &); exec sleep 600"))
    desk.start(launch)
    (orphan,) = await_pids(pids, 1)
    until(lambda: (seen := look_in_proc(orphan)) and seen.parent == os.getpid())
    assert desk.sh("exit 3").exit_code == 3
    assert not is_gone(orphan)
    desk.processes.kill(launch.id, "enough")
    assert desk.wait().status == "killed"
    assert is_gone(orphan)


def test_closing_ends_everything(tmp_path: Path) -> None:
    with Processes() as processes:
        desk = Desk(tmp_path, processes)
        launch, pids = desk.stubborn(children=1)
        desk.start(launch)
        tree = await_pids(pids, 2)
    assert all(map(is_gone, tree))
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


# Trees of others


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Callable[[str], Started]]:
    """Starts marked trees that no Processes knows of, as a keeper that has died would leave them."""
    ids: list[str] = []

    def start(command: str) -> Started:
        ids.append(f"run-{secrets.token_hex(8)}")
        env = {"PATH": os.environ["PATH"], MARKER: ids[-1], "PIDS": str(tmp_path / "pids")}
        pid = os.posix_spawn("/bin/sh", shell(command), env, setsid=True)
        return Started(ids[-1], pid, start_time(pid) or 0)

    yield start
    for run_id in ids:
        kill_marked(run_id, 0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0):
            pass


def test_the_end_of_an_adopted_tree_is_noticed(stranger: Callable[[str], Started], desk: Desk) -> None:
    started = stranger("read line < /dev/zero")
    desk.processes.adopt(started)
    assert desk.processes.poll(0) == []
    os.kill(started.pid, signal.SIGKILL)
    outcome = desk.wait()
    assert (outcome.id, outcome.status, outcome.exit_code) == (started.id, "vanished", None)


def test_the_end_of_an_adopted_tree_is_noticed_without_pidfd(
    stranger: Callable[[str], Started], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    test_the_end_of_an_adopted_tree_is_noticed(stranger, desk)


def test_an_adopted_tree_is_ended_as_our_own(stranger: Callable[[str], Started], desk: Desk) -> None:
    started = stranger("setsid sleep 600 & echo $! >> $PIDS; sleep 600")
    tree = await_pids(desk.directory / "pids", 1)
    desk.processes.adopt(started, timeout_s=0.05, grace_s=0.1)
    outcome = desk.wait()
    assert (outcome.status, outcome.error) == ("timed_out", "took longer than 0.05 s")
    assert all(map(is_gone, [started.pid, *tree]))


def test_what_an_ended_adopted_command_left_is_ended(stranger: Callable[[str], Started], desk: Desk) -> None:
    started = stranger("setsid sleep 600 & echo $! >> $PIDS")
    tree = await_pids(desk.directory / "pids", 1)
    until(lambda: is_gone(started.pid))
    desk.processes.adopt(started, grace_s=0.1)
    assert desk.wait().status == "vanished"
    assert all(map(is_gone, tree))


def test_a_reused_pid_is_not_what_was_adopted(stranger: Callable[[str], Started], desk: Desk) -> None:
    other = stranger("sleep 600")
    desk.processes.adopt(Started(f"{other.id}-former", other.pid, other.start_time - 1))
    assert desk.wait().status == "vanished"
    assert is_alive(other.pid, other.start_time)


def test_marked_trees_can_be_killed_without_knowing_more(stranger: Callable[[str], Started], tmp_path: Path) -> None:
    started = stranger("trap '' INT TERM; setsid sleep 600 & echo $! >> $PIDS; sleep 600")
    tree = [started.pid, *await_pids(tmp_path / "pids", 1)]
    found = marked([started.id, "nobody"])
    assert set(tree) <= set(found[started.id])
    assert found["nobody"] == []
    assert kill_marked(started.id, 0.05) == []
    assert all(map(is_gone, tree))


def test_the_end_of_an_outer_run_is_the_end_of_an_inner_one(desk: Desk) -> None:
    outer = f"run-{secrets.token_hex(8)}"
    launch = desk.launch("sleep", "600")
    desk.start(replace(launch, env={**launch.env, MARKER: outer}))
    assert kill_marked(outer, 5) == []
    assert desk.wait().signal == signal.SIGINT


def test_a_process_does_not_kill_itself_with_its_run(desk: Desk) -> None:
    code = """
import os
from atms_cli.system.process import kill_marked, is_alive, start_time
pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)
born = start_time(pid)
print(kill_marked(os.environ["ATMS_RUN_ID"], 5), is_alive(pid, born))
"""
    launch = desk.launch(sys.executable, "-c", code)
    outcome = desk.run(replace(launch, env={**launch.env, "PYTHONPATH": str(Path(__file__).parents[2])}))
    assert (outcome.exit_code, desk.said(launch)) == (0, "[] False\n")


# Looking


def test_zombies_are_not_alive() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", ":"], {})
    born = start_time(pid)
    assert born is not None
    until(lambda: not is_alive(pid, born))
    assert start_time(pid) == born
    os.waitpid(pid, 0)
    assert start_time(pid) is None


@on_linux
def test_psutil_sees_what_proc_shows(desk: Desk) -> None:
    started = desk.start(desk.launch("sleep", "600"))
    in_proc, with_psutil = look_in_proc(started.pid), look_with_psutil(started.pid)
    assert in_proc is not None
    assert with_psutil is not None
    assert replace(in_proc, start_time=0) == replace(with_psutil, start_time=0)
    assert runs_in_proc(started.pid) == runs_with_psutil(started.pid) == (started.id,)
    assert look_in_proc(1 << 30) is look_with_psutil(1 << 30) is None


@on_linux
def test_a_process_is_recognised_from_its_first_moment() -> None:
    for _ in range(200):
        pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {MARKER: "x"})
        runs = runs_in_proc(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert runs == ("x",)
