"""What happened: events by aggregate, type and time."""

from __future__ import annotations

from atms_cli.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atms_cli.domain.records import Event
    from atms_cli.ports import ReadModel, Workspace


def events(ws: Workspace, key: str | None, *, pattern: str | None, since: str | None, limit: int | None) -> list[Event]:
    """Return events, oldest first: of one aggregate, of types that match a glob, not older than a time, the newest so many."""
    read = ws.store.reading()
    if key is not None:
        found = marked(read.history(aggregate(read, key)))
    elif limit is not None and pattern is None and since is None:
        return phased(newest(read, limit))
    else:
        found = _with_folded(read.events_after(""))
    chosen = [event for event in phased(found) if _passes(event, pattern) and (since is None or event["at"] >= since)]
    return chosen if limit is None else chosen[max(0, len(chosen) - limit) :]


def newest(read: ReadModel, limit: int) -> list[Event]:
    """Return the newest so many events, oldest first, with those that were folded; folding itself is none."""
    found = read.last_events(limit)
    since = found[0]["at"] if len(found) == limit and found else ""
    folds = read.folds_since(since)
    if not folds:
        return found
    from atms_cli.domain.terse import FOLDED, entries

    present = {event["id"] for event in found}
    folded = {each["id"]: each for fold in folds for each in entries(fold) if each["id"] not in present}
    merged = sorted(
        [*found, *(each for each in folded.values() if each["type"] != FOLDED)], key=lambda event: event["id"]
    )
    return merged[max(0, len(merged) - limit) :]


def _with_folded(events: Sequence[Event]) -> list[Event]:
    """Return all events of a journal, with those that were folded in their places."""
    keys = {event["key"] for event in events if event["type"] == "task.folded"}
    if not keys:
        return list(events)
    from atms_cli.domain.folding import shown

    histories: dict[str, list[Event]] = {key: [] for key in keys}
    for event in events:
        if event["key"] in keys:
            histories[event["key"]].append(event)
    found = [event for event in events if event["key"] not in keys]
    found += [event for history in histories.values() for event in shown(history)]
    return sorted(found, key=lambda event: event["id"])


def marked(history: Sequence[Event]) -> list[Event]:
    """Return the events of one aggregate; those of a task that changed nothing carry `superseded`, those folded `folded`."""
    if any(event["type"] == "task.folded" for event in history):
        from atms_cli.domain.folding import shown

        return shown(history)
    if not history or not history[0]["type"].startswith("task."):
        return list(history)
    from atms_cli.domain.task import superseded

    ignored = superseded(history)
    return [{**event, "superseded": True} if event["id"] in ignored else event for event in history]


def phased(events: Iterable[Event]) -> list[Event]:
    """Return events with the phase that their attempt enters by each."""
    from atms_cli.domain.phases import along

    shown = list(events)
    return [
        event if phase is None else {**event, "phase": phase}
        for event, (_, phase) in zip(shown, along(shown), strict=True)
    ]


def _passes(event: Event, pattern: str | None) -> bool:
    if pattern is None:
        return True
    from fnmatch import fnmatchcase

    return fnmatchcase(event["type"], pattern)


def aggregate(read: ReadModel, key: str) -> str:
    """Return the id of a task from its beginning, or the key itself if it has a history."""
    if read.history(key):
        return key
    try:
        return read.resolve(key)
    except NotFoundError:
        raise NotFoundError(f"nothing is known of `{key}`", "see everything: atms log") from None


def last_id(ws: Workspace) -> str:
    """Return the id of the newest event, empty if there is none."""
    return ws.store.reading().newest()


def news(ws: Workspace, last: str, key: str | None, pattern: str | None) -> tuple[str, list[Event]]:
    """Return the newest id and the events since another one."""
    read = ws.store.reading()
    fresh = read.events_after(last)
    wanted = aggregate(read, key) if key is not None else None
    chosen = [event for event in phased(fresh) if _passes(event, pattern) and wanted in (None, event["key"])]
    return (fresh[-1]["id"] if fresh else last), chosen
