"""One writer at a time, among threads of the world: processes, and other programs that use filelock."""

from __future__ import annotations

import os
import signal
import sys
import threading
from subprocess import PIPE, Popen  # noqa: TID251  a test stands outside
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock, Timeout  # noqa: TID253  the other side

from atms_cli.errors import EXIT_UNAVAILABLE, AtmsError, UnavailableError
from atms_cli.store.lock import Lock, holder, is_held

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from atms_cli.store.lock import Lock
with Lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(path: Path) -> Popen[str]:
    child = Popen([sys.executable, "-c", HOLD, str(path)], stdin=PIPE, stdout=PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end(child: Popen[str]) -> None:
    child.communicate()


def test_filelock_respects_ours_and_we_respect_its(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock(str(path)), pytest.raises(Timeout):
        FileLock(path, timeout=0).acquire()
    with FileLock(path, timeout=0), pytest.raises(UnavailableError):
        Lock(str(path), timeout_s=0).__enter__()
    with Lock(str(path), timeout_s=0):
        pass


def test_a_timeout_names_the_holder_and_has_its_own_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = holding(path)
    try:
        with pytest.raises(UnavailableError, match=f"held by process {child.pid}") as refusal:
            Lock(str(path), timeout_s=0.01).__enter__()
        assert refusal.value.exit_code == EXIT_UNAVAILABLE == 75
        assert is_held(str(path))
        assert holder(str(path)) == f"process {child.pid}"
    finally:
        end(child)
    assert not is_held(str(path))


def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = holding(path)
    os.kill(child.pid, signal.SIGKILL)
    end(child)
    with Lock(str(path), timeout_s=0):
        assert holder(str(path)) == f"process {os.getpid()}"


def test_who_waits_gets_it_when_it_is_let_go(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first, order = Lock(path), []
    first.__enter__()

    def second() -> None:
        with Lock(path):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    order.append("first")
    first.release()
    waiting.join()
    assert order == ["first", "second"]


def test_letting_go_twice_is_harmless_and_the_file_stays(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "lock"))
    with lock:
        pass
    lock.release()
    assert (tmp_path / "lock").exists()
    assert not is_held(str(tmp_path / "never"))
    assert not (tmp_path / "never").exists()
    assert holder(str(tmp_path / "never")) == "another process"


def test_a_directory_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(AtmsError, match="cannot write in"):
        Lock(str(tmp_path / "missing" / "lock")).__enter__()
