"""Attempts of `atms run`: which tasks start, with what, and what their ends mean."""

from __future__ import annotations

from dataclasses import dataclass

from atms_cli.domain import agent as agents
from atms_cli.domain import attempt, decisions, driver, gate, lanes, matching, moment, prompt, trouble
from atms_cli.errors import UsageError
from atms_cli.services import budget, drivers, isolation
from atms_cli.services import gates as gate_service
from atms_cli.services.agents import known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Agent, Gate, GateResult, JsonObject, Task, Verdict
    from atms_cli.domain.trouble import Trouble
    from atms_cli.ports import ReadModel, Transaction, Workspace

#: Tasks looked at for what nobody here can run.
_MOST_CANDIDATES = 1000
_LOG_LINES = 40
_LOG_CHARACTERS = 4000
#: Of conflicts, so many files are named.
_MOST_FILES = 5
OUTPUT = "output.log"
#: An agent that fails so often in a row rests, twice as long each time until it gets through: a circuit breaker.
MOST_FAILURES = 5
FAILING_WAIT_S, FAILING_WAIT_MOST_S = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt that is on record and may now be launched."""

    run: str
    task: Task
    agent: Agent


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
        tx.gave(lanes.name_of(task))
        starts.append(Start(run, task, agent))
    return starts


def launch(ws: Workspace, start: Start) -> JsonObject:
    """Return how to start an attempt (system/launch.py), and write its prompt."""
    task, agent, execution = start.task, start.agent, ws.config["execution"]
    used = None if task["command"] else drivers.find(ws, agent["kind"])
    session = drivers.session_of(ws, task, agent, used, start.run)
    text = "" if task["command"] else prompt_of(ws, task, is_continued=not session.is_new)
    prompt_file = ws.run_files.write(start.run, "prompt.md", text) if text else ""
    values = {
        "prompt_file": prompt_file,
        "task_id": task["id"],
        "run_id": start.run,
        "workspace": ws.root,
        "prompt": text,
    }
    tree, is_set_up = ws.worktrees.ensure(task["id"]) if isolation.is_apart(ws, task, agent) else (ws.root, True)
    if used is None:
        argv = ["/bin/sh", "-c", driver.filled(task["command"] or agent["command"] or "", values)]
    else:
        argv = driver.command_line(used, agent, values, session=session.name, is_new=session.is_new)
    about = {
        "ATMS_TASK_ID": task["id"], "ATMS_RUN_ID": start.run, "ATMS_WORKSPACE": ws.root, "ATMS_AGENT": agent["name"],
        "ATMS_TASK_TITLE": task["title"], "ATMS_ATTEMPT": str(task["attempts"] + 1), "ATMS_PROMPT_FILE": prompt_file,
        "ATMS_FEATURE_ID": task["feature_id"] or "", **drivers.variables(agent, used),
        **{name: str(value) for name, value in task["context"]["environment"].items()},
    }  # fmt: skip
    own_directory = task["context"]["working_directory"] or "."
    return {
        "id": start.run,
        "argv": isolation.with_setup(ws, task, argv, is_set_up=is_set_up),
        "cwd": own_directory if own_directory.startswith("/") else f"{tree}/{own_directory}",
        "env": gate_service.environment(ws.environ, about),
        "output": ws.run_files.path(start.run, OUTPUT),
        "input": prompt_file if prompt_file and (used is None or used["stdin"]) else None,
        "timeout_s": task["timeout"] or execution["timeout"],
        "silence_s": execution["silence"],
        "grace_s": execution["grace"],
    }


def prompt_of(ws: Workspace, task: Task, *, is_continued: bool = False) -> str:
    """Return what an agent is told of a task; one that goes on in its session knows the rest."""
    names = [each["name"] for each in gates_of(ws, task) if each["required"]]
    log = _failure_log(ws, task)
    return prompt.go_on(task, log) if is_continued else prompt.build(task, names, log, _results_before(ws, task))


def prompt_for(ws: Workspace, named: str) -> str:
    """Return what an agent would be told of a task if it was started now.

    Raises:
        UsageError: nobody is told anything, since the task is a command.

    """
    task = ws.store.reading().task(ws.store.reading().resolve(named))
    if task["command"]:
        raise UsageError(
            f"`{task['id']}` has a command, so no agent is told anything", f"see: atms task show {task['id']}"
        )
    return prompt_of(ws, task)


def _results_before(ws: Workspace, task: Task) -> list[tuple[str, str]]:
    """Return the titles of the tasks that this one waited for and what their agents said at the end."""
    read = ws.store.reading()
    found = []
    for need in (read.task(each) for each in task["dependencies"] if read.born(each)):
        report = (need["result"] or {}).get("report")
        text = report.get("text") if isinstance(report, dict) else None
        found += [(need["title"], text)] if need["status"] == "completed" and isinstance(text, str) else []
    return found


def _failure_log(ws: Workspace, task: Task) -> str:
    """Return the end of what failed last: the gate's output, or the attempt's."""
    result = task["result"] or {}
    log = result.get("log")
    if not isinstance(log, str) or not task["attempts"]:
        return ""
    run, _, name = log.partition("/")
    if name == OUTPUT and "report" in result:
        # Its events are for programs; what else it printed may say what went wrong.
        return "\n".join(line for line in ws.run_files.events(run, name)[1] if line.strip())[-_LOG_CHARACTERS:]
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


@dataclass(frozen=True, slots=True)
class Settled:
    """What the end of a command means: gates that now have to judge the work, or what was in its agent's way."""

    judges: Sequence[Gate] = ()
    trouble: Trouble | None = None
    #: Whether its branch now has to come back.
    merges: bool = False


