"""A lock that goes on for as long as any child that was given its descriptor lives."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock

from atms_cli.errors import AtmsError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: How often a thread looks whether the lock is free.
_LOOK_S = 0.02


@contextmanager
def alone(path: str, timeout_s: float) -> Iterator[int]:
    """Give the descriptor of a lock on a file, once nobody else has it: not even a child of a process that was killed.

    Raises:
        UnavailableError: somebody still had it after so long.

    """
    descriptor = _acquired(path, timeout_s)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _acquired(path: str, timeout_s: float) -> int:
    until = time.monotonic() + timeout_s
    while True:
        descriptor = _opened(path)
        if _is_locked(descriptor, until) and _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)
        if time.monotonic() >= until:
            raise UnavailableError(f"{path} is held by another process", "try again when it has finished")


def _opened(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise AtmsError(f"cannot write {path}: {error.strerror}", "check permissions and free space") from error


def _is_locked(descriptor: int, until: float) -> bool:
    while True:
        with suppress(BlockingIOError):
            flock(descriptor, LOCK_EX | LOCK_NB)
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_S)


def _is_still(path: str, descriptor: int) -> bool:
    """Return whether the file was not removed, by whoever had the lock before, between opening and locking it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
