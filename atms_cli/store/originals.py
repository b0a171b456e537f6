"""Segments as they were before they were rewritten, packed and without loss."""

from __future__ import annotations

import gzip
import os
from os.path import exists, join
from zlib import crc32

from atms_cli.errors import AtmsError
from atms_cli.store.aside import Aside, sync_directory

_ENDING = ".jsonl.gz"
#: A packed file ends in the checksum and the length of what it holds (RFC 1952).
_TRAILER_BYTES = 8
_LEVEL = 6


def keep(directory: str, name: str, content: bytes) -> str:
    """Pack a segment into a directory, under a name that is free; return where it is. One that is there already is taken."""
    path, count = join(directory, name + _ENDING), 1
    while exists(path):
        if _holds(path, content):
            return path
        count += 1
        path = join(directory, f"{name}.{count}{_ENDING}")
    try:
        with Aside(path, gzip.compress(content, _LEVEL, mtime=0)) as aside:
            os.replace(aside, path)
        sync_directory(path)
    except OSError as error:
        raise AtmsError(f"cannot write {path}: {error.strerror}", "free some space, or say --discard") from error
    return path


def _holds(path: str, content: bytes) -> bool:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TRAILER_BYTES))
        trailer = file.read()
    return trailer == crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
