"""The settings of a workspace: their shapes and defaults. Parsing and checking them is store/settings.py's work."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from atms_cli.domain.records import Gate, JsonObject

    class LaneSettings(TypedDict):
        """How a lane orders its tasks, and how fast it gives them out."""

        strategy: str
        ageing: float  # seconds of waiting worth one level of priority
        by: str  # what round_robin and fair_share tell groups apart by
        weights: dict[str, float]  # of groups, for fair_share; one that is not named has 1
        half_life: float  # seconds after which a start counts half, for fair_share
        concurrency: int | None
        rate: str | None  # starts in an interval, like 10/1h
        quiet: list[str]  # when nothing is started, like 22:00-06:00 or sat-sun

    class QueueSettings(LaneSettings):
        """How the queue as a whole gives out tasks; what it says of order holds for each lane that does not say it itself."""

        lanes: dict[str, dict[str, object]]
        resources: dict[str, int]  # how many tasks may hold each at once
        alerts: dict[str, float | None]

    class Execution(TypedDict):
        """How `atms run` executes attempts."""

        jobs: int
        gate_jobs: int | None  # gates at once for one piece of work; None: as many as there are processors
        max_attempts: int
        retry_delay: float  # seconds, doubling with each attempt
        retry_delay_max: float
        timeout: float  # seconds an attempt may take
        on_timeout: str  # what comes after that: fail or retry
        silence: float | None  # seconds without output
        idle: float | None  # seconds without progress, of agents that tell what they do
        grace: float  # seconds between interrupt, terminate and kill
        balance: str  # which of several able agents takes a task
        isolation: str  # where attempts work: shared or worktree
        setup: str | None  # a shell command that makes a new worktree fit for work
        prompt: str | None  # a template of the prompt, from the root; None for the built-in one
        conventions: str | None  # the file with the repository's conventions; None for the first usual one, "" for none
        limits: dict[str, float | None]  # what an attempt may use (domain/footprint.py)
        cgroup: str  # whether control groups may enforce them: auto or off
        log_max: int  # bytes of output kept of a command
        logs_keep: float | None  # seconds that the files of ended tasks are kept
        logs_total: int | None  # bytes that they may take together
        teardown: str | None  # a shell command that is run before a worktree is removed
        merge: str  # how a worktree's branch comes back (MERGES)
        merge_command: str | list[str] | None  # what it is handed over to, for a merge of `command`
        merge_timeout: float  # seconds that command may take
        on_conflict: str  # who gets a conflict (ON_CONFLICT)
        worktrees: WorktreeLimits

    class WorktreeLimits(TypedDict):
        """How many worktrees may lie there, beside those that are worked in, before no new one is made."""

        keep: float  # seconds that one of which nothing is left to keep stays, to be looked into
        max_size: int | None  # bytes
        max_count: int | None

    class Claims(TypedDict):
        """How agents that claim for themselves hold tasks."""

        lease: float  # seconds
        offline: float  # seconds without a sign of life after which an agent counts as gone

    class Budget(TypedDict):
        """What agents that say what they cost may cost."""

        attempt_usd: float | None
        attempt_tokens: int | None
        task_usd: float | None
        task_tokens: int | None
        day_usd: float | None
        day_tokens: int | None
        without_progress_usd: float | None
        without_progress_tokens: int | None
        prices: dict[str, dict[str, float | None]]  # US dollars a million tokens, by model: input, output, cached

    class FeatureSettings(TypedDict):
        """Which roadmap file to keep in step with."""

        file: str | None

    class HookSettings(TypedDict):
        """How git hooks run gates."""

        tree: str  # where gates find the files: auto, copy or working (domain/hooks.py)

    class Config(TypedDict):
        """All settings; times in seconds."""

        version: int
        queue: QueueSettings
        execution: Execution
        claims: Claims
        budget: Budget
        features: FeatureSettings
        hooks: HookSettings
        gates: dict[str, Gate]
        agents: dict[str, JsonObject]
        drivers: dict[str, JsonObject]  # kinds of agents beyond those built in (domain/driver.py)
        redact: list[str]  # patterns of secrets beyond those built in (domain/redaction.py)


#: What may come after an attempt that took too long.
AFTER_TIMEOUT = ("fail", "retry")
#: How the branch of a task comes back into the one that is checked out.
MERGES = ("fast-forward", "squash", "rebase", "command", "none")
#: Whether a task whose work conflicts with what came in meanwhile goes back to its agent, or waits for a person.
ON_CONFLICT = ("retry", "review")
#: Whether control groups enforce limits.
CGROUPS = ("auto", "off")


def default() -> Config:
    """Return the settings of a workspace whose atms.yaml says nothing."""
    return {
        "version": 1,
        "queue": {
            "strategy": "priority",
            "ageing": 86_400.0,
            "by": "feature",
            "weights": {},
            "half_life": 86_400.0,
            "concurrency": None,
            "rate": None,
            "quiet": [],
            "lanes": {},
            "resources": {},
            "alerts": {"size": None, "oldest_wait": None, "failure_rate": None, "stuck": None, "starving": None},
        },
        "execution": {
            "jobs": 2,
            "gate_jobs": None,
            "max_attempts": 3,
            "retry_delay": 1.0,
            "retry_delay_max": 300.0,
            "timeout": 3600.0,
            "on_timeout": "fail",
            "silence": None,
            "idle": 1800.0,
            "grace": 5.0,
            "balance": "least_load",
            "isolation": "shared",
            "setup": None,
            "teardown": None,
            "merge": "fast-forward",
            "prompt": None,
            "conventions": None,
            "limits": dict.fromkeys(("memory", "cpu", "files", "processes", "file_size", "cores")),
            "cgroup": "auto",
            "log_max": 64 << 20,
            "logs_keep": 30 * 86_400.0,
            "logs_total": 4 << 30,
            "merge_command": None,
            "merge_timeout": 600.0,
            "on_conflict": "retry",
            "worktrees": {"keep": 86_400.0, "max_size": None, "max_count": None},
        },
        "claims": {"lease": 1800.0, "offline": 3600.0},
        "budget": {
            "attempt_usd": 15.0,
            "attempt_tokens": 30_000_000,
            "task_usd": 25.0,
            "task_tokens": None,
            "day_usd": 250.0,
            "day_tokens": None,
            "without_progress_usd": 20.0,
            "without_progress_tokens": 40_000_000,
            "prices": {},
        },
        "features": {"file": None},
        "hooks": {"tree": "auto"},
        "gates": {},
        "agents": {},
        "drivers": {},
        "redact": [],
    }
