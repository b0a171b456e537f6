"""Phases of an attempt, told from events and files that are there anyway.

    preparing -> launching -> running -> validating -> merging -> succeeded
                                 |           |            +----> failed
                                 +-----------+-------> failed, timed_out, stalled, cancelled, released

Events tell when an attempt is put on record, judged, brought back and over. That its worktree is being made, and that its
command runs, is told by its files (services/progress.py) and no event.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from atms_cli.domain.records import Event

PHASES = (
    "preparing", "launching", "running", "validating", "merging", "succeeded", "failed", "timed_out", "stalled", "cancelled", "released",
)  # fmt: skip
_BEGINS = {"task.started": "launching", "task.validating": "validating", "task.merging": "merging"}
#: What an event that ends an attempt means for it when nothing more is said.
_ENDS = {
    "task.completed": "succeeded",
    "task.failed": "failed",
    "task.retried": "failed",
    "task.cancelled": "cancelled",
    "task.released": "released",
    "task.lease_expired": "released",
    "task.review_requested": "succeeded",
}
#: How a command ended, where that is a phase of its own (system/launch.py).
_OUTCOMES = {"timed_out": "timed_out", "stalled": "stalled", "put_back": "released"}


def of_end(status: str, outcome: object) -> str:
    """Return the last phase of an attempt by its status in the list of attempts, and how its command ended."""
    return _OUTCOMES.get(str(outcome), "failed") if status == "failed" else status


def along(events: Iterable[Event]) -> Iterator[tuple[str | None, str | None]]:
    """Yield for each event the run of the attempt it is about and the phase that this enters, None where it is about none."""
    open_runs: dict[str, str] = {}
    for event in events:
        kind, key, data = event["type"], event["key"], event["data"]
        if event.get("superseded"):
            yield None, None
            continue
        if kind == "task.started":
            open_runs[key] = str(data.get("run") or event["id"])
        run = open_runs.get(key)
        phase = _BEGINS.get(kind) or (_ended(kind, data) if run is not None else None)
        yield (run, phase) if phase else (None, None)
        if kind in _ENDS:
            open_runs.pop(key, None)


def _ended(kind: str, data: Mapping[str, object]) -> str | None:
    result = data.get("result")
    if kind == "task.review_requested":
        # What conflicts has not come back; of what a person has to approve all else has passed.
        return "failed" if isinstance(result, dict) and "merge" in result else "succeeded"
    if kind not in ("task.failed", "task.retried"):
        return _ENDS.get(kind)
    if kind == "task.retried" and "attempts" in data:
        # It was put back uncounted.
        return "released"
    return of_end("failed", result.get("status") if isinstance(result, dict) else None)
