"""What commands cost as whole processes, in multiples of `python -c pass` on the same interpreter."""

from __future__ import annotations

import re
from os.path import join

import examples
import measure
import seeding
from report import Promise, Report, count, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from examples import Stock
    from measure import Sample

    from atms_cli.bootstrap import OpenWorkspace

    #: A command line in the workspace of a size.
    Key = tuple[int, str]

_BASE = (0, "python -c pass")
#: So many commands of a round share one run of the base: it goes into every ratio, so it has to be known best.
_A_BASE_FOR = 8
_OTHER_ROUNDS = 1 / 3
_LEAST_ROUNDS = 3


class Commands:
    """The workspaces of all sizes, and what is measured in them."""

    def __init__(self, report: Report, atms: str, python: str, directory: str, rounds: int) -> None:
        self._report = report
        self._atms = atms
        self._python = python
        self._directory = directory
        self._rounds = rounds
        self._calls = rounds + 3
        self.workspaces: dict[int, OpenWorkspace] = {}
        self._stocks: dict[int, Stock] = {}

    def seed(self, size: int) -> None:
        """Make the workspace of a size."""
        workspace = seeding.new_workspace(join(self._directory, f"size{size}", "workspace"))
        seeding.fill(workspace, size)
        # Of the least priority and the youngest, so that `claim` does not take them away.
        lines = (*examples.WRITING, *examples.OTHER)
        self._stocks[size] = examples.stock(workspace, join(self._directory, f"size{size}"), lines, self._calls)
        self.workspaces[size] = workspace

    @property
    def sizes(self) -> list[int]:
        """Return the sizes, smallest first."""
        return sorted(self.workspaces)

    def measure_usual(self) -> str:
        """Measure at all sizes what is called often; return a table."""
        self._prepare()
        instant, writing, reading = (
            examples.known(lines) for lines in (examples.INSTANT, examples.WRITING, examples.READING)
        )
        keys = [(self.sizes[0], line) for line in instant]
        keys += [(size, line) for line in (*writing, *reading) for size in self.sizes]
        found = self._measured(keys, self._rounds)
        at_once = self._report.promise("`version`, unknown command", "at most", 1.15)
        writes = self._report.promise("changing a task", "at most", 2.0, remark="aim 1.6")
        reads = self._report.promise("showing, listing, what is next", "at most", 2.0, remark="aim 1.5")
        growth = self._report.promise(f"growth, {self._between()}", "at most", 1.15)
        memory = self._report.promise("peak memory of these", "at most", 16, " MB")
        rows = [self._usual_row(line, found, at_once, None, memory) for line in instant]
        rows += [self._usual_row(line, found, writes, growth, memory) for line in writing]
        rows += [self._usual_row(line, found, reads, growth, memory) for line in reading]
        sizes = [f"{count(size)} tasks" for size in self.sizes]
        return table(("command", "bound", *sizes, "growth", "CPU", "peak memory"), rows)

    def measure_others(self) -> str:
        """Measure every other command and every kind of help with few tasks and with many; return a table."""
        for size in self.sizes:
            examples.furnish(self.workspaces[size], self._stocks[size], self._atms, self._calls)
        others, helps = examples.known(examples.OTHER), examples.known(examples.HELP)
        ends = sorted({self.sizes[0], self.sizes[-1]})
        keys = [(size, line) for line in others for size in ends if size == ends[0] or not _reads_all(line)]
        keys += [(ends[0], line) for line in helps]
        found = self._measured(keys, max(_LEAST_ROUNDS, round(self._rounds * _OTHER_ROUNDS)))
        other = self._report.promise("all other commands", "at most", 8)
        helping = self._report.promise("help", "at most", 10)
        rows = [self._other_row(line, found, other, ends) for line in others]
        rows += [self._other_row(line, found, helping, ends) for line in helps]
        rows += [(f"`{name}`", "", *[""] * len(ends), "", why) for name, why in examples.SKIPPED.items()]
        self._report.failures += [f"`{name}` has no example in benchmarks/examples.py" for name in examples.missing()]
        return table(("command", "bound", *(f"{count(size)} tasks" for size in ends), "CPU", "not measured"), rows)

    def _between(self) -> str:
        return f"{count(self.sizes[0])} to {count(self.sizes[-1])} tasks"

    def _prepare(self) -> None:
        """Let each workspace see one command, so that no round pays for what only the first one does."""
        for workspace in self.workspaces.values():
            measure.took([self._atms, "status"], within=workspace.root)

    def _measured(self, keys: Iterable[Key], rounds: int) -> Mapping[Key, Sequence[Sample]]:
        contestants: dict[Key, Callable[[], Sample]] = {_BASE: lambda: measure.took([self._python, "-c", "pass"])}
        contestants |= {key: self._program(*key) for key in keys}
        found, failures = measure.rounds(contestants, rounds, {_BASE: 1 + len(contestants) // _A_BASE_FOR})
        self._report.failures += map(str, failures.values())
        return found

    def _program(self, size: int, line: str) -> Callable[[], Sample]:
        codes = examples.CODES.get(examples.command_of(line), (0,))
        root, stock = self.workspaces[size].root, self._stocks[size]
        return lambda: measure.took([self._atms, *stock.words(line)], within=root, codes=codes)

    def _usual_row(
        self, line: str, found: Mapping[Key, Sequence[Sample]], bound: Promise, growth: Promise | None, memory: Promise
    ) -> tuple[str, ...]:
        walls = [self._ratio(found, (size, line), bound) for size in self.sizes]
        grown, first, last = "", (self.sizes[0], line), (self.sizes[-1], line)
        if growth is not None and first != last and first in found and last in found:
            grown = growth.judged(measure.wall_ratio(found[last], found[first]), _named(line))
        return (_named(line), bound.bound, *walls, grown, self._cpu(found, last, first), self._memory(line, memory))

    def _other_row(
        self, line: str, found: Mapping[Key, Sequence[Sample]], bound: Promise, ends: Sequence[int]
    ) -> tuple[str, ...]:
        walls = [self._ratio(found, (size, line), bound) for size in ends]
        return (_named(line), bound.bound, *walls, self._cpu(found, (ends[0], line)), "")

    def _ratio(self, found: Mapping[Key, Sequence[Sample]], key: Key, bound: Promise) -> str:
        if key not in found:
            return ""
        of = f"{_named(key[1])} with {count(key[0])} tasks"
        return bound.judged(measure.wall_ratio(found[key], found[_BASE]), of)

    def _cpu(self, found: Mapping[Key, Sequence[Sample]], *keys: Key) -> str:
        measured = [key for key in keys if key in found]
        return f"{measure.cpu_ratio(found[measured[0]], found[_BASE]):.2f}" if measured else ""

    def _memory(self, line: str, memory: Promise) -> str:
        """Return the most memory that a command has at any size."""
        peaks = [
            peak
            for size in self.sizes
            if (
                peak := measure.peak_memory_mb(self._python, self._stocks[size].words(line), self.workspaces[size].root)
            )
            is not None
        ]
        return f"{memory.judged(max(peaks), _named(line))} MB" if peaks else ""


def _named(line: str) -> str:
    """Return a line as the tables name it: without texts, and whatever fills its blanks."""
    if line == examples.UNKNOWN:
        return "an unknown command"
    words = re.sub(r"\w*\{\w+\}", "…", re.split(" --workspace| '", line, maxsplit=1)[0])
    return f"`{words}`"


def _reads_all(line: str) -> bool:
    return examples.command_of(line) in examples.READS_ALL
