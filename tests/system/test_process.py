"""What commands come to, how their trees end, and the watch over trees of others."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import ConflictError
from atms_cli.system.launch import Launch, Outcome, Started, shell
from atms_cli.system.process import Processes
from atms_cli.system.tree import is_alive, look_in_proc, marked
from tests.system.desk import STUBBORN, Desk, await_pids, is_gone, on_linux, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


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