def settle(
    ws: Workspace, tx: Transaction, task_id: str, run: str, agent: Agent, outcome: JsonObject, *, stopping: bool
) -> Settled:
    """Record how a command ended; `unresolved` in its outcome are the conflicts that it left in its worktree."""
    task = tx.read.task(task_id)
    if not in_flight(task, run):
        return Settled()
    report, last_words = drivers.report_of(ws, agent, run, OUTPUT)
    result = {**_result(outcome, run, OUTPUT), **drivers.evidence(ws, task, agent, run, report)}
    if stopping and outcome["status"] == "killed":
        tx.record(decisions.undo_start(task, "stopped with its loop", result if "session" in result else None))
        return Settled()
    found = drivers.trouble_of(ws, agent, report, last_words, outcome, tx.now)
    if found is not None:
        _in_trouble(ws, tx, task, agent, found, {**result, "trouble": found.kind} if found.kind != "crash" else result)
        return Settled(trouble=found)
    if agent["name"] in tx.read.switches("halted"):
        tx.record(agents.resume(agent["name"]))
    unresolved = outcome.get("unresolved")
    if isinstance(unresolved, list) and unresolved:
        named = ", ".join(str(place) for place in unresolved[:_MOST_FILES])
        _failed(ws, tx, task, f"conflicts are not resolved: {named}", result)
        return Settled()
    judges, merges = gates_of(ws, task), isolation.is_apart(ws, task, agent)
    if judges or merges:
        tx.record(decisions.validate(task))
        return Settled(judges, merges=not judges)
    tx.record(decisions.complete(task, result, tx.now))
    return Settled()


def _in_trouble(ws: Workspace, tx: Transaction, task: Task, agent: Agent, found: Trouble, result: JsonObject) -> None:
    """Do what a trouble calls for: the agent waits, or the task is tried again, or it is given up."""
    reason = f"{agent['name']}: {found.reason}" if "agent" in result else found.reason
    if _is_given_up(ws, tx, task, reason, result):
        return
    if found.kind in ("rate_limit", "auth", "refused"):
        # It says nothing about the task, so it does not count as an attempt at it.
        times = _times_halted(tx, agent) + 1
        wait = attempt.backoff_s(times, trouble.RATE_LIMIT_WAIT_S, trouble.RATE_LIMIT_WAIT_MOST_S)
        until = (found.resets_at or moment.plus(tx.now, wait)) if found.kind == "rate_limit" else None
        tx.record(agents.halt(agent["name"], found.kind, found.reason, until, times))
        tx.record(decisions.undo_start(task, reason, result))
    elif found.kind == "budget":
        tx.record(decisions.fail(task, reason, _final(result)))
    else:
        _failed(ws, tx, task, reason, result)


def _is_given_up(ws: Workspace, tx: Transaction, task: Task, reason: str, result: JsonObject) -> bool:
    """Give a task up that has used up its budget; return whether it has."""
    usage = result.get("usage")
    spent = budget.of_task(ws, tx.read, task, usage if isinstance(usage, dict) else None)
    if spent is not None:
        tx.record(decisions.fail(task, f"{reason}; {spent}", _final(result)))
    return spent is not None


