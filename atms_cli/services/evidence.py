"""What a feature's implementation rests on: its tasks, who did them, the gates they passed, and the commits they became."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Json, Task
    from atms_cli.ports import ReadModel

_COMMIT_LENGTH = 12


def of(read: ReadModel, feature_id: str, status: str) -> tuple[str, str]:
    """Return who brought a feature where it is, and how."""
    state = read.feature(feature_id)
    own = [read.task(task_id) for task_id in (state["tasks"] if state else [])]
    if status == "failed-implementation":
        failed = [task for task in own if task["status"] == "failed"]
        return "atms", "; ".join(
            f"atms task {task['id']} ({task['title']}) failed: {task['reason']}" for task in failed
        )
    done = [task for task in own if task["status"] == "completed"]
    workers = dict.fromkeys(filter(None, map(_worker, done)))
    return ", ".join(workers) or "atms", f"completed by atms: {', '.join(map(_told, done))}"


def _worker(task: Task) -> str:
    """Return who did a task: its agent, or the person who said that it is done."""
    return task["assigned_agent"] or str((task["result"] or {}).get("by") or "")


def _told(task: Task) -> str:
    result = task["result"] or {}
    about = [task["title"], *_gates(result.get("validation")), *_commit(result.get("merge"))]
    return f"{task['id']} ({'; '.join(about)})"


def _gates(verdict: Json) -> list[str]:
    gates = verdict.get("gates") if isinstance(verdict, dict) else None
    found = [gate for gate in gates if isinstance(gate, dict)] if isinstance(gates, list) else []
    names = [str(gate["name"]) for gate in found if gate["status"] == "passed"]
    return [f"gates passed: {', '.join(names)}"] if names else []


def _commit(merge: Json) -> list[str]:
    commit = merge.get("commit") if isinstance(merge, dict) else None
    return [f"commit {str(commit)[:_COMMIT_LENGTH]}"] if commit else []
