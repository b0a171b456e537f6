"""What a round of gates adds to starting their commands: gates a second against a loop that does nothing but `posix_spawn`.

Both run the same trivial command at the same concurrency, in this process, in turn in each round.
"""

from __future__ import annotations

import os
from os.path import join
from statistics import median
from time import perf_counter

import measure
import run
import seeding
from measure import Sample
from report import Report, count, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import Gate

_AT_ONCE = 8


def overhead(report: Report, directory: str, gates: int, rounds: int) -> str:
    """Run trivial gates, and start their commands without atms; return a table."""
    workspace = seeding.new_workspace(join(directory, "gates"))
    workspace.config["execution"]["gate_jobs"] = _AT_ONCE
    # Read once, as `atms run` does: decoding it anew for every launch would be measured instead.
    workspace.environ = dict(os.environ)
    chosen = [_trivial(number) for number in range(gates)]
    contestants: dict[str, Callable[[], Sample]] = {
        "gates": lambda: _judged(workspace, chosen),
        "floor": lambda: run.floor(_AT_ONCE, gates),
    }
    found, failures = measure.rounds(contestants, rounds)
    report.failures += map(str, failures.values())
    bound = report.promise(f"a trivial gate, beside `posix_spawn`, {_AT_ONCE} at once", "at most", 1.3)
    ratio = measure.wall_ratio(found["gates"], found["floor"])
    own, bare = (median(each.wall for each in found[name]) * 1000 / gates for name in ("gates", "floor"))
    row = (count(gates), bound.bound, bound.judged(ratio, "wall time"), f"{own:.2f}", f"{bare:.2f}")
    return table(("gates", "bound", "ratio", "ms a gate", "ms a `posix_spawn`"), [row])


def _trivial(number: int) -> Gate:
    from atms_cli.domain.gate import DEFAULTS

    return {**DEFAULTS, "name": f"gate{number}", "command": run.COMMAND}  # type: ignore[typeddict-item]


def _judged(workspace: OpenWorkspace, chosen: list[Gate]) -> Sample:
    from atms_cli.services.gates import run_all
    from atms_cli.services.judging import Scope

    before, began = os.times(), perf_counter()
    verdict = run_all(workspace, chosen, Scope(workspace.root))
    wall, after = perf_counter() - began, os.times()
    if not verdict["passed"]:
        raise measure.MeasuringFailedError("trivial gates did not pass")
    return Sample(wall, sum(after[:4]) - sum(before[:4]))
