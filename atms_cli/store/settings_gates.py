"""Gates, and how git hooks run them: `gates` and `hooks` in atms.yaml."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec  # noqa: TID253
from msgspec import Meta, field  # noqa: TID253

from atms_cli.domain import conditions, figures, gate
from atms_cli.domain import config as defaults
from atms_cli.store.settings_words import Better, Duration, GateKind, HookTree, Section, Size, Stage, Text, refuse

Most = Annotated[int, Meta(ge=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
_HOOKS: Any = defaults.default()["hooks"]
_GATE: Any = gate.DEFAULTS
_LOWER: Any = figures.LOWER


class Hooks(Section):
    """How git hooks run gates."""

    tree: Annotated[
        HookTree,
        Meta(
            description="Where gates find what is committed or pushed: auto (the working tree if it is exactly that, else a copy), "
            "copy, or working (the working tree as it is)."
        ),
    ] = _HOOKS["tree"]


class Expectation(Section):
    """How a command that passes ends, and what it prints."""

    exit_codes: Annotated[list[int], Meta(description="It passes with one of these.")] = field(
        default_factory=lambda: list(_GATE["expect"]["exit_codes"])
    )
    output: Annotated[list[str], Meta(description="Regular expressions; each has to be found in what it prints.")] = []
    no_output: Annotated[list[str], Meta(description="Regular expressions of which none may be found there.")] = []


class ReportDefinition(Section):
    """A file that a gate's command writes."""

    path: Annotated[Text, Meta(description="From where the gate runs; {reports} is a directory of this run alone.")]
    format: Annotated[Text, Meta(description="What it is; `auto` looks at what is in it.")] = "auto"


class CoverageLimits(Section, omit_defaults=True):
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


class FindingLimits(Section, omit_defaults=True):
    """Most findings of each level."""

    error: Most | None = None
    warning: Most | None = None
    note: Most | None = None
    total: Annotated[Most | None, Meta(description="Of all levels together.")] = None


class TestLimits(Section, omit_defaults=True):
    """How many tests there have to be; that none fails needs no limit."""

    min: Annotated[Most | None, Meta(description="Tests that have to run; 1 for the kind `test` if not set.")] = None
    skipped: Annotated[Most | None, Meta(description="Tests that may be skipped.")] = None


class Measure(Section, omit_defaults=True):
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


class SizeBudget(Section, omit_defaults=True):
    """What files may take."""

    files: Annotated[list[Text] | Text, Meta(description="Globs, from where the gate runs.")]
    max: Annotated[Size | None, Meta(description="Of each file, like 250K or 1M.")] = None
    total: Annotated[Size | None, Meta(description="Of all of them together.")] = None

    def __post_init__(self) -> None:
        self.files = _listed(self.files)


class Thresholds(Section, omit_defaults=True):
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


class Condition(Section, omit_defaults=True):
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
        refuse(conditions.check, msgspec.to_builtins(self))


def _listed(words: list[str] | str) -> list[str]:
    return [words] if isinstance(words, str) else words


class GateDefinition(Section):
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
