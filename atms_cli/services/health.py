"""How the workspace is doing, in one look, and what is wrong with it."""

from __future__ import annotations

from atms_cli.domain.footprint import GROUP_HINT, SHARED, describe_size
from atms_cli.domain.task import STATUSES
from atms_cli.errors import AtmsError, DamagedError
from atms_cli.services import agents, queue, tidying

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import Workspace


_WITHOUT_GROUP = {
    "memory": "is limited for each process alone",
    "processes": "counts all of the user's processes",
    "cores": "is not limited",
}


def status(ws: Workspace) -> JsonObject:
    """Return the numbers of the workspace: tasks, queue, agents, and who runs the loop."""
    read = ws.store.reading()
    counts = read.counts()
    by_status = {name: counts.get(name, 0) for name in STATUSES}
    left_over = [
        task for name in ("in_progress", "validating") for task in read.of_status(name) if task["run"] is not None
    ]
    by_status["queued"] = sum(counts.get(name, 0) for name in ("ready", "waiting", "delayed"))
    everyone = agents.everyone(ws)
    return {
        "workspace": ws.root,
        "tasks": {"total": sum(by_status.values()), "by_status": by_status},
        "queue": queue.status(ws),
        "agents": {
            "total": len(everyone),
            "busy": sum(bool(agent["active"]) for agent in everyone),
            "by_status": _counted(agent["status"] for agent in everyone),
        },
        "runner": ws.loop_holder(),
        "in_flight": len(left_over),
        "running": _at_work(ws, left_over) if left_over else [],
        "overrides": read.overrides(),
    }


def _counted(names: Iterable[str]) -> JsonObject:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return {**counts}


def _at_work(ws: Workspace, tasks: list[Task]) -> list[JsonObject]:
    from atms_cli.services.progress import at_work

    return at_work(ws, tasks)


def doctor(ws: Workspace) -> list[JsonObject]:
    """Return what is wrong, each as check, detail and what repairs it; an empty list is good health."""
    found = [*ws.store.doctor(), *file_system(ws), *_settings(ws), *_roadmap(ws)]
    try:
        return [*found, *_conflicts(ws), *_broken_worktrees(ws)]
    except DamagedError:
        # It is told of already.
        return found


def _broken_worktrees(ws: Workspace) -> list[JsonObject]:
    from atms_cli.services import worktrees

    repair = "save from it what you need, then remove it"
    found = [each for each in worktrees.described(ws, ws.worktrees.survey()) if each["state"] == "broken"]
    return [{"check": "worktrees", "detail": f"{each['path']}: {each['problem']}", "repair": repair} for each in found]


def notes(ws: Workspace) -> list[JsonObject]:
    """Return what is good to know and no fault, each as check and detail."""
    kept = tidying.measure(ws)
    size = describe_size(int(str(kept["bytes"])))
    found: list[JsonObject] = [
        {"check": "runs", "detail": f"files of attempts take {size} (runs: {kept['runs']})", **kept}
    ]
    is_off = ws.config["execution"]["cgroup"] == "off"
    obstacle = "execution.cgroup is off" if is_off else ws.group_obstacle(dict.fromkeys(SHARED, 1.0))
    whom = "all processes of an attempt together" if obstacle is None else f"each process alone ({obstacle})"
    found.append({"check": "limits", "detail": f"limits on memory would hold for {whom}"})
    return found + _kept_worktrees(ws)


def _kept_worktrees(ws: Workspace) -> list[JsonObject]:
    from atms_cli.services import worktrees

    kept = worktrees.survey(ws)
    if not kept:
        return []
    states = [str(each["state"]).replace("_", " ") for each in kept]
    counted = ", ".join(f"{states.count(name)} {name}" for name in dict.fromkeys(states))
    size = describe_size(sum(int(str(each["size"])) for each in kept))
    detail = f"worktrees of tasks take {size} ({counted}); see: atms task worktrees"
    return [{"check": "worktrees", "detail": detail}]


def weak_limits(ws: Workspace) -> list[str]:
    """Say which limits of the workspace hold for less than a whole attempt, and what to do."""
    execution = ws.config["execution"]
    wanted = {name: most for name, most in execution["limits"].items() if name in SHARED and most is not None}
    obstacle = ws.group_obstacle(wanted) if wanted and execution["cgroup"] == "auto" else None
    if obstacle is None:
        return []
    weak = [f"{name} {_WITHOUT_GROUP[name]}" for name in wanted]
    return [f"without a control group {', '.join(weak)} ({obstacle}); {GROUP_HINT}"]


def file_system(ws: Workspace) -> list[JsonObject]:
    """Return a problem if the workspace lies where locks do not hold between machines."""
    found = ws.network_file_system()
    if found is None:
        return []
    kind, mount = found
    detail = f"{ws.root} lies on {kind} ({mount}), where locks do not hold between machines: work on it from one machine only"
    repair = "better: a clone on a local disk of each machine, shared with: atms sync"
    return [{"check": "file system", "detail": detail, "repair": repair}]


def _settings(ws: Workspace) -> list[JsonObject]:
    from atms_cli.services import prompts

    try:
        ws.settings.load()
        prompts.check(ws)
    except AtmsError as error:
        return [{"check": "settings", "detail": error.message, "repair": error.hint}]
    return []


def _roadmap(ws: Workspace) -> list[JsonObject]:
    try:
        ws.roadmap.read()
    except AtmsError as error:
        return [{"check": "roadmap", "detail": error.message, "repair": error.hint}]
    return []


def _conflicts(ws: Workspace) -> list[JsonObject]:
    """Return what waits for a person to say whose word holds, that of the roadmap or that of the queue."""
    return [
        {
            "check": "roadmap",
            "detail": f"{state['id']}: file and queue disagree on its {', '.join(state['conflicts'])}",
            "repair": f"atms feature resolve {state['id']} --take file|queue",
        }
        for state in ws.store.reading().features()
        if state.get("conflicts")
    ]


def repair(ws: Workspace) -> list[str]:
    """Set damaged lines of the journal aside, and build a wrong read model anew; return what was done."""
    checks = {problem["check"] for problem in ws.store.doctor()}
    done = [f"damaged lines were set aside in {path}" for path in (ws.mend_journal() if "journal" in checks else ())]
    if "index" in checks:
        done.append(f"the index was built anew from {ws.store.rebuild()} events")
    return done
