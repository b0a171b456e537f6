"""The queue as a whole: lanes, limits, kinds of dependencies, recurring tasks, moves, alerts, and what explains them."""

from __future__ import annotations

import contextlib
import time
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atms_cli.domain import decisions
from atms_cli.domain.moment import plus, seconds_between
from atms_cli.domain.recurrence import MOST_AT_ONCE, occurrence_id
from atms_cli.domain.task import DEPENDENCY_KINDS
from atms_cli.errors import AtmsError, CycleError, NothingToDoError, UsageError
from atms_cli.services import agents, attempts, dispatch, gathering, measures, queue, recurrence, settling, tasks, waits
from atms_cli.services.consequences import follow
from tests.fakes import FakeWorkspace, everything

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Event, JsonObject, Task
    from atms_cli.services.attempts import Start

LONG = 20_000


@pytest.fixture
def ws() -> FakeWorkspace:
    return FakeWorkspace()


def add(
    ws: FakeWorkspace,
    title: str = "Work",
    *,
    after: Sequence[str] = (),
    draft: bool = False,
    otherwise: Mapping[str, Sequence[str]] | None = None,
    **fields: object,
) -> str:
    given: JsonObject = {"title": title, "command": "true", **fields}  # type: ignore[dict-item]
    return tasks.add(ws, given, after=after, draft=draft, otherwise_after=otherwise)["id"]


def task(ws: FakeWorkspace, task_id: str) -> Task:
    return ws.store.reading().task(task_id)


def status_of(ws: FakeWorkspace, *task_ids: str) -> list[str]:
    return [task(ws, task_id)["status"] for task_id in task_ids]


def order(ws: FakeWorkspace) -> list[str]:
    return [each["id"] for each in queue.upcoming(ws, None)]


def configure(ws: FakeWorkspace, **wanted: object) -> None:
    ws.config["queue"].update(wanted)  # type: ignore[typeddict-item]


def turn(ws: FakeWorkspace, room: int = 1) -> list[Start]:
    """Start what a loop with so many free places would start now."""
    with ws.store.writing("atms run") as tx:
        force = attempts.workforce(ws, tx.read, 100, ())
        read = tx.queue(ws.config["queue"])
        throttle = dispatch.Throttle(ws, read, force, tx.now)
        chosen = dispatch.upcoming(ws, read, force, read.load(), room, tx.now, throttle)
        dispatch.note_limits(tx, throttle)
        return attempts.dispatch(ws, tx, chosen)


def settle(ws: FakeWorkspace, start: Start, code: int = 0) -> None:
    with ws.store.writing("atms run") as tx:
        outcome: JsonObject = {"status": "exited", "exit_code": code, "duration_s": 1.0}
        settling.settle(ws, tx, start, gathering.hear(ws, start), outcome, stopping=False)
        follow(tx, [start.task["id"]])


def started(starts: Sequence[Start]) -> list[str]:
    return [start.task["id"] for start in starts]


def events(ws: FakeWorkspace, kind: str) -> list[Event]:
    return [event for event in ws.store.reading().events_after("") if event["type"].startswith(kind)]


def limits_of(ws: FakeWorkspace, task_id: str) -> list[tuple[object, object]]:
    return [(each["kind"], each["text"]) for each in explained(ws, task_id)["waits_for"]]


def explained(ws: FakeWorkspace, task_id: str) -> Any:  # noqa: ANN401  JSON
    return queue.explain(ws, task_id)


def done(ws: FakeWorkspace, *task_ids: str) -> None:
    tasks.done(ws, task_ids, token=None, force_reason=None, note=None)


# Lanes


def test_lanes_are_served_in_turn(ws: FakeWorkspace) -> None:
    names = ["a"] * 5 + ["b"] * 3 + [None]
    for number, lane in enumerate(names):
        add(ws, f"{lane or 'default'}{number}", lane=lane)
    starts = turn(ws, room=6)
    assert [start.task["lane"] or "default" for start in starts] == ["a", "b", "default", "a", "b", "a"]
    assert [start.task["lane"] for start in turn(ws, room=2)] == ["b", "a"], "b had less at work"


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("lanes", [2, 3, 5])
def test_a_flood_in_one_lane_starves_no_other(ws: FakeWorkspace, workers: int, lanes: int) -> None:
    """With fewer workers than lanes, each lane gets its turn nonetheless, however many tasks another has."""
    for _ in range(60):
        add(ws, lane="a", priority="critical")
    for number in range(1, lanes):
        for _ in range(4):
            add(ws, lane=f"lane{number}", priority="background")
    running: list[Start] = []
    given: dict[str, int] = {}
    for _ in range(4 * lanes + workers):
        running += turn(ws, room=workers - len(running))
        ws.time.advance(1)
        ended = running.pop(0)
        given[str(ended.task["lane"])] = given.get(str(ended.task["lane"]), 0) + 1
        settle(ws, ended)
    assert all(given[f"lane{number}"] >= 3 for number in range(1, lanes)), given


def test_who_claims_gets_from_each_lane_in_turn(ws: FakeWorkspace) -> None:
    for lane in ("a", "a", "a", "b", "b", "b"):
        add(ws, lane=lane)
    found = []
    for _ in range(6):
        claimed = tasks.claim(ws, None, agent="eve", lease_s=None)
        ws.time.advance(1)
        found.append(claimed["lane"])
        done(ws.acting_as("eve"), claimed["id"])
    assert found == ["a", "b"] * 3


