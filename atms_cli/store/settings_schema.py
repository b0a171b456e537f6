"""The shape of atms.yaml, for checking and for editors (`atms config schema`). Imported only when the file has changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator  # noqa: TID253

from atms_cli.domain import agent as agents
from atms_cli.domain import config as defaults
from atms_cli.domain.limits import parse_rate, parse_window
from atms_cli.domain.moment import parse_duration
from atms_cli.domain.shares import check_weights
from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.config import Config


def _seconds(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except AtmsError as error:
            raise ValueError(f"{error.message}; {error.hint}") from error
    return value


#: Seconds, written as a number or like 90s, 15m, 1h30m, 2d.
Duration = Annotated[
    float, BeforeValidator(_seconds, json_schema_input_type=float | str), Field(gt=0, allow_inf_nan=False)
]
GateKind = Literal["lint", "format", "types", "test", "coverage", "security", "performance", "build", "docs", "custom"]
Stage = Literal["task", "pre-commit", "pre-push", "ci", "manual"]
_DEFAULT = defaults.default()


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _rate(value: str | None) -> str | None:
    if value is not None:
        _sound(parse_rate, value)
    return value


def _quiet(value: list[str]) -> list[str]:
    for window in value:
        _sound(parse_window, window)
    return value


def _weights(value: dict[str, float]) -> dict[str, float]:
    _sound(check_weights, value)
    return value


def _sound(check: Callable[[Any], object], value: object) -> None:
    try:
        check(value)
    except AtmsError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


Strategy = Literal["priority", "fifo", "lifo", "dependency", "round_robin", "fair_share", "deadline"]
Grouping = Literal["feature", "category", "agent", "tag", "creator"]
Rate = Annotated[str | None, AfterValidator(_rate)]
Quiet = Annotated[list[str], AfterValidator(_quiet)]
Weights = Annotated[dict[str, float], AfterValidator(_weights)]
_CONCURRENCY = "Tasks that may run at once."
_RATE = "Starts in an interval, like 10/1h."
_QUIET = "When nothing is started, in local time, like 22:00-06:00, mon-fri 09:00-17:00 or sat-sun."


class Lane(_Section):
    """A named queue; what it does not say of its order is as in the queue."""

    strategy: Strategy | None = None
    ageing: Duration | None = None
    by: Grouping | None = None
    weights: Annotated[Weights | None, Field()] = None
    half_life: Duration | None = None
    concurrency: int | None = Field(default=None, ge=1, description=_CONCURRENCY)
    rate: Rate = Field(default=None, description=_RATE)
    quiet: Quiet = Field(default=[], description=_QUIET)


class Alerts(_Section):
    """Beyond what an alert is raised, once, until it is over."""

    size: int | None = Field(default=None, ge=1, description="Tasks in the queue.")
    oldest_wait: Duration | None = Field(default=None, description="How long the oldest ready task has waited.")
    failure_rate: float | None = Field(
        default=None, gt=0, le=1, description="The share of the last attempts that failed."
    )
    stuck: int | None = Field(default=None, ge=1, description="Tasks that wait for one that failed or was cancelled.")
    starving: int | None = Field(
        default=None, ge=1, description="Ready tasks that have waited longer than the bound of ageing."
    )


class Queue(_Section):
    """How the queue orders its tasks, and how fast it gives them out."""

    strategy: Strategy = "priority"
    ageing: Duration = Field(
        default=_DEFAULT["queue"]["ageing"], description="Waiting this long is worth one level of priority."
    )
    by: Grouping = Field(
        default="feature", description="What round_robin and fair_share tell groups of tasks apart by."
    )
    weights: Weights = Field(default={}, description="Of groups, for fair_share; one that is not named has 1.")
    half_life: Duration = Field(
        default=_DEFAULT["queue"]["half_life"], description="After so long a start counts half, for fair_share."
    )
    concurrency: int | None = Field(default=None, ge=1, description=_CONCURRENCY)
    rate: Rate = Field(default=None, description=_RATE)
    quiet: Quiet = Field(default=[], description=_QUIET)
    lanes: dict[str, Lane] = {}
    resources: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={}, description="How many tasks may hold each at once; one that is not named, one task."
    )
    alerts: Alerts = Alerts()

    @field_validator("lanes", mode="before")
    @classmethod
    def _short_lanes(cls, value: object) -> object:
        return {name: lane or {} for name, lane in value.items()} if isinstance(value, dict) else value


class Execution(_Section):
    """How `atms run` executes attempts."""

    jobs: int = Field(
        default=_DEFAULT["execution"]["jobs"], ge=1, le=1000, description="Attempts at once, over all agents."
    )
    max_attempts: int = Field(
        default=_DEFAULT["execution"]["max_attempts"], ge=1, description="Attempts before a task has failed."
    )
    retry_delay: Duration = Field(
        default=_DEFAULT["execution"]["retry_delay"], description="Wait before the second attempt; doubles each time."
    )
    retry_delay_max: Duration = Field(
        default=_DEFAULT["execution"]["retry_delay_max"], description="The longest wait between attempts."
    )
    timeout: Duration = Field(
        default=_DEFAULT["execution"]["timeout"], description="An attempt that takes longer is stopped."
    )
    silence: Duration | None = Field(default=None, description="An attempt without output for so long is stopped.")
    grace: Duration = Field(
        default=_DEFAULT["execution"]["grace"], description="Between interrupt, terminate and kill."
    )


class Claims(_Section):
    """How agents that claim for themselves hold tasks."""

    lease: Duration = Field(
        default=_DEFAULT["claims"]["lease"], description="A claim ends after so long without a heartbeat."
    )


class Features(_Section):
    """The roadmap file."""

    file: str | None = Field(default=None, description="FEATURES.json, else TASKS.json, when not set.")


class GateDefinition(_Section):
    """A quality gate: a shell command that passes with exit code 0."""

    command: str = Field(min_length=1)
    kind: GateKind = "custom"
    required: bool = True
    stages: list[Stage] = ["task"]
    timeout: Duration = 600.0
    working_directory: str | None = None
    environment: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"command": value} if isinstance(value, str) else value


class AgentDefinition(_Section):
    """An agent: a shell command that works on one task."""

    kind: Literal["command", "pull"] = "command"
    command: str | None = None
    specialization: str | None = None
    capabilities: list[str] = []
    languages: list[str] = []
    max_concurrent: int = Field(1, ge=1)
    rate: Rate = Field(default=None, description=_RATE)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"command": value} if isinstance(value, str) else value


class Document(_Section):
    """atms.yaml."""

    version: Literal[1] = 1
    queue: Queue = Queue()
    execution: Execution = Execution()
    claims: Claims = Claims()
    features: Features = Features()
    gates: dict[str, GateDefinition] = {}
    agents: dict[str, AgentDefinition] = {}

    @field_validator("queue", "execution", "claims", "features", "gates", "agents", mode="before")
    @classmethod
    def _empty_section(cls, value: object) -> object:
        # `gates:` with nothing behind it is how people leave a section for later.
        return {} if value is None else value

    @model_validator(mode="after")
    def _sound_agents(self) -> Document:
        for name, definition in self.agents.items():
            try:
                agents.declared(name, definition.model_dump())
            except AtmsError as error:
                raise ValueError(error.message) from error
        return self

    def to_config(self) -> Config:
        """Return the plain record that everything else works with."""
        document: dict[str, Any] = self.model_dump()
        document["gates"] = {name: {"name": name, **fields} for name, fields in document["gates"].items()}
        config: Config = document  # type: ignore[assignment]
        return config
