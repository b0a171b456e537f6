"""What other programs that run queued commands take for the same as `atms run`; none of them has to be there.

Each is given as many commands `true` and drains them eight at a time. Its start and end count. They promise different
things: atms and huey (with `fsync`) sync what they note before they go on, doit notes all of it at its end, and ninja
never waits for the disk.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from os.path import dirname, exists, join, realpath
from shutil import which

import measure
import run
from measure import Sample
from report import Report, count, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_JOBS = 8
_HUEY = """
import subprocess, sys, threading
from huey import SqliteHuey
huey = SqliteHuey(filename="queue.db", fsync=True, results=False)
left = int(sys.argv[2])
is_over, lock = threading.Event(), threading.Lock()
@huey.task()
def work():
    global left
    subprocess.run(["/bin/sh", "-c", "true"], check=True)
    with lock:
        left -= 1
        if not left:
            is_over.set()
if sys.argv[1] == "fill":
    for _ in range(left):
        work()
else:
    consumer = huey.create_consumer(workers=int(sys.argv[3]), periodic=False, initial_delay=0.001, max_delay=0.01)
    consumer.start()
    is_over.wait()
    consumer.stop(graceful=True)
"""
_DOIT = """
DOIT_CONFIG = {"verbosity": 0}
def task_work():
    for number in range(%d):
        yield {"name": str(number), "actions": ["true"]}
"""


@dataclass(frozen=True)
class Runner:
    """A program, and its words; `{program}`, `{python}`, `{tasks}` and `{jobs}` are filled in."""

    name: str
    program: str
    files: Mapping[str, Callable[[int], str]]
    drain: tuple[str, ...]
    fill: tuple[str, ...] = ()


def measured(report: Report, atms: str, tasks: int, rounds: int) -> str:
    """Drain the same commands with atms and every peer that is there; return a table."""
    contestants: dict[str, Callable[[], Sample]] = {"atms": lambda: run.drained(atms, _JOBS, tasks)}
    for runner in _RUNNERS:
        program = which(runner.program)
        if program is not None:
            contestants[runner.name] = lambda each=runner, path=program: _drained(each, path, tasks)  # type: ignore[misc]
    found, failures = measure.rounds(contestants, rounds)
    report.failures += [f"{name}: {error}" for name, error in failures.items()]
    if len(contestants) == 1:
        report.failures.append("none of the other runners is on the path")
    rows = [
        (
            name,
            f"{tasks / measure.wall(samples):.0f}",
            f"{min(each.cpu for each in samples) * 1000 / tasks:.2f}",
            f"{measure.wall_ratio(samples, found['atms']):.2f}",
        )
        for name, samples in found.items()
        if samples
    ]
    return table((f"draining {count(tasks)} `true`", "tasks/s", "CPU ms/task", "its time, in those of atms"), rows)


def _drained(runner: Runner, program: str, tasks: int) -> Sample:
    """Give a program its commands, and let it run them."""
    with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
        for name, text in runner.files.items():
            with open(join(root, name), "w", encoding="utf-8") as file:
                file.write(text(tasks))
        given = {"program": program, "python": _python_of(program), "tasks": str(tasks), "jobs": str(_JOBS)}
        if runner.fill:
            measure.took([word.format(**given) for word in runner.fill], within=root)
        os.sync()
        return measure.took([word.format(**given) for word in runner.drain], within=root, limit_s=_LIMIT_S)


def _python_of(program: str) -> str:
    """Return the Python that a program is installed for."""
    beside = join(dirname(program), "python")
    return beside if exists(beside) else realpath(sys.executable)


#: Longer is too slow to measure.
_LIMIT_S = 300.0
_RUNNERS = (
    Runner(
        "huey, SQLite with fsync",
        "huey_consumer",
        {"work.py": lambda _: _HUEY},
        ("{python}", "work.py", "drain", "{tasks}", "{jobs}"),
        ("{python}", "work.py", "fill", "{tasks}"),
    ),
    Runner(
        "doit",
        "doit",
        {"dodo.py": lambda tasks: _DOIT % tasks},
        ("{program}", "-n", "{jobs}", "-P", "thread"),
    ),
    Runner(
        "ninja",
        "ninja",
        {"build.ninja": lambda tasks: "rule work\n  command = touch $out\n" + _targets(tasks)},
        ("{program}", "-j", "{jobs}", "--quiet"),
    ),
)


def _targets(tasks: int) -> str:
    return "".join(f"build out{number}: work\n" for number in range(tasks))
