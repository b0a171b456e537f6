"""Files of attempts that are no longer needed: by age, and by what all of them take together."""

from __future__ import annotations

from atms_cli.domain.task import CLOSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace

#: The loop looks no more often.
_EVERY_S = 3600.0
#: Runs of gates belong to no attempt; younger ones may be going on.
_YOUNG_S = 86_400.0


def tidy_now_and_then(ws: Workspace) -> JsonObject | None:
    """Remove what need not be kept, unless that was done lately."""
    if ws.run_files.tidied(_EVERY_S, ws.clock.now_ms() / 1000):
        return None
    return tidy(ws)


def tidy(ws: Workspace) -> JsonObject:
    """Remove the files of runs that need not be kept, oldest first; return how many, and the bytes they took.

    What happened stays on record; attempts at tasks that go on are left alone.
    """
    execution, now_s = ws.config["execution"], ws.clock.now_ms() / 1000
    found = sorted(ws.run_files.survey(), key=lambda run: run[1])
    total, removed, freed = sum(size for _, _, size in found), 0, 0
    read = ws.store.reading()
    for name, changed_s, size in found:
        age_s = now_s - changed_s
        is_old = execution["logs_keep"] is not None and age_s > execution["logs_keep"]
        is_much = execution["logs_total"] is not None and total - freed > execution["logs_total"]
        if not is_old and not is_much:
            break
        if _may_go(read, name, age_s):
            ws.run_files.remove(name)
            removed, freed = removed + 1, freed + size
    return {"runs": removed, "bytes": freed}


def _may_go(read: ReadModel, run: str, age_s: float) -> bool:
    task_id = read.task_of_run(run)
    if task_id is None:
        return age_s > _YOUNG_S
    task = read.task(task_id)
    return task["status"] in (*CLOSED, "failed") and not _is_waited_for(read, task, run)


def _is_waited_for(read: ReadModel, task: Task, run: str) -> bool:
    """Return whether a run keeps files that a task has left for others that are still open."""
    left = (task["result"] or {}).get("outputs")
    is_kept_here = any(f"/{run}/" in str(file["at"]) for file in left) if isinstance(left, list) else False
    return is_kept_here and bool(read.waiting_on(task["id"]))


def measure(ws: Workspace) -> JsonObject:
    """Return how many runs have files, and the bytes they take."""
    found = ws.run_files.survey()
    return {"runs": len(found), "bytes": sum(size for _, _, size in found)}
