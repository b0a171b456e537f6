"""Who works here: agents that stand in atms.yaml and agents that registered."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.domain.moment import to_iso
from atms_cli.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.records import Agent, JsonObject
    from atms_cli.ports import ReadModel, Workspace


def known(ws: Workspace, read: ReadModel) -> dict[str, Agent]:
    """Return all agents by name; one in atms.yaml goes before a registered one of the same name."""
    registered = {agent["name"]: agent for agent in read.agents()}
    declared = {name: agents.declared(name, fields) for name, fields in ws.config["agents"].items()}
    return dict(sorted({**registered, **declared}.items()))


def everyone(ws: Workspace) -> list[Agent]:
    """Return all agents with how many tasks each is at work on."""
    read, now = ws.store.reading(), to_iso(ws.clock.now_ms())
    found = known(ws, read)
    return [_with_troubles(ws, read, agent, now) for agent in _at_work(read, found, now)]


def _with_troubles(ws: Workspace, read: ReadModel, agent: Agent, now: str) -> Agent:
    """Return an agent with what keeps it from work beside what is in the journal: its kind, and the day's budget."""
    if agent["kind"] in agents.DRIVERLESS or agent["halted"]:
        return agent
    from atms_cli.services import budget, drivers

    wrong = drivers.problems(ws, {agent["name"]: agent})
    if wrong:
        return {
            **agent,
            "status": "error",
            "halted": {"kind": "refused", "reason": wrong[0], "until": None, "times": 0},
        }
    about = budget.of_day(ws, read, [agent], now).get(f"agent {agent['name']}")
    return agent if about is None else {**agent, "status": "blocked", "halted": {"kind": "budget", "times": 0, **about}}


def _at_work(read: ReadModel, found: Mapping[str, Agent], now: str) -> list[Agent]:
    load, beats, halted = read.load(), read.heartbeats(), read.switches("halted")
    return [
        _as_it_is(agent, load.get(name, 0), beats.get(name), halted.get(name), now) for name, agent in found.items()
    ]


def _as_it_is(agent: Agent, active: int, heartbeat: str | None, about: JsonObject | None, now: str) -> Agent:
    # A limit that is over is kept until the agent gets through, to count how often it was met.
    halted = about if agents.is_halted(about, now) else None
    status = "busy" if active >= agent["max_concurrent"] else "active" if active else "idle"
    if halted is not None:
        status = "error" if halted["until"] is None else "blocked"
    return {**agent, "active": active, "last_heartbeat": heartbeat, "status": status, "halted": halted}


def one(ws: Workspace, name: str) -> Agent:
    """Return an agent by name."""
    for agent in everyone(ws):
        if agent["name"] == name:
            return agent
    raise NotFoundError(f"no agent `{name}`", "see them all: atms agent list")


def register(ws: Workspace, name: str, fields: JsonObject) -> Agent:
    """Make an agent known, or change what is known of it."""
    from atms_cli.services.drivers import find

    find(ws, str(fields.get("kind", "command")))
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.register(known(ws, tx.read).get(name), name, fields))
        return known(ws, tx.read)[name]


def update(ws: Workspace, name: str, changes: JsonObject) -> Agent:
    """Change what is known of a registered agent."""
    if "kind" in changes:
        from atms_cli.services.drivers import find

        find(ws, str(changes["kind"]))
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.update(known(ws, tx.read).get(name), name, changes))
    return one(ws, name)


def beat(ws: Workspace, name: str) -> Agent:
    """Note that an agent is alive; this is in no journal, so it costs next to nothing.

    Raises:
        NotFoundError: there is none of that name.

    """
    with ws.store.writing(ws.actor) as tx:
        found = known(ws, tx.read)
        if name not in found:
            raise NotFoundError(f"no agent `{name}`", f"make it known: atms agent register {name}")
        tx.beat(name)
        (agent,) = _at_work(tx.read, {name: found[name]}, tx.now)
        return agent


def remove(ws: Workspace, name: str) -> None:
    """Forget an agent."""
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.remove(known(ws, tx.read).get(name), name))


def resume(ws: Workspace, name: str) -> Agent:
    """Let a halted agent work again; one that is not halted stays as it is.

    Raises:
        NotFoundError: there is none of that name.

    """
    one(ws, name)
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.resume(name, tx.read.switches("halted").get(name)))
    return one(ws, name)


#: So many attempts tell how an agent does.
_ATTEMPTS = 1000


def shown(ws: Workspace, name: str) -> JsonObject:
    """Return an agent, and under `performance` how its last attempts went (domain/performance.py)."""
    from atms_cli.domain import performance

    agent: JsonObject = {**one(ws, name)}  # type: ignore[dict-item]  # an Agent is JSON throughout
    return {**agent, "performance": performance.of(ws.store.reading().attempts_of_agent(name, _ATTEMPTS))}
