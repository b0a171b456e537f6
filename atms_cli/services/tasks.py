"""What people and agents do with tasks."""

from __future__ import annotations

from atms_cli.domain import decisions, lanes, moment
from atms_cli.domain import task as tasks
from atms_cli.errors import AtmsError, ConflictError, CycleError, NothingToDoError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.records import Agent, Event, Fact, JsonObject, Lease, Task, Verdict
    from atms_cli.domain.redaction import Redactor
    from atms_cli.ports import ReadModel, TaskFilter, Transaction, Workspace

    Decision = Callable[[Task, Transaction], list[Fact]]


def add(
    ws: Workspace,
    fields: JsonObject,
    *,
    after: Sequence[str],
    draft: bool,
    otherwise_after: Mapping[str, Sequence[str]] | None = None,
) -> Task:
    """Create a task that waits for those named in `after`, and queue it unless it is a draft.

    `otherwise_after` names those that must end otherwise than well, by kind (domain/task.py). While the queue is being
    drained, what is added is a draft.
    """
    task_id = ws.ids.task()
    with ws.store.writing(ws.actor) as tx:
        record = {**fields}
        needs = {tx.read.resolve(other): "success" for other in after}
        for kind, others in (otherwise_after or {}).items():
            needs |= {tx.read.resolve(other): kind for other in others}
        if needs:
            record["dependencies"] = list(needs)
            record["dependency_kinds"] = {other: kind for other, kind in needs.items() if kind != "success"}
        if record.get("recurrence"):
            draft, record["not_before"] = True, _first_time(ws, record, tx.now)
        draft = draft or is_draining(tx, record)
        if record.get("parent_id"):
            record["parent_id"] = tx.read.resolve(str(record["parent_id"]))
        check_gates(ws, record)
        check_outputs(record)
        (born,) = tx.record(decisions.create(task_id, record, created_by=ws.actor, draft=draft))
        if "failure" in needs.values():
            from atms_cli.services.consequences import follow

            # What is only done if another fails is not needed if that has ended well already.
            follow(tx, [other for other, kind in needs.items() if kind == "failure"])
        created = _with_blockers(tx.read, task_id) if needs else _as_born(born)
    # Only now is it on the disk.
    return created  # noqa: RET504


def _as_born(event: Event) -> Task:
    """Return a task that nothing has happened to yet; nobody has to ask the index for it."""
    task = tasks.evolve(None, event)
    if task is None:
        raise TypeError(event)
    return {**task, "blocked_by": []}


def is_draining(tx: Transaction, fields: Mapping[str, object]) -> bool:
    """Return whether the queue, or the lane that a task would be in, takes in nothing new."""
    draining = tx.draining()
    return bool(draining) and (lanes.WHOLE in draining or f"lane/{fields.get('lane') or lanes.DEFAULT}" in draining)


def _first_time(ws: Workspace, record: JsonObject, now: str) -> str:
    recurrence = record["recurrence"]
    if not isinstance(recurrence, dict):
        raise TypeError(recurrence)
    return ws.calendar.next(str(recurrence["cron"]), now)


def check_gates(ws: Workspace, fields: JsonObject) -> None:
    """Refuse gates that are not defined; they would block the task for ever."""
    criteria = fields.get("validation_criteria")
    asked = criteria.get("gates") if isinstance(criteria, dict) else None
    if not isinstance(asked, list) or not asked:
        return
    from atms_cli.domain.gate import named

    named(ws.config["gates"], [str(name) for name in asked])


def check_outputs(fields: JsonObject) -> None:
    """Refuse outputs that could never be there."""
    context = fields.get("context")
    declared = context.get("outputs") if isinstance(context, dict) else None
    if isinstance(declared, dict) and declared:
        if fields.get("rollup"):
            raise UsageError(
                "a task that ends with its parts leaves nothing itself", "let one of its parts have the --output"
            )
        from atms_cli.domain.outputs import check

        check(declared)


def _with_blockers(read: ReadModel, task_id: str) -> Task:
    task = read.task(task_id)
    task["blocked_by"] = [blocker["id"] for blocker in read.blockers(task["id"])]
    return task