def test_the_next_task_is_that_of_the_lane_whose_turn_it_is(ws: FakeWorkspace) -> None:
    first, second = add(ws, lane="a"), add(ws, lane="b")
    add(ws, lane="a")
    assert queue.next_task(ws)["id"] == first
    (start,) = turn(ws)
    settle(ws, start)
    assert queue.next_task(ws)["id"] == second
    assert started(turn(ws)) == [second]


def test_a_lane_is_paused_by_itself(ws: FakeWorkspace) -> None:
    one, two = add(ws, lane="a"), add(ws, lane="b")
    assert queue.pause(ws, "later", "a")
    assert not queue.pause(ws, "again", "a")
    assert started(turn(ws, room=5)) == [two]
    assert limits_of(ws, one) == [("paused", "the lane a is paused")]
    with pytest.raises(NothingToDoError):
        queue.next_task(ws)
    numbers = queue.status(ws)
    assert (numbers["paused"], numbers["lanes"]) == (
        False, [{"lane": "a", "strategy": "priority", "paused": True, "draining": False}],
    )  # fmt: skip
    assert queue.resume(ws, "a")
    assert not queue.resume(ws, "a")
    assert started(turn(ws, room=5)) == [one]


def test_a_lane_has_its_own_concurrency_and_strategy(ws: FakeWorkspace) -> None:
    configure(ws, lanes={"a": {"concurrency": 2, "strategy": "lifo"}}, concurrency=4)
    in_a = []
    for _ in range(4):
        in_a.append(add(ws, lane="a"))
        ws.time.advance(1)
    others = [add(ws) for _ in range(4)]
    assert [each for each in order(ws) if each in in_a] == in_a[::-1]
    starts = turn(ws, room=9)
    assert started(starts) == [in_a[3], others[0], in_a[2], others[1]]
    assert limits_of(ws, others[2]) == [("concurrency", "the queue has 4 of at most 4 running")]
    settle(ws, starts[1])
    assert started(turn(ws, room=9)) == [others[2]]
    assert limits_of(ws, in_a[0])[0][1] == "the queue has 4 of at most 4 running"
    settle(ws, starts[3])
    assert limits_of(ws, in_a[0]) == [("concurrency", "the lane a has 2 of at most 2 running")]


# Resources


def test_resources_are_shared_out_and_explained(ws: FakeWorkspace) -> None:
    configure(ws, resources={"gpu": 2})
    one, two, three = (add(ws, resources=["gpu"]) for _ in range(3))
    both, too_many = add(ws, resources=["gpu", "gpu"]), add(ws, resources=["gpu"] * 3)
    free = add(ws)
    starts = turn(ws, room=9)
    assert started(starts) == [one, two, free]
    assert limits_of(ws, three) == [("resource", "gpu is in use (2 of 2)")]
    assert limits_of(ws, too_many) == [("resource", "it needs 3 of gpu, and there is no more than 2")]
    settle(ws, starts[0])
    assert started(turn(ws, room=9)) == [three]
    assert limits_of(ws, both) == [("resource", "gpu is in use (2 of 2)")]


def test_an_exclusive_key_lets_one_in(ws: FakeWorkspace) -> None:
    one, two = add(ws, exclusive="db", lane="a"), add(ws, exclusive="db", lane="b")
    (start,) = turn(ws, room=9)
    assert start.task["id"] == one
    assert limits_of(ws, two) == [("exclusive", "another task with the key db is at work")]
    settle(ws, start)
    assert started(turn(ws, room=9)) == [two]


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.lists(st.sampled_from(["gpu", "net"]), max_size=3),
            st.sampled_from([None, "db", "db", "disk"]),
            st.sampled_from([None, "a", "b"]),
        ),
        st.tuples(st.just("turn"), st.integers(1, 5)),
        st.tuples(st.just("settle"), st.integers(0, 9), st.sampled_from([0, 0, 1])),
        st.tuples(st.just("claim"), st.sampled_from(["eve", "bob"])),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=30)
@given(steps)
def test_no_resource_is_ever_held_by_more_than_there_is(given_steps: list[tuple[object, ...]]) -> None:
    ws = FakeWorkspace()
    configure(ws, resources={"gpu": 2}, lanes={"a": {"concurrency": 1}}, concurrency=4)
    running: list[Start] = []
    for step in given_steps:
        ws.time.advance(1)
        match step:
            case ("add", resources, exclusive, lane):
                add(ws, resources=resources, exclusive=exclusive, lane=lane, max_attempts=2)
            case ("turn", int(room)):
                running += turn(ws, room=room)
            case ("settle", int(which), int(code)):
                if running:
                    settle(ws, running.pop(which % len(running)), code)
            case ("claim", agent):
                with contextlib.suppress(NothingToDoError):
                    tasks.claim(ws, None, agent=str(agent), lease_s=60)
        active = ws.store.reading().active()
        holders = [(name, each["id"]) for each in active for name in each["resources"]]
        keys = [each["exclusive"] for each in active if each["exclusive"]]
        assert sum(name == "gpu" for name, _ in holders) <= 2
        assert sum(name == "net" for name, _ in holders) <= 1
        assert len(keys) == len(set(keys))
        assert sum(each["lane"] == "a" for each in active) <= 1
        assert len(active) <= 4


# Rates and quiet hours


