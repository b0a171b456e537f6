"""What `atms run` adds to starting processes: tasks a second against a loop that does nothing but `posix_spawn`.

Both run the same commands, `/bin/sh -c true`, at the same concurrency, one after the other in each round. The time of
the loop is that of the whole process, from its start to its end.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import time
from contextlib import chdir, suppress
from os.path import exists, join
from statistics import median
from time import perf_counter, time_ns

import measure
import seeding
from measure import MeasuringFailedError, Sample
from report import Report, count, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: What is run, by the loop and without it.
COMMAND = "true"
_FIRST = "first"
_PR_SET_CHILD_SUBREAPER = 36
_LOOP = ("run", "--drain", "--progress", "none")
_LEAST_STARTS = 7
_MANY_JOBS = 50
_LOOK_EVERY_S = 0.1
_MAY_CLOSE_FOR_S = 60


def gather_orphans() -> None:
    """Become the parent of the keeper when its loop has ended, so that its processor time is counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def throughput(report: Report, atms: str, jobs: Sequence[int], tasks: int, rounds: int) -> str:
    """Drain queues at each concurrency, and start the same commands without atms; return a table."""
    promises = _Promises(report)
    contestants: dict[tuple[str, int], Callable[[], Sample]] = {}
    for at_once in jobs:
        contestants["loop", at_once] = lambda n=at_once: drained(atms, n, tasks)  # type: ignore[misc]
        contestants["floor", at_once] = lambda n=at_once: floor(n, tasks)  # type: ignore[misc]
    found, failures = measure.rounds(contestants, rounds)
    report.failures += map(str, failures.values())
    rows = [
        promises.row(at_once, tasks, found["loop", at_once], found["floor", at_once])
        for at_once in jobs
        if {("loop", at_once), ("floor", at_once)} <= set(found)
    ]
    headers = ("jobs", "tasks/s", "posix_spawn alone, tasks/s", "ratio", "CPU ms/task", "of that beyond the floor")
    return table(headers, rows)


class _Promises:
    """What was promised of the loop's throughput."""

    def __init__(self, report: Report) -> None:
        self._few = report.promise("tasks a second of `atms run`, of those of a bare loop", "at least", 0.6)
        self._many = report.promise("the same with 50 at once", "at least", 0.75)
        self._cpu = report.promise("processor time of a task, all told", "at most", 1.5, " ms")

    def row(self, at_once: int, tasks: int, loop: Sequence[Sample], floor: Sequence[Sample]) -> tuple[str, ...]:
        """Hold what was measured against the promises; return a row of the table."""
        own, bare = (median(each.cpu for each in samples) * 1000 / tasks for samples in (loop, floor))
        rates = [f"{tasks / measure.wall(samples):.0f}" for samples in (loop, floor)]
        of = f"`-j {at_once}`"
        ratio = (self._many if at_once >= _MANY_JOBS else self._few).judged(measure.wall_ratio(floor, loop), of)
        return (str(at_once), *rates, ratio, self._cpu.judged(own, of), f"{own - bare:.2f}")


def drained(atms: str, at_once: int, tasks: int) -> Sample:
    """Drain a queue of tasks; the processor time is that of all its processes."""
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        _queue(root, tasks)
        os.sync()
        sample = measure.took([atms, *_LOOP, "-j", str(at_once)], within=root)
        return Sample(sample.wall, sample.cpu + _time_of_orphans())


def _queue(root: str, tasks: int, command: str = COMMAND) -> None:
    seeding.add(
        seeding.new_workspace(root), tasks, lambda number: {"title": f"Task number {number}", "command": command}
    )


def _time_of_orphans() -> float:
    seconds = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds += usage.ru_utime + usage.ru_stime


def floor(at_once: int, tasks: int) -> Sample:
    """Start and await the same commands and nothing else."""
    before = os.times()
    began = perf_counter()
    waiting, running = tasks, 0
    while waiting or running:
        while waiting and running < at_once:
            measure.spawn(["/bin/sh", "-c", COMMAND])
            waiting, running = waiting - 1, running + 1
        os.wait4(-1, 0)
        running -= 1
    wall, after = perf_counter() - began, os.times()
    return Sample(wall, sum(after[:4]) - sum(before[:4]))


