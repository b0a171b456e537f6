"""The shape of atms.yaml, for checking and for editors (`atms config schema`). Imported only when the file has changed."""

from __future__ import annotations

import re
from math import inf
from typing import Annotated, Any, Literal, TypeVar

import msgspec  # noqa: TID253
from msgspec import Meta, Struct, field  # noqa: TID253

from atms_cli.domain import agent as agents
from atms_cli.domain import conditions, driver, figures, gate, hooks, lanes, matching, task
from atms_cli.domain import config as defaults
from atms_cli.domain.footprint import parse_size
from atms_cli.domain.limits import parse_rate, parse_window
from atms_cli.domain.moment import parse_duration
from atms_cli.domain.redaction import check_pattern
from atms_cli.domain.shares import check_weights
from atms_cli.errors import AtmsError, CycleError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.config import Config
    from atms_cli.domain.records import JsonObject


class Duration(float):
    """Seconds above 0, written as a number or like 90s, 15m, 1h30m, 2d."""

    __slots__ = ()


class Rate(str):
    """Starts in an interval, like 10/1h."""

    __slots__ = ()


class Window(str):
    """A time of the week, local, like 22:00-06:00, mon-fri 09:00-17:00 or sat-sun."""

    __slots__ = ()


class Strategy(str):
    """How a queue orders its tasks."""

    __slots__ = ()


class Grouping(str):
    """What tasks are told apart by."""

    __slots__ = ()


class GateKind(str):
    """What a gate looks at."""

    __slots__ = ()


class Stage(str):
    """When a gate is run."""

    __slots__ = ()


class Approval(str):
    """What an agent may do without being asked."""

    __slots__ = ()


class Isolation(str):
    """Where an attempt works."""

    __slots__ = ()


class OnConflict(str):
    """Who gets a conflict."""

    __slots__ = ()


class Size(int):
    """Bytes, written as a number or like 500K, 64M, 2G."""

    __slots__ = ()


class Balance(str):
    """Which of several able agents takes a task."""

    __slots__ = ()


class AfterTimeout(str):
    """What comes after an attempt that took too long."""

    __slots__ = ()


class Category(str):
    """What a task is about."""

    __slots__ = ()


class Complexity(str):
    """How hard a task is."""

    __slots__ = ()


class Priority(str):
    """How urgent a task is."""

    __slots__ = ()


class Merge(str):
    """How the branch of a task comes back."""

    __slots__ = ()


class Better(str):
    """Which figures are better."""

    __slots__ = ()


class Grouped(str):
    """Whether control groups may be used."""

    __slots__ = ()


class Pattern(str):
    """A regular expression."""

    __slots__ = ()


class HookTree(str):
    """Where gates of a git hook find the files."""

    __slots__ = ()


class Stream(str):
    """What reads the output of an agent."""

    __slots__ = ()