@pytest.mark.parametrize(
    ("where", "name"), [("queue", "limit/queue"), ("lane", "limit/lane a"), ("agent", "limit/agent worker")]
)
def test_rates_hold_back_and_are_put_on_record_once(ws: FakeWorkspace, where: str, name: str) -> None:
    ws.declare_agent("worker", rate="2/1h" if where == "agent" else None, max_concurrent=50)
    if where == "queue":
        configure(ws, rate="2/1h")
    if where == "lane":
        configure(ws, lanes={"a": {"rate": "2/1h"}})
    ids = [add(ws, lane="a", command=None, agent="worker") for _ in range(6)]
    at = ws.time.now()
    assert started(turn(ws, room=9)) == ids[:2]
    for _ in range(3):
        ws.time.advance(60)
        assert turn(ws, room=9) == []
    (throttled,) = events(ws, "queue.throttled")
    assert throttled["key"] == name
    assert throttled["data"] == {
        "limit": f"the {name.removeprefix('limit/')} has used up its rate of 2 in 1h", "until": plus(at, 3600),
    }  # fmt: skip
    assert limits_of(ws, ids[2]) == [("rate", throttled["data"]["limit"])]
    assert queue.status(ws)["throttled"] == [throttled["data"]]
    ws.time.advance(3600)
    assert started(turn(ws, room=2)) == ids[2:4]
    ws.time.advance(2 * 3600)
    assert started(turn(ws, room=2)) == ids[4:]
    ws.time.advance(2 * 3600)
    for _ in range(3):
        turn(ws, room=2)
    assert (len(events(ws, "queue.throttled")), len(events(ws, "queue.flowing"))) == (1, 1)
    assert queue.status(ws)["throttled"] == []


def test_no_interval_holds_more_starts_than_the_rate(ws: FakeWorkspace) -> None:
    configure(ws, rate="3/10s")
    for _ in range(30):
        add(ws)
    at: list[int] = []
    for _ in range(60):
        at += [ws.time.at_ms] * len(turn(ws, room=9))
        ws.time.advance(1)
    assert len(at) >= 15
    assert all(sum(begin <= other < begin + 10_000 for other in at) <= 3 for begin in at)


def test_quiet_hours(ws: FakeWorkspace) -> None:
    # It is Friday, 03:04:05.
    configure(ws, lanes={"night": {"quiet": ["06:00-22:00"]}, "day": {"quiet": ["fri 02:00-04:00"]}})
    night, day = add(ws, lane="night"), add(ws, lane="day")
    assert started(turn(ws, room=9)) == [night]
    assert limits_of(ws, day) == [("quiet", "the lane day is quiet for 56m")]
    ws.time.advance(3600)
    assert started(turn(ws, room=9)) == [day]
    later = add(ws, lane="night")
    ws.time.advance(2 * 3600)
    assert turn(ws, room=9) == []
    assert limits_of(ws, later)[0][0] == "quiet"


# Who may


def test_what_can_run_is_found_behind_what_nobody_can_run(ws: FakeWorkspace) -> None:
    """Two kinds of tasks that nobody can take cost two looks, however many there are."""
    ws.declare_agent("python", capabilities=["python"])
    fields: JsonObject = {"title": "Work", "priority": "critical"}
    with ws.store.writing("ann") as tx:
        for number in range(4000):
            given: JsonObject = {**fields, "required_capabilities": ["rust" if number % 2 else "go"]}
            tx.record(decisions.create(f"n{number:04d}", given, created_by="ann", draft=False))
    own = add(ws, command=None, required_capabilities=["python"], priority="background")
    began = time.perf_counter()
    assert started(turn(ws, room=3)) == [own]
    assert time.perf_counter() - began < 1
    assert tasks.claim(ws, None, agent="stranger", lease_s=None)["id"] == "n0000", "who is not known may take anything"
    agents.register(ws, "eve", {"kind": "pull", "capabilities": ["go"]})
    assert tasks.claim(ws, None, agent="eve", lease_s=None)["id"] == "n0002"
    limited = [tasks.claim(ws, None, agent="stranger", lease_s=None)["id"] for _ in range(2)]
    assert limited == ["n0001", "n0003"]


def test_what_asks_for_the_shell_without_a_command_hides_nothing(ws: FakeWorkspace) -> None:
    add(ws, command=None, agent="shell", priority="critical")
    runnable = add(ws, command="true", agent="shell")
    assert started(turn(ws, room=3)) == [runnable]


def test_names_with_commas_are_told_apart(ws: FakeWorkspace) -> None:
    ws.declare_agent("worker", capabilities=["a", "b"])
    add(ws, command=None, required_capabilities=["a,b"], priority="critical")
    runnable = add(ws, command=None, required_capabilities=["a", "b"])
    assert started(turn(ws, room=3)) == [runnable]


def test_agents_have_limits_of_their_own(ws: FakeWorkspace) -> None:
    ws.declare_agent("worker", max_concurrent=1)
    one, two = (add(ws, command=None) for _ in range(2))
    (start,) = turn(ws, room=5)
    assert start.task["id"] == one
    assert limits_of(ws, two) == [("agent", "worker is at work on 1 of at most 1 tasks")]
    settle(ws, start)
    assert started(turn(ws, room=5)) == [two]
    nobody = add(ws, command=None, agent="missing")
    kind, text = limits_of(ws, nobody)[0]
    assert (kind, str(text).startswith("`atms run` has nobody for it: ")) == ("agent", True)


