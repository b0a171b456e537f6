"""The queue: what is next, and why."""

from __future__ import annotations

from atms_cli.cli.render import cut, pairs, plural
from atms_cli.domain.moment import describe_duration
from atms_cli.services import queue as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject

_TABLE_ROWS = 50


def status(call: Call) -> None:
    """Show the queue's numbers."""
    numbers = service.status(call.workspace)
    call.answer(numbers, [], lambda: _numbers(call, numbers))


def _numbers(call: Call, numbers: JsonObject) -> str:
    paused = f"paused: {numbers['pause_reason'] or 'no reason given'}" if numbers["paused"] else ""
    rows = [
        ("ready", str(numbers["ready"])),
        ("running", str(numbers["running"])),
        (
            "blocked",
            f"{numbers['blocked']}, {numbers['stuck']} for ever" if numbers["stuck"] else str(numbers["blocked"]),
        ),
        ("delayed", str(numbers["delayed"])),
        ("strategy", str(numbers["strategy"])),
        ("state", paused),
    ]
    return pairs(call, rows)


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


def next_(call: Call) -> None:
    """Show the task that would be given next."""
    task = service.next_task(call.workspace)

    def text() -> str:
        from atms_cli.cli.render import task_line

        return task_line(call, task)

    call.answer(task, [task["id"]], text)


def explain(call: Call, task_id: o.TaskId) -> None:
    """Say where a task is in the queue and what it waits for."""
    explanation = service.explain(call.workspace, task_id)
    call.answer(explanation, [str(explanation["id"])], lambda: _explained(call, explanation))


def _explained(call: Call, explanation: JsonObject) -> str:
    lines = [f"{call.style(str(explanation['id']), 'bold')}  {cut(str(explanation['title']), 80)}"]
    waits = explanation["waits_for"]
    for reason in waits if isinstance(waits, list) else []:
        if isinstance(reason, dict):
            lines.append(f"  {call.style('◌', 'yellow')} {reason['text']}")
            lines += [f"    {call.style(str(reason['hint']), 'dim')}"] if reason.get("hint") else []
    rank = explanation["rank"]
    if isinstance(rank, int):
        ahead = "it is next" if rank == 1 else f"{plural(rank - 1, 'task')} ahead of it"
        nobody = any(
            isinstance(each, dict) and each["kind"] == "agent" for each in (waits if isinstance(waits, list) else [])
        )
        lines.append(f"  {call.style('→', 'cyan')} it can {'be claimed' if nobody else 'start'} now; {ahead}")
    if explanation["status"] == "queued":
        lines.append(f"  {_priority(explanation)}")
    return "\n".join(lines)


def _priority(explanation: JsonObject) -> str:
    base, effective, waited = explanation["base_priority"], explanation["effective_priority"], explanation["waited_s"]
    if not (isinstance(base, float | int) and isinstance(effective, float | int) and isinstance(waited, float | int)):
        raise TypeError(explanation)
    return (
        f"priority {explanation['priority']} counts {base:g}, waiting {describe_duration(waited)} adds {effective - base:.2f}: "
        f"{effective:.2f} in all (strategy {explanation['strategy']})"
    )


def pause(call: Call, reason: o.Reason = None) -> None:
    """Give out no more tasks; what runs goes on."""
    is_new = service.pause(call.workspace, call.text(reason))
    call.answer(
        {"paused": True}, [], lambda: "paused; go on with: atms queue resume" if is_new else "it was paused already"
    )


def resume(call: Call) -> None:
    """Give out tasks again."""
    is_new = service.resume(call.workspace)
    call.answer({"paused": False}, [], lambda: "resumed" if is_new else "it was not paused")
