"""The queue in words: why a task is where it is, what it waits for, and how the whole is doing."""

from __future__ import annotations

from atms_cli.cli.lines import one_line
from atms_cli.cli.render import cut, pairs, plural, records
from atms_cli.domain.moment import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Json, JsonObject


def _number(value: Json) -> float:
    if not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)


def explained(call: Call, explanation: JsonObject) -> str:
    """Return why a task is where it is."""
    lines = [f"{call.style(str(explanation['id']), 'bold')}  {cut(str(explanation['title']), 80)}"]
    waits = records(explanation["waits_for"])
    for reason in waits:
        until = f" until {reason['until']}" if reason.get("until") and reason["kind"] != "time" else ""
        lines.append(f"  {call.style('◌', 'yellow')} {one_line(str(reason['text']))}{until}")
        lines += [f"    {call.style(str(reason['hint']), 'dim')}"] if reason.get("hint") else []
    for cause in records(explanation["root_causes"]):
        way = cause["path"]
        steps = len(way) - 1 if isinstance(way, list) else 0
        words = f"{plural(steps, 'step')} off, {cause['id']} ({one_line(str(cause['title']))}) holds it up"
        lines.append(f"  {call.style('◌', 'yellow')} {words}: {str(cause['status']).replace('_', ' ')}")
    lines += _place(call, explanation, waits)
    if explanation["status"] == "queued":
        lines.append(f"  {_priority(explanation)}")
    if isinstance(explanation["forecast"], dict):
        is_held = isinstance(explanation["rank"], int) and waits
        lines.append(f"  {'once nothing holds it back: ' if is_held else ''}{_forecast(explanation['forecast'])}")
    return "\n".join(lines)


def _place(call: Call, explanation: JsonObject, waits: Sequence[JsonObject]) -> list[str]:
    rank = explanation["rank"]
    if not isinstance(rank, int):
        return (
            [f"  more than {plural(int(_number(explanation['more_than'])), 'task')} are ahead of it"]
            if "more_than" in explanation
            else []
        )
    ahead = "it is next" if rank == 1 else f"{plural(rank - 1, 'task')} ahead of it"
    nobody = any(each["kind"] == "agent" for each in waits)
    first = [f"{each['id']} ({cut(str(each['title']), 40)})" for each in records(explanation["ahead"])]
    names = f": {', '.join(first)}{', …' if rank - 1 > len(first) else ''}" if first else ""
    can = "be claimed" if nobody else "start"
    return [
        f"  {call.style('→', 'cyan')} it can {can} now; {ahead}{names}" if not waits or nobody else f"  {ahead}{names}"
    ]


def _priority(explanation: JsonObject) -> str:
    base, effective, waited = (
        _number(explanation[name]) for name in ("base_priority", "effective_priority", "waited_s")
    )
    inherited = explanation["inherited"]
    counts = base if inherited is None else _number(inherited)
    urgent = "" if inherited is None else f", {counts:g} for the sake of what waits for it"
    pinned = f"; moved {explanation['pinned']}" if explanation["pinned"] else ""
    return (
        f"priority {explanation['priority']} counts {base:g}{urgent}, waiting {describe_duration(waited)} adds {effective - counts:.2f}: "
        f"{effective:.2f} in all (lane {explanation['lane']}, strategy {explanation['strategy']}{pinned})"
    )


def _forecast(forecast: JsonObject) -> str:
    basis = str(forecast["basis"])
    if not isinstance(forecast["start"], dict):
        return f"no forecast: {basis}"
    words = f"starts {_span(forecast['start'])}"
    words += f", done {_span(forecast['finish'])}" if isinstance(forecast["finish"], dict) else ""
    return f"{words} (from {basis}{'; that is thin' if forecast['thin'] else ''})"


def _span(percentiles: JsonObject) -> str:
    middle, late = _number(percentiles["p50"]), _number(percentiles["p95"])
    if late < 1:
        return "at once"
    return f"in {describe_duration(middle)}, 19 times of 20 within {describe_duration(late)}"


def dead_letters(call: Call, found: Sequence[JsonObject]) -> str:
    """Return tasks that used up their attempts, each with the end of its log."""
    parts = []
    for each in found:
        tried = plural(int(_number(each["attempts"])), "attempt")
        lines = [f"{call.style('✗', 'red')} {call.style(str(each['id']), 'bold')}  {one_line(str(each['title']))}"]
        lines.append(f"  {tried}: {one_line(str(each['reason'] or 'no reason given'))}")
        lines += [f"  {call.style('│', 'dim')} {line}" for line in str(each["log_tail"]).splitlines()]
        parts.append("\n".join(lines))
    if parts:
        parts.append(call.style("→ try again: atms queue retry ID; put out of sight: atms task archive ID", "dim"))
    return "\n".join(parts)


def statistics(call: Call, numbers: JsonObject) -> str:
    """Return the queue's measures."""
    rows = [
        ("size", str(numbers["size"])),
        ("oldest wait", describe_duration(_number(numbers["oldest_wait_s"]))),
        (
            "completed",
            f"{numbers['completed_last_hour']} in the last hour, {numbers['completed_last_day']} in the last day",
        ),
        ("failed", f"{_number(numbers['failure_rate']):.0%} of the last attempts"),
        ("waited", _spread(numbers["wait_s"])),
        ("ran", _spread(numbers["run_s"])),
        ("stuck", str(numbers["stuck"] or "")),
        ("starving", str(numbers["starving"] or "")),
    ]
    return pairs(call, rows)


def _spread(percentiles: Json) -> str:
    if not isinstance(percentiles, dict):
        return ""
    half, most, nearly_all = (describe_duration(_number(percentiles[name])) for name in ("p50", "p80", "p95"))
    return f"half up to {half}, 80 % up to {most}, 95 % up to {nearly_all}"
