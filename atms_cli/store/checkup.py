"""Examining journal and index: every line must be whole, and the index must say what the journal says."""

from __future__ import annotations

from atms_cli.errors import AtmsError, DamagedError, NewerError
from atms_cli.store import rewritten, sql
from atms_cli.store.index import MEMORY, DatabaseError, Index
from atms_cli.store.projector import Projector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection

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
            _read_through(journal, replica, segment, is_last=segment == numbers[-1])
        except DamagedError as error:
            repair = error.hint if isinstance(error, NewerError) else _CUT_OUT
            found.append({"check": "journal", "detail": error.message, "repair": repair})
    return found


def _read_through(journal: Segments, replica: str, segment: int, *, is_last: bool) -> None:
    header, size = rewritten.at(journal, replica, segment), journal.size(replica, segment)
    ends = [end for _, _, end in journal.read(replica, segment, 0)]
    if (header, size) != (rewritten.at(journal, replica, segment), journal.size(replica, segment)):
        return  # it was rewritten, or has grown, at this very moment
    if header and len(ends) != header["events"] - header["dropped"]:
        raise DamagedError(f"segment {segment} of {replica} has lost events")
    if not (is_last or header or max(ends, default=0) == size):
        raise DamagedError(f"segment {segment} of {replica} ends in the middle of a batch")


def _compare(journal: Segments, index: Index, lock: Exclusive) -> list[JsonObject]:
    """Fold the whole journal into a fresh index and compare every row."""
    fresh = Index(MEMORY, journal)
    sizes = _sealed_sizes(journal)
    is_torn_apart = not _fold(fresh)
    # Folding takes long, so others may go on meanwhile; then both are brought to the same event.
    with lock:
        index.catch_up()
        if is_torn_apart or sizes != _sealed_sizes(journal):
            # A segment was rewritten meanwhile, so events lie elsewhere now.
            fresh.empty()
        fresh.catch_up()
        fresh.change(lambda connection: promote(connection, journal, index))
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


def promote(connection: Connection, journal: Segments, like: Index) -> None:
    """Make those ready in a fresh index whose time had come when it last mattered in the other one."""
    row = like.connection.execute(sql.META, ("promoted",)).fetchone()
    if row is not None:
        Projector(connection, journal.event_at).promote(row[0])


def _fold(fresh: Index) -> bool:
    """Read the whole journal without the lock; return False if it was not one journal from beginning to end."""
    try:
        fresh.catch_up()
    except (AtmsError, OSError, ValueError, KeyError):
        return False
    return True


def _sealed_sizes(journal: Segments) -> dict[tuple[str, int], int]:
    """Return the bytes of all segments but the last of each replica; rewriting makes them fewer."""
    return {
        (replica, number): journal.size(replica, number)
        for replica in journal.replicas()
        for number in journal.segments(replica)[:-1]
    }


#: A task's time comes by itself: it leaves `delayed` for `ready` without an event, so the two count as one.
_BUCKET = "CASE bucket WHEN 'delayed' THEN 'ready' ELSE bucket END"
_TASK_COLUMNS = (
    "doc, title, status, own, level, lane, pin, since, nudge, category, feature, agent, parent, born, last, updated, demand, not_before, "
    "deadline, risk, lease_ends, closed, CASE bucket WHEN 'delayed' THEN 'going' ELSE outcome END, blockers"
)
_TABLES = (
    f"SELECT id, {_BUCKET}, {_TASK_COLUMNS} FROM tasks",  # noqa: S608  no word of it comes from outside
    f"SELECT {_BUCKET} AS b, sum(n) FROM counts GROUP BY b HAVING sum(n) > 0",  # noqa: S608  likewise
    "SELECT key, id, type, replica, segment, offset FROM events",
    "SELECT task, needs, kind FROM dependencies",
    "SELECT task, needs, born, waiting FROM forward",
    "SELECT task, tag, closed, born FROM tags",
    "SELECT run, task, started, lane, agent, at, doc FROM attempts",
    "SELECT name, doc FROM agents",
    "SELECT id, doc FROM features",
)


def _rows(index: Index) -> set[tuple[object, ...]]:
    return {(number, *row) for number, text in enumerate(_TABLES) for row in index.connection.execute(text)}
