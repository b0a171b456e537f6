"""The loop's reports in words."""

from __future__ import annotations

from atms_cli.cli.lines import one_line
from atms_cli.cli.render import came_back, cut, plural, strings
from atms_cli.domain.moment import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject

#: A title longer than this is cut.
_TITLE_COLUMNS = 60
#: Mark and style of each report.
_MARKS = {
    "started": ("▶", "cyan"),
    "resumed": ("▶", "cyan"),
    "planned": ("+", "green"),
    "due": ("+", "green"),
    "alert": ("!", "yellow"),
    "halted": ("■", "yellow"),
    "offline": ("■", "yellow"),
    "calm": ("✓", "green"),
    "validating": ("◑", "cyan"),
    "merging": ("◑", "cyan"),
    "review": ("◑", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "retried": ("↻", "yellow"),
    "cancelled": ("–", "dim"),
    "feature": ("→", "magenta"),
    "feature_changed": ("~", "magenta"),
    "warning": ("!", "yellow"),
    "stopping": ("■", "yellow"),
}
#: Reports that a live view shows as a state and not as a line.
_TRANSIENT = ("started", "resumed", "progress", "validating", "merging")


def is_transient(report: JsonObject) -> bool:
    """Return whether a report is a state that passes, rather than a result."""
    return report["type"] in _TRANSIENT or (report["type"] == "gate" and report["status"] == "passed")


def line(call: Call, report: JsonObject) -> str:
    """Return a report in words, empty for one that needs none."""
    kind = str(report["type"])
    if kind == "summary":
        return summary(call, report)
    if kind == "run_started":
        return call.style(
            f"atms run: {plural(int(str(report['jobs'])), 'job')} in {report['workspace']}; Ctrl-C finishes what runs",
            "dim",
        )
    if kind == "gate":
        return _gate(call, report)
    if kind == "progress":
        return ""
    if kind == "tidied":
        return call.style(tidied(report), "dim")
    # A task may also have been held, archived or the like while it ran.
    mark, style = _MARKS.get(kind, ("·", "dim"))
    return f"{call.style(mark, style)} {_words(call, kind, report)}"


def tidied(report: JsonObject) -> str:
    """Say which files of attempts were removed."""
    from atms_cli.domain.footprint import describe_size

    size = describe_size(int(str(report["bytes"])))
    return f"removed the files of {plural(int(str(report['runs'])), 'run')} that ended long ago: {size}"


def _gate(call: Call, report: JsonObject) -> str:
    from atms_cli.cli.gatelines import MARKS

    mark, style = MARKS[str(report["status"])]
    reason = f": {one_line(str(report['reason']))}" if report["reason"] else ""
    return f"  {call.style(mark, style)} {report['task']}  gate {report['gate']} {report['status']}{reason}"


def _about_agent(kind: str, report: JsonObject) -> str:
    name = report["agent"]
    if kind == "offline":
        return f"agent {name} has not been heard of since {report['last_heartbeat']}"
    way_on = f"until {report['until']}" if report["until"] else f"go on with: atms agent resume {name}"
    return f"agent {name} gets nothing more ({report['kind']}): {one_line(str(report['reason']))}; {way_on}"


def _words(call: Call, kind: str, report: JsonObject) -> str:
    if kind in ("warning", "stopping", "alert", "feature_changed"):
        return one_line(str(report["text"]))
    if kind in ("halted", "offline"):
        return _about_agent(kind, report)
    if kind == "calm":
        return f"over: {one_line(str(report['text']))}"
    if kind == "feature":
        return f"{report['feature']}  {report['from']} → {report['to']}"
    subject = f"{call.style(str(report['task']), 'bold')}  {cut(str(report['title']), _TITLE_COLUMNS)}"
    seconds = report.get("seconds")
    took = f" in {describe_duration(seconds)}" if isinstance(seconds, int | float) else ""
    if kind in ("retried", "review"):
        return f"{subject}  {_goes_on(call, kind, report)}"
    merge = report.get("merge")
    if kind == "completed" and isinstance(merge, dict):
        took += f", {came_back(merge)}"
    who = f" ({report['agent']})" if report.get("agent") and kind in _TRANSIENT else ""
    why = f": {one_line(str(report['reason']))}" if report.get("reason") else ""
    return f"{subject}  {call.style(f'{kind}{took}{who}', 'dim')}{why}"


def _goes_on(call: Call, kind: str, report: JsonObject) -> str:
    """Say where a task is that has not ended."""
    if kind == "retried":
        return f"{call.style('back in the queue', 'dim')}: {one_line(str(report['reason']))}"
    return f"{call.style('waits for a person', 'dim')}: atms task approve {report['task']}"


def summary(call: Call, report: JsonObject) -> str:
    """Return the closing words: what became of the work and what to do next."""
    parts = [f"{report['completed']} completed"]
    parts += [f"{report[name]} {name}" for name in ("failed", "blocked", "cancelled", "unassigned") if report[name]]
    is_open = report["blocked"] or report["unassigned"] or report["left"]
    style = "red" if report["failed"] else "yellow" if is_open else "green"
    word = "done" if style == "green" and not report["interrupted"] else "ended"
    lines = [call.style(f"{word}: {', '.join(parts)}", style)]
    if report["paused"]:
        lines.append("the queue is paused; go on with: atms queue resume")
    reasons = report["reasons"]
    lines += [f"  nobody can run {one_line(str(reason))}" for reason in (reasons if isinstance(reasons, list) else [])]
    lines += [f"  {one_line(str(limit))}" for limit in strings(report["limits"])]
    left, *out_of_reach = (int(str(report[name])) for name in ("left", "blocked", "unassigned"))
    review = int(str(report["review"]))
    if review:
        lines.append(f"{plural(review, 'task')} in review: atms task list --status review, then atms task approve ID")
    runnable = left - sum(out_of_reach) - review
    if runnable > 0:
        lines.append(f"{plural(runnable, 'task')} left; go on with: atms run --drain")
    if report["failed"]:
        lines.append("see why: atms task list --status failed, then atms task logs ID")
        lines.append("try again: atms task retry ID")
    return "\n".join(lines)
