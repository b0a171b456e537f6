"""Compacting: the past of tasks that were closed long ago in one event each, and the journal without the events in it."""

from __future__ import annotations

from itertools import islice

from atms_cli.domain import folding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from atms_cli.domain.records import Fact, JsonObject
    from atms_cli.ports import ReadModel, SealedEvents, Transaction, Workspace

    Segment = tuple[str, int]
    Prepared = tuple[str, list[str], Fact]

#: So many tasks are folded in one transaction; then other writers have their turn.
_AT_ONCE = 200


class _DiffersError(Exception):
    """A task would not be the same behind its fold."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def compact(ws: Workspace, older_than_s: float, *, only_show: bool, keep_originals: bool) -> JsonObject:
    """Fold the past of closed tasks, and rewrite the segments that it was in; return what was, or would be, done.

    Raises:
        ConflictError: somebody else is compacting this workspace.

    """
    with ws.compaction.alone():
        before_ms = ws.clock.now_ms() - round(older_than_s * 1000)
        if only_show:
            folded, added, rewritten = _rehearse(ws, before_ms)
        else:
            folded, added = _fold_all(ws, before_ms)
            rewritten = ws.compaction.rewrite(keep_originals=keep_originals)
    saved = sum(_number(each, "bytes_before") - _number(each, "bytes_after") for each in rewritten) - added
    return {
        "dry_run": only_show, "tasks": folded, "events": sum(_number(each, "events_dropped") for each in rewritten),
        "bytes_added": added, "bytes_saved": saved, "segments": rewritten,
    }  # fmt: skip


class _Chosen:
    """What is worth folding, and the segments it is in."""

    def __init__(self, ws: Workspace, before_ms: int) -> None:
        self.sealed = ws.compaction.survey(before_ms)
        self.sizes = dict(_sizes(ws, self.sealed["replaced"]))
        self.tasks, self.segments = folding.choose(self.sizes, self.sealed["replaced"], self.sealed["segments"])

    def added(self) -> int:
        """Return the bytes of the folds."""
        return sum(self.sizes[key] for key in self.tasks)


def _rehearse(ws: Workspace, before_ms: int) -> tuple[int, int, list[JsonObject]]:
    chosen = _Chosen(ws, before_ms)
    return len(chosen.tasks), chosen.added(), _expected(chosen.sealed, chosen.tasks, chosen.segments)


def _fold_all(ws: Workspace, before_ms: int) -> tuple[int, int]:
    """Fold until nothing is left that is worth it: folds fill segments too, and so seal more of them."""
    folded, added = 0, 0
    while (chosen := _Chosen(ws, before_ms)).tasks:
        count = _fold(ws, sorted(chosen.tasks))
        folded, added = folded + count, added + chosen.added()
        if not count:
            break
    return folded, added


def _number(each: JsonObject, name: str) -> int:
    return int(str(each[name]))


def _sizes(ws: Workspace, keys: Iterable[str]) -> Iterator[tuple[str, int]]:
    read = ws.store.reading()
    for key in keys:
        fact = folding.fold(read.task(key), read.history(key))
        if fact is not None:
            yield key, ws.compaction.line_size(fact, ws.actor)


def _expected(sealed: SealedEvents, chosen: Iterable[str], segments: Iterable[Segment]) -> list[JsonObject]:
    """Return what rewriting would do, near enough."""
    report: list[JsonObject] = []
    for segment in sorted(segments):
        size, dead = sealed["segments"][segment]
        taken = [sealed["replaced"][key].get(segment, (0, 0)) for key in chosen]
        report.append({
            "replica": segment[0], "segment": f"{segment[1]:08d}.jsonl", "bytes_before": size,
            "bytes_after": size - dead - sum(each for each, _ in taken), "events_dropped": sum(number for _, number in taken),
            "kept_in": None,
        })  # fmt: skip
    return report


def _fold(ws: Workspace, keys: Iterable[str]) -> int:
    """Fold tasks, some at a time; return how many were folded."""
    waiting, folded = iter(keys), 0
    while batch := list(islice(waiting, _AT_ONCE)):
        folded += _record(ws, _prepared(ws.store.reading(), batch))
    return folded


def _prepared(read: ReadModel, keys: Iterable[str]) -> list[Prepared]:
    """Work out folds without the lock."""
    found = [(key, read.event_ids(key), folding.fold(read.task(key), read.history(key))) for key in keys]
    return [(key, ids, fact) for key, ids, fact in found if fact is not None]


def _record(ws: Workspace, prepared: list[Prepared]) -> int:
    """Record those folds whose tasks are as they were, and are the same behind them."""
    while True:
        try:
            with ws.store.writing(ws.actor) as tx:
                unchanged = [each for each in prepared if tx.read.event_ids(each[0]) == each[1]]
                for key, _, fact in unchanged:
                    _record_one(tx, key, fact)
        except _DiffersError as error:
            prepared = [each for each in prepared if each[0] != error.key]
        else:
            return len(unchanged)


def _record_one(tx: Transaction, key: str, fact: Fact) -> None:
    before: tuple[Mapping[str, object], object] = tx.read.task(key), tx.read.attempts(key)
    tx.record([fact])
    if before != (tx.read.task(key), tx.read.attempts(key)):
        raise _DiffersError(key)
