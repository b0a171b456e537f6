"""The roadmap and the work as one: what the file says, what was done here, and what both last agreed on, merged field by field.

What both agreed on is a snapshot of the feature that is remembered as an event. A field that only one side has changed since
is taken from there. Of texts that both changed, the file's wins; the status follows the one transition table; lists are
merged; and what else both changed is a conflict, which waits for a person. Decision 23 says why.
"""

from __future__ import annotations

from atms_cli.domain import breakdown, decisions
from atms_cli.domain.feature import OVER, has_lost, may_write, outcome, status, text
from atms_cli.domain.filetasks import may_be_done_here, merge_file_tasks, remembered
from atms_cli.domain.merge import Merge
from atms_cli.domain.taskstatus import bring_back, give_up, hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from atms_cli.domain.records import Fact, FeatureState, Json, JsonObject, Task

_TEXTS = ("title", "description", "business_value")
#: Of a feature's tasks: what a person may have chosen otherwise, so that there is no telling who is right.
_CHOICES = ("category", "priority")


def snapshot(feature: JsonObject, file_tasks: Sequence[JsonObject]) -> JsonObject:
    """Return what is kept in step of a feature; what is empty is left out."""
    # Of ten thousand features each time anything happens, so without a call for each field.
    taken: JsonObject = {
        name: value for name in (*_TEXTS, *_CHOICES) if (value := feature.get(name)) and isinstance(value, str)
    }
    if words := breakdown.criteria(feature):
        taken["criteria"] = words
    if file_tasks and (tasks := remembered(file_tasks)):
        taken["tasks"] = tasks
    taken["status"] = status(feature)
    return taken


def is_settled(state: FeatureState, theirs: JsonObject | None, statuses: Collection[str]) -> bool:
    """Return whether there is nothing to merge, as of nearly all features nearly always."""
    if theirs is None or theirs != state.get("fields") or state.get("conflicts"):
        return False
    present = theirs["status"]
    if present != "approved" and present not in OVER:
        return False
    if "completed" not in statuses and "failed" not in statuses:
        return True
    wanted = outcome(statuses)
    is_due = wanted not in (None, present) and may_write(str(present), str(wanted))
    return not is_due and not may_be_done_here(theirs, statuses)


def merge(
    state: FeatureState,
    feature: JsonObject | None,
    tasks: Sequence[Task],
    file_tasks: Sequence[JsonObject],
    *,
    now: str,
    is_judged: Callable[[Task], bool],
) -> Merge:
    """Merge one feature that has tasks here; None stands for one that is not in the file any more."""
    found = Merge(state["id"], state.get("conflicts", {}), now, is_judged)
    base = state.get("fields")
    if feature is None:
        known = base or {"title": state["title"], "status": state["status"]}
        theirs: JsonObject = {**known, "status": None}
    else:
        theirs = snapshot(feature, file_tasks)
        base = base or {**theirs, "status": state["status"]}
        _merge_fields(found, state, base, feature, tasks)
        merge_file_tasks(found, base, theirs, tasks, file_tasks)
    _merge_status(found, state, base or theirs, theirs, feature, found.applied(tasks))
    # What is about to be written again is not what others have decided.
    if found.write is not None and found.write == state.get("written"):
        theirs = {**theirs, "status": found.write}
    if theirs != state.get("fields"):
        found.facts.append(("feature.synced", state["id"], {"fields": theirs}))
    return found


def renames(gone: Sequence[FeatureState], fresh: Sequence[JsonObject]) -> list[tuple[FeatureState, JsonObject]]:
    """Return features that are in the file under another id than before: the only ones with their title and description."""
    before: dict[tuple[str, str], list[FeatureState]] = {}
    for state in gone:
        before.setdefault(_face(state.get("fields", {})), []).append(state)
    now: dict[tuple[str, str], list[JsonObject]] = {}
    for feature in fresh:
        now.setdefault(_face(feature), []).append(feature)
    pairs = ((before[face], now[face]) for face in before if face[0] and face in now)
    return [(old[0], new[0]) for old, new in pairs if len(old) == len(new) == 1]


def _face(fields: Mapping[str, Json]) -> tuple[str, str]:
    return text(fields, "title"), text(fields, "description")


def rename(state: FeatureState, new_id: str, tasks: Sequence[Task]) -> list[Fact]:
    """Let tasks follow their feature to its new id."""
    data: JsonObject = {"title": state["title"], "tasks": list(state["tasks"]), "fields": state.get("fields", {})}
    return [
        ("feature.renamed", state["id"], {"to": new_id}),
        ("feature.planned", new_id, data),
        *(fact for task in tasks for fact in decisions.update(task, {"feature_id": new_id})),
    ]


# Fields


def _merge_fields(
    found: Merge, state: FeatureState, base: JsonObject, feature: JsonObject, tasks: Sequence[Task]
) -> None:
    """Carry what the file changed into the tasks that were derived from it."""
    was = {**base, "id": state["id"], "acceptanceCriteria": base.get("criteria")}
    before, after = breakdown.possible(was), breakdown.possible(feature)
    derived = _derived(state, tasks)
    disputed: dict[str, JsonObject] = {}
    for task, old, new in zip(derived, before, after, strict=False):
        changes, open_questions = _merge_task(task, old, new)
        disputed = {**open_questions, **disputed}
        if task["status"] != "archived":
            found.tell(f"changed in the file: {', '.join(changes)}", decisions.update(task, changes))
    _note_disputes(found, disputed, derived, after)


