"""`atms run --dry-run`: the order in which tasks would be started if each succeeded, and when; nothing is touched."""

from __future__ import annotations

from atms_cli.domain import lanes, matching
from atms_cli.domain.moment import to_iso
from atms_cli.services import attempts, planning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import Workspace


def rehearse(ws: Workspace, jobs: int | None, only: Sequence[str]) -> list[JsonObject]:
    """Return each task with its agent, gates and times, in order; what waits for a dead end is left out."""
    read, now = ws.store.queue(ws.config["queue"]), to_iso(ws.clock.now_ms())
    slots = jobs or ws.config["execution"]["jobs"]
    force = attempts.workforce(ws, read, slots, only)
    tasks = planning.in_order(ws, read, now)
    times = planning.timetable(read, tasks, slots, now)
    steps: list[JsonObject] = []
    for position, task in enumerate(tasks, start=1):
        able = matching.may_run(force, task)
        slot, start_s, finish_s = times.get(task["id"], (None, None, None))
        steps.append({
            "order": position, "task": task["id"], "title": task["title"], "agent": able[0]["name"] if able else None,
            "gates": [gate["name"] for gate in attempts.gates_of(ws, task)], "after": [*task["dependencies"]],
            "lane": lanes.name_of(task), "slot": slot, "start_s": start_s, "finish_s": finish_s,
        })  # fmt: skip
    return steps
