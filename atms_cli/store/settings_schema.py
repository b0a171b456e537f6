"""The shape of atms.yaml, for checking and for editors (`atms config schema`). Imported only when the file has changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator  # noqa: TID253

from atms_cli.domain import agent as agents
from atms_cli.domain import config as defaults
from atms_cli.domain.moment import parse_duration
from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
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


class Queue(_Section):
    """How the queue orders its tasks."""

    strategy: Literal["priority", "fifo", "lifo"] = "priority"
    ageing: Duration = Field(
        default=_DEFAULT["queue"]["ageing"], description="Waiting this long is worth one level of priority."
    )


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
