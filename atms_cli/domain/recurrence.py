"""Tasks that are done again and again: a template, and which of its times become tasks of their own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Fact, JsonObject, Task

#: What becomes of times that passed while nobody looked: none of them is made up for, the last one, or all.
MISSED = ("skip", "once", "all")
#: So many are made up for at the most.
MOST_MADE_UP = 100
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 10
#: A time that is past by less than this was not missed.
GRACE_S = 60.0
#: Of a template, what the tasks made from it have not.
_OF_THE_TEMPLATE = frozenset((
    "id", "status", "recurrence", "not_before", "place", "lease", "run", "result", "reason", "attempts", "assigned_agent", "blocked_by",
    "dependencies", "dependency_kinds",
))  # fmt: skip


def due(passed: Sequence[str], missed: str, late_after: str) -> list[str]:
    """Return which of the times that have passed, oldest first, become tasks; one after `late_after` was not missed."""
    if missed == "all":
        return list(passed[-MOST_MADE_UP:])
    if missed == "once":
        return list(passed[-1:])
    return [at for at in passed if at > late_after][-1:]


def occurrence_id(template: str, at: str) -> str:
    """Return the id of the task that a template becomes at a time: the same on every clone, so that it is made once."""
    from hashlib import sha256

    digest = sha256(f"recurrence\0{template}\0{at}".encode()).digest()
    return _ALPHABET[10 + digest[0] % 22] + "".join(_ALPHABET[byte & 31] for byte in digest[1:_ID_LENGTH])


def occurrence(template: Task, at: str) -> JsonObject:
    """Return the fields of the task that a template becomes at a time."""
    whole: JsonObject = {**template}  # type: ignore[dict-item]  # a Task is JSON throughout
    own = {name: value for name, value in whole.items() if name not in _OF_THE_TEMPLATE and not name.endswith("_at")}
    properties = {**template["metadata"]["properties"], "recurs_from": template["id"], "occurrence": at}
    return {**own, "metadata": {**template["metadata"], "properties": properties}}


def recurred(template: Task, following: str) -> Fact:
    """Return that a template's time has come, and when it comes next."""
    return "task.recurred", template["id"], {"not_before": following}