def test_claims_obey_pauses_lanes_limits_and_resources(ws: FakeWorkspace) -> None:
    configure(ws, lanes={"a": {"concurrency": 1}}, concurrency=3)
    first, second = add(ws, lane="a"), add(ws, lane="a")
    one, two = add(ws, lane="b", exclusive="db"), add(ws, lane="b", exclusive="db")

    def claimed(agent: str) -> str:
        return tasks.claim(ws, None, agent=agent, lease_s=None)["id"]

    queue.pause(ws, None)
    with pytest.raises(NothingToDoError, match="the queue is paused"):
        claimed("eve")
    queue.resume(ws)
    queue.pause(ws, None, "a")
    assert claimed("eve") == one
    with pytest.raises(NothingToDoError, match="nothing in the queue can be started now"):
        claimed("eve")
    queue.resume(ws, "a")
    assert claimed("eve") == first
    with pytest.raises(NothingToDoError):
        claimed("bob")
    tasks.release(ws, [one], None, None)
    assert claimed("bob") == one
    done(ws.acting_as("eve"), first)
    assert claimed("eve") == second
    free = add(ws)
    assert claimed("eve") == free
    with pytest.raises(NothingToDoError, match="the queue has 3 of at most 3 running"):
        claimed("eve")
    assert status_of(ws, two) == ["queued"]


# Draining


def test_draining_takes_in_nothing_new(ws: FakeWorkspace) -> None:
    before = add(ws)
    template = add(ws, recurrence={"cron": "every 60 s", "missed": "once"})
    assert queue.drain(ws, "release day")
    assert not queue.drain(ws, None)
    late = add(ws)
    assert status_of(ws, before, late) == ["queued", "created"]
    ws.time.advance(60)
    with ws.store.writing("atms run") as tx:
        (made,) = recurrence.spawn(ws, tx)
    assert (made["status"], made["metadata"]["properties"]["recurs_from"]) == ("created", template)
    assert started(turn(ws, room=5)) == [before]
    assert queue.status(ws)["draining"] is True
    queue.resume(ws)
    assert status_of(ws, add(ws), late) == ["queued", "created"]
    assert queue.drain(ws, None, "a")
    assert status_of(ws, add(ws, lane="a"), add(ws)) == ["created", "queued"]


# Kinds of dependencies


def test_who_waits_by_a_clock_that_was_ahead_waits_anew(ws: FakeWorkspace) -> None:
    one = add(ws, "One")
    add(ws, "Two", not_before=plus(ws.time.now(), 86_400))
    ws.time.advance(7200)
    settle(ws, turn(ws)[0], code=1)
    not_before = task(ws, one)["not_before"]
    assert not_before is not None
    wait_s = seconds_between(ws.time.now(), not_before)
    ws.time.advance(-7200)
    for _ in range(2):
        with ws.store.writing("atms run") as tx:
            waits.wait_anew(ws, tx)
    assert task(ws, one)["not_before"] == plus(ws.time.now(), wait_s)
    assert len(events(ws, "task.updated")) == 1, "what a person has set is meant as it stands"
    ws.time.advance(wait_s)
    assert started(turn(ws)) == [one]


def test_kinds_of_dependencies(ws: FakeWorkspace) -> None:
    ws.config["execution"]["max_attempts"] = 1
    good, bad = add(ws, "good"), add(ws, "bad")
    after = {
        (kind, name): add(ws, f"{kind} {name}", otherwise={kind: [other]})
        for kind in DEPENDENCY_KINDS
        for name, other in (("good", good), ("bad", bad))
    }
    assert {*order(ws)} == {good, bad}, "a soft one waits as long as the other can go"
    for start in turn(ws, room=2):
        settle(ws, start, 1 if start.task["id"] == bad else 0)
    assert {*order(ws)} == {
        after["success", "good"], after["failure", "bad"], after["always", "good"], after["always", "bad"],
        after["soft", "good"], after["soft", "bad"],
    }  # fmt: skip
    skipped = task(ws, after["failure", "good"])
    assert (skipped["status"], skipped["reason"]) == ("cancelled", f"not needed: {good} was completed")
    stuck = queue.explain(ws, after["success", "bad"])["waits_for"]
    assert stuck == [
        {
            "kind": "dependency", "id": bad, "status": "failed", "when": "success",
            "text": f"it depends on {bad} (bad), which is failed",
            "hint": f"atms task retry {bad}, or go on without it: "
            f"atms task depend {after['success', 'bad']} --on {bad} --remove",
        }
    ]  # fmt: skip
    assert queue.stats(ws)["stuck"] == 1


def test_what_is_not_needed_takes_with_it_what_was_for_its_failure(ws: FakeWorkspace) -> None:
    work = add(ws)
    clean_up = add(ws, otherwise={"failure": [work]})
    alarm = add(ws, otherwise={"failure": [clean_up]})
    tasks.cancel(ws, [work], None)
    assert status_of(ws, clean_up, alarm) == ["cancelled", "cancelled"]
    assert task(ws, clean_up)["reason"] == f"not needed: {work} was given up"
    assert task(ws, alarm)["reason"] == f"not needed: {clean_up} was given up"


def test_a_soft_dependency_lets_go_of_what_cannot_go(ws: FakeWorkspace) -> None:
    first = add(ws)
    second = add(ws, otherwise={"soft": [first]})
    assert order(ws) == [first]
    tasks.block(ws, [first], "not now")
    assert order(ws) == [second]
    tasks.unblock(ws, [first], None)
    assert order(ws) == [first]


# Parents that end with their parts


def test_a_parent_ends_with_its_parts(ws: FakeWorkspace) -> None:
    grandparent = add(ws, rollup=True)
    parent = add(ws, rollup=True, parent_id=grandparent)
    one, two = add(ws, parent_id=parent), add(ws, parent_id=parent)
    assert order(ws) == [one, two], "nobody works on a parent"
    assert queue.explain(ws, parent)["waits_for"] == [
        {"kind": "parts", "text": "nobody works on it: it ends when all of its parts have"}
    ]
    done(ws, one)
    assert status_of(ws, parent) == ["queued"]
    tasks.fail(ws, [two], "no", None)
    assert status_of(ws, parent, grandparent) == ["queued", "queued"]
    tasks.cancel(ws, [two], None)
    assert status_of(ws, parent, grandparent) == ["completed", "completed"]
    assert task(ws, parent)["result"] == {"by": "atms", "note": "all 2 parts have ended"}


