"""What is on disk is a promise: journals of earlier releases load to the state they had, for ever.

The files in tests/data/golden-v*/ were made by the program of their time and read line by line; they are never edited.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from atms_cli.domain import task as tasks
from atms_cli.store import codec
from atms_cli.store.eventstore import EventStore, in_directory
from tests.fakes import CountingIds, FakeClock, add, order

DATA = Path(__file__).parents[1] / "data"
golden = pytest.mark.parametrize("directory", sorted(DATA.glob("golden-v*")), ids=lambda path: path.name)


def loaded(directory: Path, into: Path) -> EventStore:
    shutil.copytree(directory / "journal", into / "journal")
    return in_directory(str(into), FakeClock(1_900_000_000_000), CountingIds())


def holds(expected: Any, present: Any) -> bool:  # noqa: ANN401  JSON
    """Return whether all that was said then is said now; fields may have been added since."""
    if isinstance(expected, dict):
        return isinstance(present, dict) and all(
            name in present and holds(value, present[name]) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(present, list) and len(expected) == len(present) and all(map(holds, expected, present))
    return bool(expected == present)


def state(store: EventStore) -> dict[str, Any]:
    read = store.reading()
    names = sorted(row[0] for row in store.index.connection.execute("SELECT id FROM tasks"))
    return {
        "tasks": {name: read.task(name) for name in names},
        "attempts": {name: read.attempts(name) for name in names if read.attempts(name)},
        "blockers": {name: read.blockers(name) for name in names if read.blockers(name)},
        "agents": read.agents(),
        "features": read.features(),
        "paused": read.paused(),
        "counts": read.counts(),
        "ready": order(store, "2026-06-01T00:00:00.000Z"),
        "events": len(read.events_after("")),
    }


@golden
def test_it_loads_to_the_state_it_had(directory: Path, tmp_path: Path) -> None:
    expected = json.loads((directory / "expected.json").read_text(encoding="utf-8"))
    present = state(loaded(directory, tmp_path))
    for name, value in expected.items():
        assert holds(value, present[name]), (name, value, present[name])
    assert present["tasks"].keys() == expected["tasks"].keys()
    assert present["counts"] == expected["counts"]


@golden
def test_it_can_be_worked_on(directory: Path, tmp_path: Path) -> None:
    store = loaded(directory, tmp_path)
    before = store.reading().last_events(1)[0]["id"]
    add(store, "new", dependencies=["cgolden03"])
    assert store.reading().last_events(1)[0]["id"] > before
    assert store.doctor() == []
    for segment in (directory / "journal").glob("*/*.jsonl"):
        present = tmp_path / segment.relative_to(directory)
        assert present.read_bytes() == segment.read_bytes(), "another clone's lines are never touched"


def test_the_present_format_is_still_the_one_of_the_golden_journal() -> None:
    for segment in (DATA / "golden-v1" / "journal").glob("*/*.jsonl"):
        for line in segment.read_bytes().splitlines(keepends=True):
            event, more = codec.decode(line)
            assert codec.encode(event, more=more) == line


def test_every_event_of_a_task_is_in_some_golden_journal() -> None:
    lines = [
        line
        for path in DATA.glob("golden-v*/journal/*/*.jsonl")
        for line in path.read_bytes().splitlines(keepends=True)
    ]
    # The first line of a rewritten segment is no event.
    assert set(tasks.EVENTS) <= {codec.decode(line)[0].get("type") for line in lines}
