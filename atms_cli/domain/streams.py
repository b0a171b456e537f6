"""What coding agents print while they work, read into one kind of report.

Each reader takes the objects of a stream of JSON lines and keeps what matters of them. Whether an attempt succeeded is never
told by the exit status alone: gemini ends with 0 when it is terminated, and claude calls a refused log-in a success and an
error in one breath. So the last word of the stream, its terminal event, counts too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf

from atms_cli.domain.moment import to_iso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from atms_cli.domain.records import JsonObject

    Reader = Callable[["Report", Mapping[str, object]], None]

_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")
#: Of what an agent says, so much is kept.
_MOST_TEXT = 4000


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

    def to_json(self) -> JsonObject:
        """Return what is worth keeping with the attempt."""
        kept: JsonObject = {name: value for name, value in asdict(self).items() if value not in (None, "", [], 0)}
        return {name: value for name, value in kept.items() if name not in ("is_success", "has_begun")}


def read(stream: str, records: Iterable[object]) -> Report:
    """Return what a stream of that kind told; records that are no objects are passed over."""
    report, reader = Report(), _READERS.get(stream, _plain)
    for record in records:
        if isinstance(record, dict):
            reader(report, record)
    report.text = report.text[-_MOST_TEXT:]
    report.errors = [error[:_MOST_TEXT] for error in report.errors[-5:]]
    return report


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
    if kind == "init":
        report.session = _text(record.get("session_id")) or report.session
        report.model = _text(record.get("model")) or None
    elif kind == "message" and record.get("role") == "assistant":
        said = _text(record.get("content"))
        report.text = report.text + said if record.get("delta") else said
    elif kind == "error":
        report.errors.append(_text(record.get("message")))
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
    elif kind == "assistant":
        error = _text(record.get("error"))
        report.has_begun |= not error
        report.trouble = _CLAUDE_TROUBLE.get(error, report.trouble) if error else None
    elif kind == "rate_limit_event":
        limit = _members(record.get("rate_limit_info"))
        if limit.get("status") == "rejected":
            report.trouble = "rate_limit"
            report.resets_at = _epoch(limit.get("resetsAt")) or report.resets_at
    elif kind == "result":
        _claude_result(report, record)


_CLAUDE_TROUBLE = {
    "authentication_failed": "auth", "rate_limit": "rate_limit", "billing_error": "budget", "server_error": "network",
}  # fmt: skip
_CLAUDE_ENDS = {"error_max_budget_usd": "budget", "error_max_turns": "turns"}
_TOO_MANY_REQUESTS = 429


def _claude_result(report: Report, record: Mapping[str, object]) -> None:
    subtype = _text(record.get("subtype"))
    report.session = _text(record.get("session_id")) or report.session
    report.is_success = record.get("is_error") is not True and subtype == "success"
    report.text = _text(record.get("result"))
    report.turns = _number(record.get("num_turns")) or None
    if not report.is_success:
        report.errors.append(report.text or subtype)
        report.trouble = _CLAUDE_ENDS.get(subtype, report.trouble)
        if record.get("api_error_status") == _TOO_MANY_REQUESTS:
            report.trouble = "rate_limit"
    cost = record.get("total_cost_usd")
    report.cost_usd = float(cost) if _is_amount(cost) else None  # type: ignore[arg-type]
    usage = _members(record.get("usage"))
    read_from_cache = _number(usage.get("cache_read_input_tokens"))
    report.cached_tokens = read_from_cache
    report.input_tokens = (
        _number(usage.get("input_tokens")) + _number(usage.get("cache_creation_input_tokens")) + read_from_cache
    )
    report.output_tokens = _number(usage.get("output_tokens"))


def _codex(report: Report, record: Mapping[str, object]) -> None:
    kind, item = record.get("type"), _members(record.get("item"))
    report.has_begun |= bool(item) and item.get("type") != "error"
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
        report.errors.append(_text(record.get("message")))


def _agy(report: Report, record: Mapping[str, object]) -> None:
    report.session = _text(record.get("conversation_id")) or report.session
    report.has_begun |= record.get("type") == "step_update"
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


_READERS: dict[str, Reader] = {"gemini": _gemini, "claude": _claude, "codex": _codex, "agy": _agy}


def _note_error(report: Report, error: object) -> None:
    said = _text(_members(error).get("message")) or _text(error)
    if said:
        report.errors.append(said)


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
