"""Why an agent did not get through, told from its report, its exit code and its last words; and what that means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from atms_cli.domain import attempt, streams
from atms_cli.domain.moment import plus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject
    from atms_cli.domain.streams import Report

#: What a limit that is met again and again lets an agent wait at least, doubling, whatever it says itself.
LEAST_WAIT_S = 1.0
#: rate_limit: wait and try again, uncounted. auth, refused: nobody need try until a person has acted. budget: final.
#: turns: go on in the same session. timeout: final, unless set otherwise. network, stalled, crash: try again after a while.
CLASSES = ("rate_limit", "auth", "refused", "budget", "turns", "timeout", "network", "stalled", "crash")
#: So long an agent waits whose limit does not say when it ends, doubling each time up to the most.
RATE_LIMIT_WAIT_S, RATE_LIMIT_WAIT_MOST_S = 300.0, 3600.0

#: Gemini ends with the HTTP status modulo 256 when its API refuses (429 is 173), and with its own codes before that.
_GEMINI_CODES = {41: "auth", 145: "auth", 147: "auth", 52: "refused", 55: "refused", 53: "turns", 173: "rate_limit"}
#: EX_TEMPFAIL of sysexits.h: try again later.
_PLAIN_CODES = {75: "rate_limit"}
_CODES = {"gemini": _GEMINI_CODES, "plain": _PLAIN_CODES}

#: Words by which agents tell why; the first class with one that was said counts.
_WORDS = {
    "rate_limit": (
        "rate.?limit", "usage limit", "hit your (session |weekly )?limit", "exhausted.{0,30}quota", "quota exceeded",
        "too many requests", "resource_exhausted",
    ),
    "auth": (
        "not logged in", "unauthori[sz]ed", "api key not valid", "(invalid|incorrect) api key", "please (log|sign) in",
        "authentication (failed|error)", "invalid authentication", "set an auth method",
    ),
    "refused": ("not inside a trusted directory", "untrusted", "cannot be used with root"),
    "network": (
        "enotfound", "econnrefused", "econnreset", "etimedout", "eai_again", "network error", "fetch failed", "reconnecting",
        "stream disconnected", "overloaded", "service unavailable", "bad gateway",
    ),
}  # fmt: skip
_SIGNS = tuple((kind, re.compile("|".join(words), re.IGNORECASE)) for kind, words in _WORDS.items())
_IN = re.compile(
    r"(?:try again|retry|resets?) (?:in|after) ((?:\d+(?:\.\d+)?\s*[a-z]+[\s,]*(?:and )?)+)", re.IGNORECASE
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\b", re.IGNORECASE)
#: A time of the day; one with the name of a zone behind it is not this machine's.
_AT = re.compile(
    r"(?:try again at|resets?(?: at)?) (\d{1,2})(?::(\d{2}))?\s*([ap]m)?\b(?!\s*(?:utc|gmt|[a-z]{2,4}t\b|\())",
    re.IGNORECASE,
)
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
#: No limit is believed to last longer.
_LONGEST_WAIT_S = 8 * 86_400
_DAY_MINUTES, _HALF_DAY = 24 * 60, 12


#: How system/spawn.py says that there is no such program.
_MISSING = ("no such program", "not executable")
#: What it is that somebody stopped, when nobody can tell that something else was in the way; such attempts took their time.
_CUT_OFF = {"timed_out": "timeout", "stalled": "stalled", "over_budget": "budget"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was in the way of an attempt."""

    kind: str
    reason: str
    #: When a limit is over, if anybody said so.
    resets_at: str | None = None
    #: Whether the attempt counts all the same, since it took its time.
    counts: bool = False


def find(
    stream: str, report: Report, outcome: JsonObject, last_words: Sequence[str], now: str, minute: int
) -> Trouble | None:
    """Return what was in the way of an attempt, or None if its agent got through.

    `last_words` are the lines at the end of the output that are no events; `minute` is that of the local day.
    """
    has_events, status = streams.has_terminal_event(stream), outcome.get("status")
    # What a command without events prints is its work and says nothing of the agent.
    said = [*report.errors, *(last_words if report.is_success is None else ())] if has_events else []
    if status == "unstartable" and has_events and str(outcome.get("error")).startswith(_MISSING):
        # It is missing for every task.
        return Trouble("refused", attempt.describe(outcome))
    if status != "exited":
        # codex and gemini try to connect for ever.
        cause = (report.trouble or _by_signs(said)) if status in ("timed_out", "stalled") else None
        # What it says last is, without a cause, only that it was interrupted.
        reason = _reason(stream, report, outcome, said) if cause else attempt.describe(outcome)
        return Trouble(cause or _CUT_OFF.get(str(status), "crash"), reason, counts=status in _CUT_OFF)
    code = outcome.get("exit_code")
    if code == 0 and (report.is_success is True or not has_events):
        return None
    kind = report.trouble or _CODES.get(stream, {}).get(code if isinstance(code, int) else 0) or _by_signs(said)
    resets_at = report.resets_at or reset_time(said, now, minute)
    return Trouble(kind or "crash", _reason(stream, report, outcome, said), resets_at if kind == "rate_limit" else None)


def _by_signs(said: Sequence[str]) -> str | None:
    return next((kind for kind, sign in _SIGNS if any(sign.search(text) for text in said)), None)


def _reason(stream: str, report: Report, outcome: JsonObject, said: Sequence[str]) -> str:
    first = next((line.strip() for text in reversed(said) for line in text.splitlines() if line.strip()), "")
    how = attempt.describe(outcome)
    is_mute = outcome.get("status") == "exited" and report.is_success is None
    if streams.has_terminal_event(stream) and is_mute:
        how = f"it ended without saying how it went ({how})"
    return f"{how}: {first[:200]}" if first else how


def reset_time(said: Sequence[str], now: str, minute: int) -> str | None:
    """Return when a limit ends, from words like `try again at 3:06 PM` (local) or `retry in 34s`; None if nobody says."""
    for text in said:
        within = _IN.search(text)
        if within:
            seconds = sum(float(number) * _unit_s(unit.lower()) for number, unit in _PART.findall(within[1]))
            if seconds:
                return plus(now, min(seconds, _LONGEST_WAIT_S))
        at = _AT.search(text)
        if at:
            waits = _minutes_until(at, minute)
            if waits is not None:
                return plus(now, waits * 60)
    return None


def _unit_s(unit: str) -> float:
    return _UNITS_S.get(unit) or _UNITS_S[unit[0]]


def _minutes_until(at: re.Match[str], minute: int) -> int | None:
    hour, half = int(at[1]), (at[3] or "").lower()
    # A number alone says too little, as in `resets 3 counters`.
    if not half and at[2] is None:
        return None
    if half:
        hour = hour % _HALF_DAY + (_HALF_DAY if half == "pm" else 0)
    then = hour * 60 + int(at[2] or 0)
    if then >= _DAY_MINUTES:
        return None
    return (then - minute) % _DAY_MINUTES or _DAY_MINUTES
