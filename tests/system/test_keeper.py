"""What a keeper starts, ends and records, that it starts nothing twice, and that it outlives its loop."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import UnavailableError
from atms_cli.system.keeper_client import Keeper, KeeperGone, Ready, Refused
from atms_cli.system.launch import Launch, Outcome, Started
from atms_cli.system.tree import is_alive, kill_marked, marked, start_time
from tests.system.desk import is_gone, until

if TYPE_CHECKING:
    from tests.system.keepers import Loop

pytestmark = pytest.mark.timeout(60)

REPOSITORY = str(Path(__file__).parents[2])


# One keeper


def test_a_command_is_started_and_its_end_reported_and_recorded(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.waiting(3)
    started = loop.start(keeper, launch)
    running = loop.record(launch)
    assert (running.is_claimed, running.process, running.outcome) == (True, started, None)
    assert running.keeper_pid == keeper.pid
    assert running.is_kept()
    assert is_alive(started.pid, started.start_time)
    loop.open_gate()
    outcome = loop.end(keeper)
    assert (outcome.id, outcome.status, outcome.exit_code) == (launch.id, "exited", 3)
    assert loop.record(launch).outcome == outcome


def test_what_cannot_be_started_is_reported_and_recorded(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.launch("")
    keeper.run(Launch(launch.id, ("no-such-program",), launch.cwd, launch.env, launch.output))
    assert loop.end(keeper) == Outcome(launch.id, "unstartable", error="no such program: no-such-program")
    assert loop.record(launch).outcome is not None


def test_a_deadline_is_kept(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.launch("trap '' INT TERM; sleep 600 & echo $! >> $PIDS; wait", timeout_s=0.5)
    loop.start(keeper, launch)
    outcome = loop.end(keeper)
    assert (outcome.status, outcome.signal) == ("timed_out", signal.SIGKILL)
    assert all(map(is_gone, loop.pids(1)))


def test_a_command_is_killed_on_request(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.waiting(0)
    loop.start(keeper, launch)
    keeper.kill("nobody", "nothing comes of this")
    keeper.kill(launch.id, "enough")
    outcome = loop.end(keeper)
    assert (outcome.status, outcome.error) == ("killed", "enough")


def test_fifty_commands_at_once(loop: Loop) -> None:
    keeper = loop.keeper()
    launches = [loop.waiting(number) for number in range(50)]
    for launch in launches:
        keeper.run(launch)
    assert all(isinstance(message, Started) for message in loop.hear(keeper, 50))
    loop.open_gate()
    ended = [message for message in loop.hear(keeper, 50) if isinstance(message, Outcome)]
    codes = {outcome.id: outcome.exit_code for outcome in ended}
    assert codes == {launch.id: number for number, launch in enumerate(launches)}


def test_interrupts_and_hang_ups_are_not_for_the_keeper(loop: Loop) -> None:
    keeper = loop.keeper()
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(keeper.pid, number)
    launch = loop.launch("kill -HUP $$")
    loop.start(keeper, launch)
    assert loop.end(keeper).signal == signal.SIGHUP


def test_a_terminated_keeper_ends_and_records_all_it_has_started(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.launch("trap '' INT TERM; setsid sleep 600 & echo $! >> $PIDS; sleep 600")
    started = loop.start(keeper, launch)
    tree = [started.pid, *loop.pids(1)]
    os.kill(keeper.pid, signal.SIGTERM)
    outcome, gone = loop.hear(keeper, 2)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.error) == ("killed", "the keeper was told to end")
    assert gone == KeeperGone()
    assert loop.record(launch).outcome == outcome
    assert all(map(is_gone, tree))


def test_bad_requests_cost_nothing_but_themselves(loop: Loop) -> None:
    keeper = loop.keeper()
    for request in ({}, {"op": "start"}, {"op": "start", "launch": 7}):
        keeper.send(request)
    keeper.send({"op": "dance", "id": "x"})
    keeper.send({"op": "start", "launch": {"id": "y"}})
    refused = loop.hear(keeper, 2)
    assert [message.id for message in refused if isinstance(message, Refused)] == ["x", "y"]
    launch = loop.launch("exit 4")
    loop.start(keeper, launch)
    assert loop.end(keeper).exit_code == 4
    assert (loop.directory / "log").read_text().count("not a request") == 3


def test_a_loop_that_does_not_listen_holds_nothing_up(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.launch("")
    for _ in range(600):  # several times what a pipe holds
        launch = loop.launch("")
        keeper.run(Launch(launch.id, ("no-such-program",), launch.cwd, launch.env, launch.output))
    until(lambda: loop.record(launch).outcome)
    assert len(loop.hear(keeper, 600)) == 600


def test_messages_may_come_in_pieces() -> None:
    messages, theirs = os.pipe()
    with Keeper(os.getpid(), os.open("/dev/null", os.O_WRONLY), messages, "") as keeper:
        os.write(theirs, b'{"event": "ready"}\n{"event": "refu')
        assert keeper.receive() == [Ready()]
        assert keeper.receive() == []
        os.write(theirs, b'sed", "id": "x", "error": "y"}\n')
        assert keeper.receive() == [Refused("x", "y")]
        os.close(theirs)
        assert keeper.receive() == [KeeperGone()]
        assert keeper.receive() == []
        assert keeper.fileno() == -1
        keeper.kill("x", "it is gone")


# No command twice at once


def test_a_run_is_not_started_twice(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.waiting(0)
    loop.start(keeper, launch)
    keeper.run(launch)
    assert isinstance(loop.hear(keeper, 1)[0], Refused)
    loop.open_gate()
    assert loop.end(keeper).exit_code == 0
    keeper.run(launch)
    assert isinstance(loop.hear(keeper, 1)[0], Refused)


def test_a_record_of_an_older_keeper_is_not_started_again(loop: Loop) -> None:
    launch = loop.waiting(0)
    first = loop.keeper()
    loop.start(first, launch)
    first.finish()
    second = loop.keeper()
    second.run(launch)
    assert isinstance(loop.hear(second, 1)[0], Refused)
    loop.open_gate()
    assert loop.end(first).exit_code == 0


def test_a_new_keeper_waits_until_the_old_one_can_start_nothing_more(loop: Loop) -> None:
    first = loop.keeper()
    launch = loop.waiting(6)
    started = loop.start(first, launch)
    second = loop.unready_keeper()
    assert select.select([second], [], [], 0.3)[0] == []
    late = loop.waiting(7)
    first.run(late)
    first.finish()
    second.wait_ready(20)
    assert loop.record(late).process is not None
    assert is_alive(started.pid, started.start_time)
    loop.open_gate()
    ended = [message for message in loop.hear(first, 4) if isinstance(message, Outcome)]
    assert {outcome.exit_code for outcome in ended} <= {6, 7}


def test_the_commands_do_not_hold_the_lock(loop: Loop) -> None:
    first = loop.keeper()
    launch = loop.waiting(0)
    loop.start(first, launch)
    os.kill(first.pid, signal.SIGKILL)
    assert loop.hear(first, 1) == [KeeperGone()]
    loop.keeper()
    assert loop.record(launch).process is not None
    assert kill_marked(launch.id, 0) == []


def test_whenever_a_keeper_is_killed_nothing_runs_twice(loop: Loop) -> None:
    launches = [loop.launch("echo $ATMS_RUN_ID >> ran; exit 5") for _ in range(60)]
    first = loop.keeper()
    for launch in launches:
        first.run(launch)
    loop.hear(first, 20)
    os.kill(first.pid, signal.SIGKILL)

    second = loop.keeper()
    found = marked([launch.id for launch in launches])
    fresh = [launch for launch in launches if not loop.record(launch).is_claimed]
    assert not any(found[launch.id] for launch in fresh)
    for launch in fresh:
        second.run(launch)
    ended = [message for message in loop.hear(second, 2 * len(fresh)) if isinstance(message, Outcome)]
    assert {outcome.exit_code for outcome in ended} <= {5}
    until(lambda: not any(marked(loop.ids).values()))
    ran = (loop.directory / "ran").read_text().split()
    assert len(ran) == len(set(ran))
    known = {launch.id for launch in launches if loop.record(launch).outcome or loop.record(launch).process}
    assert len(launches) - 1 <= len(known)


def test_a_keeper_that_does_not_get_ready_is_given_up(loop: Loop) -> None:
    first = loop.keeper()
    second = loop.unready_keeper()
    with pytest.raises(UnavailableError):
        second.wait_ready(0.2)
    until(lambda: is_gone(second.pid))
    launch = loop.launch("exit 2")
    loop.start(first, launch)
    assert loop.end(first).exit_code == 2


def test_a_keeper_that_cannot_work_is_told_of(loop: Loop) -> None:
    keeper = Keeper.start("/no/such/lock", str(loop.directory / "log"), str(loop.directory / "ledgers"))
    with pytest.raises(UnavailableError):
        keeper.wait_ready(20)
    assert "/no/such/lock" in (loop.directory / "log").read_text()


# Death of the loop


CLIENT = """
import json, os, select, signal, sys
from atms_cli.system.keeper_client import Keeper
from atms_cli.system.launch import Launch
orders = json.load(sys.stdin)
keeper = Keeper.start(*orders["places"])
keeper.wait_ready(20)
for launch in orders["launches"]:
    keeper.run(Launch.from_json(launch))
