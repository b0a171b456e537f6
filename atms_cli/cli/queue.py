"""The queue: what is next, and why."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.errors import UsageError
from atms_cli.services import queue as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import TaskFilter

_TABLE_ROWS = 50


def status(call: Call) -> None:
    """Show the queue's numbers."""
    numbers = service.status(call.workspace)
    call.answer(numbers, [], lambda: _numbers(call, numbers))


def _numbers(call: Call, numbers: JsonObject) -> str:
    from atms_cli.cli.lines import one_line
    from atms_cli.cli.render import pairs, records

    state = [f"paused: {one_line(str(numbers['pause_reason'] or 'no reason given'))}"] if numbers["paused"] else []
    state += ["draining: what is added stays a draft"] if numbers["draining"] else []
    blocked = f"{numbers['blocked']}, {numbers['stuck']} for ever" if numbers["stuck"] else str(numbers["blocked"])
    lanes = [f"{one_line(str(lane['lane']))} ({_lane(lane)})" for lane in records(numbers["lanes"])]
    rows = [
        ("ready", str(numbers["ready"])),
        ("running", str(numbers["running"])),
        ("blocked", blocked),
        ("delayed", str(numbers["delayed"])),
        ("recurring", str(numbers["recurring"] or "")),
        ("strategy", str(numbers["strategy"])),
        ("lanes", ", ".join(lanes)),
        ("state", "; ".join(state)),
        ("limits", "; ".join(f"{each['limit']} until {each['until']}" for each in records(numbers["throttled"]))),
        ("alerts", "; ".join(str(each["text"]) for each in records(numbers["alerts"]))),
    ]
    return pairs(call, rows)


def _lane(lane: JsonObject) -> str:
    marks = [name for name in ("paused", "draining") if lane[name]]
    return ", ".join([str(lane["strategy"]), *marks])


def list_(call: Call, limit: o.Limit = None) -> None:
    """List what can start now, best first."""
    most = limit if limit is not None else None if call.json or call.quiet else _TABLE_ROWS
    tasks = service.upcoming(call.workspace, most)

    def text() -> str:
        from atms_cli.cli.render import task_table

        return task_table(call, tasks) if tasks else ""

    call.answer(tasks, [task["id"] for task in tasks], text)
    if not tasks:
        call.say("nothing can start now")


def next_(call: Call, explain: o.Explained = False) -> None:  # noqa: A002, RUF100  the option's name
    """Show the task that would be given next."""
    task = service.next_task(call.workspace)
    if explain:
        _explain(call, task["id"])
        return

    def text() -> str:
        from atms_cli.cli.lines import task_line

        return task_line(call, task)

    call.answer(task, [task["id"]], text)


def explain(call: Call, task_id: o.TaskId) -> None:
    """Say where a task is in the queue, why, what it waits for, and when it will probably be done."""
    _explain(call, task_id)


def _explain(call: Call, task_id: str) -> None:
    explanation = service.explain(call.workspace, task_id)

    def text() -> str:
        from atms_cli.cli.explaining import explained

        return explained(call, explanation)

    call.answer(explanation, [str(explanation["id"])], text)


def pause(call: Call, lane: o.OneLane = None, reason: o.Reason = None) -> None:
    """Give out no more tasks; what runs goes on."""
    is_new = service.pause(call.workspace, call.text(reason), lane)
    _switched(call, "paused", lane, is_new=is_new)


def drain(call: Call, lane: o.OneLane = None, reason: o.Reason = None) -> None:
    """Work off what is there and take in nothing new; what is added stays a draft."""
    is_new = service.drain(call.workspace, call.text(reason), lane)
    _switched(call, "draining", lane, is_new=is_new)


def _switched(call: Call, what: str, lane: str | None, *, is_new: bool) -> None:
    way_back = "atms queue resume" + (f" --lane {lane}" if lane else "")
    words = f"{what}; go on with: {way_back}" if is_new else f"it was {what} already"
    call.answer({what: True, "lane": lane}, [], lambda: words)


def resume(call: Call, lane: o.OneLane = None) -> None:
    """Give out tasks again, and take new ones in."""
    is_new = service.resume(call.workspace, lane)
    document = {"paused": False, "draining": False, "lane": lane}
    call.answer(document, [], lambda: "resumed" if is_new else "it was not paused")


def move(call: Call, task_id: o.TaskId, first: o.First = False, last: o.Last = False, before: o.Before = None) -> None:
    """Put a task elsewhere in its lane."""
    if [first, last, before is not None].count(True) != 1:
        raise UsageError("where to?", "give one of: --first, --last, --before ID")
    task = service.move(call.workspace, task_id, before=before, last=last)
    _changed(call, [task], "moved")


