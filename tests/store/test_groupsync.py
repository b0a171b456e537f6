"""One sync for all who wait: whoever finds its lines covered does not sync again, and nobody is told so too early."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError
from atms_cli.store import groupsync
from atms_cli.store.groupsync import GroupSync
from atms_cli.store.lock import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Disk:
    """Counts syncs, and lets others act while one of them is under way."""

    def __init__(self) -> None:
        self.syncs = 0
        self.meanwhile: list[Callable[[], None]] = []
        self.is_broken = False

    def __call__(self, descriptor: int) -> None:
        os.fstat(descriptor)
        self.syncs += 1
        if self.is_broken:
            raise OSError(5, "Input/output error")
        while self.meanwhile:
            self.meanwhile.pop()()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(groupsync, "_fdatasync", disk)
    return disk


@pytest.fixture
def written(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "segment", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def waiting(
    path: Path, written: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], None]], None]:
    """Return a sync in which something happens between looking at the numbers and getting the turn."""

    def sync(meanwhile: Callable[[], None]) -> None:
        def late(descriptor: int, timeout_s: float) -> bool:
            monkeypatch.setattr(groupsync, "take", take)
            meanwhile()
            return take(descriptor, timeout_s)

        monkeypatch.setattr(groupsync, "take", late)
        GroupSync(str(path)).sync(written, what)

    return sync


def test_each_sync_of_one_writer_reaches_the_disk(tmp_path: Path, disk: Disk, written: int) -> None:
    for _ in range(3):
        GroupSync(str(tmp_path / "sync")).sync(written, "a/1")
    assert disk.syncs == 3


def test_who_waited_while_another_began_and_finished_is_covered(
    tmp_path: Path, disk: Disk, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sync"
    wait = waiting(path, written, "a/1", monkeypatch)
    wait(lambda: GroupSync(str(path)).sync(written, "a/1"))
    assert disk.syncs == 1


def test_a_sync_that_had_begun_before_covers_nobody(
    tmp_path: Path, disk: Disk, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sync"
    numbers: list[tuple[int, int, str]] = []

    def arrive() -> None:
        # The other one's sync is under way: its number has been given out already.
        descriptor = os.open(path, os.O_RDWR)
        numbers.append(groupsync._read(descriptor))  # noqa: SLF001  the file is the protocol
        os.close(descriptor)

    disk.meanwhile.append(arrive)
    GroupSync(str(path)).sync(written, "a/1")
    ((begun, finished, _),) = numbers
    assert (begun, finished) == (1, 0)
    wait = waiting(path, written, "a/1", monkeypatch)
    wait(lambda: None)
    assert disk.syncs == 2


def test_a_sync_of_another_file_covers_nobody(
    tmp_path: Path, disk: Disk, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sync"
    wait = waiting(path, written, "a/2", monkeypatch)
    wait(lambda: GroupSync(str(path)).sync(written, "a/1"))
    assert disk.syncs == 2


def test_a_sync_that_failed_covers_nobody_and_is_told(
    tmp_path: Path, disk: Disk, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sync"
    wait = waiting(path, written, "a/1", monkeypatch)

    def fail() -> None:
        disk.is_broken = True
        with pytest.raises(AtmsError, match="the disk did not take the change"):
            GroupSync(str(path)).sync(written, "a/1")
        disk.is_broken = False

    wait(fail)
    assert disk.syncs == 2


@pytest.mark.parametrize("content", ["", "garbage", "000000000000001 00000", "\0" * 90])
def test_a_file_that_says_nothing_covers_nobody(tmp_path: Path, disk: Disk, written: int, content: str) -> None:
    path = tmp_path / "sync"
    path.write_text(content)
    GroupSync(str(path)).sync(written, "a/1")
    GroupSync(str(path)).sync(written, "a/1")
    assert disk.syncs == 2


def test_where_the_file_cannot_be_made_each_syncs_for_itself(tmp_path: Path, disk: Disk, written: int) -> None:
    GroupSync(str(tmp_path / "missing" / "sync")).sync(written, "a/1")
    assert disk.syncs == 1


def test_who_is_kept_waiting_too_long_syncs_for_itself(
    tmp_path: Path, disk: Disk, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sync"
    monkeypatch.setattr(groupsync, "_PATIENCE_S", 0.01)
    holder = os.open(path, os.O_RDWR | os.O_CREAT)
    assert take(holder, 0)
    GroupSync(str(path)).sync(written, "a/1")
    os.close(holder)
    assert disk.syncs == 1
