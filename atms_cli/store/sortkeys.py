"""What strategies sort by beyond what every task has: the group it belongs to, how much a group was given, its tail.

They are kept only while a lane is ordered so; `prepare` (preparing.py) turns them on and makes them for what is there.
"""

from __future__ import annotations

from atms_cli.domain import lanes
from atms_cli.store import sql
from atms_cli.store.jsontext import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from sqlite3 import Connection, Cursor

    from atms_cli.domain.config import QueueSettings
    from atms_cli.domain.records import Task

#: Under which names the index notes what is kept: the groupings with half-lives, and whether tails are.
GROUPINGS, TAILS = "groupings", "tails"


class SortKeys:
    """The keys that are kept in an index; loaded when first asked for."""

    def __init__(self, run: Callable[..., Cursor]) -> None:
        self._run = run
        groupings = noted(run, GROUPINGS)
        self._by: dict[str, list[object]] = decode(groupings) if groupings else {}
        self._has_tails = noted(run, TAILS) is not None

    def _grouping(self, lane: str) -> tuple[str, float] | None:
        found = self._by.get(lane, self._by.get("*"))
        return None if found is None else (str(found[0]), float(str(found[1])))

    def group(self, task: Task) -> str | None:
        """Return the group that a task is told apart by in its lane, if its lane tells groups apart."""
        if not self._by:
            return None
        found = self._grouping(lanes.name_of(task))
        return None if found is None else lanes.group_of(task, found[0])

    def count_start(self, task: Task, at: str) -> None:
        """Count a start for the group of a task."""
        lane = lanes.name_of(task)
        found = self._grouping(lane) if self._by else None
        if found is None:
            return
        from atms_cli.domain.shares import used

        by, half_life_s = found
        group = lanes.group_of(task, by)
        row = self._run(sql.USAGE_OF, (lane, group)).fetchone() or (0.0, at)
        self._run(sql.PUT_USAGE, (lane, group, used(row[0], row[1], at, half_life_s), at))

    def mark_stale(self, key: str, needs: Iterable[str]) -> None:
        """Note that the tails of a task and of those it waits for may have changed."""
        if self._has_tails:
            for each in (key, *needs):
                self._run(sql.PUT_STALE, (each,))


def wanted_keys(queue: QueueSettings) -> dict[str, str | None]:
    """Return what the index has to note for these settings, by name."""
    by = {lane: [how, lanes.settings_of(queue, lane)["half_life"]] for lane, how in lanes.groupings(queue).items()}
    return {GROUPINGS: encode(by) if by else None, TAILS: "kept" if lanes.needs_tails(queue) else None}


def is_prepared(connection: Connection, queue: QueueSettings, now: str) -> bool:
    """Return whether the order can be asked for as things are."""
    run = connection.execute
    due = run(sql.NEXT_DUE).fetchone()[0]
    if due is not None and due <= now:
        return False
    wanted = wanted_keys(queue)
    if any(noted(run, name) != value for name, value in wanted.items()):
        return False
    return wanted[TAILS] is None or run("SELECT 1 FROM stale LIMIT 1").fetchone() is None


def noted(run: Callable[..., Cursor], name: str) -> str | None:
    """Return what the index notes under a name."""
    row = run(sql.META, (name,)).fetchone()
    return None if row is None else row[0]
