"""Who works here: agents that stand in atms.yaml and agents that registered."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, JsonObject
    from atms_cli.ports import ReadModel, Workspace


def known(ws: Workspace, read: ReadModel) -> dict[str, Agent]:
    """Return all agents by name; one in atms.yaml goes before a registered one of the same name."""
    registered = {agent["name"]: agent for agent in read.agents()}
    declared = {name: agents.declared(name, fields) for name, fields in ws.config["agents"].items()}
    return dict(sorted({**registered, **declared}.items()))


def everyone(ws: Workspace) -> list[Agent]:
    """Return all agents with how many tasks each is at work on."""
    read = ws.store.reading()
    load = read.load()
    return [_with_load(agent, load.get(name, 0)) for name, agent in known(ws, read).items()]


def _with_load(agent: Agent, active: int) -> Agent:
    return {
        **agent,
        "active": active,
        "status": "busy" if active >= agent["max_concurrent"] else "active" if active else "idle",
    }


def one(ws: Workspace, name: str) -> Agent:
    """Return an agent by name."""
    for agent in everyone(ws):
        if agent["name"] == name:
            return agent
    raise NotFoundError(f"no agent `{name}`", "see them all: atms agent list")


def register(ws: Workspace, name: str, fields: JsonObject) -> Agent:
    """Make an agent known, or change what is known of it."""
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.register(known(ws, tx.read).get(name), name, fields))
        return known(ws, tx.read)[name]


def remove(ws: Workspace, name: str) -> None:
    """Forget an agent."""
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.remove(known(ws, tx.read).get(name), name))
