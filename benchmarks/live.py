"""A loop that is at work: how soon it starts what another process adds, what it costs asleep, how many agents it has at once."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import chdir, contextmanager
from os.path import exists, join
from statistics import quantiles
from time import perf_counter, time_ns

import measure
import run
import seeding
from measure import MeasuringFailedError
from report import Report, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atms_cli.domain.records import JsonObject

_LOOP = ("run", "--progress", "none", "-j")
_STARTS = 60
_LOOK_EVERY_S = 0.0005
_PATIENCE_S = 60.0
_ASLEEP_S = 10.0
_AGENTS = 200
#: Longer than it may take until the last agent has begun.
_WORK = "echo $ATMS_TASK_ID >> began; exec sleep 20"


@contextmanager
def _at_work(atms: str, root: str, jobs: int) -> Iterator[int]:
    """Let a loop work in a workspace, and end it."""
    with chdir(root):
        pid = measure.spawn([atms, *_LOOP, str(jobs)])
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        run.close(pid)


def _until(is_true: Callable[[], bool], what: str) -> None:
    give_up_at = perf_counter() + _PATIENCE_S
    while not is_true():
        if perf_counter() > give_up_at:
            raise MeasuringFailedError(f"{what} did not happen within {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_EVERY_S)


def responses(report: Report, atms: str) -> str:
    """Measure how long it takes from an acknowledged addition to the start of its command; return a table.

    The file system's clock, by which a start is told, goes in steps of a few milliseconds.
    """
    usual = report.promise("from adding a task to its start, p50", "at most", 10, " ms")
    worst = report.promise("from adding a task to its start, p95", "at most", 25, " ms")
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        workspace = seeding.new_workspace(root)
        with _at_work(atms, root, 2):
            taken = [_response(lambda fields: seeding.add(workspace, 1, lambda _: fields), root, 0)]
            taken = [
                _response(lambda fields: seeding.add(workspace, 1, lambda _: fields), root, number)
                for number in range(1, _STARTS + 1)
            ]
    cuts = quantiles(taken, n=20)
    row = (f"{usual.judged(cuts[9], 'an idle loop')}", f"{worst.judged(cuts[18], 'an idle loop')}", f"{max(taken):.1f}")
    return table(("p50, ms", "p95, ms", "longest, ms"), [row])


def _response(add: Callable[[JsonObject], object], root: str, number: int) -> float:
    """Return the milliseconds from the beginning of an addition to the start of its command."""
    mark = join(root, f"mark{number}")
    began = time_ns()
    add({"title": f"Task number {number}", "command": f": > {mark}"})
    _until(lambda: exists(mark), "the start of a task")
    return max(0.0, (os.stat(mark).st_mtime_ns - began) / 1e6)


def asleep(report: Report, atms: str) -> str:
    """Measure the processor time of a loop with nothing to do; return a table."""
    promise = report.promise("an idle loop", "at most", 0.5, " % of a core")
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        seeding.new_workspace(root)
        with _at_work(atms, root, 2) as pid:
            _until(lambda: bool(run.children(pid)), "the start of the keeper")
            time.sleep(1)
            before = _ticks(pid)
            time.sleep(_ASLEEP_S)
            share = 100 * (_ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / _ASLEEP_S
    return table(("% of a core", "over, s"), [(promise.judged(share, "loop and keeper"), f"{_ASLEEP_S:.0f}")])


def _ticks(loop: int) -> int:
    """Return the clock ticks that a loop and its keeper have used."""
    used = 0
    for pid in (loop, *run.children(loop)):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used


def crowd(report: Report, atms: str) -> str:
    """Let so many agents work at once; return a table of how soon all were at it and what memory that took."""
    promise = report.promise("agents at once in one loop", "at least", _AGENTS)
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        workspace = seeding.new_workspace(root)
        _register(workspace.settings.path)
        seeding.add(workspace, _AGENTS, lambda number: {"title": f"Task number {number}", "agent": f"agent{number}"})
        began, ledger = perf_counter(), join(root, "began")
        with _at_work(atms, root, _AGENTS) as pid:
            _until(lambda: exists(ledger) and os.stat(ledger).st_size > 0, "the first start")
            first = perf_counter() - began
            _until(lambda: _lines(ledger) >= _AGENTS, "the last start")
            seconds, memory = perf_counter() - began, run.peak_mb(pid)
    row = (promise.judged(_AGENTS, "`sleep` as agents"), f"{first:.2f}", f"{seconds:.2f}", f"{memory:.0f}")
    return table(("at once", "first after, s", "all after, s", "memory of the loop, MB"), [row])


def _register(settings: str) -> None:
    """Declare the agents in the settings."""
    with open(settings, "w", encoding="utf-8") as file:
        file.write("agents:\n")
        file.writelines(
            f"  agent{number}: {{kind: command, command: '{_WORK}', max_concurrent: 1}}\n" for number in range(_AGENTS)
        )


def _lines(path: str) -> int:
    with open(path, "rb") as file:
        return file.read().count(b"\n")
