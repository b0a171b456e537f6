"""Attempts of `atms run`: which tasks start, with what, and what their ends mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

from atms_cli.domain import agent as agents
from atms_cli.domain import attempt, decisions, driver, footprint, gate, headway, lanes, matching, moment, trouble
from atms_cli.domain.budget import usage_in
from atms_cli.domain.outputs import MOST_BYTES
from atms_cli.errors import AtmsError, UsageError
from atms_cli.services import budget, drivers, isolation, outputs, prompts
from atms_cli.services.agents import known
from atms_cli.services.surroundings import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.driver import Driver
    from atms_cli.domain.hearing import Hearing
    from atms_cli.domain.records import Agent, Gate, JsonObject, Task, Verdict
    from atms_cli.domain.trouble import Trouble
    from atms_cli.ports import ReadModel, Transaction, Workspace
    from atms_cli.services.drivers import Heard

#: Tasks looked at for what nobody here can run.
_MOST_CANDIDATES = 1000
OUTPUT = prompts.OUTPUT
#: Of conflicts, so many files are named.
_MOST_FILES = 5
#: Names the worktree that an attempt works in; without it, it works in the tree as it is.
_APART = "worktree"
#: An agent that fails so often in a row rests, twice as long each time until it gets through: a circuit breaker.
MOST_FAILURES = 5
FAILING_WAIT_S, FAILING_WAIT_MOST_S = 60.0, 3600.0
_NEVER = "9999"
_STOPPED = "stopped with its loop"
#: Trouble that the next attempt should know of, for it has to do better; other trouble says nothing about the work.
_OF_THE_WORK = ("crash", "stalled", "timeout")


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


def taken_up(ws: Workspace, run: str, task: Task, agent: Agent) -> Start:
    """Return an attempt that an earlier loop began.

    Raises:
        UsageError: nobody knows any more how to read such an agent.

    """
    start = begun(ws, run, task, agent)
    return replace(start, is_apart=bool(place(ws, run)))


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


def hear(ws: Workspace, start: Start, hearing: Hearing | None = None, *, is_masked: bool = True) -> Heard:
    """Return what an attempt has printed, of which some may have been heard, and what is kept of that.

    It may take a while, so not in a transaction.
    """
    heard = drivers.hear(ws, start.driver, start.run, OUTPUT, hearing)
    if hearing is not None or not is_masked:
        heard = drivers.masked(heard, redact_for(ws, start))
    told = drivers.evidence(ws, start.task, start.agent, start.driver, start.run, heard.report)
    return replace(heard, told=told, commit=_commit(ws, start) if told.get("usage") else None)


def with_outputs(ws: Workspace, start: Start, heard: Heard) -> Heard:
    """Return what an attempt has printed with what it has left, now that its command has succeeded."""
    reported = ws.run_files.head(start.run, outputs.RESULT, MOST_BYTES + 1)
    if reported:
        reported = _masked(ws, start, reported)
    tree, keep_in = ws.root, None
    if start.is_apart:
        tree, keep_in = ws.worktrees.path(start.task["id"]) or ws.root, start.run
    left = outputs.look(ws, start.task, tree, reported, keep_in)
    return replace(heard, told={**heard.told, **left.kept}, lacks=left.lacks)


def _masked(ws: Workspace, start: Start, reported: bytes) -> bytes:
    """Mask the secrets in what an attempt has reported, also in its file."""
    from atms_cli.services import redaction

    found = redaction.redactor(ws, start.task, start.agent)
    redaction.mask(ws, found, start.run, [outputs.RESULT])
    return found.content(reported)


def _commit(ws: Workspace, start: Start) -> str | None:
    tree = ws.worktrees.path(start.task["id"]) if start.is_apart else ws.root
    return None if tree is None else ws.traces.commit(tree)


def gather(ws: Workspace, start: Start, outcome: JsonObject, hearing: Hearing | None = None) -> Heard:
    """Return what an attempt has left, but for its work if that lies apart."""
    heard = hear(ws, start, hearing, is_masked=_mask_logs(ws, start, outcome))
    if attempt.is_success(outcome):
        heard = with_outputs(ws, start, heard)
    return replace(heard, told={**footprint.measured(outcome), **heard.told})


def _mask_logs(ws: Workspace, start: Start, outcome: JsonObject) -> bool:
    """Mask what secrets an attempt has printed, before anything of that is read; return whether that was possible."""
    logs = [OUTPUT] if outcome.get("output_bytes") != 0 else []
    logs += [isolation.SETUP_LOG] if start.is_apart else []
    # Of one that succeeded it is masked when it is read.
    logs += [] if attempt.is_success(outcome) else [outputs.RESULT]
    if not logs:
        return True
    from atms_cli.services import redaction

    return redaction.mask(ws, redaction.redactor(ws, start.task, start.agent), start.run, logs)


def with_commit(ws: Workspace, start: Start, heard: Heard, result: list[str] | AtmsError) -> Heard:
    """Return what an attempt has left, with what came of committing its work (system/worktree.py)."""
    if isinstance(result, AtmsError):
        return replace(heard, not_committed=redact_for(ws, start)(result.message))
    return replace(heard, unresolved=result, commit=_commit(ws, start) if heard.told.get("usage") else None)


def leaves_work(start: Start, outcome: JsonObject) -> bool:
    """Return whether an attempt that has ended has left work that lies apart and counts."""
    return start.is_apart and outcome.get("exit_code") == 0


def redact_for(ws: Workspace, start: Start) -> Callable[[str], str]:
    """Return what masks secrets in texts of an attempt."""
    from atms_cli.services import redaction

    return redaction.redactor(ws, start.task, start.agent).text


@dataclass(frozen=True, slots=True)
class Settled:
    """What the end of a command means: gates that now have to judge the work, or what was in its agent's way."""

    judges: Sequence[Gate] = ()
    trouble: Trouble | None = None
    #: Whether its branch now has to come back.
    merges: bool = False