def find(ws: Workspace, wanted: TaskFilter) -> list[Task]:
    """Return the tasks that a filter lets through."""
    for name, choices, known in (("status", wanted["statuses"], tasks.STATUSES), ("priority", wanted["priorities"], tasks.PRIORITIES),
                                 ("category", wanted["categories"], tasks.CATEGORIES)):  # fmt: skip
        for choice in choices:
            if choice not in known:
                raise UsageError(f"`{choice}` is not a {name}", f"choose from: {', '.join(known)}")
    return ws.store.reading().tasks(wanted)


def show(ws: Workspace, task_id: str) -> JsonObject:
    """Return a task with its attempts, what it waits for, what waits for it, and its history."""
    from atms_cli.services.history import marked

    read = ws.store.reading()
    task = _with_blockers(read, task_id)
    dependents = read.waiting_on(task["id"])
    impact = None
    if dependents and task["status"] not in tasks.CLOSED:
        from atms_cli.services.impact import measure

        impact = measure(read, task["id"], dependents)
    card: JsonObject = {**task}  # type: ignore[dict-item]  # a Task is JSON throughout
    history = marked(read.history(task["id"]))
    return card | {
        "blockers": read.blockers(task["id"]),
        "dependents": [*dependents],
        "impact": impact,
        "attempt_list": _attempts(ws, task, history),
        "history": history,
    }


def _attempts(ws: Workspace, task: Task, history: Sequence[Event]) -> list[JsonObject]:
    """Return the attempts at a task with the phase of each, and how far the one has got that is being made."""
    attempts = ws.store.reading().attempts(task["id"])
    if not attempts:
        return []
    from atms_cli.domain import phases
    from atms_cli.services import progress

    last = dict(phases.along(history))
    found: list[JsonObject] = []
    for attempt in attempts:
        known: JsonObject = {**attempt}  # type: ignore[dict-item]  # JSON throughout
        if attempt["status"] == "running" and task["status"] in tasks.ACTIVE:
            known |= {"phase": progress.phase(ws, task), "progress": progress.of(ws, attempt["run"])}
        else:
            known["phase"] = last.get(attempt["run"]) or phases.of_end(attempt["status"], None)
        found.append(known)
    return found


def _on_each(ws: Workspace, task_ids: Sequence[str], decide: Decision) -> list[Task]:
    """Decide on each task and record all of it, or none if one is refused."""
    with ws.store.writing(ws.actor) as tx:
        resolved = list(dict.fromkeys(tx.read.resolve(task_id) for task_id in task_ids))
        for task_id in resolved:
            tx.record(decide(tx.read.task(task_id), tx))
        if any(tx.read.task(task_id)["status"] in (*tasks.CLOSED, "failed") for task_id in resolved):
            from atms_cli.services.consequences import follow

            follow(tx, resolved)
        return [_with_blockers(tx.read, task_id) for task_id in resolved]


def update(
    ws: Workspace, task_ids: Sequence[str], changes: JsonObject, *, tags: Sequence[str], untags: Sequence[str]
) -> list[Task]:
    """Change fields of tasks; tags are added to those that stay, and taken away."""
    check_gates(ws, changes)
    check_outputs(changes)

    def decide(task: Task, tx: Transaction) -> list[Fact]:
        own = {**changes}
        before: Mapping[str, object] = task
        for nested in ("metadata", "context", "validation_criteria"):
            given, present = own.get(nested), before[nested]
            if isinstance(given, dict) and isinstance(present, dict):
                own[nested] = {**present, **given}
        if ws.agent is not None:
            _refuse_less_evidence(task, own.get("validation_criteria"))
        if own.get("parent_id"):
            own["parent_id"] = _parent(tx.read, task["id"], str(own["parent_id"]))
        if tags or untags:
            kept = [] if "tags" in changes else task["tags"]
            own["tags"] = [tag for tag in dict.fromkeys([*kept, *tags]) if tag not in untags]
        return decisions.update(task, own)

    return _on_each(ws, task_ids, decide)


def _refuse_less_evidence(task: Task, criteria: object) -> None:
    """Refuse an agent that asks for fewer gates and commands to judge a task."""
    present: Mapping[str, object] = task["validation_criteria"]
    for name in ("gates", "commands"):
        before, after = present[name], criteria.get(name) if isinstance(criteria, dict) else None
        if isinstance(before, list) and isinstance(after, list) and any(each not in after for each in before):
            raise AtmsError("agents cannot take gates off a task", "a person decides what counts as done")


