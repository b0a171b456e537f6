"""What a person says of work that waits for a review, and how that work then comes back."""

from __future__ import annotations

from atms_cli.domain import attempt, decisions, moment
from atms_cli.domain.gate import awaits_review, summarise
from atms_cli.errors import AtmsError, GatesFailedError
from atms_cli.services import attempts, gates, isolation, settling
from atms_cli.services.consequences import follow
from atms_cli.services.identity import people_only
from atms_cli.services.judging import Scope
from atms_cli.services.running import to_its_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import Workspace


def approve(ws: Workspace, task_ids: Sequence[str], note: str | None) -> list[Task]:
    """Complete tasks that wait for the word of a person; work that lies apart is brought back first.

    Raises:
        AtmsError: an agent asks, a task waits for something else, or its work cannot come back.
        GatesFailedError: the branch went on meanwhile, and together with that the work does not pass its gates.

    """
    people_only(ws, "approve work", "a person decides what counts as done")
    read = ws.store.reading()
    found = [read.task(task_id) for task_id in dict.fromkeys(read.resolve(name) for name in task_ids)]
    approval: JsonObject = {"by": ws.actor, "at": moment.to_iso(ws.clock.now_ms()), **({"note": note} if note else {})}
    for task in found:
        decisions.approve(task, {}, note, str(approval["at"]))
        _refuse_other_reviews(task)
    run = ws.ids.run()
    merges = {task["id"]: _brought_back(ws, task, run, approval) for task in found if task["status"] == "review"}
    with ws.store.writing(ws.actor) as tx:
        for task_id, merge in merges.items():
            task = tx.read.task(task_id)
            tx.record(decisions.approve(task, _evidence(task, approval, merge), note, tx.now))
        follow(tx, list(merges))
        approved = [tx.read.task(task["id"]) for task in found]
    for task in approved:
        merge = merges.get(task["id"])
        if merge is not None:
            _clean_up(ws, task, run, is_merged=merge["kind"] in ("merged", "nothing"))
    return approved


def _refuse_other_reviews(task: Task) -> None:
    verdict = (task["result"] or {}).get("validation")
    if task["status"] == "review" and not (isinstance(verdict, dict) and awaits_review(verdict)):  # type: ignore[arg-type]  # a Verdict is JSON
        raise AtmsError(
            f"`{task['id']}` does not wait for an approval: {task['reason']}",
            f"let it go on: atms task retry {task['id']}",
        )


def _evidence(task: Task, approval: JsonObject, merge: JsonObject | None) -> JsonObject:
    """Return the result of a task with its reviews passed."""
    result: JsonObject = {**(task["result"] or {}), "review": approval, **({"merge": merge} if merge else {})}
    verdict = result.get("validation")
    if isinstance(verdict, dict):
        reviewed = {"status": "passed", "reason": None, "reviewed_by": approval["by"]}
        judged = [{**gate, **(reviewed if gate["status"] == "waiting" else {})} for gate in verdict["gates"]]
        result["validation"] = {"passed": True, "gates": judged}
    return result


def _brought_back(ws: Workspace, task: Task, run: str, approval: JsonObject) -> JsonObject | None:
    """Merge the branch of a task, judged anew as often as the other one has gone on; None if its work lies in the tree."""
    tree = ws.worktrees.path(task["id"])
    if tree is None:
        return None
    policy, message = ws.config["execution"]["merge"], isolation.message(task)
    merge = ws.worktrees.merge(task["id"], policy, message)
    while merge["kind"] == "again":
        _judge_again(ws, task, tree, approval)
        merge = ws.worktrees.merge(task["id"], policy, message)
    if merge["kind"] == "hand_over":
        ws.run_files.prepare(run)
        launch = isolation.hand_over(ws, task, run, ws.ids.token(), merge)
        merge = isolation.handed_over(ws, task, run, merge, to_its_end(ws, launch))
    if merge["kind"] == "conflict":
        _send_back(ws, task, settling.conflict_in(merge))
    if merge["kind"] == "refused":
        raise AtmsError(f"`{task['id']}` is not approved: {settling.why_refused(merge)}", "resolve that, then repeat")
    return merge


def _judge_again(ws: Workspace, task: Task, tree: str, approval: JsonObject) -> None:
    scope = Scope(tree, task, ws.worktrees.changed(task["id"]), approval=approval)
    verdict = gates.run_all(ws, attempts.gates_of(ws, task), scope)
    if not verdict["passed"]:
        raise GatesFailedError(
            f"`{task['id']}` does not pass its gates on top of what came meanwhile: {summarise(verdict)}",
            f"send it back: atms task reopen {task['id']}; {gates.where_to_look(verdict)}",
        )


def _send_back(ws: Workspace, task: Task, reason: str) -> None:
    with ws.store.writing(ws.actor) as tx:
        tx.record(decisions.retry_from_scratch(tx.read.task(task["id"]), reason))
    raise AtmsError(
        f"`{task['id']}` is back in the queue: {reason}", f"its worktree has both: {ws.worktrees.path(task['id'])}"
    )


def _clean_up(ws: Workspace, task: Task, run: str, *, is_merged: bool) -> None:
    """Remove the worktree of a task, after its teardown if there is one; what has to stay there stays."""
    launch = isolation.teardown(ws, task, run, ws.ids.token())
    if launch is not None:
        ws.run_files.prepare(run)
    if launch is None or attempt.is_success(to_its_end(ws, launch)):
        ws.worktrees.clean_up(task["id"], is_merged=is_merged)
