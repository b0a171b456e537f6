"""A disk that is full at every change in turn: a clear error, nothing half done, and all goes on when there is room again.

Of SQLite's many small changes a sample takes its turn; all of them with ATMS_KILLS set.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import EXIT_REFUSED, AtmsError, DamagedError
from atms_cli.services import tasks as service
from atms_cli.store import paths
from tests.store import faults
from tests.store.attacks import ATTACKS, Attack, load_all, opened, prepared, present, replicate
from tests.store.children import alone, forked
from tests.store.test_crash_points import STEP, chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atms_cli.bootstrap import OpenWorkspace

pytestmark = pytest.mark.e2e

SAID = "said"


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return faults.preloading(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize(
    "how", [faults.FULL_ONCE, faults.FULL_FROM_THEN_ON, faults.BROKEN_ONCE], ids=["once", "from then on", "broken"]
)
@pytest.mark.parametrize("name", ATTACKS)
def test_a_disk_that_is_full_is_named_and_nothing_is_half_done(
    tmp_path: Path, preloaded: Mapping[str, str], name: str, how: int
) -> None:
    report = alone(fill_everywhere, tmp_path, name, how, STEP**3, env=preloaded)
    assert report["refused"] + report["done"] >= 3, report


def fill_everywhere(directory: str, name: str, how: int, step: int) -> dict[str, int]:
    load_all()
    attack, report = ATTACKS[name], {"refused": 0, "done": 0}
    source = prepared(directory, attack)
    watched = Path(directory) / "watched"
    replicate(source, watched)
    changes = faults.watched(str(watched), lambda: attack.act(opened(watched, attack.segment_bytes)))
    for point in chosen(changes, step):
        root = Path(directory) / f"{point}"
        replicate(source, root)
        said = Path(directory) / SAID
        code = forked(partial(_act, attack, root, how, point, said))
        assert code == 0, f"at point {point} of {name}"
        error = said.read_text()
        report["refused" if error else "done"] += 1
        try:
            attack.hold(root, is_acknowledged=not error)
        except Exception as failure:
            raise AssertionError(f"after a full disk at {point} of {name}: {error}") from failure
        shutil.rmtree(root)
    return report


def _act(attack: Attack, root: Path, how: int, at: int, said: Path) -> None:
    """Act, read while the disk is full, then write when it is not; note what was said."""
    said.write_text("")
    is_made = (root / paths.DIRECTORY / paths.LOCK).exists()
    faults.arm(str(root), how, at)
    error = _refusal(lambda: attack.act(opened(root, attack.segment_bytes)))
    if error is not None:
        said.write_text(f"{error.message}\n{error.hint}")
        assert error.exit_code == EXIT_REFUSED, error
        assert str(root) in error.message or "disk" in error.message, error.message
        if is_made:
            _read(opened(root, attack.segment_bytes), attack, error)
    faults.disarm()
    if not (root / paths.DIRECTORY / paths.JOURNAL).is_dir():
        return  # `atms init` has not come that far; the parent goes on with it
    workspace = opened(root, attack.segment_bytes)
    if not workspace.store.doctor():
        service.add(workspace, {"title": "later"}, after=(), draft=False)
        assert workspace.store.doctor() == []


def _refusal(work: Callable[[], object]) -> AtmsError | None:
    try:
        work()
    except AtmsError as error:
        return error
    return None


def _read(workspace: OpenWorkspace, attack: Attack, error: AtmsError) -> None:
    """Hold that reading goes on without a byte to write, and finds nothing of what was refused."""
    try:
        there = present(workspace)
    except DamagedError:
        assert workspace.store.doctor()
        return
    if "nothing was changed" in error.hint:
        assert there.isdisjoint(attack.batch), "something was changed"