def _parent(read: ReadModel, task_id: str, parent: str) -> str:
    from atms_cli.domain.graph import find_cycle

    parent_id = read.resolve(parent)

    def above(child: str) -> list[str]:
        next_up = read.task(child)["parent_id"]
        return [next_up] if next_up else []

    cycle = find_cycle(task_id, parent_id, above)
    if cycle is not None:
        raise CycleError(cycle)
    return parent_id


def depend(
    ws: Workspace, task_ids: Sequence[str], on: Sequence[str], *, removing: bool, kind: str = "success"
) -> list[Task]:
    """Make tasks wait for others, or no longer.

    Raises:
        CycleError: they would wait for themselves.

    """
    if kind not in tasks.DEPENDENCY_KINDS:
        raise UsageError(f"`{kind}` is not a kind of dependency", f"choose one of: {', '.join(tasks.DEPENDENCY_KINDS)}")

    def decide(task: Task, tx: Transaction) -> list[Fact]:
        facts: list[Fact] = []
        for other in (tx.read.resolve(name) for name in on):
            if removing:
                facts += decisions.unlink(task, other)
                continue
            path = _way_back(tx.read, task["id"], other)
            if path is not None:
                raise CycleError([task["id"], *path])
            facts += decisions.link(task, other, kind)
        return facts

    return _on_each(ws, task_ids, decide)


def _way_back(read: ReadModel, task_id: str, other: str) -> list[str] | None:
    """Return the ids from a task along what it waits for to another one, or None if there is no way.

    A way leads from younger tasks to older ones, unless somewhere an older one waits for a younger. So mostly the times of
    birth tell that there is none; else it is looked for from both ends, among those that can be on it: what is older
    than the task, and than all that wait for a younger, leads back to no younger one; and the like at the other end.
    """
    own, others = read.born(task_id), read.born(other)
    oldest, youngest = read.forward_span() or (own, others)
    oldest, youngest = min(own, oldest), max(others, youngest)
    if task_id != other and (own > youngest or others < oldest):
        return None
    from atms_cli.domain.criticalpath import search_both_ways

    return search_both_ways(
        other,
        task_id,
        lambda each: [need for need in read.needs(each) if read.born(need) >= oldest],
        lambda each: [waiting for waiting in read.dependents(each) if read.born(waiting) <= youngest],
    )


def enqueue(ws: Workspace, task_ids: Sequence[str]) -> list[Task]:
    """Put drafts into the queue."""
    return _on_each(ws, task_ids, lambda task, _tx: decisions.enqueue(task))


def worker(ws: Workspace, agent: str | None) -> str:
    """Return in whose name work is done: the agent named, the one this process acts for, or the person."""
    return agent or ws.agent or ws.actor


def start(ws: Workspace, task_ids: Sequence[str], *, agent: str | None, token: str | None) -> list[Task]:
    """Begin work on tasks."""
    name = worker(ws, agent)

    def decide(task: Task, tx: Transaction) -> list[Fact]:
        decisions.guard(task, name, token, tx.now)
        blocked_by = [blocker["id"] for blocker in tx.read.blockers(task["id"])]
        if task["status"] in ("created", "queued"):
            _refuse_held(ws, tx, task)
        return decisions.start(task, agent=name, run=None, blocked_by=blocked_by)

    return _on_each(ws, task_ids, decide)


def _refuse_held(ws: Workspace, tx: Transaction, task: Task) -> None:
    """Refuse a task that needs what others hold; also by name nobody gets past that."""
    if not task["resources"] and not task["exclusive"]:
        return
    from atms_cli.services import dispatch

    limit = dispatch.Throttle(ws, tx.read, (), tx.now).of_resources(task)
    if limit is not None:
        raise ConflictError(str(limit["text"]), f"wait until it is free: atms queue explain {task['id']}")


def fail(ws: Workspace, task_ids: Sequence[str], reason: str | None, token: str | None) -> list[Task]:
    """End tasks without success."""
    return _on_each(ws, task_ids, _guarded(ws, token, lambda task: decisions.fail(task, reason)))


def _guarded(ws: Workspace, token: str | None, decide: Callable[[Task], list[Fact]]) -> Decision:
    def guarded(task: Task, tx: Transaction) -> list[Fact]:
        decisions.guard(task, worker(ws, None), token, tx.now)
        return decide(task)

    return guarded


