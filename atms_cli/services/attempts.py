"""Attempts of `atms run`: which tasks start, with what, by whom, and what holds for them."""

from __future__ import annotations

from dataclasses import dataclass

from atms_cli.domain import agent as agents
from atms_cli.domain import decisions, driver, footprint, gate, lanes, matching
from atms_cli.errors import UsageError
from atms_cli.services import drivers, isolation, outputs, prompts
from atms_cli.services.agents import known
from atms_cli.services.surroundings import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.driver import Driver
    from atms_cli.domain.records import Agent, Gate, JsonObject, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace

#: Tasks looked at for what nobody here can run.
_MOST_CANDIDATES = 1000
OUTPUT = prompts.OUTPUT
#: Names the worktree that an attempt works in; without it, it works in the tree as it is.
_APART = "worktree"


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt that is on record, with what holds for it however settings change meanwhile."""

    run: str
    task: Task  # as it was before
    agent: Agent
    driver: Driver | None
    is_apart: bool


def workforce(ws: Workspace, read: ReadModel, jobs: int, only: Sequence[str]) -> list[Agent]:
    """Return the agents that may be used: those known and the built-in shell, or only those named."""
    everyone = [agents.shell(jobs), *known(ws, read).values()]
    return [agent for agent in everyone if (not only or agent["name"] in only) and _has_driver(ws, agent)]


def _has_driver(ws: Workspace, agent: Agent) -> bool:
    try:
        drivers.find(ws, agent["kind"])
    except UsageError:
        # Said at the start of the loop.
        return False
    return True


def dispatch(ws: Workspace, tx: Transaction, chosen: Sequence[tuple[Task, Agent]]) -> list[Start]:
    """Put the start of attempts on record; they are launched when that is durable."""
    starts: list[Start] = []
    for task, agent in chosen:
        run = ws.ids.run()
        tx.record(decisions.start(task, agent=agent["name"], run=run, blocked_by=()))
        starts.append(begun(ws, run, task, agent))
    for lane in {lanes.name_of(task) for task, _ in chosen}:
        tx.gave(lane)
    return starts


def begun(ws: Workspace, run: str, task: Task, agent: Agent) -> Start:
    """Return an attempt that begins now.

    Raises:
        UsageError: nobody knows how to start such an agent.

    """
    used = None if task["command"] else drivers.find(ws, agent["kind"])
    return Start(run, task, agent, used, isolation.is_apart(ws, task, agent))


def launch(ws: Workspace, start: Start, tree: str, *, is_set_up: bool = True) -> JsonObject:
    """Return how to start an attempt on a tree of files (system/launch.py), and write its prompt."""
    task, agent, execution = start.task, start.agent, ws.config["execution"]
    used = start.driver
    session = drivers.session_of(ws, task, agent, used, start.run)
    text = ""
    if not task["command"]:
        text = prompts.told(ws, task, agent, used, must_pass(ws, task), is_continued=not session.is_new)
    prompt_file = ws.run_files.write(start.run, "prompt.md", text) if text else ""
    values = {
        "prompt_file": prompt_file,
        "task_id": task["id"],
        "run_id": start.run,
        "workspace": ws.root,
        "prompt": text,
    }
    if start.is_apart:
        ws.run_files.write(start.run, _APART, f"{tree}\n")
    if used is None:
        argv = ["/bin/sh", "-c", driver.filled(task["command"] or agent["command"] or "", values)]
    else:
        argv = driver.command_line(used, agent, values, session=session.name, is_new=session.is_new)
    about = {
        "ATMS_TASK_ID": task["id"], "ATMS_RUN_ID": start.run, "ATMS_WORKSPACE": ws.root, "ATMS_AGENT": agent["name"],
        "ATMS_TASK_TITLE": task["title"], "ATMS_ATTEMPT": str(task["attempts"] + 1), "ATMS_PROMPT_FILE": prompt_file,
        "ATMS_FEATURE_ID": task["feature_id"] or "", "ATMS_RESULT": ws.run_files.path(start.run, outputs.RESULT),
        **drivers.variables(agent, used),
        **{name: str(value) for name, value in task["context"]["environment"].items()},
    }  # fmt: skip
    inputs = outputs.given(ws, ws.store.reading(), task, start.run) if task["dependencies"] else ""
    if inputs:
        about["ATMS_INPUTS"] = inputs
    own_directory = task["context"]["working_directory"] or "."
    if start.is_apart and used is not None and used["trust"]:
        home = {**ws.environ, **about}.get("HOME", "")
        ws.trust(home, used["trust"], f"{tree}/{own_directory}")
    return {
        "id": start.run,
        "argv": isolation.with_setup(ws, task, start.run, argv, is_set_up=is_set_up),
        "cwd": own_directory if own_directory.startswith("/") else f"{tree}/{own_directory}",
        "env": environment(ws.environ, about),
        "output": ws.run_files.path(start.run, OUTPUT),
        "input": prompt_file if prompt_file and (used is None or used["stdin"]) else None,
        "timeout_s": task["timeout"] or execution["timeout"],
        "silence_s": execution["silence"],
        "grace_s": execution["grace"],
        "limits": footprint.limits_for(execution["limits"], task["context"]["constraints"]),
        "grouped": execution["cgroup"] == "auto",
        "output_max": execution["log_max"],
    }


def must_pass(ws: Workspace, task: Task) -> list[str]:
    """Return the names of the gates that have to pass before a task is done."""
    return [each["name"] for each in gates_of(ws, task) if each["required"]]


def gates_of(ws: Workspace, task: Task) -> list[Gate]:
    """Return the gates that judge a task; one that is no longer defined cannot pass."""
    defined = ws.config["gates"]
    missing = [name for name in task["validation_criteria"]["gates"] if name not in defined]
    criteria = task["validation_criteria"]
    found = gate.for_task(defined, [name for name in criteria["gates"] if name in defined], criteria["commands"])
    return [*found, *(_undefined(name) for name in missing)]


def _undefined(name: str) -> Gate:
    command = f"echo 'gate {name} is not defined in atms.yaml' >&2; exit 1"
    return {**gate.DEFAULTS, "name": name, "timeout": 10.0, "command": command}  # type: ignore[typeddict-item]


def place(ws: Workspace, run: str) -> str:
    """Return the worktree that an attempt works in, empty if it works in the tree as it is."""
    return ws.run_files.tail(run, _APART, 1)


def in_flight(task: Task | None, run: str) -> bool:
    """Return whether a run is still the one that counts for its task."""
    return task is not None and task["run"] == run and task["status"] in ("in_progress", "validating")


def cannot_run(ws: Workspace, read: ReadModel, force: Sequence[Agent], now: str) -> list[tuple[Task, str]]:
    """Return ready tasks that no agent here may take, with the reason."""
    stranded: list[tuple[Task, str]] = []
    for looked_at, task_id in enumerate(read.ready(ws.config["queue"], now)):
        if looked_at >= _MOST_CANDIDATES:
            break
        task = read.task(task_id)
        reason = why_nobody(force, task)
        if reason is not None:
            stranded.append((task, reason))
    return stranded


def why_nobody(force: Sequence[Agent], task: Task) -> str | None:
    """Return why no agent here may take a task, or None if one may."""
    if matching.may_run(force, task):
        return None
    starters = [agent for agent in force if agent["kind"] != "pull" and agent["name"] != agents.SHELL]
    if not starters:
        return "it has no command, and no agent is there that `atms run` could start"
    return "; ".join(f"{agent['name']}: {matching.refusal(agent, task)}" for agent in starters)
