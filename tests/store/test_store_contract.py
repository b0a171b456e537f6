"""What every store does, whether in memory or on disk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atms_cli.domain import agent as agents
from atms_cli.domain import decisions, gatehistory
from atms_cli.domain import gate as gates
from atms_cli.domain.lanes import STRATEGIES, WHOLE
from atms_cli.domain.moment import plus
from atms_cli.errors import AtmsError, NotFoundError, UsageError
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.memory import in_memory
from tests.fakes import CountingIds, FakeClock, add, change, contents, everything, order, record
from tests.gateresults import ended as gate_result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from atms_cli.domain.records import Fact, JsonObject, Task

    Make = Callable[[], EventStore]

DAY_S = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "file"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, clock: FakeClock, tmp_path: Path) -> EventStore:
    if kind == "memory":
        return in_memory(clock)
    (tmp_path / "journal").mkdir()
    return in_directory(str(tmp_path), clock, CountingIds())


def ready(store: EventStore, strategy: str = "priority", *, ageing_s: float = DAY_S, now: str = "9999") -> list[str]:
    return order(store, now, strategy=strategy, ageing=ageing_s)


def claiming(agent: str, seconds: float = 60) -> Callable[[Task, str], list[Fact]]:
    return lambda task, now: decisions.claim(
        task, {"agent": agent, "token": f"{agent}!", "expires_at": plus(now, seconds)}, (), now
    )


def starting(agent: str, run: str | None = None) -> Callable[[Task, str], list[Fact]]:
    return lambda task, _: decisions.start(task, agent=agent, run=run, blocked_by=())


def completing(task: Task, now: str) -> list[Fact]:
    return decisions.complete(task, {"by": "ann"}, now)


def test_an_empty_store(store: EventStore) -> None:
    read = store.reading()
    assert (read.counts(), read.last_events(5), read.tasks(everything()), read.agents(), read.features()) == (
        {},
        [],
        [],
        [],
        [],
    )
    assert (read.next_due(), read.next_expiry(), read.paused(), read.stuck(), ready(store)) == (None, None, None, 0, [])
    assert store.doctor() == []
    assert store.rebuild() == 0


def test_what_is_recorded_is_seen_inside_at_once_and_outside_at_the_end(store: EventStore) -> None:
    with store.writing("ann") as tx:
        (event,) = tx.record(decisions.create("t1", {"title": "One"}, created_by="ann", draft=False))
        assert tx.read.task("t1")["title"] == "One"
        assert tx.read.history("t1") == [event]
        tx.record(decisions.update(tx.read.task("t1"), {"title": "Two"}))
        assert [each["type"] for each in tx.read.history("t1")] == ["task.created", "task.updated"]
        assert tx.read.counts() == {"ready": 1}
        assert order(tx, tx.now) == ["t1"]
    assert store.reading().task("t1")["title"] == "Two"
    assert (event["actor"], event["key"], event["v"], event["at"]) == ("ann", "t1", 1, tx.now)


def test_an_error_inside_undoes_everything(store: EventStore) -> None:
    add(store, "t0")
    before = contents(store)

    def fails() -> None:
        with store.writing("ann") as tx:
            tx.record(decisions.create("t1", {"title": "One"}, created_by="ann", draft=False))
            tx.record(completing(tx.read.task("t0"), tx.now))
            raise AtmsError("no")

    with pytest.raises(AtmsError, match="no"):
        fails()
    assert contents(store) == before
    with pytest.raises(NotFoundError):
        store.reading().task("t1")
    add(store, "t2")
    assert [event["key"] for event in store.reading().events_after("")] == ["t0", "t2"]


def test_a_transaction_that_records_nothing_leaves_no_trace(store: EventStore) -> None:
    add(store, "t0")
    before = contents(store)
    with store.writing("ann") as tx:
        assert tx.record([]) == []
        tx.beat("nobody")
    assert contents(store) == before


def test_history_is_whole_and_in_order(store: EventStore, clock: FakeClock) -> None:
    add(store, "t1")
    clock.advance(1)
    add(store, "t2")
    clock.advance(-3600)
    change(store, "t1", starting("ann"))
    read = store.reading()
    assert [event["type"] for event in read.history("t1")] == ["task.created", "task.started"]
    everything_that_happened = read.events_after("")
    ids = [event["id"] for event in everything_that_happened]
    assert ids == sorted(set(ids)), "also when the clock goes back"
    assert read.events_after(ids[1]) == everything_that_happened[2:]
    assert read.last_events(2) == everything_that_happened[1:]
    assert read.history("unknown") == []


def test_finding_by_the_beginning_of_an_id(store: EventStore) -> None:
    for name in ("abc1", "abc2", "abd", "ab"):
        add(store, name)
    read = store.reading()
    assert read.resolve("abd") == read.resolve("ABD") == "abd"
    assert read.resolve("ab") == "ab"
    assert read.task("abc1")["id"] == "abc1"
    with pytest.raises(UsageError, match="abc1, abc2"):
        read.resolve("abc")
    for missing in ("", "abe", "z", "abc1x", "%", "'"):
        with pytest.raises(NotFoundError):
            read.resolve(missing)


def test_the_queue_by_strategy(store: EventStore, clock: FakeClock) -> None:
    for name, priority in (("a", "low"), ("b", "critical"), ("c", "medium"), ("d", "critical"), ("e", "background")):
        add(store, name, priority=priority)
        clock.advance(1)
    assert ready(store) == ["b", "d", "c", "a", "e"]
    assert ready(store, "fifo") == ["a", "b", "c", "d", "e"]
    assert ready(store, "lifo") == ["e", "d", "c", "b", "a"]
    assert ready(store, ageing_s=0.5) == ["b", "a", "d", "c", "e"], "waiting has made up for the levels"


def test_delayed_tasks_come_when_their_time_has_come(store: EventStore, clock: FakeClock) -> None:
    add(store, "late", not_before=plus(clock.now(), 60))
    clock.advance(1)
    add(store, "now")
    assert store.reading().counts() == {"delayed": 1, "ready": 1}
    assert store.reading().next_due() == plus(clock.now(), 59)
    assert ready(store, now=clock.now()) == ["now"]
    due = clock.advance(59)
    for strategy in ("priority", "fifo"):
        assert ready(store, strategy, now=due) == ["late", "now"], "at its old place, also before anyone has written"
    assert ready(store, "lifo", now=due) == ["now", "late"]
    add(store, "new")
    assert store.reading().counts() == {"ready": 3}
    assert store.reading().next_due() is None
    change(store, "late", lambda task, _: decisions.update(task, {"title": "Changed"}))
    assert sorted(ready(store, now=due)) == ["late", "new", "now"]


def test_leases_end(store: EventStore, clock: FakeClock) -> None:
    for name in ("a", "b"):
        add(store, name)
    change(store, "a", claiming("anton", 60))
    change(store, "b", claiming("berta", 30))
    read = store.reading()
    assert read.counts() == {"assigned": 2}
    assert read.load() == {"anton": 1, "berta": 1}
    assert (read.expired(clock.now()), read.next_expiry()) == ([], plus(clock.now(), 30))
    assert store.reading().expired(clock.advance(30)) == ["b"]
    assert store.reading().expired(clock.advance(30)) == ["b", "a"]
    change(store, "b", decisions.expire)
    change(store, "a", completing)
    read = store.reading()
    assert (read.expired("9999"), read.next_expiry(), read.load()) == ([], None, {})
    assert ready(store) == ["b"]


def test_dependencies_open_and_close(store: EventStore) -> None:
    add(store, "a")
    add(store, "b", dependencies=["a"])
    add(store, "c", dependencies=["a", "b"])
    read = store.reading()
    assert read.counts() == {"ready": 1, "waiting": 2}
    assert ready(store) == ["a"]
    assert [blocker["id"] for blocker in read.blockers("c")] == ["a", "b"]
    assert sorted(read.needs("c")) == ["a", "b"]
    assert [(each["id"], each["blockers"]) for each in read.waiting_on("a")] == [("b", 1), ("c", 2)]
    change(store, "a", completing)
    assert ready(store) == ["b"]
    assert [(each["id"], each["blockers"]) for each in store.reading().waiting_on("a")] == [("b", 0), ("c", 1)]
    change(store, "b", completing)
    assert ready(store) == ["c"]
    change(store, "a", lambda task, _: decisions.reopen(task, None))
    assert ready(store) == ["a"]
    assert store.reading().counts() == {"ready": 1, "waiting": 1, "completed": 1}
    change(store, "c", lambda task, _: decisions.unlink(task, "a"))
    assert ready(store) == ["a", "c"]
    change(store, "c", lambda task, _: decisions.link(task, "a"))
    assert ready(store) == ["a"]


def test_a_whole_batch_may_depend_on_itself(store: EventStore) -> None:
    facts = [fact for number in range(4) for fact in decisions.create(
        f"t{number}", {"title": "x", "dependencies": [f"t{number + 1}"] if number < 3 else []}, created_by="ann", draft=False
    )]  # fmt: skip
    record(store, *facts)
    assert ready(store) == ["t3"]
    with store.writing("ann") as tx:
        for name in ("t3", "t2"):
            tx.record(completing(tx.read.task(name), tx.now))
        assert order(tx, tx.now) == ["t1"]
    assert store.reading().counts() == {"ready": 1, "waiting": 1, "completed": 2}


def test_a_dependency_that_is_not_there_keeps_waiting(store: EventStore) -> None:
    add(store, "a", dependencies=["from-another-clone"])
    assert store.reading().counts() == {"waiting": 1}
    assert [blocker["id"] for blocker in store.reading().blockers("a")] == ["from-another-clone"]
    add(store, "from-another-clone")
    change(store, "from-another-clone", completing)
    assert store.reading().counts() == {"ready": 1, "completed": 1}


def test_who_waits_for_the_dead_is_stuck(store: EventStore) -> None:
    add(store, "a")
    add(store, "b")
    for name in ("c", "d"):
        add(store, name, dependencies=["a", "b"])
    change(store, "a", lambda task, _: decisions.fail(task, "broken"))
    change(store, "b", lambda task, _: decisions.cancel(task, None))
    assert store.reading().stuck() == 2
    assert ready(store) == []
    change(
        store,
        "c",
        lambda task, _: [*decisions.unlink(task, "a"), *decisions.unlink({**task, "dependencies": ["b"]}, "b")],
    )
    assert store.reading().stuck() == 1


def test_attempts(store: EventStore, clock: FakeClock) -> None:
    add(store, "a")
    change(store, "a", starting("shell", "run1"))
    clock.advance(5)
    result = {"exit_code": 2}
    change(store, "a", lambda task, now: decisions.retry(task, "exit code 2", not_before=plus(now, 1), result=result))  # type: ignore[arg-type]
    change(store, "a", starting("shell", "run2"))
    (first, second) = store.reading().attempts("a")
    assert (first["run"], first["number"], first["status"], first["exit_code"], first["reason"]) == (
        "run1",
        1,
        "failed",
        2,
        "exit code 2",
    )
    assert (first["ended_at"], second["status"], second["ended_at"]) == (clock.now(), "running", None)
    change(store, "a", completing)
    assert [each["status"] for each in store.reading().attempts("a")] == ["failed", "succeeded"]
    change(store, "a", lambda task, _: decisions.reopen(task, None))
    change(store, "a", starting("ann"))
    change(store, "a", lambda task, _: decisions.release(task, None))
    assert [each["status"] for each in store.reading().attempts("a")] == ["failed", "succeeded", "released"]
    record(
        store, *decisions.spent("a", "run1", {"cost_usd": 1.0}), *decisions.spent("a", "nobody's", {"cost_usd": 2.0})
    )
    assert [each.get("usage") for each in store.reading().attempts("a")] == [{"cost_usd": 1.0}, None, None]
    assert store.reading().usages_since("") == [{"cost_usd": 1.0}]
    before = store.reading().attempts("a")
    store.rebuild()
    assert store.reading().attempts("a") == before


def test_results_of_gates_are_listed_by_gate_status_task_and_run(store: EventStore) -> None:
    for number in range(4):
        results = [gate_result("lint"), gate_result("tests", 0 if number % 2 else 1)]
        about: JsonObject = {"task": f"task{number}"} if number < 2 else {"stage": "ci"}
        record(store, *gatehistory.ran(f"run{number}", gates.verdict(results), about))
    read = store.reading()

    def found(**wanted: object) -> list[tuple[object, object]]:
        everywhere = {"gate": None, "status": None, "task": None, "run": None, "limit": 100, **wanted}
        return [(each["run"], each["name"]) for each in read.gate_results(everywhere)]  # type: ignore[arg-type]

    assert len(found()) == 8
    assert [run for run, _ in found(limit=2)] == ["run3", "run3"]
    assert found(gate="tests") == [(f"run{number}", "tests") for number in (3, 2, 1, 0)]
    assert found(status="failed") == [("run2", "tests"), ("run0", "tests")]
    assert found(status="passed", gate="tests") == [("run3", "tests"), ("run1", "tests")]
    assert found(task="task1", gate="lint") == [("run1", "lint")]
    assert sorted(found(run="run2")) == [("run2", "lint"), ("run2", "tests")]
    assert found(gate="nobody") == []
    first = read.gate_results({"gate": "tests", "status": None, "task": "task0", "run": None, "limit": 1})[0]
    assert {name: first[name] for name in ("task", "status", "required", "exit_code", "duration_s", "reason")} == {
        "task": "task0", "status": "failed", "required": True, "exit_code": 1, "duration_s": 1.5, "reason": "exit code 1",
    }  # fmt: skip
    before = read.gate_results({"gate": None, "status": None, "task": None, "run": None, "limit": 100})
    store.rebuild()
    assert (
        store.reading().gate_results({"gate": None, "status": None, "task": None, "run": None, "limit": 100}) == before
    )


def test_agents_and_their_signs_of_life(store: EventStore, clock: FakeClock) -> None:
    record(
        store,
        *agents.register(None, "berta", {"command": "work"}),
        *agents.register(None, "anton", {"command": "work"}),
    )
    with store.writing("ann") as tx:
        tx.beat("anton")
    anton, berta = store.reading().agents()
    assert (anton["name"], berta["name"]) == ("anton", "berta")
    assert store.reading().heartbeats() == {"anton": clock.now()}
    record(store, *agents.register(anton, "anton", {"command": "work", "max_concurrent": 3}))
    changed = store.reading().agent("anton")
    assert changed is not None
    assert changed["max_concurrent"] == 3
    record(store, *agents.remove(changed, "anton"))
    assert store.reading().agent("anton") is None
    assert [agent["name"] for agent in store.reading().agents()] == ["berta"]


def test_features(store: EventStore) -> None:
    record(store, ("feature.planned", "f1", {"title": "Exports", "tasks": ["a"]}))
    add(store, "a", feature_id="f1")
    add(store, "b", feature_id="f2")
    read = store.reading()
    assert read.feature("f1") == {"id": "f1", "title": "Exports", "status": "approved", "tasks": ["a"]}
    assert read.feature("f3") is None
    assert read.statuses_by_feature()["f1"] == {"queued"}
    record(store, ("feature.written", "f1", {"status": "implemented"}))
    assert [feature["status"] for feature in store.reading().features()] == ["implemented"]


def test_the_queue_is_paused_and_resumed_and_by_nothing_else(store: EventStore) -> None:
    record(store, ("queue.paused", "default", {"reason": "lunch"}))
    assert store.reading().paused() == {"reason": "lunch"}
    add(store, "a")
    assert store.reading().paused() == {"reason": "lunch"}
    record(store, ("queue.resumed", "default", {}))
    assert store.reading().paused() is None


def test_events_of_the_future_are_kept_and_change_nothing(store: EventStore) -> None:
    add(store, "a")
    before = store.reading().task("a")
    record(store, ("task.sang", "a", {"title": "La"}), ("choir.formed", "c1", {}), ("agent.sang", "x", {}), ("feature.sang", "f", {}),
           ("task.completed", "unknown", {}))  # fmt: skip
    assert store.reading().task("a") == {**before, "updated_at": before["updated_at"]}
    assert len(store.reading().events_after("")) == 6
    assert store.rebuild() == 6


Column = Literal["statuses", "priorities", "categories", "tags", "features", "agents", "buckets"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["a", "b", "c", "d"]),
        ({"statuses": ["in_progress", "completed"]}, ["c", "d"]),
        ({"priorities": ["high"]}, ["a", "c"]),
        ({"priorities": ["no such"]}, ["a", "b", "c", "d"]),
        ({"categories": ["bug_fix"]}, ["b"]),
        ({"tags": ["x"]}, ["a", "b"]),
        ({"tags": ["x", "y"]}, ["b"]),
        ({"features": ["f1"]}, ["a"]),
        ({"agents": ["anton"]}, ["c"]),
        ({"buckets": ["ready"]}, ["a"]),
        ({"buckets": ["waiting"]}, ["b"]),
        ({"due_before": "2026-06-01"}, ["a"]),
        ({"search": "100%"}, ["b"]),
        ({"search": "task A"}, ["a"]),
        ({"search": "hidden"}, ["c"]),
        ({"search": "_"}, ["c"]),
        ({"sort": "priority"}, ["a", "c", "b", "d"]),
        ({"sort": "title", "reverse": True}, ["d", "c", "a", "b"]),
        ({"reverse": True, "limit": 2}, ["d", "c"]),
        ({"limit": 1, "offset": 1}, ["b"]),
        ({"limit": 0}, []),
        ({"sort": "deadline"}, ["a", "d", "b", "c"]),
        ({"sort": "updated", "limit": 1}, ["a"]),
    ],
)
def test_filters(store: EventStore, clock: FakeClock, wanted: dict[str, object], found: list[str]) -> None:
    add(store, "a", title="Task A", priority="high", tags=["x"], feature_id="f1", deadline="2026-05-01T00:00:00.000Z")
    clock.advance(1)
    add(store, "b", title="100% done", category="bug_fix", tags=["x", "y"], dependencies=["a"])
    clock.advance(1)
    add(store, "c", title="Task C", priority="high", description="a Hidden_word")
    change(store, "c", starting("anton"))
    clock.advance(1)
    add(store, "d", title="Task D", priority="low", deadline="2026-07-01T00:00:00.000Z")
    change(store, "d", completing)
    assert [task["id"] for task in store.reading().tasks(everything(**wanted))] == found


def test_listed_tasks_say_what_blocks_them(store: EventStore) -> None:
    add(store, "a")
    add(store, "b", dependencies=["a"])
    assert [task["blocked_by"] for task in store.reading().tasks(everything())] == [[], ["a"]]


def test_changed_lists_are_found_anew(store: EventStore) -> None:
    add(store, "a", tags=["x", "y"])
    change(store, "a", lambda task, _: decisions.update(task, {"tags": ["y", "z"]}))
    read = store.reading()
    assert [[task["id"] for task in read.tasks(everything(tags=[tag]))] for tag in "xyz"] == [[], ["a"], ["a"]]


# Whatever happens, a rebuilt read model says the same.

names = st.sampled_from(["a", "b", "c", "d"])
MOVES = [
    "add",
    "draft",
    "claim",
    "start",
    "done",
    "fail",
    "cancel",
    "retry",
    "reopen",
    "link",
    "unlink",
    "link softly",
    "link for failure",
    "link for any end",
    "lane",
    "roll up",
    "hold",
    "let go",
    "move",
    "urgent",
    "unimportant",
    "tag",
    "delay",
    "expire",
    "agent",
    "pause",
    "resume",
    "validate",
    "release",
    "merge",
    "spend",
    "spend on the first",
]
moves = st.lists(
    st.tuples(
        st.sampled_from(MOVES),
        names,
        names,
        st.integers(0, 100),
    ),
    max_size=30,
)


def decided(store: EventStore, move: str, name: str, other: str) -> None:
    with store.writing("ann") as tx:
        if move in ("add", "draft"):
            if not any(each["id"] == name for each in tx.read.tasks(everything())):
                fields = {
                    "title": name,
                    "dependencies": [other] if other < name else [],
                    "tags": [other],
                    "feature_id": other,
                }
                tx.record(decisions.create(name, fields, created_by="ann", draft=move == "draft"))  # type: ignore[arg-type]
            return
        if move == "agent":
            known = tx.read.agent(name)
            tx.record(agents.register(None, name, {"command": other}) if known is None else agents.remove(known, name))
            return
        if move in ("pause", "resume"):
            tx.record([(f"queue.{move}d", WHOLE, {"reason": other})])
            return
        task, now = tx.read.task(name), tx.now
        runs = [each["run"] for each in tx.read.attempts(name)]
        found: dict[str, Callable[[], list[Fact]]] = {
            "claim": lambda: claiming(other)(task, now),
            "start": lambda: starting(other, f"run-{tx.read.last_events(1)[0]['id']}")(task, now),
            "done": lambda: completing(task, now),
            "fail": lambda: decisions.fail(task, other),
            "cancel": lambda: decisions.cancel(task, other),
            "retry": lambda: decisions.retry(task, other, not_before=plus(now, 20)),
            "reopen": lambda: decisions.reopen(task, None),
            "link": lambda: decisions.link(task, other) if other < name else [],
            "link softly": lambda: decisions.link(task, other, "soft") if other < name else [],
            "link for failure": lambda: decisions.link(task, other, "failure") if other < name else [],
            "link for any end": lambda: decisions.link(task, other, "always") if other < name else [],
            "lane": lambda: decisions.update(task, {"lane": other}),
            "roll up": lambda: decisions.update(task, {"rollup": task["title"] < other}),
            "hold": lambda: decisions.block(task, other),
            "let go": lambda: decisions.unblock(task, None),
            "move": lambda: decisions.move(
                task, {"pin": 1.0} if other > name else {"level": 0, "since": now, "nudge": -0.5}
            ),
            "urgent": lambda: decisions.update(task, {"priority": "critical", "deadline": plus(now, 60)}),
            "unimportant": lambda: decisions.update(task, {"priority": "background"}),
            "unlink": lambda: decisions.unlink(task, other),
            "tag": lambda: decisions.update(task, {"tags": [other], "priority": "high"}),
            "delay": lambda: decisions.update(task, {"not_before": plus(now, 50)}),
            "expire": lambda: decisions.expire(task, now),
            "validate": lambda: decisions.validate(task),
            "release": lambda: decisions.release(task, None),
            "merge": lambda: decisions.merging(task),
            "spend": lambda: [
                each for run in runs[-1:] for each in decisions.spent(name, run, {"input_tokens": len(other)})
            ],
            "spend on the first": lambda: [
                each for run in runs[:1] for each in decisions.spent(name, run, {"cost_usd": 0.5})
            ],
        }
        tx.record(found[move]())


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(moves)
def test_a_rebuild_says_the_same_as_going_step_by_step(found: list[tuple[str, str, str, int]]) -> None:
    clock = FakeClock()
    store = in_memory(clock)
    for move, name, other, seconds in found:
        clock.advance(seconds)
        with contextlib.suppress(AtmsError):
            decided(store, move, name, other)
        read = store.reading()
        live = [task for task in read.tasks(everything()) if task["status"] == "queued"]
        startable = {
            task["id"]
            for task in live
            if not task["blocked_by"] and (task["not_before"] or "") <= clock.now() and not task["rollup"]
        }
        for strategy in STRATEGIES:
            assert sorted(order(store, clock.now(), strategy=strategy)) == sorted(startable), strategy
    before = contents(store)
    assert store.doctor() == []
    store.rebuild()
    assert contents(store) == before
