"""Attempts of `atms run`: which tasks start, with what, and what their ends mean."""

from __future__ import annotations

from dataclasses import dataclass

from atms_cli.domain import agent as agents
from atms_cli.domain import attempt, decisions, gate, lanes, matching, moment, prompt
from atms_cli.services import gates as gate_service
from atms_cli.services.agents import known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Agent, Gate, GateResult, JsonObject, Task, Verdict
    from atms_cli.ports import ReadModel, Transaction, Workspace

#: Tasks looked at for what nobody here can run.
_MOST_CANDIDATES = 1000
_LOG_LINES = 40
OUTPUT = "output.log"


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt that is on record and may now be launched."""

    run: str
    task: Task
    agent: Agent


def workforce(ws: Workspace, read: ReadModel, jobs: int, only: Sequence[str]) -> list[Agent]:
    """Return the agents that may be used: those known and the built-in shell, or only those named."""
    everyone = [agents.shell(jobs), *known(ws, read).values()]
    return [agent for agent in everyone if not only or agent["name"] in only]


def dispatch(ws: Workspace, tx: Transaction, chosen: Sequence[tuple[Task, Agent]]) -> list[Start]:
    """Put the start of attempts on record; they are launched when that is durable."""
    starts: list[Start] = []
    for task, agent in chosen:
        run = ws.ids.run()
        tx.record(decisions.start(task, agent=agent["name"], run=run, blocked_by=()))
        tx.gave(lanes.name_of(task))
        starts.append(Start(run, task, agent))
    return starts


def launch(ws: Workspace, start: Start) -> JsonObject:
    """Return how to start an attempt (system/launch.py), and write its prompt."""
    task, agent, execution = start.task, start.agent, ws.config["execution"]
    prompt_file = "" if task["command"] else _write_prompt(ws, start)
    command = _filled(task["command"] or agent["command"] or "", {
        "{prompt_file}": prompt_file, "{task_id}": task["id"], "{run_id}": start.run, "{workspace}": ws.root,
    })  # fmt: skip
    about = {
        "ATMS_TASK_ID": task["id"], "ATMS_RUN_ID": start.run, "ATMS_WORKSPACE": ws.root, "ATMS_AGENT": agent["name"],
        "ATMS_TASK_TITLE": task["title"], "ATMS_ATTEMPT": str(task["attempts"] + 1), "ATMS_PROMPT_FILE": prompt_file,
        "ATMS_FEATURE_ID": task["feature_id"] or "", **{name: str(value) for name, value in task["context"]["environment"].items()},
    }  # fmt: skip
    own_directory = task["context"]["working_directory"] or "."
    return {
        "id": start.run,
        "argv": ["/bin/sh", "-c", command],
        "cwd": own_directory if own_directory.startswith("/") else f"{ws.root}/{own_directory}",
        "env": gate_service.environment(ws.environ, about),
        "output": ws.run_files.path(start.run, OUTPUT),
        "input": prompt_file or None,
        "timeout_s": task["timeout"] or execution["timeout"],
        "silence_s": execution["silence"],
        "grace_s": execution["grace"],
    }


def _write_prompt(ws: Workspace, start: Start) -> str:
    names = [each["name"] for each in gates_of(ws, start.task) if each["required"]]
    return ws.run_files.write(start.run, "prompt.md", prompt.build(start.task, names, _failure_log(ws, start.task)))


def _filled(command: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders we know; any other brace belongs to the shell or the program."""
    for placeholder, value in values.items():
        command = command.replace(placeholder, value)
    return command


def _failure_log(ws: Workspace, task: Task) -> str:
    """Return the end of what failed last: the gate's output, or the attempt's."""
    result = task["result"] or {}
    log = result.get("log")
    if not isinstance(log, str) or not task["attempts"]:
        return ""
    run, _, name = log.partition("/")
    return ws.run_files.tail(run, name, _LOG_LINES)


