"""The workspace as a whole: make it, see how it is doing, find what is wrong."""

from __future__ import annotations

from atms_cli.cli.lines import one_line
from atms_cli.cli.render import cut, pairs, plural
from atms_cli.errors import EXIT_REFUSED, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.detection import Proposal
    from atms_cli.domain.records import JsonObject


#: Of the title of what is worked on, so much is shown.
_TITLE = 40


def init(call: Call, template: o.Template = None, force: o.InitForce = False) -> None:
    """Make a workspace here, with gates for the tools that the project has, if asked for."""
    from atms_cli.domain.detection import TEMPLATES, detect
    from atms_cli.services import health
    from atms_cli.store import creation
    from atms_cli.store.projectfiles import read

    if template not in (None, *TEMPLATES):
        raise UsageError(f"`{template}` is not a template", f"choose one of: {', '.join(TEMPLATES)}")
    root = call.directory
    is_new = creation.create(root)
    if force and creation.has_settings(root):
        if not call.confirm(f"write a new {creation.settings_path(root)} over the present one?"):
            return
        creation.back_up_settings(root)
    wrote = creation.write_settings(root)
    for problem in health.file_system(call.workspace):
        call.say(f"warning: {problem['detail']}\nhint: {problem['repair']}")
    found = detect(read(root), template or "auto")
    added = _add(call, found) if template else []
    document = {"workspace": root, "created": is_new, "settings": creation.settings_path(root), "gates": added}
    call.answer(document, [root], lambda: _made(call, root, is_new=is_new, wrote=wrote, added=added))
    names = ", ".join(each["name"] for each in found if each["name"] not in call.workspace.config["gates"])
    if template in (None, "generic") and names:
        call.say(f"found {names}; make gates of them: atms init --template auto")
    elif template and not added:
        call.say("no gate was added: the project sets up none that is not there")


def _add(call: Call, found: Sequence[Proposal]) -> list[Proposal]:
    from atms_cli.services.gates import add_found

    return add_found(call.workspace, found)


def _made(call: Call, root: str, *, is_new: bool, wrote: bool, added: Sequence[Proposal]) -> str:
    from os.path import exists, join

    lines = [f"made a workspace in {root}" if is_new else f"{root} is a workspace already"]
    lines += ["wrote atms.yaml, with the common settings explained"] if wrote else []
    lines += [f"gate {each['name']}: {each['command']}  (from {each['source']})" for each in added]
    roadmap = any(exists(join(root, name)) for name in ("FEATURES.json", "TASKS.json"))
    next_step = "atms feature sync" if roadmap else 'atms task add "Say hello" --command "echo hello"'
    first = "atms gate run, then: " if added else ""
    return "\n".join([*lines, call.style(f"next: {first}{next_step}, then: atms run --drain", "dim")])


def status(call: Call) -> None:
    """Show how the workspace is doing."""
    from atms_cli.services import health

    report = health.status(call.workspace)
    call.answer(report, [], lambda: _status(call, report))


def _status(call: Call, report: Mapping[str, object]) -> str:
    tasks, queue, agents = report["tasks"], report["queue"], report["agents"]
    if not (isinstance(tasks, dict) and isinstance(queue, dict) and isinstance(agents, dict)):
        raise TypeError(report)
    by_status = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in tasks["by_status"].items() if n)
    ready = f"{queue['ready']} ready, {queue['running']} running, {queue['blocked']} blocked"
    rows = [
        ("workspace", str(report["workspace"])),
        ("tasks", f"{tasks['total']}" + (f": {by_status}" if by_status else "")),
        (
            "queue",
            ready
            + (f", {queue['delayed']} delayed" if queue["delayed"] else "")
            + (call.style(" (paused)", "yellow") if queue["paused"] else ""),
        ),
        ("agents", _agents(agents)),
        ("loop", f"running: {report['runner']}" if report["runner"] else "not running"),
    ]
    return "\n".join(
        [pairs(call, rows), *_at_work(call, report["running"]), *_advice(call, report, tasks["by_status"], queue)]
    )


def _at_work(call: Call, running: object) -> list[str]:
    """Return a line for each attempt that is being made."""
    from atms_cli.cli.render import far, records

    return [
        f"{call.style('▶', 'cyan')} {call.style(str(each['task']), 'bold')}  {cut(str(each['title']), _TITLE)}  "
        + call.style(f"{each['phase']}, {each['agent']}{far(each['progress'])}", "dim")
        for each in records(running)
    ]


_WORTH_SAYING = ("blocked", "error", "offline", "terminated")


def _agents(agents: Mapping[str, Any]) -> str:
    """Return how many agents there are, and of those that get nothing why."""
    if not agents["total"]:
        return "none registered"
    words = [f"{agents['total']}", f"{agents['busy']} busy"]
    words += [f"{n} {status}" for status, n in agents["by_status"].items() if status in _WORTH_SAYING]
    return ", ".join(words)


def _advice(
    call: Call, report: Mapping[str, object], by_status: Mapping[str, int], queue: Mapping[str, object]
) -> list[str]:
    """Say what to do next."""
    advice: list[str] = []
    running = report["runner"] is not None
    if queue["paused"]:
        advice.append(
            f"the queue is paused{f' ({reason})' if (reason := one_line(str(queue['pause_reason'] or ''))) else ''}: atms queue resume"
        )
    if report["in_flight"] and not running:
        advice.append(
            f"{plural(int(str(report['in_flight'])), 'task')} in flight without a loop; take up what is left: atms run"
        )
    if queue["stuck"]:
        waiting = plural(int(str(queue["stuck"])), "task") + (" waits" if queue["stuck"] == 1 else " wait")
        advice.append(f"{waiting} for one that failed or was cancelled: atms task list --blocked")
    if report["overrides"]:
        times = plural(int(str(report["overrides"])), "time")
        advice.append(f"gates were passed over {times}: atms log --type task.overridden")
    if by_status["review"]:
        advice.append(f"{plural(by_status['review'], 'task')} to review: atms task list --status review")
    if by_status["failed"]:
        advice.append(f"{by_status['failed']} failed: atms task list --status failed, then atms task retry ID")
    if queue["ready"] and not running and not queue["paused"]:
        advice.append("work on what is ready: atms run --drain")
    return [call.style(f"→ {each}", "dim") for each in advice]


#: With these in disorder there is more to know than can be told.
_UNREADABLE = frozenset(("settings", "journal"))


def doctor(call: Call, fix: o.Fix = False) -> int:
    """Look for damage; say what repairs it, or repair it with --fix."""
    from atms_cli.services import health

    for words in health.repair(call.workspace) if fix else ():
        call.say(words)
    found = health.doctor(call.workspace)
    notes = health.notes(call.workspace) if _UNREADABLE.isdisjoint(str(each["check"]) for each in found) else []
    for note in notes:
        call.say(str(note["detail"]))
    call.answer(
        {"healthy": not found, "problems": found, "notes": notes},
        [str(each["check"]) for each in found],
        lambda: _findings(call, found),
    )
    return EXIT_REFUSED if found else 0


def _findings(call: Call, found: Sequence[JsonObject]) -> str:
    if not found:
        return call.style("✓ journal, index, settings and roadmap are in order", "green")
    return "\n".join(
        f"{call.style('✗', 'red')} {each['check']}: {each['detail']}\n  {call.style(str(each['repair']), 'dim')}"
        for each in found
    )
