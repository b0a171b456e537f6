"""Starting real processes in tests, and waiting for what comes of them."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.system.launch import Launch, Outcome, Started, shell
from atms_cli.system.tree import is_alive, start_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.system.process import Processes

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
