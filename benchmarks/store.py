"""What the store itself can do: events folded a second when the index is rebuilt, adds a second by eight processes at once.

    python benchmarks/store.py [--tasks 10000] [--processes 8] [--adds 200]

The rates are also given in multiples of what the same disk and the same interpreter do without atms: a bare append with
`fdatasync`, and reading the same lines as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from os.path import join
from time import perf_counter

import measure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import JsonObject

_LIMIT_S = 900
_EVENTS_A_TASK = 3
_BARE_APPENDS = 300


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--adds", type=int, default=200, help="adds by each process")
    chosen = parser.parse_args()
    with measure.bounded(_LIMIT_S):
        with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
            rows = _rebuild(measure.new_workspace(root), chosen.tasks)
        with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
            rows += _adds(measure.new_workspace(root), chosen.processes, chosen.adds)
    print(measure.table(("what", "rate", "against", "ratio", "peak memory"), rows))


def _fields(number: int) -> JsonObject:
    return {"title": f"Task number {number}", "description": "What it is about. " * 8, "tags": [f"tag{number % 10}"]}


def _rebuild(workspace: OpenWorkspace, count: int) -> list[tuple[str, ...]]:
    """Seed a journal in which every task is born, started and completed, and fold all of it anew."""
    measure.seed(workspace, count, _fields, finish=1)
    bare = _seconds(lambda: _read_lines(workspace))
    in_child = _in_child(lambda: _rebuilt(workspace.root, count * _EVENTS_A_TASK))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
    rate = count * _EVENTS_A_TASK / in_child
    ratio = f"{in_child / bare:.1f} times as long"
    against = "reading the same lines as JSON"
    return [(f"rebuild of {count * _EVENTS_A_TASK} events", f"{rate:.0f} events/s", against, ratio, f"{memory:.0f} MB")]


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _read_lines(workspace: OpenWorkspace) -> None:
    root = join(workspace.directory, "journal")
    for directory, _, names in os.walk(root):
        for name in names:
            with open(join(directory, name), "rb") as file:
                for line in file:
                    json.loads(line)


def _rebuilt(root: str, expected: int) -> None:
    from atms_cli.bootstrap import open_workspace

    found = open_workspace(root, os.environ).store.rebuild()
    if found != expected:
        sys.exit(f"{found} events were rebuilt, {expected} recorded")


def _in_child(work: Callable[[], None]) -> float:
    """Do something in a process of its own, whose memory is then its own; return its seconds."""
    return _seconds(lambda: _wait_for([_forked(work)]))


def _forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def _wait_for(pids: list[int]) -> None:
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        if status:
            sys.exit("a process of the benchmark failed")


def _adds(workspace: OpenWorkspace, processes: int, adds: int) -> list[tuple[str, ...]]:
    """Let several processes add tasks at once, each of them acknowledged before the next; none may be lost."""
    bare = _bare_appends(join(workspace.root, "bare"))
    directory = join(workspace.root, "acknowledged")
    os.mkdir(directory)
    began = perf_counter()
    _wait_for([_forked(_adder(workspace.root, join(directory, str(n)), adds)) for n in range(processes)])
    rate = processes * adds / (perf_counter() - began)
    lost = _lost(workspace, directory)
    words = f"{processes} processes, {processes * adds} adds, {lost} lost"
    return [(words, f"{rate:.0f} adds/s", f"append and fdatasync alone, {bare:.0f}/s", f"{rate / bare:.2f}", "")]


def _adder(root: str, acknowledged: str, adds: int) -> Callable[[], None]:
    def work() -> None:
        from atms_cli.bootstrap import open_workspace
        from atms_cli.services import tasks

        workspace = open_workspace(root, os.environ)
        with open(acknowledged, "w", encoding="ascii") as file:
            for number in range(adds):
                task = tasks.add(workspace, _fields(number), after=(), draft=False)
                file.write(task["id"] + "\n")

    return work


def _lost(workspace: OpenWorkspace, directory: str) -> int:
    """Return how many acknowledged tasks are in the journal no more, having rebuilt all from it."""
    workspace.store.rebuild()
    read = workspace.store.reading()
    known = {event["key"] for event in read.events_after("")}
    lost = 0
    for name in os.listdir(directory):
        with open(join(directory, name), encoding="ascii") as file:
            lost += sum(line.strip() not in known for line in file)
    return lost


def _bare_appends(path: str) -> float:
    """Return how many appends of a line, each with its own `fdatasync`, this disk takes in a second from one process."""
    sync = getattr(os, "fdatasync", os.fsync)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = perf_counter()
    for _ in range(_BARE_APPENDS):
        os.write(descriptor, b"x" * 250 + b"\n")
        sync(descriptor)
    rate = _BARE_APPENDS / (perf_counter() - began)
    os.close(descriptor)
    return rate


if __name__ == "__main__":
    main()
