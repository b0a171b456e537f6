"""Making ready for a question about the order: tasks whose time has come, and the keys that the strategies sort by."""

from __future__ import annotations

from atms_cli.domain import lanes
from atms_cli.store import sql
from atms_cli.store.projector import Projector
from atms_cli.store.sortkeys import GROUPINGS, TAILS, noted, wanted_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection

    from atms_cli.domain.config import QueueSettings
    from atms_cli.store.projector import Load


def prepare(connection: Connection, load: Load, queue: QueueSettings, now: str) -> None:
    """Bring the keys up to date, inside the caller's transaction."""
    Projector(connection, load).promote(now)
    wanted = wanted_keys(queue)
    if noted(connection.execute, GROUPINGS) != wanted[GROUPINGS]:
        connection.execute(sql.PUT_META, (GROUPINGS, wanted[GROUPINGS]))
        _regroup(connection, queue)
    if noted(connection.execute, TAILS) != wanted[TAILS]:
        connection.execute(sql.PUT_META, (TAILS, wanted[TAILS]))
        _measure_all_tails(connection, keep=wanted[TAILS] is not None)
    if wanted[TAILS] is not None:
        _measure_stale_tails(connection)


def _regroup(connection: Connection, queue: QueueSettings) -> None:
    """Tell the groups apart anew, and count anew what each was given."""
    from atms_cli.store.document import unpack
    from atms_cli.store.sortkeys import SortKeys

    run = connection.execute
    keys = SortKeys(run)
    run("DELETE FROM usage")
    if not lanes.groupings(queue):
        run("UPDATE tasks SET grp = NULL WHERE grp IS NOT NULL")
        return
    rows = run("SELECT id, doc FROM tasks WHERE closed = 0").fetchall()
    connection.executemany(
        "UPDATE tasks SET grp = ? WHERE id = ?", [(keys.group(unpack(doc)), key) for key, doc in rows]
    )
    for doc, at in run(
        "SELECT t.doc, a.at FROM attempts a INDEXED BY attempts_by_time CROSS JOIN tasks t ON t.id = a.task ORDER BY a.at"
    ).fetchall():
        keys.count_start(unpack(doc), at)


def _efforts(connection: Connection) -> dict[str, float]:
    from atms_cli.domain.task import effort_minutes
    from atms_cli.store.document import unpack

    return {
        key: effort_minutes(unpack(doc))
        for key, doc in connection.execute("SELECT id, doc FROM tasks WHERE closed = 0").fetchall()
    }


def _measure_all_tails(connection: Connection, *, keep: bool) -> None:
    run = connection.execute
    run(sql.DROP_STALE)
    if not keep:
        run("UPDATE tasks SET tail = NULL WHERE tail IS NOT NULL")
        return
    from atms_cli.domain.criticalpath import tails

    minutes = _efforts(connection)
    graph: dict[str, list[str]] = {key: [] for key in minutes}
    for task, needs in run("SELECT task, needs FROM dependencies").fetchall():
        if task in graph and needs in graph:
            graph[task].append(needs)
    connection.executemany(
        "UPDATE tasks SET tail = ? WHERE id = ?", [(tail, key) for key, tail in tails(graph, minutes).items()]
    )


def _measure_stale_tails(connection: Connection) -> None:
    """Look again at the tails that may have changed, and at those of what is waited for where one did."""
    from atms_cli.domain.task import effort_minutes
    from atms_cli.store.document import unpack

    run = connection.execute
    waiting = [row[0] for row in run(sql.STALE).fetchall()]
    run(sql.DROP_STALE)
    while waiting:
        key = waiting.pop()
        row = run(sql.TAIL, (key,)).fetchone()
        if row is None:
            continue
        doc, is_closed, before, longest = row
        tail = None if is_closed else effort_minutes(unpack(doc)) + (longest or 0.0)
        if tail != before:
            run("UPDATE tasks SET tail = ? WHERE id = ?", (tail, key))
            waiting += [need[0] for need in run(sql.NEEDS, (key,))]
