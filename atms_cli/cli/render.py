"""Words and tables for people. No library: importing one would cost more than the command."""

from __future__ import annotations

import os

from atms_cli.cli.lines import STATUS_MARKS, one_line
from atms_cli.domain.moment import describe_duration, seconds_between

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Agent, Event, JsonObject, Task

_PRIORITY_STYLES = {"critical": "red", "high": "yellow", "background": "dim"}
_NARROWEST = 20
_SAID = 100
#: Phases that the name of the event does not tell by itself.
_TELLING_PHASES = ("timed_out", "stalled", "released")
#: Ids of a longest way that are shown.
_SHOWN_STEPS = 6


def terminal_width() -> int:
    """Return the columns of the terminal, 100 where there is none."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or 100
    except OSError:
        return 100


def width(text: str) -> int:
    """Return the columns that a text takes; East Asian characters take two."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1 for character in text)


def prose(text: str) -> str:
    """Return a text with its lines as they are, shown as safely as `one_line`."""
    return "\n".join(
        "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line) for line in text.splitlines()
    )


def cut(text: str, columns: int) -> str:
    """Return a text that fits, with an ellipsis where it was cut; one line only."""
    line = one_line(text)
    if width(line) <= columns:
        return line
    kept = ""
    for character in line:
        if width(kept + character) > columns - 1:
            break
        kept += character
    return kept + "…"


def table(call: Call, headers: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]], *, stretch: int) -> str:
    """Return aligned rows of (text, style) under headers; column `stretch` gives way to a narrow terminal."""
    widths = [max([width(header), *(width(row[column][0]) for row in rows)]) for column, header in enumerate(headers)]
    others = sum(widths) - widths[stretch] + 2 * (len(widths) - 1)
    widths[stretch] = min(widths[stretch], max(_NARROWEST, terminal_width() - others))
    lines = [_line(call, [(header, "dim") for header in headers], widths)]
    lines += [_line(call, row, widths) for row in rows]
    return "\n".join(lines)


def _line(call: Call, cells: Sequence[tuple[str, str]], widths: Sequence[int]) -> str:
    parts: list[str] = []
    for (text, style), columns in zip(cells, widths, strict=True):
        shown = cut(text, columns)
        parts.append((call.style(shown, style) if style else shown) + " " * (columns - width(shown)))
    return "  ".join(parts).rstrip()


def status_cell(status: str, blocked: bool = False) -> tuple[str, str]:
    """Return a status with its mark; a queued task that waits for others says so."""
    if blocked and status == "queued":
        return "◌ waiting", "dim"
    mark, style = STATUS_MARKS.get(status, ("", ""))
    return f"{mark} {status.replace('_', ' ')}".strip(), style


def task_table(call: Call, tasks: Sequence[Task]) -> str:
    """Return tasks as a table."""
    rows = [
        (
            (task["id"], "bold"),
            status_cell(task["status"], bool(task.get("blocked_by"))),
            (task["priority"], _PRIORITY_STYLES.get(task["priority"], "")),
            (task["title"], ""),
            (task["assigned_agent"] or "", "dim"),
        )
        for task in tasks
    ]
    return table(call, ("ID", "STATUS", "PRIORITY", "TITLE", "AGENT"), rows, stretch=3)


def pairs(call: Call, values: Sequence[tuple[str, str]]) -> str:
    """Return names and values, aligned, leaving out what is empty."""
    shown = [(name, value) for name, value in values if value]
    widest = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{call.style(name.ljust(widest), 'dim')}  {value}" for name, value in shown)


def task_card(call: Call, task: Mapping[str, object], now: str) -> str:
    """Return everything about a task for a person."""
    attempts = task["attempt_list"] if isinstance(task["attempt_list"], list) else []
    parts = [
        f"{call.style(str(task['id']), 'bold')}  {one_line(str(task['title']))}",
        pairs(call, [(name, one_line(value)) for name, value in _facts(task, now)]),
        prose(str(task["description"])),
        _section(call, "Prompt", prose(str(task["prompt"])).splitlines() if task["prompt"] else []),
        _section(call, "Waits for", [_linked(call, each) for each in records(task["blockers"])]),
        _section(call, "Unblocks", [_linked(call, each) for each in records(task["dependents"])]),
        _section(call, "Done when", [f"- {one_line(each)}" for each in _criteria(task)]),
        _section(call, "Gates", [_verdict(call, each) for each in _gates(task)]),
        _section(call, "Attempts", [_attempt(call, attempt) for attempt in attempts]),
    ]
    return "\n\n".join(part for part in parts if part)