def settle(
    ws: Workspace, tx: Transaction, start: Start, heard: Heard, outcome: JsonObject, *, stopping: bool
) -> Settled:
    """Record how a command ended."""
    task, run, agent = tx.read.task(start.task["id"]), start.run, start.agent
    if not in_flight(task, run):
        return Settled()
    result = {**_result(outcome, run, OUTPUT), **heard.told}
    if outcome["status"] == "put_back" or (stopping and outcome["status"] == "killed"):
        why = attempt.describe(outcome) if outcome["status"] == "put_back" else _STOPPED
        _put_back(ws, tx, task, start, heard, why, result)
        return Settled()
    is_set_up = not start.is_apart or outcome.get("exit_code") != isolation.SETUP_FAILED
    tally = _headway(start, heard, None)
    found = drivers.trouble_of(ws, agent, start.driver, heard, outcome, tx.now) if is_set_up else None
    if found is not None:
        _in_trouble(ws, tx, task, start, found, {**result, **tally})
        return Settled(trouble=found)
    if is_set_up:
        _let_go_on(tx, agent)
    else:
        result["log"] = f"{run}/{isolation.SETUP_LOG}"
    reason = _why_not_taken(heard) if is_set_up else _why_not_set_up(ws, run)
    if reason is not None:
        result |= tally
        if not _is_given_up(ws, tx, task, reason, result):
            _failed(ws, tx, task, reason, result)
        return Settled()
    return _done(ws, tx, task, start, result)


def _done(ws: Workspace, tx: Transaction, task: Task, start: Start, result: JsonObject) -> Settled:
    """Record that a command did what it should; its gates, and then its way back, come next if there are any."""
    judges = gates_of(ws, task)
    if not judges and not start.is_apart:
        tx.record(decisions.complete(task, result, tx.now))
        return Settled()
    tx.record(decisions.validate(task))
    if not judges:
        tx.record(decisions.merging(task))
    return Settled(judges, merges=not judges)


def _put_back(
    ws: Workspace, tx: Transaction, task: Task, start: Start, heard: Heard, reason: str, result: JsonObject
) -> None:
    """Put a task back whose attempt was stopped through no fault of its own, with the session to go on in and what it has cost."""
    result |= _headway(start, heard, None)
    if not _is_given_up(ws, tx, task, reason, result):
        is_worth_keeping = "session" in result or result.get("usage")
        tx.record(decisions.undo_start(task, reason, result if is_worth_keeping else None))


def _headway(start: Start, heard: Heard, verdict: Verdict | None) -> JsonObject:
    """Return what is kept of what a task has cost without getting anywhere, if its attempts cost anything."""
    usage, before = usage_in(heard.told), (start.task["result"] or {}).get("headway")
    if not usage and not before:
        return {}
    known = before if isinstance(before, dict) else {}
    return {"headway": headway.after(known, usage or {}, verdict, heard.commit)}


def _why_not_set_up(ws: Workspace, run: str) -> str:
    last = ws.run_files.tail(run, isolation.SETUP_LOG, 1)
    return f"its worktree could not be set up: {last}" if last else "its worktree could not be set up"


def _why_not_taken(heard: Heard) -> str | None:
    if heard.not_committed is not None:
        return f"its work cannot be taken: {heard.not_committed}"
    if heard.unresolved:
        return f"conflicts are not resolved: {', '.join(heard.unresolved[:_MOST_FILES])}"
    return heard.lacks


