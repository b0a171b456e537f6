"""Keeps an output file within its bounds on the disk while it is written to: its middle is given back to the system.

What goes is a hole in the file, so that whoever reads or writes goes on where he is. The beginning and the end stay.
"""

from __future__ import annotations

import ctypes
import os

#: Of what a log may take, so much is kept of its beginning, and so much of its end when the middle goes.
HEAD_SHARE, TAIL_SHARE = 8, 2
#: Blocks of file systems are no larger, or divide it.
_BLOCK = 4096
#: The first look is this long after the start; then it depends on how fast the file grows.
_FIRST_LOOK_S, _SHORTEST_S, _LONGEST_S = 0.1, 0.02, 1.0
#: What `st_blocks` counts in.
_SECTOR = 512

_KEEP_SIZE, _PUNCH_HOLE = 1, 2


class Cap:
    """The bound of one output file, and when to look at it next."""

    __slots__ = ("_most", "_path", "_size", "_taken_at", "due")

    def __init__(self, path: str, most: int, now: float) -> None:
        self._path = path
        self._most = most
        self._size = 0
        self._taken_at = now
        self.due = now + _FIRST_LOOK_S

    def hold(self, now: float) -> bool:
        """Give back the middle of a file that has grown too large; false if the file system cannot do that."""
        try:
            status = os.stat(self._path)
            is_held = status.st_blocks * _SECTOR <= self._most or punch(self._path, status.st_size, self._most)
        except OSError:  # its directory was removed under it, say
            self.due = now + _LONGEST_S
            return True
        growth = (status.st_size - self._size) / max(now - self._taken_at, 1e-3)
        self._size, self._taken_at = status.st_size, now
        # Before an eighth of the bound is added.
        self.due = now + min(_LONGEST_S, max(_SHORTEST_S, self._most / 8 / max(growth, 1.0)))
        return is_held


def punch(path: str, size: int, most: int) -> bool:
    """Free the middle of a file so that its ends stay; false if the file system cannot do that."""
    begin = -(-(most // HEAD_SHARE) // _BLOCK) * _BLOCK
    end = (size - most // TAIL_SHARE) // _BLOCK * _BLOCK
    if end <= begin:
        return True
    try:
        free = ctypes.CDLL(None, use_errno=True).fallocate64
    except AttributeError:  # not Linux
        return False
    free.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)
    file = os.open(path, os.O_WRONLY)
    try:
        return bool(free(file, _PUNCH_HOLE | _KEEP_SIZE, begin, end - begin) == 0)
    finally:
        os.close(file)
