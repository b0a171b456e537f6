"""The only reader of the clock."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time and monotonic time."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds since some fixed moment, untouched by changes of the wall clock."""
        return time.monotonic()
