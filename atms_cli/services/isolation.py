"""Where attempts work: in the tree as it is, or each task in a git worktree of its own, and how its work comes back."""

from __future__ import annotations

from atms_cli.domain import attempt
from atms_cli.errors import NotFoundError
from atms_cli.services import redaction
from atms_cli.services.surroundings import environment

SETUP_LOG, TEARDOWN_LOG, MERGE_LOG = "setup.log", "teardown.log", "merge.log"
#: What an attempt ends with whose worktree could not be set up.
SETUP_FAILED = 121

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, JsonObject, Task
    from atms_cli.ports import Workspace


def is_apart(ws: Workspace, task: Task, agent: Agent) -> bool:
    """Return whether an agent works on a task in a worktree; who names a directory elsewhere works there.

    What the task says beats what its agent says, and that the workspace.
    """
    own = task["context"]["working_directory"] or ""
    said = task["isolation"] or agent["isolation"] or ws.config["execution"]["isolation"]
    return said == "worktree" and not own.startswith("/")


def needs_worktree(ws: Workspace, task: Task, agent: Agent) -> bool:
    """Return whether a worktree has to be made before an agent can work on a task."""
    return is_apart(ws, task, agent) and ws.worktrees.path(task["id"]) is None


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


def hand_over(ws: Workspace, task: Task, run: str, token: str, merge: JsonObject) -> JsonObject:
    """Return how to start the command that takes over the work on a task (system/launch.py); a shell's, or plain words."""
    execution = ws.config["execution"]
    command = execution["merge_command"] or ""
    about = {
        "ATMS_BRANCH": str(merge["branch"]), "ATMS_BASE": str(merge["into"]), "ATMS_COMMIT": str(merge["commit"]),
        "ATMS_TITLE": task["title"], "ATMS_DESCRIPTION": task["description"],
    }  # fmt: skip
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    return _launch(ws, task, run, f"merge.{token}", argv, about, execution["merge_timeout"])


def handed_over(ws: Workspace, task: Task, run: str, merge: JsonObject, outcome: JsonObject) -> JsonObject:
    """Return what came of handing work over, and mask the secrets that were printed.

    The last line may be the address of a pull request.
    """
    redaction.mask(ws, redaction.redactor(ws, task), run, [MERGE_LOG])
    last = ws.run_files.tail(run, MERGE_LOG, 1).strip()
    about: JsonObject = {name: merge[name] for name in ("into", "branch", "commit")}
    about |= {"log": f"{run}/{MERGE_LOG}", "said": last}
    if attempt.is_success(outcome):
        return {"kind": "handed_over", **about}
    ended = f"the merge command: {attempt.describe(outcome)}"
    return {"kind": "refused", **about, "detail": f"{ended}: {last}" if last else ended}


def teardown(ws: Workspace, task: Task, run: str, token: str) -> JsonObject | None:
    """Return how to start what has to be run before a worktree is removed, or None if that is nothing."""
    command = ws.config["execution"]["teardown"]
    if command is None or ws.worktrees.path(task["id"]) is None:
        return None
    argv = ["/bin/sh", "-c", command]
    return _launch(ws, task, run, f"teardown.{token}", argv, {}, ws.config["execution"]["merge_timeout"])


def _launch(
    ws: Workspace, task: Task, run: str, name: str, argv: list[str], about: dict[str, str], timeout_s: float
) -> JsonObject:
    known = {
        "ATMS_TASK_ID": task["id"],
        "ATMS_RUN_ID": run,
        "ATMS_WORKSPACE": ws.root,
        "ATMS_TASK_TITLE": task["title"],
    }
    return {
        "id": f"{run}.{name}",
        "argv": argv,
        "cwd": ws.worktrees.path(task["id"]) or ws.root,
        "env": environment(ws.environ, {**known, **about}),
        "output": ws.run_files.path(run, f"{name.partition('.')[0]}.log"),
        "input": None,
        "timeout_s": timeout_s,
        "silence_s": None,
        "grace_s": ws.config["execution"]["grace"],
        "output_max": ws.config["execution"]["log_max"],
    }


def with_log(ws: Workspace, run: str, merge: JsonObject) -> JsonObject:
    """Return what came of a merge with the text of its conflicts in a file of the run: for whoever has to resolve them."""
    text = merge.get("text")
    if not isinstance(text, str):
        return merge
    ws.run_files.write(run, MERGE_LOG, text)
    return {**{name: value for name, value in merge.items() if name != "text"}, "log": f"{run}/{MERGE_LOG}"}


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
