"""How attempts are executed, and what they may use: `execution` in atms.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field  # noqa: TID253

from atms_cli.domain import config as defaults
from atms_cli.store.settings_words import (
    AfterTimeout,
    Balance,
    Count,
    Duration,
    Grouped,
    Isolation,
    Merge,
    OnConflict,
    Section,
    Size,
    Text,
)

_LEAST_LOG = 1 << 20
_EXECUTION: Any = defaults.default()["execution"]


class Limits(Section):
    """What an attempt may use; a task may ask for less (`--limit`). Without a control group, what each of its processes may."""

    memory: Annotated[Size | None, Meta(description="Memory, like 4G; in a control group, without swap.")] = None
    cpu: Annotated[Duration | None, Meta(description="Time of a processor that each process may take.")] = None
    files: Annotated[Annotated[int, Meta(ge=16)] | None, Meta(description="Open files of each process.")] = None
    processes: Annotated[
        Count | None, Meta(description="Processes; without a control group, all of the user's are counted.")
    ] = None
    file_size: Annotated[Size | None, Meta(description="How large a file may get, its output too.")] = None
    cores: Annotated[
        Annotated[float, Meta(ge=0.01)] | None, Meta(description="Processors at once; only in a control group.")
    ] = None


class WorktreeLimits(Section):
    """Worktrees that lie there, beside those that are worked in. What is not merged is never removed."""

    keep: Annotated[
        Duration, Meta(description="One of which nothing is left to keep is removed so long after its task ended.")
    ] = _EXECUTION["worktrees"]["keep"]
    max_size: Annotated[Size | None, Meta(description="Beyond so much no new one is made, like 20G.")] = None
    max_count: Annotated[Count | None, Meta(description="Beyond so many no new one is made.")] = None


class Execution(Section):
    """How `atms run` executes attempts."""

    jobs: Annotated[int, Meta(ge=1, le=1000, description="Attempts at once, over all agents.")] = _EXECUTION["jobs"]
    gate_jobs: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        Meta(description="Gates at once for one piece of work; as many as there are processors if not set."),
    ] = None
    max_attempts: Annotated[int, Meta(ge=1, description="Attempts before a task has failed.")] = _EXECUTION[
        "max_attempts"
    ]
    retry_delay: Annotated[Duration, Meta(description="Wait before the second attempt; doubles each time.")] = (
        _EXECUTION["retry_delay"]
    )
    retry_delay_max: Annotated[Duration, Meta(description="The longest wait between attempts.")] = _EXECUTION[
        "retry_delay_max"
    ]
    timeout: Annotated[Duration, Meta(description="An attempt that takes longer is stopped.")] = _EXECUTION["timeout"]
    on_timeout: Annotated[
        AfterTimeout, Meta(description="Whether the task has failed then, or has another attempt if it has any left.")
    ] = _EXECUTION["on_timeout"]
    silence: Annotated[
        Duration | None, Meta(description="An attempt without output for so long is stopped, and tried again.")
    ] = None
    idle: Annotated[
        Duration | None,
        Meta(
            description="A coding agent's attempt without progress for so long is stopped, and tried again: no message, no use of "
            "a tool, no change in its git tree, no `atms task progress` or `heartbeat`. Output alone is none."
        ),
    ] = _EXECUTION["idle"]
    grace: Annotated[Duration, Meta(description="Between interrupt, terminate and kill.")] = _EXECUTION["grace"]

    balance: Annotated[Balance, Meta(description="Which of several agents that can take a task does.")] = _EXECUTION[
        "balance"
    ]
    isolation: Annotated[
        Isolation,
        Meta(description="Where attempts work: in the tree as it is, or each task in a git worktree and on a branch."),
    ] = _EXECUTION["isolation"]
    setup: Annotated[
        str | None, Meta(description="A shell command that makes a new worktree fit for work, like `npm ci`.")
    ] = None
    teardown: Annotated[
        str | None,
        Meta(description="A shell command that is run in a worktree before it is removed; if it fails, that stays."),
    ] = None
    merge: Annotated[
        Merge,
        Meta(
            description="How the branch of a task whose gates passed comes back; `command` hands it over, `none` leaves it."
        ),
    ] = _EXECUTION["merge"]
    prompt: Annotated[
        Text | None,
        Meta(description="The file with the template of what agents are told; the built-in one if not set."),
    ] = None
    conventions: Annotated[
        str | None,
        Meta(
            description="The file with the repository's conventions, told to agents that do not read it by themselves; "
            "if not set, the first there is of AGENTS.md, CLAUDE.md, GEMINI.md, CONTRIBUTING.md; if empty, none."
        ),
    ] = None
    merge_command: Annotated[
        Text | list[Text] | None,
        Meta(
            description="For a merge of `command`: run in the worktree, to push it, say; exit code 0 takes the work over."
        ),
    ] = None
    merge_timeout: Annotated[Duration, Meta(description="A merge command that takes longer is stopped.")] = _EXECUTION[
        "merge_timeout"
    ]
    on_conflict: Annotated[
        OnConflict, Meta(description="Whether work that conflicts goes back to its agent, or waits for a person.")
    ] = _EXECUTION["on_conflict"]
    worktrees: WorktreeLimits = field(default_factory=WorktreeLimits)
    limits: Limits = field(default_factory=Limits)
    cgroup: Annotated[
        Grouped, Meta(description="Whether control groups enforce limits where they can be had, or never.")
    ] = _EXECUTION["cgroup"]
    log_max: Annotated[
        Size, Meta(description="What is kept of the output of a command: its beginning and its end. At least 1M.")
    ] = _EXECUTION["log_max"]
    logs_keep: Annotated[
        Duration | None, Meta(description="How long files of attempts at tasks that have ended are kept.")
    ] = _EXECUTION["logs_keep"]
    logs_total: Annotated[
        Size | None, Meta(description="What files of attempts may take together before the oldest go.")
    ] = _EXECUTION["logs_total"]

    def __post_init__(self) -> None:
        if self.log_max < _LEAST_LOG:
            raise ValueError(f"log_max is {self.log_max} bytes, less than 1M")
        if self.merge == "command" and not self.merge_command:
            raise ValueError("merge is `command`, so merge_command has to say which")
