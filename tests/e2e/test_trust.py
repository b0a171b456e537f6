"""Each new worktree is a directory that a coding agent has never seen: it must not stop there to be asked whether to trust it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

#: Plays each kind as far as trust goes, as recorded from gemini 0.61, codex 0.169, claude 2.1, and told of agy 1.1.
PLAYER = """
import json, os, sys

kind, arguments, here = os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd()
settings = os.path.join(os.environ["HOME"], ".gemini", "antigravity-cli", "settings.json")

def say(**event):
    print(json.dumps(event))

def refuse(code, words):
    sys.exit(print(words, file=sys.stderr) or code)

if kind == "gemini" and os.environ.get("GEMINI_CLI_TRUST_WORKSPACE") != "true":
    refuse(55, "Gemini CLI is not running in a trusted directory.")
if kind == "codex" and "--skip-git-repo-check" not in arguments:
    refuse(1, "Not inside a trusted directory and --skip-git-repo-check was not specified.")
if kind == "claude" and "-p" not in arguments:
    refuse(1, "Do you trust the files in this folder?")
if kind == "agy" and here not in json.load(open(settings))["trustedWorkspaces"]:
    refuse(1, "Do you trust the contents of this project?")
with open("done.txt", "w") as done:
    done.write(here)
if kind == "gemini":
    say(type="result", status="success")
elif kind == "codex":
    say(type="turn.completed", usage={})
elif kind == "agy":
    say(type="result", status="SUCCESS", response="done")
else:
    say(type="result", subtype="success", is_error=False, result="done")
"""


@pytest.fixture
def apart(repository: Atms, tmp_path: Path) -> Atms:
    atms, here = repository, tmp_path / "play"
    here.mkdir()
    for kind in ("gemini", "agy", "claude", "codex"):
        program = here / kind
        program.write_text(f"#!{sys.executable}\n{PLAYER}")
        program.chmod(0o755)
    atms.env["PATH"] = f"{here}:{atms.env['PATH']}"
    atms.settings("execution: {isolation: worktree, max_attempts: 1}\n")
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(commit, cwd=atms.root, env=atms.env, check=True)  # noqa: TID251  a test stands outside
    return atms


@pytest.fixture
def trusted(apart: Atms) -> Path:
    from pathlib import Path

    return Path(apart.env["HOME"]) / ".gemini" / "antigravity-cli" / "settings.json"


@pytest.mark.parametrize("kind", ["gemini", "agy", "claude", "codex"])
def test_each_kind_works_in_a_new_worktree(apart: Atms, kind: str) -> None:
    apart("agent", "register", "anna", "--kind", kind)
    one = apart.add("Write it")
    apart("run", "--drain")
    assert apart.task(one)["status"] == "completed"
    assert (apart.root / "done.txt").read_text().endswith(f".atms/worktrees/{one}")


def test_what_else_is_in_the_settings_of_an_agent_stays_as_it_is(apart: Atms, trusted: Path) -> None:
    trusted.parent.mkdir(parents=True)
    trusted.write_text('{"model":   "m1",\n  "trustedWorkspaces": ["/home/ann/work"], "z": 1}\n')
    apart("agent", "register", "anna", "--kind", "agy")
    first, second = apart.add("First"), apart.add("Second")
    apart("run", "--drain")
    text = trusted.read_text()
    assert (text.startswith('{"model":   "m1",\n'), text.endswith(', "z": 1}\n')) == (True, True)
    kept = json.loads(text)["trustedWorkspaces"]
    assert kept == ["/home/ann/work", str(apart.root / ".atms" / "worktrees" / second)], "what is gone is forgotten"
    assert first not in str(kept)


def test_an_agent_in_the_shared_tree_is_trusted_by_its_person_alone(apart: Atms, trusted: Path) -> None:
    apart("agent", "register", "anna", "--kind", "agy", "--isolation", "shared")
    one = apart.add("Write it")
    trusted.parent.mkdir(parents=True)
    trusted.write_text('{"trustedWorkspaces": []}')
    apart("run", "--drain", code=8)
    assert (apart.task(one)["status"], trusted.read_text()) == ("failed", '{"trustedWorkspaces": []}')


def test_settings_that_cannot_be_read_are_named(apart: Atms, trusted: Path) -> None:
    trusted.parent.mkdir(parents=True)
    trusted.write_text('{"trustedWorkspaces": "none"}')
    apart("agent", "register", "anna", "--kind", "agy")
    one = apart.add("Write it")
    apart("run", "--drain", code=8)
    assert f"{trusted}: `trustedWorkspaces` is no list" in apart.task(one)["reason"]
