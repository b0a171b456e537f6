"""Tasks: make them, see them, work on them."""

from __future__ import annotations

from atms_cli.cli.call import environment, many
from atms_cli.domain import moment
from atms_cli.errors import EXIT_REFUSED, EXIT_UNAVAILABLE, EXIT_WORK_FAILED, UsageError
from atms_cli.services import tasks as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Json, JsonObject, Task
    from atms_cli.ports import TaskFilter

#: Rows of a table unless told otherwise; machine formats print everything.
_TABLE_ROWS = 50


def _now(call: Call) -> str:
    return moment.to_iso(call.workspace.clock.now_ms())


def _each(values: Sequence[str] | None) -> list[Json]:
    return [*many(values)]


def _given(values: JsonObject) -> JsonObject:
    """Leave out what was not said."""
    return {name: value for name, value in values.items() if value is not None and value != []}


def _time(call: Call, words: str | None) -> str | None:
    return None if words is None else moment.parse_when(words, _now(call))


def _duration(words: str | None) -> float | None:
    return None if words is None else moment.parse_duration(words)


def add(
    call: Call,
    title: o.Title,
    description: o.Description = None,
    priority: o.Priority = None,
    category: o.Category = None,
    complexity: o.Complexity = None,
    effort: o.Effort = None,
    value: o.Value = None,
    after: o.After = None,
    parent: o.Parent = None,
    feature: o.FeatureOf = None,
    tag: o.Tags = None,
    cap: o.Capabilities = None,
    gate: o.GateNames = None,
    criterion: o.Criteria = None,
    check: o.Checks = None,
    check_exit: o.CheckExit = None,
    check_output: o.CheckOutput = None,
    command: o.Command = None,
    prompt: o.Prompt = None,
    agent: o.Agent = None,
    lane: o.Lane = None,
    soft_after: o.Soft = None,
    after_failure: o.AfterFailure = None,
    after_any: o.AfterAny = None,
    needs: o.Needs = None,
    exclusive: o.Exclusive = None,
    isolation: o.TaskIsolation = None,
    every: o.Every = None,
    missed: o.Missed = None,
    rollup: o.Rollup = False,
    cwd: o.WorkingDirectory = None,
    env: o.Environment = None,
    input: o.Inputs = None,  # noqa: A002  the option's name
    output: o.Outputs = None,
    deadline: o.Deadline = None,
    not_before: o.NotBefore = None,
    timeout: o.Timeout = None,
    limit: o.Limits = None,
    retries: o.Retries = None,
    draft: o.Draft = False,
) -> None:
    """Add a task to the queue."""
    if command is not None and prompt is not None:
        raise UsageError("a task has a command or a prompt, not both")
    fields = _given({
        "title": title, "description": call.text(description), "priority": priority, "category": category, "complexity": complexity,
        "estimated_effort": effort, "business_value": call.text(value), "parent_id": parent, "feature_id": feature, "tags": _each(tag),
        "required_capabilities": _each(cap), "command": command, "prompt": call.text(prompt), "agent": agent,
        "deadline": _time(call, deadline), "not_before": _time(call, not_before), "timeout": _duration(timeout),
        "max_attempts": None if retries is None else retries + 1, "lane": lane, "resources": _each(needs), "exclusive": exclusive,
        "isolation": isolation, "recurrence": _recurrence(every, missed), "rollup": rollup or None,
    })  # fmt: skip
    fields |= _nested(
        cwd, env, gate, criterion, _checks(check, check_exit, check_output), _context(input, output, limit)
    )
    others = {"soft": many(soft_after), "failure": many(after_failure), "always": many(after_any)}
    task = service.add(call.workspace, fields, after=many(after), draft=draft, otherwise_after=others)
    call.answer(task, [task["id"]], lambda: _added(call, task))
    if task["status"] == "created" and not draft and not every:
        call.say("the queue takes nothing new in now, so it is a draft; later: atms task queue " + task["id"])


def _recurrence(every: str | None, missed: str | None) -> JsonObject | None:
    from atms_cli.domain.recurrence import MISSED

    if missed is not None and (every is None or missed not in MISSED):
        raise UsageError(f"`--missed {missed}` says nothing", f"give --every too, and one of: {', '.join(MISSED)}")
    return None if every is None else {"cron": every, "missed": missed or "once"}


def _checks(commands: Sequence[str] | None, exits: Sequence[str] | None, outputs: Sequence[str] | None) -> list[Json]:
    if not commands and not exits and not outputs:
        return []
    from atms_cli.cli.defining import checks

    return checks(commands, exits, outputs)


