"""What the store itself can do: importing, rebuilding the index, and taking the adds of many processes at once.

Rates are also given in multiples of what the same disk and the same interpreter do without atms: reading the same lines
as JSON, and a bare append with `fdatasync`.
"""

from __future__ import annotations

import json
import os
import shutil
from os.path import join
from statistics import median
from time import perf_counter

import measure
import seeding
from measure import MeasuringFailedError
from report import Promise, Report, count, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from measure import Sample

    from atms_cli.bootstrap import OpenWorkspace

_BARE_APPENDS = 300
_IMPORTED = 10_000
#: Builds an index anew in a process of its own, whose memory is then its own; prints events, seconds, those of the processor, and MB.
_REBUILD = """
import os, sys
from time import perf_counter, process_time
from atms_cli.bootstrap import open_workspace
began, used = perf_counter(), process_time()
events = open_workspace(sys.argv[1], os.environ).store.rebuild()
seconds, cpu = perf_counter() - began, process_time() - used
peaks = ["0"]
if os.path.exists("/proc/self/status"):
    with open("/proc/self/status") as file:
        peaks = [line.split()[1] for line in file if line.startswith("VmHWM")]
print(events, seconds, cpu, int(peaks[0]) / 1024)
"""


def full_workspace(directory: str) -> OpenWorkspace:
    """Return a new workspace of 10 000 tasks that have all been done."""
    workspace = seeding.new_workspace(join(directory, "full"))
    seeding.full_lives(workspace, _IMPORTED)
    return workspace


def rebuilds(report: Report, python: str, workspaces: Iterable[tuple[OpenWorkspace, int]]) -> str:
    """Build the indexes of workspaces anew, each so many times; return a table."""
    promise = report.promise("rebuilding the index", "at least", 50_000, " events/s")
    rows = [_rebuild(python, workspace, times, promise) for workspace, times in workspaces]
    return table(
        ("rebuild of", "bound", "measured", "wall", "CPU", "as reading the lines as JSON", "peak memory"), rows
    )


def _rebuild(python: str, workspace: OpenWorkspace, times: int, promise: Promise) -> tuple[str, ...]:
    lines, reading_s = _read_lines(workspace)
    runs = [measure.output([python, "-P", "-c", _REBUILD, workspace.root]).split() for _ in range(times)]
    if any(int(run[0] if run else 0) != lines for run in runs):
        raise MeasuringFailedError(f"{lines} events are recorded, the rebuild printed {runs}")
    seconds, cpu = (median(float(run[part]) for run in runs) for part in (1, 2))
    rate = promise.judged(
        lines / seconds, f"{count(lines)} events of {count(sum(workspace.store.reading().counts().values()))} tasks"
    )
    ratio = f"{seconds / reading_s:.1f} times as long"
    return (
        f"{count(lines)} events", promise.bound, f"{rate} events/s", f"{seconds:.1f} s", f"{cpu:.1f} s", ratio,
        f"{max(float(run[3]) for run in runs):.0f} MB",
    )  # fmt: skip


def _read_lines(workspace: OpenWorkspace) -> tuple[int, float]:
    """Read the journal as JSON and do nothing with it; return the number of lines and the seconds."""
    lines = 0
    began = perf_counter()
    for directory, _, names in os.walk(join(workspace.directory, "journal")):
        for name in names:
            with open(join(directory, name), "rb") as file:
                for line in file:
                    json.loads(line)
                    lines += 1
    return lines, perf_counter() - began


def imports(report: Report, atms: str, directory: str, full: OpenWorkspace, times: int) -> str:
    """Import 10 000 tasks that are exported here first; return a table."""
    promise = report.promise(f"`task import` of {count(_IMPORTED)} tasks", "at most", 1.5, " s")
    empty = seeding.new_workspace(join(directory, "empty"))
    other = seeding.new_workspace(join(directory, "other"))
    seeding.fill(other, _IMPORTED)
    rows = []
    for form in ("jsonl", "csv"):
        file = join(directory, f"tasks.{form}")
        with open(file, "w", encoding="utf-8") as exported:
            exported.write(measure.output([atms, "task", "export", "--format", form], within=full.root))
        size = f"{os.stat(file).st_size / 1e6:.1f} MB"
        for into, what in ((empty, "an empty workspace"), (other, f"a workspace of {count(_IMPORTED)}")):
            samples = [_import(atms, file, into, directory) for _ in range(times)]
            seconds, cpu = measure.wall(samples), median(sample.cpu for sample in samples)
            measured = f"{promise.judged(seconds, f'{form} into {what}')} s"
            rate = f"{_IMPORTED / seconds:.0f} tasks/s"
            rows.append((f"{form}, {size}, into {what}", promise.bound, measured, f"{cpu:.1f} s", rate))
    return table(("import of", "bound", "measured", "CPU", "that is"), rows)


def _import(atms: str, file: str, into: OpenWorkspace, directory: str) -> Sample:
    """Import into a copy of a workspace; return what the whole process took."""
    copy = join(directory, "copy")
    shutil.copytree(into.root, copy)
    try:
        # A copy takes a name of its own with its first change, and that is not what is measured.
        measure.took([atms, "queue", "pause"], within=copy)
        return measure.took([atms, "task", "import", file], within=copy)
    finally:
        shutil.rmtree(copy)


def adds(report: Report, directory: str, processes: int, each: int) -> str:
    """Let several processes add tasks at once, each add acknowledged before the next; return a table."""
    promise = report.promise(f"{processes} processes adding at once", "at least", 1500, " adds/s")
    none_lost = report.promise("adds lost of these", "at most", 0)
    workspace = seeding.new_workspace(join(directory, "crowd"))
    bare = _bare_appends(join(directory, "bare"))
    acknowledged = join(directory, "acknowledged")
    os.mkdir(acknowledged)
    began = perf_counter()
    _wait_for([_forked(_adder(workspace.root, join(acknowledged, str(n)), each)) for n in range(processes)])
    rate = processes * each / (perf_counter() - began)
    lost = none_lost.judged(_lost(workspace, acknowledged), f"{processes * each} acknowledged")
    row = (
        f"{processes} processes, {count(processes * each)} adds",
        promise.bound,
        f"{promise.judged(rate, 'in-process loops')} adds/s",
        lost,
        f"{bare:.0f}/s",
        f"{rate / bare:.2f}",
    )
    headers = ("adding at once", "bound", "measured", "lost", "append and fdatasync alone, one process", "ratio")
    return table(headers, [row])


def _adder(root: str, acknowledged: str, adds: int) -> Callable[[], None]:
    # Imported before anyone begins: it is adding that is measured.
    from atms_cli.bootstrap import open_workspace
    from atms_cli.services import tasks

    def work() -> None:
        workspace = open_workspace(root, os.environ)
        with open(acknowledged, "w", encoding="ascii") as file:
            for number in range(adds):
                task = tasks.add(workspace, seeding.plain(number), after=(), draft=False)
                file.write(task["id"] + "\n")

    return work


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


def _wait_for(pids: Sequence[int]) -> None:
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(statuses):
        raise MeasuringFailedError("a process that added tasks failed")


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
