"""One file that holds a whole workspace: every segment up to a moment, and atms.yaml; checked when it is put back."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from contextlib import suppress
from io import BytesIO
from os.path import exists, join
from zlib import crc32

from atms_cli import __version__
from atms_cli.errors import AtmsError, ConflictError, DamagedError, UnavailableError
from atms_cli.store import codec, paths
from atms_cli.store.aside import sync_directory
from atms_cli.store.journal import forget_replica, segment_name
from atms_cli.store.replication import check_names
from atms_cli.store.swapping import mark_stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject
    from atms_cli.store.eventstore import EventStore

_FORMAT = 1
_MANIFEST = "manifest.json"
#: A rewritten segment is smaller than it was; what was packed meanwhile is packed again.
_TRIES = 5


def write(store: EventStore, root: str, path: str, now: str) -> JsonObject:
    """Write a backup while others go on working; return its manifest.

    The bytes of a segment up to the size seen under the lock never change again, unless it is rewritten as a whole.
    """
    fresh = f"{path}.{os.getpid()}.new"
    try:
        manifest = _pack_at_rest(store, root, fresh, now)
        os.replace(fresh, path)
    except OSError as error:
        raise AtmsError(f"cannot write {path}: {error.strerror}", "check permissions and free space") from error
    finally:
        if exists(fresh):
            os.remove(fresh)
    return manifest


def _pack_at_rest(store: EventStore, root: str, path: str, now: str) -> JsonObject:
    for _ in range(_TRIES):
        before = _segments(store, root)
        manifest = _pack(root, path, {name: size for name, (size, _) in before.items()}, now)
        after = _segments(store, root)
        if all(name in after and after[name][1] == inode for name, (_, inode) in before.items()):
            return manifest
    raise UnavailableError("the journal is being rewritten", "try again when that has finished")


def _segments(store: EventStore, root: str) -> dict[str, tuple[int, int]]:
    """Return the bytes of each segment's whole batches, and the inode, which changes when a segment is rewritten."""
    with store.lock:
        store.index.catch_up()
        return {
            name: (_whole(store, replica, number), os.stat(join(root, paths.DIRECTORY, paths.JOURNAL, name)).st_ino)
            for replica in store.journal.replicas()
            for number in store.journal.segments(replica)
            for name in (f"{replica}/{segment_name(number)}",)
        }


def _whole(store: EventStore, replica: str, number: int) -> int:
    """Return the bytes of a segment's whole batches."""
    segment, offset, _ = store.index.positions().get(replica, (1, 0, ""))
    return offset if number == segment else store.journal.size(replica, number)


def _pack(root: str, path: str, sizes: dict[str, int], now: str) -> JsonObject:
    segments: dict[str, JsonObject] = {}
    with open(path, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as archive:
        for name, size in sizes.items():
            with open(join(root, paths.DIRECTORY, paths.JOURNAL, name), "rb") as file:
                content = file.read(size)
            segments[name] = {"size": size, "crc": f"{crc32(content):08x}"}
            _add(archive, f"journal/{name}", content)
        settings = join(root, paths.CONFIG)
        if exists(settings):
            with open(settings, "rb") as file:
                _add(archive, paths.CONFIG, file.read())
        manifest: JsonObject = {"format": _FORMAT, "atms": __version__, "at": now, "segments": segments}
        _add(archive, _MANIFEST, json.dumps(manifest).encode())
        archive.close()
        raw.flush()
        os.fsync(raw.fileno())
    return manifest


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(content)
    archive.addfile(about, BytesIO(content))


def read(path: str) -> dict[str, bytes]:
    """Return the segments of a backup by `replica/name`, every line of them checked, and atms.yaml if it has one.

    Raises:
        DamagedError: it is not a backup, or not whole; the message says what.

    """
    contents = _unpack(path)
    try:
        manifest = json.loads(contents.pop(_MANIFEST))
    except (KeyError, ValueError):
        raise DamagedError(f"{path} is not a backup of atms", "make one with: atms backup FILE") from None
    if manifest["format"] > _FORMAT:
        raise DamagedError(f"{path} was written by a newer atms ({manifest['atms']})", "upgrade atms")
    for name, about in manifest["segments"].items():
        content = contents.get(f"journal/{name}")
        if content is None or len(content) != about["size"] or f"{crc32(content):08x}" != about["crc"]:
            raise DamagedError(f"{path}: {name} is damaged or missing", "use another backup")
        _check_lines(path, name, content)
    return contents


def _unpack(path: str) -> dict[str, bytes]:
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            files = [(member.name, archive.extractfile(member)) for member in archive.getmembers() if member.isfile()]
            return {name: file.read() for name, file in files if file is not None}
    except FileNotFoundError:
        raise AtmsError(f"there is no {path}") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DamagedError(f"{path} cannot be read: {error}", "use another backup") from error


def _check_lines(path: str, name: str, content: bytes) -> None:
    replica, _, file_name = name.partition("/")
    check_names(replica, file_name)
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            codec.decode(line)
        except (AtmsError, ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{path}: {name}:{number} is damaged", "use another backup") from error


def put_back(store: EventStore, directory: str, contents: dict[str, bytes], now: str) -> None:
    """Replace the journal with a backup's; the present one is kept beside the backups.

    Raises:
        ConflictError: `atms run` is at work here.

    """
    from atms_cli.store.lock import is_held

    if is_held(join(directory, paths.RUN_LOCK)):
        raise ConflictError("`atms run` is at work here", "stop it first")
    journal, fresh = join(directory, paths.JOURNAL), join(directory, paths.RESTORED)
    kept = join(directory, paths.BACKUPS, f"{paths.JOURNAL}.{now.replace(':', '')}")
    with store.lock:
        try:
            _lay_out(fresh, contents)
            # Whoever made the backup may still be writing under its id: this workspace goes on under a new one.
            forget_replica(directory)
            mark_stale(store.index)
            os.rename(journal, kept)
        except OSError as error:
            message = f"cannot restore in {directory}: {error.strerror}"
            raise AtmsError(message, "nothing was changed; check permissions and free space") from error
        try:
            # From here on whoever looks for the journal puts the new one in its place (journal.py).
            with suppress(FileNotFoundError):
                os.rename(fresh, journal)
            sync_directory(journal)
            sync_directory(kept)
        except OSError as error:
            message = f"cannot finish in {directory}: {error.strerror}"
            raise AtmsError(message, "see whether it is done: atms status") from error
        store.index.empty()
        store.index.catch_up()


def _lay_out(fresh: str, contents: dict[str, bytes]) -> None:
    """Write a journal next to the present one, whole and on the disk."""
    if exists(fresh):
        # Of a restore that was killed before it took the old one away.
        shutil.rmtree(fresh)
    os.makedirs(fresh)
    for name, content in contents.items():
        if name.startswith("journal/"):
            target = join(fresh, name.removeprefix("journal/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            sync_directory(target)
    sync_directory(join(fresh, "."))
    sync_directory(fresh)
