"""Which of several able agents takes a task."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from atms_cli.services import agents, attempts, dispatch, gathering, settling, tasks
from atms_cli.services.balance import weights
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import Attempt, JsonObject


@pytest.fixture
def ws() -> FakeWorkspace:
    ws = FakeWorkspace()
    for name in ("anna", "bert", "cora"):
        agents.register(ws, name, {"kind": "command", "command": "work", "max_concurrent": 10})
    return ws


def run(ws: FakeWorkspace, how: str, count: int, *, at_once: int = 1, code: int = 0, **fields: object) -> list[str]:
    """Let tasks run, so many at once; return who did each."""
    ws.config["execution"]["balance"] = how
    who: list[str] = []
    for _ in range(count):
        given: JsonObject = {"title": "Work", **fields}  # type: ignore[dict-item]
        tasks.add(ws, given, after=(), draft=False)
    while len(who) < count:
        with ws.store.writing("loop") as tx:
            force = attempts.workforce(ws, tx.read, 10, [])
            chosen = dispatch.upcoming(ws, tx.queue(ws.config["queue"]), force, tx.read.load(), at_once, tx.now)
            starts = attempts.dispatch(ws, tx, chosen)
        who += [start.agent["name"] for start in starts]
        ws.time.advance(10)
        with ws.store.writing("loop") as tx:
            for start in starts:
                outcome: JsonObject = {"status": "exited", "exit_code": code, "duration_s": 1.0}
                settling.settle(ws, tx, start, gathering.hear(ws, start), outcome, stopping=False)
    return who


def test_the_least_busy_one(ws: FakeWorkspace) -> None:
    assert run(ws, "least_load", 3) == ["anna", "anna", "anna"], "nobody is busy"
    assert sorted(run(ws, "least_load", 6, at_once=6)) == ["anna", "anna", "bert", "bert", "cora", "cora"]


def test_each_in_turn(ws: FakeWorkspace) -> None:
    assert run(ws, "round_robin", 5) == ["anna", "bert", "cora", "anna", "bert"]
    assert run(ws, "round_robin", 4, at_once=4) == ["cora", "anna", "bert", "cora"], "the turn is remembered"


def test_by_chance(ws: FakeWorkspace) -> None:
    assert set(Counter(run(ws, "random", 60))) == {"anna", "bert", "cora"}


def test_who_knows_the_feature(ws: FakeWorkspace) -> None:
    assert set(run(ws, "sticky", 2)) == {"anna"}
    assert run(ws, "sticky", 1, feature_id="f1", agent="cora") == ["cora"]
    assert run(ws, "sticky", 3, feature_id="f1") == ["cora", "cora", "cora"]
    assert run(ws, "sticky", 1, feature_id="f2") == ["anna"]


def test_who_gets_more_done_gets_more_to_do(ws: FakeWorkspace) -> None:
    for _ in range(8):
        run(ws, "least_load", 1, agent="bert", max_attempts=1, code=1)
    run(ws, "least_load", 8, agent="anna")
    run(ws, "least_load", 8, agent="cora")
    count = Counter(run(ws, "weighted", 20, at_once=20))
    assert min(count["anna"], count["cora"]) > 2 * count["bert"] > 0


def attempt(agent: str, status: str, seconds: int) -> Attempt:
    return {
        "run": "r", "task": "t", "number": 1, "agent": agent, "status": status, "exit_code": 0, "reason": None,
        "started_at": "2026-01-02T00:00:00.000Z", "ended_at": f"2026-01-02T00:{seconds // 60:02d}:{seconds % 60:02d}.000Z",
    }  # fmt: skip


def test_weights() -> None:
    assert weights([]) == {}
    found = weights([attempt("fast", "succeeded", 10)] * 50 + [attempt("slow", "succeeded", 100)] * 50)
    assert found["fast"] == 1.0
    assert 0.05 < found["slow"] < 0.2
    few = weights([attempt("new", "succeeded", 60), *[attempt("old", "succeeded", 60)] * 50])
    assert few["new"] > 0.5, "one attempt says little"
    assert weights([{**attempt("x", "running", 5), "ended_at": None}]) == {}
