"""Who works here: agents that stand in atms.yaml and agents that registered."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.domain import decisions
from atms_cli.domain.moment import to_iso
from atms_cli.errors import NotFoundError
from atms_cli.services.identity import people_only
from atms_cli.services.presence import hear_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Agent, Fact, JsonObject, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace

_WHY = "a person decides who works"


def known(ws: Workspace, read: ReadModel) -> dict[str, Agent]:
    """Return all agents by name; one in atms.yaml goes before a registered one of the same name."""
    registered = {agent["name"]: agent for agent in read.agents()}
    declared = {name: agents.declared(name, fields) for name, fields in ws.config["agents"].items()}
    return dict(sorted({**registered, **declared}.items()))


def everyone(ws: Workspace) -> list[Agent]:
    """Return all agents as they are, with how many tasks each is at work on."""
    read, now = ws.store.reading(), to_iso(ws.clock.now_ms())
    offline_s = ws.config["claims"]["offline"]
    found = _as_they_are(read, known(ws, read), now, offline_s)
    return [_with_troubles(ws, read, agent, now) for agent in found]


def _with_troubles(ws: Workspace, read: ReadModel, agent: Agent, now: str) -> Agent:
    """Return an agent with what keeps it from work beside what is in the journal: its kind, its template, the day's budget."""
    if agent["halted"] or agent["status"] == "terminated":
        return agent
    wrong = untold(ws, agent)
    if agent["kind"] in agents.DRIVERLESS:
        return agent if wrong is None else _in_error(agent, wrong)
    from atms_cli.services import budget, drivers

    wrong = next(iter(drivers.problems(ws, {agent["name"]: agent})), wrong)
    if wrong is not None:
        return _in_error(agent, wrong)
    about = budget.of_day(ws, read, [agent], now).get(f"agent {agent['name']}")
    return agent if about is None else {**agent, "status": "blocked", "halted": {"kind": "budget", "times": 0, **about}}


def _in_error(agent: Agent, wrong: str) -> Agent:
    return {**agent, "status": "error", "halted": {"kind": "refused", "reason": wrong, "until": None, "times": 0}}


def untold(ws: Workspace, agent: Agent) -> str | None:
    """Say why an agent that is started could not be told anything: its template cannot be filled in."""
    template = agent["prompt"] or ws.config["execution"]["prompt"]
    if template is None or agent["kind"] == "pull" or agent["name"] == agents.SHELL:
        return None
    return ws.templates.problem(template)


def _as_they_are(read: ReadModel, found: Mapping[str, Agent], now: str, offline_s: float) -> list[Agent]:
    load, beats = read.load(), read.heartbeats()
    halted, disabled, offline = read.switches("halted"), read.switches("disabled"), read.switches("offline")

    def as_it_is(name: str, agent: Agent) -> Agent:
        heartbeat, active, about = beats.get(name), load.get(name, 0), halted.get(name)
        presence = agents.Presence(
            active=active,
            # A limit that is over is kept until the agent gets through, to count how often it was met.
            halted=about if agents.is_halted(about, now) else None,
            disabled=disabled.get(name),
            is_offline=name in offline or agents.is_silent(agent, heartbeat, now, offline_s),
            was_seen=heartbeat is not None or agent["kind"] != "pull" or bool(read.attempts_of_agent(name, 1)),
        )
        return {
            **agent,
            "active": active,
            "last_heartbeat": heartbeat,
            "status": agents.status(agent, presence),
            "halted": presence.halted,
            "disabled": presence.disabled,
        }

    return [as_it_is(name, agent) for name, agent in found.items()]


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
        hear_of(tx, name)
        (agent,) = _as_they_are(tx.read, {name: found[name]}, tx.now, ws.config["claims"]["offline"])
        return agent


def notice_silence(ws: Workspace, tx: Transaction) -> list[JsonObject]:
    """Put on record, once, which agents have not been heard of for too long; return them.

    Whoever looks first notes it, under the lock. A sign of life from a clock that is ahead of ours counts from now.
    """
    heartbeats, offline = tx.read.heartbeats(), tx.read.switches("offline")
    news: list[JsonObject] = []
    for name, agent in known(ws, tx.read).items():
        heartbeat = heartbeats.get(name)
        if heartbeat is not None and heartbeat > tx.now:
            tx.beat(name)
        elif name not in offline and agents.is_silent(agent, heartbeat, tx.now, ws.config["claims"]["offline"]):
            tx.record([("agent.offline", name, {"last_heartbeat": heartbeat})])
            news.append({"type": "offline", "agent": name, "last_heartbeat": heartbeat})
    return news


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


def disable(ws: Workspace, name: str, reason: str | None, *, finishes: bool) -> Agent:
    """Give an agent nothing more until it is enabled; unless it `finishes` what it has, that goes back into the queue.

    Raises:
        NotFoundError: there is none of that name.

    """
    people_only(ws, "disable agents", _WHY)
    one(ws, name)
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.disable(name, tx.read.switches("disabled").get(name), reason, finishes=finishes))
        for task in [] if finishes else tx.read.active():
            if task["assigned_agent"] == name:
                tx.record(_taken_back(task, f"{name} was disabled"))
    return one(ws, name)


def _taken_back(task: Task, reason: str) -> list[Fact]:
    """Return a task to the queue. One that a loop runs is stopped by it, and this was no attempt at it."""
    return decisions.undo_start(task, reason) if task["run"] else decisions.release(task, reason)


def enable(ws: Workspace, name: str) -> Agent:
    """Let a disabled agent work again; one that is not disabled stays as it is.

    Raises:
        NotFoundError: there is none of that name.

    """
    people_only(ws, "enable agents", _WHY)
    one(ws, name)
    with ws.store.writing(ws.actor) as tx:
        tx.record(agents.enable(name, tx.read.switches("disabled").get(name)))
    return one(ws, name)


#: So many attempts tell how an agent does.
_ATTEMPTS = 1000


def performances(ws: Workspace, names: Sequence[str]) -> list[JsonObject]:
    """Return how the last attempts of agents went (domain/performance.py), of all who made some unless named.

    Raises:
        NotFoundError: there is none of a name.

    """
    from atms_cli.domain import performance

    read = ws.store.reading()
    everybody = [agents.SHELL, *known(ws, read)]
    for name in names:
        if name not in everybody:
            raise NotFoundError(f"no agent `{name}`", "see them all: atms agent list")
    found = {name: read.attempts_of_agent(name, _ATTEMPTS) for name in names or everybody}
    return [{"name": name, **performance.of(its)} for name, its in found.items() if its or names]


def shown(ws: Workspace, name: str) -> JsonObject:
    """Return an agent, and under `performance` how its last attempts went (domain/performance.py)."""
    from atms_cli.domain import performance

    agent: JsonObject = {**one(ws, name)}  # type: ignore[dict-item]  # an Agent is JSON throughout
    return {**agent, "performance": performance.of(ws.store.reading().attempts_of_agent(name, _ATTEMPTS))}