def _nested(
    cwd: str | None,
    env: Sequence[str] | None,
    gate: Sequence[str] | None,
    criterion: Sequence[str] | None,
    checks: Sequence[Json],
    more: JsonObject,
) -> JsonObject:
    context = _given({"working_directory": cwd, "environment": environment(env) or None, **more})
    criteria = _given({"gates": _each(gate), "success_criteria": _each(criterion), "commands": [*checks]})
    return _given({"context": context or None, "validation_criteria": criteria or None})


def _context(inputs: Sequence[str] | None, outputs: Sequence[str] | None, limits: Sequence[str] | None) -> JsonObject:
    """Return what else belongs to the surroundings of a task."""
    constraints: JsonObject | None = None
    if limits:
        from atms_cli.domain.footprint import parse_limits

        constraints = parse_limits(limits)
    return {"inputs": _named(inputs), "outputs": _declared(outputs), "constraints": constraints}


def _named(pairs: Sequence[str] | None) -> JsonObject | None:
    for pair in many(pairs):
        if "=" not in pair[1:]:
            raise UsageError(f"`{pair}` is not an input", "write it as NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in many(pairs))} or None


def _declared(outputs: Sequence[str] | None) -> JsonObject | None:
    split = [output.partition("=") for output in many(outputs)]
    return {name: path if equals else None for name, equals, path in split} or None


def _added(call: Call, task: Task) -> str:
    from atms_cli.cli.lines import task_line

    waits = f"  (waits for {', '.join(task['blocked_by'])})" if task["blocked_by"] else ""
    if task["recurrence"]:
        waits = f"  (every {task['recurrence']['cron']}, next at {task['not_before']})"
    return task_line(call, task) + call.style(waits, "dim")


def list_(
    call: Call,
    status: o.Statuses = None,
    priority: o.Priorities = None,
    category: o.Categories = None,
    tag: o.TagsWanted = None,
    feature: o.FeaturesWanted = None,
    agent: o.AgentsWanted = None,
    lane: o.LanesWanted = None,
    ready: o.Ready = False,
    blocked: o.Blocked = False,
    overdue: o.Overdue = False,
    search: o.Search = None,
    sort: o.Sort = None,
    reverse: o.Reverse = False,
    limit: o.Limit = None,
    offset: o.Offset = None,
    format: o.Format = None,  # noqa: A002  the option's name
) -> None:
    """List tasks, open ones first."""
    from atms_cli.cli import listing

    form = listing.form(call, format)
    wanted: TaskFilter = {
        "statuses": many(status), "priorities": many(priority), "categories": many(category), "tags": many(tag),
        "features": many(feature), "agents": many(agent),
        "buckets": [*(["ready"] if ready else []), *(["waiting", "blocked"] if blocked else [])],
        "lanes": many(lane),
        "due_before": _now(call) if overdue else None, "search": search or "", "sort": listing.sort(sort), "reverse": reverse,
        "limit": _TABLE_ROWS + 1 if limit is None and form == "table" else limit, "offset": offset or 0,
    }  # fmt: skip
    found = service.find(call.workspace, wanted)
    listing.show(call, form, found, None if limit is not None else _TABLE_ROWS)


def show(call: Call, task_id: o.TaskId, prompt: o.ShowPrompt = False) -> None:
    """Show everything about a task."""
    if prompt:
        from atms_cli.services import preview

        told = preview.of(call.workspace, task_id)
        text_of_prompt = str(told["prompt"]).rstrip()
        call.answer(told, [text_of_prompt], lambda: text_of_prompt)
        return
    task = service.show(call.workspace, task_id)

    def text() -> str:
        from atms_cli.cli.render import task_card

        return task_card(call, task, _now(call))

    call.answer(task, [str(task["id"])], text)


def update(
    call: Call,
    task_ids: o.TaskIds,
    title: o.NewTitle = None,
    description: o.Description = None,
    priority: o.Priority = None,
    category: o.Category = None,
    complexity: o.Complexity = None,
    effort: o.Effort = None,
    value: o.Value = None,
    parent: o.Parent = None,
    feature: o.FeatureOf = None,
    tag: o.Tags = None,
    untag: o.Untags = None,
    clear: o.Clears = None,
    cap: o.Capabilities = None,
    gate: o.GateNames = None,
    criterion: o.Criteria = None,
    check: o.Checks = None,
    check_exit: o.CheckExit = None,
    check_output: o.CheckOutput = None,
    command: o.Command = None,
    prompt: o.Prompt = None,
    agent: o.Agent = None,
    lane: o.Lane = None,
    needs: o.Needs = None,
    exclusive: o.Exclusive = None,
    isolation: o.TaskIsolation = None,
    cwd: o.WorkingDirectory = None,
    env: o.Environment = None,
    input: o.Inputs = None,  # noqa: A002  the option's name
    output: o.Outputs = None,
    deadline: o.Deadline = None,
    not_before: o.NotBefore = None,
    timeout: o.Timeout = None,
    limit: o.Limits = None,
    retries: o.Retries = None,
) -> None:
    """Change fields of tasks."""
    changes = _given({
        "title": title, "description": call.text(description), "priority": priority, "category": category, "complexity": complexity,
        "estimated_effort": effort, "business_value": call.text(value), "parent_id": parent, "feature_id": feature,
        "required_capabilities": _each(cap), "command": command, "prompt": call.text(prompt), "agent": agent,
        "deadline": _time(call, deadline), "not_before": _time(call, not_before), "timeout": _duration(timeout),
        "max_attempts": None if retries is None else retries + 1, "lane": lane, "resources": _each(needs), "exclusive": exclusive,
        "isolation": isolation,
    })  # fmt: skip
    changes |= _nested(
        cwd, env, gate, criterion, _checks(check, check_exit, check_output), _context(input, output, limit)
    )
    if clear:
        from atms_cli.cli.clearing import cleared

        changes |= cleared(clear, changes)
    if not changes and not tag and not untag:
        raise UsageError("nothing to change", "name a field: atms task update --help")
    _changed(call, service.update(call.workspace, task_ids, changes, tags=many(tag), untags=many(untag)), "updated")


def _changed(call: Call, tasks: Sequence[Task], verb: str) -> None:
    """Answer with one task as an object, several as an array."""

    def text() -> str:
        from atms_cli.cli.lines import changed_lines

        return changed_lines(call, tasks, verb)

    call.answer(tasks[0] if len(tasks) == 1 else tasks, [task["id"] for task in tasks], text)


def depend(call: Call, task_ids: o.TaskIds, on: o.On, kind: o.LinkKind = None, remove: o.RemoveLink = False) -> None:
    """Make tasks wait for others."""
    verb = f"{'no longer waits' if remove else 'waits'} for {', '.join(on)}"
    _changed(call, service.depend(call.workspace, task_ids, on, removing=remove, kind=kind or "success"), verb)


def graph(call: Call, task_id: o.GraphTask = None, format: o.GraphFormat = None) -> None:  # noqa: A002  the option's name
    """Draw what waits for what."""
    from atms_cli.domain import drawing
    from atms_cli.services import queue

    forms = {"text": drawing.tree, "dot": drawing.dot, "mermaid": drawing.mermaid}
    form = format or "text"
    if form not in forms:
        raise UsageError(f"`{form}` is not a form of graph", f"choose one of: {', '.join(forms)}")
    nodes, edges = queue.graph(call.workspace, task_id)
    document = {
        "tasks": [dict(zip(("id", "title", "status"), node, strict=True)) for node in nodes],
        "edges": [dict(zip(("task", "needs", "kind"), edge, strict=True)) for edge in edges],
    }
    call.answer(document, [node[0] for node in nodes], lambda: "\n".join(forms[form](nodes, edges)))
    if not nodes:
        call.say("no task is open")


def block(call: Call, task_ids: o.TaskIds, reason: o.Reason = None) -> None:
    """Hold tasks: nobody works on them until they are unblocked."""
    _changed(call, service.block(call.workspace, task_ids, call.text(reason)), "blocked")


def unblock(call: Call, task_ids: o.TaskIds, reason: o.Reason = None) -> None:
    """Let blocked tasks go on, at their old place in the queue."""
    _changed(call, service.unblock(call.workspace, task_ids, call.text(reason)), "unblocked")


def archive(call: Call, task_ids: o.TaskIds, reason: o.Reason = None) -> None:
    """Put tasks that have ended out of sight; `task list --status archived` shows them."""
    _changed(call, service.archive(call.workspace, task_ids, call.text(reason)), "archived")


def queue(call: Call, task_ids: o.TaskIds) -> None:
    """Put drafts into the queue."""
    _changed(call, service.enqueue(call.workspace, task_ids), "queued")


def start(call: Call, task_ids: o.TaskIds, agent: o.ClaimAgent = None, token: o.Token = None) -> None:
    """Begin work on tasks."""
    _changed(call, service.start(call.workspace, task_ids, agent=agent, token=_token(call, token)), "started")


def _token(call: Call, token: str | None) -> str | None:
    return token or call.environ.get("ATMS_LEASE") or None


def done(
    call: Call,
    task_ids: o.TaskIds,
    note: o.Note = None,
    result: o.Result = None,
    force: o.Force = False,
    reason: o.Reason = None,
    token: o.Token = None,
) -> None:
    """Complete tasks, if their gates pass; those that a person has to review go there."""
    if force and not reason:
        raise UsageError("--force needs a reason", "say why the gates do not count: --reason TEXT")
    finished = service.done(
        call.workspace,
        task_ids,
        token=_token(call, token),
        force_reason=call.text(reason) if force else None,
        note=call.text(note or reason),
        result=call.text(result),
    )
    tasks = finished.tasks
    document: object = {**tasks[0], "unblocked": finished.unblocked} if len(tasks) == 1 else tasks
    call.answer(document, [task["id"] for task in tasks], lambda: _finished(call, tasks, finished.unblocked))


def _finished(call: Call, tasks: Sequence[Task], unblocked: Sequence[JsonObject]) -> str:
    from atms_cli.cli.lines import one_line, task_line

    lines = [task_line(call, task) for task in tasks]
    lines += [
        f"{call.style('→', 'cyan')} it waits for a person: atms task approve {task['id']}"
        for task in tasks
        if task["status"] == "review"
    ]
    lines += [
        f"{call.style('→', 'cyan')} {call.style(str(each['id']), 'bold')}  "
        f"{one_line(str(each['title']))}  {call.style('can start now', 'dim')}"
        for each in unblocked
    ]
    return "\n".join(lines)


def approve(call: Call, task_ids: o.TaskIds, note: o.Note = None) -> None:
    """Complete tasks that wait for a review; their work comes back if it lies apart."""
    from atms_cli.services.reviews import approve as approved

    _changed(call, approved(call.workspace, task_ids, call.text(note)), "approved")


def fail(call: Call, task_ids: o.TaskIds, reason: o.Reason = None, token: o.Token = None) -> None:
    """End tasks without success."""
    _changed(call, service.fail(call.workspace, task_ids, call.text(reason), _token(call, token)), "failed")


def cancel(call: Call, task_ids: o.TaskIds, reason: o.Reason = None) -> None:
    """Give tasks up; what runs is stopped."""
    _changed(call, service.cancel(call.workspace, task_ids, call.text(reason)), "cancelled")


def reopen(call: Call, task_ids: o.TaskIds, reason: o.Reason = None) -> None:
    """Bring closed tasks back into the queue."""
    _changed(call, service.reopen(call.workspace, task_ids, call.text(reason)), "reopened")


def retry(call: Call, task_ids: o.TaskIds, reason: o.Reason = None) -> None:
    """Put failed tasks back into the queue, with all of their attempts."""
    _changed(call, service.retry(call.workspace, task_ids, call.text(reason)), "queued again")


def claim(call: Call, task_id: o.OptionalTaskId = None, agent: o.ClaimAgent = None, lease: o.LeaseTime = None) -> None:
    """Take a task, for as long as the lease lasts; end it with done, fail or release."""
    task = service.claim(call.workspace, task_id, agent=agent, lease_s=_duration(lease))

    def text() -> str:
        from atms_cli.cli.lines import task_line

        held = task["lease"]
        terms = f"yours until {held['expires_at']}, token {held['token']}" if held else ""
        return f"{task_line(call, task)}  {call.style(terms, 'dim')}"

    call.answer(task, [task["id"]], text)


def release(call: Call, task_ids: o.TaskIds, reason: o.Reason = None, token: o.Token = None) -> None:
    """Give claimed or started tasks back to the queue."""
    _changed(call, service.release(call.workspace, task_ids, call.text(reason), _token(call, token)), "released")


def heartbeat(call: Call, task_id: o.TaskId, token: o.Token = None, lease: o.LeaseTime = None) -> None:
    """Keep a claim alive."""
    task = service.heartbeat(call.workspace, task_id, token=_token(call, token), lease_s=_duration(lease))
    held = task["lease"]
    until = f"is yours until {held['expires_at']}" if held else "is known to be worked on"
    call.answer(task, [task["id"]], lambda: f"{task['id']} {until}")


def progress(
    call: Call, task_id: o.TaskId, percent: o.Percent = None, note: o.ProgressNote = None, token: o.Token = None
) -> None:
    """Say how far the work on a task has got; a sign of life, shown by `task show` and `status`."""
    from atms_cli.services.progress import say

    if percent is None and note is None:
        raise UsageError("that says nothing", "give a percentage, or --note TEXT, or: atms task heartbeat ID")
    said = say(call.workspace, task_id, percent, call.text(note), _token(call, token))
    known = "" if said["percent"] is None else f" {said['percent']:g} %"
    about = f": {said['note']}" if said["note"] else ""
    call.answer(said, [str(said["task"])], lambda: f"{said['task']}{known}{about}")


def logs(
    call: Call, task_id: o.TaskId, follow: o.Follow = False, attempt: o.AttemptNumber = None, raw: o.Raw = False
) -> None:
    """Print the output of an attempt, and of the gates that judged the last one and of its merge."""
    from atms_cli.cli.following import print_log, whole
    from atms_cli.services.transcripts import stream_of

    path = service.log_file(call.workspace, task_id, attempt)
    gates = [] if follow or attempt is not None else service.gate_logs(call.workspace, task_id)
    redactor = service.log_redactor(call.workspace, task_id)
    if call.json and not follow:
        call.document({"log": path, "text": whole(path, redactor)})
        return
    stream = "plain" if raw else stream_of(call.workspace, task_id, attempt)
    print_log(call, path, redactor, (lambda: service.is_running(call.workspace, task_id)) if follow else None, stream)
    for heading, log in gates:
        call.out(call.style(f"== {heading}", "bold"))
        print_log(call, log, redactor, None)


def attach(call: Call, task_id: o.TaskId, raw: o.Raw = False, shell: o.Shell = False) -> None:
    """Follow the attempt that goes on, until it has ended or you press Ctrl-C; it is left alone."""
    from atms_cli.cli import attaching

    if shell:
        attaching.open_shell(call, task_id)
    else:
        attaching.watch(call, task_id, "plain" if raw else None)


def diff(call: Call, task_id: o.TaskId) -> None:
    """Print what the work on a task changes, if it has a worktree or a branch of its own, or had one."""
    from atms_cli.services.isolation import diff as changes_of

    changes = changes_of(call.workspace, task_id)
    call.answer({"diff": changes}, [changes] if changes else [], lambda: changes)


def worktrees(call: Call, prune: o.Prune = False) -> int:
    """List the git worktrees of tasks, what each is kept for, and which may go; remove those with --prune."""
    from atms_cli.cli import worktrees as shown
    from atms_cli.services import worktrees as kept

    if prune:
        return EXIT_REFUSED if shown.pruned(call, kept.prune(call.workspace)) else 0
    shown.listed(call, kept.survey(call.workspace))
    return 0


def wait(call: Call, task_ids: o.TaskIds, timeout: o.WaitTimeout = None) -> int:
    """Wait until tasks have ended; exit with 8 unless all were completed."""
    from atms_cli.cli.following import wait_until

    ended = wait_until(call, lambda: service.have_ended(call.workspace, task_ids), _duration(timeout))
    tasks = service.end_states(call.workspace, task_ids)
    _changed(call, tasks, "")
    if not ended:
        return EXIT_UNAVAILABLE
    return 0 if all(task["status"] == "completed" for task in tasks) else EXIT_WORK_FAILED


def import_(call: Call, file: o.ImportFile, form: o.Form = None, dry_run: o.ImportDryRun = False) -> None:
    """Add tasks from a file: of atms, Taskwarrior, beads, TODO/TASKS.json, CSV or a Markdown checklist."""
    from atms_cli.cli.exchange import added
    from atms_cli.services import exchange
    from atms_cli.store import importers

    text = call.text("-" if file == "-" else f"@{file}") or ""
    report = exchange.take_in(call.workspace, importers.parse(text, form, file), only_show=dry_run)
    added(call, report)


def export(call: Call, status: o.Statuses = None, format: o.ExportFormat = None) -> None:  # noqa: A002  the option's name
    """Print all tasks with their history, to be read by `task import`, or as a table or checklist."""
    from atms_cli.cli.exchange import printed
    from atms_cli.services import exchange

    everything: TaskFilter = {
        "statuses": many(status), "priorities": (), "categories": (), "tags": (), "features": (), "agents": (), "buckets": (), "lanes": (),
        "due_before": None, "search": "", "sort": "created", "reverse": False, "limit": None, "offset": 0,
    }  # fmt: skip
    printed(call, format or "json", exchange.give_out(call.workspace, everything))