def _derived(state: FeatureState, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that were derived from a feature, in the order in which they were."""
    own = {task["id"]: task for task in tasks if task["metadata"]["properties"].get("auto_generated")}
    return [own[task_id] for task_id in state["tasks"] if task_id in own]


def _merge_task(task: Task, old: JsonObject, new: JsonObject) -> tuple[JsonObject, dict[str, JsonObject]]:
    """Return what changes in a task, and the fields that both sides have changed, with what each made of them."""
    changes: JsonObject = {}
    disputed: dict[str, JsonObject] = {}
    ours: Mapping[str, Json] = {**task}  # type: ignore[dict-item]  # a Task is JSON throughout
    for name in (*_TEXTS, *_CHOICES, "estimated_effort"):
        base, theirs, own = old[name], new[name], ours[name]
        if theirs in (base, own):
            continue
        if own == base or name in _TEXTS:
            changes[name] = theirs
        elif name in _CHOICES:
            disputed[name] = {"base": base, "theirs": theirs, "ours": own}
    changes |= _merge_lists(task, old, new)
    return changes, disputed


def _merge_lists(task: Task, old: JsonObject, new: JsonObject) -> JsonObject:
    skills = merged_list(old["required_capabilities"], new["required_capabilities"], task["required_capabilities"])
    criteria = task["validation_criteria"]
    words = merged_list(_criteria(old), _criteria(new), criteria["success_criteria"])
    changes: JsonObject = {
        "required_capabilities": skills,
        "validation_criteria": {**criteria, "success_criteria": words},
    }
    ours: Mapping[str, Json] = {**task}  # type: ignore[dict-item]  # a Task is JSON throughout
    return {name: value for name, value in changes.items() if value != ours[name]}


def _criteria(draft: JsonObject) -> Json:
    found = draft.get("validation_criteria")
    return found.get("success_criteria", []) if isinstance(found, dict) else []


def merged_list(base: Json, theirs: Json, ours: Sequence[str]) -> list[str]:
    """Return a list with what either side added, and without what either side took away."""
    before, after = _strings(base), _strings(theirs)
    if before == after:
        return list(ours)
    kept = [each for each in after if each not in before or each in ours]
    return kept + [each for each in ours if each not in before and each not in kept]


def _strings(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _note_disputes(
    found: Merge, disputed: Mapping[str, JsonObject], derived: Sequence[Task], after: Sequence[JsonObject]
) -> None:
    pairs = list(zip(derived, after, strict=False))
    for name in _CHOICES:
        if name in disputed:
            found.dispute(name, disputed[name])
        elif all({**task}.get(name) == new[name] for task, new in pairs):
            found.agree(name)


# Status


def _merge_status(
    found: Merge,
    state: FeatureState,
    base: JsonObject,
    theirs: JsonObject,
    feature: JsonObject | None,
    tasks: Sequence[Task],
) -> None:
    before, present = base.get("status"), theirs.get("status")
    wanted = outcome(task["status"] for task in tasks)
    is_news = wanted is not None and wanted not in (present, before if present != before else None)
    if feature is not None and has_lost(state, feature):
        found.write = state["written"]
    elif is_news and may_write(str(present), str(wanted)):
        found.write = wanted
    elif present != before:
        if is_news and wanted == "implemented" and feature is not None:
            found.dispute("status", {"base": before, "theirs": present, "ours": wanted})
        _follow(found, state, before, present, feature, tasks)
    elif present != "approved" and present not in OVER:
        found.tell(*hold(state, _why(feature), tasks))
    if present in ("approved", found.known.get("status", {}).get("ours")):
        found.agree("status")


def _follow(
    found: Merge,
    state: FeatureState,
    before: Json,
    present: Json,
    feature: JsonObject | None,
    tasks: Sequence[Task],
) -> None:
    """Do to the tasks what a decision in the file means for them."""
    if present == "approved":
        found.tell(*bring_back(state, before, tasks))
    elif present in OVER:
        found.tell(*give_up(_why(feature), tasks))
    else:
        found.tell(*hold(state, _why(feature), tasks))


def _why(feature: JsonObject | None) -> str:
    """Say what became of a feature in the file, who did it and why."""
    if feature is None:
        return "its feature is not in the file any more"
    present = status(feature)
    if present == "rejected":
        who, why = text(feature, "rejected_by"), text(feature, "rejection_reason")
        return f"its feature was rejected{f' by {who}' if who else ''}{f': {why}' if why else ''}"
    if present == "implemented":
        who = text(feature, "implemented_by")
        return f"its feature was implemented by {who or 'hand'}, the file says"
    if present == "failed-implementation":
        return f"its feature failed, the file says: {text(feature, 'failure_reason') or 'no reason given'}"
    return f"its feature is `{text(feature, 'status')}` and not approved"
