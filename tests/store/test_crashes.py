"""Real writers that are really killed: what was acknowledged is there, whatever else happened.

ATMS_KILLS sets how many are killed in each way, for thousands by hand:
`ATMS_KILLS=1000 pytest -s tests/store/test_crashes.py`.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.domain import decisions
from tests.store.attacks import (
    ATTACKS,
    Attack,
    add_together,
    assert_sound,
    closed,
    load_all,
    opened,
    prepared,
    present,
    replicate,
)
from tests.store.children import alone, begun, ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.bootstrap import OpenWorkspace

pytestmark = [pytest.mark.e2e]

SEED = 20_260_102
KILLS = int(os.environ.get("ATMS_KILLS", "5"))
#: After so many a new workspace begins, since looking through one takes the longer the more it holds.
KILLS_IN_ONE = 8
MOST_WRITES = 5_000
patient = pytest.mark.timeout(300 + KILLS)


def write_slowly(at_once: int) -> None:
    """Be a slow disk: the kernel may take any part of what it is given, so that a kill can fall inside of a batch."""
    write = os.write
    os.write = lambda descriptor, data: write(descriptor, memoryview(data)[:at_once])


def write_on(
    root: Path, name: str, report: int, segment_bytes: int | None, at_once: int | None, most: int = MOST_WRITES
) -> None:
    """Write batches and acknowledge each, to the end or until killed."""
    write, parent = os.write, os.getppid()
    if at_once:
        write_slowly(at_once)
    workspace = opened(root, segment_bytes)
    store = workspace.event_store
    for number in range(most):
        if os.getppid() != parent:
            return
        ids = [f"{name}-{number}-{part}" for part in range(1 + number % 3)]
        add_together(store, ids, size=20_000 if at_once else 10)
        if number % 4 == 3:
            with store.writing("ann") as tx:
                tx.record(decisions.complete(tx.read.task(ids[0]), {"by": "ann"}, tx.now))
        write(report, (" ".join(ids) + "\n").encode())


def batches(output: bytes) -> list[list[str]]:
    """Return the acknowledged batches; a line that the kill has cut is none."""
    return [line.decode().split() for line in output.split(b"\n")[:-1]]


def killed_together(works: list[Callable[[int], None]], chance: random.Random) -> list[list[str]]:
    """Start children, read some of what they acknowledge, wait a moment more, kill them, and return all of it."""
    reading, writing = os.pipe()
    children = [begun(partial(work, writing)) for work in works]
    os.close(writing)
    output, wanted = b"", chance.randrange(12)
    while output.count(b"\n") < wanted:
        output += os.read(reading, 65_536)
    select.select([], [], [], chance.uniform(0, 0.004))
    for child in children:
        os.kill(child, signal.SIGKILL)
    assert [ended(child) for child in children] == [-signal.SIGKILL] * len(children)
    while part := os.read(reading, 65_536):
        output += part
    os.close(reading)
    return batches(output)


def torn_bytes(workspace: OpenWorkspace) -> int:
    """Return the bytes behind the last whole batch."""
    journal = workspace.event_store.journal
    torn = 0
    for replica in journal.replicas():
        for segment in journal.segments(replica)[-1:]:
            end = max((end for _, _, end in journal.read(replica, segment, 0)), default=0)
            torn += journal.size(replica, segment) - end
    return torn


def kill_writers(directory: str, kills: int, seed: int, segment_bytes: int | None) -> dict[str, int]:
    chance = random.Random(seed)  # noqa: S311  not for secrets
    report = dict.fromkeys(("kills", "acknowledged", "torn"), 0)
    kept: set[str] = set()
    root = Path(directory)
    while report["kills"] < kills:
        if report["kills"] % KILLS_IN_ONE == 0:
            shutil.rmtree(root)
            kept = set()
        names = [f"w{report['kills'] + side}" for side in (0, 1)]
        works = [
            partial(_write_on, root, name, segment_bytes, at_once)
            for name, at_once in zip(names, (None, 8), strict=True)
        ]
        opened(root)
        acknowledged = killed_together(list(works), chance)
        kept.update(each for batch in acknowledged for each in batch)
        workspace = opened(root, segment_bytes)
        report["torn"] += torn_bytes(workspace) > 0
        whole = {each: each.split("-") for each in present(workspace) if "-" in each}
        attempted = [
            [f"{name}-{number}-{part}" for part in range(1 + int(number) % 3)] for name, number, _ in whole.values()
        ]
        assert_sound(workspace, kept, attempted)
        closed(workspace)
        report["kills"] += 2
        report["acknowledged"] += len(acknowledged)
    return report


def _write_on(root: Path, name: str, segment_bytes: int | None, at_once: int | None, report: int) -> None:
    write_on(root, name, report, segment_bytes, at_once)


def kill_attacks(directory: str, name: str, kills: int, seed: int) -> dict[str, int]:
    """Kill one act again and again, at moments all over the time that it takes."""
    attack, chance = ATTACKS[name], random.Random(seed)  # noqa: S311  not for secrets
    load_all()
    source = prepared(directory, attack)
    root = Path(directory) / "root"
    report = dict.fromkeys(("kills", "acknowledged", "torn"), 0)
    takes_s = 0.0
    while report["kills"] < kills:
        replicate(source, root)
        began = time.monotonic()
        child = begun(partial(_act_slowly, attack, root))
        if takes_s:
            select.select([], [], [], chance.uniform(0, takes_s))
            os.kill(child, signal.SIGKILL)
        code = ended(child)
        assert code in (0, -signal.SIGKILL)
        report["kills"] += code != 0
        report["acknowledged"] += code == 0
        takes_s = takes_s or time.monotonic() - began
        workspace = opened(root)
        report["torn"] += name not in ("restore", "mending", "init") and torn_bytes(workspace) > 0
        closed(workspace)
        attack.hold(root, is_acknowledged=code == 0)
        shutil.rmtree(root)
    return report


def _act_slowly(attack: Attack, root: Path) -> None:
    write_slowly(at_once=1)
    attack.act(opened(root, attack.segment_bytes))


def told(what: str, report: dict[str, int], record_property: Callable[[str, object], None]) -> None:
    for name, value in report.items():
        record_property(name, value)
    sys.stdout.write(f"{what}: {report}, lost 0, twice 0\n")


@patient
@pytest.mark.parametrize("segment_bytes", [None, 4_000], ids=["in one segment", "rotating"])
def test_killed_writers_lose_nothing_they_acknowledged(
    tmp_path: Path, segment_bytes: int | None, record_property: Callable[[str, object], None]
) -> None:
    report = alone(kill_writers, tmp_path, KILLS * 2, SEED, segment_bytes)
    told(f"writers {segment_bytes}", report, record_property)
    assert report["kills"] >= KILLS * 2


@patient
@pytest.mark.parametrize("name", ATTACKS)
def test_whatever_is_killed_leaves_all_in_order(
    tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    report = alone(kill_attacks, tmp_path, name, KILLS, SEED)
    told(name, report, record_property)
    assert report["kills"] >= KILLS


def write_at_once(directory: str, writers: int, most: int) -> list[list[str]]:
    reading, writing = os.pipe()
    opened(directory)
    children = [
        begun(partial(write_on, Path(directory), f"w{number}", writing, None, None, most)) for number in range(writers)
    ]
    os.close(writing)
    with open(reading, "rb") as file:
        output = file.read()
    assert [ended(child) for child in children] == [0] * writers
    return batches(output)


def test_eight_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    acknowledged = alone(write_at_once, tmp_path, 8, 50)
    assert len(acknowledged) == 400
    workspace = opened(tmp_path)
    assert present(workspace) == {each for batch in acknowledged for each in batch}
    assert len(workspace.event_store.journal.replicas()) == 1
    assert workspace.store.doctor() == []
