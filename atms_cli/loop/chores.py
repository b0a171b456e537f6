"""Slow work for the loop, in threads beside it: what comes of it wakes the loop, and is taken in there."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    _T = TypeVar("_T")


class Chores:
    """A few threads; each chore touches nothing that the loop touches, and its `then` is called in the loop's thread."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._threads = 0
        self._waiting: SimpleQueue[Callable[[], Callable[[], None]]] = SimpleQueue()
        self._done: deque[Callable[[], None]] = deque()
        self._open = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def give(self, act: Callable[[], _T], then: Callable[[_T | AtmsError], None]) -> None:
        """Have something done, and then something with what came of it, or with the error."""
        self._open += 1
        self._waiting.put(lambda: _attempted(act, then))
        if self._threads < min(self._open, self._at_once):
            self._threads += 1
            # It dies with the loop: what it has begun in git goes on, and keeps its locks.
            Thread(target=self._work, daemon=True).start()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something is done."""
        return self._reader

    def take_in(self) -> None:
        """Do what is to be done with whatever is done by now."""
        with suppress(BlockingIOError):
            while os.read(self._reader, 1024):
                continue
        while self._done:
            self._open -= 1
            self._done.popleft()()

    def is_busy(self) -> bool:
        """Return whether something is not done or not taken in yet."""
        return self._open > 0

    def _work(self) -> None:
        while True:
            act = self._waiting.get()
            self._done.append(act())
            # A full pipe wakes the loop as well.
            with suppress(BlockingIOError):
                os.write(self._writer, b".")


def _attempted(act: Callable[[], _T], then: Callable[[_T | AtmsError], None]) -> Callable[[], None]:
    result: _T | AtmsError
    try:
        result = act()
    except AtmsError as error:
        result = error
    except Exception as error:  # noqa: BLE001  a thread that died would leave its task at work for ever
        result = AtmsError(f"{type(error).__name__}: {error}")
    return lambda: then(result)
