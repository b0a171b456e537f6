"""Loss of power: of what was not synced, nothing may be left, or names without content; what was acknowledged was synced.

The library from faults.c notes each write, name and sync. What a disk must still hold by the letter of POSIX is worked
out from that: of a file, what was in it at its last sync; of a directory, the names at its own.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.store import paths
from tests.store import faults
from tests.store.attacks import add_together, assert_sound, closed, load_all, opened, replicate
from tests.store.children import alone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

pytestmark = pytest.mark.e2e

#: Two batches fill a segment.
SEGMENT_BYTES = 700
BATCHES = [[f"b{number}x", f"b{number}y"] for number in range(5)]
ORDER = [each for batch in BATCHES for each in batch]


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return faults.preloading(tmp_path_factory.mktemp("faults"))


def test_a_loss_of_power_at_any_moment_takes_nothing_acknowledged(tmp_path: Path, preloaded: Mapping[str, str]) -> None:
    report = alone(lose_power_everywhere, tmp_path, env=preloaded)
    assert report["losses"] >= 100
    assert report["fewer"] >= 10, "what was not synced was really lost"


def test_who_goes_on_after_a_killed_writer_syncs_what_that_one_did_not(
    tmp_path: Path, preloaded: Mapping[str, str]
) -> None:
    assert alone(kill_go_on_and_lose_power, tmp_path, env=preloaded)["losses"] >= 100


@dataclass(eq=False)
class Node:
    """A file or directory, whatever its name."""

    synced: int = 0
    size: int = 0


@dataclass
class Disk:
    """Names and sizes as programs see them, and as they are after a loss of power."""

    live: dict[str, Node] = field(default_factory=dict)
    lasting: dict[str, Node] = field(default_factory=dict)

    @classmethod
    def holding(cls, root: Path) -> Disk:
        """Return a disk that everything below a directory has reached."""
        sizes = {str(path): path.stat().st_size for path in [root, *root.rglob("*")]}
        nodes = {path: Node(size, size) for path, size in sizes.items()}
        return cls({**nodes}, {**nodes})

    def apply(self, change: faults.Change) -> None:
        what, path = change.what, change.path
        if what in ("create", "mkdir"):
            self.live[path] = Node()
        elif what == "rename":
            self.live[change.other] = self.live.pop(path)
        elif what == "unlink":
            del self.live[path]
        elif what == "size":
            self.live[path].size = change.size
            self.live[path].synced = min(self.live[path].synced, change.size)
        elif what == "write":
            self.live[path].size += change.size
        elif what == "sync":
            self.live[path].synced = change.size
        elif what == "syncdir":
            self._sync_names(path)

    def _sync_names(self, directory: str) -> None:
        for path in [path for path in self.lasting if os.path.dirname(path) == directory]:
            del self.lasting[path]
        self.lasting.update({path: node for path, node in self.live.items() if os.path.dirname(path) == directory})

    def has_name(self, path: str) -> bool:
        """Return whether a file lasts under its present name."""
        parents = [str(parent) for parent in Path(path).parents if str(parent) in self.live]
        return all(self.lasting.get(name) is self.live[name] for name in (path, *parents))


def after_power_loss(root: Path, disk: Disk, target: Path, *, hollow: bool, index: bool) -> None:
    """Lay out what is left: files cut at what was synced; or, `hollow`, their names and sizes without content."""
    for path, node in disk.live.items():
        copy = target / Path(path).relative_to(root)
        if Path(path).is_dir():
            if hollow or disk.has_name(path):
                copy.mkdir(parents=True, exist_ok=True)
        elif _is_beside(path):
            if index:
                shutil.copy(path, copy)
        elif hollow or disk.has_name(path):
            content = Path(path).read_bytes()
            copy.write_bytes(content[: node.synced] + bytes((len(content) - node.synced) * hollow))


def write_all(root: Path, acknowledge: int, batches: Iterable[Sequence[str]] = BATCHES) -> None:
    workspace = opened(root, SEGMENT_BYTES)
    for batch in batches:
        add_together(workspace.event_store, batch)
        os.write(acknowledge, (" ".join(batch) + "\n").encode())


def _is_beside(path: str) -> bool:
    """Return whether a file is none that anything depends on."""
    return paths.INDEX in path or Path(path).name == paths.LOCK


class Power:
    """A workspace on a disk that is watched."""

    def __init__(self, directory: str, name: str) -> None:
        self.base = Path(directory) / name
        self.root = self.base / "live"
        opened(self.root)
        self.disk = Disk.holding(self.root)
        self.acknowledged: list[str] = []

    def run(self, batches: Sequence[Sequence[str]], *, dies_at: int = 0) -> list[faults.Change]:
        """Write batches in a child, to the end or to its death."""
        reading, writing = os.pipe()
        changes = faults.watched(str(self.root), partial(write_all, self.root, writing, batches), dies_at=dies_at)
        os.close(writing)
        with open(reading, encoding="ascii") as file:
            self.acknowledged += file.read().split()
        for change in changes:
            if not _is_beside(change.path):
                self.disk.apply(change)
        return changes

    def lose(self) -> list[int]:
        """Lose the power in each way, hold that all is well, and return how many tasks each has left."""
        return [self._lose(hollow=hollow, index=index) for hollow, index in product((False, True), repeat=2)]

    def _lose(self, *, hollow: bool, index: bool) -> int:
        left, target = self.base / "left", self.base / "again"
        after_power_loss(self.root, self.disk, left, hollow=hollow, index=index)
        replicate(left, target)
        workspace = opened(target, SEGMENT_BYTES)
        there = [event["key"] for event in workspace.store.reading().events_after("")]
        assert there == ORDER[: len(there)], "what is left is a beginning"
        assert_sound(workspace, self.acknowledged, BATCHES)
        closed(workspace)
        shutil.rmtree(left)
        shutil.rmtree(target)
        return len(there)


def points_of(changes: Iterable[faults.Change]) -> list[int]:
    return [point for change in changes if paths.INDEX not in change.path for point in change.points]


def lose_power_everywhere(directory: str) -> dict[str, int]:
    load_all()
    points = points_of(Power(directory, "whole").run(BATCHES))
    losses = fewer = 0
    for point in points:
        power = Power(directory, f"{point}")
        power.run(BATCHES, dies_at=point)
        written = sum(path.read_bytes().count(b"\n") for path in power.root.glob(".atms/journal/*/*.jsonl"))
        left = power.lose()
        losses += len(left)
        fewer += sum(count < written for count in left)
        shutil.rmtree(power.base)
    return {"losses": losses, "fewer": fewer}


def kill_go_on_and_lose_power(directory: str) -> dict[str, int]:
    load_all()
    points = points_of(Power(directory, "whole").run(BATCHES[:3]))
    losses = 0
    for point in points:
        power = Power(directory, f"{point}")
        power.run(BATCHES[:3], dies_at=point)
        there = opened(power.root, SEGMENT_BYTES)
        known = {event["key"] for event in there.store.reading().events_after("")}
        closed(there)
        following = next(batch for batch in BATCHES if batch[0] not in known)
        power.run([following])
        # What is durable is a prefix: an acknowledgement covers all that was written before.
        power.acknowledged = [*known, *following]
        losses += len(power.lose())
        shutil.rmtree(power.base)
    return {"losses": losses}
