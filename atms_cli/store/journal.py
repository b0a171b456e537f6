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
from atms_cli.store.paths import JOURNAL, REPLICA, RESTORED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atms_cli.domain.records import Event

#: A segment that has reached this size is sealed and the next one begun.
SEGMENT_BYTES = 32 * 1024 * 1024
#: macOS has no fdatasync.
_fdatasync = getattr(os, "fdatasync", os.fsync)


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

    def own_replica(self) -> str:
        """Return this clone's id; call it under the lock. A copied directory gets a new one.

        The file `replica` holds the id and its own inode number: a copy of the file has another inode.
        """
        path = join(self._directory, REPLICA)
        try:
            with open(path, encoding="ascii") as file:
                name, inode = file.read().split()
                if os.fstat(file.fileno()).st_ino == int(inode):
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
        with open(fresh, "w", encoding="ascii") as file:
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
        with open(self.path(replica, segment), "rb") as file:
            file.seek(start)
            offset = start
            for line in file:
                end = offset + len(line)
                try:
                    event, more = codec.decode(line)
                except (DamagedError, ValueError, KeyError) as error:
                    if is_torn(file.read(1), line):
                        return
                    raise self._damage(replica, segment, offset, error) from error
                batch.append((event, offset, end))
                offset = end
                if not more:
                    yield from batch
                    batch = []

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
                _sync(os.open(self.path(replica, segment - 1), os.O_WRONLY | os.O_CLOEXEC))
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
        return lambda: _sync(descriptor)


def _take_back(descriptor: int, offset: int) -> None:
    """Cut off what was written of a batch, and close the file."""
    try:
        os.ftruncate(descriptor, offset)
    except OSError:
        # Half a batch counts for nothing, and the next writer cuts it off.
        return
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    """Wait until what was appended is on the disk, and close the file.

    Also what others appended before: one file, one order, so what is durable is always a prefix.
    """
    try:
        _fdatasync(descriptor)
    except OSError as error:
        raise AtmsError(
            f"the disk did not take the change: {error.strerror}", "see whether it arrived: atms log"
        ) from error
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
