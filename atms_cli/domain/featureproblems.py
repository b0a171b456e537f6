"""What is odd in a roadmap file, each with the JSON path of its place. Nothing of it is repaired: the file is its owners'."""

from __future__ import annotations

from atms_cli.domain.feature import numbered, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atms_cli.domain.records import Json, JsonObject

_LISTS = ("features", "tasks", "completed_tasks")
_OBJECTS = ("metadata", "workflow_config")
_TEXTS = ("id", "title", "description", "business_value", "category", "status")
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}


def find(document: JsonObject) -> list[JsonObject]:
    """Return the oddities of a file, each as `path` and `problem`."""
    features = numbered(document)
    found = [*_shapes(document), *_entries(document), *_features(features), *_references(document, features)]
    return [{"path": path, "problem": problem} for path, problem in found]


def _kind(value: Json) -> str:
    return _KINDS.get(type(value), "a number")


def _shapes(document: JsonObject) -> Iterator[tuple[str, str]]:
    for names, wanted, kind in ((_LISTS, "an array", list), (_OBJECTS, "an object", dict)):
        for name in names:
            if name in document and not isinstance(document[name], kind):
                yield name, f"is {_kind(document[name])}, not {wanted}"
    metadata = document.get("metadata")
    history = metadata.get("approval_history", []) if isinstance(metadata, dict) else []
    if not isinstance(history, list):
        yield "metadata.approval_history", f"is {_kind(history)}, not an array"


def _entries(document: JsonObject) -> Iterator[tuple[str, str]]:
    for name in _LISTS:
        found = document.get(name)
        for position, each in enumerate(found if isinstance(found, list) else []):
            if not isinstance(each, dict):
                yield f"{name}[{position}]", f"is {_kind(each)}, not an object; it is left alone"


def _features(features: Sequence[tuple[int, JsonObject]]) -> Iterator[tuple[str, str]]:
    first: dict[str, int] = {}
    for position, feature in features:
        for name in _TEXTS:
            value = feature.get(name)
            if value is not None and not isinstance(value, str):
                yield f"features[{position}].{name}", f"is {_kind(value)}, not a string"
        own = text(feature, "id")
        earlier = first.setdefault(own, position)
        if not own:
            yield f"features[{position}].id", "is missing; nobody can work on this feature"
        elif earlier != position:
            yield f"features[{position}].id", f"is `{own}`, as of features[{earlier}]; only the first one counts"


def _references(document: JsonObject, features: Sequence[tuple[int, JsonObject]]) -> Iterator[tuple[str, str]]:
    """Yield ids that lead nowhere: the original's hook renames features and tasks, so real files have many."""
    ids = {text(feature, "id") for _, feature in features}
    for position, task in numbered(document, "tasks"):
        named = text(task, "feature_id")
        if named and named not in ids:
            yield f"tasks[{position}].feature_id", f"is `{named}`, which no feature has"
    metadata = document.get("metadata")
    history = metadata.get("approval_history") if isinstance(metadata, dict) else None
    for position, entry in enumerate(history if isinstance(history, list) else []):
        named = text(entry, "feature_id") if isinstance(entry, dict) else ""
        if named and named not in ids:
            yield f"metadata.approval_history[{position}].feature_id", f"is `{named}`, which no feature has"
