"""What is next among many ready tasks under each strategy, and what a dependency costs deep inside a long chain."""

from __future__ import annotations

from itertools import count as counting
from os.path import join
from time import perf_counter

import measure
import seeding
from report import Report, count, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from measure import Sample

    from atms_cli.domain.records import JsonObject

_BASE = "python -c pass"
_FEATURES, _WAITING_FOR_EACH = 200, 10
#: The first round warms up and does not count.
_SPARE_ROUNDS = 2


def strategies(report: Report, atms: str, python: str, directory: str, size: int, rounds: int) -> str:
    """Ask what is next under each strategy, as a whole process, with so many ready tasks; return a table."""
    from atms_cli.domain.lanes import STRATEGIES

    workspace = seeding.new_workspace(join(directory, "order"))
    seeding.add(workspace, size, _of_some_feature)
    bound = report.promise(f"what is next of {count(size)}, under each strategy", "at most", 2.0)
    rows = []
    for strategy in STRATEGIES:
        measure.took([atms, "queue", "set", "strategy", strategy], within=workspace.root)
        began = perf_counter()
        measure.took([atms, "queue", "next"], within=workspace.root)
        switched_s = perf_counter() - began
        contestants: dict[str, Callable[[], Sample]] = {_BASE: lambda: measure.took([python, "-c", "pass"])}
        for line in ("queue next", "queue list --limit 50"):
            contestants[line] = lambda line=line: measure.took([atms, *line.split()], within=workspace.root)  # type: ignore[misc]
        found, failures = measure.rounds(contestants, rounds)
        report.failures += map(str, failures.values())
        following, listing = (measure.wall_ratio(samples, found[_BASE]) for samples in list(found.values())[1:])
        rows.append((
            f"`{strategy}`", bound.bound, bound.judged(following, f"`{strategy}`"), f"{listing:.2f}", f"{switched_s:.2f} s"
        ))  # fmt: skip
    return table(("strategy", "bound", "`queue next`", "`queue list --limit 50`", "first after the switch"), rows)


def _of_some_feature(number: int) -> JsonObject:
    fields: JsonObject = {**seeding.plain(number), "feature_id": f"feature{number % _FEATURES}"}
    if not number % _WAITING_FOR_EACH:
        fields["deadline"] = f"2030-01-01T{number // 60 % 24:02d}:{number % 60:02d}:00.000Z"
    return fields


def chain(report: Report, atms: str, directory: str, size: int, rounds: int) -> str:
    """Make tasks wait for others deep inside a chain, beside adding tasks; return a table."""
    workspace = seeding.new_workspace(join(directory, "chain"))
    links = seeding.chain(workspace, size)
    calls = rounds + _SPARE_ROUNDS
    spare = iter(seeding.add(workspace, 2 * calls, seeding.spare))
    deep = iter(links[size // 2 : size // 2 + 4 * calls])
    numbers = counting()
    lines: dict[str, Callable[[], list[str]]] = {
        "task add": lambda: ["add", f"One more, number {next(numbers)}"],
        "a new task waits for one in the middle": lambda: ["depend", next(spare), "--on", next(deep)],
        "one in the middle waits for a new task": lambda: ["depend", next(deep), "--on", next(spare)],
        "one in the middle waits for the first": lambda: ["depend", next(deep), "--on", links[0]],
        "one in the middle waits for one a quarter behind": lambda: ["depend", next(deep), "--on", links[size // 4]],
    }

    def call(words: Callable[[], list[str]]) -> Callable[[], Sample]:
        return lambda: measure.took([atms, "task", *words()], within=workspace.root)

    found, failures = measure.rounds({name: call(words) for name, words in lines.items()}, rounds)
    report.failures += map(str, failures.values())
    bound = report.promise(f"a dependency inside a chain of {count(size)}, beside `task add`", "at most", 2.0)
    rows = [
        (name, bound.bound, bound.judged(measure.wall_ratio(samples, found["task add"]), name))
        for name, samples in found.items()
        if name != "task add"
    ]
    return table(("what waits", "bound", "in multiples of `task add`"), rows)
