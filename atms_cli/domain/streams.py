"""What coding agents print while they work, read into one kind of report.

Each reader takes the objects of a stream of JSON lines and keeps what matters of them. Whether an attempt succeeded is never
told by the exit status alone: gemini ends with 0 when it is terminated, and claude calls a refused log-in a success and an
error in one breath. So the last word of the stream, its terminal event, counts too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from atms_cli.domain.moment import to_iso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from atms_cli.domain.records import JsonObject

    Reader = Callable[["Report", Mapping[str, object]], None]

_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")
#: Of what an agent says, so much is kept, and of its errors so many.
_MOST_TEXT = 4000
_MOST_ERRORS = 5
#: Of what it is doing, so much is shown.
_MOST_DOING = 200
#: What is worth keeping with the attempt.
_KEPT = ("session", "model", "text", "errors", "trouble", "resets_at", "turns", *_COUNTS, "cost_usd")


@dataclass(slots=True)
class Report:
    """What a stream told; tokens are those of the whole session if the agent counts so (codex does)."""

    session: str | None = None
    model: str | None = None
    #: True after a terminal event without an error, False after one with; None if there was none.
    is_success: bool | None = None
    #: Whether the agent said or did anything: a session in which nothing happened may not even be kept.
    has_begun: bool = False
    text: str = ""
    errors: list[str] = field(default_factory=list)
    #: Class of an error that the agent names itself (domain/trouble.py).
    trouble: str | None = None
    resets_at: str | None = None
    turns: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None
    #: How many messages and uses of tools there were, and the last of them in words.
    steps: int = 0
    doing: str = ""
    #: What each message has used up, of agents that say so as they go and a sum at the end.
    by_message: dict[str, tuple[int, ...]] = field(default_factory=dict)
    #: Of a session that goes on, what was before does not count.
    since: str = ""

    def to_json(self) -> JsonObject:
        """Return what is worth keeping with the attempt."""
        values = {name: getattr(self, name) for name in _KEPT}
        return {name: value for name, value in values.items() if value not in (None, "", [], 0)}


class Listener:
    """Takes the events of one stream as they come; its report tells at any time what is known until then."""

    def __init__(self, stream: str, report: Report | None = None) -> None:
        self.report = report or Report()
        self._reader = _READERS.get(stream) or _SESSION_READERS.get(stream, _plain)

    def feed(self, record: object) -> None:
        """Take in one event; a record that is no object is passed over."""
        if not isinstance(record, dict):
            return
        report = self.report
        self._reader(report, record)
        report.text = report.text[-_MOST_TEXT:]
        report.errors = report.errors[-_MOST_ERRORS:]


def read(stream: str, records: Iterable[object]) -> Report:
    """Return what a whole stream of that kind told."""
    listener = Listener(stream)
    for record in records:
        listener.feed(record)
    return listener.report


def usage(stream: str, report: Report, before: Mapping[str, object] | None) -> JsonObject:
    """Return the tokens and the cost of one attempt; `before` is the report of the attempt that its session goes on from.

    codex counts from the beginning of a session, the others anew each time.
    """
    earlier = before if before is not None and stream == "codex" else {}
    spent: JsonObject = {name: max(0, getattr(report, name) - _number(earlier.get(name))) for name in _COUNTS}
    if report.cost_usd is not None:
        spent["cost_usd"] = report.cost_usd
    return spent if any(spent.values()) else {}


def carried_on(stream: str, report: Report, before: Mapping[str, object] | None) -> JsonObject:
    """Return what is worth keeping; who counts from the beginning of a session and was cut off is where it was before."""
    kept = report.to_json()
    if before is not None and stream == "codex" and not report.input_tokens:
        kept |= {name: _number(before.get(name)) for name in _COUNTS}
    return kept


def has_terminal_event(stream: str) -> bool:
    """Return whether streams of a kind end with an event that says how it went."""
    return stream in _READERS


def _plain(report: Report, record: Mapping[str, object]) -> None:
    del report, record


def _gemini(report: Report, record: Mapping[str, object]) -> None:
    kind = record.get("type")
    report.has_begun |= kind == "tool_use" or record.get("role") == "assistant"
    if kind == "tool_use":
        _step(report, _tool(record.get("tool_name"), record.get("parameters")))
    elif kind == "tool_result":
        _step(report)
    elif kind == "init":
        report.session = _text(record.get("session_id")) or report.session
        report.model = _text(record.get("model")) or None
    elif kind == "message" and record.get("role") == "assistant":
        said = _text(record.get("content"))
        report.text = report.text + said if record.get("delta") else said
        _step(report, report.text)
    elif kind == "error":
        _note_error(report, record)
    elif kind == "result":
        report.is_success = record.get("status") == "success"
        _note_error(report, record.get("error"))
        stats = _members(record.get("stats"))
        report.input_tokens = _number(stats.get("input_tokens"))
        # `output_tokens` leaves out the thoughts, which are paid for too.
        report.output_tokens = max(0, _number(stats.get("total_tokens")) - report.input_tokens)
        report.cached_tokens = _number(stats.get("cached"))


def _claude(report: Report, record: Mapping[str, object]) -> None:
    kind = record.get("type")
    if kind == "system" and record.get("subtype") == "init":
        report.session = _text(record.get("session_id")) or report.session
        report.model = _text(record.get("model")) or None
    elif kind == "system" and record.get("subtype") == "api_retry":
        # It tries again for minutes; whoever cuts it off should know why.
        report.trouble = _CLAUDE_TROUBLE.get(_text(record.get("error")), report.trouble)
    elif kind == "assistant" and record.get("error"):
        report.trouble = _CLAUDE_TROUBLE.get(_text(record.get("error")), report.trouble)
    elif kind == "assistant":
        report.has_begun, report.trouble = True, None
        _claude_message(report, _members(record.get("message")))
    elif kind == "user":
        _step(report)
    elif kind == "rate_limit_event":
        _claude_limit(report, _members(record.get("rate_limit_info")))
    elif kind == "result":
        _claude_result(report, record)


_CLAUDE_TROUBLE = {
    "authentication_failed": "auth", "rate_limit": "rate_limit", "billing_error": "budget", "server_error": "network",
}  # fmt: skip
_CLAUDE_ENDS = {"error_max_budget_usd": "budget", "error_max_turns": "turns"}
_TOO_MANY_REQUESTS = 429


def _claude_limit(report: Report, limit: Mapping[str, object]) -> None:
    if limit.get("status") == "rejected":
        report.trouble = "rate_limit"
        report.resets_at = _epoch(limit.get("resetsAt")) or report.resets_at


def _claude_message(report: Report, message: Mapping[str, object]) -> None:
    """Note what a message says and does; it comes in parts, each with what the whole of it has used up until then."""
    content = message.get("content")
    for block in content if isinstance(content, list) else ():
        part = _members(block)
        if part.get("type") == "tool_use":
            _step(report, _tool(part.get("name"), part.get("input")))
        elif part.get("type") == "text":
            _step(report, _text(part.get("text")))
    if isinstance(message.get("usage"), dict):
        _count(report, _text(message.get("id")), _claude_tokens(message.get("usage")))


def _claude_tokens(said: object) -> tuple[int, int, int]:
    """Return tokens in, out, and of those that went in, those from the cache."""
    usage = _members(said)
    cached = _number(usage.get("cache_read_input_tokens"))
    fresh = _number(usage.get("input_tokens")) + _number(usage.get("cache_creation_input_tokens"))
    return fresh + cached, _number(usage.get("output_tokens")), cached


def _claude_result(report: Report, record: Mapping[str, object]) -> None:
    subtype = _text(record.get("subtype"))
    report.session = _text(record.get("session_id")) or report.session
    report.is_success = record.get("is_error") is not True and subtype == "success"
    report.text = _text(record.get("result"))
    report.turns = _number(record.get("num_turns")) or None
    if not report.is_success:
        report.errors.append((report.text or subtype)[:_MOST_TEXT])
        report.trouble = _CLAUDE_ENDS.get(subtype, report.trouble)
        if record.get("api_error_status") == _TOO_MANY_REQUESTS:
            report.trouble = "rate_limit"
    cost = record.get("total_cost_usd")
    report.cost_usd = float(cost) if _is_amount(cost) else None  # type: ignore[arg-type]
    if record.get("usage") is not None:
        # What it sums up itself counts, whatever its messages said.
        tokens = _claude_tokens(record.get("usage"))
        report.input_tokens, report.output_tokens, report.cached_tokens = tokens


#: Items that are neither a message nor the use of a tool.
_CODEX_ASIDES = ("error", "reasoning")


def _codex_item(item: Mapping[str, object]) -> str:
    said = _text(item.get("text"))
    return said or _tool(item.get("type"), {name: item.get(name) for name in ("command", "tool", "query")})


def _codex(report: Report, record: Mapping[str, object]) -> None:
    kind, item = record.get("type"), _members(record.get("item"))
    report.has_begun |= bool(item) and item.get("type") != "error"
    if item and item.get("type") not in _CODEX_ASIDES:
        _step(report, _codex_item(item))
    if kind == "thread.started":
        report.session = _text(record.get("thread_id")) or report.session
    elif kind == "item.completed" and item.get("type") == "agent_message":
        report.text = _text(item.get("text"))
    elif kind == "turn.completed":
        # A failed turn before it stays failed.
        report.is_success = report.is_success is not False
        usage = _members(record.get("usage"))
        report.input_tokens = _number(usage.get("input_tokens"))
        report.cached_tokens = _number(usage.get("cached_input_tokens"))
        report.output_tokens = _number(usage.get("output_tokens"))
    elif kind == "turn.failed":
        report.is_success = False
        _note_error(report, record.get("error"))
    elif kind == "error":
        # It reconnects for ever and says so each time: no end, but the reason if there is one.
        _note_error(report, record)


def _agy(report: Report, record: Mapping[str, object]) -> None:
    report.session = _text(record.get("conversation_id")) or report.session
    if record.get("type") == "step_update":
        report.has_begun = True
        _step(report, _text(record.get("text")))
    if record.get("type") not in ("result", None) or "status" not in record:
        return
    report.is_success = record.get("status") == "SUCCESS" and not record.get("error")
    report.text = _text(record.get("response"))
    report.turns = _number(record.get("num_turns")) or None
    _note_error(report, record.get("error"))
    usage = _members(record.get("usage"))
    report.input_tokens = _number(usage.get("input_tokens"))
    report.output_tokens = _number(usage.get("output_tokens")) + _number(usage.get("thinking_tokens"))
    report.cached_tokens = _number(usage.get("cache_read_tokens"))


def _gemini_session(report: Report, record: Mapping[str, object]) -> None:
    """Count what a message has used up, until the output has summed it up."""
    if record.get("type") != "gemini" or report.is_success is not None or _text(record.get("timestamp")) < report.since:
        return
    tokens = _members(record.get("tokens"))
    into = _number(tokens.get("input"))
    _count(
        report,
        _text(record.get("id")),
        (into, max(0, _number(tokens.get("total")) - into), _number(tokens.get("cached"))),
    )


#: Where agents keep their sessions that tell there what they use up, and in their output only at the end: the variable that
#: may name another place than the home directory, the pattern below it, and what reads such a file.
SESSION_LOGS = {"gemini": ("GEMINI_CLI_HOME", ".gemini/tmp/*/chats/session-*-{}.jsonl", "gemini session")}
_SESSION_READERS: dict[str, Reader] = {"gemini session": _gemini_session}
_READERS: dict[str, Reader] = {"gemini": _gemini, "claude": _claude, "codex": _codex, "agy": _agy}


def _count(report: Report, message: str, tokens: tuple[int, int, int]) -> None:
    """Count the tokens of a message, in, out and from the cache; it may be told several times, and only grows."""
    before = report.by_message.get(message, (0, 0, 0))
    now = tuple(max(pair) for pair in zip(before, tokens, strict=True))
    report.by_message[message] = now
    report.input_tokens += now[0] - before[0]
    report.output_tokens += now[1] - before[1]
    report.cached_tokens += now[2] - before[2]


def _step(report: Report, doing: str = "") -> None:
    """Count a message, or the use of a tool, and note it in words if it has any."""
    report.steps += 1
    report.doing = doing[-_MOST_DOING:] or report.doing


def _tool(name: object, given: object) -> str:
    """Return the use of a tool in words: its name, and the first thing that it was given."""
    words = [value for value in _members(given).values() if isinstance(value, str)]
    return ": ".join([_text(name), *words[:1]])[:_MOST_DOING]


def _note_error(report: Report, error: object) -> None:
    said = _text(_members(error).get("message")) or _text(error)
    if said:
        report.errors.append(said[:_MOST_TEXT])


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int:
    return int(value) if _is_amount(value) else 0  # type: ignore[call-overload]


def _is_amount(value: object) -> bool:
    """Return whether a value can be a number of something; JSON as some write it holds NaN and infinities too."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < inf


def _epoch(value: object) -> str | None:
    """Return a time given in seconds since 1970, if it can be one."""
    return to_iso(int(value * 1000)) if isinstance(value, int | float) and 0 < value < _MOST_EPOCH_S else None


#: The year 9999.
_MOST_EPOCH_S = 253_402_300_799