def cancel(ws: Workspace, task_ids: Sequence[str], reason: str | None) -> list[Task]:
    """Give tasks up; what runs is stopped by its loop. A person may cancel anything."""

    def decide(task: Task, tx: Transaction) -> list[Fact]:
        if ws.agent is not None:
            decisions.guard(task, ws.agent, None, tx.now)
        return decisions.cancel(task, reason)

    return _on_each(ws, task_ids, decide)


def reopen(ws: Workspace, task_ids: Sequence[str], reason: str | None) -> list[Task]:
    """Bring closed tasks back into the queue."""
    return _on_each(ws, task_ids, lambda task, _tx: decisions.reopen(task, reason))


def retry(ws: Workspace, task_ids: Sequence[str], reason: str | None) -> list[Task]:
    """Put failed tasks back into the queue with all of their attempts."""
    return _on_each(ws, task_ids, lambda task, _tx: decisions.retry_from_scratch(task, reason))


def block(ws: Workspace, task_ids: Sequence[str], reason: str | None) -> list[Task]:
    """Keep tasks from being worked on until somebody lets them go."""
    return _on_each(ws, task_ids, lambda task, _tx: decisions.block(task, reason))


def unblock(ws: Workspace, task_ids: Sequence[str], reason: str | None) -> list[Task]:
    """Let blocked tasks go on."""
    return _on_each(ws, task_ids, lambda task, _tx: decisions.unblock(task, reason))


def archive(ws: Workspace, task_ids: Sequence[str], reason: str | None) -> list[Task]:
    """Put tasks that have ended out of sight."""
    return _on_each(ws, task_ids, lambda task, _tx: decisions.archive(task, reason))


def release(ws: Workspace, task_ids: Sequence[str], reason: str | None, token: str | None) -> list[Task]:
    """Give tasks back to the queue. A person may take them away from anyone but a running loop."""

    def decide(task: Task, tx: Transaction) -> list[Fact]:
        if ws.agent is not None or token is not None:
            decisions.guard(task, ws.agent, token, tx.now)
        if task["run"] is not None and task["status"] != "queued" and ws.loop_holder() is not None:
            message = f"`{task['id']}` is being run by `atms run`"
            raise ConflictError(message, f"stop it with: atms task cancel {task['id']}")
        return decisions.release(task, reason)

    return _on_each(ws, task_ids, decide)


def heartbeat(ws: Workspace, task_id: str, *, token: str | None, lease_s: float | None) -> Task:
    """Keep a claim alive; return the task with its lease as it now stands."""
    from atms_cli.services import presence

    def decide(task: Task, tx: Transaction) -> list[Fact]:
        name = worker(ws, None)
        decisions.guard(task, name, token, tx.now)
        presence.hear_of(tx, name)
        if task["lease"] is None and task["run"] is not None:
            # Held by `atms run`, which looks for such signs of life of its agents.
            from atms_cli.services.progress import note_said

            note_said(ws, task["run"], tx.now)
            return []
        return decisions.renew(task, moment.plus(tx.now, lease_s or ws.config["claims"]["lease"]), tx.now)

    return _on_each(ws, [task_id], decide)[0]


def claim(ws: Workspace, task_id: str | None, *, agent: str | None, lease_s: float | None) -> Task:
    """Take a task on a lease: the one named, or the best that the agent may take.

    Raises:
        NothingToDoError: nothing in the queue is for this agent now.

    """
    from atms_cli.services import presence

    name = worker(ws, agent)
    with ws.store.writing(ws.actor) as tx:
        expired = tx.read.expired(tx.now)
        for stale in expired:
            tx.record(decisions.expire(tx.read.task(stale), tx.now))
        if task_id and name in tx.read.switches("disabled"):
            raise ConflictError(f"agent `{name}` is disabled", f"let it work again: atms agent enable {name}")
        chosen = tx.read.task(task_id) if task_id else _best(ws, tx, name)
        lease: Lease = {
            "agent": name, "token": ws.ids.token(), "expires_at": moment.plus(tx.now, lease_s or ws.config["claims"]["lease"]),
        }  # fmt: skip
        # What the queue gives waits for nothing.
        blocked_by = [blocker["id"] for blocker in tx.read.blockers(chosen["id"])] if task_id else []
        if chosen["status"] == "queued":
            _refuse_held(ws, tx, chosen)
        claimed: Task | None = chosen
        for event in tx.record(decisions.claim(chosen, lease, blocked_by, tx.now)):
            claimed = tasks.evolve(claimed, event)
        presence.hear_of(tx, name)
        if expired:
            from atms_cli.services.agents import notice_silence

            notice_silence(ws, tx)
        if ws.config["queue"]["lanes"] or chosen["lane"]:
            tx.gave(lanes.name_of(chosen))
    # Only now is it on the disk.
    if claimed is None:
        raise TypeError(chosen)
    return {**claimed, "blocked_by": blocked_by}


