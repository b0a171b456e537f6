"""Everything that atms promises about its speed, measured now, beside the bound and whether it holds.

    python benchmarks/table.py [--sizes 100,10000,100000] [--rounds N] [--atms PATH] [--peers] [--quick]

Run it on a compiled install (`pip install .` into a fresh environment); an editable one is slower to start. It is a
report: it ends with 0 whatever holds, and with 1 only if something could not be measured. `--write` puts the tables
into docs/explanation/performance.md as well.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from os.path import abspath, dirname, join
from time import gmtime, strftime

import gates
import live
import measure
import order
import peers
import run
import runners
import store
from commands import Commands
from measure import MeasuringFailedError
from report import Report, count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    Titled = tuple[str, Callable[[], str]]

_LIMIT_S = 3600
_PARTS = ("commands", "order", "store", "gates", "run")
_PEER_SIZES = (100, 10_000)
_LONG_QUEUE = 10_000
_WRITERS = 8
_PAGE = join(dirname(dirname(abspath(__file__))), "docs", "explanation", "performance.md")
_BEGIN, _END = "<!-- measured -->\n", "<!-- end of measured part -->\n"
_OTHERS = "Every other command"


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    sizes: Sequence[int] = (100, 10_000, 100_000)
    rounds: int = 15
    #: How often what takes seconds is done.
    times: int = 3
    run_tasks: int = 1000
    gates: int = 400
    run_jobs: Sequence[int] = (2, 8, 50)
    run_s: float = 15.0
    adds: int = 200


_QUICK = Extent(sizes=(100, 1000), rounds=3, times=1, run_tasks=200, gates=100, run_jobs=(8,), run_s=4.0, adds=50)


def main() -> int:
    """Measure, print tables as they come and the summary last; return the exit code."""
    chosen = _arguments()
    circumstances = _circumstances(chosen.extent)
    report = Report()
    with measure.bounded(_LIMIT_S), tempfile.TemporaryDirectory(prefix="atms-benchmark-") as directory:
        tables = _printed(Benchmark(report, chosen.atms, directory, chosen.extent), chosen.parts, report)
    tables = {"Summary": report.summary(), **tables}
    print(f"\n## Summary\n\n{tables['Summary']}\n\n{circumstances}")
    for failure in report.failures:
        print(f"not measured: {failure}", file=sys.stderr)
    if chosen.write:
        _write(tables, circumstances)
    return 1 if report.failures else 0


def _printed(benchmark: Benchmark, parts: Collection[str], report: Report) -> dict[str, str]:
    """Measure and print one table after the other; return them by their titles."""
    tables: dict[str, str] = {}
    for title, make in benchmark.tables(parts):
        try:
            tables[title] = make()
        except MeasuringFailedError as error:
            report.failures.append(f"{title}: {error}")
            continue
        print(f"\n## {title}\n\n{tables[title]}", flush=True)
    return tables


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", help="numbers of tasks, with commas between them")
    parser.add_argument("--rounds", type=int, help="how often each command is run")
    parser.add_argument("--atms", default=measure.atms_beside_this_python(), type=abspath, help="the atms to measure")
    parser.add_argument("--peers", action="store_true", help="measure other task lists that are on the path, too")
    parser.add_argument("--quick", action="store_true", help="little of everything, in about a minute")
    parser.add_argument("--only", choices=(*_PARTS, "peers"), action="append", help="this part; repeatable")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/explanation/performance.md")
    chosen = parser.parse_args()
    chosen.extent = _QUICK if chosen.quick else Extent()
    if chosen.sizes:
        chosen.extent = replace(chosen.extent, sizes=[int(word) for word in chosen.sizes.split(",")])
    if chosen.rounds:
        chosen.extent = replace(chosen.extent, rounds=chosen.rounds)
    chosen.parts = {*(chosen.only or _PARTS), *(["peers"] if chosen.peers else [])}
    return chosen


class Benchmark:
    """The parts of the report, in the order in which they are measured."""

    def __init__(self, report: Report, atms: str, directory: str, extent: Extent) -> None:
        self._report = report
        self._atms = atms
        self._directory = directory
        self._extent = extent
        self._python = measure.interpreter_of(atms)
        measure.warn_unless_compiled(self._python)
        self._commands = Commands(report, atms, self._python, directory, extent.rounds)

    def tables(self, parts: Collection[str]) -> Iterator[Titled]:
        """Return the title of one table after the other, and what measures and makes it."""
        if "commands" in parts:
            yield from self._of_commands()
        if "order" in parts:
            yield from self._of_order()
        if "store" in parts:
            yield from self._of_store()
        if "gates" in parts:
            yield (
                f"A round of {count(self._extent.gates)} trivial gates",
                lambda: gates.overhead(self._report, self._directory, self._extent.gates, self._extent.rounds),
            )
        if "run" in parts:
            yield from self._of_loop()
        if "peers" in parts:
            yield "Beside other task lists", self._peers
            yield (
                "Beside other programs that run queued commands",
                lambda: runners.measured(self._report, self._atms, self._extent.run_tasks, self._extent.times),
            )

    def _of_commands(self) -> Iterator[Titled]:
        for size in self._extent.sizes:
            self._commands.seed(size)
        yield "What is called often, in multiples of `python -c pass`", self._commands.measure_usual
        yield _OTHERS, self._commands.measure_others

    def _of_order(self) -> Iterator[Titled]:
        report, extent, size = self._report, self._extent, max(self._extent.sizes)
        yield (
            f"What is next of {count(size)} ready tasks, in multiples of `python -c pass`",
            lambda: order.strategies(report, self._atms, self._python, self._directory, size, extent.rounds),
        )
        yield (
            f"A dependency inside a chain of {count(size)} tasks",
            lambda: order.chain(report, self._atms, self._directory, size, extent.rounds),
        )

    def _of_store(self) -> Iterator[Titled]:
        extent, full = self._extent, store.full_workspace(self._directory)
        yield "Importing", lambda: store.imports(self._report, self._atms, self._directory, full, extent.times)
        rebuilt = [(full, extent.times)]
        largest = self._commands.workspaces.get(max(extent.sizes))
        if largest is not None:
            rebuilt.append((largest, 1))
        yield "Rebuilding the index", lambda: store.rebuilds(self._report, self._python, rebuilt)
        yield "Adding at once", lambda: store.adds(self._report, self._directory, _WRITERS, extent.adds)

    def _of_loop(self) -> Iterator[Titled]:
        report, atms, extent = self._report, self._atms, self._extent
        run.gather_orphans()
        yield (
            f"Draining {count(extent.run_tasks)} tasks of `true`",
            lambda: run.throughput(report, atms, extent.run_jobs, extent.run_tasks, extent.times),
        )
        yield "The first start", lambda: run.first_start(report, atms, self._python, extent.rounds)
        yield "From an addition to its start", lambda: live.responses(report, atms)
        yield "A loop with nothing to do", lambda: live.asleep(report, atms)
        yield "Many agents at once", lambda: live.crowd(report, atms)
        yield "Memory of the loop", lambda: run.memory(report, atms, _LONG_QUEUE, extent.run_s)

    def _peers(self) -> str:
        sizes = [size for size in _PEER_SIZES if size <= max(self._extent.sizes)]
        return peers.measured(self._report, self._atms, self._python, self._directory, sizes, self._extent.rounds)


def _circumstances(extent: Extent) -> str:
    """Say when, where and how much was measured."""
    day, python = strftime("%Y-%m-%d", gmtime()), ".".join(map(str, sys.version_info[:2]))
    system = "Linux" if sys.platform == "linux" else sys.platform
    machine = f"{os.cpu_count()} cores, {system}, Python {python}"
    return f"Measured on {day}: {machine}; {extent.rounds} rounds; load {os.getloadavg()[0]:.1f} at the beginning."


def _write(tables: dict[str, str], circumstances: str) -> None:
    """Put the tables between the marks of the page, without the long one."""
    with open(_PAGE, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(_BEGIN)
    _, end, behind = rest.partition(_END)
    if not begin or not end:
        sys.exit(f"{_PAGE} has no place for the tables")
    shown = "".join(f"### {title}\n\n{text}\n\n" for title, text in tables.items() if title != _OTHERS)
    with open(_PAGE, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{circumstances}\n\n{shown}{end}{behind}")


if __name__ == "__main__":
    sys.exit(main())
