"""Looking into attempts while they go on, or after: which one, where it works, and how its output is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from atms_cli.domain import agent as agents
from atms_cli.errors import AtmsError, NothingToDoError, UsageError
from atms_cli.services import attempts, drivers
from atms_cli.services.agents import known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import Workspace


@dataclass(frozen=True, slots=True)
class Attached:
    """An attempt that goes on."""

    task: str
    title: str
    run: str
    attempt: int
    agent: str
    directory: str
    log: str
    stream: str

    def to_json(self) -> JsonObject:
        """Return it for scripts."""
        return asdict(self)


def attached(ws: Workspace, named: str) -> Attached:
    """Return the attempt at a task that goes on.

    Raises:
        NothingToDoError: there is none that `atms run` has started.

    """
    read = ws.store.reading()
    task = read.task(read.resolve(named))
    run = task["run"]
    if run is None or not attempts.in_flight(task, run):
        raise NothingToDoError(
            f"nothing runs for `{task['id']}`: it is {task['status'].replace('_', ' ')}",
            f"what was printed before: atms task logs {task['id']}",
        )
    return Attached(
        task=task["id"],
        title=task["title"],
        run=run,
        attempt=task["attempts"],
        agent=task["assigned_agent"] or agents.SHELL,
        directory=attempts.place(ws, run) or ws.root,
        log=ws.run_files.path(run, attempts.OUTPUT),
        stream=stream_of(ws, task["id"], None),
    )


def goes_on(ws: Workspace, found: Attached) -> bool:
    """Return whether an attempt still goes on, its gates and its merge included."""
    return attempts.in_flight(ws.store.reading().task(found.task), found.run)


def stream_of(ws: Workspace, named: str, number: int | None) -> str:
    """Return what reads the output of an attempt, the last one unless a number is given; `plain` if it is no events."""
    read = ws.store.reading()
    task = read.task(read.resolve(named))
    if task["command"]:
        return "plain"
    names = [each["agent"] for each in read.attempts(task["id"]) if number is None or each["number"] == number]
    agent = known(ws, read).get(names[-1]) if names else None
    try:
        used = None if agent is None else drivers.find(ws, agent["kind"])
    except UsageError:
        return "plain"
    return "plain" if used is None else used["stream"]


def place(ws: Workspace, named: str) -> str:
    """Return where the work on a task lies: its worktree, or the workspace if an attempt goes on there.

    Raises:
        AtmsError: nothing of it lies anywhere.

    """
    read = ws.store.reading()
    task = read.task(read.resolve(named))
    tree = ws.worktrees.path(task["id"])
    if tree is not None:
        return tree
    if task["run"] is not None and attempts.in_flight(task, task["run"]):
        return ws.root
    raise AtmsError(f"`{task['id']}` has no worktree", f"what it changed: atms task diff {task['id']}")
