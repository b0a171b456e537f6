"""The worktrees that lie there: what each is kept for, what may go, and whether there is room for more."""

from __future__ import annotations

from atms_cli.domain import retention
from atms_cli.domain.moment import to_iso
from atms_cli.services import isolation
from atms_cli.services.running import to_its_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace


def described(ws: Workspace, trees: Iterable[JsonObject]) -> list[JsonObject]:
    """Return worktrees (system/worktrees.py) with what is known of their tasks, and what becomes of them."""
    read = ws.store.reading()
    return [_described(read, tree) for tree in trees]


def _described(read: ReadModel, tree: JsonObject) -> JsonObject:
    task = _task(read, str(tree["task"]))
    return {
        "task": tree["task"],
        "title": task["title"] if task else None,
        "status": task["status"] if task else None,
        "updated_at": task["updated_at"] if task else None,
        "state": retention.state(task, tree),
        "path": tree["path"],
        "branch": tree["branch"],
        "problem": tree["problem"],
        "size": tree.get("size"),
    }


def _task(read: ReadModel, task_id: str) -> Task | None:
    return read.task(task_id) if read.born(task_id) else None


def survey(ws: Workspace) -> list[JsonObject]:
    """Return all worktrees, with the bytes that they take."""
    trees = ws.worktrees.survey()
    return described(ws, [{**tree, "size": ws.worktrees.size(str(tree["task"]))} for tree in trees])


def measured(ws: Workspace) -> list[JsonObject]:
    """Return what is there; what they take, only if that is limited, for it is much to look at. For any thread."""
    trees = ws.worktrees.survey()
    if ws.config["execution"]["worktrees"]["max_size"] is None:
        return trees
    return [{**tree, "size": ws.worktrees.size(str(tree["task"]))} for tree in trees]


def is_limited(ws: Workspace) -> bool:
    """Return whether only so many worktrees may be kept, or so much in them."""
    limits = ws.config["execution"]["worktrees"]
    return limits["max_count"] is not None or limits["max_size"] is not None


def due(ws: Workspace, found: Iterable[JsonObject]) -> list[JsonObject]:
    """Return those that have been kept long enough."""
    limits, now = ws.config["execution"]["worktrees"], to_iso(ws.clock.now_ms())
    return [each for each in found if retention.is_due(each, limits, now)]


def full(ws: Workspace, found: Sequence[JsonObject]) -> str | None:
    """Return why no new worktree may be made, or None."""
    return retention.full(found, ws.config["execution"]["worktrees"])


def prune(ws: Workspace) -> list[JsonObject]:
    """Remove what may go, however long it has been kept; return that, each with `kept`: why it is still there, or null."""
    removable = [each for each in survey(ws) if each["state"] == "removable"]
    return [{**each, "kept": _removed(ws, str(each["task"]))} for each in removable]


def _removed(ws: Workspace, task_id: str) -> str | None:
    read = ws.store.reading()
    task = _task(read, task_id)
    launch = None if task is None else isolation.teardown(ws, task, ws.ids.run(), ws.ids.token())
    if launch is not None:
        ws.run_files.prepare(str(launch["id"]).partition(".")[0])
        if to_its_end(ws, launch).get("exit_code") != 0:
            return f"its teardown failed; see {launch['output']}"

    def is_wanted() -> bool:
        now = _task(ws.store.reading(), task_id)
        return now is not None and now["status"] in ("queued", "assigned", "in_progress", "validating")

    return ws.worktrees.clean_up(task_id, is_merged=True, is_wanted=is_wanted)
