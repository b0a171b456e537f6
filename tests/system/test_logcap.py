"""Output without end: its file stays within bounds on the disk while it is written to, and keeps both ends."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from atms_cli.store import logfile
from atms_cli.system import logcap
from tests.system.desk import Desk, on_linux, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.keepers import Loop

pytestmark = [pytest.mark.timeout(120), on_linux]

MOST = 1 << 20
#: Writes numbered lines as fast as it can, so many bytes or for ever.
TALKATIVE = """
import sys
written, number, most = 0, 0, int(sys.argv[1])
while not most or written < most:
    text = "".join(f"line {number + each:09d}\\n" for each in range(1000))
    number += 1000
    written += len(text)
    sys.stdout.write(text)
    sys.stdout.flush()
print("the end")
"""


def on_disk(path: str) -> int:
    return os.stat(path).st_blocks * 512


def test_both_ends_of_long_output_are_kept(desk: Desk) -> None:
    launch = replace(desk.launch(sys.executable, "-S", "-c", TALKATIVE, str(40 << 20)), output_max=MOST)
    outcome = desk.run(launch)
    assert (outcome.status, outcome.exit_code) == ("exited", 0)
    assert outcome.output_bytes == os.stat(launch.output).st_size > 40 << 20
    assert on_disk(launch.output) <= MOST
    text = logfile.read(launch.output, 0).decode()
    assert text.startswith("line 000000000\nline 000000001\n")
    assert text.endswith("\nthe end\n")
    assert text.count("of output were dropped here") == 1
    assert "\0" not in text
    assert len(text) > MOST // 4


def test_output_without_end_is_bounded_while_it_comes(desk: Desk) -> None:
    launch = replace(desk.launch(sys.executable, "-S", "-c", TALKATIVE, "0"), output_max=MOST)
    desk.start(launch)
    most = 0
    while os.stat(launch.output).st_size < 600 << 20:
        assert desk.processes.poll(0.01) == []
        most = max(most, on_disk(launch.output))
    assert most < 300 << 20
    desk.processes.kill(launch.id, "enough")
    assert desk.wait().status == "killed"
    assert on_disk(launch.output) <= MOST


def test_short_output_is_left_alone(desk: Desk) -> None:
    launch = replace(desk.launch("echo", "hello"), output_max=MOST)
    assert desk.run(launch).output_bytes == 6
    assert desk.said(launch) == "hello\n"


def test_where_nothing_can_be_dropped_the_command_is_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logcap, "punch", lambda *_: False)
    launch = replace(desk.launch(sys.executable, "-S", "-c", TALKATIVE, "0"), output_max=MOST)
    outcome = desk.run(launch)
    assert (outcome.status, outcome.hit) == ("killed", "output")


def test_an_adopted_command_is_held_too(loop: Loop) -> None:
    launch = loop.launch(f"exec {sys.executable} -S -c '{TALKATIVE}' 0")
    first = loop.keeper()
    started = loop.start(first, launch)
    os.kill(first.pid, 9)
    second = loop.keeper()
    second.adopt(started, grace_s=0.2, output=launch.output, output_max=MOST)
    until(lambda: os.stat(launch.output).st_size > 100 << 20 and on_disk(launch.output) < 60 << 20, 60)
    second.kill(launch.id, "enough")
    assert loop.end(second).status == "killed"
    assert on_disk(launch.output) <= MOST


def test_the_next_look_comes_before_much_is_added(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1000)
    cap = logcap.Cap(str(path), MOST, 0.0)
    assert cap.due < 1
    assert cap.hold(0.1)
    assert cap.due == pytest.approx(1.1)
    path.write_bytes(b"x" * MOST)
    assert cap.hold(1.1)
    assert cap.due - 1.1 < 0.2
    path.unlink()
    assert cap.hold(2.0)
    assert cap.due > 2.0
