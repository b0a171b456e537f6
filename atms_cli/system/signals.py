"""Signals as something to wait for, beside files and sockets."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Takes signals while the loop runs; its `fileno` wakes the sleeper."""

    def __init__(self, handler: signal.Handlers | object) -> None:
        self._handler = handler
        self._before: dict[int, object] = {}

    def __enter__(self) -> Signals:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._fd_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._handler) for number in _SIGNALS}  # type: ignore[arg-type]
        return self

    def fileno(self) -> int:
        """Return the descriptor that a signal makes readable."""
        return self._reader

    def clear(self) -> None:
        """Take note."""
        with suppress(BlockingIOError):
            os.read(self._reader, 1024)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._reader)
        os.close(self._writer)
