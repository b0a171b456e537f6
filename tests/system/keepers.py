"""Using real keepers in tests, as a loop does."""

from __future__ import annotations

import os
import secrets
import select
import time
from typing import TYPE_CHECKING

from atms_cli.system.keeper_client import Keeper
from atms_cli.system.launch import Launch, Outcome, Started, shell
from atms_cli.system.ledger import describe
from tests.system.desk import until

if TYPE_CHECKING:
    from pathlib import Path

    from atms_cli.system.keeper_client import Message
    from atms_cli.system.ledger import Record


class Loop:
    """What a loop does with keepers, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ids: list[str] = []
        self.keepers: list[Keeper] = []
        self.gate = directory / "gate"
        os.mkfifo(self.gate)
        self.descriptors: list[int] = []
        self.heard: dict[int, list[Message]] = {}

    def keeper(self) -> Keeper:
        keeper = self.unready_keeper()
        keeper.wait_ready(20)
        return keeper

    def unready_keeper(self) -> Keeper:
        keeper = Keeper.start(*(str(self.directory / name) for name in ("lock", "log", "ledgers")))
        self.keepers.append(keeper)
        return keeper

    def launch(self, command: str, timeout_s: float | None = None) -> Launch:
        run_id = f"run-{secrets.token_hex(8)}"
        self.ids.append(run_id)
        env = {"PATH": os.environ["PATH"], "GATE": str(self.gate), "PIDS": str(self.directory / "pids")}
        output = str(self.directory / f"{run_id}.out")
        return Launch(run_id, shell(command), str(self.directory), env, output, timeout_s=timeout_s, grace_s=0.2)

    def record(self, launch: Launch) -> Record:
        return describe(str(self.directory / "ledgers"), launch.id)

    def waiting(self, code: int) -> Launch:
        return self.launch(f"read line < $GATE; exit {code}")

    def open_gate(self) -> None:
        """Let all commands go on that wait, now or later."""
        self.descriptors.append(os.open(self.gate, os.O_RDWR))
        os.write(self.descriptors[-1], b"\n" * 100)

    def hear(self, keeper: Keeper, count: int) -> list[Message]:
        """Give exactly so many messages; what came with them is for next time."""
        give_up_at = time.monotonic() + 30
        heard = self.heard.setdefault(keeper.pid, [])
        while len(heard) < count:
            assert time.monotonic() < give_up_at, heard
            select.select([keeper], [], [], 1)
            heard += keeper.receive()
        self.heard[keeper.pid] = heard[count:]
        return heard[:count]

    def start(self, keeper: Keeper, launch: Launch) -> Started:
        keeper.run(launch)
        (started,) = self.hear(keeper, 1)
        assert isinstance(started, Started)
        return started

    def end(self, keeper: Keeper) -> Outcome:
        (outcome,) = self.hear(keeper, 1)
        assert isinstance(outcome, Outcome)
        return outcome

    def die(self, keeper: Keeper) -> None:
        """Break the pipes, as the death of the loop does."""
        keeper.close()

    def pids(self, count: int) -> list[int]:
        path = self.directory / "pids"
        until(lambda: path.exists() and path.read_text().count("\n") >= count)
        return [int(line) for line in path.read_text().split()]
