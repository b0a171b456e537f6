"""What `atms run` shows while it works: a live view on a terminal, plain lines in a log, JSON lines for programs."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from atms_cli.cli.reports import line
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject
    from atms_cli.loop.work import Report

_MODES = ("auto", "plain", "json", "none")


@contextmanager
def view(call: Call, mode: str | None) -> Iterator[Report]:
    """Give the function that shows reports, in the mode asked for."""
    if mode not in (None, *_MODES):
        raise UsageError(f"`{mode}` is not a way to show progress", f"choose one of: {', '.join(_MODES)}")
    if call.json or mode == "json":
        yield lambda report: _json(call, report)
    elif mode == "none" or call.quiet:
        yield lambda _: None
    elif mode == "plain" or not sys.stdout.isatty() or call.environ.get("TERM") == "dumb":
        yield lambda report: _plain(call, report)
    else:
        from atms_cli.cli.live import live

        with live(call) as report:
            yield report


def _json(call: Call, report: JsonObject) -> None:
    call.document(report)
    sys.stdout.flush()


def _plain(call: Call, report: JsonObject) -> None:
    text = line(call, report)
    if text:
        call.out(text)
        sys.stdout.flush()
