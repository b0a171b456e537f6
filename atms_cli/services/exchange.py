"""Tasks in from other programs, and out to them."""

from __future__ import annotations

from atms_cli.domain import decisions, foreign
from atms_cli.domain.folding import has_fold, shown
from atms_cli.domain.graph import find_cycle
from atms_cli.errors import CycleError
from atms_cli.services.tasks import is_draining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atms_cli.domain.records import Fact, JsonObject, Task
    from atms_cli.ports import ForeignTask, ReadModel, TaskFilter, Transaction, Workspace


def take_in(ws: Workspace, drafts: Sequence[ForeignTask], *, only_show: bool) -> JsonObject:
    """Add the tasks that are not here yet, all of them or none; return which are new, known, and waiting for unknown ones.

    Raises:
        CycleError: they wait for each other in a circle.
        UsageError: a field of one is no good.

    """
    by_id = {draft.id: draft for draft in drafts}
    _refuse_cycles(by_id)
    with ws.store.writing(ws.actor) as tx:
        known = {task_id for task_id in by_id if _is_known(tx.read, task_id)}
        new = [draft for draft in by_id.values() if draft.id not in known]
        there = known | {draft.id for draft in new}
        missing = sorted(
            {need for draft in new for need in draft.after if need not in there and not _is_known(tx.read, need)}
        )
        if tx.draining():
            _keep_out_of_the_queue(tx, new)
        facts = [fact for draft in new for fact in _facts(draft, ws.actor, without=missing)]
        if not only_show:
            tx.record(facts)
    listed = [{"id": draft.id, "title": draft.fields["title"], "status": draft.status} for draft in new]
    return {"new": listed, "known": sorted(known), "unknown_dependencies": missing, "dry_run": only_show}


def _keep_out_of_the_queue(tx: Transaction, drafts: Iterable[ForeignTask]) -> None:
    """Make drafts of what would go into a queue or lane that takes in nothing new."""
    for draft in drafts:
        fields = draft.fields if draft.original is None else draft.original
        if draft.status == "queued" and is_draining(tx, fields):
            draft.status = "created"
            if draft.original is not None:
                draft.original = {**draft.original, "status": "created"}


def _is_known(read: ReadModel, task_id: str) -> bool:
    return bool(read.event_ids(task_id))


def _refuse_cycles(by_id: Mapping[str, ForeignTask]) -> None:
    def needs(task_id: str) -> Sequence[str]:
        return by_id[task_id].after if task_id in by_id else ()

    cleared: set[str] = set()
    for task_id in by_id:
        for need in needs(task_id):
            cycle = find_cycle(task_id, need, lambda each: () if each in cleared else needs(each))
            if cycle is not None:
                raise CycleError(cycle)
        cleared.add(task_id)


def _facts(draft: ForeignTask, actor: str, *, without: Sequence[str]) -> list[Fact]:
    if draft.original is not None:
        return [foreign.imported(draft.id, draft.original)]
    fields = {**draft.fields, "dependencies": [need for need in draft.after if need not in without]}
    facts = decisions.create(draft.id, fields, created_by=actor, draft=draft.status == "created")
    if draft.status == "completed":
        return [*facts, ("task.completed", draft.id, {"result": {"by": actor, "imported": True}, "run": None})]
    if draft.status == "cancelled":
        return [*facts, ("task.cancelled", draft.id, {"reason": "it was closed where it came from"})]
    return facts


def give_out(ws: Workspace, wanted: TaskFilter) -> Iterable[JsonObject]:
    """Return tasks with their events, for `take_in` of another workspace."""
    read = ws.store.reading()
    return [_with_history(read, task) for task in read.tasks(wanted)]


def _with_history(read: ReadModel, task: Task) -> JsonObject:
    whole: JsonObject = {**task}  # type: ignore[dict-item]  # a Task is JSON throughout
    whole.pop("blocked_by", None)
    history = read.history(task["id"])
    return whole | {"history": shown(history) if has_fold(history) else history}
