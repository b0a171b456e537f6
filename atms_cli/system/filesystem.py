"""Which kind of file system a directory lies on, for those where locks do not hold between machines."""

from __future__ import annotations

from os.path import commonpath, realpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: File systems that other machines may write to at the same time. Their `flock` is local or emulated, and SQLite keeps
#: its write-ahead log's index in memory that machines cannot share (https://www.sqlite.org/wal.html).
NETWORKED = frozenset({
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs",
    "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "webdav",
})  # fmt: skip


def networked(directory: str) -> tuple[str, str] | None:
    """Return kind and mount point of the network file system that a directory lies on, or None."""
    import psutil  # type: ignore[import-untyped]

    return found_among(((part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)), directory)


def found_among(mounts: Iterable[tuple[str, str]], directory: str) -> tuple[str, str] | None:
    """Return the same from a list of mount points with their kinds; of two at one point, the later one covers the other."""
    real = realpath(directory)
    above = [(mount, kind) for mount, kind in mounts if commonpath((mount, real)) == mount]
    mount, kind = max(reversed(above), key=lambda each: len(each[0]), default=("/", ""))
    return (kind, mount) if kind in NETWORKED else None
