"""Agents: who may work, and how many tasks each takes at once."""

from __future__ import annotations

from atms_cli.domain.moment import seconds_between
from atms_cli.domain.task import ISOLATIONS
from atms_cli.errors import ConflictError, NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Agent, Event, Fact, JsonObject

#: `pull` agents claim for themselves; the others are started by `atms run`, those of the last kinds by a driver (driver.py).
KINDS = ("command", "pull", "gemini", "agy", "claude", "codex")
#: Kinds that need no driver, and say nothing of what they cost.
DRIVERLESS = ("command", "pull")
#: What an agent may do without being asked: `edits` change files, `full` also run commands.
APPROVALS = ("edits", "full")
DEFAULTS: JsonObject = {
    "kind": "command",
    "command": None,
    "model": None,
    "args": [],
    "env": {},
    "approval": "edits",
    "isolation": None,
    "prompt": None,
    "specialization": None,
    "capabilities": [],
    "languages": [],
    "frameworks": [],
    "tools": [],
    "categories": [],
    "max_complexity": None,
    "max_priority": None,
    "max_concurrent": 1,
    "rate": None,
    "status": "idle",
    "source": "registered",
    "registered_at": None,
    "last_heartbeat": None,
}
#: The agent that runs the commands of tasks that have one; nobody has to register it.
SHELL = "shell"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_MAX_NAME = 64


def evolve(agent: Agent | None, event: Event) -> Agent | None:
    """Fold one event into an agent; None is one that is not registered."""
    if event["type"] == "agent.registered":
        given = {name: value for name, value in event["data"].items() if name in DEFAULTS}
        fields: JsonObject = {"name": event["key"], **DEFAULTS, **given, "registered_at": event["at"]}
        return fields  # type: ignore[return-value]
    return None if event["type"] == "agent.removed" else agent


def halt(name: str, kind: str, reason: str, until: str | None, times: int) -> list[Fact]:
    """Give an agent nothing more, until a time or until somebody says `agent resume`.

    `kind` is one of trouble.CLASSES or `failing`, `times` how often this has happened without a success in between.
    """
    return [("agent.halted", name, {"kind": kind, "reason": reason, "until": until, "times": times})]


def is_halted(about: JsonObject | None, now: str) -> bool:
    """Return whether a halt still holds; one without an end holds until somebody acts."""
    return about is not None and (about["until"] is None or str(about["until"]) > now)


def resume(name: str, about: JsonObject | None) -> list[Fact]:
    """Let a halted agent work again, and forget how often it was; one that was not stays as it is."""
    return [] if about is None else [("agent.resumed", name, {})]


def disable(name: str, about: JsonObject | None, reason: str | None, *, finishes: bool) -> list[Fact]:
    """Give an agent nothing more until a person enables it; one that `finishes` keeps what it has."""
    if about is not None and (about["finishes"] is False or finishes):
        return []
    return [("agent.disabled", name, {"reason": reason, "finishes": finishes})]


def enable(name: str, about: JsonObject | None) -> list[Fact]:
    """Let a disabled agent work again."""
    return [] if about is None else [("agent.enabled", name, {})]


class Presence:
    """What is on record of an agent beside what it is."""

    __slots__ = ("active", "disabled", "halted", "is_offline", "was_seen")

    def __init__(
        self, *, active: int, halted: JsonObject | None, disabled: JsonObject | None, is_offline: bool, was_seen: bool
    ) -> None:
        self.active = active
        self.halted = halted
        self.disabled = disabled
        self.is_offline = is_offline
        self.was_seen = was_seen


#: How an agent can be, with what it means.
STATUSES = {
    "initializing": "registered, and not heard of yet; only agents that claim for themselves",
    "idle": "at work on nothing",
    "active": "at work on something, with room for more",
    "busy": "at work on as much as it may",
    "blocked": "waits for a limit to be over",
    "error": "gets nothing more until a person acts: its log-in, its program, its template",
    "offline": "not heard of for longer than `claims.offline`; only agents that claim for themselves",
    "terminated": "disabled by a person, and done with what it had",
}


def status(agent: Agent, found: Presence) -> str:
    """Return how an agent is, one of STATUSES."""
    if found.disabled is not None and not found.active:
        return "terminated"
    if found.halted is not None:
        return "error" if found.halted["until"] is None else "blocked"
    if found.is_offline:
        return "offline"
    if found.active:
        return "busy" if found.active >= agent["max_concurrent"] else "active"
    return "idle" if found.was_seen or agent["kind"] != "pull" else "initializing"


def is_silent(agent: Agent, heartbeat: str | None, now: str, offline_s: float) -> bool:
    """Return whether an agent that has to give signs of life has given none for too long."""
    return agent["kind"] == "pull" and heartbeat is not None and seconds_between(heartbeat, now) > offline_s


