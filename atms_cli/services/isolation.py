"""Where attempts work: in the tree as it is, or each task in a git worktree of its own, and how its work comes back."""

from __future__ import annotations

from atms_cli.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, Task
    from atms_cli.ports import Workspace


def is_apart(ws: Workspace, task: Task, agent: Agent) -> bool:
    """Return whether an agent works on a task in a worktree; who names a directory elsewhere works there."""
    own = task["context"]["working_directory"] or ""
    return (agent["isolation"] or ws.config["execution"]["isolation"]) == "worktree" and not own.startswith("/")


def tree_of(ws: Workspace, task: Task, agent: Agent) -> str:
    """Return the root of the files that an attempt works on and gates judge."""
    return (ws.worktrees.path(task["id"]) if is_apart(ws, task, agent) else None) or ws.root


def with_setup(ws: Workspace, task: Task, argv: list[str], *, is_set_up: bool) -> list[str]:
    """Return a command line that makes a new worktree fit for work before it does what it is for."""
    setup = ws.config["execution"]["setup"]
    if setup is None or is_set_up:
        return argv
    # The prompt on standard input is for the agent.
    script = f'( {setup}\n) </dev/null && : > "$0" && exec "$@"'
    return ["/bin/sh", "-c", script, ws.worktrees.ready_file(task["id"]), *argv]


def diff(ws: Workspace, named: str) -> str:
    """Return what the work on a task changes: in its worktree, on its branch, or in what came of it.

    Raises:
        NotFoundError: it was not worked on in a worktree.

    """
    read = ws.store.reading()
    task = read.task(read.resolve(named))
    merge = (task["result"] or {}).get("merge")
    if isinstance(merge, dict) and merge.get("kind") == "merged":
        return ws.worktrees.changes(str(merge["base"]), str(merge["commit"]))
    changes = ws.worktrees.diff(task["id"])
    if changes is None:
        raise NotFoundError(
            f"`{task['id']}` has no worktree and no branch", "work in the shared tree shows in `git diff` and `git log`"
        )
    return changes


def message(task: Task) -> str:
    """Return the message of the commits of a task."""
    return f"{task['title']}\n\nAtms-Task: {task['id']}\n"