def _best(ws: Workspace, tx: Transaction, name: str) -> Task:
    from atms_cli.domain.agent import anonymous
    from atms_cli.domain.matching import refusal
    from atms_cli.services import dispatch

    known = _known_agent(ws, tx.read, name)
    if known is not None and (running := tx.read.load().get(name, 0)) >= known["max_concurrent"]:
        raise NothingToDoError(
            f"{name} is already at work on {running} tasks, its limit", "finish or release one first"
        )
    agent = known or anonymous(name)
    throttle = dispatch.Throttle(ws, tx.queue(ws.config["queue"]), [agent], tx.now)
    limit = throttle.of({}, None, name)
    if limit is not None:
        raise NothingToDoError(str(limit["text"]), dispatch.way_on(limit))

    def fit(task: Task) -> Agent | None:
        may = known is None or refusal(agent, task) is None
        return agent if may and throttle.of(task, lanes.name_of(task), name) is None else None

    for task, _ in dispatch.choose(ws, tx.read, throttle, fit, 1, tx.now, [agent]):
        return task
    raise NothingToDoError(
        "nothing in the queue can be started now", "see what waits for what: atms task list --blocked"
    )


def _known_agent(ws: Workspace, read: ReadModel, name: str) -> Agent | None:
    if name not in ws.config["agents"] and read.agent(name) is None:
        return None
    from atms_cli.services.agents import known

    return known(ws, read).get(name)


class Finished:
    """Completed tasks, and those that may start because of it."""

    __slots__ = ("tasks", "unblocked")

    def __init__(self, tasks: list[Task], unblocked: list[JsonObject]) -> None:
        self.tasks = tasks
        self.unblocked = unblocked


def done(
    ws: Workspace,
    task_ids: Sequence[str],
    *,
    token: str | None,
    force_reason: str | None,
    note: str | None,
    result: str | None = None,
) -> Finished:
    """Complete tasks whose required gates pass and whose declared outputs are there; those to be reviewed wait for that.

    Raises:
        GatesFailedError: a required gate did not pass; none of the tasks is completed.
        AtmsError: an agent tried to pass over the gates, or an output is not there.

    """
    if force_reason is not None:
        from atms_cli.services.identity import people_only

        people_only(ws, "pass over quality gates", "fix what the gates find; a person may use --force")
    left = _left(ws, task_ids, result, is_forced=force_reason is not None)
    verdicts = {} if force_reason is not None else _judge_all(ws, task_ids, token)
    evidence: JsonObject = {
        "by": ws.actor,
        **({"forced": force_reason} if force_reason is not None else {}),
        **({"note": note} if note else {}),
    }

    def decide(task: Task, tx: Transaction) -> list[Fact]:
        if task["status"] == "completed":
            # An agent whose answer got lost asks again, with the token it had.
            return []
        decisions.guard(task, worker(ws, None), token, tx.now)
        verdict = verdicts.get(task["id"])
        whole: JsonObject = {**evidence, **left.get(task["id"], {}), **({"validation": verdict} if verdict else {})}
        if verdict is None or verdict["passed"]:
            passed_over = decisions.override(task, force_reason) if force_reason is not None else []
            return [*passed_over, *decisions.complete(task, whole, tx.now)]
        from atms_cli.domain.gate import summarise

        return decisions.request_review(task, summarise(verdict), whole)

    before = ws.store.reading()
    ready_before = {
        waiting["id"]
        for task_id in task_ids
        for waiting in before.waiting_on(before.resolve(task_id))
        if not waiting["blockers"]
    }
    finished = _on_each(ws, task_ids, decide)
    read = ws.store.reading()
    waiting = {str(each["id"]): each for task in finished for each in read.waiting_on(task["id"])}
    unblocked = [each for key, each in waiting.items() if not each["blockers"] and key not in ready_before]
    return Finished(finished, unblocked)


