"""What a task leaves for those after it: the files it has declared, results by name, and words."""

from __future__ import annotations

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.records import Json, JsonObject, Task

#: What a task may report, in bytes; more belongs into a file.
MOST_BYTES = 65_536
_MOST_NAME = 100


def declared(task: Task) -> dict[str, str | None]:
    """Return what a task has to leave: by name the path of a file, or None for a result that it reports."""
    given: object = task["context"]["outputs"]
    # A task that was imported may have anything there.
    named = given if isinstance(given, dict) else {}
    return {name: path for name, path in named.items() if path is None or isinstance(path, str)}


def check(outputs: Mapping[str, Json]) -> None:
    """Refuse outputs that could never be there."""
    for name, path in outputs.items():
        if not name.strip() or len(name) > _MOST_NAME:
            raise UsageError(
                f"`{name[:_MOST_NAME]}` is not a good name for an output", "write it like --output NAME=PATH"
            )
        if path is not None and not (isinstance(path, str) and is_within(path)):
            raise UsageError(
                f"the output `{name}` is no file within the work: {path}",
                "give a path from the task's working directory",
            )


def is_within(path: str) -> bool:
    """Return whether a path leads to something below where it begins."""
    return bool(path.strip()) and not path.startswith("/") and ".." not in path.split("/")


def parse(reported: bytes) -> JsonObject:
    """Return the results by name and the words in what was reported: a JSON object, or text.

    In an object, `text` is what is said in words.

    Raises:
        ValueError: it is too long, or neither.

    """
    if len(reported) > MOST_BYTES:
        raise ValueError(f"its result is longer than {MOST_BYTES} bytes; leave a file instead")
    try:
        text = reported.decode().strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"its result is not text in UTF-8: {error.reason} at byte {error.start}") from error
    if not text.startswith("{"):
        return {"text": text} if text else {}
    results = _object(text)
    words = results.pop("text") if isinstance(results.get("text"), str) else None
    return {**({"results": results} if results else {}), **({"text": words} if words else {})}


def _object(text: str) -> JsonObject:
    from json import JSONDecodeError, dumps, loads

    def refuse(word: str) -> None:
        raise ValueError(f"its result is not JSON: {word} is no number")

    try:
        found: JsonObject = loads(text, parse_constant=refuse)
        # Half of a character pair can be written in JSON, and cannot be kept.
        dumps(found, ensure_ascii=False).encode()
    except JSONDecodeError as error:
        raise ValueError(f"its result is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("its result is nested too deep") from error
    except UnicodeEncodeError as error:
        raise ValueError("its result has half of a character in it") from error
    return found


def lacking(
    wanted: Mapping[str, str | None], files: Mapping[str, JsonObject], results: Mapping[str, Json]
) -> str | None:
    """Say which declared outputs are not there, or None."""
    gone = [f"`{name}` ({path})" for name, path in wanted.items() if path is not None and name not in files]
    untold = [f"`{name}`" for name, path in wanted.items() if path is None and name not in results]
    parts = [f"it left no file for its output {', '.join(gone)}"] if gone else []
    parts += [f"it did not report its output {', '.join(untold)}"] if untold else []
    return "; ".join(parts) or None


def of(task: Task) -> JsonObject:
    """Return what a task has left, for those after it."""
    result = task["result"] or {}
    return {
        "id": task["id"],
        "title": task["title"],
        "status": task["status"],
        "text": _words(result),
        "results": result.get("results") or {},
        "files": result.get("outputs") or [],
    }


def _words(result: Mapping[str, Json]) -> str:
    """Return what was said at the end of a task: by itself, by its agent, or by who has done it."""
    report = result.get("report")
    said = report.get("text") if isinstance(report, dict) else None
    text = result.get("text") or said or result.get("note")
    return text.strip() if isinstance(text, str) else ""


def are_any(left: JsonObject) -> bool:
    """Return whether a task has left anything."""
    return bool(left["text"] or left["results"] or left["files"])