_CHOICES = {
    Strategy: lanes.STRATEGIES, Grouping: lanes.GROUPINGS, GateKind: gate.KINDS, Stage: gate.STAGES, Approval: agents.APPROVALS,
    Stream: driver.STREAMS, Isolation: task.ISOLATIONS, Merge: defaults.MERGES, Balance: matching.BALANCES,
    Grouped: defaults.CGROUPS, AfterTimeout: defaults.AFTER_TIMEOUT,
    OnConflict: defaults.ON_CONFLICT, HookTree: hooks.TREES,
    Category: task.CATEGORIES, Complexity: task.COMPLEXITIES, Priority: task.PRIORITIES, Better: (figures.LOWER, figures.HIGHER),
}  # fmt: skip
_CHECKS: dict[type, Callable[[str], object]] = {Rate: parse_rate, Window: parse_window, Pattern: check_pattern}
_LEAST_LOG = 1 << 20
_T = TypeVar("_T")
Count = Annotated[int, Meta(ge=1)]
Most = Annotated[int, Meta(ge=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Amount = Annotated[float, Meta(ge=0)]
Text = Annotated[str, Meta(min_length=1)]
Concurrency = Annotated[Count | None, Meta(description="Tasks that may run at once.")]
StartRate = Annotated[Rate | None, Meta(description="Starts in an interval, like 10/1h.")]
Quiet = Annotated[
    list[Window],
    Meta(description="When nothing is started, in local time, like 22:00-06:00, mon-fri 09:00-17:00 or sat-sun."),
]
_DEFAULT: Any = defaults.default()
_QUEUE, _EXECUTION = _DEFAULT["queue"], _DEFAULT["execution"]
_BUDGET = _DEFAULT["budget"]
_HOOKS = _DEFAULT["hooks"]
_GATE: Any = gate.DEFAULTS
_AGENT: Any = agents.DEFAULTS
_DRIVER: Any = driver.DEFAULTS
_LOWER: Any = figures.LOWER


class _Section(Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class Lane(_Section):
    """A named queue; what it does not say of its order is as in the queue."""

    strategy: Strategy | None = None
    ageing: Duration | None = None
    by: Grouping | None = None
    weights: dict[str, float] | None = None
    half_life: Duration | None = None
    concurrency: Concurrency = None
    rate: StartRate = None
    quiet: Quiet = []

    def __post_init__(self) -> None:
        _refuse(check_weights, self.weights or {})


class Alerts(_Section):
    """Beyond what an alert is raised, once, until it is over."""

    size: Annotated[Count | None, Meta(description="Tasks in the queue.")] = None
    oldest_wait: Annotated[Duration | None, Meta(description="How long the oldest ready task has waited.")] = None
    failure_rate: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None, Meta(description="The share of the last attempts that failed.")
    ] = None
    stuck: Annotated[Count | None, Meta(description="Tasks that wait for one that failed or was cancelled.")] = None
    starving: Annotated[
        Count | None, Meta(description="Ready tasks that have waited longer than the bound of ageing.")
    ] = None


class Queue(_Section):
    """How the queue orders its tasks, and how fast it gives them out."""

    strategy: Strategy = _QUEUE["strategy"]
    ageing: Annotated[Duration, Meta(description="Waiting this long is worth one level of priority.")] = _QUEUE[
        "ageing"
    ]
    by: Annotated[Grouping, Meta(description="What round_robin and fair_share tell groups of tasks apart by.")] = (
        _QUEUE["by"]
    )
    weights: Annotated[
        dict[str, float], Meta(description="Of groups, for fair_share; one that is not named has 1.")
    ] = {}
    half_life: Annotated[Duration, Meta(description="After so long a start counts half, for fair_share.")] = _QUEUE[
        "half_life"
    ]
    concurrency: Concurrency = None
    rate: StartRate = None
    quiet: Quiet = []
    lanes: dict[str, Lane | None] = {}
    resources: Annotated[
        dict[str, Count],
        Meta(description="How many tasks may hold each at once; one that is not named, one task."),
    ] = {}
    alerts: Alerts = field(default_factory=Alerts)

    def __post_init__(self) -> None:
        _refuse(check_weights, self.weights)


class Limits(_Section):
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


class WorktreeLimits(_Section):
    """Worktrees that lie there, beside those that are worked in. What is not merged is never removed."""

    keep: Annotated[
        Duration, Meta(description="One of which nothing is left to keep is removed so long after its task ended.")
    ] = _EXECUTION["worktrees"]["keep"]
    max_size: Annotated[Size | None, Meta(description="Beyond so much no new one is made, like 20G.")] = None
    max_count: Annotated[Count | None, Meta(description="Beyond so many no new one is made.")] = None


class Execution(_Section):
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


class Claims(_Section):
    """How agents that claim for themselves hold tasks."""

    lease: Annotated[Duration, Meta(description="A claim ends after so long without a heartbeat.")] = _DEFAULT[
        "claims"
    ]["lease"]
    offline: Annotated[
        Duration, Meta(description="An agent that has given no sign of life for so long counts as offline.")
    ] = _DEFAULT["claims"]["offline"]


class Price(_Section):
    """Of a model, in US dollars a million tokens."""

    input: Amount
    output: Amount
    cached: Annotated[
        Amount | None, Meta(description="Of those that went in, those from a cache; as `input` if not set.")
    ] = None


class Budget(_Section):
    """What coding agents may cost; `null` is no limit. It is looked at while they work, as far as they say, and at the end."""

    attempt_usd: Annotated[
        Amount | None,
        Meta(description="US dollars for one attempt; beyond them it is stopped, and the task has failed."),
    ] = _BUDGET["attempt_usd"]
    attempt_tokens: Annotated[Count | None, Meta(description="Tokens, in and out, for one attempt.")] = _BUDGET[
        "attempt_tokens"
    ]
    task_usd: Annotated[
        Amount | None, Meta(description="US dollars for one task; beyond them it is stopped, and not tried again.")
    ] = _BUDGET["task_usd"]
    task_tokens: Annotated[Count | None, Meta(description="Tokens, in and out, for one task.")] = None
    day_usd: Annotated[
        Amount | None,
        Meta(
            description="US dollars a day, by the local clock; beyond them what costs is stopped and waits for the next."
        ),
    ] = _BUDGET["day_usd"]
    day_tokens: Annotated[Count | None, Meta(description="Tokens, in and out, a day.")] = None
    without_progress_usd: Annotated[
        Amount | None,
        Meta(
            description="US dollars for attempts in a row that end without a commit and without fewer failing gates or findings; "
            "beyond them the task has failed."
        ),
    ] = _BUDGET["without_progress_usd"]
    without_progress_tokens: Annotated[
        Count | None, Meta(description="Tokens, in and out, for attempts in a row without progress.")
    ] = _BUDGET["without_progress_tokens"]
    prices: Annotated[
        dict[str, Price], Meta(description="By model, for agents that say tokens and no cost (gemini, codex, agy).")
    ] = {}


class Features(_Section):
    """The roadmap file."""

    file: Annotated[str | None, Meta(description="FEATURES.json, else TASKS.json, when not set.")] = None


class Hooks(_Section):
    """How git hooks run gates."""

    tree: Annotated[
        HookTree,
        Meta(
            description="Where gates find what is committed or pushed: auto (the working tree if it is exactly that, else a copy), "
            "copy, or working (the working tree as it is)."
        ),
    ] = _HOOKS["tree"]


class Expectation(_Section):
    """How a command that passes ends, and what it prints."""

    exit_codes: Annotated[list[int], Meta(description="It passes with one of these.")] = field(
        default_factory=lambda: list(_GATE["expect"]["exit_codes"])
    )
    output: Annotated[list[str], Meta(description="Regular expressions; each has to be found in what it prints.")] = []
    no_output: Annotated[list[str], Meta(description="Regular expressions of which none may be found there.")] = []


class ReportDefinition(_Section):
    """A file that a gate's command writes."""

    path: Annotated[Text, Meta(description="From where the gate runs; {reports} is a directory of this run alone.")]
    format: Annotated[Text, Meta(description="What it is; `auto` looks at what is in it.")] = "auto"


class CoverageLimits(_Section, omit_defaults=True):
    """Least percentages of coverage."""

    line: Annotated[Percent | None, Meta(description="Of all lines.")] = None
    branch: Annotated[Percent | None, Meta(description="Of all branches.")] = None
    changed: Annotated[Percent | None, Meta(description="Of the lines that the work has added or changed.")] = None
    base: Annotated[
        Text | None,
        Meta(
            description="What the work is compared with, like main; if not set, the last commit, or what a worktree comes back to."
        ),
    ] = None


class FindingLimits(_Section, omit_defaults=True):
    """Most findings of each level."""

    error: Most | None = None
    warning: Most | None = None
    note: Most | None = None
    total: Annotated[Most | None, Meta(description="Of all levels together.")] = None


class TestLimits(_Section, omit_defaults=True):
    """How many tests there have to be; that none fails needs no limit."""

    min: Annotated[Most | None, Meta(description="Tests that have to run; 1 for the kind `test` if not set.")] = None
    skipped: Annotated[Most | None, Meta(description="Tests that may be skipped.")] = None


class Measure(_Section, omit_defaults=True):
    """A figure of performance: where it stands, and what it may be. The median of all that is found counts."""

    name: Text
    file: Annotated[Text | None, Meta(description="What has the figure; what the command prints, if not set.")] = None
    pointer: Annotated[str | None, Meta(description="A JSON pointer to a number, or to a list of them.")] = None
    pattern: Annotated[str | None, Meta(description="A regular expression; its group is the number.")] = None
    unit: str = ""
    better: Annotated[Better, Meta(description="Whether lower or higher figures are better.")] = _LOWER
    tolerance: Annotated[
        Annotated[float, Meta(gt=0, le=10)] | None,
        Meta(
            description="The share by which it may be worse than the baseline, like 0.1; up to twice that where samples spread."
        ),
    ] = None
    max: Annotated[float | None, Meta(description="The most it may be.")] = None
    min: Annotated[float | None, Meta(description="The least it may be.")] = None


class SizeBudget(_Section, omit_defaults=True):
    """What files may take."""

    files: Annotated[list[Text] | Text, Meta(description="Globs, from where the gate runs.")]
    max: Annotated[Size | None, Meta(description="Of each file, like 250K or 1M.")] = None
    total: Annotated[Size | None, Meta(description="Of all of them together.")] = None

    def __post_init__(self) -> None:
        self.files = _listed(self.files)


class Thresholds(_Section, omit_defaults=True):
    """Limits on what a gate's reports say."""

    coverage: Annotated[CoverageLimits | Percent | None, Meta(description="A number alone is of lines.")] = None
    findings: Annotated[FindingLimits | Most | None, Meta(description="A number alone is of all levels together.")] = (
        None
    )
    new_findings: Annotated[
        FindingLimits | Most | None, Meta(description="Those that are not in the baseline (`atms gate baseline`).")
    ] = None
    tests: TestLimits | None = None
    performance: list[Measure] | None = None
    repeat: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None, Meta(description="Run the command so often for `performance`.")
    ] = None
    sizes: list[SizeBudget] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.coverage, int | float):
            self.coverage = CoverageLimits(line=self.coverage)
        self.findings = _of_all_levels(self.findings)
        self.new_findings = _of_all_levels(self.new_findings)


