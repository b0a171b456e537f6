"""Events of a task in few bytes, as `task.folded` carries them: what happened, when, by whom and why."""

from __future__ import annotations

from atms_cli.domain.moment import to_iso, to_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Event, Json, JsonObject

FOLDED = "task.folded"
#: Data that takes no more characters than this as JSON is kept as it is.
_SMALL = 300
#: Of longer data, texts and lists that take no more than this are kept.
_SHORT = 100
#: Kept however long: who decided, why, and what was taken back.
_AUDIT = (
    "reason",
    "forced",
    "by",
    "note",
    "notes",
    "undoes",
    "created_by",
    "approved_by",
    "approved_at",
)
#: Attempts, claims and links follow from these, so they are kept whole.
_WHOLE = ("task.started", "task.claimed", "task.renewed", "task.linked", "task.unlinked")
#: The digits of ids are those of Crockford's base 32; Python has its own.
_DIGITS = str.maketrans("0123456789abcdefghjkmnpqrstvwxyz", "0123456789abcdefghijklmnopqrstuv")
_TIME_LENGTH = 9
_ID_LENGTH = 21
_PARTS = (4, 5)


def shortened(event: Event, task: Mapping[str, object]) -> list[Json]:
    """Return an event as id, type, actor, data, and what else there is to say: `at` unless it is the id's, `superseded`.

    Of the data, fields that the task still has are kept: they must be told somewhere.
    """
    more: JsonObject = {} if event["at"] == _time_of(event["id"]) else {"at": event["at"]}
    if event.get("superseded"):
        more["superseded"] = True
    data = {} if event["type"] == FOLDED else _terse(event["type"], event["data"], task)
    return [event["id"], event["type"], event["actor"], data, *([more] if more else [])]


def _terse(kind: str, data: JsonObject, task: Mapping[str, object]) -> JsonObject:
    if kind in _WHOLE or _size(data) <= _SMALL:
        return data
    cut = _cut(data)
    still = {name for name, value in data.items() if name in task and task[name] == value}
    return {name: data[name] if name in still else cut[name] for name in data if name in still or name in cut}


def _cut(data: JsonObject) -> JsonObject:
    """Return what is short or says who and why, at any depth."""
    kept: JsonObject = {}
    for name, value in data.items():
        if isinstance(value, dict):
            kept[name] = _cut(value)
        elif name in _AUDIT or value is None or _size(value) <= _SHORT:
            kept[name] = value
    return kept


def _size(value: Json) -> int:
    # Those who only read need no encoder.
    from json import dumps

    return len(dumps(value, ensure_ascii=False, separators=(",", ":")))


def _time_of(event_id: str) -> str:
    return to_iso(int(event_id[:_TIME_LENGTH].translate(_DIGITS), 32))


def entries(event: Event) -> list[Event]:
    """Return the events that a `task.folded` stands for, in the order of their ids, each with what was kept of its data."""
    return [_lengthened(event["key"], entry) for entry in _history(event)]


def _history(event: Event) -> Sequence[Sequence[Json]]:
    return event["data"]["history"]  # type: ignore[return-value]  # JSON, checked when it came in


def _lengthened(key: str, entry: Sequence[Json]) -> Event:
    event_id, kind, actor, data = entry[:4]
    more = entry[4] if len(entry) > 4 else {}  # noqa: PLR2004  the fifth is optional
    event: JsonObject = {
        "v": 1, "id": event_id, "at": _time_of(str(event_id)), "type": kind, "key": key, "actor": actor, "data": data, "folded": True,
        **(more if isinstance(more, dict) else {}),
    }  # fmt: skip
    return event  # type: ignore[return-value]


def listed(event: Event) -> list[str]:
    """Return the ids of the events that a `task.folded` stands for."""
    return [str(entry[0]) for entry in _history(event)]


def through(event: Event) -> str:
    """Return the id of the last event that a `task.folded` stands for, which is its own place among the others."""
    return max(str(entry[0]) for entry in _history(event) if entry[1] != FOLDED)


def born(event: Event) -> str:
    """Return the id of the event by which a folded task came to be."""
    return str(event["data"].get("born") or listed(event)[0])


def is_whole(event: Event) -> bool:
    """Return whether the data of a `task.folded` from elsewhere has the form that `folding.fold` gives it."""
    data = event["data"]
    history, birth = data.get("history"), data.get("born", "")
    if not isinstance(history, list) or not isinstance(data.get("task"), dict) or not isinstance(birth, str):
        return False
    return any(_is_entry(entry) and entry[1] != FOLDED for entry in history) and all(map(_is_entry, history))


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) not in _PARTS:
        return False
    event_id, kind, actor, data = entry[:4]
    if not all(isinstance(text, str) and text for text in (event_id, kind, actor)) or not isinstance(data, dict):
        return False
    return len(event_id) == _ID_LENGTH and kind.startswith("task.") and _is_timed(event_id, entry[4:])


def _is_timed(event_id: str, rest: Sequence[object]) -> bool:
    try:
        stated = [more["at"] for more in rest if isinstance(more, dict) and "at" in more]
        return bool(_time_of(event_id)) and all(to_iso(to_ms(at)) == at for at in stated)
    except (ValueError, TypeError, OverflowError):
        return False
