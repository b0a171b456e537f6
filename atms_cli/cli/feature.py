"""Features: the roadmap that people write and approve."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.cli.lines import one_line
from atms_cli.cli.render import cut, plural, prose, records, status_cell, table
from atms_cli.errors import EXIT_REFUSED
from atms_cli.services import features as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject

_STYLES = {
    "suggested": "yellow",
    "approved": "cyan",
    "implemented": "green",
    "failed-implementation": "red",
    "rejected": "dim",
}


def _workspace(call: Call, path: str | None) -> OpenWorkspace:
    """Return the workspace, looking at another roadmap file if one is named."""
    workspace = call.workspace
    if path is not None:
        workspace.use_roadmap(path)
    return workspace


def list_(call: Call, status: o.FeatureStatuses = None, file: o.FeatureFile = None) -> None:
    """List the features of the roadmap file."""
    found = service.everything(_workspace(call, file), many(status))
    call.answer(found, [str(feature.get("id")) for feature in found], lambda: _table(call, found) if found else "")
    if not found:
        call.say("no features like that")


def _table(call: Call, found: Sequence[JsonObject]) -> str:
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


def show(call: Call, feature_id: o.FeatureId, file: o.FeatureFile = None) -> None:
    """Show a feature and its tasks."""
    _one(call, service.show(_workspace(call, file), feature_id))


def _one(call: Call, feature: JsonObject) -> None:
    call.answer(feature, [str(feature.get("id"))], lambda: _card(call, feature))


def _card(call: Call, feature: JsonObject) -> str:
    lines = [
        f"{call.style(str(feature.get('id')), 'bold')}  {one_line(str(feature.get('title')))}",
        f"{feature.get('status')}, {feature.get('category')}",
    ]
    lines += [f"\n{prose(str(feature[name]))}" for name in ("description", "business_value") if feature.get(name)]
    tasks = feature["atms_tasks"]
    for task in tasks if isinstance(tasks, list) else []:
        if isinstance(task, dict):
            mark, style = status_cell(str(task["status"]))
            lines.append(f"  {call.style(mark, style) if style else mark}  {task['id']}  {cut(str(task['title']), 80)}")
    return "\n".join(lines)


def suggest(
    call: Call,
    title: o.Title,
    description: o.FeatureDescription = None,
    business_value: o.BusinessValue = None,
    category: o.FeatureCategory = None,
    file: o.FeatureFile = None,
) -> None:
    """Suggest a feature; a person approves it before anyone works on it."""
    fields: JsonObject = {
        "title": title, "description": call.text(description), "business_value": call.text(business_value), "category": category,
    }  # fmt: skip
    _one(call, service.suggest(_workspace(call, file), fields))


def approve(call: Call, feature_ids: o.FeatureIds, notes: o.ApprovalNotes = None, file: o.FeatureFile = None) -> None:
    """Approve suggestions, so that they become tasks; people only."""
    _decided(call, service.approve(_workspace(call, file), feature_ids, call.text(notes) or ""))


def reject(call: Call, feature_ids: o.FeatureIds, reason: o.Reason = None, file: o.FeatureFile = None) -> None:
    """Reject suggestions; people only."""
    _decided(call, service.reject(_workspace(call, file), feature_ids, call.text(reason) or "No reason provided"))


def _decided(call: Call, found: Sequence[JsonObject]) -> None:
    document: object = found[0] if len(found) == 1 else found
    call.answer(document, [str(feature.get("id")) for feature in found], lambda: _table(call, found))


def plan(call: Call, feature_ids: o.SomeFeatureIds = None, file: o.FeatureFile = None) -> None:
    """Show the tasks that approved features would become; nothing is changed."""
    plans = service.plan(_workspace(call, file), many(feature_ids))
    call.answer(
        plans,
        [str(_member(each, "feature").get("id")) for each in plans],
        lambda: "\n".join(_planned(call, each) for each in plans),
    )
    if not plans:
        call.say("every approved feature has its tasks already")


def _member(record: JsonObject, name: str) -> JsonObject:
    value = record[name]
    return value if isinstance(value, dict) else {}


def _planned(call: Call, each: JsonObject) -> str:
    feature, tasks = _member(each, "feature"), each["tasks"]
    lines = [f"{call.style(str(feature.get('id')), 'bold')}  {one_line(str(feature.get('title')))}"]
    for number, task in enumerate(tasks if isinstance(tasks, list) else [], start=1):
        if isinstance(task, dict):
            after = task["after"] if isinstance(task["after"], list) else []
            behind = "  after " + ", ".join(str(int(str(position)) + 1) for position in after) if after else ""
            details = call.style(f"{task['priority']}{behind}", "dim")
            lines.append(f"  {number}. {cut(str(task['title']), 80)}  {details}")
    return "\n".join(lines)


def sync(call: Call, check: o.Check = False, file: o.FeatureFile = None) -> int:
    """Make tasks of approved features, and write back what became of features."""
    workspace = _workspace(call, file)
    if check:
        return diff(call, file=file)
    report = service.sync(workspace)
    created, written = records(report["created"]), records(report["written"])
    call.answer(report, [str(task["id"]) for task in created], lambda: _synced(call, created, written))
    return 0


def _synced(call: Call, created: Sequence[JsonObject], written: Sequence[JsonObject]) -> str:
    lines = [
        f"{call.style('+', 'green')} {call.style(str(task['id']), 'bold')}  {one_line(str(task['title']))}"
        for task in created
    ]
    lines += [_written(call, each) for each in written]
    if created:
        lines.append(f"{plural(len(created), 'task')} queued; work on them with: atms run --drain")
    return "\n".join(lines) or "in step already"


def _written(call: Call, each: JsonObject) -> str:
    return f"{call.style('→', 'cyan')} {call.style(str(each['feature']), 'bold')}  {each['from']} → {each['to']}"


def diff(call: Call, file: o.FeatureFile = None) -> int:
    """Show what `sync` would do; exit with 1 if there is something."""
    found = service.diff(_workspace(call, file))
    new, write = records(found["new"]), records(found["write"])
    call.answer(found, [str(each["feature"]) for each in (*new, *write)], lambda: _differences(call, new, write))
    return EXIT_REFUSED if new or write else 0


def _differences(call: Call, new: Sequence[JsonObject], write: Sequence[JsonObject]) -> str:
    lines: list[str] = []
    for each in new:
        tasks = each["tasks"] if isinstance(each["tasks"], list) else []
        title = one_line(str(each["title"]))
        feature = call.style(str(each["feature"]), "bold")
        lines.append(f"{call.style('+', 'green')} {feature}  {title}: {plural(len(tasks), 'task')}")
    lines += [_written(call, each) for each in write]
    return "\n".join(lines) or "in step"
