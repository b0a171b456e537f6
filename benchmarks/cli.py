"""What a command costs as a whole process, in multiples of `python -c pass` on the same interpreter.

    python benchmarks/cli.py [--sizes 100,10000] [--rounds 15] [--atms PATH] [--plain]

Run it on a compiled install (`pip install .` into a fresh environment); an editable one is slower to start. The script
that an installer puts on the path may import `re`, which costs half a start; `--plain` measures without that.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

import measure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import JsonObject

    Line = Callable[[int], list[str]]

_LIMIT_S = 1800
_PRIORITIES = ("critical", "high", "medium", "low", "background")
_CATEGORIES = ("feature", "bug_fix", "testing", "documentation")
_LEASE = "8h"


def main() -> None:
    """Measure every command at every size and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100,10000", help="numbers of tasks, with commas between them")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--atms", default=measure.atms_beside_this_python(), help="the atms to measure")
    parser.add_argument("--plain", action="store_true", help="start it by a launcher that imports nothing of its own")
    chosen = parser.parse_args()
    with measure.bounded(_LIMIT_S):
        python = measure.interpreter_of(chosen.atms)
        measure.warn_unless_compiled(python)
        for size in [int(word) for word in chosen.sizes.split(",")]:
            with tempfile.TemporaryDirectory(prefix="atms-benchmark-") as root:
                atms = measure.plain_launcher(root, python) if chosen.plain else chosen.atms
                _measure(atms, python, root, size, chosen.rounds)


def _measure(atms: str, python: str, root: str, size: int, rounds: int) -> None:
    lines = _lines(_seeded(root, size, rounds), rounds)
    os.chdir(root)
    programs = {
        "python -c pass": lambda _: measure.took([python, "-c", "pass"])[0],
        **{name: _program(atms, line) for name, line in lines.items()},
    }
    found = measure.ratios(measure.rounds(programs, rounds), "python -c pass")
    memory = {name: measure.peak_memory_mb(python, line(rounds + 1)) for name, line in lines.items()}
    print(f"\n{size} tasks, {rounds} rounds, Python {sys.version.split()[0]}\n")
    print(measure.table(("command", "ratio", "range", "peak memory"), [_row(name, found, memory) for name in found]))
    sys.stdout.flush()


def _row(name: str, found: dict[str, list[float]], memory: dict[str, float | None]) -> tuple[str, ...]:
    peak = memory.get(name)
    return (f"`{name}`", *measure.spread(found[name]), f"{peak:.1f} MB" if peak else "")


def _program(atms: str, line: Line) -> Callable[[int], float]:
    return lambda number: measure.took([atms, *line(number)])[0]


def _fields(number: int) -> JsonObject:
    return {
        "title": f"Task number {number} of the benchmark",
        "description": "What it is about, at some length, as people write it. " * 3,
        "priority": _PRIORITIES[number % len(_PRIORITIES)],
        "category": _CATEGORIES[number % len(_CATEGORIES)],
        "tags": [f"tag{number % 10}"],
    }


def _seeded(root: str, size: int, rounds: int) -> list[str]:
    """Make a workspace of that size, every third task completed; return ids that nothing else will touch, the last one claimed."""
    from atms_cli.services import tasks

    workspace = measure.new_workspace(root)
    measure.seed(workspace, size, _fields, finish=3)
    # Of the least priority and the youngest, so that `claim` does not take them away.
    spare = measure.seed(workspace, 2 * (rounds + 2) + 2, lambda number: {**_fields(number), "priority": "background"})
    tasks.claim(workspace, spare[-1], agent=None, lease_s=8 * 3600)
    return spare


def _lines(spare: Sequence[str], rounds: int) -> dict[str, Line]:
    """Return the arguments of each command by round; what changes a task gets a new one each time."""
    to_start, to_do, (shown, held) = spare[: rounds + 2], spare[rounds + 2 : -2], spare[-2:]
    return {
        "version": lambda _: ["version"],
        "task add": lambda number: ["task", "add", f"One more, number {number}", "-p", "low"],
        "task show": lambda _: ["task", "show", shown],
        "task list --limit 50": lambda _: ["task", "list", "--limit", "50"],
        "queue next": lambda _: ["queue", "next"],
        "queue status": lambda _: ["queue", "status"],
        "status": lambda _: ["status"],
        "task start": lambda number: ["task", "start", to_start[number]],
        "task done": lambda number: ["task", "done", to_do[number]],
        "task claim": lambda number: ["task", "claim", "--agent", f"agent{number}"],
        "task update": lambda number: ["task", "update", shown, "--title", f"A new title, number {number}"],
        "task heartbeat": lambda _: ["task", "heartbeat", held, "--lease", _LEASE],
    }


if __name__ == "__main__":
    main()
