"""A task as the index keeps it: JSON of the fields that differ from their defaults, which is a third of the whole."""

from __future__ import annotations

from atms_cli.domain.task import DEFAULTS, NESTED_DEFAULTS
from atms_cli.store.jsontext import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Json, JsonObject, Task

#: Of every task unless it says otherwise.
_USUAL: dict[str, Json] = {**DEFAULTS, **NESTED_DEFAULTS}
_KNOWN = frozenset(("id", "title", *_USUAL))


def pack(task: Task) -> str:
    """Return the text that stands for a task; the same task has the same text on every clone."""
    held: JsonObject = task  # type: ignore[assignment]  # a Task is JSON throughout
    unusual = {name: value for name, usual in _USUAL.items() if (value := held[name]) is not usual and value != usual}
    if len(held) > len(_KNOWN):
        unusual |= {name: held[name] for name in sorted(held.keys() - _KNOWN)}
    return encode({"id": held["id"], "title": held["title"], **unusual})


def unpack(text: str) -> Task:
    """Return the task that a text stands for."""
    kept = decode(text)
    task: JsonObject = {"id": kept["id"], "title": kept["title"], **_USUAL, **kept}
    return task  # type: ignore[return-value]
