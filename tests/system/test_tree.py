"""Finding and ending the processes of a run, without knowing more than its mark."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.system.clock import SystemClock
from atms_cli.system.launch import MARKER, Started
from atms_cli.system.tree import (
    age_s,
    is_alive,
    kill_marked,
    look_in_proc,
    look_with_psutil,
    marked,
    runs_in_proc,
    runs_with_psutil,
    start_time,
)
from tests.system.desk import Desk, await_pids, is_gone, on_linux, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(60)


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


# Ending trees


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
from atms_cli.system.tree import kill_marked, is_alive, start_time
pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)
born = start_time(pid)
print(kill_marked(os.environ["ATMS_RUN_ID"], 5), is_alive(pid, born))
"""
    launch = desk.launch(sys.executable, "-c", code)
    outcome = desk.run(replace(launch, env={**launch.env, "PYTHONPATH": str(Path(__file__).parents[2])}))
    assert (outcome.exit_code, desk.said(launch)) == (0, "[] False\n")


def test_the_age_of_a_process_is_how_long_it_has_been_there() -> None:
    import psutil  # type: ignore[import-untyped]

    now_ms, began = SystemClock().now_ms(), start_time(os.getpid())
    assert began is not None
    told = age_s(began, now_ms)
    assert abs(told - (now_ms / 1000 - psutil.Process().create_time())) < 5, "as the system tells by its wall clock"
    if sys.platform == "linux":
        assert abs(age_s(began, now_ms - 7_200_000) - told) < 5, "though the clock was set back"
