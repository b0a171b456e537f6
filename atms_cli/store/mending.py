"""Cutting damaged lines out of the journal; what is cut out is kept, and what follows it is not lost."""

from __future__ import annotations

import os
from os.path import exists, join

from atms_cli.errors import AtmsError
from atms_cli.store import codec
from atms_cli.store.paths import BACKUPS, JOURNAL, REPLICA
from atms_cli.store.settings import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.store.eventstore import EventStore


def mend(store: EventStore, directory: str) -> list[str]:
    """Cut damaged lines out of every segment; return the files that keep them.

    Other clones have the old lines, so this one goes on under a new replica id: what it published is never rewritten.
    """
    kept: list[str] = []
    with store.lock:
        for replica in store.journal.replicas():
            for number in store.journal.segments(replica):
                kept += _mend_segment(directory, replica, f"{number:08d}.jsonl")
        if kept and exists(join(directory, REPLICA)):
            os.remove(join(directory, REPLICA))
        if kept:
            store.index.empty()
            store.index.catch_up()
    return kept


def _mend_segment(directory: str, replica: str, name: str) -> list[str]:
    path = join(directory, JOURNAL, replica, name)
    with open(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    good = [_is_good(line) for line in lines]
    # A torn end is no damage: the next writer cuts it off.
    if all(good[:-1]):
        return []
    aside = join(directory, BACKUPS, f"damaged.{replica}.{name}")
    write_atomically(aside, b"".join(line for line, is_good in zip(lines, good, strict=True) if not is_good))
    write_atomically(path, b"".join(line for line, is_good in zip(lines, good, strict=True) if is_good))
    return [aside]


def _is_good(line: bytes) -> bool:
    try:
        codec.decode(line)
    except (AtmsError, ValueError, KeyError, TypeError):
        return False
    return True
