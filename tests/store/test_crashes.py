"""Real writers that are really killed: what was acknowledged is there, whatever else happened."""

from __future__ import annotations

import os
import random
import select
import signal
import sys
from subprocess import PIPE, Popen  # noqa: TID251  a test stands outside
from typing import TYPE_CHECKING

import pytest

from atms_cli.store.eventstore import EventStore, in_directory
from tests.fakes import CountingIds, FakeClock, contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED = 20_260_102
KILLS = 60
WRITER = """
import os, sys
from atms_cli.domain import task as tasks
from atms_cli.store.eventstore import in_directory
from atms_cli.system.clock import SystemClock
from atms_cli.system.ids import RandomIds

directory, name, most, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
write = os.write
if size > 10:
    # A slow disk: the kernel may take any part of what it is given, so that a kill can fall inside of a batch.
    os.write = lambda descriptor, data: write(descriptor, data[:8])
store = in_directory(directory, SystemClock(), RandomIds())
for number in range(most):
    ids = [f"{name}-{number}-{part}" for part in range(1 + number % 3)]
    with store.writing("writer") as tx:
        for position, each in enumerate(ids):
            fields = {"title": each, "description": "x" * size, "dependencies": ids[:position]}
            tx.record(tasks.create(each, fields, created_by="writer", draft=False))
        if number % 4 == 3:
            tx.record(tasks.complete(tx.read.task(ids[0]), {"by": "writer"}, tx.now))
    write(1, (" ".join(ids) + "\\n").encode())
"""


def writer(directory: Path, name: str, most: int, size: int = 10) -> Popen[bytes]:
    return Popen([sys.executable, "-c", WRITER, str(directory), name, str(most), str(size)], stdout=PIPE, bufsize=0)


def opened(directory: Path) -> EventStore:
    return in_directory(str(directory), FakeClock(), CountingIds())


def batches(output: bytes) -> list[list[str]]:
    """Return the acknowledged batches; a line that the kill has cut is none."""
    return [line.decode().split() for line in output.split(b"\n")[:-1]]


def killed_at_random(child: Popen[bytes], chance: random.Random) -> bytes:
    """Read some acknowledgements, wait a moment more, kill, and return all that was acknowledged."""
    assert child.stdout is not None
    descriptor, output = child.stdout.fileno(), b""
    wanted = chance.randrange(12)
    while output.count(b"\n") < wanted:
        output += os.read(descriptor, 65_536)
    select.select([], [], [], chance.uniform(0, 0.004))
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL
    return output + rest


def torn_bytes(store: EventStore) -> int:
    """Return the bytes behind the last whole batch."""
    (replica,) = store.journal.replicas()
    end = max((end for _, _, end in store.journal.read(replica, 1, 0)), default=0)
    return store.journal.size(replica, 1) - end


@pytest.mark.e2e
def test_killed_writers_lose_nothing_they_acknowledged(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    (tmp_path / "journal").mkdir()
    chance, acknowledged, torn = random.Random(SEED), 0, 0  # noqa: S311  not for secrets
    with opened(tmp_path).writing("ann"):
        pass  # so that there is one replica to look at
    expected: list[list[str]] = []
    for number in range(0, KILLS, 2):
        children = [writer(tmp_path, f"w{number + side}", 100_000, 20_000 * side + 10) for side in (0, 1)]
        for child in children:
            found = batches(killed_at_random(child, chance))
            acknowledged += sum(len(batch) for batch in found)
            expected += found
        torn += torn_bytes(opened(tmp_path)) > 0
    store = opened(tmp_path)
    present = {row[0] for row in contents(store)["tasks"]}
    lost = [each for batch in expected for each in batch if each not in present]
    assert lost == []
    for name in present:
        writer_name, step, _ = str(name).split("-")
        assert {f"{writer_name}-{step}-{part}" for part in range(1 + int(step) % 3)} <= present, (
            "a batch is all or nothing"
        )
    before = contents(store)
    assert store.doctor() == []
    store.rebuild()
    assert contents(store) == before
    record_property("kills", KILLS)
    record_property("acknowledged", acknowledged)
    record_property("torn", torn)
    sys.stdout.write(
        f"kills {KILLS}, acknowledged {acknowledged}, present {len(present)}, torn tails {torn}, lost {len(lost)}\n"
    )


@pytest.mark.e2e
def test_eight_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    children = [writer(tmp_path, f"w{number}", 50) for number in range(8)]
    outputs = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * 8
    acknowledged = [batch for output in outputs for batch in batches(output)]
    assert len(acknowledged) == 400
    store = opened(tmp_path)
    assert {row[0] for row in contents(store)["tasks"]} == {each for batch in acknowledged for each in batch}
    assert len(store.journal.replicas()) == 1
    assert store.doctor() == []
