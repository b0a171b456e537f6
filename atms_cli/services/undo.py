"""Taking back: events that put things where they were; nothing is erased."""

from __future__ import annotations

from itertools import groupby

from atms_cli.domain import agent as agents
from atms_cli.domain import decisions
from atms_cli.domain import task as tasks
from atms_cli.domain.folding import in_order
from atms_cli.domain.terse import FOLDED, through
from atms_cli.errors import AtmsError, ConflictError, NothingToDoError
from atms_cli.services.history import newest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Agent, Event, Fact, JsonObject, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace

#: How many of the newest events are looked through for changes to take back.
_REACH = 10_000

#: Only noted: what a setting was stands in nobody's events, who was heard of was, and what gates found changes nothing.
_NOTED = ("settings.", "agent.offline", "agent.recovered", "gate.")
_SWITCHES = ("agent.disabled", "agent.enabled")


def undo(ws: Workspace, count: int) -> list[JsonObject]:
    """Take back the last changes that this person made here, newest first; all of them or none.

    What was recorded in the same millisecond counts as one change.

    Raises:
        NothingToDoError: there is no such change.
        ConflictError: somebody has built on one of them since.

    """
    with ws.store.writing(ws.actor) as tx:
        changes = _changes(newest(tx.read, _REACH), ws.actor)
        _refuse_folded(tx.read, changes[:count])
        if len(changes) < count:
            found = f"only {len(changes)} changes of yours stand" if changes else "no change of yours stands"
            raise NothingToDoError(f"{found}, so there is nothing more to take back", "see what happened: atms log")
        undone: list[JsonObject] = []
        for change in changes[:count]:
            for key, events in _by_key(change).items():
                tx.record(_inverse(tx, key, events, {event["id"] for each in changes[:count] for event in each}))
            undone.append({"at": change[0]["at"], "events": [f"{event['type']} {event['key']}" for event in change]})
        return undone


def _changes(events: Sequence[Event], actor: str) -> list[list[Event]]:
    """Return an actor's changes that still stand, newest first."""
    undone = {str(each) for event in events for each in _undone_by(event)}
    own = [
        event
        for event in events
        if event["actor"] == actor
        and event["id"] not in undone
        and not _undone_by(event)
        and not event["type"].startswith(_NOTED)
    ]
    return [list(group) for _, group in groupby(reversed(own), key=lambda event: event["at"])]


def _refuse_folded(read: ReadModel, changes: Sequence[Sequence[Event]]) -> None:
    """Refuse to take back what no longer stands by itself, and to pass over it."""
    for event in (event for change in changes for event in change if event["type"].startswith("task.")):
        folds = [each for each in read.history(event["key"]) if each["type"] == FOLDED]
        if any(event["id"] <= through(fold) for fold in folds):
            raise ConflictError(
                f"your change of {event['at']}, {event['type']} {event['key']}, was folded by `atms compact`",
                f"see: atms log {event['key']}; bring the task back with: atms task reopen {event['key']}",
            )


def _undone_by(event: Event) -> list[object]:
    listed = event["data"].get("undoes")
    return list(listed) if isinstance(listed, list) else []


def _by_key(change: Sequence[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in change:
        found.setdefault(event["key"], []).append(event)
    return found


def _inverse(tx: Transaction, key: str, events: Sequence[Event], taken_back: set[str]) -> list[Fact]:
    """Return what puts an aggregate where it was before some events, if nothing has come behind them."""
    history = in_order(tx.read.history(key))
    first = min(event["id"] for event in events)
    place = next(number for number, event in enumerate(history) if event["id"] == first)
    gone = taken_back | {str(each) for event in history for each in _undone_by(event)}
    since = [
        event
        for event in history[place + 1 :]
        if event["id"] not in gone and not _undone_by(event) and not event["type"].startswith(_NOTED)
    ]
    if since:
        raise ConflictError(
            f"`{key}` has changed since: {since[-1]['type']} by {since[-1]['actor']}", f"see: atms log {key}"
        )
    before = history[:place]
    undoes: JsonObject = {"undoes": [event["id"] for event in events]}
    kind = events[0]["type"].partition(".")[0]
    if kind == "task":
        return _task_as_before(tx, key, before, undoes)
    if kind == "agent":
        is_switched = all(event["type"] in _SWITCHES for event in events)
        return [(_switched_as_before if is_switched else _agent_as_before)(key, before, undoes)]
    if kind == "queue":
        paused = bool(before) and before[-1]["type"] == "queue.paused"
        return [
            ("queue.paused" if paused else "queue.resumed", key, {**(before[-1]["data"] if paused else {}), **undoes})
        ]
    raise AtmsError(f"{events[0]['type']} cannot be taken back", "change the roadmap file itself")


def _task_as_before(tx: Transaction, key: str, events: Sequence[Event], undoes: JsonObject) -> list[Fact]:
    present = tx.read.task(key)
    if present["run"] is not None and present["status"] in tasks.ACTIVE:
        raise ConflictError(f"`{key}` is being run by `atms run`", f"stop it first: atms task cancel {key}")
    before: Task | None = None
    for event in events:
        before = tasks.evolve(before, event)
    if before is None and tx.read.waiting_on(key):
        raise ConflictError(f"other tasks wait for `{key}`", f"see: atms task show {key}")
    return [decisions.restored(present, before, undoes)]


def _switched_as_before(name: str, events: Sequence[Event], undoes: JsonObject) -> Fact:
    """Disable an agent, or enable it, as the last such change before had it."""
    last = next((event for event in reversed(events) if event["type"] in (*_SWITCHES, "agent.removed")), None)
    if last is None or last["type"] != "agent.disabled":
        return "agent.enabled", name, undoes
    return "agent.disabled", name, {**last["data"], **undoes}


def _agent_as_before(name: str, events: Sequence[Event], undoes: JsonObject) -> Fact:
    before: Agent | None = None
    for event in events:
        before = agents.evolve(before, event)
    if before is None:
        return "agent.removed", name, undoes
    fields: JsonObject = {**before}  # type: ignore[dict-item]  # an Agent is JSON throughout
    return "agent.registered", name, {**fields, **undoes}
