"""Agents that are started through a driver: their command lines, what they printed, and what was in their way."""

from __future__ import annotations

from dataclasses import dataclass, field

from atms_cli.domain import agent as agents
from atms_cli.domain import budget, driver, streams, trouble
from atms_cli.domain.moment import to_iso
from atms_cli.domain.streams import Report
from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.driver import Driver
    from atms_cli.domain.records import Agent, JsonObject, Task
    from atms_cli.domain.trouble import Trouble
    from atms_cli.ports import Workspace

#: Lines at the end of the output that may say why an agent failed.
_LAST_WORDS = 20
#: A task goes on in the session of its last attempt so many times; then it begins anew.
MOST_CONTINUATIONS = 5


@dataclass(frozen=True, slots=True)
class Session:
    """The conversation in which an agent works on a task."""

    #: None until the agent has named it, or if its kind knows none.
    name: str | None
    is_new: bool
    #: How many attempts it has had before.
    continued: int = 0


def find(ws: Workspace, kind: str) -> Driver | None:
    """Return the driver of a kind of agent, None for those that need none.

    Raises:
        UsageError: there is no such kind: not built in, not in atms.yaml, and no installed package brings it.

    """
    if kind in agents.DRIVERLESS:
        return None
    fields = driver.BUILT_IN.get(kind) or ws.config["drivers"].get(kind) or ws.plugged_driver(kind)
    if fields is None:
        known = (*agents.KINDS, *ws.config["drivers"])
        raise UsageError(f"`{kind}` is not a kind of agent", f"choose one of: {', '.join(known)}")
    try:
        return driver.whole(fields)
    except ValueError as error:
        raise UsageError(f"the driver `{kind}`: {error}") from error


def problems(ws: Workspace, known: Mapping[str, Agent]) -> list[str]:
    """Return what is wrong with the kinds of agents, in words."""
    found = []
    for agent in known.values():
        try:
            find(ws, agent["kind"])
        except UsageError as error:
            found.append(f"agent `{agent['name']}`: {error.message}; {error.hint}")
    return found


def session_of(ws: Workspace, task: Task, agent: Agent, used: Driver | None, run: str) -> Session:
    """Return the session for an attempt: that of the last one, if the same agent can go on with it, or a new one."""
    if used is None:
        return Session(None, is_new=True)
    last = task["result"] or {}
    name, times = last.get("session"), last.get("continued")
    times = times if isinstance(times, int) else 0
    if used["resume"] and name and last.get("agent") == agent["name"] and times < MOST_CONTINUATIONS:
        return Session(str(name), is_new=False, continued=times + 1)
    return Session(ws.ids.session(run) if used["new"] else None, is_new=True)


@dataclass(frozen=True, slots=True)
class Heard:
    """What an attempt has left: what its agent printed, and the state of its worktree if it has one."""

    report: Report
    #: The last lines of the output that are no events.
    last_words: Sequence[str] = ()
    #: Places of conflicts that are not resolved.
    unresolved: Sequence[str] = ()
    #: Why its work could not be committed.
    not_committed: str | None = None
    #: Why it is not done all the same: a declared output is not there, or what it reported is not as it should be.
    lacks: str | None = None
    #: What is kept of it beside the exit status: see `evidence`.
    told: JsonObject = field(default_factory=dict)


def hear(ws: Workspace, used: Driver | None, run: str, name: str) -> Heard:
    """Return what an agent printed in an attempt; a log that cannot be read tells nothing."""
    if used is None:
        return Heard(Report())
    try:
        events, others = ws.run_files.events(run, name)
    except AtmsError as error:
        return Heard(Report(), [error.message])
    return Heard(streams.read(used["stream"], events), [line for line in others if line.strip()][-_LAST_WORDS:])


def trouble_of(
    ws: Workspace, agent: Agent, used: Driver | None, heard: Heard, outcome: JsonObject, now: str
) -> Trouble | None:
    """Return what was in an agent's way, or None if it got through."""
    if outcome.get("untold"):
        # Nobody can be told anything by its template; that is no fault of the task's.
        return trouble.Trouble("refused", str(outcome["error"]))
    stream = "" if agent["name"] == agents.SHELL else "plain" if used is None else used["stream"]
    _, minute = ws.clock.local()
    return trouble.find(stream, heard.report, outcome, heard.last_words, now, minute)


