"""Cutting damaged lines out of the journal; what is cut out is kept, and what follows it is not lost."""

from __future__ import annotations

import os
from os.path import exists, join

from atms_cli.errors import AtmsError
from atms_cli.store import codec, rewritten
from atms_cli.store.journal import segment_name
from atms_cli.store.paths import BACKUPS, JOURNAL, REPLICA
from atms_cli.store.settings import write_atomically
from atms_cli.store.swapping import mark_stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.store.eventstore import EventStore
    from atms_cli.store.rewritten import Header
    from atms_cli.store.segments import Segments


def mend(store: EventStore, directory: str) -> list[str]:
    """Cut damaged lines out of every segment; return the files that keep them.

    Each segment then says that it was mended, so that a sync can bring the lost lines back. This clone goes on under a
    new replica id: its copy is no longer the one that it published.
    """
    kept: list[str] = []
    with store.lock:
        damaged = [
            (replica, number)
            for replica in store.journal.replicas()
            for number in store.journal.segments(replica)
            if not all(map(_is_good, _lines(store.journal, directory, replica, number)[:-1]))
        ]
        if damaged:
            # Before any file changes: whoever comes after a kill builds the index from what is there then.
            store.index.empty()
            mark_stale(store.index)
        for replica, number in damaged:
            kept.append(_mend_segment(store.journal, directory, replica, number))
        if kept and exists(join(directory, REPLICA)):
            os.remove(join(directory, REPLICA))
        if kept:
            store.index.catch_up()
    return kept


def _lines(journal: Segments, directory: str, replica: str, number: int) -> list[bytes]:
    path = join(directory, JOURNAL, replica, segment_name(number))
    with open(path, "rb") as file:
        return file.read(journal.size(replica, number)).splitlines(keepends=True)


def _mend_segment(journal: Segments, directory: str, replica: str, number: int) -> str:
    lines = _lines(journal, directory, replica, number)
    good = [line for line in _acknowledged(lines) if _is_good(line)]
    kept = frozenset(good)
    aside = join(directory, BACKUPS, f"damaged.{replica}.{segment_name(number)}")
    write_atomically(aside, b"".join(line for line in lines if line not in kept))
    header = rewritten.line(_header(number, _acknowledged(lines), good))
    events = [line for line in good if not line.startswith(codec.HEADER_MARK)]
    write_atomically(join(directory, JOURNAL, replica, segment_name(number)), b"".join([header, *events]))
    return aside


def _acknowledged(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Return the lines without an unfinished end, which the next writer would have cut off."""
    end = len(lines)
    is_torn = bool(lines) and not _is_good(lines[-1]) and (not lines[-1].endswith(b"\n") or b"\0" in lines[-1])
    if lines[0].startswith(codec.HEADER_MARK) or not (is_torn or _goes_on(lines[-1])):
        return lines
    end -= is_torn
    while end and _goes_on(lines[end - 1]):
        end -= 1
    return lines[:end]


def _goes_on(line: bytes) -> bool:
    return _is_good(line) and codec.decode(line)[1]


def _header(number: int, lines: Sequence[bytes], good: Sequence[bytes]) -> Header:
    """Return what a segment was before lines were cut out of it; one that had been rewritten has said so."""
    events = [codec.decode(line)[0] for line in good if not line.startswith(codec.HEADER_MARK)]
    old = rewritten.of(good[0]) if good else None
    total = old["events"] if old else sum(not line.startswith(codec.HEADER_MARK) for line in lines)
    through = events[-1]["id"] if events else ""
    return {
        "why": rewritten.MENDED, "segment": number, "events": total, "bytes": old["bytes"] if old else sum(map(len, lines)),
        "through": old["through"] if old else through, "dropped": total - len(events),
    }  # fmt: skip


def _is_good(line: bytes) -> bool:
    try:
        codec.decode(line)
    except (AtmsError, ValueError, KeyError, TypeError):
        return False
    return True
