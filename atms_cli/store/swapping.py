"""Putting another file in the place of a segment, and the index in step with it, whatever happens in between.

The index is marked as stale, durably, before the file is replaced, and the mark goes in the transaction that brings the
index in step. Whoever finds the mark builds the index anew, which is right for every mixture of old and new segments.
"""

from __future__ import annotations

import os

from atms_cli.errors import AtmsError
from atms_cli.store import sql
from atms_cli.store.aside import sync_directory
from atms_cli.store.index import DatabaseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from sqlite3 import Connection

    from atms_cli.store.index import Index

    Change = Callable[[Connection], None]
    #: Offset, key and id of an event.
    Place = tuple[int, str, str]

_MOVE = "UPDATE events SET offset = ? WHERE key = ? AND id = ?"
_FORGET = "DELETE FROM events WHERE key = ? AND id = ?"


def swap(index: Index, aside: str, path: str, change: Change) -> None:
    """Give a file that was written aside, and synced, the name of a segment; `change` tells the index. Call it under the lock.

    Raises:
        AtmsError: the file could not be put in place; nothing was changed.

    """
    connection, is_placed = index.connection, False
    mark_stale(index)
    try:
        connection.execute("BEGIN IMMEDIATE")
        change(connection)
        os.replace(aside, path)
        is_placed = True
        sync_directory(path)
        connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except OSError as error:
        raise AtmsError(f"cannot write {path}: {error.strerror}", "free some space and repeat") from error
    finally:
        if connection.in_transaction:
            index.roll_back()
            if not is_placed:
                connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")
    index.checkpoint()


def mark_stale(index: Index) -> None:
    """Make whoever opens the index next build it anew, also after a power failure; call it under the lock."""
    connection = index.connection
    try:
        # Otherwise the new file could be kept and the mark be lost.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA user_version = 0")
        connection.execute("PRAGMA synchronous = NORMAL")
    except DatabaseError as error:
        message = f"cannot write {index.path}: {error}"
        raise AtmsError(message, "nothing was changed; check permissions and free space") from error


def move(connection: Connection, places: Iterable[Place]) -> None:
    """Note where events lie now."""
    connection.executemany(_MOVE, places)


def forget(connection: Connection, places: Iterable[Place]) -> None:
    """Note that events are gone."""
    connection.executemany(_FORGET, (place[1:] for place in places))


def write_aside(path: str, content: bytes, mode: int = 0o666) -> None:
    """Write a file that shall take another's name, and make it last; if it cannot be written whole, it goes."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if os.path.exists(path):
            os.remove(path)
        raise AtmsError(f"cannot write {path}: {error.strerror}", "free some space and repeat") from error
