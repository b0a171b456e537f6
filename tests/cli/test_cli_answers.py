"""What every command has in common: exit codes, errors, JSON, ids alone, colours, pipes."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from atms_cli import __version__
from atms_cli.cli.registry import targets
from atms_cli.store.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

SHELL = ("/bin/sh", "-c")
REFUSED, USAGE, NOT_FOUND, CONFLICT, NOTHING, GATES, WORK, UNAVAILABLE = 1, 2, 4, 5, 6, 7, 8, 75

WRONG = {
    "task add": USAGE, "task add x y": USAGE, "task add x -p urgent": USAGE, "task add x -c cooking": USAGE,
    "task add x --complexity huge": USAGE, "task add x --effort much": USAGE, "task add x --effort -1": USAGE,
    "task add x --retries -1": USAGE, "task add x --timeout soon": USAGE, "task add x --deadline soon": USAGE,
    "task add x --env FOO": USAGE, "task add x --command a --prompt b": USAGE, "task add x --after nothing": NOT_FOUND,
    "task add x --parent nothing": NOT_FOUND, "task add x --gate nothing": NOT_FOUND, "task add x -d @nothing": REFUSED,
    "task list --status nothing": USAGE, "task list -p nothing": USAGE, "task list -c nothing": USAGE, "task list --sort nothing": USAGE,
    "task list --format nothing": USAGE, "task list --limit -1": USAGE, "task list --offset -1": USAGE, "task list x": USAGE,
    "task show nothing": NOT_FOUND, "task show": USAGE, "task update nothing -p low": NOT_FOUND, "task depend nothing --on x": NOT_FOUND,
    "task depend nothing": USAGE, "task start nothing": NOT_FOUND, "task done nothing": NOT_FOUND, "task fail nothing": NOT_FOUND,
    "task cancel nothing": NOT_FOUND, "task reopen nothing": NOT_FOUND, "task retry nothing": NOT_FOUND, "task claim nothing": NOT_FOUND,
    "task claim": NOTHING, "task claim --lease soon": USAGE, "task release nothing": NOT_FOUND, "task heartbeat nothing": NOT_FOUND,
    "task logs nothing": NOT_FOUND, "task wait nothing": NOT_FOUND, "task wait nothing --timeout soon": USAGE, "task nothing": USAGE,
    "queue next": NOTHING, "queue explain nothing": NOT_FOUND, "queue list --limit -1": USAGE, "agent show nothing": NOT_FOUND,
    "agent remove nothing": NOT_FOUND, "agent register eve --kind robot": USAGE, "agent register eve --kind command": USAGE,
    "agent register a/b": USAGE, "agent register shell --command x": USAGE, "agent register eve --max 0": USAGE,
    "feature list": NOT_FOUND, "feature show x": NOT_FOUND, "feature approve x": NOT_FOUND, "feature reject x": NOT_FOUND,
    "feature plan": NOT_FOUND, "feature sync": NOT_FOUND, "feature diff": NOT_FOUND, "feature suggest short": USAGE,
    "gate show nothing": NOT_FOUND, "gate remove nothing": NOT_FOUND, "gate run nothing": NOT_FOUND, "gate add x": USAGE,
    "gate add x --command y --kind nothing": USAGE, "gate add x --command y --stage nothing": USAGE, "gate run --stage nothing": USAGE,
    "gate run --task nothing": NOT_FOUND, "gate add x --command y --timeout soon": USAGE, "config get nothing": NOT_FOUND,
    "config unset nothing": NOT_FOUND, "config set queue.strategy nothing": REFUSED, "config set nothing 1": REFUSED,
    "config set queue.ageing [": USAGE, "config set": USAGE, "log nothing": NOT_FOUND, "log --since yesterday": USAGE,
    "run --progress nothing": USAGE, "run -j 0": USAGE, "run --once": NOTHING, "status --color nothing": USAGE, "nothing": USAGE,
    "--nothing": USAGE, "task list --bogus": USAGE, "--workspace /nowhere status": NOT_FOUND, "status --workspace /nowhere": NOT_FOUND,
    "status x": USAGE, "version x": USAGE,
}  # fmt: skip


@pytest.mark.parametrize(("words", "code"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_has_a_code_an_error_and_a_hint(atms: Atms, words: str, code: int) -> None:
    answer = atms(*words.split(), code=code)
    if words == "run --once":
        return
    assert answer.out == ""
    first, *rest = answer.err.splitlines()
    assert first.startswith("error: ")
    assert not first.endswith(".")
    assert len(rest) <= 1
    assert all(line.startswith("hint: ") for line in rest)
    in_json = atms(*words.split(), "--json", code=code)
    assert in_json.out == ""
    assert set(in_json.error) == {"code", "message", "hint"}
    assert in_json.error["message"]


def test_codes_of_errors_in_json(atms: Atms) -> None:
    assert atms("task", "show", "x", "--json", code=NOT_FOUND).error == {
        "code": "not_found", "message": "no task `x`", "hint": "see them all: atms task list",
    }  # fmt: skip
    assert atms("queue", "next", "--json", code=NOTHING).error["code"] == "nothing_to_do"
    assert atms("task", "add", "", "--json", code=USAGE).error["code"] == "usage"
    one = atms.add("One")
    atms("task", "claim", one, "--agent", "eve")
    assert atms("task", "done", one, "--json", code=CONFLICT).error["code"] == "conflict"
    atms("task", "cancel", one)
    assert atms("task", "done", one, "--json", code=REFUSED).error["code"] == "refused"


def test_a_lock_held_too_long_is_a_temporary_failure_that_names_the_holder(atms: Atms) -> None:
    path = atms.root / ".atms" / "lock"
    with Lock(str(path)):
        answer = atms("task", "add", "One", code=UNAVAILABLE)
    assert answer.err == f"error: {path} is held by process {os.getpid()}\nhint: try again when it has finished\n"


def test_gates_that_fail_have_their_own_code(atms: Atms) -> None:
    atms.settings(
        "version: 1\ngates:\n  bad: {command: echo so sorry; exit 2}\n  good: 'true'\n  hint: {command: 'false', required: false}\n"
    )
    report = atms.json("gate", "run", code=GATES)
    assert report["passed"] is False
    for gate in report["gates"]:
        assert set(gate) >= {
            "name",
            "kind",
            "status",
            "required",
            "exit_code",
            "duration_s",
            "findings",
            "tests",
            "coverage",
            "log",
        }
    assert {gate["name"]: (gate["status"], gate["required"], gate["exit_code"]) for gate in report["gates"]} == {
        "bad": ("failed", True, 2), "good": ("passed", True, 0), "hint": ("failed", False, 1),
    }  # fmt: skip
    assert atms("gate", "run", "-q", code=GATES).lines == ["bad"]
    words = atms("gate", "run", code=GATES)
    assert "  so sorry\n" in words.out
    assert words.out.endswith("\n1 of 3 gates failed\n")
    assert atms("gate", "run", "good").out.endswith("the gate passed\n")
    assert atms.json("gate", "run", "good", "hint")["passed"] is True


def test_no_workspace_is_not_found_and_names_the_way_to_one(bare: Atms) -> None:
    assert (
        bare("status", code=NOT_FOUND).err
        == f"error: no workspace in {bare.root} or above\nhint: make one here: atms init\n"
    )
    assert bare("task", "add", "x", code=NOT_FOUND).out == ""
    assert bare("--workspace", "/nowhere", "status", code=NOT_FOUND).err == (
        "error: no workspace in /nowhere\nhint: make one: atms --workspace /nowhere init\n"
    )


def test_a_bare_atms_shows_the_status_in_a_workspace_and_help_elsewhere(bare: Atms) -> None:
    assert bare().out.startswith("Usage: atms [OPTIONS] COMMAND [ARGS]...\n")
    bare("init")
    assert bare().out == bare("status").out
    assert bare("--workspace", bare.root, cwd=bare.home).out == bare("status").out
    assert bare("--json").document == bare.json("status")
    assert bare("--workspace", bare.home, code=NOT_FOUND).err.startswith("error: no workspace in ")
    assert bare("--json", cwd=bare.home, code=NOT_FOUND).error["code"] == "not_found"


def test_init_says_what_it_made_and_what_comes_next(bare: Atms) -> None:
    assert bare("init").out == (
        f"made a workspace in {bare.root}\n"
        "wrote atms.yaml, with the common settings explained\n"
        'next: atms task add "Say hello" --command "echo hello", then: atms run --drain\n'
    )
    one = bare.add("One")
    assert bare("init").out.startswith(f"{bare.root} is a workspace already\nnext: ")
    assert bare.statuses() == {one: "queued"}
    bare.settings("version: 1\nqueue: {strategy: fifo}\n")
    bare("init", "--force", code=REFUSED)
    assert bare.json("config", "get", "queue.strategy") == "fifo"
    bare("init", "--force", "--yes")
    assert bare.json("config", "get", "queue.strategy") == "priority"
    (backup,) = (bare.root / ".atms" / "backups").iterdir()
    assert "fifo" in backup.read_text()
    assert (bare.root / ".atms" / ".gitignore").read_text() == "*\n"


def test_the_workspace_is_found_from_below_and_named_from_anywhere(atms: Atms) -> None:
    below = atms.root / "a" / "b"
    below.mkdir(parents=True)
    one = atms("task", "add", "One", "-q", cwd=below).line
    assert atms("task", "list", "-q", "--workspace", atms.root, cwd=atms.home).line == one
    assert atms("--workspace", atms.root, "task", "list", "-q", cwd=atms.home).line == one
    assert atms("task", "list", "-q", cwd=atms.home, env={"ATMS_WORKSPACE": str(atms.root)}).line == one


def test_the_status_in_words_and_json(atms: Atms) -> None:
    assert atms("status").out == (
        f"workspace  {atms.root}\n"
        "tasks      0\n"
        "queue      0 ready, 0 running, 0 blocked\n"
        "agents     none registered\n"
        "loop       not running\n"
    )
    one = atms.add("One")
    atms.add("Two", "--after", one)
    atms.add("Three", "--not-before", "2h")
    atms("task", "fail", one, "--reason", "why not")
    atms("agent", "register", "eve")
    atms("queue", "pause")
    assert atms("status").out == (
        f"workspace  {atms.root}\n"
        "tasks      3: 2 queued, 1 failed\n"
        "queue      0 ready, 0 running, 1 blocked, 1 delayed (paused)\n"
        "agents     1, 0 busy\n"
        "loop       not running\n"
        "→ the queue is paused: atms queue resume\n"
        "→ 1 task waits for one that failed or was cancelled: atms task list --blocked\n"
        "→ 1 failed: atms task list --status failed, then atms task retry ID\n"
    )
    report = atms.json("status")
    assert set(report) >= {"workspace", "tasks", "queue", "agents", "runner"}
    assert report["tasks"]["by_status"]["queued"] == 2
    assert {name: report["queue"][name] for name in ("ready", "blocked", "running", "paused")} == {
        "ready": 0, "blocked": 1, "running": 0, "paused": True,
    }  # fmt: skip
    assert report["runner"] is None


def test_the_version(bare: Atms) -> None:
    assert bare("version").out == bare("--version").out == f"atms {__version__}\n"
    assert bare.json("version") == {"version": __version__}
    assert bare("version", "-q").line == __version__


READING = (
    "status", "doctor", "version", "task list", "task show ID", "task logs ID", "queue status", "queue list", "queue next",
    "queue explain NEXT", "agent list", "agent show eve", "feature list", "feature show f1", "feature plan", "gate list", "gate show g",
    "gate run", "config list", "config get queue", "config path", "config validate", "config schema", "log", "log ID",
    "run --drain --dry-run",
)  # fmt: skip


@pytest.fixture
def full(atms: Atms) -> dict[str, str]:
    """A workspace in which every reading command has something to show."""
    atms.settings("version: 1\ngates: {g: 'true'}\nagents: {eve: 'true'}\n")
    atms.write("FEATURES.json", json.dumps({"features": [{"id": "f1", "title": "One", "status": "approved"}]}))
    done = atms.add("Done", "--command", "echo hi")
    atms("run", "--drain", "-q")
    return {"ID": done, "NEXT": atms.add("Next", "--command", "true")}


def test_every_reading_command_prints_one_json_document_and_no_colour_unasked(atms: Atms, full: dict[str, str]) -> None:
    for words in READING:
        arguments = [full.get(word, word) for word in words.split()]
        answer = atms(*arguments, "--json")
        assert answer.out.count("\n") == 1, words
        assert answer.document is not None
        assert atms("--json", *arguments).document is not None
        plain = atms(*arguments)
        assert "\033" not in plain.out
        ids = atms(*arguments, "-q")
        assert "  " not in ids.out or words in ("task logs ID", "config schema")
        assert ids.err == ""


def test_lists_are_arrays(atms: Atms, full: dict[str, str]) -> None:
    assert full
    for words in (
        "task list",
        "queue list",
        "agent list",
        "feature list",
        "feature plan",
        "gate list",
        "log",
        "run --dry-run",
    ):
        assert isinstance(atms.json(*words.split()), list), words


def test_colours_are_on_when_asked_for_and_never_against_the_will(atms: Atms) -> None:
    atms.add("One")
    for words in ("status", "task list", "queue list", "queue next", "log"):
        arguments = words.split()
        assert "\033[" in atms(*arguments, "--color", "always").out
        assert "\033[" in atms(*arguments, env={"FORCE_COLOR": "1"}).out
        assert "\033[" in atms(*arguments, "--color=always", env={"NO_COLOR": "1"}).out
        assert "\033" not in atms(*arguments, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out
        assert "\033" not in atms(*arguments, "--color", "never", env={"FORCE_COLOR": "1"}).out
        assert "\033" not in atms(*arguments, "--json", "--color", "always").out
        assert "\033" not in atms(*arguments, "-q", "--color", "always").out
    answer = atms("task", "list", "--color", "always")
    bare = atms("task", "list")
    stripped = answer.out.replace("\033[2m", "").replace("\033[1m", "").replace("\033[0m", "")
    assert stripped == bare.out


def test_a_pipe_closed_early_is_no_error(atms: Atms) -> None:
    for number in range(3):
        atms.add(f"{number} " + "long " * 90)
    wide = "for i in $(seq 9); do for j in 1 2 3; do echo; done; done | atms task list --json | head -c 1"
    assert atms.end(atms.start(wide, program=SHELL)).err == ""
    first = atms.end(atms.start("atms log --json | head -1 | cut -c 1", program=SHELL))
    assert (first.out, first.err) == ("[\n", "")


@pytest.mark.parametrize("words", ["task list", "task add x", "status --json", "version", "--help", "log -q"])
def test_a_full_disk_behind_stdout_is_an_error(atms: Atms, words: str) -> None:
    atms.add("One")
    answer = atms.end(atms.start(f"atms {words} > /dev/full", program=SHELL))
    assert answer.code == 1
    assert answer.err == "error: cannot write the output: No space left on device\n"


def test_a_closed_stdout_is_not_a_crash(atms: Atms) -> None:
    one = atms.add("One", "--command", "echo hi")
    answer = atms.end(
        atms.start("atms status >&- && atms run --drain <&- >&- 2>&- && atms task wait $0 >&-", one, program=SHELL)
    )
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert atms("task", "logs", one).out == "hi\n"


def test_bugs_become_a_report_and_code_3(atms: Atms, tmp_path: Path) -> None:
    broken = (
        "import atms_cli.services.health as h; h.status = lambda ws: 1 / 0; import sys; sys.argv[1:] = ['status']; "
    )
    code = f"{broken}from atms_cli.__main__ import main; main()"
    answer = atms.end(atms.start("-c", code, program=(sys.executable,), env={"TMPDIR": str(tmp_path)}))
    assert answer.code == 3
    (report,) = tmp_path.glob("atms-report-*.txt")
    assert answer.err == f"error: atms has a bug and could not go on\nhint: please report it with this file: {report}\n"
    assert "ZeroDivisionError" in report.read_text()


@pytest.mark.parametrize("name", ["", *sorted(targets()), "task", "queue", "agent", "feature", "gate", "config"])
def test_help_of_every_command_names_every_option(bare: Atms, name: str) -> None:
    from atms_cli.cli.fastlane_table import COMMANDS, COMMON

    answer = bare(*name.split(), "--help")
    assert answer.err == ""
    assert answer.out.startswith(f"Usage: {f'atms {name}'.strip()} ")
    assert max(map(len, answer.lines)) <= 100
    assert bare(*name.split(), "-h").out == answer.out
    options = COMMON | COMMANDS[name][2] if name in COMMANDS else {}
    assert [spelling for spelling in options if spelling not in answer.out.replace(",", " ").split()] == []
    assert "None" not in answer.out


def test_completion_is_offered(bare: Atms) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = bare(
            "--show-completion",
            env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "SHELL": f"/bin/{shell}"},
            code=None,
        )
        assert script.code in (0, 1, 2)
    done = bare(env={"_ATMS_COMPLETE": "complete_bash", "COMP_WORDS": "atms task sh", "COMP_CWORD": "2"}, code=None)
    assert "show" in done.out
