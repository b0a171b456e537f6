"""The truth: append-only segments of JSON lines, one directory for each replica (clone) that writes.

A clone writes only under its own replica id. Appending happens under the workspace lock: look at the tail, cut what
a crash tore off, write the whole batch in one call, sync, and only then say it is done. A directory that was copied
gets a new replica id, so two copies never write under one name.
"""

from __future__ import annotations

import os
from os.path import isdir, join

from atms_cli.errors import AtmsError, DamagedError, NewerError, UnavailableError
from atms_cli.store import codec
from atms_cli.store.groupsync import GroupSync, sync_alone
from atms_cli.store.paths import JOURNAL, REPLICA, RESTORED, SYNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atms_cli.domain.records import Event

#: A segment that has reached this size is sealed and the next one begun.
SEGMENT_BYTES = 32 * 1024 * 1024


def segment_name(number: int) -> str:
    """Return the file name of a segment."""
    return f"{number:08d}.jsonl"


def forget_replica(directory: str) -> None:
    """Let the next writer go on under a new replica id; call it under the lock."""
    try:
        os.remove(join(directory, REPLICA))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AtmsError(f"cannot write in {directory}: {error.strerror}", "nothing was changed") from error


class Journal:
    """The segments of a workspace, by replica."""

    def __init__(self, directory: str, new_name: Callable[[], str]) -> None:
        self._directory = directory
        self._new_name = new_name
        self.segment_bytes = SEGMENT_BYTES
        self.root = join(directory, JOURNAL)
        self._group = GroupSync(join(directory, SYNC))
        self._own: tuple[str, tuple[int, int]] = ("", (0, 0))

    def replicas(self) -> list[str]:
        """Return the ids of all replicas that have written."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            names = os.listdir(self._root_put_back())
        # Finder leaves its .DS_Store anywhere.
        return sorted(name for name in names if not name.startswith("."))

    def _root_put_back(self) -> str:
        """Finish what a killed `atms restore` has left to be done, and return the root.

        It takes the old journal away only when the new one is whole, so there is just its name to give; whoever
        comes first gives it, with or without the lock.
        """
        try:
            os.rename(join(self._directory, RESTORED), self.root)
        except OSError:
            if not isdir(self.root):
                raise DamagedError(
                    f"{self.root} is missing", "make an empty one: atms init; then: atms restore BACKUP"
                ) from None
        return self.root

    def segments(self, replica: str, first: int = 1) -> list[int]:
        """Return the numbers of a replica's segments from `first` on."""
        names = os.listdir(join(self.root, replica))
        numbers = (int(name.removesuffix(".jsonl")) for name in names if name[0] != "." and name.endswith(".jsonl"))
        return sorted(number for number in numbers if number >= first)

    def path(self, replica: str, segment: int) -> str:
        """Return where a segment lies."""
        return join(self.root, replica, segment_name(segment))

    def size(self, replica: str, segment: int) -> int:
        """Return the bytes in a segment, 0 if there is none."""
        try:
            return os.stat(self.path(replica, segment)).st_size
        except FileNotFoundError:
            return 0

    def seal_at(self, replica: str, segment: int, end: int) -> str:
        """Return the checksum of the line that ends at `end`, empty at the beginning of a segment."""
        if end == 0:
            return ""
        with open(self.path(replica, segment), "rb", buffering=0) as file:
            file.seek(max(0, end - codec.SEAL_LENGTH))
            return codec.seal(file.read(codec.SEAL_LENGTH))

    def beginning(self, replica: str, segment: int, most: int) -> bytes:
        """Return the first bytes of a segment, none if there is none."""
        try:
            with open(self.path(replica, segment), "rb", buffering=0) as file:
                return file.read(most)
        except FileNotFoundError:
            return b""

    def position(self, replica: str, segment: int, end: int) -> tuple[int, int, str]:
        """Return where to read on, and the seal before: in the next segment, if this one was rewritten and never grows."""
        if self.beginning(replica, segment, len(codec.HEADER_MARK)) == codec.HEADER_MARK:
            return segment + 1, 0, ""
        return segment, end, self.seal_at(replica, segment, end)

    def own_replica(self) -> str:
        """Return this clone's id; call it under the lock. A copied directory gets a new one.

        The file `replica` holds the id and its own inode number: a copy of the file has another inode.
        """
        path = join(self._directory, REPLICA)
        try:
            status = os.stat(path)
            name, known_as = self._own
            if known_as == (status.st_ino, status.st_mtime_ns):
                return name
            with open(path, encoding="utf-8") as file:
                name, inode = file.read().split()
            if status.st_ino == int(inode):
                self._own = (name, (status.st_ino, status.st_mtime_ns))
                return name
        except (FileNotFoundError, ValueError):
            pass
        try:
            return self._new_replica(path)
        except OSError as error:
            raise AtmsError(
                f"cannot write in {self._directory}: {error.strerror}",
                "nothing was changed; check permissions and free space",
            ) from error

    def _new_replica(self, path: str) -> str:
        name = self._new_name()
        if not isdir(self.root):
            self._root_put_back()
        os.makedirs(join(self.root, name), exist_ok=True)
        # Before anyone can write under the name: whoever does will not sync this again.
        _sync_directory(self.root)
        fresh = f"{path}.new"
        with open(fresh, "w", encoding="utf-8") as file:
            file.write(f"{name} {os.fstat(file.fileno()).st_ino}\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, path)
        _sync_directory(self._directory)
        return name

    def read(self, replica: str, segment: int, start: int) -> Iterator[tuple[Event, int, int]]:
        """Yield each event from `start` on with its offset and end, whole batches only.

        Raises:
            DamagedError: a line in the middle cannot be read; a torn tail just ends the reading.

        """
        batch: list[tuple[Event, int, int]] = []
        is_rewritten = False
        with open(self.path(replica, segment), "rb") as file:
            file.seek(start)
            offset = start
            for line in file:
                end = offset + len(line)
                try:
                    event, more = codec.decode(line)
                except (DamagedError, ValueError, KeyError) as error:
                    if not is_rewritten and is_torn(file.read(1), line):
                        return
                    raise self._damage(replica, segment, offset, error) from error
                if offset == 0 and "rewritten" in event:
                    # What is left of a batch may lack its end.
                    is_rewritten, offset = True, end
                    continue
                located, offset = (event, offset, end), end
                if more and not is_rewritten:
                    batch.append(located)
                    continue
                if batch:
                    yield from batch
                    batch = []
                yield located

    def _damage(self, replica: str, segment: int, offset: int, error: Exception) -> DamagedError:
        path = self.path(replica, segment)
        with open(path, "rb") as file:
            line = file.read(offset).count(b"\n") + 1
        reason = error.message if isinstance(error, DamagedError) else "not an event"
        hint = error.hint if isinstance(error, DamagedError) and error.hint else "see what is affected: atms doctor"
        kind = NewerError if isinstance(error, NewerError) else DamagedError
        return kind(f"{path}:{line}: {reason}", hint)

    def event_at(self, replica: str, segment: int, offset: int) -> Event:
        """Return the event whose line begins at `offset`."""
        with open(self.path(replica, segment), "rb") as file:
            file.seek(offset)
            return codec.decode(file.readline())[0]

    def cut_torn_tail(self, replica: str, segment: int, start: int) -> int:
        """Cut off what a crash left behind the last whole batch, reading from `start`; return the bytes cut."""
        end = max((end for _, _, end in self.read(replica, segment, start)), default=start)
        torn = self.size(replica, segment) - end
        if torn > 0:
            os.truncate(self.path(replica, segment), end)
        return torn

    def append(self, replica: str, segment: int, offset: int, lines: bytes) -> Callable[[], None]:
        """Write a batch at the end of a segment, which is `offset`; return what makes it durable, to be called without the lock.

        Raises:
            AtmsError: the disk is full or not writable; the segment is as it was.

        """
        path = self.path(replica, segment)
        try:
            if offset == 0 and segment > 1:
                # What is durable must stay a prefix: the old segment's last writer may not have synced it yet.
                _close_synced(os.open(self.path(replica, segment - 1), os.O_WRONLY | os.O_CLOEXEC), sync_alone)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise AtmsError(f"cannot write {path}: {error.strerror}", "nothing was changed") from error
        if os.fstat(descriptor).st_size != offset:
            os.close(descriptor)
            raise UnavailableError(
                f"{path} has changed meanwhile, so somebody writes without the lock", "nothing was changed; try again"
            )
        try:
            if offset == 0:
                # Before its first line: who finds one will not sync the name again.
                _sync_directory(join(self.root, replica))
            _write_all(descriptor, lines)
        except OSError as error:
            _take_back(descriptor, offset)
            raise AtmsError(
                f"cannot write {path}: {error.strerror}", "nothing was changed; free some space and repeat"
            ) from error
        what = f"{replica}/{segment}"
        return lambda: _close_synced(descriptor, lambda it: self._group.sync(it, what))


def _take_back(descriptor: int, offset: int) -> None:
    """Cut off what was written of a batch, and close the file."""
    try:
        os.ftruncate(descriptor, offset)
    except OSError:
        # Half a batch counts for nothing, and the next writer cuts it off.
        return
    finally:
        os.close(descriptor)


def _close_synced(descriptor: int, sync: Callable[[int], None]) -> None:
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def is_torn(next_byte: bytes, line: bytes) -> bool:
    """Return whether a bad line is an unfinished end of file: cut short, or never filled by a disk that lost power."""
    if next_byte:
        return False
    if line.endswith(b"\0"):
        return True
    return not line.endswith(b"\n") and not _is_whole(line[:-1] + b"\n")


def _is_whole(line: bytes) -> bool:
    try:
        codec.decode(line)
    except (DamagedError, ValueError, KeyError):
        return False
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