def _of_all_levels(limits: FindingLimits | int | None) -> FindingLimits | None:
    return FindingLimits(total=limits) if isinstance(limits, int) else limits


class Condition(_Section, omit_defaults=True):
    """What must hold of the task, of what has changed and of other gates; all that is said. What is not known rules nothing out."""

    category: Annotated[list[str] | str, Meta(description="Of the task; one of these.")] = []
    priority: Annotated[list[str] | str, Meta(description="Of the task; one of these.")] = []
    complexity: Annotated[list[str] | str, Meta(description="Of the task; one of these.")] = []
    tags: Annotated[list[str] | str, Meta(description="The task has at least one of these.")] = []
    paths: Annotated[
        list[str] | str,
        Meta(description="Globs; something that one means has changed. Also what {files} is limited to."),
    ] = []
    gates: Annotated[
        dict[str, list[str] | str],
        Meta(description="Gates, and the status that each must have, like passed or failed."),
    ] = {}
    all_of: Annotated[list[Condition], Meta(description="Conditions that all hold.")] = []
    any_of: Annotated[list[Condition], Meta(description="Conditions of which one holds.")] = []
    not_: Annotated[Condition | None, Meta(description="A condition that does not hold.")] = field(
        default=None, name="not"
    )

    def __post_init__(self) -> None:
        for name in ("category", "priority", "complexity", "tags", "paths"):
            setattr(self, name, _listed(getattr(self, name)))
        self.gates = {name: _listed(statuses) for name, statuses in self.gates.items()}
        _refuse(conditions.check, msgspec.to_builtins(self))


