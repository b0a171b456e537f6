"""Examining journal and index: every line must be whole, and the index must say what the journal says."""

from __future__ import annotations

from atms_cli.errors import DamagedError
from atms_cli.store.index import DatabaseError, Index
from atms_cli.store.jsontext import decode

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
            found.append({"check": "journal", "detail": error.message, "repair": _CUT_OUT})
    return found


def _compare(journal: Segments, index: Index, lock: Exclusive) -> list[JsonObject]:
    """Fold the whole journal into a fresh index and compare every task."""
    fresh = Index(":memory:", journal)
    fresh.catch_up()
    # Folding takes long, so others may go on meanwhile; then both are brought to the same event.
    with lock:
        index.catch_up()
        fresh.catch_up()
        try:
            expected, present = _tasks(fresh), _tasks(index)
        except DatabaseError as error:
            return [{"check": "index", "detail": f"the index cannot be read: {error}", "repair": "atms doctor --fix"}]
    differing = sorted(key for key in expected.keys() | present.keys() if expected.get(key) != present.get(key))
    if not differing:
        return []
    detail = f"the index is wrong about {len(differing)} tasks, first {differing[0]}"
    return [{"check": "index", "detail": detail, "repair": "atms doctor --fix"}]


#: A task's time comes by itself: it leaves `delayed` for `ready` without an event.
_TASKS = "SELECT id, doc, CASE bucket WHEN 'delayed' THEN 'ready' ELSE bucket END, blockers FROM tasks"


def _tasks(index: Index) -> dict[str, object]:
    return {row[0]: (decode(row[1]), *row[2:]) for row in index.connection.execute(_TASKS)}
