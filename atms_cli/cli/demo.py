"""A demonstration in a scratch git repository: real agents, real commits, real gates."""

from __future__ import annotations

import os
import shutil
import sys
from os.path import abspath, dirname, exists, join

from atms_cli.cli.call import Call, invoke
from atms_cli.errors import AtmsError, ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atms_cli.cli import options as o

_EXAMPLE = "FEATURES.example.json"
_TEST_WORDS = """import unittest

from textkit.words import count


class CountTest(unittest.TestCase):
    def test_a_dash_is_no_word(self) -> None:
        self.assertEqual(count("one - two,  three"), 3)
"""
_SETTINGS = """\
# The demonstration's settings.
execution:
  jobs: 2
  retry_delay: 200ms
gates:
  tests:
    kind: test
    command: {python} .demo/check.py
  clean:
    kind: custom
    command: git diff --quiet HEAD -- textkit tests docs
    required: false
agents:
  builder:
    command: {python} .demo/agent.py
    capabilities: [backend, testing, analysis, frontend]
    max_concurrent: 2
  writer:
    command: {python} .demo/agent.py
    capabilities: [documentation]
"""


def demo(call: Call, keep: o.Keep = None) -> int:
    """Show the whole way in a scratch repository: features, tasks, agents, gates, and back."""
    if shutil.which("git") is None:
        raise AtmsError("the demonstration needs git, which was not found", "install git, then repeat")
    root = _place(keep)
    try:
        _build(root)
        code = _tour(call, root)
    finally:
        if keep is None:
            shutil.rmtree(root, ignore_errors=True)
    _farewell(call, keep)
    return code


def _place(keep: str | None) -> str:
    """Return the directory for the demonstration, which must be new or empty."""
    if keep is None:
        import tempfile

        return tempfile.mkdtemp(prefix="atms-demo-")
    root = abspath(keep)
    if exists(root) and os.listdir(root):
        raise ConflictError(f"{root} is not empty", "name a directory that is not there yet")
    os.makedirs(root, exist_ok=True)
    return root


def _build(root: str) -> None:
    """Make a small project with a bug, a roadmap, two agents and a gate."""
    from shlex import quote

    files = {
        "README.md": "# textkit\n\nSmall tools for articles.\n",
        "textkit/__init__.py": "",
        "textkit/words.py": '"""Counting words."""\n\n\ndef count(text: str) -> int:\n    return len(text.split(" "))\n',
        "tests/__init__.py": "",
        "tests/test_words.py": _TEST_WORDS,
        "atms.yaml": _SETTINGS.format(python=quote(sys.executable)),
        ".gitignore": "__pycache__/\n",
    }
    for name, content in files.items():
        os.makedirs(dirname(join(root, name)), exist_ok=True)
        with open(join(root, name), "w", encoding="utf-8") as file:
            file.write(content)
    shutil.copyfile(_example(), join(root, "FEATURES.json"))
    shutil.copytree(
        join(dirname(__file__), "demo_project"), join(root, ".demo"), ignore=shutil.ignore_patterns("__pycache__")
    )
    _git(root, ["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "A project with a bug"])


def _example() -> str:
    """Return the example that is shipped: inside the package, or beside it in a source checkout."""
    shipped = join(dirname(__file__), "demo_project", _EXAMPLE)
    return shipped if exists(shipped) else join(dirname(dirname(dirname(__file__))), _EXAMPLE)


_IDENTITY = {
    "GIT_AUTHOR_NAME": "atms demo", "GIT_AUTHOR_EMAIL": "demo@example.invalid", "GIT_COMMITTER_NAME": "atms demo",
    "GIT_COMMITTER_EMAIL": "demo@example.invalid", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def _git(root: str, *commands: Sequence[str]) -> None:
    """Run git in the scratch repository, away from the person's own settings."""
    from atms_cli.services.surroundings import environment
    from atms_cli.system.launch import Launch
    from atms_cli.system.process import Processes

    os.environ.update(_IDENTITY)
    log = join(root, ".git-output")
    for command in commands:
        with Processes() as processes:
            processes.start(Launch("git", ("git", *command), root, environment(os.environ, _IDENTITY), log))
            ended = processes.poll()
        if not ended or ended[0].exit_code:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise AtmsError(f"git {command[0]} failed: {file.read().strip()}")
    os.remove(log)


def _tour(call: Call, root: str) -> int:
    """Show and run the commands that a person would type."""
    os.environ["ATMS_WORKSPACE"] = root
    code = 0
    for words, explanation in _steps():
        call.out(
            f"\n{call.style('#', 'dim')} {call.style(explanation, 'dim')}\n{call.style('$ atms ' + words, 'bold')}"
        )
        sys.stdout.flush()
        code = max(code, _run(call, words, root))
    return code


def _steps() -> Iterator[tuple[str, str]]:
    # atms.yaml is there already, so `init` adds only the local `.atms`.
    yield "init", f"a project in a scratch git repository; FEATURES.json is {_EXAMPLE}"
    yield "feature list", "five features: three approved, one suggested, one rejected"
    yield "feature sync", "only approved ones become tasks"
    yield "run --drain", "two agents at work; a task is done when its gates pass, and one will not at first"
    yield "feature list", "the roadmap says what became of it, each byte else as it was"


def _run(call: Call, words: str, root: str) -> int:
    from atms_cli.cli.fastlane import match

    found = match(words.split())
    if found is None:
        raise ValueError(words)
    target, values = found
    common = {"workspace": root, "json": call.json or None, "quiet": call.quiet or None}
    return invoke(target, values | {name: value for name, value in common.items() if value is not None})


def _farewell(call: Call, keep: str | None) -> None:
    if keep is not None:
        call.say(f"\nlook around: cd {keep} && git log --oneline && atms task list && atms log")
    else:
        call.say("\nnothing was left behind; to look around in it: atms demo --keep DIR")
    call.say(
        'in your own project: atms init, then: atms task add "Say hello" --command "echo hello" && atms run --drain'
    )
