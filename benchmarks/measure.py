"""What is measured next to what: processes started and timed, rounds in shuffled order, ratios.

Milliseconds say as much about the machine as about atms. So what is measured is measured next to something known, in
the same round, and given as a ratio.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import chdir, contextmanager, suppress
from os.path import dirname, exists, join
from statistics import median
from tempfile import TemporaryFile
from threading import Timer
from time import perf_counter
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from types import FrameType
    from typing import IO, TypeVar

    Key = TypeVar("Key", bound=Hashable)

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
_SAID_AT_MOST = 200


class MeasuringFailedError(Exception):
    """Something did not do what was to be measured, and what it was."""


class TooSlowError(MeasuringFailedError):
    """A program took longer than it may."""


class Sample(NamedTuple):
    """What one run took, in seconds."""

    wall: float
    cpu: float


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


def atms_beside_this_python() -> str:
    """Return the `atms` that was installed with this interpreter."""
    return join(dirname(sys.executable), "atms")


def interpreter_of(atms: str) -> str:
    """Return the Python that an installed `atms` runs on, from its first line."""
    with open(atms, "rb") as file:
        first = file.readline().decode().strip()
    if not first.startswith("#!") or not exists(first[2:]):
        raise MeasuringFailedError(f"{atms} does not begin with the path of its Python: {first!r}")
    return first[2:]


def warn_unless_compiled(python: str) -> None:
    """Say so if the package is used from its sources: without compiled files every start compiles them anew."""
    code = "import os, atms_cli; print(os.path.dirname(atms_cli.__file__), end='')"
    package = output([python, "-P", "-c", code])
    if "site-packages" not in package:
        print(f"warning: {package} is an editable install; install it with `pip install .` to measure", file=sys.stderr)
    if not exists(join(package, "cli", "__pycache__")):
        print(f"warning: {package} is not compiled: every start will compile it anew", file=sys.stderr)


def spawn(
    arguments: Sequence[str],
    *,
    output_to: int | None = None,
    errors_to: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Start a program in a process group of its own, its output going to a descriptor or nowhere; return its pid."""
    actions: list[tuple[int, int, str, int, int] | tuple[int, int, int]] = []
    actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    for number, descriptor in ((1, output_to), (2, errors_to)):
        if descriptor is None:
            actions.append((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, descriptor, number))
    return os.posix_spawn(arguments[0], [*arguments], environ or os.environ, file_actions=actions, setpgroup=0)


def took(
    arguments: Sequence[str],
    *,
    within: str = ".",
    codes: Sequence[int] = (0,),
    limit_s: float | None = None,
    environ: Mapping[str, str] | None = None,
) -> Sample:
    """Run a program in a directory to its end, and no longer than the limit; return what it took."""
    with TemporaryFile() as errors, chdir(within):
        began = perf_counter()
        pid = spawn(arguments, errors_to=errors.fileno(), environ=environ)
        status, cpu = _ended(pid, limit_s)
        wall = perf_counter() - began
        code = os.waitstatus_to_exitcode(status)
        if limit_s is not None and wall >= limit_s:
            raise TooSlowError(f"`{' '.join(arguments)}` was ended after {limit_s:.0f} s")
        if code not in codes:
            raise MeasuringFailedError(f"`{' '.join(arguments)}` ended with {code}{_last_words(errors)}")
    return Sample(wall, cpu)


def _ended(pid: int, limit_s: float | None) -> tuple[int, float]:
    """Wait for the end of a process, and make it end if need be; return its status and processor time."""
    timer = Timer(limit_s, os.killpg, (pid, signal.SIGKILL)) if limit_s is not None else None
    try:
        if timer is not None:
            timer.start()
        _, status, usage = os.wait4(pid, 0)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        raise
    finally:
        if timer is not None:
            timer.cancel()
    return status, usage.ru_utime + usage.ru_stime


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(0)
    words = " ".join(errors.read().decode(errors="replace").split())
    return f": {words[:_SAID_AT_MOST]}" if words else ""


def output(arguments: Sequence[str], *, errors: bool = False, within: str = ".") -> str:
    """Run a program to its end; return what it wrote."""
    reader, writer = os.pipe()
    with chdir(within):
        pid = spawn(arguments, output_to=None if errors else writer, errors_to=writer if errors else None)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


def peak_memory_mb(python: str, arguments: Sequence[str], within: str) -> float | None:
    """Return the most memory that a command of atms has had; None where the system does not tell."""
    if not exists("/proc/self/status"):
        return None
    words = output([python, "-P", "-c", _PROBE, *arguments], errors=True, within=within).split()
    return int(words[-1]) / 1024 if words and words[-1].isdigit() else None


def rounds(
    contestants: Mapping[Key, Callable[[], Sample]], count: int, often: Mapping[Key, int] | None = None
) -> tuple[dict[Key, list[Sample]], dict[Key, MeasuringFailedError]]:
    """Call each in every round, in a new order each time; the first round warms up and does not count.

    What is called more often in a round counts with its median there. Whoever fails is out, and why is returned beside
    what the others took.
    """
    shuffled = random.Random(1)  # noqa: S311  an order, not a secret
    found: dict[Key, list[Sample]] = {key: [] for key in contestants}
    failures: dict[Key, MeasuringFailedError] = {}
    for number in range(count + 1):
        turns = [key for key in found for _ in range((often or {}).get(key, 1))]
        shuffled.shuffle(turns)
        for key, samples in _round(contestants, turns, failures).items():
            if number:
                found[key].append(Sample(median(each.wall for each in samples), median(each.cpu for each in samples)))
        found = {key: samples for key, samples in found.items() if key not in failures}
    return found, failures


def _round(
    contestants: Mapping[Key, Callable[[], Sample]], turns: Sequence[Key], failures: dict[Key, MeasuringFailedError]
) -> dict[Key, list[Sample]]:
    taken: dict[Key, list[Sample]] = {}
    for key in turns:
        try:
            taken.setdefault(key, []).append(contestants[key]())
        except MeasuringFailedError as error:
            failures[key] = error
    return {key: samples for key, samples in taken.items() if key not in failures}


def wall_ratio(samples: Sequence[Sample], base: Sequence[Sample]) -> float:
    """Return the median of how many times as long something took as something else in the same round."""
    return median(each.wall / standard.wall for each, standard in zip(samples, base, strict=True))


def cpu_ratio(samples: Sequence[Sample], base: Sequence[Sample]) -> float:
    """Return the same of processor time."""
    return median(each.cpu / standard.cpu for each, standard in zip(samples, base, strict=True))


def wall(samples: Sequence[Sample]) -> float:
    """Return the median of seconds."""
    return median(each.wall for each in samples)
