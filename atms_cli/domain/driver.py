"""How the command lines of coding agents are used: data, one entry for each kind of agent.

A command line is put together from parts, in this order: `argv`, the arguments for the approval, the model, the agent's own
arguments, the session (a new one, or one to go on with), and the prompt. `stream` names what reads its output
(domain/streams.py).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypedDict

    from atms_cli.domain.records import Agent, JsonObject

    class Driver(TypedDict):
        """One kind of agent. `{prompt}`, `{prompt_file}`, `{session}`, `{model}` and the names of a task's run are filled in."""

        argv: list[str]
        approvals: dict[str, list[str]]  # by what the agent may do (agent.APPROVALS)
        model: list[str]
        new: list[str]  # to begin a session under a name that we choose; empty if the agent chooses
        resume: list[str]  # to go on with a session; empty if it cannot
        prompt: list[str]
        stdin: bool  # whether the prompt goes to standard input
        env: dict[str, str]
        reads: list[str]  # files of conventions that it reads by itself
        stream: str
        trust: list[
            str
        ]  # a JSON file, from the home directory, and the list in it of directories that are trusted; or nothing


_PLAIN_OUTPUT = {"NO_COLOR": "1"}

BUILT_IN: dict[str, Driver] = {
    "gemini": {
        "argv": ["gemini", "--output-format", "stream-json"],
        "approvals": {"edits": ["--approval-mode", "auto_edit"], "full": ["--approval-mode", "yolo"]},
        "model": ["--model", "{model}"],
        "new": ["--session-id", "{session}"],
        "resume": ["--resume", "{session}"],
        "prompt": [],
        "stdin": True,
        # Every worktree is a folder that it does not know, and a second node process would only be one more to end.
        "env": {**_PLAIN_OUTPUT, "GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_CLI_NO_RELAUNCH": "true"},
        "reads": ["GEMINI.md"],
        "stream": "gemini",
        "trust": [],
    },
    "agy": {
        "argv": ["agy", "--output-format", "stream-json", "--add-dir", "."],
        "approvals": {"edits": ["--mode", "accept-edits"], "full": ["--dangerously-skip-permissions"]},
        "model": ["--model", "{model}"],
        "new": [],
        "resume": ["--conversation", "{session}"],
        "prompt": ["-p", "{prompt}"],
        "stdin": False,
        "env": {**_PLAIN_OUTPUT},
        "reads": ["AGENTS.md", "GEMINI.md"],
        "stream": "agy",
        # Each directory by itself: to trust the repository is not enough, and nobody is there to be asked.
        "trust": [".gemini/antigravity-cli/settings.json", "trustedWorkspaces"],
    },
    "claude": {
        "argv": ["claude", "-p", "--output-format", "stream-json", "--verbose"],
        "approvals": {
            "edits": ["--permission-mode", "acceptEdits"],
            "full": ["--permission-mode", "bypassPermissions"],
        },
        "model": ["--model", "{model}"],
        "new": ["--session-id", "{session}"],
        "resume": ["--resume", "{session}"],
        "prompt": [],
        "stdin": True,
        "env": {**_PLAIN_OUTPUT},
        "reads": ["AGENTS.md", "CLAUDE.md"],
        "stream": "claude",
        "trust": [],
    },
    "codex": {
        "argv": ["codex", "exec", "--json", "--skip-git-repo-check"],
        "approvals": {"edits": ["--sandbox", "workspace-write"], "full": ["--sandbox", "danger-full-access"]},
        "model": ["--model", "{model}"],
        "new": [],
        # A subcommand: what belongs to `exec` has to stand before it.
        "resume": ["resume", "{session}"],
        "prompt": ["-"],
        "stdin": True,
        "env": {**_PLAIN_OUTPUT},
        "reads": ["AGENTS.md"],
        "stream": "codex",
        "trust": [],
    },
}
#: What reads the output of an agent (streams.py); `plain` has no events.
STREAMS = ("plain", "gemini", "claude", "codex", "agy")
#: Of a driver that says no more than its `argv`.
DEFAULTS: JsonObject = {
    "approvals": {}, "model": [], "new": [], "resume": [], "prompt": [], "stdin": True, "env": {}, "reads": [], "stream": "plain",
    "trust": [],
}  # fmt: skip
#: A longer argument is not taken by every system (Linux: 128 KiB); the agent is sent to the file then.
_MOST_ARGUMENT_BYTES = 100_000


def command_line(
    driver: Driver, agent: Agent, values: Mapping[str, str], *, session: str | None, is_new: bool
) -> list[str]:
    """Return the argv of an attempt; `values` has what is filled in, by the names of the placeholders.

    The agent's `command`, if it has one, stands for the first word of the driver's: another path, or a wrapper.
    """
    own = agent["command"].split() if agent["command"] else driver["argv"][:1]
    begins = driver["new"] if is_new else driver["resume"]
    parts = [
        *own,
        *driver["argv"][1:],
        *driver["approvals"].get(agent["approval"], ()),
        *(driver["model"] if agent["model"] else ()),
        *agent["args"],
        *(begins if session else ()),
        *driver["prompt"],
    ]
    known = {**values, "session": session or "", "model": agent["model"] or "", "prompt": _argument(values)}
    return [filled(part, known) for part in parts]


def _argument(values: Mapping[str, str]) -> str:
    prompt = values.get("prompt", "")
    if len(prompt.encode()) <= _MOST_ARGUMENT_BYTES:
        return prompt
    return f"Read the file {values.get('prompt_file', '')} and do what it says."


def filled(text: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders we know; any other brace belongs to the shell or the program."""
    pieces = text.split("{")
    for index, piece in enumerate(pieces[1:], start=1):
        name, closing, rest = piece.partition("}")
        pieces[index] = values[name] + rest if closing and name in values else "{" + piece
    return "".join(pieces)


def whole(fields: Mapping[str, object]) -> Driver:
    """Return a driver with what it does not say.

    Raises:
        ValueError: it has no command line.

    """
    argv = fields.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        raise ValueError("a driver needs its command line as `argv`, a list of words")
    driver: dict[str, object] = {**DEFAULTS, **{name: fields[name] for name in (*DEFAULTS, "argv") if name in fields}}
    return driver  # type: ignore[return-value]
