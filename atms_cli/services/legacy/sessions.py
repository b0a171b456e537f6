"""The original's commands about agents and their sessions.

Agents, their signs of life and leases are ours; the session also stands in the file, where the original's hook looks.
"""

from __future__ import annotations

from atms_cli.domain import feature as features
from atms_cli.domain import legacycommands, legacysessions
from atms_cli.domain.legacy import number
from atms_cli.domain.moment import to_iso
from atms_cli.domain.task import ACTIVE
from atms_cli.errors import AtmsError, UsageError
from atms_cli.services import agents
from atms_cli.services import tasks as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import Agent, Edit, JsonObject, Task
    from atms_cli.ports import TaskFilter, Workspace

    Beginning = Callable[[JsonObject, str, str, str], list[Edit]]

#: Seconds that a task stays with an agent that gives no sign of life, as the original's stop hook counts them.
LEASE_S = 1800.0
#: Agents that are gone, or were sent away.
_AWAY = ("offline", "terminated")


def begin(ws: Workspace, agent_id: str) -> JsonObject:
    """Begin a session of an agent, which is known from then on."""
    told = _begun(ws, agent_id, legacysessions.begin)
    return {"success": True, "agent": told, "message": f"{agent_id} has begun", **_GUIDE}


def begin_again(ws: Workspace, agent_id: str) -> JsonObject:
    """Begin another session of an agent, and renew the leases that it holds."""
    told = _begun(ws, agent_id, legacysessions.begin_again)
    for task in _held_by(ws, agent_id):
        if task["lease"] is not None:
            service.heartbeat(ws, task["id"], token=task["lease"]["token"], lease_s=LEASE_S)
    found = legacysessions.entry(ws.roadmap.read() or {}, agent_id) or {}
    before = found.get("previousSessions")
    told["previousSessions"] = len(before) if isinstance(before, list) else 0
    return {"success": True, "agent": told, "message": f"{agent_id} has begun again", **_GUIDE}


_GUIDE: JsonObject = {"comprehensiveGuide": legacycommands.guide()}


def _begun(ws: Workspace, agent_id: str, edits: Beginning) -> JsonObject:
    now, session = to_iso(ws.clock.now_ms()), ws.ids.token()
    if agent_id not in agents.known(ws, ws.store.reading()):
        agents.register(ws, agent_id, {"kind": "pull"})
    agents.beat(ws, agent_id)
    _change(ws, lambda found: edits(found, agent_id, session, now))
    return {"id": agent_id, "status": "active", "sessionId": session, "timestamp": now}


def _change(ws: Workspace, decide: Callable[[JsonObject], Sequence[Edit]]) -> None:
    """Change the file, which is made if there is none."""
    if ws.roadmap.read() is None:
        ws.roadmap.create(features.skeleton(ws.root.rstrip("/").rpartition("/")[2], to_iso(ws.clock.now_ms())))
    ws.roadmap.change(decide)


def show_life(ws: Workspace, agent_id: str) -> None:
    """Write into the file that an agent is there, if the file has it."""
    now = to_iso(ws.clock.now_ms())
    if legacysessions.entry(ws.roadmap.read() or {}, agent_id) is not None:
        ws.roadmap.change(lambda found: legacysessions.show_life(found, agent_id, now))


def stats(ws: Workspace) -> JsonObject:
    """Count how often agents began and began again."""
    kept = legacysessions.kept_stats(ws.roadmap.read() or {})
    told = legacysessions.told(kept, to_iso(ws.clock.now_ms()))
    words = [number(told[f"total_{each}s"], each) for each in ("initialization", "reinitialization")]
    return {"success": True, "stats": told, "message": ", ".join(words)}


def authorize_stop(ws: Workspace, agent_id: str, reason: str = "No reason provided") -> JsonObject:
    """Let the stop hook end a session, once."""
    now = to_iso(ws.clock.now_ms())
    said: JsonObject = {"authorized_by": agent_id, "reason": reason, "timestamp": now}
    ws.allow_stop({"stop_allowed": True, **said, "session_type": "self_authorized"})
    return {
        "success": True,
        "authorization": {**said, "stop_flag_created": True},
        "message": "the next stop is allowed",
    }


def register(ws: Workspace, agent_id: str, capabilities: Sequence[object] = ()) -> JsonObject:
    """Make an agent known, or say anew what it can do."""
    words = [word for word in capabilities if isinstance(word, str) and word.strip()]
    if len(words) < len(capabilities):
        raise UsageError("a capability is a word", 'write them like \'["frontend", "testing"]\'')
    is_known = agent_id in agents.known(ws, ws.store.reading())
    # Who is `general` does anything, which here is said by saying nothing.
    able: JsonObject = {"capabilities": [] if "general" in words else [*words]}
    agent = agents.update(ws, agent_id, able) if is_known else agents.register(ws, agent_id, {"kind": "pull", **able})
    agents.beat(ws, agent_id)
    now = to_iso(ws.clock.now_ms())
    _change(ws, lambda found: legacysessions.register(found, agent_id, words, now))
    told: JsonObject = {"id": agent_id, "capabilities": [*words], "registered_at": agent["registered_at"] or now}
    return {"success": True, "agent": {**told, "last_seen": now, "status": "active"}, "message": f"{agent_id} is known"}


def unregister(ws: Workspace, agent_id: str) -> JsonObject:
    """Put the tasks of an agent back into the queue, and forget it."""
    agents.one(ws, agent_id)
    held = _held_by(ws, agent_id)
    for task in held:
        token = task["lease"]["token"] if task["lease"] else None
        service.release(ws, [task["id"]], f"{agent_id} has left", token)
    agents.remove(ws, agent_id)
    now = to_iso(ws.clock.now_ms())
    if ws.roadmap.read() is not None:
        ws.roadmap.change(lambda found: legacysessions.remove(found, agent_id, now))
    return {"success": True, "message": f"{agent_id} is gone; of its tasks, {len(held)} went back into the queue"}


def active(ws: Workspace) -> JsonObject:
    """List the agents that are there."""
    document = ws.roadmap.read() or {}
    found = [_told(document, agent) for agent in agents.everyone(ws) if agent["status"] not in _AWAY]
    return {"success": True, "agents": [*found], "count": len(found), "message": number(len(found), "agent")}


def _told(document: JsonObject, agent: Agent) -> JsonObject:
    """Return an agent with what the file says of its session."""
    own: JsonObject = {"id": agent["name"], "capabilities": [*agent["capabilities"]], "status": "active"}
    beat = agent["last_heartbeat"] or agent["registered_at"]
    return {
        **(legacysessions.entry(document, agent["name"]) or {}),
        **own,
        "lastHeartbeat": beat,
        "atms_status": agent["status"],
    }


def start_websocket(_ws: Workspace, _port: str) -> JsonObject:
    """Refuse: nothing here serves web sockets."""
    raise AtmsError("atms has no web socket server", "follow what happens, a line each: atms log -f --json")


def _held_by(ws: Workspace, agent_id: str) -> list[Task]:
    wanted: TaskFilter = {
        "statuses": [*ACTIVE], "priorities": [], "categories": [], "tags": [], "features": [], "agents": [agent_id], "buckets": [],
        "lanes": [], "due_before": None, "search": "", "sort": "created", "reverse": False, "limit": None, "offset": 0,
    }  # fmt: skip
    return service.find(ws, wanted)