def _times_halted(tx: Transaction, agent: Agent) -> int:
    times = tx.read.switches("halted").get(agent["name"], {}).get("times")
    return times if isinstance(times, int) else 0


def break_circuit(tx: Transaction, agent: Agent, failures: int) -> bool:
    """Let an agent rest that has failed so many times in a row, longer each time; return whether it does.

    After its rest one failure is enough: the count goes on until it gets through.
    """
    if failures < MOST_FAILURES:
        return False
    times = _times_halted(tx, agent) + 1
    wait = attempt.backoff_s(times, FAILING_WAIT_S, FAILING_WAIT_MOST_S)
    reason = f"{failures} attempts failed in a row"
    tx.record(agents.halt(agent["name"], "failing", reason, moment.plus(tx.now, wait), times))
    return True


def settle_gates(
    ws: Workspace,
    tx: Transaction,
    task_id: str,
    run: str,
    agent: Agent,
    results: Sequence[GateResult],
    *,
    stopping: bool,
) -> Verdict:
    """Complete a task whose gates passed; otherwise try again, or give up."""
    task, verdict = tx.read.task(task_id), gate.verdict(results)
    if not in_flight(task, run):
        return verdict
    report, _ = drivers.report_of(ws, agent, run, OUTPUT)
    told = drivers.evidence(ws, task, agent, run, report)
    evidence: JsonObject = {"status": "exited", "exit_code": 0, "run": run, "validation": verdict, **told}
    if verdict["passed"]:
        if isolation.is_apart(ws, task, agent):
            return verdict
        tx.record(decisions.complete(task, {**evidence, "log": f"{run}/{OUTPUT}"}, tx.now))
    elif stopping:
        tx.record(decisions.undo_start(task, "stopped with its loop"))
    else:
        first = gate.failures(verdict)[0]
        evidence["log"] = "/".join(str(first["log"]).rsplit("/", 2)[-2:])
        if not _is_given_up(ws, tx, task, gate.summarise(verdict), evidence):
            _failed(ws, tx, task, gate.summarise(verdict), evidence)
    return verdict


def settle_merge(
    ws: Workspace, tx: Transaction, task_id: str, run: str, agent: Agent, verdict: Verdict | None, merge: JsonObject
) -> bool:
    """Record how the branch of a task came back; return True if it has to be judged and brought back once more."""
    task = tx.read.task(task_id)
    if not in_flight(task, run):
        return False
    report, _ = drivers.report_of(ws, agent, run, OUTPUT)
    evidence: JsonObject = {
        "status": "exited", "exit_code": 0, "run": run, "log": f"{run}/{OUTPUT}", "merge": merge,
        **({} if verdict is None else {"validation": verdict}), **drivers.evidence(ws, task, agent, run, report),
    }  # fmt: skip
    if merge["kind"] == "again":
        return True
    if merge["kind"] == "conflict":
        files = merge["files"] if isinstance(merge["files"], list) else []
        named = ", ".join(str(name) for name in files[:_MOST_FILES])
        reason = f"{merge['into']} has gone on meanwhile, and merging it conflicts in {named}: resolve the conflict markers there"
        if not _is_given_up(ws, tx, task, reason, evidence):
            _failed(ws, tx, task, reason, evidence)
    elif merge["kind"] == "refused":
        reason = f"it is done and judged, but git would not take it: {merge['detail']}"
        tx.record(decisions.fail(task, reason, _final(evidence)))
    else:
        tx.record(decisions.complete(task, evidence, tx.now))
    return False


def _failed(ws: Workspace, tx: Transaction, task: Task, reason: str, result: JsonObject) -> None:
    execution = ws.config["execution"]
    wait = attempt.backoff_s(task["attempts"], execution["retry_delay"], execution["retry_delay_max"])
    has_attempts_left = task["attempts"] < attempt.limit(task, execution)
    kept = result if has_attempts_left else _final(result)
    tx.record(attempt.after_failure(task, reason, kept, execution, moment.plus(tx.now, wait)))


def _final(result: JsonObject) -> JsonObject:
    """Return the result of a task that is given up: who tries it again begins a new session."""
    return {name: value for name, value in result.items() if name not in ("session", "continued")}


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