def _listed(words: list[str] | str) -> list[str]:
    return [words] if isinstance(words, str) else words


class GateDefinition(_Section):
    """A quality gate: a command that passes with exit code 0, or as `expect` says; of kind `review`, a person who approves."""

    command: Annotated[
        list[Text] | str,
        Meta(description="A line of shell, or a list of words that no shell reads; {files} are the files to look at."),
    ] = _GATE["command"]
    kind: GateKind = _GATE["kind"]
    required: bool = True
    stages: Annotated[list[Stage], Meta(description="When it is run; for each task, when nothing is said.")] = field(
        default_factory=lambda: list(_GATE["stages"])
    )
    group: Annotated[
        Text | None, Meta(description="A name for several gates, for `depends_on` and the command line.")
    ] = None
    depends_on: Annotated[
        list[Text], Meta(description="Gates and groups that have to pass first; if one does not, this one is skipped.")
    ] = []
    when: Annotated[Condition, Meta(description="Run it only if this holds.")] = field(default_factory=Condition)
    timeout: Duration = _GATE["timeout"]
    retries: Annotated[int, Meta(ge=0, le=10, description="Runs after one that did not pass; the result says so.")] = 0
    working_directory: str | None = None
    environment: dict[str, str] = {}
    expect: Expectation = field(default_factory=Expectation)
    reports: Annotated[
        list[ReportDefinition | Text],
        Meta(description="Files to read for findings; one that cannot be read fails the gate."),
    ] = []
    thresholds: Annotated[
        Thresholds, Meta(description="Limits on what the reports say; what nothing tells of is not kept.")
    ] = field(default_factory=Thresholds)
    cache: Annotated[
        bool | None,
        Meta(description="Whether a pass holds while the files and the command stay the same; by its kind if not set."),
    ] = None
    inputs: Annotated[
        list[Text], Meta(description="Globs of the files that its result depends on; all that git knows if not set.")
    ] = []


