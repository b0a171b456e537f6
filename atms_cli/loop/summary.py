"""What a run of the loop has come to, what keeps the rest from starting, and its exit code."""

from __future__ import annotations

from atms_cli.domain.moment import to_iso
from atms_cli.errors import EXIT_NOTHING_TO_DO, EXIT_WORK_FAILED
from atms_cli.services import attempts, dispatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Agent, JsonObject
    from atms_cli.loop.plan import Plan
    from atms_cli.loop.tick import Desk
    from atms_cli.ports import ReadModel


def sum_up(desk: Desk, plan: Plan, interrupts: int) -> JsonObject:
    """Return what a run has done, and what it leaves."""
    ws = desk.ws
    read, now = ws.store.queue(ws.config["queue"]), to_iso(ws.clock.now_ms())
    counts = read.counts()
    force = attempts.workforce(ws, read, desk.jobs, plan.only)
    stranded = attempts.cannot_run(ws, read, force, now) if plan.drain else []
    names = ("ready", "delayed", "waiting", "blocked", "assigned", "in_progress", "validating", "review")
    return {
        "type": "summary",
        "completed": desk.counts["completed"],
        "failed": counts.get("failed", 0),
        "cancelled": desk.counts["cancelled"],
        "retried": desk.counts["retried"],
        "blocked": counts.get("waiting", 0) + counts.get("blocked", 0),
        "unassigned": len(stranded),
        "review": counts.get("review", 0),
        "left": sum(counts.get(name, 0) for name in names),
        "interrupted": interrupts > 0,
        "paused": read.paused() is not None,
        "limits": _limits(desk, read, force, now),
        "reasons": [f"{task['id']} ({task['title']}): {why}" for task, why in stranded[:5]],
    }


def exit_code(desk: Desk, plan: Plan, summary: JsonObject) -> int:
    """Return the exit code of a run that was not interrupted."""
    if plan.once and not desk.counts["started"]:
        return EXIT_NOTHING_TO_DO
    if plan.once:
        return 0 if desk.counts["completed"] else EXIT_WORK_FAILED
    is_open = summary["failed"] or summary["blocked"] or summary["unassigned"] or summary["left"]
    return EXIT_WORK_FAILED if is_open else 0


def _limits(desk: Desk, read: ReadModel, force: Sequence[Agent], now: str) -> list[str]:
    """Return, in words, what keeps ready tasks from starting."""
    full = desk.apart.full
    throttle = dispatch.Throttle(desk.ws, read, force, now, full)
    found = [throttle.of({}, lane) for lane in read.ready_lanes()]
    if found:
        found += [throttle.of({}, None, agent["name"]) for agent in force]
    said = [_said(limit) for limit in found if limit]
    return list(dict.fromkeys([*said, *([f"{full}; see: atms task worktrees"] if full and read.ready_lanes() else [])]))


def _said(limit: JsonObject) -> str:
    if limit["until"]:
        return f"{limit['text']} until {limit['until']}"
    return (
        f"{limit['text']}; {dispatch.way_on(limit)}"
        if limit["kind"] in ("halted", "disabled", "prompt")
        else str(limit["text"])
    )
