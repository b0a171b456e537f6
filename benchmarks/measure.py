"""What the benchmarks share: starting processes, rounds in shuffled order, seeded workspaces, tables.

Milliseconds say as much about the machine as about atms. So what is measured is measured next to something known, in
the same round, and given as a ratio.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import contextmanager
from os.path import dirname, exists, join
from statistics import median
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import Fact, JsonObject

#: Set for everything a benchmark starts, so that none can start another.
GUARD = "ATMS_BENCHMARK"
#: Prints the most memory a command of atms has had. The rusage of a child would count its parent's memory as well.
_PROBE = """
import os, sys
from atms_cli import __main__ as program
end = os._exit
def report(code):
    with open("/proc/self/status") as file:
        sizes = [line.split()[1] for line in file if line.startswith("VmHWM")]
    os.write(2, b"\\n" + sizes[0].encode())
    end(code)
os._exit = report
program.main()
"""
_SEED_BATCH = 2000


@contextmanager
def bounded(limit_s: int) -> Iterator[None]:
    """End the benchmark after so long, and refuse to run within another one."""
    if os.environ.get(GUARD):
        sys.exit("a benchmark does not start benchmarks")
    os.environ[GUARD] = "1"
    for name in [name for name in os.environ if name.startswith("ATMS_") and name != GUARD]:
        del os.environ[name]
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)


def _too_long(number: int, frame: FrameType | None) -> None:
    del number, frame
    sys.exit("the benchmark took too long and was ended")


def interpreter_of(atms: str) -> str:
    """Return the Python that an installed `atms` runs on, from its first line."""
    with open(atms, "rb") as file:
        first = file.readline().decode().strip()
    if not first.startswith("#!") or not exists(first[2:]):
        sys.exit(f"{atms} does not begin with the path of its Python: {first!r}")
    return first[2:]


def warn_unless_compiled(python: str) -> None:
    """Say so if the package is used from its sources: without compiled files every start compiles them anew."""
    code = "import os, atms_cli; print(os.path.dirname(atms_cli.__file__), end='')"
    package = output([python, "-P", "-c", code])
    if "site-packages" not in package:
        print(f"warning: {package} is an editable install; install it with `pip install .` to measure", file=sys.stderr)
    if not exists(join(package, "cli", "__pycache__")):
        print(f"warning: {package} is not compiled: every start will compile it anew", file=sys.stderr)


def spawn(arguments: Sequence[str], *, output_to: int | None = None, errors_to: int | None = None) -> int:
    """Start a program whose output goes to a descriptor, or nowhere; return its pid."""
    actions: list[tuple[int, int, str, int, int] | tuple[int, int, int]] = []
    for number, descriptor in ((1, output_to), (2, errors_to)):
        if descriptor is None:
            actions.append((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, descriptor, number))
    return os.posix_spawn(arguments[0], [*arguments], os.environ, file_actions=actions)


def took(arguments: Sequence[str], *, codes: Sequence[int] = (0,)) -> tuple[float, float]:
    """Run a program to its end; return its seconds of wall time and of processor time."""
    began = perf_counter()
    pid = spawn(arguments)
    try:
        _, status, usage = os.wait4(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    wall = perf_counter() - began
    if os.waitstatus_to_exitcode(status) not in codes:
        sys.exit(f"`{' '.join(arguments)}` ended with {os.waitstatus_to_exitcode(status)}")
    return wall, usage.ru_utime + usage.ru_stime


def output(arguments: Sequence[str], *, errors: bool = False) -> str:
    """Run a program to its end; return what it wrote."""
    reader, writer = os.pipe()
    pid = spawn(arguments, output_to=None if errors else writer, errors_to=writer if errors else None)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


def peak_memory_mb(python: str, arguments: Sequence[str]) -> float | None:
    """Return the most memory that a command of atms has had; None where the system does not tell."""
    if not exists("/proc/self/status"):
        return None
    words = output([python, "-P", "-c", _PROBE, *arguments], errors=True).split()
    return int(words[-1]) / 1024 if words and words[-1].isdigit() else None


def rounds(contestants: Mapping[str, Callable[[int], float]], count: int) -> dict[str, list[float]]:
    """Call each in every round, in a new order each time; the first round warms up and does not count."""
    shuffled = random.Random(1)  # noqa: S311  an order, not a secret
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(count + 1):
        names = list(contestants)
        shuffled.shuffle(names)
        times = {name: contestants[name](number) for name in names}
        if number:
            for name, seconds in times.items():
                found[name].append(seconds)
    return found


def ratios(found: Mapping[str, Sequence[float]], base: str) -> dict[str, list[float]]:
    """Return what each took in multiples of what the base took in the same round."""
    return {
        name: [seconds / standard for seconds, standard in zip(times, found[base], strict=True)]
        for name, times in found.items()
    }


def spread(values: Sequence[float], digits: int = 2) -> tuple[str, str]:
    """Return median and range as text."""
    return f"{median(values):.{digits}f}", f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def new_workspace(root: str) -> OpenWorkspace:
    """Make a workspace and open it, its settings compiled as they are after the first command."""
    from atms_cli.bootstrap import open_workspace
    from atms_cli.store import creation

    os.makedirs(root, exist_ok=True)
    creation.create(root)
    creation.write_settings(root)
    workspace = open_workspace(root, os.environ)
    _ = workspace.config
    return workspace


def seed(workspace: OpenWorkspace, count: int, fields: Callable[[int], JsonObject], *, finish: int = 0) -> list[str]:
    """Record the birth of tasks in a few large batches; every `finish`-th is started and completed. Return the ids."""
    ids = [workspace.ids.task() for _ in range(count)]
    for first in range(0, count, _SEED_BATCH):
        numbers = range(first, min(first + _SEED_BATCH, count))
        facts = [fact for number in numbers for fact in _life(ids, number, fields(number), finish)]
        with workspace.store.writing("benchmark") as tx:
            tx.record(facts)
    return ids


def _life(ids: Sequence[str], number: int, fields: JsonObject, finish: int) -> list[Fact]:
    from atms_cli.domain import task as tasks

    task_id = ids[number]
    facts = tasks.create(task_id, fields, created_by="benchmark", draft=False)
    if finish and number % finish == 0:
        facts.append(("task.started", task_id, {"assigned_agent": "benchmark", "attempts": 1, "run": None}))
        facts.append(("task.completed", task_id, {"result": {"by": "benchmark"}, "run": None}))
    return facts


def plain_launcher(directory: str, python: str) -> str:
    """Write a launcher that imports nothing of its own; some installers write one that imports `re`."""
    path = join(directory, "atms")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!{python}\nfrom atms_cli.__main__ import main\n\nmain()\n")
    os.chmod(path, 0o700)
    return path


def atms_beside_this_python() -> str:
    """Return the `atms` that was installed with this interpreter."""
    return join(dirname(sys.executable), "atms")
