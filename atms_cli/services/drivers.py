"""Agents that are started through a driver: their command lines, what they printed, and what was in their way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from atms_cli.domain import agent as agents
from atms_cli.domain import budget, driver, streams, trouble
from atms_cli.domain.hearing import Hearing
from atms_cli.domain.moment import to_iso
from atms_cli.domain.streams import Report
from atms_cli.errors import AtmsError, UsageError
from atms_cli.services.running import to_its_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.driver import Driver
    from atms_cli.domain.records import Agent, JsonObject, Task
    from atms_cli.domain.trouble import Trouble
    from atms_cli.ports import Workspace

#: So many bytes of an output are taken in at once.
_CHUNK = 1_048_576
#: If more than the first of these was not heard when an attempt ends, only so much of its end is, and of its beginning,
#: which names the session.
_MOST_UNHEARD, _TAIL = 67_108_864, 2_097_152
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
    #: The commit that is checked out where it worked, if it cost anything.
    commit: str | None = None


def read_on(ws: Workspace, hearing: Hearing, run: str, name: str) -> bool:
    """Take in the next part of what an agent has printed; return whether there was any."""
    chunk, end = ws.run_files.read(run, name, hearing.offset, _CHUNK)
    hearing.take(chunk, end)
    return bool(chunk)


def session_log(ws: Workspace, task: Task, agent: Agent, used: Driver, run: str) -> tuple[str, str] | None:
    """Return the pattern of the files in which an agent keeps its session, and what reads them, if they tell more than its output."""
    name = session_of(ws, task, agent, used, run).name
    if used["stream"] not in streams.SESSION_LOGS or name is None:
        return None
    from glob import escape

    variable, below, reader = streams.SESSION_LOGS[used["stream"]]
    environ = {**ws.environ, **variables(agent, used)}
    home = environ.get(variable) or environ.get("HOME") or "/nonexistent"
    return f"{escape(home)}/{below.format(escape(name.partition('-')[0]))}", reader


def hear(ws: Workspace, used: Driver | None, run: str, name: str, hearing: Hearing | None = None) -> Heard:
    """Return what an agent printed in an attempt, of which some may have been heard; a log that cannot be read tells nothing."""
    if used is None:
        return Heard(Report())
    hearing = hearing or Hearing(used["stream"])
    try:
        _hear_out(ws, hearing, run, name)
    except AtmsError as error:
        return Heard(hearing.report, [error.message])
    return Heard(hearing.report, hearing.last_words)


def _hear_out(ws: Workspace, hearing: Hearing, run: str, name: str) -> None:
    # What was not a whole line yet has had its secrets masked since.
    hearing.rewind()
    # Its end is where it is now: something may have got away and still write.
    size = ws.run_files.size(run, name)
    if size - hearing.offset > _MOST_UNHEARD:
        read_on(ws, hearing, run, name)
        hearing.skip_to(size - _TAIL)
    while hearing.offset < size and read_on(ws, hearing, run, name):
        pass
    hearing.end()


def masked(heard: Heard, redact: Callable[[str], str]) -> Heard:
    """Return what was heard of an output before its secrets were masked, without them."""
    report = heard.report
    errors = [redact(error) for error in report.errors]
    told = replace(report, text=redact(report.text), doing=redact(report.doing), errors=errors)
    return replace(heard, report=told, last_words=[redact(line) for line in heard.last_words])


def last_words(ws: Workspace, run: str, name: str, most: int) -> str:
    """Return the last lines of an output that are no events: what else was printed may say what went wrong."""
    hearing, start = Hearing("plain", most), ws.run_files.size(run, name) - _TAIL
    if start > 0:
        hearing.skip_to(start)
    hearing.take(*ws.run_files.read(run, name, hearing.offset, _TAIL))
    hearing.end()
    return "\n".join(hearing.last_words)


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
    session, before = session_of(ws, task, agent, used, run), before_it(ws, task, agent, used, run)
    # What was never begun cannot be gone on with.
    name = (report.session or session.name) if report.has_begun or not session.is_new else None
    return {
        "agent": agent["name"],
        **({"session": name, "continued": session.continued} if name else {}),
        "report": streams.carried_on(used["stream"], report, before),
        "usage": used_up(ws, agent, used, report, before),
    }


def before_it(ws: Workspace, task: Task, agent: Agent, used: Driver, run: str) -> JsonObject | None:
    """Return what was reported of the attempt in whose session this one goes on, if it does."""
    last = (task["result"] or {}).get("report")
    is_new = session_of(ws, task, agent, used, run).is_new
    return last if isinstance(last, dict) and not is_new else None


def used_up(ws: Workspace, agent: Agent, used: Driver, report: Report, before: JsonObject | None) -> JsonObject:
    """Return the tokens and the cost of an attempt, as far as is known."""
    spent = streams.usage(used["stream"], report, before)
    return budget.priced(spent, agent["model"] or report.model, ws.config["budget"]["prices"])


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

    outcome = to_its_end(ws, launch)
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
