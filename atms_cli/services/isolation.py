"""Where attempts work: in the tree as it is, or each task in a git worktree of its own, and how its work comes back."""

from __future__ import annotations

from atms_cli.errors import NotFoundError

SETUP_LOG = "setup.log"
#: What an attempt ends with whose worktree could not be set up.
SETUP_FAILED = 121

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, Task
    from atms_cli.ports import Workspace


def is_apart(ws: Workspace, task: Task, agent: Agent) -> bool:
    """Return whether an agent works on a task in a worktree; who names a directory elsewhere works there.

    What the task says beats what its agent says, and that the workspace.
    """
    own = task["context"]["working_directory"] or ""
    said = task["isolation"] or agent["isolation"] or ws.config["execution"]["isolation"]
    return said == "worktree" and not own.startswith("/")


def with_setup(ws: Workspace, task: Task, run: str, argv: list[str], *, is_set_up: bool) -> list[str]:
    """Return a command line that makes a new worktree fit for work before it does what it is for.

    The set-up has a log of its own, and what it cannot do ends in an exit code of its own: neither is the agent's.
    """
    setup = ws.config["execution"]["setup"]
    if setup is None or is_set_up:
        return argv
    # The prompt on standard input is for the agent.
    script = (
        f'( {setup}\n) </dev/null >"$1" 2>&1 || exit {SETUP_FAILED}; : >"$0" || exit {SETUP_FAILED}; shift; exec "$@"'
    )
    return ["/bin/sh", "-c", script, ws.worktrees.ready_file(task["id"]), ws.run_files.path(run, SETUP_LOG), *argv]


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
