"""What happened: events by aggregate, type and time."""

from __future__ import annotations

from atms_cli.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Event
    from atms_cli.ports import ReadModel, Workspace


def events(ws: Workspace, key: str | None, *, pattern: str | None, since: str | None, limit: int | None) -> list[Event]:
    """Return events, oldest first: of one aggregate, of types that match a glob, not older than a time, the newest so many."""
    read = ws.store.reading()
    if key is not None:
        found = marked(read.history(aggregate(read, key)))
    elif limit is not None and pattern is None and since is None:
        return read.last_events(limit)
    else:
        found = read.events_after("")
    chosen = [event for event in found if _passes(event, pattern) and (since is None or event["at"] >= since)]
    return chosen if limit is None else chosen[max(0, len(chosen) - limit) :]


def marked(history: Sequence[Event]) -> list[Event]:
    """Return the events of one aggregate; those of a task that changed nothing carry `superseded`."""
    if not history or not history[0]["type"].startswith("task."):
        return list(history)
    from atms_cli.domain.task import superseded

    ignored = superseded(history)
    return [{**event, "superseded": True} if event["id"] in ignored else event for event in history]  # type: ignore[typeddict-unknown-key]


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
    chosen = [event for event in fresh if _passes(event, pattern) and wanted in (None, event["key"])]
    return (fresh[-1]["id"] if fresh else last), chosen
