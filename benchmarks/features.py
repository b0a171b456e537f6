"""The roadmap at size: how long a sync takes, next to what it takes Python to read the same file.

    python benchmarks/features.py --features 10000

Milliseconds say as much about the machine as about atms, so each figure is also given as so many times reading the
file's JSON. What is measured is this process's own time, and for commands that of the process.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import sys
import tempfile
import time
from os.path import getsize, join

import measure
import seeding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import JsonObject

_LIMIT_S = 600
_ROUNDS = 5
_BORN = "2026-11-02T09:12:44.120Z"


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=10_000, help="how many features (default 10000)")
    given = parser.parse_args()
    root = tempfile.mkdtemp(prefix="atms-features-")
    # As in `atms` itself: half of the time would go into looking for cycles among records that have none.
    gc.disable()
    try:
        with measure.bounded(_LIMIT_S):
            table(root, given.features)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


def table(root: str, number: int) -> None:
    """Print what each thing takes."""
    path = join(root, "FEATURES.json")
    write(path, [feature(each) for each in range(number)])
    workspace = seeding.new_workspace(root)
    unit = min(took(lambda: read(path)) for _ in range(_ROUNDS))
    print(f"{number} features, {getsize(path) / 1e6:.1f} MB; reading its JSON takes {unit * 1000:.0f} ms")
    row("the first sync: a task for each, on the disk", [took(lambda: sync(workspace))], unit)
    row("a sync with nothing to do", [took(lambda: sync(workspace)) for _ in range(_ROUNDS)], unit)
    row("a sync after somebody edited one feature", [edited(workspace, path, each) for each in range(_ROUNDS)], unit)
    row("writing back that one is implemented", [done(workspace, each) for each in range(_ROUNDS)], unit)
    atms = measure.atms_beside_this_python()
    commands = [measure.took([atms, "feature", "sync"], within=root).cpu for _ in range(_ROUNDS)]
    row("`atms feature sync` with nothing to do", commands, unit)


def row(what: str, seconds: list[float], unit: float) -> None:
    """Print one line: the best of some rounds, as others have only been disturbed more."""
    best = min(seconds)
    print(f"{what:48} {best * 1000:8.0f} ms {best / unit:7.1f} x", flush=True)


def took(act: Callable[[], object]) -> float:
    """Return the seconds of this process that something takes."""
    began = time.process_time()
    act()
    return time.process_time() - began


def sync(workspace: OpenWorkspace) -> JsonObject:
    """Bring file and queue in step."""
    from atms_cli.services import featuresync

    return featuresync.sync(workspace)


def edited(workspace: OpenWorkspace, path: str, number: int) -> float:
    """Return what it takes to notice an edit, once somebody has made it."""
    document = read(path)
    document["features"][number]["title"] += ", and more"
    write(path, document["features"])
    return took(lambda: _expect(sync(workspace)["changed"]))


def done(workspace: OpenWorkspace, number: int) -> float:
    """Return what it takes to write back an outcome."""
    from atms_cli.services import featuresync, tasks

    state = workspace.store.reading().feature(f"feature_{number}")
    tasks.done(workspace, state["tasks"] if state else [], token=None, force_reason=None, note=None)
    return took(lambda: _expect(featuresync.settle(workspace)["written"]))


def _expect(found: object) -> None:
    if not found:
        raise measure.MeasuringFailedError("nothing was done where something had to be")


def read(path: str) -> dict[str, list[dict[str, str]]]:
    """Read the file as any program does."""
    with open(path, encoding="utf-8") as file:
        found: dict[str, list[dict[str, str]]] = json.loads(file.read())
    return found


def write(path: str, features: list[dict[str, str]]) -> None:
    """Write the file as the original does."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"project": "benchmark", "features": features, "metadata": {"updated": _BORN}}, file, indent=2)


def feature(number: int) -> dict[str, str]:
    """Return a feature of ordinary size."""
    return {
        "id": f"feature_{number}", "title": f"Feature number {number}", "description": "What it is about, at length. " * 10,
        "business_value": "It saves the time of many people", "category": "enhancement", "status": "approved",
        "created_at": _BORN, "updated_at": _BORN, "suggested_by": "system",
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
