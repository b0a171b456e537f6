"""Death at every change of the file system, one after the other: whatever was half done, nothing acknowledged is lost.

This is complete where kills at random moments are a sample: the library from faults.c sees each change that we, Python
and SQLite make, and ends the process before it, or in the middle of a write. SQLite's many small ones take their turn
at every fifth; all of them with ATMS_KILLS set.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.store.paths import INDEX
from tests.store import faults
from tests.store.attacks import ATTACKS, Attack, load_all, opened, prepared, replicate
from tests.store.children import alone, forked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

pytestmark = pytest.mark.e2e

STEP = 1 if "ATMS_KILLS" in os.environ else 5


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return faults.preloading(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", ATTACKS)
def test_whoever_comes_after_a_death_at_any_change_finds_all_in_order(
    tmp_path: Path, preloaded: Mapping[str, str], name: str, record_property: Callable[[str, object], None]
) -> None:
    report = alone(die_everywhere, tmp_path, name, STEP, env=preloaded)
    assert report["deaths"] >= 10, report
    record_property("deaths", report["deaths"])
    sys.stdout.write(f"{name}: {report}\n")


def chosen(changes: Sequence[faults.Change], step: int) -> list[int]:
    """Return the points to go wrong at: each of ours, and every so manieth of the index."""
    ours = [point for change in changes if INDEX not in change.path for point in change.points]
    index = [point for change in changes if INDEX in change.path for point in change.points]
    return sorted({*ours, *index[::step]})


def die_everywhere(directory: str, name: str, step: int) -> dict[str, int]:
    attack = ATTACKS[name]
    load_all()
    source = prepared(directory, attack)
    watched = Path(directory) / "watched"
    replicate(source, watched)
    changes = faults.watched(str(watched), lambda: attack.act(opened(watched, attack.segment_bytes)))
    attack.hold(watched, is_acknowledged=True)
    points = chosen(changes, step)
    for point in points:
        root = Path(directory) / f"{point}"
        replicate(source, root)
        assert forked(partial(_act, attack, root, point)) == faults.DIED, point
        try:
            attack.hold(root, is_acknowledged=False)
        except Exception as error:
            raise AssertionError(f"after death {point} of {name}") from error
        shutil.rmtree(root)
    return {"deaths": len(points), "points": changes[-1].point}


def _act(attack: Attack, root: Path, at: int) -> None:
    faults.arm(str(root), faults.DIE, at)
    attack.act(opened(root, attack.segment_bytes))
