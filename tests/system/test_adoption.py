"""What a keeper makes of the commands that an older one has started."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from atms_cli.system.keeper_client import KeeperGone
from atms_cli.system.tree import is_alive
from tests.system.desk import is_gone, until

if TYPE_CHECKING:
    from tests.system.keepers import Loop

pytestmark = pytest.mark.timeout(60)


def test_adoption_reports_what_the_old_keeper_recorded(loop: Loop) -> None:
    launch = loop.waiting(7)
    first = loop.keeper()
    started = loop.start(first, launch)
    loop.die(first)
    second = loop.keeper()
    second.adopt(started)
    loop.open_gate()
    outcome = loop.end(second)
    assert (outcome.id, outcome.status, outcome.exit_code) == (launch.id, "exited", 7)


def test_adoption_of_what_has_ended_meanwhile_reports_it_too(loop: Loop) -> None:
    launch = loop.waiting(7)
    first = loop.keeper()
    started = loop.start(first, launch)
    loop.die(first)
    loop.open_gate()
    until(lambda: is_gone(first.pid))
    second = loop.keeper()
    second.adopt(started)
    assert loop.end(second).exit_code == 7


def test_without_its_keeper_an_adopted_command_vanishes_and_so_does_what_it_left(loop: Loop) -> None:
    launch = loop.launch("setsid sleep 600 & echo $! >> $PIDS; read line < $GATE; exit 7")
    first = loop.keeper()
    started = loop.start(first, launch)
    left = loop.pids(1)
    os.kill(first.pid, signal.SIGKILL)
    assert loop.hear(first, 1) == [KeeperGone()]
    second = loop.keeper()
    second.adopt(started, grace_s=0.2)
    assert is_alive(started.pid, started.start_time)
    loop.open_gate()
    outcome = loop.end(second)
    assert (outcome.status, outcome.exit_code) == ("vanished", None)
    assert all(map(is_gone, left))


@pytest.mark.parametrize("is_orphaned", [True, False])
def test_an_adopted_command_can_be_killed(loop: Loop, is_orphaned: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    launch = loop.waiting(0)
    first = loop.keeper()
    started = loop.start(first, launch)
    if is_orphaned:
        os.kill(first.pid, signal.SIGKILL)
    loop.die(first)
    second = loop.keeper()
    second.adopt(started, grace_s=5)
    second.kill(launch.id, "enough")
    outcome = loop.end(second)
    assert (outcome.status, outcome.error) == ("killed", "enough")
    assert outcome.signal == (None if is_orphaned else signal.SIGINT)
    assert is_gone(started.pid)


def test_a_kill_of_an_adopted_command_is_carried_out_by_a_finishing_keeper(loop: Loop) -> None:
    launch = loop.waiting(0)
    first = loop.keeper()
    started = loop.start(first, launch)
    loop.die(first)
    second = loop.keeper()
    second.adopt(started)
    second.kill(launch.id, "enough")
    second.finish()
    assert loop.end(second).status == "killed"
    assert loop.hear(second, 1) == [KeeperGone()]


def test_an_adopted_command_has_a_deadline(loop: Loop) -> None:
    launch = loop.waiting(0)
    first = loop.keeper()
    started = loop.start(first, launch)
    loop.die(first)
    second = loop.keeper()
    second.adopt(started, timeout_s=0.05)
    assert loop.end(second).status == "timed_out"


def test_a_keeper_does_not_outlive_its_loop_for_the_adopted(loop: Loop) -> None:
    launch = loop.waiting(0)
    first = loop.keeper()
    started = loop.start(first, launch)
    loop.die(first)
    second = loop.keeper()
    second.adopt(started)
    loop.die(second)
    until(lambda: is_gone(second.pid))
    assert is_alive(started.pid, started.start_time)
    loop.open_gate()
    until(lambda: loop.record(launch).outcome)
