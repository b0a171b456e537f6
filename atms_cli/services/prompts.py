"""What an agent is told of a task: what is known of it, put into a template."""

from __future__ import annotations

from atms_cli.domain import attempt, failures, feedback, gate, prompt
from atms_cli.errors import AtmsError, PromptError
from atms_cli.services import drivers
from atms_cli.services.outputs import before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.driver import Driver
    from atms_cli.domain.records import Agent, GateResult, JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace

OUTPUT = "output.log"
#: Of what failed, so much of the end of its log is told; names and places are looked for in more of it.
_LOG_LINES, _LOG_CHARACTERS = 40, 4000
_LOOKED_THROUGH = 400
_MOST_GATES = 5


def told(
    ws: Workspace, task: Task, agent: Agent, used: Driver | None, gates: Sequence[str], *, is_continued: bool
) -> str:
    """Return what an agent is told; one that goes on in the session of its last attempt knows the rest.

    Raises:
        PromptError: its template cannot be filled in.

    """
    read = ws.store.reading()
    return ws.templates.render(
        template_of(ws, agent),
        {
            "task": prompt.about_task(task, gates),
            "feature": _feature(ws, read, task),
            "dependencies": [prompt.about_dependency(each) for each in before(read, task)],
            "failure": _failure(ws, task, is_continued=is_continued),
            "conventions": _conventions(ws, used),
            "attempt": {
                "number": task["attempts"] + 1,
                "most": attempt.limit(task, ws.config["execution"]),
                "is_continued": is_continued,
            },
            "agent": prompt.about_agent(agent),
            "workspace": {"root": ws.root},
        },
    )


def template_of(ws: Workspace, agent: Agent) -> str | None:
    """Return the template of what an agent is told, None for the built-in one."""
    return agent["prompt"] or ws.config["execution"]["prompt"]


def check(ws: Workspace) -> None:
    """Refuse settings by which nobody could be told anything.

    Raises:
        PromptError: a template that atms.yaml names cannot be filled in, or its file of conventions is not there.

    """
    ws.templates.check(prompt.files_in(ws.config))
    named = ws.config["execution"]["conventions"]
    if named and ws.templates.read([named]) is None:
        raise _no_conventions(named)


def _no_conventions(named: str) -> PromptError:
    return PromptError(
        f"execution.conventions: there is no `{named}`", "make it, or: atms config unset execution.conventions"
    )


def _feature(ws: Workspace, read: ReadModel, task: Task) -> JsonObject | None:
    """Return the feature of a task as the roadmap file has it; if that cannot be read now, as it was last known."""
    if task["feature_id"] is None:
        return None
    try:
        features = (ws.roadmap.read() or {}).get("features")
    except AtmsError:
        # Somebody is in the middle of editing it, which is no fault of the task's.
        features = None
    for feature in features if isinstance(features, list) else []:
        if isinstance(feature, dict) and feature.get("id") == task["feature_id"]:
            return prompt.about_feature(feature)
    state = read.feature(task["feature_id"])
    known: JsonObject = {"id": task["feature_id"]} if state is None else {**state}  # type: ignore[dict-item]  # JSON
    return prompt.about_feature(known)


def _conventions(ws: Workspace, used: Driver | None) -> JsonObject | None:
    """Return the conventions of the repository, unless the agent reads them by itself."""
    named, own = ws.config["execution"]["conventions"], [] if used is None else used["reads"]
    if named == "" or named in own:
        return None
    if named is None and own and ws.templates.read(own) is not None:
        return None
    found = ws.templates.read([named] if named else prompt.USUAL_CONVENTIONS)
    if found is None and named:
        raise _no_conventions(named)
    return None if found is None else prompt.conventions(*found)


def _failure(ws: Workspace, task: Task, *, is_continued: bool) -> JsonObject | None:
    """Return what went wrong in the attempt before this one."""
    if not (is_continued or task["attempts"]):
        return None
    reason, gates = _reason(task, is_continued=is_continued), _gates(ws, task)
    log = _log(ws, task, _LOOKED_THROUGH)
    if reason is None and not (is_continued and log):
        return None
    everything = [*(text for _, text in gates), log]
    return {
        "reason": reason or "",
        "gates": [{"name": it["name"], "reason": it["reason"], "log": feedback.said(it, text)} for it, text in gates],
        "tests": feedback.tests([each for each, _ in gates])[: failures.MOST]
        or failures.tests_in("\n".join(everything)),
        "places": failures.places_of([finding for each, _ in gates for finding in each["findings"]])
        or failures.places_in("\n".join(everything)),
        "log": _end(log),
    }


def _reason(task: Task, *, is_continued: bool) -> str | None:
    """Return why the attempt before failed: a limit or a lost connection says nothing of the work, what was wrong before it does."""
    last = task["result"] or {}
    if not last.get("trouble"):
        return task["reason"]
    was = last.get("was")
    return was if isinstance(was, str) else None if is_continued else task["reason"]


def _gates(ws: Workspace, task: Task) -> list[tuple[GateResult, str]]:
    """Return the gates that did not pass, with all they found, each with the end of its log."""
    from atms_cli.services.gateresults import in_full

    verdict = (task["result"] or {}).get("validation")
    failed = gate.failures(verdict) if isinstance(verdict, dict) else []  # type: ignore[arg-type]  # a Verdict is JSON
    return [(in_full(ws, each), _tail(ws, _place(each["log"]))) for each in failed[:_MOST_GATES]]


def _place(log: str | None) -> str:
    return "/".join(log.rsplit("/", 2)[-2:]) if log else ""


def _tail(ws: Workspace, log: str) -> str:
    run, _, name = log.partition("/")
    return ws.run_files.tail(run, name, _LOOKED_THROUGH) if run and name else ""


def _log(ws: Workspace, task: Task, lines: int) -> str:
    """Return the end of what failed last: the gate's output, or the attempt's."""
    result = task["result"] or {}
    log = result.get("log")
    if not isinstance(log, str) or not task["attempts"]:
        return ""
    run, _, name = log.partition("/")
    if name == OUTPUT and "report" in result:
        # Its events are for programs; what else it printed may say what went wrong.
        return drivers.last_words(ws, run, name, lines)
    return _tail(ws, log)


def _end(log: str) -> str:
    return "\n".join(log.splitlines()[-_LOG_LINES:])[-_LOG_CHARACTERS:]