def _criteria(task: Mapping[str, object]) -> list[str]:
    criteria = task["validation_criteria"]
    if not isinstance(criteria, dict):
        return []
    named = [f"gate {name} passes" for name in criteria["gates"]]
    return [*criteria["success_criteria"], *named, *(_check(each) for each in criteria["commands"])]


def _check(command: Mapping[str, Any]) -> str:
    expect = command.get("expect", {})
    codes = expect.get("exit_codes", [0])
    ends = "succeeds" if codes == [0] else f"ends with {' or '.join(map(str, codes))}"
    prints = "".join(f", prints {pattern}" for pattern in expect.get("output", ()))
    return f"`{command['command']}` {ends}{prints}"


def _facts(task: Mapping[str, object], now: str) -> list[tuple[str, str]]:
    lease, effort, recurrence = task["lease"], task["estimated_effort"], task["recurrence"]
    status = str(task["status"]).replace("_", " ")
    return [
        ("status", f"{status}: {task['reason']}" if task["reason"] else status),
        ("priority", str(task["priority"])),
        ("category", f"{task['category']}, {task['complexity']}"),
        ("feature", str(task["feature_id"] or "")),
        ("parent", str(task["parent_id"] or "")),
        ("agent", str(task["assigned_agent"] or task["agent"] or "")),
        ("lease", f"until {lease['expires_at']}" if isinstance(lease, dict) else ""),
        ("lane", str(task["lane"] or "")),
        ("takes", ", ".join(strings(task["required_capabilities"]))),
        ("needs", ", ".join(strings(task["resources"]))),
        ("exclusive", str(task["exclusive"] or "")),
        ("isolation", str(task["isolation"] or "")),
        ("tags", ", ".join(strings(task["tags"]))),
        ("effort", describe_duration(float(effort) * 60) if isinstance(effort, int | float) else ""),
        ("value", str(task["business_value"])),
        ("leaves", ", ".join(_outputs(task["context"]))),
        ("deadline", str(task["deadline"] or "")),
        ("not before", str(task["not_before"] or "") if task["status"] in ("created", "queued", "blocked") else ""),
        ("every", f"{recurrence['cron']}, missed: {recurrence['missed']}" if isinstance(recurrence, dict) else ""),
        ("limits", _limits(task["context"])),
        ("command", str(task["command"] or "")),
        *_impact(task["impact"]),
        *_came_of(task["result"]),
        ("created", f"{task['created_at']} ({describe_duration(seconds_between(str(task['created_at']), now))} ago)"),
        ("completed", str(task["completed_at"] or "")),
    ]


def _outputs(context: object) -> list[str]:
    """Return what a task has to leave."""
    declared = context.get("outputs") if isinstance(context, dict) else None
    return [f"{name} ({path})" if path else name for name, path in (declared or {}).items()]


def _limits(context: object) -> str:
    from atms_cli.domain.footprint import describe_limit

    limits = context.get("constraints") if isinstance(context, dict) else None
    return ", ".join(describe_limit(name, value) for name, value in (limits or {}).items())


def _came_of(result: object) -> list[tuple[str, str]]:
    """Return what a coding agent said and used up, where its work is, and what people said of it."""
    if not isinstance(result, dict):
        return []
    report, merge, usage = result.get("report"), result.get("merge"), result.get("usage")
    said = str(result.get("text") or (report.get("text") if isinstance(report, dict) else "") or "")
    work = came_back(merge) if isinstance(merge, dict) else ""
    review = result.get("review")
    approved = f"by {review['by']} at {review['at']}" if isinstance(review, dict) else ""
    forced = f"by {result.get('by')}: {result['forced']}" if result.get("forced") else ""
    about = [("said", cut(said, _SAID)), *_left(result), ("work", work), ("used", tokens(usage).strip(" ()"))]
    return [*about, ("gates passed over", forced), ("approved", approved), ("note", _note(result, review))]


