"""A soak: many tasks that fail at random, while commands, loops and keepers are killed and the clock jumps.

    python benchmarks/soak.py --tasks 100000

It ends with every task in a final state, counts that add up, and histories that are legal, or says what is not so.
Nothing here is compared to anything: it holds or it does not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from os.path import abspath, join
from subprocess import DEVNULL, Popen, TimeoutExpired  # noqa: TID251  a benchmark stands outside

import measure
import seeding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import Clock

_ATTEMPTS = 3
#: So many of the attempts fail; one task in a hundred works long enough to be killed at it.
_FAILING = 0.2
_LONG_ONE_IN = 100
_WORK = "sleep 0.3; "
_SETTINGS = "execution: {retry_delay: 0.05, retry_delay_max: 0.2, grace: 0.5}\n"
#: The clock is wrong by up to so much, either way, and by another amount every so many looks at it.
_MOST_SKEW_MS = 3_600_000
_LOOKS_BETWEEN_JUMPS = 3000
_KILLS = ("loop", "keeper", "commands", "everything")
_SHORTEST_LIFE_S, _LONGEST_LIFE_S = 0.5, 8.0


def main() -> int:
    """Soak, print what happened, and return 1 if anything is not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=5_000, help="how many tasks (default 5000)")
    parser.add_argument("--jobs", type=int, default=8, help="attempts at once (default 8)")
    parser.add_argument("--seed", type=int, default=1, help="of the failures, kills and jumps (default 1)")
    parser.add_argument("--limit", type=int, default=3600, help="seconds after which it is ended (default 3600)")
    parser.add_argument("--loop", metavar="ROOT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.loop:
        return work(given.loop, given.jobs, given.seed)
    root = tempfile.mkdtemp(prefix="atms-soak-")
    try:
        with measure.bounded(given.limit):
            return soak(root, given.tasks, given.jobs, random.Random(given.seed))  # noqa: S311  no secret
    finally:
        kill_all(root)
        shutil.rmtree(root, ignore_errors=True)


def work(root: str, jobs: int, seed: int) -> int:
    """Be `atms run --drain` with a clock that jumps."""
    from atms_cli.bootstrap import open_workspace
    from atms_cli.loop.forever import Loop
    from atms_cli.loop.plan import Plan

    workspace = open_workspace(root, os.environ)
    workspace.clock = _jumping(random.Random(seed))  # noqa: S311  no secret
    return Loop(workspace, Plan(drain=True, jobs=jobs), lambda _: None).run()


def _jumping(chance: random.Random) -> Clock:
    from atms_cli.system.clock import SystemClock

    class Jumping(SystemClock):
        """A wall clock that somebody sets again and again."""

        looks, skew_ms = 0, 0

        def now_ms(self) -> int:
            self.looks += 1
            if self.looks % _LOOKS_BETWEEN_JUMPS == 0:
                self.skew_ms = chance.randint(-_MOST_SKEW_MS, _MOST_SKEW_MS)
            return super().now_ms() + self.skew_ms

    return Jumping()


def soak(root: str, tasks: int, jobs: int, chance: random.Random) -> int:
    """Let loops work and die until all is done; return 1 if anything is not as it has to be."""
    with open(join(root, "atms.yaml"), "w", encoding="utf-8") as file:
        file.write(_SETTINGS)
    workspace = seeding.new_workspace(root)
    ids = seeding.add(workspace, tasks, fields)
    began, kills = time.monotonic(), Counter[str]()
    while (code := live(root, jobs, chance, kills)) is None:
        left = sum(count for bucket, count in workspace.store.reading().counts().items() if bucket not in _FINAL)
        print(f"{time.monotonic() - began:6.0f} s: {left} to go, killed so far: {dict(kills)}", flush=True)
    wrong = [*judge(workspace, ids), *([] if code in (0, 8) else [f"the last loop ended with {code}"])]
    print(
        f"{tasks} tasks in {time.monotonic() - began:.0f} s; {workspace.store.reading().counts()}; killed: {dict(kills)}"
    )
    for words in wrong[:20]:
        print(f"WRONG: {words}")
    return 1 if wrong else 0


_FINAL = ("completed", "failed")


def fields(number: int) -> JsonObject:
    """Return a task whose attempts fail or do not, whenever and however often they are made."""
    chance = random.Random(number)  # noqa: S311  no secret
    failing = [str(attempt) for attempt in range(1, _ATTEMPTS + 1) if chance.random() < _FAILING] or ["none"]
    work = _WORK if number % _LONG_ONE_IN == 0 else ""
    command = f"{work}case $ATMS_ATTEMPT in {'|'.join(failing)}) exit 1;; esac"
    return {"title": f"Task number {number}", "command": command, "max_attempts": _ATTEMPTS}


def live(root: str, jobs: int, chance: random.Random, kills: Counter[str]) -> int | None:
    """Let a loop work for a while and kill something; return what it ended with, or None if it was killed."""
    arguments = [
        sys.executable,
        abspath(__file__),
        "--loop",
        root,
        "--jobs",
        str(jobs),
        "--seed",
        str(chance.randrange(1 << 30)),
    ]
    loop = Popen(arguments, stdout=DEVNULL)
    try:
        while True:
            try:
                return loop.wait(timeout=chance.uniform(_SHORTEST_LIFE_S, _LONGEST_LIFE_S))
            except TimeoutExpired:
                victim = chance.choice(_KILLS)
                kills[victim] += 1
                if kill_some(root, loop, victim, chance):
                    return None
    finally:
        loop.kill()
        loop.wait()


def kill_some(root: str, loop: Popen[bytes], victim: str, chance: random.Random) -> bool:
    """Kill what is to die; return whether the loop was among it."""
    if victim in ("loop", "everything"):
        loop.kill()
        loop.wait()
    if victim == "everything":
        kill_all(root)
    for pid, command in processes(root):
        if (victim == "keeper" and b"keeper.lock" in command) or (victim == "commands" and chance.random() < 0.5):  # noqa: PLR2004
            _kill(pid)
    return victim in ("loop", "everything")


def kill_all(root: str) -> None:
    """Kill all that was started for a workspace."""
    while found := list(processes(root)):
        for pid, _ in found:
            _kill(pid)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def processes(root: str) -> Iterator[tuple[int, bytes]]:
    """Yield the commands that run for a workspace, and the keepers that watch them."""
    marker, lock = f"\0ATMS_WORKSPACE={root}\0".encode(), f"{root}/.atms/keeper.lock".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read()
            with open(f"/proc/{name}/environ", "rb") as file:
                environment = b"\0" + file.read()
        except OSError:
            continue
        if marker in environment or lock in command:
            yield int(name), command


def judge(workspace: OpenWorkspace, ids: list[str]) -> list[str]:
    """Return what is wrong at the end, in words."""
    wrong = [f"doctor: {problem}" for problem in workspace.store.doctor()]
    read, histories = workspace.store.reading(), _histories(workspace)
    statuses = Counter(read.task(task_id)["status"] for task_id in ids)
    if set(statuses) - set(_FINAL) or sum(statuses.values()) != len(ids):
        wrong.append(f"statuses: {dict(statuses)}")
    for task_id in ids:
        task, kinds = read.task(task_id), histories[task_id]
        wrong += [f"{task_id}: {words}" for words in _wrong_with(task["status"], task["attempts"], kinds)]
    return wrong


def _histories(workspace: OpenWorkspace) -> dict[str, Counter[str]]:
    histories: dict[str, Counter[str]] = {}
    for event in workspace.store.reading().events_after(""):
        histories.setdefault(event["key"], Counter())[_kind(event["type"], event["data"])] += 1
    return histories


def _kind(name: str, data: JsonObject) -> str:
    return "uncounted" if name == "task.retried" and "attempts" in data else name


def _wrong_with(status: str, attempts: int, kinds: Counter[str]) -> Iterator[str]:
    """Yield what does not add up in the history of a task."""
    if kinds[f"task.{status}"] != 1 or kinds["task.completed"] + kinds["task.failed"] != 1:
        yield f"it is {status}, and its events are {dict(kinds)}"
    if kinds["task.started"] - kinds["uncounted"] != attempts:
        yield f"{attempts} attempts, and its events are {dict(kinds)}"
    if kinds["task.started"] != kinds["uncounted"] + kinds["task.retried"] + 1:
        yield f"an attempt without an end: {dict(kinds)}"
    if status == "failed" and attempts != _ATTEMPTS:
        yield f"failed after {attempts} attempts"


if __name__ == "__main__":
    sys.exit(main())
