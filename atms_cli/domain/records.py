"""The shapes of what is stored and decided on, for readers and type checkers.

Nothing imports this module at run time on a hot path: records are plain dicts there, because
importing `typing` or `dataclasses` costs as much as starting Python (docs/decisions/0002-records.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict

Status = Literal[
    "created",
    "queued",
    "assigned",
    "in_progress",
    "validating",
    "review",
    "blocked",
    "completed",
    "failed",
    "cancelled",
    "archived",
]
#: What JSON can hold; what is inside of lists and objects is looked at before it is used.
Json = None | bool | int | float | str | Sequence[object] | Mapping[str, object]
JsonObject = dict[str, Json]

#: What happened, as a decision states it: event type, aggregate id, data. The store adds id, time and actor.
Fact = tuple[str, str, JsonObject]


class Event(TypedDict):
    """One line of the journal (docs/reference/events.md)."""

    v: int
    id: str
    at: str
    type: str
    key: str
    actor: str
    data: JsonObject
    # Said of events that are shown, never of those that are stored:
    superseded: NotRequired[bool]  # it came too late to change anything
    folded: NotRequired[bool]  # `atms compact` has kept this much of it
    phase: NotRequired[str]  # that its attempt enters by it (domain/phases.py)


class Lease(TypedDict):
    """A claim on a task that ends by itself unless renewed."""

    agent: str
    token: str
    expires_at: str


class Constraints(TypedDict, total=False):
    """Limits on how a task may be worked on."""

    memory: int  # what an attempt may use (domain/footprint.py)
    cpu: float
    files: int
    processes: int
    file_size: int
    cores: float
    permissions: list[str]
    allowed_files: list[str]
    blocked_files: list[str]
    network: bool


class Context(TypedDict):
    """Where and with what a task is worked on."""

    working_directory: str | None
    environment: dict[str, str]
    required_tools: list[str]
    inputs: JsonObject
    outputs: JsonObject
    constraints: Constraints


class Metadata(TypedDict):
    """What is known about a task beyond its own fields."""

    properties: JsonObject
    affected_files: list[str]
    related_issues: list[str]
    created_by: str
    approved_by: str | None
    approved_at: str | None


class Criteria(TypedDict):
    """What must hold before a task is done."""

    gates: list[str]
    success_criteria: list[str]
    commands: list[Check]


class Check(TypedDict):
    """A command of one task alone that must end as expected."""

    command: str
    expect: NotRequired[Expectation]


class Place(TypedDict, total=False):
    """A place in its lane other than a task's own (domain/lanes.py)."""

    pin: float  # below 0 before all others, above 0 behind them
    level: int
    since: str
    nudge: float  # between those of one level that have waited as long


class Recurrence(TypedDict):
    """When a task is to be done again."""

    cron: str
    missed: str


class Task(TypedDict):
    """A task as it is now: the fold of its events. Times are UTC ISO 8601 with milliseconds."""

    id: str
    title: str
    description: str
    category: str
    priority: str
    status: Status
    complexity: str
    estimated_effort: int | None  # minutes
    actual_effort: int | None  # minutes
    business_value: str
    dependencies: list[str]
    dependency_kinds: dict[str, str]  # of those that are not `success`
    parent_id: str | None
    assigned_agent: str | None
    lease: Lease | None
    feature_id: str | None
    required_capabilities: list[str]
    tags: list[str]
    metadata: Metadata
    context: Context
    validation_criteria: Criteria
    command: str | None
    prompt: str | None
    agent: str | None  # the agent asked for
    lane: str | None
    resources: list[str]  # named tokens that it holds while it runs
    exclusive: str | None  # no two tasks with the same key run at once
    isolation: str | None  # where it is worked on (task.ISOLATIONS); as its agent or the workspace says, if not set
    place: Place | None
    recurrence: Recurrence | None  # of a template, from which the tasks that run are made
    rollup: bool  # nobody works on it: it ends with its children
    deadline: str | None
    not_before: str | None
    timeout: float | None  # seconds
    max_attempts: int | None
    attempts: int
    run: str | None  # the attempt in flight
    result: JsonObject | None
    reason: str | None  # why it is in its status
    created_at: str
    updated_at: str
    queued_at: str | None
    assigned_at: str | None
    started_at: str | None
    completed_at: str | None
    failed_at: str | None
    cancelled_at: str | None
    # Derived by the read model, never stored in events:
    blocked_by: NotRequired[list[str]]


class Dependency(TypedDict):
    """What a decision needs to know of a task that another one waits for."""

    id: str
    title: str
    status: Status
    kind: str


