"""Clocks on the wall: when a cron expression is next, and what day and minute it is, in a time zone.

Expressions are read by `cronsim`, which keeps to Debian's cron when clocks change: what falls into the missing hour
runs right after it, what falls into the doubled hour runs once.
"""

from __future__ import annotations

from atms_cli.domain.moment import plus, to_iso, to_ms
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, tzinfo

#: Words that cron has for usual expressions.
WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = 5
_HINT = "write it as minute, hour, day, month, weekday, like `0 9 * * mon-fri`, or @hourly, @daily, @weekly, @monthly"
#: A year with 29 February in it, so that checking is quick for what comes.
_SOME_DAY = "2024-01-01T00:00:00.000Z"


class Calendar:
    """The calendar of a time zone: a name such as `Europe/Berlin`, or None for that of this machine."""

    def __init__(self, zone: str | None = None) -> None:
        self._zone = _zone(zone)

    def next(self, cron: str, after: str) -> str:
        """Return the first time after `after`."""
        for at in self._following(cron, after):
            return at
        raise UsageError(f"`{cron}` never comes", "look at its day and month: no month has such a day")

    def check(self, cron: str) -> None:
        """Refuse an expression that cannot be read, or that never comes."""
        self.next(cron, _SOME_DAY)

    def between(self, cron: str, after: str, until: str, most: int) -> list[str]:
        """Return the newest times after `after` up to `until`, oldest first, as many as `most`.

        They are found by looking back ever further, since all those of a year by the minute would take minutes.
        """
        span_s = most * 60.0
        while True:
            start = max(after, plus(until, -span_s))
            found = self._up_to(cron, start, until)
            if len(found) >= most or start == after:
                return found[-most:] if most else []
            span_s *= 2

    def _up_to(self, cron: str, after: str, until: str) -> list[str]:
        from itertools import takewhile

        return list(takewhile(lambda at: at <= until, self._following(cron, after)))

    def weekday_and_minute(self, at: str) -> tuple[int, int]:
        """Return the day of the week, 0 for Monday, and the minute of that day."""
        local = self._local(at)
        return local.weekday(), local.hour * 60 + local.minute

    def _local(self, at: str) -> datetime:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(to_ms(at) / 1000, UTC).astimezone(self._zone)

    def _following(self, cron: str, after: str) -> Iterator[str]:
        """Yield the times after `after` for as long as there are any within fifty years of the last."""
        from datetime import UTC

        for local in _parsed(cron, self._local(after)):
            at = to_iso(round(local.astimezone(UTC).timestamp()) * 1000)
            # In the second of two like hours cronsim gives a time in the first.
            if at > after:
                yield at
                after = at


def _parsed(cron: str, start: datetime) -> Iterator[datetime]:
    from cronsim import CronSim, CronSimError

    expression = WORDS.get(cron.strip().lower(), cron)
    if len(expression.split()) != _FIELDS:
        raise UsageError(f"`{cron}` is not a cron expression: it needs {_FIELDS} fields", _HINT)
    try:
        return CronSim(expression, start)
    except (CronSimError, ValueError, AssertionError) as error:
        raise UsageError(
            f"`{cron}` is not a cron expression: {str(error).lower() or 'it is misspelt'}", _HINT
        ) from None


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return _machine_zone()
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"`{name}` is not a time zone", "name one like Europe/Berlin, America/New_York or UTC"
        ) from None


def _machine_zone() -> tzinfo:
    """Return the zone of this machine, which has no name that one could look up everywhere, with its changes of clocks."""
    from datetime import UTC, timedelta, tzinfo

    class MachineZone(tzinfo):
        """What the C library knows, through naive times, which stand for the zone of the machine."""

        def utcoffset(self, moment: datetime | None) -> timedelta | None:
            return moment.replace(tzinfo=None).astimezone().utcoffset() if moment else None

        def dst(self, _moment: datetime | None) -> timedelta | None:
            return None

        def tzname(self, moment: datetime | None) -> str | None:
            return moment.replace(tzinfo=None).astimezone().tzname() if moment else None

        def fromutc(self, moment: datetime) -> datetime:
            there = moment.replace(tzinfo=UTC).astimezone()
            here = there.replace(tzinfo=self)
            is_second_time = here.utcoffset() != there.utcoffset()
            return here.replace(fold=1) if is_second_time else here

    return MachineZone()
