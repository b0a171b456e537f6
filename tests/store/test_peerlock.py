"""The original's lock, with real processes that want it too."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.domain.feature import skeleton
from atms_cli.errors import UnavailableError
from atms_cli.store import peerlock
from tests.store.feature_files import (
    NOW,
    PLAIN,
    assert_nothing_left,
    feature_file,
    making,
    rename_project,
    spawning,
    taken_as_the_original,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import Edit, JsonObject


def dead_pid() -> int:
    process = spawning.Process(target=os.getpid)
    process.start()
    process.join()
    assert process.pid
    return process.pid


def test_a_living_processs_lock_is_respected(tmp_path: Path) -> None:
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{os.getppid()}")
    before = os.stat(lock)
    with pytest.raises(UnavailableError) as refused:
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)
    assert refused.value.message == f"`{lock}` is held by process {os.getppid()}"
    assert refused.value.hint
    assert os.stat(lock) == before
    assert (tmp_path / "FEATURES.json").read_text() == PLAIN
    lock.unlink()
    assert_nothing_left(tmp_path)


def test_the_lock_is_taken_when_it_comes_free(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    entered, released = threading.Event(), threading.Event()

    def decide(_: JsonObject) -> list[Edit]:
        entered.set()
        released.wait()
        return [("append", ("features",), "first")]

    first = threading.Thread(target=file.change, args=(decide,))
    second = threading.Thread(target=file.change, args=(making(("append", ("features",), "second")),))
    first.start()
    entered.wait()
    second.start()
    released.set()
    first.join()
    second.join()
    assert (file.read() or {})["features"] == ["first", "second"]
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("content", ["", "\n", "who?", "0", "-1", "9" * 40, "{pid}", "{pid}\n"])
def test_an_abandoned_lock_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "FEATURES.json.lock").write_text(content.format(pid=dead_pid()))
    assert feature_file(tmp_path).change(rename_project)
    assert_nothing_left(tmp_path)


def test_an_empty_lock_gets_time_for_its_content(tmp_path: Path) -> None:
    (tmp_path / "FEATURES.json.lock").touch()
    with pytest.raises(UnavailableError, match="is held by another process"):
        feature_file(tmp_path, lock_wait_s=0).change(rename_project)
    assert (tmp_path / "FEATURES.json.lock").exists()


def test_a_lock_that_became_somebody_elses_is_left_to_them(tmp_path: Path) -> None:
    lock = tmp_path / "FEATURES.json.lock"

    def decide(_: JsonObject) -> list[Edit]:
        lock.unlink()
        lock.write_text(f"{os.getppid()}")
        return [("set", ("project",), "q")]

    assert feature_file(tmp_path).change(decide)
    assert lock.read_text() == f"{os.getppid()}"


def test_a_living_lock_that_was_set_aside_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look at an abandoned lock and its removal, the original replaces it by its own."""
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{dead_pid()}")
    rename = os.rename

    def outrun(source: str, target: str) -> None:
        lock.unlink()
        lock.write_text(f"{os.getppid()}")
        rename(source, target)

    monkeypatch.setattr(os, "rename", outrun)
    with pytest.raises(UnavailableError, match=f"process {os.getppid()}"):
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)
    assert lock.read_text() == f"{os.getppid()}"


def test_only_one_process_clears_an_abandoned_lock(tmp_path: Path) -> None:
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{dead_pid()}")
    before = os.stat(lock)
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    held: list[os.stat_result] = []
    change = threading.Thread(target=feature_file(tmp_path).change, args=(rename_project,))
    change.start()
    held.extend(os.stat(lock) for _ in range(1000))
    os.close(directory)
    change.join()
    assert held == [before] * 1000
    assert json.loads((tmp_path / "FEATURES.json").read_text())["project"] == "p!"
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("answer", [None, errno.EBADF])
def test_a_lock_that_another_has_cleared_and_taken_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None
) -> None:
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{dead_pid()}")
    taken: list[os.stat_result] = []

    def flock(*_: object) -> None:
        lock.unlink()
        lock.write_text(f"{os.getppid()}")
        taken.append(os.stat(lock))
        if answer:
            raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(peerlock, "flock", flock)
    with pytest.raises(UnavailableError):
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)
    assert taken == [os.stat(lock)]


def test_an_interrupt_on_taking_the_lock_releases_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def interrupted(source: str, target: str) -> None:
        link(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        feature_file(tmp_path).change(rename_project)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_file_systems_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    file = feature_file(tmp_path, None)
    file.create(skeleton("p", NOW))
    (tmp_path / "FEATURES.json.lock").write_text(f"{dead_pid()}")
    assert file.change(rename_project)
    assert_nothing_left(tmp_path)
    (tmp_path / "FEATURES.json.lock").write_text(f"{os.getppid()}")
    with pytest.raises(UnavailableError):
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)


# Many at once


def append_all(directory: Path, name: str, count: int) -> None:
    file = feature_file(directory, None)
    for number in range(count):
        assert file.change(making(("append", ("features",), {"id": f"{name}-{number}"})))


def append_all_as_the_original(directory: Path, name: str, count: int) -> None:
    for number in range(count):
        lock = taken_as_the_original(directory / "FEATURES.json.lock")
        path = directory / "FEATURES.json"
        document = json.loads(path.read_bytes())
        document["features"].append({"id": f"{name}-{number}"})
        path.write_text(json.dumps(document, indent=2))
        lock.unlink()


@pytest.mark.parametrize(
    ("fifth", "abandoned"),
    # The original may remove a living lock for the abandoned one it has seen, so there is none when it takes part.
    [(append_all, [".lock"]), (append_all_as_the_original, [])],
    ids=["ours", "the original"],
)
def test_many_processes_lose_nothing(
    tmp_path: Path, fifth: Callable[[Path, str, int], None], abandoned: list[str]
) -> None:
    file = feature_file(tmp_path)
    for suffix in abandoned:
        Path(file.path + suffix).write_text(f"{dead_pid()}")
    workers = [append_all, append_all, append_all, append_all, fifth]
    with ProcessPoolExecutor(len(workers), mp_context=spawning) as pool:
        jobs = [pool.submit(worker, tmp_path, str(number), 20) for number, worker in enumerate(workers)]
        for job in jobs:
            job.result()
    ids = [feature["id"] for feature in json.loads(Path(file.path).read_bytes())["features"]]
    assert sorted(ids) == sorted(f"{worker}-{number}" for worker in range(len(workers)) for number in range(20))
    assert_nothing_left(tmp_path)
