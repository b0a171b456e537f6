"""Agents, the kinds of them, and how they hold tasks: `agents`, `drivers` and `claims` in atms.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta  # noqa: TID253

from atms_cli.domain import agent as agents
from atms_cli.domain import config as defaults
from atms_cli.domain import driver
from atms_cli.store.settings_words import (
    Approval,
    Category,
    Complexity,
    Count,
    Duration,
    Isolation,
    Priority,
    Section,
    StartRate,
    Stream,
    Text,
)

_CLAIMS: Any = defaults.default()["claims"]
_AGENT: Any = agents.DEFAULTS
_DRIVER: Any = driver.DEFAULTS


class Claims(Section):
    """How agents that claim for themselves hold tasks."""

    lease: Annotated[Duration, Meta(description="A claim ends after so long without a heartbeat.")] = _CLAIMS["lease"]
    offline: Annotated[
        Duration, Meta(description="An agent that has given no sign of life for so long counts as offline.")
    ] = _CLAIMS["offline"]


class AgentDefinition(Section):
    """An agent: a command that works on one task, or a coding agent whose command line atms knows (`kind`)."""

    kind: Annotated[
        Text,
        Meta(description=f"{', '.join(agents.KINDS)}, or one of `drivers`."),
    ] = _AGENT["kind"]
    command: Annotated[str | None, Meta(description="A shell command; with a driver, what stands for its program.")] = (
        None
    )
    model: Annotated[str | None, Meta(description="The model it is asked to use.")] = None
    args: Annotated[list[str], Meta(description="More arguments for its command line.")] = []
    env: Annotated[dict[str, str], Meta(description="More variables for its environment.")] = {}
    approval: Annotated[
        Approval, Meta(description="What it may do without being asked: change files, or also run any command.")
    ] = _AGENT["approval"]
    isolation: Annotated[Isolation | None, Meta(description="As in `execution`, for this agent.")] = None
    prompt: Annotated[Text | None, Meta(description="As in `execution`, for this agent.")] = None
    specialization: str | None = None
    capabilities: list[str] = []
    languages: list[str] = []
    frameworks: list[str] = []
    tools: list[str] = []
    categories: Annotated[list[Category], Meta(description="Of tasks that it takes; all if empty.")] = []
    max_complexity: Annotated[Complexity | None, Meta(description="It takes nothing beyond that.")] = None
    max_priority: Annotated[Priority | None, Meta(description="It takes nothing more urgent than that.")] = None
    max_concurrent: Count = 1
    rate: StartRate = None


class DriverDefinition(Section):
    """A kind of agent: its command line, in parts that stand in this order, with {session}, {model}, {prompt} filled in."""

    argv: Annotated[list[Text], Meta(min_length=1, description="The program and what it is always given.")]
    approvals: Annotated[dict[str, list[str]], Meta(description="Arguments by approval: edits, full.")] = {}
    model: Annotated[list[str], Meta(description="Arguments if the agent names a model.")] = []
    new: Annotated[list[str], Meta(description="Arguments that name a new session.")] = []
    resume: Annotated[list[str], Meta(description="Arguments to go on with a session.")] = []
    prompt: Annotated[list[str], Meta(description="Arguments for the prompt.")] = []
    stdin: Annotated[bool, Meta(description="Whether the prompt comes on standard input.")] = True
    env: dict[str, str] = {}
    reads: Annotated[
        list[str],
        Meta(description="Files of conventions that it reads by itself, like AGENTS.md; it is not told them twice."),
    ] = []
    trust: Annotated[
        list[Text],
        Meta(
            max_length=2,
            description="A JSON file, from the home directory, and the list in it that names directories it works in unasked; "
            "worktrees are added.",
        ),
    ] = []
    stream: Annotated[Stream, Meta(description="Who reads its output: a stream of events, or plain text.")] = _DRIVER[
        "stream"
    ]
