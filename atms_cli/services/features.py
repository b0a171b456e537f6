"""FEATURES.json and the queue, kept in step: approved features become tasks, finished tasks become a status."""

from __future__ import annotations

from atms_cli.domain import decisions
from atms_cli.domain import feature as features
from atms_cli.domain.moment import to_iso
from atms_cli.errors import NotFoundError
from atms_cli.services.identity import people_only
from atms_cli.services.tasks import is_draining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import Edit, Fact, JsonObject, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace


def document(ws: Workspace) -> JsonObject:
    """Return the whole roadmap file."""
    found = ws.roadmap.read()
    if found is None:
        raise NotFoundError(
            f"there is no {ws.roadmap.path}", 'make the first suggestion: atms feature suggest "Title" …'
        )
    return found


def everything(ws: Workspace, statuses: Sequence[str]) -> list[JsonObject]:
    """Return the features of the file with the tasks that atms has for each."""
    read = ws.store.reading()
    chosen = [feature for feature in features.listed(document(ws)) if not statuses or feature.get("status") in statuses]
    return [_with_tasks(read, feature) for feature in chosen]


def show(ws: Workspace, feature_id: str) -> JsonObject:
    """Return one feature with its tasks."""
    return _with_tasks(ws.store.reading(), features.find(document(ws), feature_id)[1])


def _with_tasks(read: ReadModel, feature: JsonObject) -> JsonObject:
    state = read.feature(features.text(feature, "id"))
    ids = state["tasks"] if state else []
    own = [read.task(task_id) for task_id in ids]
    listed = [{"id": task["id"], "title": task["title"], "status": task["status"]} for task in own]
    return {**feature, "atms_tasks": listed}


def suggest(ws: Workspace, fields: JsonObject) -> JsonObject:
    """Add a suggestion to the file, which is made if there is none."""
    features.check_suggestion(fields)
    now_ms = ws.clock.now_ms()
    feature_id, now = f"feature_{now_ms}_{ws.ids.token()}", to_iso(now_ms)
    if ws.roadmap.read() is None:
        from atms_cli.domain.feature import skeleton

        ws.roadmap.create(skeleton(ws.root.rstrip("/").rpartition("/")[2], now))
    ws.roadmap.change(lambda found: features.suggest_edits(found, fields, feature_id=feature_id, by=ws.actor, now=now))
    _note(ws, "feature.suggested", feature_id, {"title": fields["title"], "status": "suggested"})
    return show(ws, feature_id)


def approve(ws: Workspace, feature_ids: Sequence[str], notes: str) -> list[JsonObject]:
    """Approve suggestions, all of them or none."""
    people_only(ws, "approve features", "a person decides what is worked on")

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        return features.approve_edits(found, index, by=ws.actor, notes=notes, now=now)

    return _decide_on_each(ws, feature_ids, edits, {"status": "approved", "by": ws.actor, "notes": notes})


def reject(ws: Workspace, feature_ids: Sequence[str], reason: str) -> list[JsonObject]:
    """Reject suggestions, all of them or none."""
    people_only(ws, "reject features", "a person decides what is worked on")

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        return features.reject_edits(found, index, by=ws.actor, reason=reason, now=now)

    return _decide_on_each(ws, feature_ids, edits, {"status": "rejected", "by": ws.actor, "reason": reason})


def _decide_on_each(
    ws: Workspace, feature_ids: Sequence[str], edits: Callable[[JsonObject, int, str], list[Edit]], data: JsonObject
) -> list[JsonObject]:
    now = to_iso(ws.clock.now_ms())
    document(ws)
    decided: list[str] = []

    def decide(found: JsonObject) -> list[Edit]:
        chosen = dict(features.find(found, feature_id) for feature_id in feature_ids)
        decided[:] = [features.text(feature, "id") for feature in chosen.values()]
        return [edit for index in chosen for edit in edits(found, index, now)]

    ws.roadmap.change(decide)
    for feature_id in decided:
        _note(ws, f"feature.{data['status']}", feature_id, data)
    return [show(ws, feature_id) for feature_id in decided]


def _note(ws: Workspace, kind: str, feature_id: str, data: JsonObject) -> None:
    with ws.store.writing(ws.actor) as tx:
        tx.record([(kind, feature_id, data)])


def plan(ws: Workspace, feature_ids: Sequence[str]) -> list[JsonObject]:
    """Return the tasks that features would become, or those they have; nothing is recorded."""
    found, read = document(ws), ws.store.reading()
    chosen = (
        [features.find(found, feature_id)[1] for feature_id in feature_ids] if feature_ids else _unplanned(found, read)
    )
    return [{"feature": feature, "tasks": list(_drafts(found, feature))} for feature in chosen]


def _unplanned(found: JsonObject, read: ReadModel) -> list[JsonObject]:
    approved = [
        feature
        for feature in features.listed(found)
        if feature.get("status") == "approved" and features.text(feature, "id")
    ]
    # Of two features with one id, which only hands can make, the first one counts.
    by_id = {features.text(feature, "id"): feature for feature in reversed(approved)}
    return [by_id[key] for key in reversed(by_id) if not (read.feature(key) or {"tasks": []})["tasks"]]


