"""Tasks that the file itself holds for a feature, made by the original program or by hand, and ours that stand for them."""

from __future__ import annotations

from atms_cli.domain import decisions
from atms_cli.domain.breakdown import FILE_PRIORITIES, FINISHED, SUGGESTED
from atms_cli.domain.feature import text
from atms_cli.domain.task import CLOSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atms_cli.domain.merge import Merge
    from atms_cli.domain.records import Fact, JsonObject, Task

#: How conflicts about one of the file's tasks are called, before its id: whether it is done, and its priority.
DONE, PRIORITY = "done.", "priority."
_TEXTS = ("title", "description")
_REMEMBERED = (*_TEXTS, "priority", "status")
_DONE = ("completed", "implemented")


def remembered(file_tasks: Sequence[JsonObject]) -> JsonObject:
    """Return what is kept in step of a feature's tasks in the file, by their ids."""
    return {
        text(task, "id"): {name: text(task, name) for name in _REMEMBERED} for task in file_tasks if text(task, "id")
    }


def merge_file_tasks(
    found: Merge,
    base: JsonObject,
    theirs: JsonObject,
    tasks: Sequence[Task],
    file_tasks: Sequence[JsonObject],
) -> None:
    """Carry what was changed in the file's tasks into ours that stand for them, and find those that are new or done here."""
    before, after = _by_id(base), _by_id(theirs)
    ours = {str(task["metadata"]["properties"].get("external_id")): task for task in tasks}
    for own_id, now in after.items():
        task, was = ours.get(own_id), before.get(own_id, now)
        if task is None:
            continue
        if was != now:
            found.tell(f"changed in the file: its task {own_id}", _fields(found, task, own_id, was, now))
            _merge_status(found, task, own_id, was, now)
        elif task["status"] == "completed" and text(now, "status") not in FINISHED:
            found.write_tasks.append(own_id)
        if task["status"] in CLOSED:
            found.agree(f"{DONE}{own_id}")
        if task["priority"] == FILE_PRIORITIES.get(text(now, "priority")):
            found.agree(f"{PRIORITY}{own_id}")
    fresh = [task for task in file_tasks if text(task, "id") not in before and text(task, "id") not in ours]
    found.adopt += [task for task in fresh if _is_new_work(task)]


def may_be_done_here(theirs: JsonObject, statuses: Iterable[str]) -> bool:
    """Return whether one of the file's tasks may be completed here and not yet there."""
    return "completed" in statuses and any(text(each, "status") not in FINISHED for each in _by_id(theirs).values())


def with_tasks_done(theirs: JsonObject, done: Sequence[str]) -> JsonObject:
    """Return a snapshot as it is once tasks are written as completed."""
    tasks = {
        own_id: {**each, "status": "completed"} if own_id in done else each for own_id, each in _by_id(theirs).items()
    }
    return {**theirs, "tasks": tasks}


def _by_id(fields: JsonObject) -> dict[str, JsonObject]:
    tasks = fields.get("tasks")
    found = tasks if isinstance(tasks, dict) else {}
    return {str(own_id): each for own_id, each in found.items() if isinstance(each, dict)}


def _is_new_work(task: JsonObject) -> bool:
    """Return whether a task of the file is work beyond ours; what the original derives, we have derived ourselves."""
    about = task.get("metadata")
    is_derived = isinstance(about, dict) and about.get("auto_generated") is True
    return bool(text(task, "id")) and not is_derived and text(task, "status") not in FINISHED


def _fields(found: Merge, task: Task, own_id: str, was: JsonObject, now: JsonObject) -> list[Fact]:
    """Return the changes of a task: of texts that both sides changed, the file's win; of priorities, a person decides."""
    changes: JsonObject = {name: now[name] for name in _TEXTS if was.get(name) != now.get(name) and now.get(name)}
    if was.get("priority") != now.get("priority"):
        level, before = FILE_PRIORITIES.get(text(now, "priority")), FILE_PRIORITIES.get(text(was, "priority"), "medium")
        if level is not None and task["priority"] == before:
            changes["priority"] = level
        elif level not in (None, before, task["priority"]):
            found.dispute(f"{PRIORITY}{own_id}", {"base": before, "theirs": level, "ours": task["priority"]})
    return decisions.update(task, changes)


def _merge_status(found: Merge, task: Task, own_id: str, was: JsonObject, now: JsonObject) -> None:
    before, present = text(was, "status"), text(now, "status")
    if before == present:
        return
    why = f"its task {own_id} in the file is {present}"
    is_open = task["status"] not in CLOSED
    if present in _DONE and is_open:
        _finish(found, task, own_id, before)
    elif present in FINISHED and is_open:
        found.tell(why, decisions.cancel(task, why))
    elif present not in FINISHED and before in FINISHED and not is_open:
        found.tell(why, decisions.reopen(task, why))
    elif before in SUGGESTED and present not in SUGGESTED and task["status"] == "created":
        found.tell(why, decisions.enqueue(task))


def _finish(found: Merge, task: Task, own_id: str, before: str) -> None:
    """Complete a task that the file calls completed, unless gates have to judge it: then a person sees to that."""
    if found.is_judged(task):
        found.dispute(f"{DONE}{own_id}", {"base": before, "theirs": "completed", "ours": task["status"]})
        return
    note = f"its task {own_id} in the file is completed"
    found.tell(note, decisions.complete(task, {"by": "the roadmap file", "note": note}, found.now))
