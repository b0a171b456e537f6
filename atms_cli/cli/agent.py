"""Agents: who may work on tasks."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.services import agents as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Agent, JsonObject


def register(
    call: Call,
    name: o.AgentName,
    kind: o.Kind = None,
    command: o.AgentCommand = None,
    specialization: o.Specialization = None,
    cap: o.AgentCapabilities = None,
    language: o.Languages = None,
    max: o.MaxConcurrent = None,  # noqa: A002  the option's name
) -> None:
    """Make an agent known; one with a command is started by `atms run`."""
    fields: JsonObject = {
        "kind": kind or ("command" if command else "pull"), "command": command, "specialization": specialization,
        "capabilities": [*many(cap)], "languages": [*many(language)], "max_concurrent": 1 if max is None else max,
    }  # fmt: skip
    _shown(call, service.register(call.workspace, name, fields))


def _shown(call: Call, agent: Agent) -> None:
    call.answer(agent, [agent["name"]], lambda: _table(call, [agent]))


def _table(call: Call, agents: Sequence[Agent]) -> str:
    from atms_cli.cli.render import agent_table

    return agent_table(call, agents)


def list_(call: Call) -> None:
    """List all agents."""
    agents = service.everyone(call.workspace)
    call.answer(agents, [agent["name"] for agent in agents], lambda: _table(call, agents) if agents else "")
    if not agents:
        call.say(
            'no agents yet; tasks with a --command run without one. Add one: atms agent register NAME --command "…"'
        )


def show(call: Call, name: o.AgentName) -> None:
    """Show one agent."""
    _shown(call, service.one(call.workspace, name))


def heartbeat(call: Call, name: o.AgentName) -> None:
    """Say that an agent is alive."""
    agent = service.beat(call.workspace, name)
    call.answer(agent, [name], lambda: f"{name} was heard of at {agent['last_heartbeat']}")


def remove(call: Call, name: o.AgentName) -> None:
    """Forget an agent."""
    service.remove(call.workspace, name)
    call.answer({"name": name, "removed": True}, [name], lambda: f"{name} removed")
