"""Examining journal and index: every line must be whole, and the index must say what the journal says."""

from __future__ import annotations

from atms_cli.errors import DamagedError, NewerError
from atms_cli.store.index import DatabaseError, Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject
    from atms_cli.store.segments import Exclusive, Segments


_CUT_OUT = "restore this file from a backup; or atms doctor --fix keeps the bad lines in .atms/backups and goes on without them"


def examine(journal: Segments, index: Index, lock: Exclusive) -> list[JsonObject]:
    """Return what is wrong, each as check, detail and what repairs it."""
    damages = [damage for replica in journal.replicas() for damage in _damaged_segments(journal, replica)]
    # A damaged journal cannot be folded anew, so there is nothing to hold the index against.
    return damages or _compare(journal, index, lock)


def _damaged_segments(journal: Segments, replica: str) -> list[JsonObject]:
    numbers = journal.segments(replica)
    lost = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    found: list[JsonObject] = [
        {
            "check": "journal",
            "detail": f"segment {number} of {replica} is missing",
            "repair": "restore it from a backup",
        }
        for number in lost
    ]
    for segment in numbers:
        try:
            for _ in journal.read(replica, segment, 0):
                pass
        except DamagedError as error:
            repair = error.hint if isinstance(error, NewerError) else _CUT_OUT
            found.append({"check": "journal", "detail": error.message, "repair": repair})
    return found


def _compare(journal: Segments, index: Index, lock: Exclusive) -> list[JsonObject]:
    """Fold the whole journal into a fresh index and compare every row."""
    fresh = Index(":memory:", journal)
    fresh.catch_up()
    # Folding takes long, so others may go on meanwhile; then both are brought to the same event.
    with lock:
        index.catch_up()
        fresh.catch_up()
        try:
            expected, present = _rows(fresh), _rows(index)
        except DatabaseError as error:
            return [{"check": "index", "detail": f"the index cannot be read: {error}", "repair": "atms doctor --fix"}]
    differing = expected ^ present
    if not differing:
        return []
    first = min(str(row[1]) for row in differing)
    detail = f"{len(expected - present)} rows of the index are missing or wrong, {len(present - expected)} too many; first {first}"
    return [{"check": "index", "detail": detail, "repair": "atms doctor --fix"}]


#: A task's time comes by itself: it leaves `delayed` for `ready` without an event, so the two count as one.
_BUCKET = "CASE bucket WHEN 'delayed' THEN 'ready' ELSE bucket END"
_TASK_COLUMNS = (
    "doc, title, status, level, category, feature, agent, parent, born, last, queued, updated, not_before, deadline, lease_ends, closed, "
    "met, blockers"
)
_TABLES = (
    f"SELECT id, {_BUCKET}, {_TASK_COLUMNS} FROM tasks",  # noqa: S608  no word of it comes from outside
    f"SELECT {_BUCKET} AS b, sum(n) FROM counts GROUP BY b HAVING sum(n) > 0",  # noqa: S608  likewise
    "SELECT key, id, type, replica, segment, offset FROM events",
    "SELECT task, needs FROM dependencies",
    "SELECT tag, task FROM tags",
    "SELECT run, task, started, doc FROM attempts",
    "SELECT name, doc FROM agents",
    "SELECT id, doc FROM features",
)


def _rows(index: Index) -> set[tuple[object, ...]]:
    return {(number, *row) for number, text in enumerate(_TABLES) for row in index.connection.execute(text)}
