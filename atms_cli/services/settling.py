"""What the ends of attempts mean for their tasks: done, tried again, put back, or given up."""

from __future__ import annotations

from dataclasses import dataclass

from atms_cli.domain import attempt, decisions, footprint, gate, headway, moment
from atms_cli.domain.budget import usage_in
from atms_cli.services import budget, drivers, halting, isolation
from atms_cli.services.attempts import OUTPUT, gates_of, in_flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Gate, JsonObject, Task, Verdict
    from atms_cli.domain.trouble import Trouble
    from atms_cli.ports import Transaction, Workspace
    from atms_cli.services.attempts import Start
    from atms_cli.services.drivers import Heard

#: Of conflicts, so many files are named.
_MOST_FILES = 5
_STOPPED = "stopped with its loop"
#: Trouble that the next attempt should know of, for it has to do better; other trouble says nothing about the work.
_OF_THE_WORK = ("crash", "stalled", "timeout")


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
        halting.let_go_on(tx, agent)
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


def _in_trouble(ws: Workspace, tx: Transaction, task: Task, start: Start, found: Trouble, result: JsonObject) -> None:
    """Do what a trouble calls for: the agent waits, or the task is tried again, or it is given up."""
    agent = start.agent
    reason = f"{agent['name']}: {found.reason}" if "agent" in result else found.reason
    is_agents = found.kind in ("rate_limit", "auth", "refused")
    if is_agents:
        halting.halt(tx, agent, found)
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


def _is_given_up(ws: Workspace, tx: Transaction, task: Task, reason: str, result: JsonObject) -> bool:
    """Give a task up that has used up its budget, or too much of it without getting anywhere; return whether it has."""
    limits, tally = ws.config["budget"], result.get("headway")
    spent = budget.of_task(ws, tx.read, task, usage_in(result))
    if spent is None and isinstance(tally, dict):
        spent = headway.exceeded(tally, limits["without_progress_usd"], limits["without_progress_tokens"])
    if spent is not None:
        tx.record(decisions.fail(task, f"{reason}; {spent}", _final(result)))
    return spent is not None


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
