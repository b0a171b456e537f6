"""What a hot command imports: an allow-list, checked in a fresh interpreter for each."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

#: Runs the command line and, at the end, prints what it has imported beyond a bare interpreter.
PROBE = """
import os, sys
before, leave = set(sys.modules), os._exit
def leaving(code):
    sys.stderr.write("\\n" + " ".join(sorted(set(sys.modules) - before)))
    sys.stderr.flush()
    leave(code)
os._exit = leaving
from atms_cli.__main__ import main
main()
"""
#: Modules written in C, and one in Python that every module of ours names.
ALWAYS = {"__future__", "gc"}
STORE = ALWAYS | {"_functools", "_json", "_sqlite3", "binascii", "fcntl", "math", "unicodedata"}
HEAVY = {
    "collections", "functools", "types", "zlib", "typing", "re", "json", "dataclasses", "pathlib", "typer", "msgspec", "rich", "ruamel",
    "logging", "subprocess", "enum", "datetime", "contextlib", "inspect", "sqlite3", "asyncio", "select", "signal", "tempfile", "random",
    "uuid", "hashlib", "socket",
}  # fmt: skip
HOT = (
    "task add title", "task add title -d text -p high -t a --cap b --after FIRST --deadline 2h --env A=b --criterion done", "task list",
    "task list --json", "task list --ready --format ids --search f", "task show FIRST", "task show FIRST --json",
    "task claim FIRST --agent eve", "task claim --lease 5m", "task start FIRST", "task done FIRST --note fine", "task update FIRST -p low",
    "task heartbeat HELD", "task release HELD", "queue next", "queue next --json", "queue list", "queue status", "status", "status --json",
    "version", "hook run pre-commit", "hook run pre-push origin somewhere", "hook run commit-msg file",
)  # fmt: skip


def imported(atms: Atms, *arguments: str) -> set[str]:
    ended = subprocess.run(  # noqa: TID251  a fresh interpreter
        [sys.executable, "-c", PROBE, *arguments], cwd=atms.root, env=atms.env, capture_output=True, encoding="utf-8", check=False
    )  # fmt: skip
    assert ended.returncode == 0, ended
    return set(ended.stderr.rpartition("\n")[2].split())


@pytest.mark.parametrize("words", HOT)
def test_a_hot_command_imports_only_what_is_allowed(atms: Atms, words: str) -> None:
    first, held = atms.add("first"), atms.add("held")
    atms("task", "claim", held)
    names = {"FIRST": first, "HELD": held}
    modules = imported(atms, *(names.get(word, word) for word in words.split()))
    foreign = {name for name in modules if name.partition(".")[0] != "atms_cli"}
    assert not foreign & HEAVY
    assert foreign <= (ALWAYS if words == "version" else STORE)


def test_a_hot_command_imports_nothing_more_with_settings_that_were_compiled(atms: Atms) -> None:
    atms.settings("agents:\n  ann: {kind: pull}\n")
    atms("config", "validate")
    foreign = {name for name in imported(atms, "task", "add", "x") if name.partition(".")[0] != "atms_cli"}
    assert foreign <= STORE


def test_a_loop_on_commands_imports_no_templates(atms: Atms) -> None:
    atms("agent", "register", "bob", "--command", "true")
    atms.add("One", "--command", "true")
    modules = imported(atms, "run", "--drain")
    assert "jinja2" not in modules
    assert "atms_cli.loop.forever" in modules


def test_how_things_are_is_as_cheap_with_agents(atms: Atms) -> None:
    atms("agent", "register", "bob", "--command", "true")
    atms("agent", "register", "eve")
    for words in (["status"], ["task", "claim", atms.add("One"), "--agent", "eve"]):
        foreign = {name for name in imported(atms, *words) if name.partition(".")[0] != "atms_cli"}
        assert foreign <= STORE


def test_the_version_needs_no_workspace_and_no_store(bare: Atms) -> None:
    modules = imported(bare, "version")
    assert not any(name.startswith(("atms_cli.store", "atms_cli.services")) for name in modules)