def _drafts(found: JsonObject, feature: JsonObject) -> list[JsonObject]:
    """Return a feature's tasks as fields: those in the file if it holds any, otherwise derived ones."""
    in_file = features.tasks_in_file(found, features.text(feature, "id"))
    return features.adopt(feature, in_file) if in_file else features.derive(feature)


def diff(ws: Workspace) -> JsonObject:
    """Return what `sync` would do: tasks to be made and statuses to be written."""
    found, read = document(ws), ws.store.reading()
    new = [
        {
            "feature": features.text(feature, "id"),
            "title": feature.get("title"),
            "tasks": [draft["title"] for draft in _drafts(found, feature)],
        }
        for feature in _unplanned(found, read)
    ]
    written = [
        {"feature": feature_id, "from": old, "to": new_status}
        for _, feature_id, old, new_status in _outcomes(found, read)
    ]
    return {
        "file": ws.roadmap.path,
        "new": [each for each in new if each["tasks"]],
        "write": list(written),
    }


def sync(ws: Workspace) -> JsonObject:
    """Bring the queue and the file in step; return what was done."""
    found = document(ws)
    created = _take_in(ws, found)
    return {"file": ws.roadmap.path, "created": list(created), "written": list(write_outcomes(ws, found))}


def _take_in(ws: Workspace, found: JsonObject) -> list[Task]:
    """Make the tasks of approved features that have none yet."""
    if not _unplanned(found, ws.store.reading()):
        return []
    created: list[str] = []
    with ws.store.writing(ws.actor) as tx:
        for feature in _unplanned(found, tx.read):
            created += _enqueue(ws, tx, found, feature)
        return [tx.read.task(task_id) for task_id in created]


def _enqueue(ws: Workspace, tx: Transaction, found: JsonObject, feature: JsonObject) -> list[str]:
    drafts = _drafts(found, feature)
    ids = [ws.ids.task() for _ in drafts]
    facts: list[Fact] = []
    for task_id, draft in zip(ids, drafts, strict=True):
        after = draft.pop("after")
        positions = after if isinstance(after, list) else []
        draft["dependencies"] = [ids[position] for position in positions if isinstance(position, int)]
        facts += decisions.create(task_id, draft, created_by=ws.actor, draft=is_draining(tx, draft))
    if ids:
        tx.record([*facts, features.planned(feature, ids)])
    return ids


def _outcomes(found: JsonObject, read: ReadModel) -> list[tuple[int, str, str, str]]:
    """Return position, id, present and new status of each feature whose tasks have decided it."""
    due: list[tuple[int, str, str, str]] = []
    listed = found.get("features")
    for index, feature in enumerate(listed if isinstance(listed, list) else []):
        if not isinstance(feature, dict):
            continue
        feature_id, status = features.text(feature, "id"), features.text(feature, "status")
        new = features.outcome(read.feature_statuses(feature_id)) if feature_id else None
        if new is not None and features.may_write(status, new):
            due.append((index, feature_id, status, new))
    return due


def write_outcomes(ws: Workspace, found: JsonObject | None = None) -> list[JsonObject]:
    """Write back what became of features; return feature, old and new status of each."""
    read = ws.store.reading()
    present = found if found is not None else ws.roadmap.read()
    if present is None or not _outcomes(present, read):
        return []
    now = to_iso(ws.clock.now_ms())
    written: list[JsonObject] = []

    def decide(fresh: JsonObject) -> list[Edit]:
        due = _outcomes(fresh, read)
        written[:] = [{"feature": feature_id, "from": old, "to": new} for _, feature_id, old, new in due]
        edits: list[Edit] = []
        for index, feature_id, _, new in due:
            edits += features.outcome_edits(fresh, index, new, _evidence(read, feature_id, new), now)
        return edits

    ws.roadmap.change(decide)
    for each in written:
        _note(
            ws,
            "feature.written",
            str(each["feature"]),
            {"status": each["to"], "from": each["from"], "file": ws.roadmap.path},
        )
    return written


def _evidence(read: ReadModel, feature_id: str, status: str) -> str:
    """Say which tasks brought a feature where it is, and which gates passed."""
    state = read.feature(feature_id)
    own = [read.task(task_id) for task_id in (state["tasks"] if state else [])]
    if status == "failed-implementation":
        return "; ".join(
            f"atms task {task['id']} ({task['title']}) failed: {task['reason']}"
            for task in own
            if task["status"] == "failed"
        )
    done = [f"{task['id']} ({task['title']}{_gates_of(task)})" for task in own if task["status"] == "completed"]
    return f"completed by atms: {', '.join(done)}"


def _gates_of(task: Task) -> str:
    verdict = (task["result"] or {}).get("validation")
    gates = verdict.get("gates") if isinstance(verdict, dict) else None
    names = (
        [str(gate["name"]) for gate in gates if isinstance(gate, dict) and gate["status"] == "passed"]
        if isinstance(gates, list)
        else []
    )
    return f"; gates passed: {', '.join(names)}" if names else ""
