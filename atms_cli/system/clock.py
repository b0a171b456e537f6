"""The only reader of the clock."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time and monotonic time."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def local(self) -> tuple[int, int]:
        """Return the day of the week, 0 for Monday, and the minute of the day, in the machine's time zone."""
        local = time.localtime()
        return local.tm_wday, local.tm_hour * 60 + local.tm_min

    def monotonic(self) -> float:
        """Return seconds since some fixed moment, untouched by changes of the wall clock."""
        return time.monotonic()
