"""What cannot be started, and what a started command sees of the world."""

from __future__ import annotations

import fcntl
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from atms_cli.system.launch import MARKER, OUTER_MARKER, Outcome, shell
from atms_cli.system.process import Processes
from atms_cli.system.tree import is_alive
from tests.system.desk import Desk

pytestmark = pytest.mark.timeout(60)


# What cannot be started


def test_no_such_program(desk: Desk) -> None:
    for argv in (("no-such-program",), ("/no/such/program",), ("",), ()):
        outcome = desk.processes.start(desk.launch(*argv))
        assert outcome == Outcome(desk.ids[-1], "unstartable", error=f"no such program: {''.join(argv)}")


def test_no_such_directory(desk: Desk) -> None:
    outcome = desk.processes.start(replace(desk.launch("true"), cwd="/no/such/directory"))
    assert isinstance(outcome, Outcome)
    assert outcome.error == "no such directory: /no/such/directory"


def test_a_directory_that_is_a_file(desk: Desk) -> None:
    outcome = desk.processes.start(replace(desk.launch("true"), cwd="/dev/null"))
    assert isinstance(outcome, Outcome)
    assert outcome.error == "cannot enter directory /dev/null: Not a directory"


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [
        ("#!/bin/sh", 0o644, "not executable: ./script"),
        ("exit 0", 0o755, "not executable: ./script; a script must begin with a line such as `#!/bin/sh`"),
        ("#!/no/such/shell", 0o755, "no such interpreter: see the first line of ./script"),
    ],
)
def test_a_script_that_cannot_be_executed(desk: Desk, content: str, mode: int, error: str) -> None:
    script = desk.directory / "script"
    script.write_text(content)
    script.chmod(mode)
    outcome = desk.processes.start(desk.launch("./script"))
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.error) == ("unstartable", error)


def test_files_that_cannot_be_opened(desk: Desk) -> None:
    for launch in (
        replace(desk.launch("true"), output="/no/such/file"),
        replace(desk.launch("true"), input="/no/such/file"),
    ):
        outcome = desk.processes.start(launch)
        assert isinstance(outcome, Outcome)
        assert outcome.error == "cannot open /no/such/file: No such file or directory"


def test_words_that_no_system_takes(desk: Desk) -> None:
    for launch in (
        desk.launch("true", "a\0b"),
        desk.launch("true\0"),
        replace(desk.launch("true"), env={"PATH": os.environ["PATH"], "a=b": "c"}),
        desk.launch("true", "x" * (1 << 24)),
    ):
        outcome = desk.processes.start(launch)
        assert isinstance(outcome, Outcome)
        assert outcome.status == "unstartable"
        assert "true" in outcome.error


# What a command sees


def test_both_outputs_go_to_the_end_of_one_file_in_order(desk: Desk) -> None:
    launch = desk.launch(*shell("for i in 1 2 3; do echo out $i; echo err $i >&2; done"))
    Path(launch.output).write_text("before\n")
    desk.run(launch)
    assert desk.said(launch).split("\n") == ["before", *(f"{to} {i}" for i in "123" for to in ("out", "err")), ""]


def test_input_comes_from_a_file_or_nowhere(desk: Desk) -> None:
    source = desk.directory / "in"
    source.write_text("hello")
    given, none = replace(desk.launch("cat"), input=str(source)), desk.launch("cat")
    desk.run(given)
    desk.run(none)
    assert (desk.said(given), desk.said(none)) == ("hello", "")


def test_the_environment_is_the_given_one_and_the_marker(desk: Desk) -> None:
    launch = replace(desk.launch("env"), env={"PATH": os.environ["PATH"], "A": "b"})
    desk.run(launch)
    assert sorted(desk.said(launch).splitlines()) == sorted(
        [f"PATH={os.environ['PATH']}", "A=b", f"{MARKER}={launch.id}"]
    )


def test_runs_within_runs_keep_all_marks(desk: Desk) -> None:
    launch = desk.launch("env")
    desk.run(replace(launch, env={**launch.env, OUTER_MARKER: "first", MARKER: "second"}))
    assert {f"{MARKER}={launch.id}", f"{OUTER_MARKER}=first second"} <= set(desk.said(launch).splitlines())


def test_what_belongs_to_a_run_is_marked_as_part_of_it(desk: Desk) -> None:
    launch = replace(desk.launch("env"), id="run7.tests.round1")
    desk.run(launch)
    assert {f"{MARKER}=run7.tests.round1", f"{OUTER_MARKER}=run7"} <= set(desk.said(launch).splitlines())


def test_the_program_is_looked_for_on_the_path_of_the_command_from_its_directory(desk: Desk) -> None:
    program = desk.directory / "bin" / "tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 42\n")
    program.chmod(0o755)
    assert desk.run(replace(desk.launch("tool"), env={"PATH": "nowhere:bin"})).exit_code == 42
    assert desk.run(replace(desk.launch("bin/tool"))).exit_code == 42


def test_the_directory_is_that_of_the_command_and_ours_stays(desk: Desk) -> None:
    before = Path.cwd()
    launch = desk.launch("pwd", "-P")
    desk.run(launch)
    assert desk.said(launch).strip() == str(desk.directory.resolve())
    desk.processes.start(replace(desk.launch("no-such-program")))
    assert Path.cwd() == before


def test_signals_are_as_a_fresh_shell_has_them(desk: Desk) -> None:
    assert desk.sh("kill -PIPE $$; exit 5").signal == signal.SIGPIPE


def test_a_command_leads_its_own_session(desk: Desk) -> None:
    gate = desk.directory / "gate"
    os.mkfifo(gate)
    started = desk.start(desk.launch(*shell(f"read line < {gate}")))
    assert os.getsid(started.pid) == os.getpgid(started.pid) == started.pid
    assert is_alive(started.pid, started.start_time)


def test_what_we_have_open_stays_ours(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with Processes() as processes:
        desk = Desk(tmp_path, processes)
        desk.start(replace(desk.launch("cat", "/dev/zero"), output="/dev/null"))
        os.close(lock)
        again = os.open(tmp_path / "lock", os.O_RDWR)
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(again)
