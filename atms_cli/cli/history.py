"""What happened, event by event."""

from __future__ import annotations

from atms_cli.domain import moment
from atms_cli.services import history as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Event, JsonObject

_DEFAULT_LIMIT = 20


def log(
    call: Call,
    key: o.OptionalKey = None,
    follow: o.Follow = False,
    type: o.EventType = None,  # noqa: A002  the option's name
    since: o.Since = None,
    limit: o.LogLimit = None,
) -> None:
    """Show what happened, newest last; follow it with -f, one JSON object a line with --json."""
    since_at = _since(call, since)
    most = limit if limit is not None else None if since_at or type or key or call.json else _DEFAULT_LIMIT
    events = service.events(call.workspace, key, pattern=type, since=since_at, limit=most)
    if not follow:
        call.answer(events, [event["id"] for event in events], lambda: _lines(call, events))
        return
    _print(call, events)
    _follow(call, key, type, service.last_id(call.workspace))


def _since(call: Call, words: str | None) -> str | None:
    """Return the time meant; a duration reaches back."""
    if words is None:
        return None
    now = moment.to_iso(call.workspace.clock.now_ms())
    return (
        moment.parse_when(words, now)
        if words[:1].isdigit() and "-" in words
        else moment.plus(now, -moment.parse_duration(words))
    )


def _lines(call: Call, events: Sequence[Event]) -> str:
    from atms_cli.cli.render import event_line

    return "\n".join(event_line(call, event) for event in events)


def _print(call: Call, events: Sequence[Event]) -> None:
    import sys

    for event in events:
        if call.json:
            call.document(event)
        else:
            call.out(_lines(call, [event]))
    sys.stdout.flush()


def _follow(call: Call, key: str | None, pattern: str | None, last: str) -> None:
    from atms_cli.cli.following import wait_until

    def look() -> bool:
        nonlocal last
        last, fresh = service.news(call.workspace, last, key, pattern)
        _print(call, fresh)
        return False

    wait_until(call, look, None)


def undo(call: Call, count: o.UndoCount = 1) -> None:
    """Take back your last change, or the last N; the history keeps both."""
    from atms_cli.errors import UsageError
    from atms_cli.services.undo import undo as take_back

    if count < 1:
        raise UsageError(f"{count} changes make no sense", "give 1 or more")
    undone = take_back(call.workspace, count)
    call.answer(
        undone, [str(each["at"]) for each in undone], lambda: "\n".join(_taken_back(call, each) for each in undone)
    )


def _taken_back(call: Call, each: JsonObject) -> str:
    events = each["events"] if isinstance(each["events"], list) else []
    return f"{call.style('↶', 'cyan')} {each['at']}  {', '.join(str(event) for event in events)}"
