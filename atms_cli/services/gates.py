"""Quality gates as people and agents use them: judging tasks, choosing and defining gates."""

from __future__ import annotations

from atms_cli.domain import gate as gates
from atms_cli.errors import AtmsError, ConflictError, GatesFailedError, UsageError
from atms_cli.services.identity import note_settings, people_only
from atms_cli.services.judging import Round, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.detection import Proposal
    from atms_cli.domain.records import Gate, GateResult, JsonObject, Task, Verdict
    from atms_cli.ports import Transaction, Workspace

_WHY = "a person decides what counts as done"


def judge_tasks(ws: Workspace, tasks: Sequence[Task]) -> dict[str, Verdict]:
    """Run the gates of each task; return the verdicts by task id, also of tasks that wait for nothing but a review.

    Raises:
        GatesFailedError: a required gate of any of them did not pass; the failure is noted on its task.

    """
    from atms_cli.domain.decisions import judged

    verdicts: dict[str, Verdict] = {}
    for task in tasks:
        chosen = of_task(ws, task)
        if chosen:
            verdicts[task["id"]] = gates.kept(run_all(ws, chosen, Scope(ws.tree, task)))
    failed = {
        task_id: verdict
        for task_id, verdict in verdicts.items()
        if not verdict["passed"] and not gates.awaits_review(verdict)
    }
    if failed:
        with ws.store.writing(ws.actor) as tx:
            for task_id, verdict in failed.items():
                tx.record(judged(tx.read.task(task_id), {"validation": verdict}))
        task_id, verdict = next(iter(failed.items()))
        raise GatesFailedError(f"`{task_id}` is not done: {gates.summarise(verdict)}", where_to_look(verdict))
    return verdicts


def where_to_look(verdict: Verdict) -> str:
    """Return what to read about the first failure."""
    log = gates.failures(verdict)[0]["log"]
    return f"see {log}" if log else "see what each gate does: atms gate list"


def of_task(ws: Workspace, task: Task) -> list[Gate]:
    """Return the gates that judge a task.

    Raises:
        NotFoundError: it asks for a gate that is not defined.

    """
    criteria = task["validation_criteria"]
    return gates.for_task(ws.config["gates"], criteria["gates"], criteria["commands"])


def run_all(
    ws: Workspace,
    chosen: Sequence[Gate],
    scope: Scope,
    report: Callable[[GateResult], None] = lambda _: None,
    watch: Callable[[Round], None] | None = None,
) -> Verdict:
    """Run gates, put what they found on record, and return the verdict, results in the order of atms.yaml.

    `watch` sees what runs now and then.
    """
    run = ws.ids.run()
    ws.run_files.prepare(run)
    judging = Round(ws, chosen, run, scope)

    def told(launches: list[JsonObject]) -> list[JsonObject]:
        for result in judging.take_news():
            report(result)
        return launches

    launches = told(judging.begin())
    ws.runner.run(
        launches, lambda outcome: told(judging.ended(outcome)), None if watch is None else lambda: watch(judging)
    )
    judging.keep_passes()
    verdict = judging.verdict()
    about: JsonObject = {
        **({"task": scope.task["id"]} if scope.task else {}),
        **({"stage": scope.stage} if scope.stage else {}),
    }
    with ws.store.writing(ws.actor) as tx:
        remember(ws, tx, run, verdict, about)
    return verdict


def remember(ws: Workspace, tx: Transaction, run: str, verdict: Verdict, about: JsonObject) -> None:
    """Put on record what a round of gates found, and keep all of it with the files of its run."""
    from atms_cli.domain.gatehistory import VERDICT_FILE, ran

    tx.record(ran(run, verdict, about))
    if any(result["findings"] or result.get("limits") for result in verdict["gates"]):
        from json import dumps

        ws.run_files.write(run, VERDICT_FILE, dumps(verdict, ensure_ascii=False))


def select(
    ws: Workspace, names: Sequence[str], stage: str | None, task_id: str | None
) -> tuple[list[Gate], Task | None]:
    """Return the gates meant by names, by a stage, by a task, or all that need not be asked for; and what they depend on."""
    defined = ws.config["gates"]
    task = ws.store.reading().task(task_id) if task_id else None
    if names:
        return gates.with_needs(defined, gates.named(defined, names)), task
    if stage is not None:
        return gates.with_needs(defined, gates.at_stage(defined, stage)), task
    if task is not None:
        return of_task(ws, task), task
    return gates.with_needs(defined, gates.without_being_asked_for(defined)), None


def scope(
    ws: Workspace, task: Task | None, *, base: str | None, is_narrowed: bool, reuses: bool, stage: str | None = None
) -> Scope:
    """Return what is judged when a person runs gates: the tree as it is, or only what has changed in it.

    Raises:
        AtmsError: nobody can tell what has changed.

    """
    if not is_narrowed:
        return Scope(ws.tree, task, reuses=reuses, stage=stage)
    checkout = ws.checkout(ws.tree)
    if checkout is None:
        raise AtmsError(
            f"{ws.tree} is not in a git repository, so nobody can tell what has changed", "leave out --changed"
        )
    return Scope(ws.tree, task, checkout.changed(base), is_narrowed=True, reuses=reuses, base=base, stage=stage)


def add(ws: Workspace, name: str, fields: JsonObject) -> Gate:
    """Define a gate in atms.yaml."""
    people_only(ws, "change gates", _WHY)
    if name in ws.config["gates"]:
        raise ConflictError(f"there is a gate `{name}` already", f"remove it first: atms gate remove {name}")
    given = {field: value for field, value in fields.items() if value != gates.DEFAULTS.get(field)}

    ws.settings.edit(lambda document: _section(document).update({name: given}))
    ws.reload_config()
    note_settings(ws, f"gate {name} added: {gates.command_text(ws.config['gates'][name]) or 'a review'}")
    return ws.config["gates"][name]


def add_found(ws: Workspace, proposals: Sequence[Proposal]) -> list[Proposal]:
    """Define the gates that were found in a project and are not there yet; return those."""
    people_only(ws, "change gates", _WHY)
    new = [each for each in proposals if each["name"] not in ws.config["gates"]]
    if new:
        definitions = {each["name"]: {"command": each["command"], "kind": each["kind"]} for each in new}
        ws.settings.edit(lambda document: _section(document).update(definitions))
        ws.reload_config()
        note_settings(ws, f"gates found and added: {', '.join(definitions)}")
    return new


def _section(document: dict[str, object]) -> dict[str, object]:
    """Return the gates of atms.yaml, made if there are none."""
    section = document.get("gates")
    if not isinstance(section, dict):
        document["gates"] = section = {}
    return section


def remove(ws: Workspace, name: str) -> None:
    """Take a gate out of atms.yaml."""
    people_only(ws, "change gates", _WHY)
    if name not in ws.config["gates"]:
        gates.named(ws.config["gates"], [name])
        raise UsageError(f"`{name}` is a group", "remove its gates one by one: atms gate list")

    def change(document: dict[str, object]) -> None:
        del _section(document)[name]

    ws.settings.edit(change)
    ws.reload_config()
    note_settings(ws, f"gate {name} removed")