def first_start(report: Report, atms: str, python: str, rounds: int) -> str:
    """Measure how long it takes from the start of the loop to that of its first command; return a table."""
    base = "python -c pass"
    contestants = {
        base: lambda: measure.took([python, "-c", "pass"]),
        "`atms run` to the first command": lambda: _first_start(atms),
        "`atms run --drain` of one task, whole": lambda: drained(atms, 1, 1),
    }
    found, failures = measure.rounds(contestants, max(rounds, _LEAST_STARTS))
    report.failures += map(str, failures.values())
    rows = [(f"{name}", f"{measure.wall_ratio(found[name], found[base]):.1f}") for name in found if name != base]
    return table(("what", "ratio to `python -c pass`"), rows)


def _first_start(atms: str) -> Sample:
    """Take the start of the first command from the file that it makes."""
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        _queue(root, 1, f": > {_FIRST}")
        began = time_ns()
        sample = measure.took([atms, *_LOOP], within=root)
        _time_of_orphans()
        return Sample((os.stat(join(root, _FIRST)).st_mtime_ns - began) / 1e9, sample.cpu)


def memory(report: Report, atms: str, tasks: int, limit_s: float) -> str:
    """Let the loop work on a long queue for a while and interrupt it; return a table of what memory it had."""
    promise = report.promise(f"memory of `atms run` with {count(tasks)} queued tasks", "at most", 64, " MB")
    if not exists("/proc/self/status"):
        return table(("memory",), [("this system does not tell",)])
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        _queue(root, tasks)
        peaks, done = _watched([atms, *_LOOP, "-j", "8"], root, limit_s)
    loop, keeper = peaks.get("loop", 0.0), peaks.get("keeper", 0.0)
    both = promise.judged(loop + keeper, "loop and keeper together")
    row = (
        f"{count(tasks)} queued tasks",
        promise.bound,
        f"{both} MB",
        f"{loop:.0f} MB",
        f"{keeper:.0f} MB",
        count(done),
    )
    return table(
        ("`atms run -j 8` with", "bound", "peak memory", "of that the loop", "the keeper", "tasks done"), [row]
    )


def _watched(arguments: Sequence[str], root: str, limit_s: float) -> tuple[dict[str, float], int]:
    """Run the loop for so long at most; return the peak memory of its processes, and how many tasks it has done."""
    peaks: dict[str, float] = {}
    with chdir(root):
        pid = measure.spawn(arguments)
    give_up_at = perf_counter() + limit_s
    try:
        while perf_counter() < give_up_at and os.waitpid(pid, os.WNOHANG) == (0, 0):
            _note_peaks(pid, peaks)
            time.sleep(_LOOK_EVERY_S)
        close(pid)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        raise
    from atms_cli.bootstrap import open_workspace

    return peaks, open_workspace(root, os.environ).store.reading().counts().get("completed", 0)


def _note_peaks(loop: int, peaks: dict[str, float]) -> None:
    for name, pids in (("loop", [loop]), ("keeper", children(loop))):
        for pid in pids:
            peaks[name] = max(peaks.get(name, 0.0), peak_mb(pid))


def children(parent: int) -> list[int]:
    """Return the processes that a process has started and that are still there."""
    try:
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has had."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            return next((int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM")), 0.0)
    except OSError:
        return 0.0


def close(loop: int) -> None:
    """Interrupt the loop if it still works, and wait until all its processes have ended."""
    give_up_at = perf_counter() + _MAY_CLOSE_FOR_S
    with suppress(ProcessLookupError):
        os.kill(loop, signal.SIGINT)
    while perf_counter() < give_up_at:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(_LOOK_EVERY_S)
        except ChildProcessError:
            return
    raise MeasuringFailedError("the loop did not end when it was interrupted")
