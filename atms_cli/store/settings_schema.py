"""The shape of atms.yaml, for checking and for editors (`atms config schema`). Imported only when the file has changed.

The document as a whole stands here, its sections in the modules beside it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec  # noqa: TID253
from msgspec import Meta, Struct  # noqa: TID253

from atms_cli.domain import agent as agents
from atms_cli.domain import gate
from atms_cli.errors import AtmsError, CycleError, UsageError
from atms_cli.store.settings_agents import AgentDefinition, Claims, DriverDefinition
from atms_cli.store.settings_budget import Budget
from atms_cli.store.settings_execution import Execution
from atms_cli.store.settings_gates import GateDefinition, Hooks
from atms_cli.store.settings_queue import Lane, Queue
from atms_cli.store.settings_words import Pattern, Section, Text, builtin, json_type, parsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atms_cli.domain.config import Config
    from atms_cli.domain.records import JsonObject


class Features(Section):
    """The roadmap file."""

    file: Annotated[str | None, Meta(description="FEATURES.json, else TASKS.json, when not set.")] = None


class Document(Section):
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
        found = msgspec.convert(document, Document, dec_hook=parsed)
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
    return msgspec.json.schema(Document, schema_hook=json_type)


def _plain(section: Struct) -> Any:  # noqa: ANN401  JSON
    return msgspec.to_builtins(section, enc_hook=builtin)


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
            msgspec.convert(_with_only(document, names, member), Document, dec_hook=parsed)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(member)
    return "..."


def _with_only(document: Any, names: list[str], member: str) -> Any:  # noqa: ANN401  JSON
    if not names:
        return {member: document[member]}
    return {**document, names[0]: _with_only(document[names[0]], names[1:], member)}
