"""The crash matrix of `atms run`: kill the loop, or its commands, or all of them, or take the power, at any moment.

Whatever was killed, and however often: each task ends completed, nothing that completed is run again, no command ever
runs beside its own orphan, and no attempt begins twice. Where only the loop dies, its commands are adopted: each of
them runs exactly once.

ATMS_KILLS sets how often each is killed, for hundreds by hand: `ATMS_KILLS=50 pytest -s tests/e2e/test_crash_matrix.py`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from commandline import Atms, Child

pytest_plugins = ("tests.cli.commandline",)
KILLS = int(os.environ.get("ATMS_KILLS", "3"))
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300 + 30 * KILLS)]

SEED = 20_261_125
TASKS = 10
JOBS = 4
#: How long a loop may go on before it is killed; it takes about the first third of that to begin.
LONGEST_LIFE_S = 1.5
#: Of the commands that run, so many are killed; and of the records, so many lose something.
MOST, HALF = 0.7, 0.5
#: Holds a lock of its task while it works, which a process loses however it dies, and keeps a ledger.
WORKER = """
import fcntl, os, time
task, run = os.environ["ATMS_TASK_ID"], os.environ["ATMS_RUN_ID"]
def say(what):
    ledger = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{what} {task} {run}\\n".encode())
alone = os.open(f"lock-{task}", os.O_WRONLY | os.O_CREAT)
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    say("overlapped")
say("began")
time.sleep(0.15)
say("ended")
"""
SETTINGS = "execution: {retry_delay: 0.01, retry_delay_max: 0.01, grace: 0.2}\n"


def loop_alone(atms: Atms, loop: Child, chance: random.Random) -> None:
    del atms, chance
    loop.kill()


def keeper_alone(atms: Atms, loop: Child, chance: random.Random) -> None:
    del loop, chance
    atms.kill_keepers()


def commands(atms: Atms, loop: Child, chance: random.Random) -> None:
    del loop
    for pid in atms.processes("worker.py"):
        if chance.random() < MOST:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def everything(atms: Atms, loop: Child, chance: random.Random) -> None:
    del chance
    loop.kill()
    atms.kill_all()


def power(atms: Atms, loop: Child, chance: random.Random) -> None:
    everything(atms, loop, chance)
    take_what_was_not_synced(atms.root / ".atms", chance)


def take_what_was_not_synced(directory: Path, chance: random.Random) -> None:
    """Cut the journal behind what a launch proves to have been synced, and let the keepers' ledgers lose what they may."""
    (segment,) = (directory / "journal").glob("*/*.jsonl")
    content = segment.read_bytes()
    ledgers = list(directory.glob("keepers/*.jsonl"))
    least = launched_until(content, b"".join(ledger.read_bytes() for ledger in ledgers))
    os.truncate(segment, chance.randint(least, len(content)))
    for ledger in ledgers:
        if chance.random() < HALF:
            os.truncate(ledger, chance.randint(0, ledger.stat().st_size))
        elif chance.random() < HALF:
            ledger.unlink()


def launched_until(content: bytes, ledgers: bytes) -> int:
    """Return the end of the last batch that was synced, since an attempt that it tells of was launched."""
    end, synced, is_launched = 0, 0, False
    for line in content.splitlines(keepends=True):
        end += len(line)
        event = json.loads(line)
        if event["type"] in ("workspace.created", "task.created"):
            is_launched = True  # acknowledged to whoever added it
        elif event["type"] == "task.started":
            is_launched |= event["data"]["run"].encode() in ledgers
        if not event.get("more"):
            synced, is_launched = (end, False) if is_launched else (synced, False)
    return synced


@pytest.mark.parametrize("victim", [loop_alone, keeper_alone, commands, everything, power])
def test_whatever_is_killed_each_task_is_done_and_none_twice(
    bare: Atms, victim: Callable[[Atms, Child, random.Random], None]
) -> None:
    atms, chance = bare, random.Random(f"{SEED} {victim.__name__}")  # noqa: S311  no secret
    prepare(atms)
    for number in range(KILLS):
        add(atms, f"kill{number}task")
        live_and_die(atms, victim, chance)
    assert atms("run", "--drain", "-j", str(JOBS), "--progress", "none").code == 0
    hold_laws(atms, is_adopted=victim is loop_alone)


def test_a_kill_finds_attempts_in_flight(bare: Atms) -> None:
    """Hold that the matrix kills at moments that matter: something had begun and had not ended."""
    atms = bare
    prepare(atms)
    add(atms, "task")
    loop = atms.start("run", "--drain", "-j", str(JOBS), "--progress", "none", out=subprocess.DEVNULL)
    atms.appears("ledger", "began")
    everything(atms, loop, random.Random(SEED))  # noqa: S311  likewise
    atms.end(loop)
    assert set(Counter(atms.statuses().values())) & {"in_progress"}
    assert atms("run", "--drain", "--progress", "none").code == 0
    hold_laws(atms, is_adopted=False)


def prepare(atms: Atms) -> None:
    atms("init")
    atms.settings(SETTINGS)
    atms.write("worker.py", WORKER)


def add(atms: Atms, kind: str) -> None:
    lines = [
        json.dumps(
            {
                "id": f"{kind}{number}",
                "title": f"Task {number}",
                "command": f"exec {sys.executable} -IS worker.py",
                "max_attempts": 1000,
            }
        )
        for number in range(TASKS)
    ]
    atms("task", "import", "-", text="\n".join(lines) + "\n")


def live_and_die(atms: Atms, victim: Callable[[Atms, Child, random.Random], None], chance: random.Random) -> None:
    loop = atms.start("run", "-j", str(JOBS), "--progress", "none", out=subprocess.DEVNULL)
    try:
        loop.wait(timeout=chance.uniform(0.0, LONGEST_LIFE_S))
    except subprocess.TimeoutExpired:
        victim(atms, loop, chance)
    if victim not in (loop_alone, everything, power):
        atms.appears("ledger", "ended")
        loop.kill()
    atms.end(loop)


def hold_laws(atms: Atms, *, is_adopted: bool) -> None:
    assert set(atms.statuses().values()) == {"completed"}
    said = [tuple(line.split()) for line in (atms.root / "ledger").read_text().splitlines()]
    assert not [line for line in said if line[0] == "overlapped"]
    began = Counter(run for what, _, run in said if what == "began")
    assert not [run for run, times in began.items() if times > 1]
    done = {event["key"]: event["id"] for event in events(atms) if event["type"] == "task.completed"}
    late = [event for event in events(atms) if event["type"] == "task.started" and event["id"] > done[event["key"]]]
    assert not late
    if is_adopted:
        assert Counter(task for what, task, _ in said if what == "began") == dict.fromkeys(done, 1)
    assert atms("doctor", code=None).code == 0


def events(atms: Atms) -> list[dict[str, str]]:
    journal = sorted((atms.root / ".atms" / "journal").glob("*/*.jsonl"))
    return [json.loads(line) for segment in journal for line in segment.read_text().splitlines()]
