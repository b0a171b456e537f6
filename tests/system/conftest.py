"""Real processes only. Every keeper and every tree is looked for again at the end of its test: nothing may be left."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

import pytest

from atms_cli.system.launch import MARKER, Started, shell
from atms_cli.system.process import Processes
from atms_cli.system.tree import kill_marked, marked, start_time
from tests.system.desk import Desk
from tests.system.keepers import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _wait_for(pid: int) -> None:
    """Wait for one process of ours; another test's may go on in the same worker for ever."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Processes() as processes:
        desk = Desk(tmp_path, processes)
        yield desk
    assert marked(desk.ids) == {run_id: [] for run_id in desk.ids}
    with contextlib.suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0), "a zombie was left"


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Callable[[str], Started]]:
    """Starts marked trees that no Processes knows of, as a keeper that has died would leave them."""
    ids: list[str] = []
    pids: list[int] = []

    def start(command: str) -> Started:
        ids.append(f"run-{secrets.token_hex(8)}")
        env = {"PATH": os.environ["PATH"], MARKER: ids[-1], "PIDS": str(tmp_path / "pids")}
        pid = os.posix_spawn("/bin/sh", shell(command), env, setsid=True)
        pids.append(pid)
        return Started(ids[-1], pid, start_time(pid) or 0)

    yield start
    for run_id in ids:
        kill_marked(run_id, 0)
    for pid in pids:
        _wait_for(pid)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path)
    yield loop
    for keeper in loop.keepers:
        keeper.abandon()
    for keeper in loop.keepers:
        _wait_for(keeper.pid)
    for descriptor in loop.descriptors:
        os.close(descriptor)
    left = [run_id for run_id, pids in marked(loop.ids).items() if pids]
    for run_id in left:
        kill_marked(run_id, 0)
    assert left == []