def _changed(call: Call, tasks: Sequence[Task], verb: str) -> None:
    def text() -> str:
        from atms_cli.cli.lines import changed_lines

        return changed_lines(call, tasks, verb)

    call.answer(tasks, [task["id"] for task in tasks], text)
    if not tasks:
        call.say("no task is so")


def _wanted(
    statuses: Sequence[str],
    category: Sequence[str] | None,
    tag: Sequence[str] | None,
    feature: Sequence[str] | None,
    lane: Sequence[str] | None,
    search: str | None,
) -> TaskFilter:
    return {
        "statuses": statuses, "priorities": [], "categories": many(category), "tags": many(tag), "features": many(feature), "agents": [],
        "buckets": [], "lanes": many(lane), "due_before": None, "search": search or "", "sort": "created", "reverse": False, "limit": None,
        "offset": 0,
    }  # fmt: skip


def prioritize(
    call: Call,
    words: o.IdsAndPriority,
    category: o.Categories = None,
    tag: o.TagsWanted = None,
    feature: o.FeaturesWanted = None,
    lane: o.LanesWanted = None,
    search: o.Search = None,
) -> None:
    """Change the priority of tasks, named or found."""
    from atms_cli.services import tasks

    wanted = _wanted(["created", "queued", "blocked"], category, tag, feature, lane, search)
    ids = service.matching(call.workspace, wanted, words[:-1])
    changed = tasks.update(call.workspace, ids, {"priority": words[-1]}, tags=(), untags=())
    _changed(call, changed, f"priority {words[-1]}")


def hold(
    call: Call,
    task_ids: o.SomeTaskIds = None,
    category: o.Categories = None,
    tag: o.TagsWanted = None,
    feature: o.FeaturesWanted = None,
    lane: o.LanesWanted = None,
    search: o.Search = None,
    reason: o.Reason = None,
) -> None:
    """Keep tasks, named or found, from being worked on."""
    from atms_cli.services import tasks

    ids = service.matching(call.workspace, _wanted(["queued"], category, tag, feature, lane, search), many(task_ids))
    _changed(call, tasks.block(call.workspace, ids, call.text(reason)), "held")


def release(
    call: Call,
    task_ids: o.SomeTaskIds = None,
    category: o.Categories = None,
    tag: o.TagsWanted = None,
    feature: o.FeaturesWanted = None,
    lane: o.LanesWanted = None,
    search: o.Search = None,
    reason: o.Reason = None,
) -> None:
    """Let held tasks, named or found, go on at their old places."""
    from atms_cli.services import tasks

    ids = service.matching(call.workspace, _wanted(["blocked"], category, tag, feature, lane, search), many(task_ids))
    _changed(call, tasks.unblock(call.workspace, ids, call.text(reason)), "let go")


def retry(
    call: Call,
    task_ids: o.SomeTaskIds = None,
    category: o.Categories = None,
    tag: o.TagsWanted = None,
    feature: o.FeaturesWanted = None,
    lane: o.LanesWanted = None,
    search: o.Search = None,
    reason: o.Reason = None,
) -> None:
    """Put failed tasks, named or found, back into the queue with all of their attempts."""
    from atms_cli.services import tasks

    ids = service.matching(call.workspace, _wanted(["failed"], category, tag, feature, lane, search), many(task_ids))
    _changed(call, tasks.retry(call.workspace, ids, call.text(reason)), "queued again")


def dead(call: Call) -> None:
    """List the tasks that used up their attempts, with why and the end of their logs."""
    found = service.dead_letters(call.workspace)

    def text() -> str:
        from atms_cli.cli.explaining import dead_letters

        return dead_letters(call, found)

    call.answer(found, [str(each["id"]) for each in found], text)
    if not found:
        call.say("no task has used up its attempts")


def stats(call: Call) -> None:
    """Show how the queue is doing: waiting, throughput, and what is stuck or starves."""
    numbers = service.stats(call.workspace)

    def text() -> str:
        from atms_cli.cli.explaining import statistics

        return statistics(call, numbers)

    call.answer(numbers, [], text)


def set_(call: Call, key: o.QueueKey, value: o.Setting) -> None:
    """Change a setting of the queue in atms.yaml, like `atms config set queue.KEY VALUE`."""
    from atms_cli.cli.config import set_ as set_setting

    set_setting(call, f"queue.{key}", value)
