"""The SQLite file behind the read model: opening it, catching up with the journal, and starting over.

It can be deleted at any time. Whoever opens it reads on from where it stopped; if it knows more than the journal
holds (a power failure took the journal's tail), or is of another version, or damaged, it is built anew.
"""

from __future__ import annotations

import os
from os.path import exists

from atms_cli.errors import AtmsError
from atms_cli.store import sql
from atms_cli.store.sqlite import driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from sqlite3 import Connection

    from atms_cli.store.projector import Projector
    from atms_cli.store.segments import Segments

    Position = tuple[int, int, str]

DatabaseError: type[Exception] = driver.DatabaseError
#: The write-ahead log is folded into the file beyond this size; without that it would only grow, and whoever opens the
#: index alone reads all of it.
_WAL_BYTES = 256 * 1024
#: A process that writes again and again folds less often: it opens the index once.
_WAL_BYTES_LATER = 4 * 1024 * 1024
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
        self._is_for_writing = False
        self._wal_bytes = _WAL_BYTES
        self._seen: dict[str, Position] = {}
        #: Whether something was read that this process has not written, until somebody takes note.
        self.has_news = False
        self.connection = self._connect()

    def _connect(self) -> Connection:
        self._is_for_writing = False
        self._seen = {}
        try:
            return driver.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)  # type: ignore[no-any-return]
        except DatabaseError as error:
            return self._replace_damaged(error)

    def _prepare_for_writing(self) -> None:
        """Set what only writers need: a commit waits for no disk, since the journal is the truth."""
        if not self._is_for_writing:
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self.connection.execute("PRAGMA wal_autocheckpoint = 0")
            # Debian's SQLite overwrites what is deleted with zeros; here it is still in the journal.
            self.connection.execute("PRAGMA secure_delete = OFF")
            self._is_for_writing = True

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
        return self._is_of_this_version() and self.lag(self.positions()) == []

    def is_as_left(self) -> bool:
        """Return whether nothing was written, by anybody, since this process last read on or wrote."""
        if not self._is_of_this_version():
            return False
        known = self.positions()
        return known == self._seen and self.lag(known) == []

    def _is_of_this_version(self) -> bool:
        return bool(self.connection.execute("PRAGMA user_version").fetchone()[0] == sql.SCHEMA_VERSION)

    def positions(self) -> dict[str, Position]:
        """Return how far each replica has been read."""
        return {row[0]: row[1:] for row in self.connection.execute(sql.POSITIONS)}

    def lag(self, known: dict[str, Position]) -> list[str]:
        """Return the replicas whose journal does not end where the index has stopped reading."""
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

    def catch_up(self) -> dict[str, Position]:
        """Read what is new and return how far each replica has been read; call it under the lock.

        The caller commits nothing: it is one transaction of its own.
        """
        before = self._seen
        try:
            self._prepare_for_writing()
            known = self.positions() if self._is_of_this_version() else None
            if known is None or not self._is_still_there(known):
                self.start_over()
                known = {}
            behind = self.lag(known)
            if behind:
                self._read_on(behind, known)
                known = self.positions()
        except DatabaseError as error:
            self.connection.close()
            self.connection = self._replace_damaged(error)
            return self.catch_up()
        self.has_news |= known != before
        self._seen = known
        return known

    def _is_still_there(self, known: dict[str, Position]) -> bool:
        """Return whether the journal still has what was read before; a power failure may have taken it, or a restore."""
        return all(self._holds(replica, position) for replica, position in known.items())

    def _holds(self, replica: str, position: Position) -> bool:
        segment, offset, seal = position
        size = self._journal.size(replica, segment)
        if size == offset and self._seen.get(replica) == position:
            return True
        if size < offset:
            return False
        try:
            return self._journal.seal_at(replica, segment, offset) == seal
        except (OSError, ValueError):
            return False

    def put_position(self, replica: str, position: Position) -> None:
        """Note how far a replica has been read, in the caller's transaction."""
        self.connection.execute(sql.PUT_POSITION, (replica, *position))
        self._seen = {**self._seen, replica: position}

    def start_over(self) -> None:
        """Make empty tables, in one transaction so that no other process sees half of them."""
        self.connection.execute("PRAGMA journal_mode = WAL")
        self._prepare_for_writing()
        self.connection.execute("BEGIN IMMEDIATE")
        names = "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'trigger') AND name NOT LIKE 'sqlite_%'"
        for kind, name in self.connection.execute(names).fetchall():
            self.connection.execute(f"DROP {kind} IF EXISTS {name}")
        for statement in _statements(sql.SCHEMA):
            self.connection.execute(statement)
        self.connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")
        self.connection.execute("COMMIT")

    def _read_on(self, replicas: list[str], known: dict[str, Position]) -> None:
        from atms_cli.store.bulk import build
        from atms_cli.store.projector import Projector

        def read(connection: Connection) -> None:
            if not known:
                build(connection, self._journal, _statements(sql.SCHEMA))
                return
            projector = Projector(connection, self._journal.event_at)
            for replica in replicas:
                self._read_replica(projector, replica, known.get(replica, (1, 0, "")))
            projector.flush()

        self.change(read)

    def change(self, work: Callable[[Connection], None]) -> None:
        """Do something in one transaction; call it under the lock."""
        self._prepare_for_writing()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            work(self.connection)
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
            self.put_position(replica, self._journal.position(replica, segment, end))
            start = 0

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file once it has grown; call it under the lock."""
        try:
            if os.stat(self.path + "-wal").st_size > self._wal_bytes:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (FileNotFoundError, DatabaseError):
            # On a full disk the log stays, which holds all that the file will.
            return
        self._wal_bytes = _WAL_BYTES_LATER


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
