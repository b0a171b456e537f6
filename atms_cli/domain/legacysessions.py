"""What the original writes of agents into the shared file: their sessions, signs of life, and how often they began."""

from __future__ import annotations

from atms_cli.domain.moment import to_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Edit, Json, JsonObject

#: How many former sessions of an agent the file keeps; the original keeps all, and its files grow without end.
SESSIONS_KEPT = 100
DAYS_KEPT = 30
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
#: On this day, 2025-09-23, the original's buckets began at seven; each day they begin an hour later.
_FIRST_DAY = 20_354
_FIRST_HOUR = 7
_BUCKET_H = 5
_BUCKETS = 5


def entry(document: JsonObject, agent_id: str) -> JsonObject | None:
    """Return what the file has of an agent, or None."""
    agents = document.get("agents")
    found = agents.get(agent_id) if isinstance(agents, dict) else None
    return found if isinstance(found, dict) else None


def begin(document: JsonObject, agent_id: str, session: str, now: str) -> list[Edit]:
    """Begin a session of an agent."""
    fields: JsonObject = {"lastHeartbeat": now, "status": "active", "initialized": now, "sessionId": session}
    return [*_set(document, agent_id, fields, now), _count(document, "init", now)]


def begin_again(document: JsonObject, agent_id: str, session: str, now: str) -> list[Edit]:
    """Begin another session of an agent, and remember the one before."""
    fields: JsonObject = {"lastHeartbeat": now, "status": "active", "reinitialized": now, "sessionId": session}
    fields["previousSessions"] = former(document, agent_id)[-SESSIONS_KEPT:]
    return [*_set(document, agent_id, fields, now), _count(document, "reinit", now)]


def former(document: JsonObject, agent_id: str) -> list[Json]:
    """Return an agent's sessions up to the present one."""
    found = entry(document, agent_id) or {}
    before, present = found.get("previousSessions"), found.get("sessionId")
    return [*(before if isinstance(before, list) else []), *([present] if present else [])]


def register(document: JsonObject, agent_id: str, capabilities: list[str], now: str) -> list[Edit]:
    """Say what an agent can do."""
    fields: JsonObject = {"id": agent_id, "capabilities": [*capabilities], "registered_at": now, "last_seen": now}
    # Without a heartbeat the original's stop hook takes it for dead at once.
    return _set(document, agent_id, {**fields, "status": "active", "lastHeartbeat": now}, now)


def show_life(document: JsonObject, agent_id: str, now: str) -> list[Edit]:
    """Say that an agent is there, if the file has it."""
    return [] if entry(document, agent_id) is None else _set(document, agent_id, {"lastHeartbeat": now}, now)


def remove(document: JsonObject, agent_id: str, now: str) -> list[Edit]:
    """Forget an agent."""
    agents = document.get("agents")
    if not isinstance(agents, dict) or agent_id not in agents:
        return []
    return [("remove", ("agents", agent_id), None), _touched(now)]


def _set(document: JsonObject, agent_id: str, fields: JsonObject, now: str) -> list[Edit]:
    # A program that finds no agents leaves an empty array there.
    base: list[Edit] = [("set", ("agents",), {})] if document.get("agents", {}) in ([], None) else []
    if entry(document, agent_id) is None:
        return [*base, ("set", ("agents", agent_id), fields), _touched(now)]
    return [*((("set", ("agents", agent_id, name), value)) for name, value in fields.items()), _touched(now)]


def _touched(now: str) -> Edit:
    return "set", ("metadata", "updated"), now


# How often agents began


def _count(document: JsonObject, kind: str, now: str) -> Edit:
    return "set", ("metadata", "initialization_stats"), counted(kept_stats(document), kind, now)


def kept_stats(document: JsonObject) -> JsonObject:
    """Return what the file has counted, empty if nothing."""
    metadata = document.get("metadata")
    found = metadata.get("initialization_stats") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def counted(before: JsonObject, kind: str, now: str) -> JsonObject:
    """Count one `init` or `reinit` more, in the total and in the part of the day."""
    stats = on_day(before, now)
    total = "total_initializations" if kind == "init" else "total_reinitializations"
    buckets = _objects(stats["time_buckets"])
    name = bucket(now)
    own = buckets.get(name, {})
    buckets[name] = {"init": 0, "reinit": 0, **own, kind: _number(own.get(kind)) + 1}
    return {**stats, total: _number(stats[total]) + 1, "time_buckets": buckets, "last_updated": now}


def on_day(before: JsonObject, now: str) -> JsonObject:
    """Return the counts as they are on a day; those of an earlier one go into the history."""
    today = now[:10]
    stats: JsonObject = {
        "total_initializations": 0, "total_reinitializations": 0, "current_day": today, "time_buckets": _empty_buckets(now),
        "daily_history": [], "last_reset": now, "last_updated": now, **before,
    }  # fmt: skip
    if stats["current_day"] == today:
        return stats
    history = stats["daily_history"]
    past: JsonObject = {"date": stats["current_day"], **_totals(stats), "buckets": stats["time_buckets"]}
    days = [*(history if isinstance(history, list) else []), past][-DAYS_KEPT:]
    return {
        **stats,
        "current_day": today,
        "time_buckets": _empty_buckets(now),
        "daily_history": days,
        "last_reset": now,
    }


def _totals(stats: JsonObject) -> JsonObject:
    buckets = _objects(stats["time_buckets"]).values()
    return {f"total_{kind}": sum(_number(each.get(kind)) for each in buckets) for kind in ("init", "reinit")}


def told(before: JsonObject, now: str) -> JsonObject:
    """Return the counts in the shape of the original's answer."""
    stats = on_day(before, now)
    totals, history = _totals(stats), stats["daily_history"]
    return {
        "total_initializations": stats["total_initializations"],
        "total_reinitializations": stats["total_reinitializations"],
        "current_day": stats["current_day"],
        "current_bucket": bucket(now),
        "today_totals": {"init": totals["total_init"], "reinit": totals["total_reinit"]},
        "time_buckets": stats["time_buckets"],
        "recent_activity": history[-7:] if isinstance(history, list) else [],
        "last_updated": stats["last_updated"],
        "last_reset": stats["last_reset"],
    }


def bucket(now: str) -> str:
    """Return the part of the day that a moment is in."""
    first, hour = _first_hour(now), to_ms(now) // _HOUR_MS % 24
    return _name(first + (hour - first) % 24 // _BUCKET_H * _BUCKET_H)


def _empty_buckets(now: str) -> JsonObject:
    names = [_name(_first_hour(now) + number * _BUCKET_H) for number in range(_BUCKETS)]
    return {name: {"init": 0, "reinit": 0} for name in names}


def _first_hour(now: str) -> int:
    return (_FIRST_HOUR + to_ms(now) // _DAY_MS - _FIRST_DAY) % 24


def _name(hour: int) -> str:
    return f"{hour % 24:02d}:00-{(hour + _BUCKET_H - 1) % 24:02d}:59"


def _objects(value: Json) -> dict[str, JsonObject]:
    found = value if isinstance(value, dict) else {}
    return {str(name): dict(each) for name, each in found.items() if isinstance(each, dict)}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
