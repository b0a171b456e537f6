"""The SQLite file behind the read model: opening it, catching up with the journal, and starting over.

It can be deleted at any time. Whoever opens it reads on from where it stopped; if it knows more than the journal
holds (a power failure took the journal's tail), or is of another version, or damaged, it is built anew.
"""

from __future__ import annotations

import os
from os.path import exists

from atms_cli.errors import AtmsError
from atms_cli.store import sql

try:
    # The public module imports `datetime` and `collections.abc` for adapters that are not used here.
    import _sqlite3 as sqlite
except ImportError:
    import sqlite3 as sqlite  # type: ignore[no-redef]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection

    from atms_cli.store.projector import Projector
    from atms_cli.store.segments import Segments

    Position = tuple[int, int, str]

DatabaseError = sqlite.DatabaseError
#: The write-ahead log is folded into the file beyond this size; without that it would only grow.
_WAL_BYTES = 256 * 1024
_BUSY_TIMEOUT_S = 5.0
#: What SQLite says of a file that is not what we wrote.
_DAMAGE = ("malformed", "not a database", "no such table", "no such column", "disk I/O error")


#: What it says where no file can be made or grown.
_NO_ROOM = ("disk is full", "readonly", "unable to open")
MEMORY = ":memory:"


class Index:
    """A connection to the index of a workspace."""

    def __init__(self, path: str, journal: Segments) -> None:
        self.path = path
        self._journal = journal
        self.connection = self._connect()

    def _connect(self) -> Connection:
        try:
            connection: Connection = sqlite.connect(
                self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        except DatabaseError as error:
            return self._replace_damaged(error)
        return connection

    def empty(self) -> None:
        """Forget everything, whatever state the file is in; call it under the lock."""
        try:
            self.start_over()
        except DatabaseError as error:
            self.connection.close()
            self.connection = self._replace_damaged(error)

    def _replace_damaged(self, error: Exception) -> Connection:
        if any(sign in str(error) for sign in _DAMAGE):
            remove(self.path)
            return self._connect()
        if self.path != MEMORY and any(sign in str(error) for sign in _NO_ROOM):
            # Reading needs no file: the journal is folded in memory, and writing it will say what is wrong.
            self.path = MEMORY
            return self._connect()
        raise AtmsError(
            f"cannot open {self.path}: {error}", "check that the directory is writable and not full"
        ) from error

    def is_current(self) -> bool:
        """Return whether the index is of this version and has read all there is."""
        return self._is_of_this_version() and self.lag() == []

    def _is_of_this_version(self) -> bool:
        return bool(self.connection.execute("PRAGMA user_version").fetchone()[0] == sql.SCHEMA_VERSION)

    def positions(self) -> dict[str, Position]:
        """Return how far each replica has been read."""
        return {row[0]: row[1:] for row in self.connection.execute(sql.POSITIONS)}

    def lag(self) -> list[str]:
        """Return the replicas whose journal does not end where the index has stopped reading."""
        known = self.positions()
        return [
            replica
            for replica in self._journal.replicas()
            if not self._is_at_end(replica, known.get(replica, (1, 0, "")))
        ]

    def _is_at_end(self, replica: str, position: Position) -> bool:
        segment, offset, _ = position
        if self._journal.size(replica, segment) != offset:
            return False
        return offset < self._journal.segment_bytes or not self._journal.size(replica, segment + 1)

    def catch_up(self) -> None:
        """Read what is new; call it under the lock. The caller commits nothing: it is one transaction of its own."""
        try:
            if not self._is_of_this_version() or self._knows_too_much():
                self.start_over()
            behind = self.lag()
            if behind:
                self._read_on(behind)
        except DatabaseError as error:
            self.connection.close()
            self.connection = self._replace_damaged(error)
            self.catch_up()

    def _knows_too_much(self) -> bool:
        """Return whether the journal lost what was read before, as after a power failure, or was replaced."""
        return any(not self._still_there(replica, position) for replica, position in self.positions().items())

    def _still_there(self, replica: str, position: Position) -> bool:
        segment, offset, seal = position
        if self._journal.size(replica, segment) < offset:
            return False
        try:
            return self._journal.seal_at(replica, segment, offset) == seal
        except (OSError, ValueError):
            return False

    def start_over(self) -> None:
        """Make empty tables, in one transaction so that no other process sees half of them."""
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("BEGIN IMMEDIATE")
        names = "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'trigger') AND name NOT LIKE 'sqlite_%'"
        for kind, name in self.connection.execute(names).fetchall():
            self.connection.execute(f"DROP {kind} IF EXISTS {name}")
        for statement in _statements(sql.SCHEMA):
            self.connection.execute(statement)
        self.connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")
        self.connection.execute("COMMIT")

    def _read_on(self, replicas: list[str]) -> None:
        from atms_cli.store.bulk import build
        from atms_cli.store.projector import Projector

        known = self.positions()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            if known:
                projector = Projector(self.connection, self._journal.event_at)
                for replica in replicas:
                    self._read_replica(projector, replica, known.get(replica, (1, 0, "")))
                projector.flush()
            else:
                build(self.connection, self._journal, _statements(sql.SCHEMA))
            self.connection.execute("COMMIT")
        except BaseException:
            self.roll_back()
            raise
        self.checkpoint()

    def roll_back(self) -> None:
        """Undo the transaction, unless a full disk or the like has made SQLite do so already."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except DatabaseError:
            # It is closed: whatever closed it is what the person has to hear of.
            return

    def _read_replica(self, projector: Projector, replica: str, position: Position) -> None:
        start = position[1]
        for segment in self._journal.segments(replica, position[0]):
            end = start
            for event, offset, behind in self._journal.read(replica, segment, start):
                projector.apply(event, replica, segment, offset)
                end = behind
            self.connection.execute(
                sql.PUT_POSITION, (replica, segment, end, self._journal.seal_at(replica, segment, end))
            )
            start = 0

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file once it has grown; call it under the lock."""
        try:
            if os.stat(self.path + "-wal").st_size > _WAL_BYTES:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except FileNotFoundError:
            pass


def remove(path: str) -> None:
    """Delete an index with its side files.

    The file itself goes first: SQLite drops a log without one, but a file without its log may be half of a checkpoint.
    """
    for suffix in ("", "-wal", "-shm"):
        if exists(path + suffix):
            os.remove(path + suffix)


def _statements(script: str) -> list[str]:
    """Split a script at the semicolons that end lines, keeping triggers whole."""
    statements, pending = [], ""
    for line in script.splitlines():
        if not line.startswith("--"):
            pending += line + "\n"
        in_trigger = "CREATE TRIGGER" in pending and not pending.rstrip().endswith("END;")
        if pending.rstrip().endswith(";") and not in_trigger:
            statements.append(pending)
            pending = ""
    return statements
