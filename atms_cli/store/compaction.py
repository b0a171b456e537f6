"""Rewriting sealed segments without the events that were folded (domain/folding.py).

Files are written aside without the lock, since a sealed segment does not change; each then takes its place under it
(store/swapping.py). What this clone publishes stands by itself: of its own segments, only events go that a fold of its
own tells of.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from os.path import exists, join

from atms_cli.domain.folding import is_worth
from atms_cli.domain.terse import listed
from atms_cli.errors import AtmsError, ConflictError
from atms_cli.store import codec, hlc, rewritten, swapping
from atms_cli.store.index import DatabaseError
from atms_cli.store.lock import Lock
from atms_cli.store.originals import keep
from atms_cli.store.paths import BACKUPS, COMPACT_LOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from sqlite3 import Connection

    from atms_cli.domain.records import Event, Fact, JsonObject
    from atms_cli.ports import SealedEvents
    from atms_cli.store.eventstore import EventStore
    from atms_cli.store.journal import Journal
    from atms_cli.store.swapping import Place

    Segment = tuple[str, int]
    Row = tuple[int, str, str, str]

_SUFFIX = ".compact"
#: Each in the order of offsets, so that an event ends where the next one begins.
_ROWS = "SELECT offset, key, id, type FROM events WHERE replica = ? AND segment = ? ORDER BY offset"
_FOLDS = "SELECT replica, segment, offset FROM events WHERE type = 'task.folded'"
_CLOSED = "SELECT id FROM tasks WHERE closed = 1 AND last < ?"
#: About what a header takes.
_HEADER_BYTES = 180


class _Dead:
    """The events that folds tell of: those of this clone, and those of all."""

    def __init__(self, own: str, folds: Iterator[tuple[str, list[str]]]) -> None:
        self._own = own
        self._by_own: set[str] = set()
        self._by_any: set[str] = set()
        for replica, ids in folds:
            self._by_any.update(ids)
            if replica == own:
                self._by_own.update(ids)

    def of(self, replica: str) -> set[str]:
        """Return the ids of events that may go from the segments of a replica."""
        return self._by_own if replica == self._own else self._by_any


class _Rewriting:
    """A segment as it is, and as it will be."""

    def __init__(self, content: bytes, identity: tuple[int, int, int]) -> None:
        self.content = content
        self.identity = identity
        self.fresh = b""
        self.kept: list[Place] = []
        self.dropped: list[Place] = []


class Compaction:
    """The sealed segments of a store: what could go from them, and rewriting them without it."""

    def __init__(self, store: EventStore, journal: Journal, directory: str) -> None:
        self._store = store
        self._journal = journal
        self._directory = directory

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one that compacts.

        Raises:
            ConflictError: somebody else does.

        """
        lock = Lock(join(self._directory, COMPACT_LOCK), timeout_s=0)
        if not lock.acquire():
            raise ConflictError("another `atms compact` is at work here", "wait for its end")
        try:
            self._clear()
            yield
        finally:
            lock.release()

    def _clear(self) -> None:
        """Remove what a compaction that was killed left behind."""
        for replica in self._journal.replicas():
            directory = join(self._journal.root, replica)
            for name in os.listdir(directory):
                if name.startswith(".") and name.endswith(_SUFFIX):
                    os.remove(join(directory, name))

    def _sealed(self) -> list[Segment]:
        """Return all segments that will never grow; the last of a replica may."""
        return [
            (replica, number)
            for replica in self._journal.replicas()
            for number in self._journal.segments(replica)[:-1]
            if not rewritten.is_mended(self._journal, replica, number)
        ]

    def _dead(self) -> _Dead:
        rows = self._store.index.connection.execute(_FOLDS).fetchall()
        with self._store.lock:
            own = self._journal.own_replica()
        return _Dead(own, ((row[0], listed(self._journal.event_at(*row))) for row in rows))

    def survey(self, before_ms: int) -> SealedEvents:
        """Return what is in sealed segments of tasks that were closed before a time, and have not changed since."""
        self._store.reading()
        dead, limit = self._dead(), hlc.following("", before_ms, "")
        closed = {row[0] for row in self._store.index.connection.execute(_CLOSED, (limit,))}
        replaced: dict[str, dict[Segment, tuple[int, int]]] = {}
        segments: dict[Segment, tuple[int, int]] = {}
        for segment in self._sealed():
            size, gone, dead_bytes = self._journal.size(*segment), dead.of(segment[0]), 0
            for length, (_, key, event_id, kind) in self._lengths(segment, size):
                if event_id in gone:
                    dead_bytes += length
                elif key in closed and kind.startswith("task."):
                    found = replaced.setdefault(key, {})
                    before, number = found.get(segment, (0, 0))
                    found[segment] = before + length, number + 1
            segments[segment] = size, dead_bytes - _HEADER_BYTES
        return {"segments": segments, "replaced": replaced}

    def _lengths(self, segment: Segment, size: int) -> Iterator[tuple[int, Row]]:
        rows: list[Row] = self._store.index.connection.execute(_ROWS, segment).fetchall()
        # None are left of a segment whose tasks were all folded.
        ends = [*(row[0] for row in rows[1:]), size]
        return ((end - row[0], row) for row, end in zip(rows, ends, strict=False))

    def line_size(self, fact: Fact, actor: str) -> int:
        """Return how long the line of a fact would be."""
        kind, key, data = fact
        event: Event = {
            "v": 1, "id": "0" * 21, "at": "2000-01-01T00:00:00.000Z", "type": kind, "key": key, "actor": actor, "data": data,
        }  # fmt: skip
        return len(codec.encode(event, more=True))

    def rewrite(self, *, keep_originals: bool) -> list[JsonObject]:
        """Rewrite every sealed segment of which enough has been folded; return what became of each."""
        self._store.reading()
        dead = self._dead()
        done = (
            self._rewrite(segment, dead.of(segment[0]), keep_originals=keep_originals) for segment in self._sealed()
        )
        return [each for each in done if each is not None]

    def _rewrite(self, segment: Segment, gone: set[str], *, keep_originals: bool) -> JsonObject | None:
        replica, number = segment
        path = self._journal.path(replica, number)
        if not self._is_worth(segment, gone):
            return None
        plan = self._plan(segment, gone)
        aside = join(self._journal.root, replica, f".{os.path.basename(path)}{_SUFFIX}")
        try:
            swapping.write_aside(aside, plan.fresh, os.stat(path).st_mode & 0o777)
            backups = join(self._directory, BACKUPS)
            kept_in = keep(backups, f"journal.{replica}.{number:08d}", plan.content) if keep_originals else None
            with self._store.lock:
                self._store.index.catch_up()
                if _identity(path) != plan.identity:
                    return None
                swapping.swap(self._store.index, aside, path, _changing(plan))
        except DatabaseError as error:
            raise AtmsError(f"cannot write {self._store.index.path}: {error}", "free some space and repeat") from error
        finally:
            if exists(aside):
                os.remove(aside)
        return {
            "replica": replica, "segment": os.path.basename(path), "bytes_before": len(plan.content), "bytes_after": len(plan.fresh),
            "events_dropped": len(plan.dropped), "kept_in": kept_in,
        }  # fmt: skip

    def _is_worth(self, segment: Segment, gone: set[str]) -> bool:
        size = self._journal.size(*segment)
        stays = sum(length for length, row in self._lengths(segment, size) if row[2] not in gone)
        return is_worth(stays + _HEADER_BYTES, size)

    def _plan(self, segment: Segment, gone: set[str]) -> _Rewriting:
        with open(self._journal.path(*segment), "rb") as file:
            plan = _Rewriting(file.read(), _identity(file.fileno()))
        old = rewritten.of(plan.content)
        events = [(event, plan.content[offset:end]) for event, offset, end in self._journal.read(*segment, 0)]
        staying = [(event, line) for event, line in events if not _goes(event["type"], event["id"], gone)]
        header = rewritten.line({
            "why": rewritten.FOLDED, "segment": segment[1], "events": old["events"] if old else len(events),
            "bytes": old["bytes"] if old else len(plan.content), "through": old["through"] if old else events[-1][0]["id"],
            "dropped": (old["events"] if old else len(events)) - len(staying),
        })  # fmt: skip
        plan.fresh = header + b"".join(line for _, line in staying)
        offset = len(header)
        for event, line in staying:
            plan.kept.append((offset, event["key"], event["id"]))
            offset += len(line)
        plan.dropped = [
            (0, event["key"], event["id"]) for event, _ in events if _goes(event["type"], event["id"], gone)
        ]
        return plan


def _goes(kind: str, event_id: str, gone: set[str]) -> bool:
    return event_id in gone and kind.startswith("task.")


def _changing(plan: _Rewriting) -> Callable[[Connection], None]:
    def change(connection: Connection) -> None:
        swapping.forget(connection, plan.dropped)
        swapping.move(connection, plan.kept)

    return change


def _identity(file: str | int) -> tuple[int, int, int]:
    """Return what tells a file from another one in its place."""
    status = os.stat(file)
    return status.st_ino, status.st_size, status.st_mtime_ns