class AgentDefinition(_Section):
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


class DriverDefinition(_Section):
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


class Document(_Section):
    """atms.yaml."""

    version: Literal[1] = 1
    queue: Queue | None = None
    execution: Execution | None = None
    claims: Claims | None = None
    budget: Budget | None = None
    features: Features | None = None
    hooks: Hooks | None = None
    gates: dict[str, GateDefinition | Text] | None = None
    agents: dict[str, AgentDefinition | Text] | None = None
    drivers: dict[str, DriverDefinition] | None = None
    redact: Annotated[
        list[Pattern] | None,
        Meta(
            description="What else must not be shown or kept of output, as regular expressions; looked for line by line."
        ),
    ] = None


def parse(document: JsonObject) -> Config:
    """Return the plain record that everything else works with.

    Raises:
        ValueError: something is wrong; the message names the first place.

    """
    try:
        found = msgspec.convert(document, Document, dec_hook=_parsed)
    except msgspec.ValidationError as error:
        raise ValueError(_explained(document, error)) from error
    config: Any = _plain(found)
    for name, section in (
        ("queue", Queue),
        ("execution", Execution),
        ("claims", Claims),
        ("budget", Budget),
        ("features", Features),
        ("hooks", Hooks),
    ):
        config[name] = config[name] or _plain(section())
    config["queue"]["lanes"] = {name: lane or _plain(Lane()) for name, lane in config["queue"]["lanes"].items()}
    config["gates"] = _gates(found.gates)
    config["agents"] = _whole(found.agents, AgentDefinition)
    config["drivers"] = config["drivers"] or {}
    config["redact"] = config["redact"] or []
    _check_drivers(config["drivers"])
    for name, agent in config["agents"].items():
        try:
            agents.declared(name, agent)
        except AtmsError as error:
            raise ValueError(f"agents.{name}: {error.message}") from error
    checked: Config = config
    return checked


def _gates(definitions: Mapping[str, GateDefinition | str] | None) -> dict[str, Any]:
    gates: dict[str, Any] = {name: {"name": name, **gate} for name, gate in _whole(definitions, GateDefinition).items()}
    for each in gates.values():
        each["reports"] = [{"path": it, "format": "auto"} if isinstance(it, str) else it for it in each["reports"]]
    try:
        gate.check(gates)
    except CycleError as error:
        raise ValueError(f"gates: {error.message}") from error
    except UsageError as error:
        raise ValueError(f"gates.{error.message}; {error.hint}") from error
    return gates


