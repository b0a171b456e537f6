"""Limits on what commands may use: that they hold, that their end names them, and that others do not pay for it."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.system import cgroup, limits
from atms_cli.system.launch import shell
from tests.system.desk import Desk, await_pids, is_gone, on_linux

if TYPE_CHECKING:
    from atms_cli.system.launch import Outcome

pytestmark = pytest.mark.timeout(60)

#: Allocates more and more, and says when it is refused.
GREEDY = """
held = []
try:
    while len(held) < 4096:
        held.append(bytearray(1 << 20))
except MemoryError:
    print(len(held))
"""


def limited(desk: Desk, argv: tuple[str, ...], **most: float) -> tuple[Outcome, str]:
    launch = replace(desk.launch(*argv), limits=most, grouped=False)
    outcome = desk.run(launch)
    return outcome, desk.said(launch)


def test_a_command_without_limits_is_started_as_it_is(desk: Desk) -> None:
    launch = desk.launch("sh", "-c", "echo $PPID $$")
    started = desk.start(launch)
    desk.wait()
    assert desk.said(launch).split() == [str(os.getpid()), str(started.pid)]


def test_a_launcher_becomes_its_command(desk: Desk) -> None:
    launch = replace(desk.launch(*shell("echo $PPID $$")), limits={"files": 64.0})
    started = desk.start(launch)
    outcome = desk.wait()
    assert desk.said(launch).split() == [str(os.getpid()), str(started.pid)]
    assert (outcome.status, outcome.exit_code, outcome.hit) == ("exited", 0, "")


def test_words_of_the_command_are_left_alone(desk: Desk) -> None:
    words = ("a b", "$HOME", "'", '"', "*", "-n", "")
    _, said = limited(desk, (sys.executable, "-c", "import sys; print(sys.argv[1:])", *words), files=64)
    assert said == f"{list(words)}\n"


def test_who_takes_too_much_time_is_ended_and_the_end_says_why(desk: Desk) -> None:
    outcome, _ = limited(desk, (sys.executable, "-S", "-c", "while True: pass"), cpu=1)
    assert (outcome.status, outcome.signal, outcome.hit) == ("signalled", signal.SIGXCPU, "cpu")
    assert 0.5 <= outcome.cpu_s < 10


def test_who_hears_no_signal_is_killed_for_taking_time(desk: Desk) -> None:
    code = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    launch = replace(desk.launch(sys.executable, "-S", "-c", code), limits={"cpu": 1.0}, grouped=False)
    assert desk.run(launch).signal == signal.SIGKILL


def test_a_file_that_grows_too_large_ends_its_writer(desk: Desk) -> None:
    target = desk.directory / "large"
    outcome, _ = limited(desk, ("dd", "if=/dev/zero", f"of={target}", "bs=4096", "count=100"), file_size=65_536)
    assert outcome.hit == "file_size"
    assert target.stat().st_size == 65_536


def test_a_limit_met_below_a_shell_is_named_too(desk: Desk) -> None:
    command = f"dd if=/dev/zero of={desk.directory / 'large'} bs=4096 count=100; exit $?"
    outcome, _ = limited(desk, shell(command), file_size=65_536)
    assert (outcome.exit_code, outcome.hit) == (128 + signal.SIGXFSZ, "file_size")
    without = desk.sh(f"exit {128 + signal.SIGXFSZ}")
    assert without.hit == ""


@on_linux
def test_memory_is_refused_beyond_its_limit(desk: Desk) -> None:
    _, said = limited(desk, (sys.executable, "-S", "-c", GREEDY), memory=256 << 20)
    assert 100 < int(said) < 256


def test_open_files_are_limited(desk: Desk) -> None:
    code = "import os\ntry:\n    while True: last = os.dup(1)\nexcept OSError: print(last)"
    _, said = limited(desk, (sys.executable, "-S", "-c", code), files=32)
    assert int(said) == 31


def test_a_limit_is_never_wider_than_ours(desk: Desk) -> None:
    outcome, said = limited(desk, shell("ulimit -H -n"), files=1 << 40)
    assert (outcome.status, outcome.exit_code) == ("exited", 0)
    assert int(said) < 1 << 40


def test_a_limit_that_cannot_be_set_starts_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = desk.directory / "ran"
    monkeypatch.setattr(desk.processes, "_group_of", lambda _: "/no/such/group")
    launch = replace(desk.launch("touch", str(ran)), limits={"memory": 1 << 30})
    outcome = desk.run(launch)
    assert (outcome.status, outcome.error) == ("unstartable", "its limits could not be set; its output says why")
    assert "/no/such/group" in desk.said(launch)
    assert not ran.exists()


def test_what_cannot_be_started_is_told_as_without_limits(desk: Desk) -> None:
    outcome = desk.processes.start(replace(desk.launch("no-such-program"), limits={"files": 64.0}))
    assert getattr(outcome, "error", "") == "no such program: no-such-program"


# Control groups, in a directory that looks like one


@pytest.fixture
def group(tmp_path: Path) -> Path:
    group = tmp_path / "group"
    group.mkdir()
    (group / "cgroup.controllers").write_text("cpu io memory pids\n")
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (group / name).write_text("")
    return group


def test_our_group_is_found(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("5:memory:/old\n0::/user/app\n")
    (tmp_path / "mountinfo").write_text(
        "22 1 0:20 / /sys/fs/cgroup/old rw - cgroup cgroup rw\n23 1 0:21 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    )
    assert cgroup.own_group(str(tmp_path)) == "/sys/fs/cgroup/user/app"
    (tmp_path / "cgroup").write_text("0::/\n")
    assert cgroup.own_group(str(tmp_path)) == "/sys/fs/cgroup"
    (tmp_path / "mountinfo").write_text("")
    assert cgroup.own_group(str(tmp_path)) is None


def test_what_is_in_the_way_of_a_group_is_said(group: Path) -> None:
    most = {"memory": 1 << 20, "cpu": 5}
    assert cgroup.obstacle(str(group), most) is None
    (group / "cgroup.procs").write_text("1\n")
    assert "other processes" in str(cgroup.obstacle(str(group), most))
    (group / "cgroup.subtree_control").write_text("memory pids\n")
    assert cgroup.obstacle(str(group), most) is None
    assert cgroup.obstacle(str(group), {"cores": 1}) is not None
    (group / "cgroup.controllers").write_text("cpu\n")
    assert "no controller for memory" in str(cgroup.obstacle(str(group), most))
    assert "version 2" in str(cgroup.obstacle(None, most))


def test_a_run_gets_a_group_with_its_limits(group: Path) -> None:
    ours = cgroup.Group(str(group), {"memory": 1 << 20})
    assert (group / "cgroup.subtree_control").read_text() == "+memory"
    made = Path(ours.make("run7", {"memory": 1 << 20, "processes": 9, "cores": 1.5, "files": 64}))
    found = {path.name: path.read_text() for path in made.iterdir()}
    assert found == {"memory.max": "1048576", "pids.max": "9", "cpu.max": "150000 100000", "memory.swap.max": "0"}
    words = limits.launcher({"memory": 1 << 20, "processes": 9, "cpu": 5}, str(made))
    assert "ulimit -d" not in words[2]
    assert "ulimit -S -t 5" in words[2]
    assert words[3] == str(made)


def test_a_group_tells_what_it_killed(group: Path) -> None:
    run = group / "atms-run7"
    run.mkdir()
    assert cgroup.take_down(str(run)) == {"oom_kill": 0, "fork_refused": 0}
    run.mkdir()
    (run / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (run / "pids.events").write_text("max 4\n")
    counts = cgroup.take_down(str(run))
    assert counts == {"oom_kill": 2, "fork_refused": 4}
    assert limits.hit({"memory": 1.0}, None, 9, counts) == "memory"
    assert limits.hit({"processes": 1.0}, 2, None, {"fork_refused": 4}) == "processes"


def test_what_dead_keepers_left_is_swept(group: Path) -> None:
    (group / "atms-old").mkdir()
    (group / "of-others").mkdir()
    cgroup.Group(str(group), {})
    assert not (group / "atms-old").exists()
    assert (group / "of-others").exists()


def test_members_of_a_group_are_found(group: Path) -> None:
    (group / "cgroup.procs").write_text("12\n34\n")
    assert cgroup.members(str(group)) == {12, 34}
    assert cgroup.members("/no/such/group") == set()


def test_where_there_are_no_groups_each_process_is_limited(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.directory / "file").touch()
    monkeypatch.setattr(cgroup, "own_group", lambda: str(desk.directory / "file" / "group"))
    launch = replace(desk.launch(*shell("ulimit -d")), limits={"memory": 64 << 20})
    desk.run(launch)
    assert desk.said(launch).strip() == str(64 << 10)


# The whole tree, whatever it does


@on_linux
def test_a_child_without_a_trace_of_its_origin_is_ended_with_its_parent(desk: Desk) -> None:
    pids = desk.directory / "pids"
    hidden = f"env -i setsid sh -c 'trap \"\" INT TERM; echo $$ >> {pids}; while :; do sleep 1; done'"
    other = desk.start(desk.launch("sleep", "600"))
    launch = desk.launch(*shell(f"trap '' INT TERM; {hidden} & wait"))
    desk.start(launch)
    (child,) = await_pids(pids, 1)
    desk.processes.kill(launch.id, "enough")
    assert desk.wait().status == "killed"
    assert is_gone(child)
    desk.processes.kill(other.id, "enough")
    desk.wait()
