"""Waiting for files to change, by the operating system's notifications."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

#: Reading a file is no change; `opened` and the like would wake us by our own looking.
_CHANGES = ("created", "modified", "moved", "deleted", "closed")
_DRAIN = 65_536
_STOP_TIMEOUT_S = 2.0


class Changes:
    """Notices changes in the `flat` directories and below the `deep` ones; its `fileno` is readable after one."""

    def __init__(
        self, deep: Sequence[str], *, flat: Sequence[str] = (), matters: Callable[[str], bool] | None = None
    ) -> None:
        self._directories = [(directory, True) for directory in deep] + [(directory, False) for directory in flat]
        self._matters = matters
        self._lock = Lock()
        self._changed: set[str] = set()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._observer: BaseObserver | None = None

    def __enter__(self) -> Changes:
        import logging

        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer
        from watchdog.observers.polling import PollingObserver

        # It warns of an observer that stops while an event is on its way, which is nobody's concern.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        handler = FileSystemEventHandler()
        handler.on_any_event = self._notice  # type: ignore[method-assign]
        try:
            self._observer = self._watching(Observer(), handler)
        except OSError:
            # No notifications to be had (inotify's limit, or a file system without them): look once a second.
            self._observer = self._watching(PollingObserver(), handler)
        return self

    def _watching(self, observer: BaseObserver, handler: object) -> BaseObserver:
        for directory, is_deep in self._directories:
            observer.schedule(handler, directory, recursive=is_deep)  # type: ignore[arg-type]
        observer.daemon = True
        observer.start()
        return observer

    def _notice(self, event: FileSystemEvent) -> None:
        if event.event_type not in _CHANGES:
            return
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        relevant = [path for path in paths if self._matters is None or self._matters(path)]
        if relevant:
            with self._lock:
                self._changed.update(relevant)
            with suppress(BlockingIOError, OSError):
                os.write(self._writer, b"!")

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._reader

    def take(self) -> set[str]:
        """Return the paths that changed since the last time; the descriptor is readable again after the next change."""
        with suppress(BlockingIOError):
            os.read(self._reader, _DRAIN)
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def wait(self, timeout_s: float) -> bool:
        """Wait for a change; return whether there was one."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        self.take()
        return bool(ready)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._observer is not None:
            self._observer.stop()
            # Its thread may be stuck in the system; then its pipe stays open, so that it never writes into another file.
            self._observer.join(_STOP_TIMEOUT_S)
            if self._observer.is_alive():
                return
        os.close(self._reader)
        os.close(self._writer)
