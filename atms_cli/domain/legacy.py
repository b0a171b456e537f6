"""What the original TaskManager's API is given and prints: its fields and its shapes, made from ours."""

from __future__ import annotations

from atms_cli.domain.feature import listed, text
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import JsonObject

    Fields = Mapping[str, type | tuple[type, ...]]

SUGGESTION: Fields = {
    "title": str, "description": str, "business_value": str, "category": str, "priority": str, "suggested_by": str, "metadata": dict,
}  # fmt: skip
APPROVAL: Fields = {"approved_by": str, "notes": str}
REJECTION: Fields = {"rejected_by": str, "reason": str}
FEATURE_FILTER: Fields = {"status": str, "category": str}

_RECENT = 10
_WORDS = {str: "text", dict: "an object", list: "an array", bool: "true or false", (int, float): "a number"}


def check(given: JsonObject, allowed: Fields) -> JsonObject:
    """Return the fields given, without those that are null; refuse one that is unknown or of another kind."""
    for name, value in given.items():
        if name not in allowed:
            raise UsageError(f"`{name}` is not a field that can be given", f"those are: {', '.join(allowed)}")
        kind = allowed[name]
        # JavaScript has no such difference, Python does: true is 1 here.
        is_odd = isinstance(value, bool) and kind is not bool
        if value is not None and (is_odd or not isinstance(value, kind)):
            raise UsageError(f"`{name}` is not {_WORDS[kind]}", "correct it")
    return {name: value for name, value in given.items() if value is not None}


def feature(shown: JsonObject) -> JsonObject:
    """Return a feature as the file has it, without what atms knows of it besides."""
    return {name: value for name, value in shown.items() if not name.startswith("atms_")}


def feature_stats(document: JsonObject) -> JsonObject:
    """Count features by status and category; with the last decisions, newest first."""
    found, metadata = listed(document), document.get("metadata")
    history = metadata.get("approval_history") if isinstance(metadata, dict) else None
    recent = [*reversed(history[-_RECENT:])] if isinstance(history, list) else []
    return {
        "total": len(found),
        "by_status": counted([text(each, "status") or "none" for each in found]),
        "by_category": counted([text(each, "category") or "none" for each in found]),
        "recent_activity": recent,
    }


def number(count: object, word: str) -> str:
    """Return how many there are of something, in words."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def counted(words: Sequence[str]) -> JsonObject:
    """Return how often each word is there, in the order of their first appearance."""
    return {word: words.count(word) for word in dict.fromkeys(words)}
