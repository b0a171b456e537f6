"""One roadmap and many that write it: our processes, the original's lock protocol, and editors that know no lock at all."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from typing import TYPE_CHECKING, Any

import pytest

from tests.store.feature_files import spawning, taken_as_the_original

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

#: Of ours, and of those without a lock; more by hand: ATMS_TEST_EDITORS=24 for fifty in all.
EDITORS = int(os.environ.get("ATMS_TEST_EDITORS", "3"))
FEATURES_EACH = 3
WRITES_EACH = 15


def feature(own: str) -> dict[str, object]:
    return {
        "id": own, "title": f"Feature {own}", "description": "Send the whole list to a file.", "business_value": "people ask for it",
        "category": "enhancement", "status": "approved", "kept": {"of": [own, 1.0, "é"]},
    }  # fmt: skip


def read(path: Path) -> Any:  # noqa: ANN401  JSON
    """Read the file as an editor does that tries again while another one writes it in place."""
    while True:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue


def write_in_place(path: Path, document: object) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    with path.open("w", encoding="utf-8") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        file.write(text[len(text) // 2 :])


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Let one of the others write at a time: two that write in place would break the file by themselves."""
    with path.with_name("turn").open("w") as file:
        flock(file, LOCK_EX)
        yield


def edit_under_the_originals_lock(path: Path, name: str) -> None:
    for number in range(WRITES_EACH):
        with turn(path):
            lock = taken_as_the_original(path.with_name(f"{path.name}.lock"))
            edit(path, name, number)
            lock.unlink()


def edit_without_a_lock(path: Path, name: str) -> None:
    for number in range(WRITES_EACH):
        with turn(path):
            edit(path, name, number)


def edit(path: Path, name: str, number: int) -> None:
    document = read(path)
    document.setdefault("editors", {})[name] = number
    write_in_place(path, document)


def work(atms: Atms, task_ids: list[str]) -> None:
    for task_id in task_ids:
        atms("task", "done", task_id)
        # Others may write faster than we can look; that is said, and nothing is lost by it.
        synced = atms("feature", "sync", code=None)
        assert synced.code in (0, 5, 75), synced


@pytest.mark.parametrize("lockless", [False, True], ids=["all take the lock", "some take no lock"])
def test_many_editors_lose_nothing_of_ours_and_break_nothing(repository: Atms, *, lockless: bool) -> None:
    atms = repository
    names = [f"f{number}" for number in range(EDITORS * FEATURES_EACH)]
    path = atms.write(
        "FEATURES.json", json.dumps({"features": [feature(own) for own in names], "metadata": {}}, indent=2)
    )
    made = [task["id"] for task in atms.json("feature", "sync")["created"]]
    others = EDITORS * [edit_under_the_originals_lock] + lockless * EDITORS * [edit_without_a_lock]
    with ProcessPoolExecutor(EDITORS + len(others), mp_context=spawning) as pool:
        jobs = [pool.submit(work, atms, made[number::EDITORS]) for number in range(EDITORS)]
        jobs += [pool.submit(edit_all, path, f"editor {number}") for number, edit_all in enumerate(others)]
        for job in jobs:
            job.result()
    atms("feature", "sync")
    assert atms("feature", "diff").out == "in step\n"
    document = read(path)
    assert [each["id"] for each in document["features"]] == names
    for each in document["features"]:
        assert each["status"] == "implemented"
        assert "completed by atms" in each["implementation_notes"]
        assert {key: value for key, value in each.items() if key in feature(each["id"])} == {
            **feature(each["id"]),
            "status": "implemented",
        }
    assert atms.statuses() == dict.fromkeys(made, "completed")
    if not lockless:
        assert document["editors"] == {f"editor {number}": WRITES_EACH - 1 for number in range(EDITORS)}
    assert not path.with_name("FEATURES.json.lock").exists()
    assert not [each.name for each in path.parent.glob("*.tmp")]
