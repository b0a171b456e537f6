"""Running quality gates and keeping their evidence."""

from __future__ import annotations

from atms_cli.domain import gate as gates
from atms_cli.errors import ConflictError, GatesFailedError
from atms_cli.services.identity import note_settings, people_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.records import Gate, GateResult, JsonObject, Task, Verdict
    from atms_cli.ports import Workspace

_WHY = "a person decides what counts as done"
#: Variables by which git tells a hook's children which repository they are in; a gate has to find its own.
GIT_LOCATION = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")


def log_name(gate: Gate) -> str:
    """Return the file name of a gate's output."""
    return "gate-" + "".join(c if c.isalnum() or c in "-_." else "_" for c in gate["name"]) + ".log"


def environment(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return what a command of ours sees: this process's environment without a hook's git location, and more."""
    return {**{name: value for name, value in environ.items() if name not in GIT_LOCATION}, **extra}


def launch(ws: Workspace, gate: Gate, run: str, task: Task | None, tree: str | None = None) -> JsonObject:
    """Return how to start a gate on a tree of files: command, directory, environment, limits (system/launch.py)."""
    about = {"ATMS_WORKSPACE": ws.root, "ATMS_GATE": gate["name"], **({"ATMS_TASK_ID": task["id"]} if task else {})}
    environ = environment(ws.environ, {**about, **gate["environment"]})
    return {
        "id": f"{run}.{gate['name']}",
        "argv": ["/bin/sh", "-c", gate["command"]] if isinstance(gate["command"], str) else [*gate["command"]],
        "cwd": _directory(tree or ws.tree, gate, task),
        "env": environ,
        "output": ws.run_files.path(run, log_name(gate)),
        "input": None,
        "timeout_s": gate["timeout"],
        "silence_s": None,
        "grace_s": ws.config["execution"]["grace"],
        "output_max": ws.config["execution"]["log_max"],
    }


def mask_log(ws: Workspace, gate: Gate, run: str, task: Task | None, outcome: JsonObject) -> None:
    """Mask what secrets a gate has printed, before anything of that is read."""
    if outcome.get("output_bytes") == 0:
        return
    from atms_cli.services import redaction

    redaction.mask(ws, redaction.redactor(ws, task, more=gate["environment"]), run, [log_name(gate)])


def _directory(tree: str, gate: Gate, task: Task | None) -> str:
    own = gate["working_directory"] or (task["context"]["working_directory"] if task else None) or "."
    return own if own.startswith("/") else f"{tree}/{own}"


def judge_tasks(ws: Workspace, tasks: Sequence[Task]) -> JsonObject:
    """Run the gates of each task; return the verdicts by task id.

    Raises:
        GatesFailedError: a required gate of any of them did not pass; the failure is noted on its task.

    """
    from atms_cli.domain.decisions import judged

    verdicts: dict[str, Verdict] = {}
    for task in tasks:
        criteria = task["validation_criteria"]
        chosen = gates.for_task(ws.config["gates"], criteria["gates"], criteria["commands"])
        if chosen:
            verdicts[task["id"]] = run_all(ws, chosen, task=task)
    failed = {task_id: verdict for task_id, verdict in verdicts.items() if not verdict["passed"]}
    if failed:
        with ws.store.writing(ws.actor) as tx:
            for task_id, verdict in failed.items():
                tx.record(judged(tx.read.task(task_id), {"validation": verdict}))
        task_id, verdict = next(iter(failed.items()))
        log = gates.failures(verdict)[0]["log"]
        raise GatesFailedError(f"`{task_id}` is not done: {gates.summarise(verdict)}", f"see {log}")
    return verdicts  # type: ignore[return-value]


def run_all(
    ws: Workspace, chosen: Sequence[Gate], *, task: Task | None, report: Callable[[GateResult], None] | None = None
) -> Verdict:
    """Run gates side by side and return the verdict, results in the order of atms.yaml."""
    run = ws.ids.run()
    ws.run_files.prepare(run)
    by_id = {f"{run}.{gate['name']}": gate for gate in chosen}
    results: dict[str, GateResult] = {}

    def ended(outcome: JsonObject) -> None:
        gate = by_id[str(outcome["id"])]
        mask_log(ws, gate, run, task, outcome)
        results[gate["name"]] = gates.judge(gate, outcome, ws.run_files.path(run, log_name(gate)))
        if report is not None:
            report(results[gate["name"]])

    ws.runner.run([launch(ws, gate, run, task) for gate in chosen], ws.config["execution"]["jobs"], ended)
    return gates.verdict([results[gate["name"]] for gate in chosen])


def select(
    ws: Workspace, names: Sequence[str], stage: str | None, task_id: str | None
) -> tuple[list[Gate], Task | None]:
    """Return the gates meant by names, by a stage, by a task, or all of them."""
    defined = ws.config["gates"]
    task = ws.store.reading().task(task_id) if task_id else None
    if names:
        return gates.named(defined, names), task
    if stage is not None:
        return gates.at_stage(defined, stage), task
    if task is not None:
        criteria = task["validation_criteria"]
        return gates.for_task(defined, criteria["gates"], criteria["commands"]), task
    return list(defined.values()), task


def add(ws: Workspace, name: str, fields: JsonObject) -> Gate:
    """Define a gate in atms.yaml."""
    people_only(ws, "change gates", _WHY)
    if name in ws.config["gates"]:
        raise ConflictError(f"there is a gate `{name}` already", f"remove it first: atms gate remove {name}")
    given = {field: value for field, value in fields.items() if value != gates.DEFAULTS.get(field)}

    def change(document: dict[str, object]) -> None:
        section = document.get("gates")
        if not isinstance(section, dict):
            document["gates"] = section = {}
        section[name] = given

    ws.settings.edit(change)
    ws.reload_config()
    note_settings(ws, f"gate {name} added: {fields['command']}")
    return ws.config["gates"][name]


def remove(ws: Workspace, name: str) -> None:
    """Take a gate out of atms.yaml."""
    people_only(ws, "change gates", _WHY)
    gates.named(ws.config["gates"], [name])

    def change(document: dict[str, object]) -> None:
        section = document["gates"]
        if isinstance(section, dict):
            del section[name]

    ws.settings.edit(change)
    ws.reload_config()
    note_settings(ws, f"gate {name} removed")