def _let_go_on(tx: Transaction, agent: Agent) -> None:
    """Forget a halt that is over, now that its agent has got through."""
    about = tx.read.switches("halted").get(agent["name"])
    if not agents.is_halted(about, tx.now):
        tx.record(agents.resume(agent["name"], about))


def _in_trouble(ws: Workspace, tx: Transaction, task: Task, start: Start, found: Trouble, result: JsonObject) -> None:
    """Do what a trouble calls for: the agent waits, or the task is tried again, or it is given up."""
    agent = start.agent
    reason = f"{agent['name']}: {found.reason}" if "agent" in result else found.reason
    is_agents = found.kind in ("rate_limit", "auth", "refused")
    if is_agents:
        _halt(tx, agent, found)
    result = {**result, **({} if found.kind in _OF_THE_WORK else {"trouble": found.kind})}
    if found.kind == "budget":
        tx.record(decisions.fail(task, reason, _final(result)))
    elif _is_given_up(ws, tx, task, reason, result):
        return
    elif is_agents and not found.counts:
        # It says nothing about the task: not an attempt at it, and what was in the way before still is.
        tx.record(decisions.undo_start(task, reason, {**result, **_still_in_the_way(start.task)}))
    elif found.kind == "timeout" and ws.config["execution"]["on_timeout"] == "fail":
        tx.record(decisions.fail(task, f"{reason}, which is final (execution.on_timeout)", _final(result)))
    else:
        _failed(ws, tx, task, reason, result)


def _still_in_the_way(task: Task) -> JsonObject:
    """Return what an agent has to be told when it goes on after a limit: what was wrong before."""
    last = task["result"] or {}
    was = last.get("was") if last.get("trouble") else task["reason"]
    return {"was": was, "log": last.get("log")} if was else {}


def _halt(tx: Transaction, agent: Agent, found: Trouble) -> None:
    """Give an agent nothing more; who is halted already, as attempts beside this one told, is not halted once more."""
    about = tx.read.switches("halted").get(agent["name"])
    is_halted = agents.is_halted(about, tx.now)
    times = _times_halted(tx, agent) + (0 if is_halted else 1)
    until = _until(found, times, tx.now) if found.kind == "rate_limit" else None
    if is_halted and about is not None and str(about["until"] or _NEVER) >= (until or _NEVER):
        return
    tx.record(agents.halt(agent["name"], found.kind, found.reason, until, times))


def _until(found: Trouble, times: int, now: str) -> str:
    """Return when to try again: when the limit is over, but never sooner than a wait that doubles."""
    if found.resets_at is None:
        wait = attempt.backoff_s(times, trouble.RATE_LIMIT_WAIT_S, trouble.RATE_LIMIT_WAIT_MOST_S)
        return moment.plus(now, wait)
    least = attempt.backoff_s(times, trouble.LEAST_WAIT_S, trouble.RATE_LIMIT_WAIT_MOST_S)
    return max(found.resets_at, moment.plus(now, least))


def _is_given_up(ws: Workspace, tx: Transaction, task: Task, reason: str, result: JsonObject) -> bool:
    """Give a task up that has used up its budget, or too much of it without getting anywhere; return whether it has."""
    limits, tally = ws.config["budget"], result.get("headway")
    spent = budget.of_task(ws, tx.read, task, usage_in(result))
    if spent is None and isinstance(tally, dict):
        spent = headway.exceeded(tally, limits["without_progress_usd"], limits["without_progress_tokens"])
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
    ws: Workspace, tx: Transaction, start: Start, heard: Heard, verdict: Verdict, *, stopping: bool
) -> None:
    """Complete a task whose gates passed, unless its work has yet to come back or be reviewed; otherwise try again, or give up."""
    task = tx.read.task(start.task["id"])
    if not in_flight(task, start.run):
        return
    if not stopping:
        from atms_cli.services.gates import remember

        remember(ws, tx, start.run, verdict, {"task": task["id"]})
    verdict = gate.kept(verdict)
    evidence: JsonObject = {"status": "exited", "exit_code": 0, "run": start.run, "validation": verdict, **heard.told}
    if verdict["passed"]:
        done = decisions.complete(task, {**evidence, "log": f"{start.run}/{OUTPUT}"}, tx.now)
        tx.record(decisions.merging(task) if start.is_apart else done)
    elif gate.awaits_review(verdict):
        whole: JsonObject = {**evidence, "log": f"{start.run}/{OUTPUT}"}
        tx.record(decisions.request_review(task, gate.summarise(verdict), whole))
    elif stopping:
        # Gates that were stopped have judged nothing.
        del evidence["validation"]
        _put_back(ws, tx, task, start, heard, _STOPPED, evidence)
    else:
        first = next((each for each in gate.failures(verdict) if each["log"]), None)
        evidence |= _headway(start, heard, verdict)
        evidence["log"] = f"{start.run}/{OUTPUT}" if first is None else "/".join(str(first["log"]).rsplit("/", 2)[-2:])
        if not _is_given_up(ws, tx, task, gate.summarise(verdict), evidence):
            _failed(ws, tx, task, gate.summarise(verdict), evidence)