def gates_of(ws: Workspace, task: Task) -> list[Gate]:
    """Return the gates that judge a task; one that is no longer defined cannot pass."""
    defined = ws.config["gates"]
    missing = [name for name in task["validation_criteria"]["gates"] if name not in defined]
    found = gate.for_task(defined, [name for name in task["validation_criteria"]["gates"] if name in defined])
    return [*found, *(_undefined(name) for name in missing)]


def _undefined(name: str) -> Gate:
    return {
        "name": name, "kind": "custom", "required": True, "stages": ["task"], "timeout": 10.0, "working_directory": None, "environment": {},
        "command": f"echo 'gate {name} is not defined in atms.yaml' >&2; exit 1",
    }  # fmt: skip


def in_flight(task: Task | None, run: str) -> bool:
    """Return whether a run is still the one that counts for its task."""
    return task is not None and task["run"] == run and task["status"] in ("in_progress", "validating")


def settle(
    ws: Workspace, tx: Transaction, task_id: str, run: str, outcome: JsonObject, *, stopping: bool
) -> list[Gate]:
    """Record how a command ended; return the gates that now have to judge the work, none if it is decided."""
    task = tx.read.task(task_id)
    if not in_flight(task, run):
        return []
    if stopping and outcome["status"] == "killed":
        tx.record(decisions.undo_start(task, "stopped with its loop"))
        return []
    if not attempt.is_success(outcome):
        _failed(ws, tx, task, attempt.describe(outcome), _result(outcome, run, OUTPUT))
        return []
    judges = gates_of(ws, task)
    if judges:
        tx.record(decisions.validate(task))
        return judges
    tx.record(decisions.complete(task, _result(outcome, run, OUTPUT), tx.now))
    return []


def settle_gates(
    ws: Workspace, tx: Transaction, task_id: str, run: str, results: Sequence[GateResult], *, stopping: bool
) -> Verdict:
    """Complete a task whose gates passed; otherwise try again, or give up."""
    task, verdict = tx.read.task(task_id), gate.verdict(results)
    if not in_flight(task, run):
        return verdict
    evidence: JsonObject = {"status": "exited", "exit_code": 0, "run": run, "validation": verdict}
    if verdict["passed"]:
        tx.record(decisions.complete(task, {**evidence, "log": f"{run}/{OUTPUT}"}, tx.now))
    elif stopping:
        tx.record(decisions.undo_start(task, "stopped with its loop"))
    else:
        first = gate.failures(verdict)[0]
        evidence["log"] = "/".join(str(first["log"]).rsplit("/", 2)[-2:])
        _failed(ws, tx, task, gate.summarise(verdict), evidence)
    return verdict


def _failed(ws: Workspace, tx: Transaction, task: Task, reason: str, result: JsonObject) -> None:
    execution = ws.config["execution"]
    wait = attempt.backoff_s(task["attempts"], execution["retry_delay"], execution["retry_delay_max"])
    tx.record(attempt.after_failure(task, reason, result, execution, moment.plus(tx.now, wait)))


def _result(outcome: JsonObject, run: str, log: str) -> JsonObject:
    kept = ("status", "exit_code", "signal", "duration_s", "cpu_s", "max_rss_kb", "error")
    return {
        **{name: outcome[name] for name in kept if outcome.get(name) not in (None, "")},
        "run": run,
        "log": f"{run}/{log}",
    }


def never_began(tx: Transaction, task_id: str, run: str) -> None:
    """Put back a task whose attempt is on record but was not launched before its loop died."""
    task = tx.read.task(task_id)
    if in_flight(task, run):
        tx.record(decisions.undo_start(task, "its loop ended before it began"))


def expire_leases(tx: Transaction) -> None:
    """Return tasks to the queue whose holders have not been heard of in time."""
    for task_id in tx.read.expired(tx.now):
        tx.record(decisions.expire(tx.read.task(task_id), tx.now))


def left_over(read: ReadModel) -> list[Task]:
    """Return the tasks that a loop was at work on; their runs are in doubt until somebody has looked."""
    return [
        task for status in ("in_progress", "validating") for task in read.of_status(status) if task["run"] is not None
    ]


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