started = 0
while started < len(orders["launches"]):
    select.select([keeper], [], [])
    started += len(keeper.receive())
print(keeper.pid, flush=True)
signal.pause()
"""


def test_statuses_are_recorded_after_the_loop_was_killed(loop: Loop) -> None:
    launches = [loop.waiting(number) for number in range(3)]
    plain = [launch.to_json() for launch in launches]
    orders = {"places": [str(loop.directory / name) for name in ("lock", "log", "ledgers")], "launches": plain}
    (loop.directory / "orders").write_text(json.dumps(orders))
    source = os.open(loop.directory / "orders", os.O_RDONLY)
    answer, theirs = os.pipe()
    client = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", CLIENT],
        {**os.environ, "PYTHONPATH": REPOSITORY},
        file_actions=[(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, theirs, 1)],
    )
    for descriptor in (source, theirs):
        os.close(descriptor)
    with open(answer) as reader:
        keeper_pid = int(reader.readline())
    keeper_born = start_time(keeper_pid) or 0

    os.kill(client, signal.SIGKILL)
    os.waitpid(client, 0)
    assert is_alive(keeper_pid, keeper_born)
    loop.open_gate()
    until(lambda: not is_alive(keeper_pid, keeper_born))
    for number, launch in enumerate(launches):
        outcome = loop.record(launch).outcome
        assert outcome is not None
        assert outcome.exit_code == number


def test_a_loop_that_died_leaves_a_keeper_that_ends_with_the_last_command(loop: Loop) -> None:
    keeper = loop.keeper()
    launch = loop.waiting(9)
    loop.start(keeper, launch)
    loop.die(keeper)
    assert not is_gone(keeper.pid)
    loop.open_gate()
    until(lambda: is_gone(keeper.pid))
    outcome = loop.record(launch).outcome
    assert outcome is not None
    assert outcome.exit_code == 9