def settle_merge(
    ws: Workspace, tx: Transaction, start: Start, heard: Heard, verdict: Verdict | None, merge: JsonObject
) -> bool:
    """Record how the branch of a task came back; return True if it has to be judged and brought back once more."""
    task = tx.read.task(start.task["id"])
    if not in_flight(task, start.run) or merge["kind"] == "again":
        return in_flight(task, start.run)
    evidence: JsonObject = {
        "status": "exited", "exit_code": 0, "run": start.run, "log": f"{start.run}/{OUTPUT}", "merge": merge,
        **({} if verdict is None else {"validation": gate.kept(verdict)}), **heard.told,
    }  # fmt: skip
    if merge["kind"] == "conflict":
        _settle_conflict(ws, tx, task, merge, {**evidence, "log": merge.get("log") or evidence["log"]})
    elif merge["kind"] == "refused":
        tx.record(
            decisions.fail(task, why_refused(merge), _final({**evidence, "log": merge.get("log") or evidence["log"]}))
        )
    else:
        tx.record(decisions.complete(task, evidence, tx.now))
    return False


def _settle_conflict(ws: Workspace, tx: Transaction, task: Task, merge: JsonObject, evidence: JsonObject) -> None:
    """Let the agent resolve a conflict in another attempt, or a person."""
    reason = conflict_in(merge)
    if ws.config["execution"]["on_conflict"] == "review":
        tx.record(decisions.request_review(task, reason, evidence))
    elif not _is_given_up(ws, tx, task, reason, evidence):
        _failed(ws, tx, task, reason, evidence)


def conflict_in(merge: JsonObject) -> str:
    """Say what keeps a branch from coming back that conflicts with what came meanwhile."""
    files = merge["files"] if isinstance(merge["files"], list) else []
    named = ", ".join(str(name) for name in files[:_MOST_FILES])
    return f"{merge['into']} has gone on meanwhile, and merging it conflicts in {named}: resolve the conflicts there"


def why_refused(merge: JsonObject) -> str:
    """Say why work that is good did not come back."""
    who = "nobody took it over" if "said" in merge else "git would not take it"
    return f"it is done and judged, but {who}: {merge['detail']}"


def account(tx: Transaction, start: Start, heard: Heard) -> None:
    """Put on record what an attempt has cost whose end tells nothing of it, because its task was taken away meanwhile."""
    usage = usage_in(heard.told)
    if not usage:
        return
    for each in tx.read.attempts(start.task["id"]):
        if each["run"] == start.run and "usage" not in each:
            tx.record(decisions.spent(start.task["id"], start.run, usage))


def _failed(ws: Workspace, tx: Transaction, task: Task, reason: str, result: JsonObject) -> None:
    execution = ws.config["execution"]
    chance = ws.ids.chance(str(task["run"])).random()
    wait = attempt.retry_wait_s(task["attempts"], execution["retry_delay"], execution["retry_delay_max"], chance)
    has_attempts_left = task["attempts"] < attempt.limit(task, execution)
    kept = result if has_attempts_left else _final(result)
    tx.record(attempt.after_failure(task, reason, kept, execution, moment.plus(tx.now, wait)))


def _final(result: JsonObject) -> JsonObject:
    """Return the result of a task that is given up: who tries it again begins a new session."""
    return {name: value for name, value in result.items() if name not in ("session", "continued", "headway")}


def _result(outcome: JsonObject, run: str, log: str) -> JsonObject:
    kept = ("status", "exit_code", "signal", "duration_s", "error")
    return {
        **{name: outcome[name] for name in kept if outcome.get(name) not in (None, "")},
        **footprint.measured(outcome),
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


def wait_anew(ws: Workspace, tx: Transaction) -> None:
    """Let tasks wait for another try from now on whose wait began by a clock that was ahead, lest it be hours.

    A time that a person has set is meant as it stands.
    """
    longest_s = ws.config["execution"]["retry_delay_max"]
    for task in map(tx.read.task, tx.read.delayed_ahead(tx.now)):
        wait_s = moment.seconds_between(task["updated_at"], task["not_before"] or task["updated_at"])
        if task["attempts"] and 0 <= wait_s <= longest_s:
            tx.record(decisions.update(task, {"not_before": moment.plus(tx.now, wait_s)}))


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