def evidence(ws: Workspace, task: Task, agent: Agent, used: Driver | None, run: str, report: Report) -> JsonObject:
    """Return what is kept of an attempt beside its exit status: the session to go on with, last words, tokens, cost.

    The task is as it was when the attempt began.
    """
    if used is None:
        return {}
    session, last = session_of(ws, task, agent, used, run), (task["result"] or {}).get("report")
    before = last if isinstance(last, dict) and not session.is_new else None
    spent = streams.usage(used["stream"], report, before)
    # What was never begun cannot be gone on with.
    name = (report.session or session.name) if report.has_begun or not session.is_new else None
    return {
        "agent": agent["name"],
        **({"session": name, "continued": session.continued} if name else {}),
        "report": streams.carried_on(used["stream"], report, before),
        "usage": budget.priced(spent, agent["model"] or report.model, ws.config["budget"]["prices"]),
    }


_TEST_PROMPT = "This is a test of the connection. Answer with the one word: ready. Change no file and run no command.\n"
_TEST_TIMEOUT_S = 120.0
TEST_OUTPUT = "output.log"


def trial(ws: Workspace, agent: Agent, run: str) -> JsonObject:
    """Return how an agent is started to see whether it answers; the same way as for a task.

    Raises:
        UsageError: nobody starts this agent: it claims its tasks itself.

    """
    if agent["kind"] == "pull":
        raise UsageError(
            f"agent `{agent['name']}` claims for itself; there is nothing to start", "see: atms agent list"
        )
    used = find(ws, agent["kind"])
    prompt_file = ws.run_files.write(run, "prompt.md", _TEST_PROMPT)
    values = {"prompt_file": prompt_file, "prompt": _TEST_PROMPT, "task_id": "", "run_id": run, "workspace": ws.root}
    if used is None:
        argv = ["/bin/sh", "-c", driver.filled(agent["command"] or "", values)]
    else:
        argv = driver.command_line(
            used, agent, values, session=ws.ids.session(run) if used["new"] else None, is_new=True
        )
    return {
        "id": run,
        "argv": argv,
        "cwd": ws.root,
        "env": {
            **ws.environ,
            "ATMS_RUN_ID": run,
            "ATMS_AGENT": agent["name"],
            "ATMS_WORKSPACE": ws.root,
            **variables(agent, used),
        },
        "output": ws.run_files.path(run, TEST_OUTPUT),
        "input": prompt_file if used is None or used["stdin"] else None,
        "timeout_s": _TEST_TIMEOUT_S,
        "silence_s": None,
        "grace_s": ws.config["execution"]["grace"],
        "output_max": ws.config["execution"]["log_max"],
    }


def variables(agent: Agent, used: Driver | None) -> dict[str, str]:
    """Return what an agent finds in its environment beyond that of `atms run` and what tells it of its task."""
    return {**(used["env"] if used else {}), **agent["env"]}


def ask(ws: Workspace, agent: Agent, launch: JsonObject) -> JsonObject:
    """Start an agent with a harmless prompt; return what came of it. One that answers is no longer halted."""
    from atms_cli.services import redaction

    outcomes: list[JsonObject] = []
    ws.runner.run([launch], 1, outcomes.append)
    (outcome,) = outcomes
    run = str(launch["id"])
    used = find(ws, agent["kind"])
    redaction.mask(ws, redaction.redactor(ws, None, agent), run, [TEST_OUTPUT])
    heard = hear(ws, used, run, TEST_OUTPUT)
    report, found = heard.report, trouble_of(ws, agent, used, heard, outcome, to_iso(ws.clock.now_ms()))
    if found is None:
        with ws.store.writing(ws.actor) as tx:
            tx.record(agents.resume(agent["name"], tx.read.switches("halted").get(agent["name"])))
    text = report.text or ws.run_files.tail(run, TEST_OUTPUT, 3)
    return {
        "agent": agent["name"],
        "argv": launch["argv"],
        "answered": found is None,
        "seconds": outcome.get("duration_s"),
        "text": text.strip(),
        "trouble": None if found is None else {"kind": found.kind, "reason": found.reason, "until": found.resets_at},
        "report": report.to_json(),
        "log": ws.run_files.path(run, TEST_OUTPUT),
    }
