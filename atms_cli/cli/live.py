"""The live view of `atms run` on a terminal: results scroll by, what runs stays below."""

from __future__ import annotations

from contextlib import contextmanager

from atms_cli.cli.render import cut, plural
from atms_cli.cli.reports import is_transient, line
from atms_cli.domain.moment import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject
    from atms_cli.loop.work import Report

_MOST_ROWS = 12
#: Of what an agent is doing, so much is shown.
_DOING = 60


class Board:
    """What runs now, as rich draws it several times a second."""

    def __init__(self, call: Call) -> None:
        self._clock = call.workspace.clock
        self._running: dict[str, tuple[str, str, float, str]] = {}
        self._counts = {"completed": 0, "failed": 0, "retried": 0}

    def note(self, report: JsonObject) -> None:
        """Take a report into account."""
        kind, task = str(report["type"]), str(report.get("task"))
        if kind in ("started", "resumed"):
            self._running[task] = (str(report["title"]), str(report["agent"]), self._clock.monotonic(), "working")
        elif kind in ("progress", "validating", "merging") and task in self._running:
            title, agent, began, _ = self._running[task]
            doing = report.get("doing") if kind == "progress" else kind
            self._running[task] = (title, agent, began, cut(str(doing or "working"), _DOING))
        elif kind in ("completed", "failed", "retried", "cancelled"):
            self._running.pop(task, None)
            if kind in self._counts:
                self._counts[kind] += 1

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        for task, (title, agent, began, phase) in list(self._running.items())[:_MOST_ROWS]:
            took = describe_duration(self._clock.monotonic() - began)
            grid.add_row(
                Spinner("dots", style="cyan"),
                Text(task, "bold"),
                Text(cut(title, 60)),
                Text(f"{phase}, {agent}, {took}", "dim"),
            )
        more = len(self._running) - _MOST_ROWS
        totals = ", ".join(f"{n} {name}" for name, n in self._counts.items() if n) or "nothing finished yet"
        footer = f"{plural(len(self._running), 'task')} running, {totals}" + (
            f" ({more} not shown)" if more > 0 else ""
        )
        return Group(grid, Text(footer, "dim"))


@contextmanager
def live(call: Call) -> Iterator[Report]:
    """Give the function that shows reports above a live board."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console, board = Console(no_color=not call.colored()), Board(call)
    with Live(board, console=console, refresh_per_second=8, transient=True) as shown:

        def report(each: JsonObject) -> None:
            board.note(each)
            if not is_transient(each):
                shown.console.print(Text.from_ansi(line(call, each)))

        yield report
