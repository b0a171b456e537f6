"""How the queue is doing, in numbers, and the alerts that they raise."""

from __future__ import annotations

from atms_cli.domain import alerts, lanes
from atms_cli.domain.forecast import PERCENTILES, percentile
from atms_cli.domain.moment import plus, seconds_between
from atms_cli.domain.task import PRIORITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import ReadModel, Transaction, Workspace

#: So many attempts are looked at.
_ATTEMPTS = 1000
#: Of so many ended attempts the share that failed is taken.
_LATEST = 100
#: What thresholds are called in atms.yaml, where the unit stands with the value.
_NAMES = {"oldest_wait": "oldest_wait_s"}
_HOUR_S, _DAY_S = 3600.0, 86_400.0


def of_queue(ws: Workspace, read: ReadModel, now: str) -> JsonObject:
    """Return size, oldest wait, throughput, percentiles of waiting and running, and how many are stuck or starve."""
    counts, oldest = read.counts(), read.oldest_ready()
    attempts = read.last_attempts(_ATTEMPTS)
    ended = [(attempt, attempt["ended_at"]) for attempt, *_ in attempts if attempt["ended_at"]]
    succeeded = [at for attempt, at in ended if attempt["status"] == "succeeded" and at]
    failed = [attempt["status"] == "failed" for attempt, _ in ended[:_LATEST]]
    waits = [
        seconds_between(queued, attempt["started_at"])
        for attempt, _, _, queued in attempts
        if queued and attempt["number"] == 1
    ]
    runs = [seconds_between(attempt["started_at"], at) for attempt, at in ended if at]
    return {
        "size": sum(counts.get(name, 0) for name in ("ready", "waiting", "delayed")),
        "oldest_wait_s": round(seconds_between(oldest, now), 3) if oldest else 0.0,
        "completed_last_hour": sum(at > plus(now, -_HOUR_S) for at in succeeded),
        "completed_last_day": sum(at > plus(now, -_DAY_S) for at in succeeded),
        "failure_rate": round(sum(failed) / len(failed), 4) if failed else 0.0,
        "wait_s": _percentiles(waits),
        "run_s": _percentiles(runs),
        "stuck": read.stuck(),
        "starving": _starving(ws, read, now),
    }


def _percentiles(values: Sequence[float]) -> JsonObject | None:
    kept = [max(0.0, value) for value in values]
    return {f"p{percent}": round(percentile(kept, percent), 3) for percent in PERCENTILES} if kept else None


def _starving(ws: Workspace, read: ReadModel, now: str) -> int:
    """Return how many ready tasks have waited longer than ageing lets a newcomer pass them."""
    return sum(
        read.starving(
            lane, own_level, plus(now, -lanes.settings_of(ws.config["queue"], lane)["ageing"] * max(own_level, 1))
        )
        for lane in read.ready_lanes()
        for own_level in range(len(PRIORITIES))
    )


def check_alerts(ws: Workspace, tx: Transaction) -> list[JsonObject]:
    """Raise the alerts that thresholds call for and clear those that are over, each once; return what was recorded."""
    thresholds = {_NAMES.get(name, name): value for name, value in ws.config["queue"]["alerts"].items()}
    raised = {key.partition("/")[2]: about for key, about in tx.read.switches("alerted").items()}
    if not raised and all(value is None for value in thresholds.values()):
        return []
    measured = of_queue(ws, tx.read, tx.now)
    numbers = {name: value for name, value in measured.items() if isinstance(value, int | float)}
    found = alerts.breaches(numbers, thresholds, raised)
    to_raise, to_clear = alerts.changes(raised, found)
    tx.record([("queue.alerted", f"alert/{name}", found[name]) for name in to_raise])
    tx.record([("queue.calmed", f"alert/{name}", {}) for name in to_clear])
    news: list[JsonObject] = [{"type": "alert", "alert": name, "text": found[name]["text"]} for name in to_raise]
    news += [{"type": "calm", "alert": name, "text": raised[name].get("text")} for name in to_clear]
    return news