def test_a_parent_whose_parts_were_given_up_is_given_up(ws: FakeWorkspace) -> None:
    parent = add(ws, rollup=True)
    parts = [add(ws, parent_id=parent) for _ in range(2)]
    tasks.cancel(ws, parts, None)
    assert (task(ws, parent)["status"], task(ws, parent)["reason"]) == ("cancelled", "all of its parts were given up")


def test_a_part_that_was_done_and_archived_was_done(ws: FakeWorkspace) -> None:
    parent = add(ws, rollup=True)
    one, two = (add(ws, parent_id=parent) for _ in range(2))
    done(ws, one)
    tasks.archive(ws, [one], None)
    tasks.cancel(ws, [two], None)
    assert status_of(ws, parent) == ["completed"]


# Recurring tasks


def spawned(ws: FakeWorkspace) -> list[str]:
    with ws.store.writing("atms run") as tx:
        return [str(each["metadata"]["properties"]["occurrence"]) for each in recurrence.spawn(ws, tx)]


@pytest.mark.parametrize(("missed", "count"), [("skip", 1), ("once", 1), ("all", 5)])
def test_recurring_tasks(ws: FakeWorkspace, missed: str, count: int) -> None:
    template = add(ws, "Nightly", recurrence={"cron": "every 3600 s", "missed": missed}, tags=["night"])
    assert (task(ws, template)["status"], order(ws)) == ("created", [])
    first = task(ws, template)["not_before"]
    assert first == "2026-01-02T04:00:00.000Z"
    assert spawned(ws) == []
    ws.time.advance(3600)
    assert spawned(ws) == [first]
    assert spawned(ws) == []
    (made,) = queue.upcoming(ws, None)
    assert (made["id"], made["title"], made["tags"]) == (occurrence_id(template, first), "Nightly", ["night"])
    # Nobody looks for five hours, and then 4 minutes after the hour.
    ws.time.advance(5 * 3600)
    times = spawned(ws)
    assert len(times) == count
    assert times[-1] == "2026-01-02T09:00:00.000Z"
    assert task(ws, template)["not_before"] == "2026-01-02T10:00:00.000Z"
    ws.time.advance(3 * 3600 + 600)
    assert len(spawned(ws)) == {"skip": 0, "once": 1, "all": 3}[missed]


@pytest.mark.parametrize("missed", ["once", "all"])
def test_after_a_long_time_the_newest_are_made(ws: FakeWorkspace, missed: str) -> None:
    add(ws, recurrence={"cron": "every 60 s", "missed": missed})
    ws.time.advance(20 * 86_400)
    times = spawned(ws)
    assert len(times) == {"once": 1, "all": MOST_AT_ONCE}[missed]
    assert times[-1] == "2026-01-22T03:04:00.000Z", "not one of the first ten thousand"
    assert spawned(ws) == []


def test_two_clones_make_one_task(ws: FakeWorkspace) -> None:
    other = FakeWorkspace()
    for each in (ws, other):
        template = add(each, recurrence={"cron": "every 3600 s", "missed": "all"})
        each.time.advance(2 * 3600)
    made = [[task_["id"] for task_ in _spawn(each)] for each in (ws, other)]
    assert made[0] == made[1] == [occurrence_id(template, f"2026-01-02T{hour:02d}:00:00.000Z") for hour in (4, 5)]
    # What the other clone made is there already when this one looks.
    third = FakeWorkspace()
    template = add(third, recurrence={"cron": "every 3600 s", "missed": "all"})
    third.time.advance(2 * 3600)
    with third.store.writing("ann") as tx:
        given: JsonObject = {"title": "made elsewhere"}
        tx.record(decisions.create(made[0][0], given, created_by="ann", draft=False))
    assert [each["id"] for each in _spawn(third)] == made[0][1:]


def _spawn(ws: FakeWorkspace) -> list[Task]:
    with ws.store.writing("atms run") as tx:
        return recurrence.spawn(ws, tx)


# Moving


def _moved(ws: FakeWorkspace, strategy: str) -> tuple[list[str], list[str]]:
    configure(ws, strategy=strategy)
    ids = []
    for priority in ("medium", "high", "low", "medium", "high"):
        ids.append(add(ws, priority=priority))
        ws.time.advance(1)
    return ids, order(ws)


@pytest.mark.parametrize("strategy", ["priority", "fifo", "lifo"])
def test_moving_to_the_ends(ws: FakeWorkspace, strategy: str) -> None:
    _, usual = _moved(ws, strategy)
    one, two, *rest = usual
    for task_id in (two, rest[0]):
        queue.move(ws, task_id, before=None, last=False)
    assert order(ws) == [rest[0], two, one, *rest[1:]], "the later move stands before the earlier"
    queue.move(ws, two, before=None, last=True)
    queue.move(ws, one, before=None, last=True)
    assert order(ws) == [rest[0], *rest[1:], two, one]
    assert [queue.explain(ws, each)["pinned"] for each in (rest[0], rest[1], one)] == ["first", None, "last"]
    ws.time.advance(1)
    late = add(ws, priority="critical")
    assert (order(ws)[0], order(ws)[-2:]) == (rest[0], [two, one])
    assert late in order(ws)[1:-2]


