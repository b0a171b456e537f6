"""The order of the ready tasks in each lane, whatever its strategy: walks along indexes that take no more than is asked for."""

from __future__ import annotations

from atms_cli.domain.queue import merge
from atms_cli.domain.task import PRIORITIES
from atms_cli.store import sql
from atms_cli.store.jsontext import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from sqlite3 import Cursor

    from atms_cli.domain.config import LaneSettings

    Run = Callable[..., Cursor]

_LEVELS = range(len(PRIORITIES))
#: So many tasks are sorted in no time.
_FEW = 500


def lanes_with_ready(run: Run) -> list[str]:
    """Return the names of the lanes in which a task is ready."""
    return list(_names(lambda last: run(sql.NEXT_LANE, (last,)).fetchone()[0]))


def groups_with_ready(run: Run, lane: str) -> list[str]:
    """Return the names of the groups of a lane in which a task is ready."""
    return [str(row[0]) for row in run(sql.GROUPS, (lane,))]


def _names(following: Callable[[str], str | None]) -> Iterator[str]:
    name = following("")
    while name is not None:
        yield name
        name = following(name)


def ready(run: Run, lane: str, settings: LaneSettings, now: str, without: Collection[str] = ()) -> Iterator[str]:
    """Yield the ids of a lane's ready tasks, best first, but for those with one of some demands (domain/matching.py)."""
    walk = _walk(run, without)
    yield from _ids(walk(sql.READY_FIRST, (lane,)))
    yield from _ORDERS[settings["strategy"]](walk, lane, settings, now)
    yield from _ids(walk(sql.READY_LAST, (lane,)))


def _walk(run: Run, without: Collection[str]) -> Run:
    """Return what runs a statement without tasks of some demands; asked for none, it is cheaper to prepare."""
    if not without:
        return lambda text, values=(): run(text.replace(sql.LEFT_OUT, ""), values)
    left_out = encode([*without])
    return lambda text, values=(): run(text, _with(left_out, text, values))


def _with(left_out: str, text: str, values: Sequence[object]) -> Sequence[object]:
    """Return the values of a statement with the demands to leave out, which stand where its text has them."""
    before, there, _ = text.partition(sql.LEFT_OUT)
    place = before.count("?")
    return (*values[:place], left_out, left_out, *values[place:]) if there else values


def _ids(rows: Cursor) -> Iterator[str]:
    return (str(row[0]) for row in rows)


def _from_head(run: Run, text: str, values: Sequence[object]) -> Iterator[tuple[str, str]]:
    """Yield the rows of a statement; the first one alone is asked for first.

    Mostly it is all that is wanted, and a statement that is done with need not be prepared anew for the next level.
    """
    head = run(f"{text} LIMIT 1", values).fetchone()
    if head is not None:
        yield head
        yield from (row for row in run(text, values) if row != head)


def _by_level(run: Run, lane: str, settings: LaneSettings, now: str) -> Iterator[str]:
    del now
    strategy = settings["strategy"]
    text = sql.READY_OF_LEVEL_DOWN if strategy == "lifo" else sql.READY_OF_LEVEL
    runs = [_from_head(run, text, (lane, level)) for level in _LEVELS]
    return merge(runs, strategy if strategy in ("fifo", "lifo") else "priority", settings["ageing"])


def _by_tail(run: Run, lane: str, settings: LaneSettings, now: str) -> Iterator[str]:
    del settings, now
    return _ids(run(sql.READY_BY_TAIL, (lane,)))


def _by_group(run: Run, lane: str, settings: LaneSettings, now: str) -> Iterator[str]:
    from atms_cli.domain.shares import interleave

    def of_group(group: str) -> Iterator[str]:
        # Not before it is this group's turn: there may be many, and mostly one task is asked for.
        yield from merge(
            [_from_head(run, sql.READY_OF_GROUP, (lane, group, level)) for level in _LEVELS],
            "priority",
            settings["ageing"],
        )

    usage = {str(group): (float(value), str(at)) for group, value, at in run(sql.USAGE, (lane,)).fetchall()}
    heads = {group: of_group(group) for group in groups_with_ready(run, lane)}
    return interleave(heads, usage, settings["strategy"], settings["weights"], now, settings["half_life"])


def _by_deadline(run: Run, lane: str, settings: LaneSettings, now: str) -> Iterator[str]:
    taken: set[str] = set()
    are_many = run(sql.MANY_AT_RISK, (lane, now, _FEW)).fetchone() is not None
    for task_id in _ids(run(sql.READY_AT_RISK if are_many else sql.FEW_READY_AT_RISK, (lane, now))):
        taken.add(task_id)
        yield task_id
    for task_id in _by_level(run, lane, settings, now):
        if task_id not in taken:
            yield task_id


_ORDERS: dict[str, Callable[[Run, str, LaneSettings, str], Iterator[str]]] = {
    "priority": _by_level,
    "fifo": _by_level,
    "lifo": _by_level,
    "dependency": _by_tail,
    "round_robin": _by_group,
    "fair_share": _by_group,
    "deadline": _by_deadline,
}


def in_turns(heads: list[Iterator[str]]) -> Iterator[str]:
    """Yield from several iterators one after another, as long as each has something."""
    while heads:
        for head in list(heads):
            found = next(head, None)
            if found is None:
                heads.remove(head)
            else:
                yield found