def declared(name: str, fields: JsonObject) -> Agent:
    """Return an agent that stands in atms.yaml."""
    check(name, fields)
    agent: JsonObject = {"name": name, **DEFAULTS, **fields, "source": "atms.yaml"}
    return agent  # type: ignore[return-value]


def shell(jobs: int) -> Agent:
    """Return the built-in agent, which takes as many tasks as there are jobs."""
    agent: JsonObject = {"name": SHELL, **DEFAULTS, "max_concurrent": jobs, "source": "built in"}
    return agent  # type: ignore[return-value]


def anonymous(name: str) -> Agent:
    """Return somebody of whom nothing is known, and who may therefore do anything."""
    agent: JsonObject = {"name": name, **DEFAULTS, "kind": "pull"}
    return agent  # type: ignore[return-value]


def register(existing: Agent | None, name: str, fields: JsonObject) -> list[Fact]:
    """Make an agent known; the same words again change nothing.

    Raises:
        ConflictError: one of that name stands in atms.yaml.
        UsageError: the name or a field is no good.

    """
    check(name, fields)
    if existing is not None and existing["source"] == "atms.yaml":
        raise ConflictError(f"agent `{name}` stands in atms.yaml", "change it there, or choose another name")
    given = {field: value for field, value in fields.items() if value != DEFAULTS.get(field)}
    if existing is not None and _says_the_same(existing, fields):
        return []
    return [("agent.registered", name, given)]


def update(existing: Agent | None, name: str, changes: JsonObject) -> list[Fact]:
    """Change what is known of a registered agent, and leave the rest as it is.

    Raises:
        NotFoundError: there is none of that name.

    """
    if existing is None:
        raise NotFoundError(f"no agent `{name}`", f"make it known: atms agent register {name}")
    whole: JsonObject = {**existing}  # type: ignore[dict-item]  # an Agent is JSON throughout
    own = {field: whole[field] for field in DEFAULTS if field not in _OWN_STATE}
    return register(existing, name, {**own, **changes})


_OWN_STATE = ("status", "source", "registered_at", "last_heartbeat")


def _says_the_same(agent: Mapping[str, object], fields: JsonObject) -> bool:
    return all(
        agent[field] == fields.get(field, default) for field, default in DEFAULTS.items() if field not in _OWN_STATE
    )


def check(name: str, fields: JsonObject) -> None:
    """Refuse a name or field that would not work later."""
    if not name or len(name) > _MAX_NAME or not set(name) <= _SAFE:
        raise UsageError(
            f"`{name}` is not a good agent name", "use letters, digits, dots, dashes and underscores, at most 64"
        )
    if name == SHELL:
        raise UsageError(
            f"`{SHELL}` is the agent that is always there, for tasks with a command", "choose another name"
        )
    kind = fields.get("kind", "command")
    if fields.get("approval", "edits") not in APPROVALS:
        raise UsageError(f"`{fields['approval']}` is not an approval", f"choose one of: {', '.join(APPROVALS)}")
    if kind == "command" and not str(fields.get("command") or "").strip():
        raise UsageError(f"agent `{name}` of kind command needs a command", "give it with --command CMD")
    if fields.get("isolation") not in (None, *ISOLATIONS):
        raise UsageError(f"`{fields['isolation']}` is not an isolation", f"choose one of: {', '.join(ISOLATIONS)}")
    _check_variables(fields.get("env"))
    _check_natures(fields)
    if fields.get("rate") is not None:
        from atms_cli.domain.limits import parse_rate

        parse_rate(str(fields["rate"]))
    limit = fields.get("max_concurrent", 1)
    if not isinstance(limit, int) or limit < 1:
        raise UsageError(f"agent `{name}`: {limit} tasks at once make no sense", "give --max 1 or more")


def _check_natures(fields: JsonObject) -> None:
    """Refuse categories, and bounds of complexity and priority, that no task could have."""
    from atms_cli.domain.task import CATEGORIES, COMPLEXITIES, PRIORITIES

    categories = fields.get("categories")
    named: list[tuple[object, str, Sequence[str]]] = [
        (fields.get("max_complexity"), "complexity", COMPLEXITIES),
        (fields.get("max_priority"), "priority", PRIORITIES),
        *((each, "category", CATEGORIES) for each in (categories if isinstance(categories, list | tuple) else ())),
    ]
    for value, word, known in named:
        if value is not None and value not in known:
            raise UsageError(f"`{value}` is not a {word}", f"choose one of: {', '.join(known)}")


def _check_variables(env: object) -> None:
    if isinstance(env, dict) and env:
        from atms_cli.domain.secrets import refuse_secrets

        refuse_secrets(env)


def remove(agent: Agent | None, name: str) -> list[Fact]:
    """Forget an agent; its finished work stays in the history."""
    if agent is None:
        raise NotFoundError(f"no agent `{name}`", "see them all: atms agent list")
    if agent["source"] == "atms.yaml":
        raise ConflictError(f"agent `{name}` stands in atms.yaml", "remove it there")
    return [("agent.removed", name, {})]