def _check_drivers(drivers: Mapping[str, Any]) -> None:
    for name, definition in drivers.items():
        if name in (*agents.KINDS, agents.SHELL):
            raise ValueError(f"drivers.{name}: there is a kind of that name already")
        for approval in definition["approvals"]:
            if approval not in agents.APPROVALS:
                raise ValueError(
                    f"drivers.{name}.approvals: `{approval}` is none; choose of: {', '.join(agents.APPROVALS)}"
                )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of atms.yaml, for editors."""
    return msgspec.json.schema(Document, schema_hook=_json_type)


def _json_type(kind: type) -> JsonObject:
    if kind is Duration:
        return {"type": ["number", "string"]}
    if kind is Size:
        return {"type": ["integer", "string"]}
    return {"enum": list(_CHOICES[kind])} if kind in _CHOICES else {"type": "string"}


def _refuse(check: Callable[[Any], _T], value: object) -> _T:
    """Return what a check makes of a value; what it finds wrong is a ValueError, which msgspec gives a place."""
    try:
        return check(value)
    except AtmsError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def _parsed(kind: type, value: object) -> object:
    """Return a value of one of the classes above."""
    if kind is Duration:
        return Duration(_refuse(_seconds, value))
    if kind is Size:
        return Size(_refuse(_bytes, value))
    if kind in _CHOICES:
        _refuse(_chosen(_CHOICES[kind]), value)
    elif kind in _CHECKS:
        _refuse(_CHECKS[kind], str(value))
    return kind(value)


def _bytes(value: object) -> int:
    size = parse_size(value) if isinstance(value, str) else value
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"`{value}` is not a size", "write it like 500K, 64M or 2G")
    return size


def _chosen(choices: Sequence[str]) -> Callable[[object], None]:
    def check(value: object) -> None:
        if value not in choices:
            raise UsageError(f"`{value}` is not possible", f"choose one of: {', '.join(choices)}")

    return check


def _seconds(value: object) -> float:
    seconds = parse_duration(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < inf:
        raise UsageError(f"`{value}` is no time to wait", "write it like 90s, 15m, 1h30m or 2d")
    return seconds


def _plain(section: Struct) -> Any:  # noqa: ANN401  JSON
    return msgspec.to_builtins(section, enc_hook=_builtin)


def _builtin(value: object) -> object:
    return next((kind(value) for kind in (float, int) if isinstance(value, kind)), str(value))


def _whole(
    definitions: Mapping[str, GateDefinition | AgentDefinition | str] | None, kind: Callable[..., Struct]
) -> dict[str, Any]:
    """Return definitions without the short form, in which the command stands alone."""
    return {
        name: _plain(kind(command=short) if isinstance(short, str) else short)
        for name, short in (definitions or {}).items()
    }


def _explained(document: JsonObject, error: msgspec.ValidationError) -> str:
    """Say first where in the document the error is."""
    what, _, place = str(error).rpartition(" - at `$")
    if not what:
        return str(error)
    names: list[str] = []
    for field_name, position in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", place):
        # Of a mapping msgspec says that some member of it is wrong.
        is_some = position == "..."
        names.append(_wrong_member(document, names, str(error)) if is_some else field_name or position)
    return f"{'.'.join(names)}: {what}"


def _wrong_member(document: JsonObject, names: list[str], message: str) -> str:
    """Return the member of the mapping at a path with which alone the document is wrong in the same way."""
    mapping: Any = document
    for name in names:
        mapping = mapping[name]
    for member in mapping:
        try:
            msgspec.convert(_with_only(document, names, member), Document, dec_hook=_parsed)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(member)
    return "..."


def _with_only(document: Any, names: list[str], member: str) -> Any:  # noqa: ANN401  JSON
    if not names:
        return {member: document[member]}
    return {**document, names[0]: _with_only(document[names[0]], names[1:], member)}
