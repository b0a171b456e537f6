"""What `atms run` adds to starting processes: tasks a second against a loop that does nothing but `posix_spawn`.

    python benchmarks/run.py [--tasks 1000] [--jobs 2,8,50] [--rounds 3] [--atms PATH]

Both run the same commands, `/bin/sh -c true`, at the same concurrency, one after the other in each round. The time of
the loop is that of the whole process, from its start to its end.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import tempfile
from os.path import join
from statistics import median
from time import perf_counter, time_ns

import measure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT_S = 1800
_COMMAND = "true"
_FIRST = "first"
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Measure at each concurrency, then the first start, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--jobs", default="2,8,50", help="attempts at once, with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--atms", default=measure.atms_beside_this_python(), help="the atms to measure")
    chosen = parser.parse_args()
    with measure.bounded(_LIMIT_S):
        python = measure.interpreter_of(chosen.atms)
        measure.warn_unless_compiled(python)
        _gather_orphans()
        jobs = [int(word) for word in chosen.jobs.split(",")]
        _print_throughput(chosen.atms, jobs, chosen.tasks, chosen.rounds)
        _print_first_start(chosen.atms, python, chosen.rounds)


def _gather_orphans() -> None:
    """Become the parent of the keeper when its loop has ended, so that its processor time is counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _print_throughput(atms: str, jobs: Sequence[int], tasks: int, rounds: int) -> None:
    contestants = {("loop", at_once): 0.0 for at_once in jobs} | {("floor", at_once): 0.0 for at_once in jobs}
    processor: dict[tuple[str, int], list[float]] = {key: [] for key in contestants}

    def timed(kind: str, at_once: int) -> float:
        wall, cpu = _loop(atms, at_once, tasks) if kind == "loop" else _floor(at_once, tasks)
        processor[kind, at_once].append(cpu)
        return wall

    found = measure.rounds({f"{k} {n}": lambda _, k=k, n=n: timed(k, n) for k, n in contestants}, rounds)  # type: ignore[misc]
    print(f"\n{tasks} tasks of `{_COMMAND}`, {rounds} rounds\n")
    headers = (
        "jobs",
        "tasks/s",
        "posix_spawn alone, tasks/s",
        "ratio",
        "range",
        "CPU ms/task",
        "of that beyond the floor",
    )
    rows = []
    for at_once in jobs:
        loop, floor = found[f"loop {at_once}"], found[f"floor {at_once}"]
        shares = [below / above for above, below in zip(loop, floor, strict=True)]
        own = median(processor["loop", at_once]) * 1000 / tasks
        beyond = own - median(processor["floor", at_once]) * 1000 / tasks
        rates = (f"{tasks / median(times):.0f}" for times in (loop, floor))
        rows.append((str(at_once), *rates, *measure.spread(shares), f"{own:.2f}", f"{beyond:.2f}"))
    print(measure.table(headers, rows))
    sys.stdout.flush()


def _loop(atms: str, at_once: int, tasks: int) -> tuple[float, float]:
    """Drain a queue of tasks; return seconds of wall time, and of processor time with all its processes."""
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        measure.seed(measure.new_workspace(root), tasks, lambda n: {"title": f"Task {n}", "command": _COMMAND})
        os.sync()
        arguments = [atms, "run", "--drain", "-j", str(at_once), "--progress", "none", "--workspace", root]
        began = perf_counter()
        pid = measure.spawn(arguments)
        _, status, usage = os.wait4(pid, 0)
        wall = perf_counter() - began
        if status:
            sys.exit(f"`{' '.join(arguments)}` ended with {os.waitstatus_to_exitcode(status)}")
        return wall, usage.ru_utime + usage.ru_stime + _time_of_orphans()


def _time_of_orphans() -> float:
    seconds = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds += usage.ru_utime + usage.ru_stime


def _floor(at_once: int, tasks: int) -> tuple[float, float]:
    """Start and await the same commands and nothing else."""
    before = os.times()
    began = perf_counter()
    waiting, running = tasks, 0
    while waiting or running:
        while waiting and running < at_once:
            measure.spawn(["/bin/sh", "-c", _COMMAND])
            waiting, running = waiting - 1, running + 1
        os.wait4(-1, 0)
        running -= 1
    wall, after = perf_counter() - began, os.times()
    return wall, sum(after[:4]) - sum(before[:4])


def _print_first_start(atms: str, python: str, rounds: int) -> None:
    contestants = {
        "python -c pass": lambda _: measure.took([python, "-c", "pass"])[0],
        "`atms run` to the first command": lambda _: _first_start(atms),
        "`atms run --drain` of one task, whole": lambda _: _loop(atms, 1, 1)[0],
    }
    found = measure.ratios(measure.rounds(contestants, max(rounds, 7)), "python -c pass")
    print("\n" + measure.table(("what", "ratio", "range"), [(name, *measure.spread(found[name])) for name in found]))


def _first_start(atms: str) -> float:
    """Return the seconds from the start of `atms run` to that of its first command, by the file which that makes."""
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        measure.seed(measure.new_workspace(root), 1, lambda _: {"title": "First", "command": f": > {_FIRST}"})
        began = time_ns()
        measure.took([atms, "run", "--drain", "--progress", "none", "--workspace", root])
        _time_of_orphans()
        return (os.stat(join(root, _FIRST)).st_mtime_ns - began) / 1e9


if __name__ == "__main__":
    main()
