"""Every hot statement leads by an index: its cost does not grow with the number of tasks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from atms_cli.store import sql
from atms_cli.store.listing import SORTS, statement
from atms_cli.store.memory import in_memory
from atms_cli.store.resultlist import statement as results
from tests.fakes import FakeClock, add, everything

if TYPE_CHECKING:
    from sqlite3 import Connection

    from atms_cli.ports import ResultFilter

HOT = {
    name: text
    for name, text in vars(sql).items()
    if name.isupper()
    and isinstance(text, str)
    and name != "SCHEMA"
    # Parts of others.
    and not name.startswith("_")
    and name != "LEFT_OUT"
    # A rebuild goes over everything, once.
    and not name.endswith("_ALL")
    and not text.lstrip().startswith("INSERT OR IGNORE INTO")
}
#: Small tables read as a whole, on purpose: replicas, buckets, agents, features.
WHOLE = {
    "POSITIONS": "positions",
    "COUNTS": "counts",
    "AGENTS": "agents",
    "FEATURES": "features",
    "HEARTBEATS": "heartbeats",
    "TURNS": "turns",
    "STALE": "stale",
}
#: These sort a handful of rows that an index has found.
SORTED = {"FEW_READY_AT_RISK", "BLOCKERS", "WAITING_ON", "LOAD", "STUCK", "CHILDREN"}


@pytest.fixture(scope="module", params=["empty", "analysed"])
def connection(request: pytest.FixtureRequest) -> Connection:
    store = in_memory(FakeClock())
    if request.param == "analysed":
        for number in range(400):
            add(
                store,
                f"t{number:03d}",
                tags=[f"x{number}"],
                dependencies=[f"t{number - 1:03d}"] if number else [],
                feature_id="f1",
            )
        store.index.connection.execute("ANALYZE")
    store.reading()
    return store.index.connection


def plan(connection: Connection, text: str) -> list[str]:
    values = (
        [0] * max(text.count("?"), *(int(number) for number in re.findall(r"\?(\d+)", text)), 0) if "?" in text else []
    )
    if re.search(r"\?\d", text):
        values = [0] * max(int(number) for number in re.findall(r"\?(\d+)", text))
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    # The demands that are left out come as a JSON array, the names of groups one by one.
    return [step for step in steps if "json_each" not in step and step not in ("SCAN named", "SCAN CONSTANT ROW")]


@pytest.mark.parametrize("name", sorted(HOT))
def test_no_statement_walks_through_a_table(connection: Connection, name: str) -> None:
    steps = plan(connection, HOT[name])
    scans = [step for step in steps if step.startswith("SCAN")]
    if name in WHOLE:
        assert scans == [f"SCAN {WHOLE[name]}"]
        return
    # An index walked from one end stops at its first rows.
    walked = [step for step in scans if "USING" not in step]
    assert walked == [], steps
    if name not in SORTED:
        assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_the_ends_of_indexes_are_all_that_walks(connection: Connection) -> None:
    walking = {
        name
        for name in HOT
        if name not in WHOLE and any(step.startswith("SCAN") for step in plan(connection, HOT[name]))
    }
    assert walking <= {
        "LAST_EVENTS",
        "OVERRIDES",
        "LAST_EVENT_ID",
        "LAST_ATTEMPTS",
        "STARTS",
        "SOFT_PAIRS",
        "NEXT_DUE",
        "NEXT_EXPIRY",
    }


FILTERS: dict[str, dict[str, object]] = {
    "nothing": {},
    "status": {"statuses": ["queued"]},
    "priority": {"priorities": ["high"]},
    "category": {"categories": ["feature"]},
    "feature": {"features": ["f1"]},
    "agent": {"agents": ["anton"]},
    "bucket": {"buckets": ["ready"]},
    "tag": {"tags": ["x"]},
    "due": {"due_before": "2026"},
}


def listing_plan(connection: Connection, wanted: dict[str, object]) -> list[str]:
    text, values = statement(everything(limit=50, **wanted))
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_of_the_list_leads_by_an_index(connection: Connection, name: str) -> None:
    steps = listing_plan(connection, FILTERS[name])
    assert not [step for step in steps if step.startswith("SCAN tasks") and "USING INDEX" not in step], steps
    if name not in ("tag", "due"):
        assert not [step for step in steps if "TEMP B-TREE" in step], steps
    if name != "nothing":
        assert [step for step in steps if step.startswith("SEARCH tasks")], steps


RESULTS: ResultFilter = {"gate": None, "status": None, "task": None, "run": None, "limit": 100}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"gate": "a"},
        {"status": "failed"},
        {"status": "passed"},
        {"task": "t"},
        {"run": "r"},
        {"gate": "a", "status": "failed"},
    ],
)
def test_every_filter_of_the_results_of_gates_leads_by_an_index(connection: Connection, wanted: dict[str, str]) -> None:
    text, values = results({**RESULTS, **wanted})  # type: ignore[typeddict-item]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
    # Most have passed, so that the newest hundred are met soon.
    is_walked = wanted in ({}, {"status": "passed"})
    assert bool([step for step in steps if step.startswith("SCAN")]) == is_walked, steps


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("reverse", [False, True])
def test_sorts_that_an_index_has(connection: Connection, sort: str, reverse: bool) -> None:  # noqa: FBT001  a table
    steps = listing_plan(connection, {"sort": sort, "reverse": reverse})
    # Titles and deadlines are sorted by hand: nobody lists a hundred thousand tasks by title in a loop.
    if sort not in ("title", "deadline"):
        assert not [step for step in steps if "TEMP B-TREE" in step], steps
        assert not [step for step in steps if step.startswith("SCAN tasks") and "USING INDEX" not in step], steps


@pytest.mark.parametrize("name", ["READY_OF_LEVEL", "READY_OF_LEVEL_DOWN", "READY_OF_GROUP", "READY_BY_TAIL"])
def test_what_nobody_can_take_is_passed_over_within_the_index(connection: Connection, name: str) -> None:
    """The demand is read from the index; the row of a task is only looked up once it is wanted."""
    text = HOT[name]
    assert sql.LEFT_OUT in text
    steps = [step for step in plan(connection, text) if "tasks" in step]
    assert steps
    assert all("USING INDEX tasks_ready" in step for step in steps), steps
    program = connection.execute(f"EXPLAIN {text}", [0] * text.count("?")).fetchall()
    assert "DeferredSeek" in [row[1] for row in program]