def moves_right_before(ws: FakeWorkspace, which: int, where: int) -> None:
    usual = order(ws)
    queue.move(ws, usual[which], before=usual[where], last=False)
    wanted = [each for each in usual if each != usual[which]]
    wanted.insert(wanted.index(usual[where]), usual[which])
    assert order(ws) == wanted, (which, where)


@pytest.mark.parametrize("strategy", ["priority", "fifo", "lifo"])
@pytest.mark.parametrize("standing", ["as they came", "moved before"])
def test_moving_right_before_another(ws: FakeWorkspace, strategy: str, standing: str) -> None:
    _, usual = _moved(ws, strategy)
    if standing == "moved before":
        for task_id in usual[::-1]:
            queue.move(ws, task_id, before=None, last=False)
    assert order(ws) == usual
    for which, where in [(a, b) for a in range(5) for b in range(5) if a != b] + [(4, 1), (3, 1), (2, 1)]:
        moves_right_before(ws, which, where)


@pytest.mark.parametrize("strategy", ["priority", "fifo", "lifo"])
def test_moving_among_tasks_that_came_at_once(ws: FakeWorkspace, strategy: str) -> None:
    """Tasks of one batch have waited equally long; only ids tell them apart."""
    configure(ws, strategy=strategy)
    for _ in range(6):
        add(ws)
    for which, where in [(0, 3), (5, 2), (4, 3), (1, 0), (3, 5)]:
        moves_right_before(ws, which, where)


@pytest.mark.parametrize("strategy", ["dependency", "round_robin", "fair_share"])
def test_where_no_place_holds_none_is_promised(ws: FakeWorkspace, strategy: str) -> None:
    configure(ws, strategy=strategy)
    one, two, three = (add(ws) for _ in range(3))
    with pytest.raises(AtmsError, match="leaves no task where it was put"):
        queue.move(ws, three, before=one, last=False)
    queue.move(ws, three, before=None, last=False)
    queue.move(ws, two, before=three, last=False)
    assert order(ws) == [two, three, one]


def test_moves_that_make_no_sense_change_nothing(ws: FakeWorkspace) -> None:
    one, two, elsewhere, waiting = add(ws), add(ws), add(ws, lane="z"), add(ws, after=["t0001"])
    running = add(ws, priority="critical")
    assert started(turn(ws)) == [running]
    before = len(events(ws, ""))
    for task_id, other, refusal, message in (
        (two, two, UsageError, "before itself"),
        (two, elsewhere, AtmsError, "is in lane z"),
        (two, waiting, AtmsError, "not ready"),
        (two, running, AtmsError, "not ready"),
        (running, two, AtmsError, "in progress"),
    ):
        with pytest.raises(refusal, match=message):
            queue.move(ws, task_id, before=other, last=False)
    assert len(events(ws, "")) == before
    assert one in order(ws)


# Many at once


def test_changes_by_filter(ws: FakeWorkspace) -> None:
    docs = [add(ws, category="documentation", tags=["x"]) for _ in range(2)]
    other = add(ws)

    def wanted(*statuses: str, **more: object) -> list[str]:
        return queue.matching(ws, everything(statuses=statuses, **more), ())

    with pytest.raises(UsageError, match="which tasks"):
        wanted("queued")
    assert wanted("queued", tags=["x"]) == docs
    tasks.block(ws, wanted("queued", categories=["documentation"]), "later")
    assert status_of(ws, *docs, other) == ["blocked", "blocked", "queued"]
    assert wanted("queued", tags=["x"]) == []
    tasks.update(ws, wanted("blocked", tags=["x"]), {"priority": "critical"}, tags=(), untags=())
    tasks.unblock(ws, wanted("blocked", lanes=["default"]), None)
    assert order(ws) == [*docs, other]
    tasks.fail(ws, docs, "no", None)
    tasks.retry(ws, wanted("failed", tags=["x"]), None)
    assert status_of(ws, *docs) == ["queued", "queued"]
    assert queue.matching(ws, everything(), [other[:5]]) == [other]


def test_dead_letters_have_the_end_of_their_logs(ws: FakeWorkspace) -> None:
    ws.config["execution"]["max_attempts"] = 2
    dead = add(ws, "Broken")
    by_hand = add(ws, priority="low")
    for _ in range(2):
        (start,) = turn(ws)
        ws.run_files.write(start.run, "output.log", "".join(f"line {number}\n" for number in range(9)))
        settle(ws, start, 3)
        ws.time.advance(60)
    tasks.fail(ws, [by_hand], "gave up", None)
    first, second = queue.dead_letters(ws)
    assert (first["id"], first["attempts"], first["reason"], first["log_tail"]) == (by_hand, 0, "gave up", "")
    assert (second["id"], second["attempts"], second["reason"]) == (dead, 2, "exit code 3 after 2 attempts")
    assert second["log_tail"] == "line 4\nline 5\nline 6\nline 7\nline 8"


# Explaining


def test_rank_and_who_is_ahead(ws: FakeWorkspace) -> None:
    ids = []
    for _ in range(8):
        ids.append(add(ws))
        ws.time.advance(60)
    first, last = queue.explain(ws, ids[0]), queue.explain(ws, ids[7])
    assert (first["rank"], first["ahead"], first["waits_for"]) == (1, [], [])
    assert (last["rank"], last["ahead"]) == (8, [{"id": each, "title": "Work"} for each in ids[:5]])
    assert (last["waited_s"], last["lane"], last["strategy"]) == (60, "default", "priority")


