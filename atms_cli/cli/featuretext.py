"""How features, plans and differences between roadmap and queue look on a terminal."""

from __future__ import annotations

from atms_cli.cli.lines import one_line
from atms_cli.cli.render import cut, plural, prose, records, status_cell, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Json, JsonObject

_STYLES = {
    "suggested": "yellow",
    "approved": "cyan",
    "implemented": "green",
    "failed-implementation": "red",
    "rejected": "dim",
}
#: What comes with a status, in the order in which it is shown.
_DETAILS = ("approved_by", "rejection_reason", "implemented_by", "implementation_notes", "failure_reason")


def listing(call: Call, found: Sequence[JsonObject]) -> str:
    """Return features as a table."""
    rows = [
        (
            (str(feature.get("id")), "bold"), (str(feature.get("status")), _STYLES.get(str(feature.get("status")), "")),
            (str(feature.get("category") or ""), ""), (_progress(feature), ""), (str(feature.get("title")), ""),
        )
        for feature in found
    ]  # fmt: skip
    return table(call, ("ID", "STATUS", "CATEGORY", "TASKS", "TITLE"), rows, stretch=4)


def _progress(feature: Mapping[str, object]) -> str:
    tasks = feature["atms_tasks"]
    if not isinstance(tasks, list) or not tasks:
        return ""
    return f"{sum(task['status'] == 'completed' for task in tasks)}/{len(tasks)}"


def card(call: Call, feature: JsonObject) -> str:
    """Return one feature with its tasks and conflicts."""
    kind = [str(feature[name]) for name in ("status", "category", "priority") if feature.get(name)]
    lines = [
        f"{call.style(str(feature.get('id')), 'bold')}  {one_line(str(feature.get('title')))}",
        ", ".join(kind) or "without status",
    ]
    lines += [f"{name.replace('_', ' ')}: {one_line(str(feature[name]))}" for name in _DETAILS if feature.get(name)]
    lines += [f"\n{prose(str(feature[name]))}" for name in ("description", "business_value") if feature.get(name)]
    for task in records(feature["atms_tasks"]):
        mark, style = status_cell(str(task["status"]))
        lines.append(f"  {call.style(mark, style) if style else mark}  {task['id']}  {cut(str(task['title']), 80)}")
    lines += _conflicts(
        call, [{"feature": feature.get("id"), **each} for each in records(feature.get("atms_conflicts"))]
    )
    return "\n".join(lines)


def planned(call: Call, plans: Sequence[JsonObject]) -> str:
    """Return what features would become."""
    return "\n".join(line for each in plans for line in _plan(call, each))


def _plan(call: Call, each: JsonObject) -> Iterator[str]:
    feature = each["feature"] if isinstance(each["feature"], dict) else {}
    yield f"{call.style(str(feature.get('id')), 'bold')}  {one_line(str(feature.get('title')))}"
    for number, task in enumerate(records(each["tasks"]), start=1):
        after = task["after"] if isinstance(task["after"], list) else []
        behind = "  after " + ", ".join(str(int(str(position)) + 1) for position in after) if after else ""
        details = call.style(f"{task['priority']}{behind}", "dim")
        yield f"  {number}. {cut(str(task['title']), 80)}  {details}"


def counted(call: Call, stats: JsonObject) -> str:
    """Return how many features there are of each kind."""
    lines = [f"{call.style(plural(int(str(stats['total'])), 'feature'), 'bold')}, {stats['with_tasks']} with tasks"]
    for name in ("by_status", "by_category"):
        counts = stats[name]
        lines += [f"  {count!s:>5}  {value}" for value, count in (counts.items() if isinstance(counts, dict) else ())]
    if stats["conflicts"]:
        lines.append(f"{plural(int(str(stats['conflicts'])), 'conflict')} to settle; see: atms feature diff")
    return "\n".join(lines)


def synced(call: Call, report: JsonObject) -> str:
    """Return what a sync has done."""
    created = records(report["created"])
    lines = [
        f"{call.style('+', 'green')} {call.style(str(task['id']), 'bold')}  {one_line(str(task['title']))}"
        for task in created
    ]
    lines += [*_changes(call, report["changed"]), *_writes(call, report["written"])]
    if created:
        lines.append(f"{plural(len(created), 'task')} queued; work on them with: atms run --drain")
    return "\n".join(lines)


def differences(call: Call, found: JsonObject) -> str:
    """Return what a sync would do, what waits for a person, and what is odd in the file."""
    lines: list[str] = []
    for each in records(found["new"]):
        tasks = each["tasks"] if isinstance(each["tasks"], list) else []
        feature = call.style(str(each["feature"]), "bold")
        lines.append(
            f"{call.style('+', 'green')} {feature}  {one_line(str(each['title']))}: {plural(len(tasks), 'task')}"
        )
    lines += [*_changes(call, found["change"]), *_writes(call, found["write"])]
    lines = [*lines, *_conflicts(call, records(found["conflicts"]))] or ["in step"]
    lines += [f"{call.style('!', 'yellow')} {each['path']} {each['problem']}" for each in records(found["problems"])]
    return "\n".join(lines)


def _writes(call: Call, written: Json) -> list[str]:
    return [
        f"{call.style('→', 'cyan')} {call.style(str(each['feature']), 'bold')}  {each['from']} → {each['to']}"
        for each in records(written)
    ]


def _changes(call: Call, changes: Json) -> list[str]:
    return [
        f"{call.style('~', 'yellow')} {call.style(str(each['feature']), 'bold')}  {one_line(str(each['what']))}"
        + _touched(each["tasks"])
        for each in records(changes)
    ]


def _touched(tasks: Json) -> str:
    return f" ({', '.join(map(str, tasks))})" if isinstance(tasks, list) and tasks else ""


def _conflicts(call: Call, found: Sequence[JsonObject]) -> list[str]:
    return [
        f"{call.style('✗', 'red')} {call.style(str(each['feature']), 'bold')}  {each['field']}: the file says {each['theirs']}, "
        f"the queue {each['ours']}; before it was {each['base']}; settle it: atms feature resolve {each['feature']} --take file|queue"
        for each in found
    ]
