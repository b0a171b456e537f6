"""What a coding agent prints, for people: its messages, its tools and what came of them, instead of a stream of JSON.

streams.py reads the same streams for what counts; here nothing is kept and everything is shown that a person would follow.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Teller = Callable[[Mapping[str, object]], Iterator[str]]

#: Of what a tool was given or gave back, so much is shown.
_MOST = 160
#: What says most about a tool's call, best first.
_TELLING = ("command", "file_path", "path", "absolute_path", "pattern", "query", "url", "description", "prompt")


class Transcript:
    """Turns the lines of a log, one after the other, into text to print; what is no event is printed as it is."""

    def __init__(self, stream: str) -> None:
        self._tell = _TELLERS[stream]
        self._decode = json.JSONDecoder(strict=False).decode
        self._is_within = False

    def told(self, line: str) -> str:
        """Return what to print for a line, with its ends of line; a message may come in pieces."""
        try:
            record = self._decode(line)
        except (ValueError, RecursionError):
            return self._whole(line)
        if not isinstance(record, dict):
            return self._whole(line)
        if record.get("delta") and record.get("role") == "assistant":
            piece = printable(_text(record.get("content")))
            self._is_within = bool(piece) and not piece.endswith("\n")
            return piece
        return "".join(self._whole(each) for each in self._tell(record))

    def rest(self) -> str:
        """Return what ends a message that is not complete."""
        is_within, self._is_within = self._is_within, False
        return "\n" if is_within else ""

    def _whole(self, text: str) -> str:
        return f"{self.rest()}{printable(text.rstrip())}\n" if text.strip() else ""


def has(stream: str) -> bool:
    """Return whether streams of a kind are events that can be told."""
    return stream in _TELLERS


def printable(text: str) -> str:
    """Return a text in which nothing commands the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _gemini(record: Mapping[str, object]) -> Iterator[str]:
    kind = record.get("type")
    if kind == "init":
        yield _session(record.get("session_id"), record.get("model"))
    elif kind == "message" and record.get("role") == "assistant":
        yield _text(record.get("content"))
    elif kind == "tool_use":
        yield _call(_text(record.get("tool_name")), record.get("parameters"))
    elif kind == "tool_result":
        is_bad = record.get("status") == "error"
        yield _came_back(_error(record) if is_bad else record.get("output"), is_bad=is_bad)
    elif kind == "error":
        yield f"! {_text(record.get('message'))}"
    elif kind == "result":
        yield _end(record.get("status") == "success", _error(record))


def _claude(record: Mapping[str, object]) -> Iterator[str]:
    kind = record.get("type")
    if kind == "system" and record.get("subtype") == "init":
        yield _session(record.get("session_id"), record.get("model"))
    elif kind in ("assistant", "user"):
        content = _members(record.get("message")).get("content")
        yield _text(content) if kind == "assistant" else ""
        for part in _parts(content):
            yield from _claude_part(part)
    elif kind == "result":
        is_good = record.get("is_error") is not True and record.get("subtype") == "success"
        yield _end(is_good, "" if is_good else _text(record.get("result")) or _text(record.get("subtype")))


def _claude_part(part: Mapping[str, object]) -> Iterator[str]:
    kind = part.get("type")
    if kind == "text":
        yield _text(part.get("text"))
    elif kind == "tool_use":
        yield _call(_text(part.get("name")), part.get("input"))
    elif kind == "tool_result":
        texts = [_text(each.get("text")) for each in _parts(part.get("content"))]
        yield _came_back("\n".join(texts) or part.get("content"), is_bad=part.get("is_error") is True)


def _codex(record: Mapping[str, object]) -> Iterator[str]:
    kind, item = record.get("type"), _members(record.get("item"))
    if kind == "thread.started":
        yield _session(record.get("thread_id"))
    elif kind == "item.started" and item.get("type") in ("command_execution", "mcp_tool_call"):
        yield _call(_text(item.get("tool")) or "shell", item.get("arguments") or item)
    elif kind == "item.completed":
        yield from _codex_item(item)
    elif kind == "turn.completed":
        yield _end(True, "")
    elif kind == "turn.failed":
        yield _end(False, _error(record))
    elif kind == "error":
        yield f"! {_text(record.get('message'))}"


def _codex_item(item: Mapping[str, object]) -> Iterator[str]:
    kind = item.get("type")
    if kind in ("agent_message", "reasoning"):
        yield _text(item.get("text"))
    elif kind == "command_execution":
        yield _came_back(item.get("aggregated_output"), is_bad=item.get("exit_code") not in (0, None))
    elif kind == "file_change":
        changes = item.get("changes")
        for change in _parts(changes):
            yield _call(_text(change.get("kind")) or "change", {"path": change.get("path")})
    elif kind == "error":
        yield f"! {_text(item.get('message'))}"


def _agy(record: Mapping[str, object]) -> Iterator[str]:
    kind = record.get("type")
    if kind == "init":
        yield _session(record.get("conversation_id"))
    elif kind == "step_update":
        yield _text(record.get("text")) or _text(record.get("content"))
    elif "status" in record:
        yield _text(record.get("response"))
        yield _end(record.get("status") == "SUCCESS" and not record.get("error"), _error(record))


_TELLERS: dict[str, Teller] = {"gemini": _gemini, "claude": _claude, "codex": _codex, "agy": _agy}


def _session(*names: object) -> str:
    return f"· session {', '.join(_text(name) for name in names if name)}"


def _call(name: str, given: object) -> str:
    """Return a call of a tool in a line."""
    values = _members(given)
    telling = next((_text(values.get(key)) for key in _TELLING if _text(values.get(key))), "")
    return f"→ {name}: {_short(telling or json.dumps(values, ensure_ascii=False))}" if values else f"→ {name}"


def _came_back(output: object, *, is_bad: bool) -> str:
    """Return what came of a tool in a line: the last one that it printed, which says most often how it went."""
    said = _short(_text(output).strip().rpartition("\n")[2])
    return f"  {'✗' if is_bad else '✓'} {said}".rstrip()


def _end(is_good: object, reason: str) -> str:
    return f"■ {'done' if is_good else 'failed'}{': ' + _short(reason) if reason else ''}"


def _error(record: Mapping[str, object]) -> str:
    error = record.get("error")
    return _text(_members(error).get("message")) or _text(error)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def _parts(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