class Agent(TypedDict):
    """A worker: a command that `atms run` starts, or somebody who claims."""

    name: str
    kind: str
    command: str | None
    model: str | None
    args: list[str]  # more words for its command line
    env: dict[str, str]
    approval: str  # what it may do without being asked (agent.APPROVALS)
    isolation: str | None  # where it works (agent.ISOLATIONS); as the workspace says, if not set
    prompt: str | None  # the template of what it is told; as the workspace says, if not set
    specialization: str | None
    capabilities: list[str]
    languages: list[str]
    frameworks: list[str]
    tools: list[str]
    categories: list[str]  # of tasks that it takes; empty for all
    max_complexity: str | None  # nothing beyond it is given to it
    max_priority: str | None
    max_concurrent: int
    rate: str | None  # starts in an interval
    status: str
    source: str  # "registered" or "atms.yaml"
    registered_at: str | None
    last_heartbeat: str | None
    active: NotRequired[int]
    halted: NotRequired[JsonObject | None]  # why nothing is given to it, and until when
    disabled: NotRequired[JsonObject | None]  # that a person has disabled it, and why


class Attempt(TypedDict):
    """One execution of one task."""

    run: str
    task: str
    number: int
    agent: str
    status: str
    exit_code: int | None
    reason: str | None
    started_at: str
    ended_at: str | None
    usage: NotRequired[JsonObject]  # tokens and cost, of agents that say so
    resources: NotRequired[JsonObject]  # what was measured of its processes (domain/footprint.py)
    gates: NotRequired[tuple[int, int]]  # how many passed, of how many that judged it


class Expectation(TypedDict):
    """How a command that passes ends, and what it prints."""

    exit_codes: list[int]
    output: list[str]  # regular expressions, each of which is found in what it prints
    no_output: list[str]  # and none of these


class ReportFile(TypedDict):
    """A file that a gate's command writes, to be read for findings."""

    path: str
    format: str


class Gate(TypedDict):
    """A command that judges work, or with kind `review` a person who does."""

    name: str
    kind: str
    command: str | list[str]  # a line of shell, or words that no shell reads; empty for a review
    required: bool
    stages: list[str]
    group: str | None
    depends_on: list[str]  # gates and groups that have to pass before it runs
    when: JsonObject  # what must hold for it to be run at all (domain/conditions.py)
    timeout: float  # seconds
    retries: int
    working_directory: str | None
    environment: dict[str, str]
    expect: Expectation
    reports: list[ReportFile]
    thresholds: JsonObject
    cache: bool | None  # None: as is usual for its kind (gate.is_cached)
    inputs: list[str]  # globs of the files that its result depends on; none means all of them


class GateResult(TypedDict):
    """What one run of a gate found."""

    name: str
    kind: str
    status: str
    required: bool
    exit_code: int | None
    duration_s: float
    findings: list[Finding]
    tests: JsonObject | None
    coverage: JsonObject | None
    log: str | None
    reason: str | None
    # Not in results of older journals:
    attempts: NotRequired[int]  # how often its command ran; 0 if it did not
    flaky: NotRequired[bool]  # it passed after it had failed
    skip: NotRequired[str]  # why it was skipped: condition, unchanged or need
    cached: NotRequired[bool]
    cached_from: NotRequired[JsonObject]  # the `run` that passed, and `at` what time
    reviewed_by: NotRequired[str]
    counts: NotRequired[dict[str, int]]  # findings by level, in all, and those that were only counted
    limits: NotRequired[list[LimitResult]]
    figures: NotRequired[JsonObject]  # of performance, by name
    content: NotRequired[str]  # tells what the gate looked at apart


class Finding(TypedDict):
    """Something that a tool has found, whatever tool it was (domain/reports)."""

    tool: str
    rule: str
    level: str  # error, warning or note
    message: str
    path: str | None  # from the root of the tree
    line: int | None
    column: int | None
    fingerprint: str  # stays the same when lines move
    detail: NotRequired[str]  # what a failed test printed
    new: NotRequired[bool]  # the gate has a baseline, and that is not in it


class LimitResult(TypedDict):
    """How one limit of a gate is kept (domain/thresholds.py)."""

    limit: str
    passed: bool
    value: float | None
    bound: float | None
    words: str


class Verdict(TypedDict):
    """Gate results and what they mean together."""

    passed: bool
    gates: list[GateResult]
    notes: NotRequired[list[str]]  # of a hook: what else is to be said of what was judged


class FeatureState(TypedDict):
    """What atms knows of a feature in FEATURES.json: its status as last written or seen, and its tasks."""

    id: str
    title: str
    status: str
    tasks: list[str]
    #: What the file and the work here last agreed on (domain/featuremerge.py); not known of features planned long ago.
    fields: NotRequired[JsonObject]
    #: The status that atms wrote last, as long as nobody has written another one.
    written: NotRequired[str]
    #: By field, what was agreed on and what each side has made of it, for a person to decide.
    conflicts: NotRequired[dict[str, JsonObject]]


#: One edit of a JSON file: set the value at a path, append to the list there, or remove what is there.
Edit = tuple[Literal["set", "append", "remove"], tuple[str | int, ...], Json]