def test_inherited_urgency(ws: FakeWorkspace) -> None:
    usual = add(ws)
    needed = add(ws, priority="background")
    between = add(ws, priority="low", after=[needed])
    urgent = add(ws, priority="critical", after=[between])
    assert order(ws) == [needed, usual]
    explained = queue.explain(ws, needed)
    assert (explained["base_priority"], explained["inherited"], explained["effective_priority"]) == (0, 4, 4)
    tasks.cancel(ws, [urgent], None)
    assert order(ws) == [usual, needed]
    assert queue.explain(ws, needed)["inherited"] == 1
    softly = add(ws, priority="critical", otherwise={"soft": [needed]})
    assert queue.explain(ws, needed)["inherited"] == 1, f"{softly} can do without"


def _chain(ws: FakeWorkspace, length: int) -> list[str]:
    ids = [f"c{number:05d}" for number in range(length)]
    with ws.store.writing("ann") as tx:
        facts = []
        for number, task_id in enumerate(ids):
            given: JsonObject = {"title": "Link", "dependencies": ids[number - 1 : number] if number else []}
            facts += decisions.create(task_id, given, created_by="ann", draft=False)
        tx.record(facts)
    return ids


def test_a_very_long_chain(ws: FakeWorkspace) -> None:
    """The root cause is found at its other end, and a circle through all of it is refused with the path."""
    ids = _chain(ws, LONG)
    assert order(ws) == ids[:1]
    began = time.perf_counter()
    (cause,) = explained(ws, ids[-1])["root_causes"]
    assert (cause["id"], cause["path"]) == (ids[0], ids[::-1])
    explaining = time.perf_counter() - began
    for kind in ("success", "soft", "always", "failure"):
        began = time.perf_counter()
        with pytest.raises(CycleError) as refusal:
            tasks.depend(ws, [ids[0]], [ids[-1]], removing=False, kind=kind)
        assert time.perf_counter() - began < 3
        assert refusal.value.path == [ids[0], *ids[::-1]]
    began = time.perf_counter()
    new = add(ws)
    tasks.depend(ws, [new], [ids[LONG // 2]], removing=False)
    tasks.depend(ws, [ids[LONG // 2]], [add(ws)], removing=False)
    with pytest.raises(CycleError):
        tasks.depend(ws, [ids[LONG // 2]], [new], removing=False)
    assert time.perf_counter() - began < 1, "what is near costs nothing"
    assert explaining < 5


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from(DEPENDENCY_KINDS)), max_size=25))
def test_circles_and_nothing_else_are_refused(links: list[tuple[int, int, str]]) -> None:
    """Looking only among those that can be on the way, by their times of birth, overlooks none."""
    ws = FakeWorkspace()
    ids = [add(ws) for _ in range(7)]
    needs: dict[str, set[str]] = {task_id: set() for task_id in ids}

    def reaches(start: str, goal: str) -> bool:
        return start == goal or any(reaches(need, goal) for need in needs[start])

    for waiting, needed, kind in links:
        if reaches(ids[needed], ids[waiting]):
            with pytest.raises(CycleError) as refusal:
                tasks.depend(ws, [ids[waiting]], [ids[needed]], removing=False, kind=kind)
            path = refusal.value.path
            assert path[0] == path[-1] == ids[waiting]
            assert all(later in needs[earlier] for earlier, later in pairwise(path[1:]))
        else:
            tasks.depend(ws, [ids[waiting]], [ids[needed]], removing=False, kind=kind)
            needs[ids[waiting]].add(ids[needed])


def test_a_circle_of_two_is_refused_softly_too(ws: FakeWorkspace) -> None:
    one = add(ws)
    two = add(ws, otherwise={"soft": [one]})
    for kind in DEPENDENCY_KINDS:
        with pytest.raises(CycleError) as refusal:
            tasks.depend(ws, [one], [two], removing=False, kind=kind)
        assert refusal.value.path == [one, two, one]
        with pytest.raises(CycleError):
            tasks.depend(ws, [one], [one], removing=False, kind=kind)
    with pytest.raises(UsageError, match="not a kind"):
        tasks.depend(ws, [two], [one], removing=False, kind="sometimes")


def test_forecasts_thin_and_not_thin(ws: FakeWorkspace) -> None:
    ws.config["execution"]["jobs"] = 1
    ids = [add(ws) for _ in range(24)]
    unknown = explained(ws, ids[3])["forecast"]
    assert (unknown["start"], unknown["finish"], unknown["thin"]) == (None, None, True)
    for count in range(22):
        (start,) = turn(ws)
        ws.time.advance(60)
        settle(ws, start)
        forecast = explained(ws, ids[-1])["forecast"]
        assert forecast["thin"] is (count + 1 < 20)
    assert forecast["start"] == {"p50": 60.0, "p80": 60.0, "p95": 60.0}
    assert forecast["finish"] == {"p50": 120.0, "p80": 120.0, "p95": 120.0}
    assert forecast["basis"] == "22 attempts at moderate feature tasks"


# Numbers and alerts


def test_statistics(ws: FakeWorkspace) -> None:
    ws.config["execution"]["max_attempts"] = 1
    for _ in range(4):
        add(ws)
    ws.time.advance(100)
    for code in (0, 0, 0, 1):
        (start,) = turn(ws)
        ws.time.advance(10)
        settle(ws, start, code)
    add(ws, priority="background")
    ws.time.advance(5 * 86_400)
    add(ws)
    numbers = queue.stats(ws)
    assert numbers == {
        "size": 2, "oldest_wait_s": 5 * 86_400, "completed_last_hour": 0, "completed_last_day": 0, "failure_rate": 0.25,
        "wait_s": {"p50": 110, "p80": 130, "p95": 130}, "run_s": {"p50": 10, "p80": 10, "p95": 10}, "stuck": 0, "starving": 1,
    }  # fmt: skip


def test_alerts_are_raised_once_and_cleared_once(ws: FakeWorkspace) -> None:
    configure(ws, alerts={**ws.config["queue"]["alerts"], "size": 2, "oldest_wait": 3600.0})

    def news() -> list[tuple[object, object]]:
        with ws.store.writing("atms run") as tx:
            tx.queue(ws.config["queue"])
            return [(each["type"], each["alert"]) for each in measures.check_alerts(ws, tx)]

    ids = [add(ws) for _ in range(2)]
    assert news() == []
    ids.append(add(ws))
    assert news() == [("alert", "size")]
    assert news() == []
    ws.time.advance(3601)
    assert news() == [("alert", "oldest_wait_s")]
    alerts = queue.status(ws)["alerts"]
    assert isinstance(alerts, list)
    assert [each["alert"] for each in alerts if isinstance(each, dict)] == ["oldest_wait_s", "size"]
    tasks.cancel(ws, ids[:1], None)
    assert news() == [], "as long as it is near, it stays"
    tasks.cancel(ws, ids[1:], None)
    assert news() == [("calm", "oldest_wait_s"), ("calm", "size")]
    assert news() == []
    assert [(each["type"], each["key"]) for each in events(ws, "queue.")] == [
        ("queue.alerted", "alert/size"), ("queue.alerted", "alert/oldest_wait_s"), ("queue.calmed", "alert/oldest_wait_s"),
        ("queue.calmed", "alert/size"),
    ]  # fmt: skip


# Nothing waits for ever


#: Lanes are named like their strategies; in the last two a task may wait for ever, and no other lane is to feel it.
LANES = ("priority", "fifo", "round_robin", "fair_share", "deadline", "lifo", "dependency")
SAFE = LANES[:5]
ARRIVE, LEAVE, STEP_S, AGEING_S = 15, 8, 5.0, 50.0


def test_newcomers_without_end_starve_nobody() -> None:
    """Ten thousand tasks: each lane is flooded with urgent ones, and a background task in each comes within its bound."""
    ws = FakeWorkspace()
    configure(ws, ageing=AGEING_S, lanes={name: {"strategy": name, "by": "tag"} for name in LANES})
    began, made, waited = ws.time.at_ms, 0, dict[str, float]()
    left = dict.fromkeys(LANES, 0)
    _arrive(ws, [(f"old {lane}", lane, "background", "few", "trivial") for lane in LANES])
    while made < 10_000:
        ws.time.advance(STEP_S)
        newcomers = [(f"n{made + number:05d}", lane) for lane in LANES for number in range(ARRIVE)]
        _arrive(ws, [(f"{task_id} {lane}", lane, "critical", "many", "complex") for task_id, lane in newcomers])
        made += len(newcomers)
        # Half of what comes is worked off, so the queue grows and grows.
        with ws.store.writing("ann") as tx:
            read = tx.queue(ws.config["queue"])
            for task_id in list(islice(read.ready(ws.config["queue"], tx.now), LEAVE * len(LANES))):
                _, _, lane = task_id.partition(" ")
                left[lane] += 1
                if task_id.startswith("old"):
                    waited[lane] = (ws.time.at_ms - began) / 1000
                tx.record(decisions.cancel(read.task(task_id), None))
    assert ws.store.reading().counts()["ready"] > 4_000
    assert set(left.values()) == {made // len(newcomers) * LEAVE}, "each lane was given the same"
    assert waited.keys() == set(SAFE), waited
    # A background task is overtaken only by what is queued within four ageing periods.
    ahead = 4 * AGEING_S / STEP_S * ARRIVE
    bound_s = (ahead / LEAVE + 1) * STEP_S
    assert bound_s / 2 < waited["priority"] <= bound_s
    assert waited["deadline"] <= bound_s
    assert waited["fifo"] == waited["round_robin"] == waited["fair_share"] == STEP_S, "few have their turn beside many"


def _arrive(ws: FakeWorkspace, found: Sequence[tuple[str, str, str, str, str]]) -> None:
    with ws.store.writing("ann") as tx:
        facts = []
        for task_id, lane, priority, tag, complexity in found:
            given_: JsonObject = {"title": "Work", "lane": lane, "priority": priority, "tags": [tag]}
            given_["complexity"] = complexity
            facts += decisions.create(task_id, given_, created_by="ann", draft=False)
        tx.record(facts)


@pytest.mark.parametrize("at_risk", [0, 5, 499, 500, 501, 700])
def test_what_is_at_risk_comes_first_by_deadline_however_much_it_is(ws: FakeWorkspace, at_risk: int) -> None:
    configure(ws, strategy="deadline")
    wanted: list[str] = []
    with ws.store.writing("ann") as tx:
        for number in range(at_risk + 20):
            # Two hours are risk for an hour's work; beyond them nothing is.
            due = plus(tx.now, 3600 - number) if number < at_risk else plus(tx.now, 8000 + number)
            given_: JsonObject = {"title": "Work", "deadline": due, "estimated_effort": 60}
            tx.record(decisions.create(f"d{number:03d}", given_, created_by="ann", draft=False))
            wanted.insert(0 if number < at_risk else len(wanted), f"d{number:03d}")
    assert order(ws) == wanted