def _left(result: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what a task has reported, and the files that it has left."""
    from atms_cli.store.jsontext import encode

    reported = result.get("results")
    named = [f"{name}: {encode(value)}" for name, value in reported.items()] if isinstance(reported, dict) else []
    files = [f"{file['name']}: {file['at']} ({file['size']} bytes)" for file in records(result.get("outputs"))]
    return [("reported", cut(", ".join(named), _SAID)), ("left", ", ".join(files))]


def _note(result: Mapping[str, object], review: object) -> str:
    notes = (result.get("note"), review.get("note") if isinstance(review, dict) else None)
    return "; ".join(str(note) for note in notes if note)


def came_back(merge: Mapping[str, object]) -> str:
    """Return where the work of a task is that was done apart."""
    if merge["kind"] == "merged":
        return f"merged into {merge['into']} ({str(merge['commit'])[:10]})"
    reason = f": {one_line(str(merge['reason']))}" if merge.get("reason") else ""
    words = {
        "nothing": "nothing to merge",
        "kept": f"kept on {merge.get('branch')}{reason}",
        "handed_over": f"handed over: {one_line(str(merge.get('said') or merge.get('branch')))}",
        "refused": f"on {merge.get('branch')}, not merged",
    }
    return words.get(str(merge["kind"]), "in its worktree, with conflicts")


def _impact(impact: object) -> list[tuple[str, str]]:
    """Return what hangs on a task, in words."""
    if not isinstance(impact, dict):
        return []
    freed = len(strings(impact["frees"]))
    held = (
        f"{'more than ' if impact['is_more'] else ''}{plural(int(impact['holds_up']), 'task')}; its end frees {freed}"
    )
    way = impact["critical_path"]
    if not isinstance(way, dict):
        return [("holds up", held)]
    path = strings(way["tasks"])
    shown = path if len(path) <= _SHOWN_STEPS else [*path[: _SHOWN_STEPS - 2], "…", path[-1]]
    return [
        ("holds up", held),
        ("longest way", f"{describe_duration(float(way['minutes']) * 60)} of work: {' → '.join(shown)}"),
    ]


def records(value: object) -> list[JsonObject]:
    """Return the objects in a JSON array, none if it is no array."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def strings(value: object) -> list[str]:
    """Return what is in a JSON array as text, none if it is no array."""
    return [str(each) for each in value] if isinstance(value, list) else []


def _section(call: Call, title: str, lines: Sequence[str]) -> str:
    return "\n".join([call.style(title, "dim"), *(f"  {line}" for line in lines)]) if lines else ""


def _linked(call: Call, other: JsonObject) -> str:
    mark, style = STATUS_MARKS[str(other["status"])]
    return f"{call.style(mark, style) if style else mark} {other['id']}  {one_line(str(other['title']))}"


def _gates(task: Mapping[str, object]) -> list[JsonObject]:
    """Return the results of the gates that last judged a task."""
    result = task["result"]
    verdict = result.get("validation") if isinstance(result, dict) else None
    return records(verdict.get("gates")) if isinstance(verdict, dict) else []


def _verdict(call: Call, gate: JsonObject) -> str:
    from atms_cli.cli.gatelines import line

    look = f", see {gate['log']}" if gate["status"] in ("failed", "timeout", "error") and gate["log"] else ""
    return line(call, gate) + look  # type: ignore[arg-type]  # it was a result when it was stored


def _attempt(call: Call, attempt: Mapping[str, object]) -> str:
    ended = attempt["ended_at"]
    took = f" in {describe_duration(seconds_between(str(attempt['started_at']), str(ended)))}" if ended else ""
    words = f"{attempt['number']}. {attempt['phase']}{took} by {attempt['agent']}{far(attempt.get('progress'))}"
    words = f"{words}: {one_line(str(attempt['reason']))}" if attempt["reason"] else words
    return words + call.style(_used(attempt.get("resources")), "dim")


def far(progress: object) -> str:
    """Return how far an attempt has got, in words that go on after others; empty if nobody knows."""
    if not isinstance(progress, dict):
        return ""
    percent, note, doing = progress["percent"], progress["note"], progress["doing"]
    parts = [f"{percent:g} %" if isinstance(percent, int | float) else "", one_line(str(note or ""))]
    parts += [cut(str(doing or ""), _SAID), tokens(progress["usage"]).strip(" ()")]
    known = "; ".join(part for part in parts if part)
    return f": {known}" if known else ""


def _used(resources: object) -> str:
    from atms_cli.domain.footprint import describe_use

    used = describe_use(resources) if isinstance(resources, dict) else ""
    return f"  ({used})" if used else ""


def event_line(call: Call, event: Event) -> str:
    """Return an event in one line: when, what, to what, by whom, and why."""
    reason = event["data"].get("reason") or event["data"].get("title") or _forced(event)
    kind, key, actor = one_line(event["type"]), one_line(event["key"]), one_line(event["actor"])
    words = f"{call.style(event['at'], 'dim')}  {kind:<20}  {call.style(key, 'bold')}  by {actor}"
    phase = event.get("phase")
    marks = ", ".join([
        *([phase] if phase in _TELLING_PHASES else []), *(name for name in ("superseded", "folded") if event.get(name))
    ])  # fmt: skip
    mark = f"  {call.style(f'({marks})', 'dim')}" if marks else ""
    return f"{words}  {cut(str(reason), 100)}".rstrip() + mark


def _forced(event: Event) -> str:
    """Say why gates were passed over, how those that ran came out, or how many events a fold stands for."""
    result, folded = event["data"].get("result"), event["data"].get("events")
    if isinstance(result, dict) and result.get("forced"):
        return f"forced: {result['forced']}"
    ran = [f"{gate.get('name')} {gate.get('status')}" for gate in records(event["data"].get("gates"))]
    return f"{folded} events" if folded else one_line(", ".join(ran))


def agent_table(call: Call, agents: Sequence[Agent]) -> str:
    """Return agents as a table."""
    rows = [
        (
            (agent["name"], "bold"), (agent["status"], "cyan" if agent.get("active") else ""),
            (f"{agent.get('active', 0)}/{agent['max_concurrent']}", ""),
            (agent["kind"], ""), (", ".join(_skills({**agent})), ""), (_notes(agent), "dim"),
        )
        for agent in agents
    ]  # fmt: skip
    return table(call, ("NAME", "STATUS", "TASKS", "KIND", "CAPABILITIES", "NOTES"), rows, stretch=5)


def _notes(agent: Agent) -> str:
    """Return why an agent is halted or disabled, or else what is started."""
    halted, disabled = agent.get("halted"), agent.get("disabled")
    if disabled:
        return one_line(f"disabled: {disabled['reason']}" if disabled["reason"] else "disabled")
    if halted:
        return one_line(f"{halted['reason']}" + (f" until {halted['until']}" if halted["until"] else ""))
    return " ".join(filter(None, (agent["command"], agent["model"])))


def agent_card(call: Call, agent: JsonObject) -> str:
    """Return an agent in words, with how it has done."""
    done = agent["performance"]
    went: Mapping[str, Any] = done if isinstance(done, dict) else {}
    halted, disabled = agent["halted"], agent["disabled"]
    about = disabled if isinstance(disabled, dict) else halted if isinstance(halted, dict) else {}
    why = one_line(str(about.get("reason") or ""))
    rows = [
        ("status", f"{agent['status']}: {why}" if why else str(agent["status"])),
        ("tasks", f"{agent['active']} of {agent['max_concurrent']} at once"),
        ("kind", str(agent["kind"])),
        ("command", str(agent["command"] or "")),
        ("model", str(agent["model"] or "")),
        ("can", ", ".join(_skills(agent))),
        ("takes", _takes(agent)),
        ("rate", str(agent["rate"] or "")),
        ("told by", str(agent["prompt"] or "")),
        ("heard of", str(agent["last_heartbeat"] or "")),
        ("attempts", _went(went)),
        ("took", _took(went)),
        ("gates", _gates_passed(went)),
        ("cost", _cost(went)),
    ]
    return "\n".join(
        [
            call.style(str(agent["name"]), "bold"),
            *(f"  {call.style(name.ljust(8), 'dim')}  {text}" for name, text in rows if text),
        ]
    )


def _skills(agent: Mapping[str, object]) -> list[str]:
    """Return what an agent can do, knows and has."""
    named = [str(agent["specialization"])] if agent["specialization"] else []
    lists = ("capabilities", "languages", "frameworks", "tools")
    return list(dict.fromkeys([*named, *(each for name in lists for each in strings(agent[name]))]))


def _takes(agent: Mapping[str, object]) -> str:
    """Return which tasks an agent takes, if not all."""
    bounds = [
        ", ".join(strings(agent["categories"])),
        f"up to {agent['max_complexity']}" if agent["max_complexity"] else "",
        f"up to priority {agent['max_priority']}" if agent["max_priority"] else "",
    ]
    return "; ".join(bound for bound in bounds if bound)


def _went(went: Mapping[str, Any]) -> str:
    if not went["attempts"]:
        return "none yet"
    named = ", ".join(
        f"{went[name]} {name}" for name in ("succeeded", "failed", "released", "cancelled", "running") if went[name]
    )
    rate = "" if went["success_rate"] is None else f"; {went['success_rate']:.0%} succeeded"
    return f"{plural(went['attempts'], 'attempt')} at {plural(went['tasks'], 'task')}: {named}{rate}"


def _gates_passed(went: Mapping[str, Any]) -> str:
    rate = went["gate_pass_rate"]
    return "" if rate is None else f"{rate:.0%} of {went['gates']} passed"


def performance_table(call: Call, found: Sequence[JsonObject]) -> str:
    """Return how agents do, one a row."""
    rows = []
    for each in found:
        went: Mapping[str, Any] = each
        rates = [("" if went[name] is None else f"{went[name]:.0%}") for name in ("success_rate", "gate_pass_rate")]
        times = ["" if went[name] is None else describe_duration(went[name]) for name in ("median_s", "p90_s")]
        cost = went["cost_per_success_usd"]
        cells = [str(went["attempts"]), str(went["completed"]), rates[0], str(went["retries"]), *times, rates[1]]
        rows.append(
            ((str(went["name"]), "bold"), *((cell, "") for cell in cells), (f"${cost:.2f}" if cost else "", ""))
        )
    headers = ("NAME", "ATTEMPTS", "COMPLETED", "SUCCESS", "RETRIES", "USUALLY", "SLOWEST 10%", "GATES", "COST/TASK")
    return table(call, headers, rows, stretch=0)


def _took(went: Mapping[str, Any]) -> str:
    if went["median_s"] is None:
        return ""
    return f"{describe_duration(went['median_s'])} usually, {describe_duration(went['p90_s'])} for the slowest tenth"


def _cost(went: Mapping[str, Any]) -> str:
    if not went["tokens"]:
        return ""
    each = went["cost_per_success_usd"]
    paid = f", ${went['cost_usd']:.2f}" if went["cost_usd"] else ""
    return f"{went['tokens']} tokens{paid}" + (f", ${each:.2f} for each task completed" if each else "")


def agent_test(call: Call, agent: Agent, launch: JsonObject, variables: Mapping[str, str]) -> str:
    """Return how an agent is started, in words."""
    import shlex

    argv = launch["argv"]
    words = shlex.join([str(word) for word in argv]) if isinstance(argv, list) else ""
    rows = [
        ("agent", f"{agent['name']} ({agent['kind']}, may: {agent['approval']})"),
        ("command", words),
        ("in", str(launch["cwd"])),
    ]
    rows += (
        [("with", " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()))] if variables else []
    )
    rows += [("prompt", "on standard input" if launch["input"] else "as an argument")]
    return "\n".join(f"{call.style(name.ljust(7), 'dim')}  {text}" for name, text in rows)


def tokens(report: object) -> str:
    """Return what an agent used up, in words; empty if it did not say."""
    if not isinstance(report, dict) or not (report.get("input_tokens") or report.get("output_tokens")):
        return ""
    cost = report.get("cost_usd")
    paid = f", ${cost:.4f}" if isinstance(cost, int | float) else ""
    return f" ({report.get('input_tokens', 0)} tokens in, {report.get('output_tokens', 0)} out{paid})"


def plural(count: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