def _left(ws: Workspace, task_ids: Sequence[str], result: str | None, *, is_forced: bool) -> dict[str, JsonObject]:
    """Return what tasks leave that have to, or that report something; who passes over the gates passes over what is not there.

    Raises:
        AtmsError: something is not there, or is not as it should be.

    """
    if result is not None and len(task_ids) > 1:
        raise UsageError("a result is that of one task", "complete them one by one")
    read = ws.store.reading()
    found: dict[str, JsonObject] = {}
    for task in (read.task(task_id) for task_id in task_ids):
        if task["status"] == "completed" or not (task["context"]["outputs"] or result is not None):
            continue
        from atms_cli.services import outputs

        left = outputs.look(ws, task, ws.tree, None if result is None else result.encode(errors="replace"), None)
        if left.lacks is not None and not (is_forced and result is None):
            raise AtmsError(
                f"`{task['id']}` is not done: {left.lacks}", "see what it has to leave: atms task show " + task["id"]
            )
        found[task["id"]] = left.kept
    return found


def _judge_all(ws: Workspace, task_ids: Sequence[str], token: str | None) -> dict[str, Verdict]:
    """Run the gates of each task that has some; the lock is not held meanwhile."""
    read = ws.store.reading()
    now = moment.to_iso(ws.clock.now_ms())
    open_tasks = [task for task in (read.task(task_id) for task_id in task_ids) if task["status"] != "completed"]
    if not ws.config["gates"] and not any(_asks_for_gates(task) for task in open_tasks):
        return {}
    from atms_cli.services import gates

    for task in open_tasks:
        decisions.guard(task, worker(ws, None), token, now)
    return gates.judge_tasks(ws, open_tasks)


def _asks_for_gates(task: Task) -> bool:
    criteria = task["validation_criteria"]
    return bool(criteria["gates"] or criteria["commands"])


def have_ended(ws: Workspace, task_ids: Sequence[str]) -> bool:
    """Return whether nothing more will happen to any of the tasks by itself."""
    return all(task["status"] in (*tasks.CLOSED, "failed") for task in end_states(ws, task_ids))


def is_running(ws: Workspace, task_id: str) -> bool:
    """Return whether somebody is at work on a task."""
    return ws.store.reading().task(task_id)["status"] in tasks.ACTIVE


def end_states(ws: Workspace, task_ids: Sequence[str]) -> list[Task]:
    """Return the tasks as they are now."""
    read = ws.store.reading()
    return [read.task(task_id) for task_id in task_ids]


def gate_logs(ws: Workspace, task_id: str) -> list[tuple[str, str]]:
    """Return what to call each gate that last judged a task, and its merge, and where their output lies."""
    result = ws.store.reading().task(task_id)["result"] or {}
    verdict, merge = result.get("validation"), result.get("merge")
    judged = verdict.get("gates") if isinstance(verdict, dict) else None
    logs = [
        (f"gate {gate['name']}: {gate['reason'] or gate['status']}", str(gate["log"]))
        for gate in judged or []
        if gate["log"]
    ]
    if isinstance(merge, dict) and merge.get("log"):
        run, _, name = str(merge["log"]).partition("/")
        logs.append((f"merge: {str(merge['kind']).replace('_', ' ')}", ws.run_files.path(run, name)))
    return logs


def log_file(ws: Workspace, task_id: str, attempt: int | None) -> str:
    """Return the path of the output of an attempt at a task, the last one unless a number is given."""
    read = ws.store.reading()
    task = read.task(task_id)
    attempts = [each for each in read.attempts(task["id"]) if attempt is None or each["number"] == attempt]
    if not attempts:
        which = f"attempt {attempt} at" if attempt else "attempt at"
        raise NothingToDoError(
            f"no {which} `{task['id']}` has been made", "see what it waits for: atms queue explain " + task["id"]
        )
    return ws.run_files.path(attempts[-1]["run"], "output.log")


def log_redactor(ws: Workspace, task_id: str) -> Redactor:
    """Return what masks the secrets in the output of a task; what runs it may know more of them than this process."""
    from atms_cli.services.agents import known
    from atms_cli.services.redaction import redactor

    read = ws.store.reading()
    task = read.task(task_id)
    return redactor(ws, task, known(ws, read).get(task["assigned_agent"] or ""))
