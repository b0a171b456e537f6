"""When a cron expression next holds, in the time zone of this machine."""

from __future__ import annotations

from atms_cli.domain.moment import to_iso, to_ms
from atms_cli.errors import UsageError

_HINT = "write it like `30 3 * * *`: minute, hour, day of the month, month, day of the week (see crontab(5))"


class Calendar:
    """Cron expressions, as the library cronsim reads them."""

    def next(self, cron: str, after: str) -> str:
        """Return when an expression next holds, later than a time.

        Raises:
            UsageError: it is no cron expression, or never holds.

        """
        from datetime import datetime

        from cronsim import CronSim, CronSimError

        # Without a zone it is local time, and the day on which clocks are changed is the system's to know.
        start = datetime.fromtimestamp(to_ms(after) / 1000)  # noqa: DTZ006  local on purpose
        try:
            found = next(CronSim(cron, start))
        except CronSimError as error:
            raise UsageError(f"`{cron}` is not a cron expression: {str(error).lower()}", _HINT) from None
        except StopIteration:
            raise UsageError(f"`{cron}` never comes", _HINT) from None
        return to_iso(round(found.timestamp() * 1000))
