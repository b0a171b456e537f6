"""Tasks as people and agents use them: claims, fences, gates, and all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.domain.agent import shell
from atms_cli.domain.moment import plus
from atms_cli.errors import (
    AtmsError,
    ConflictError,
    CycleError,
    GatesFailedError,
    NotFoundError,
    NothingToDoError,
    UsageError,
)
from atms_cli.services import agents, attempts, dispatch, gates, gathering, health, queue, settling, tasks, waits
from tests.fakes import FakeWorkspace, everything

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject, Task


@pytest.fixture
def ws() -> FakeWorkspace:
    return FakeWorkspace()


def add(
    ws: FakeWorkspace, title: str = "Work", *, after: tuple[str, ...] = (), draft: bool = False, **fields: object
) -> str:
    given: JsonObject = {"title": title, **fields}  # type: ignore[dict-item]
    return tasks.add(ws, given, after=after, draft=draft)["id"]


def status_of(ws: FakeWorkspace, task_id: str) -> str:
    return ws.store.reading().task(task_id)["status"]


def token_of(task: Task) -> str:
    assert task["lease"] is not None
    return task["lease"]["token"]


def verdict_of(task: Task) -> Any:  # noqa: ANN401  JSON
    assert task["result"] is not None
    return task["result"]["validation"]


def done(ws: FakeWorkspace, *task_ids: str, token: str | None = None, force: str | None = None) -> tasks.Finished:
    return tasks.done(ws, task_ids, token=token, force_reason=force, note=None)


def happened(ws: FakeWorkspace) -> list[str]:
    return [event["type"] for event in ws.store.reading().events_after("")]


# Adding and changing


def test_adding_resolves_and_refuses_what_is_unknown(ws: FakeWorkspace) -> None:
    first = add(ws)
    second = add(ws, after=(first, first), parent_id=first)
    task = ws.store.reading().task(second)
    assert (task["dependencies"], task["parent_id"], task["metadata"]["created_by"]) == ([first], first, "ann")
    for fields, after in (
        ({}, ("zzz",)),
        ({"parent_id": "zzz"}, ()),
        ({"validation_criteria": {"gates": ["nope"]}}, ()),
    ):
        with pytest.raises(NotFoundError):
            add(ws, after=after, **fields)
    assert len(ws.store.reading().tasks(everything())) == 2


def test_several_ids_are_all_or_none(ws: FakeWorkspace) -> None:
    one, two = add(ws), add(ws)
    before = happened(ws)
    with pytest.raises(NotFoundError):
        tasks.cancel(ws, [one, two, "zzz"], None)
    done(ws, two)
    with pytest.raises(AtmsError, match="completed"):
        tasks.cancel(ws, [one, two], None)
    assert status_of(ws, one) == "queued"
    assert happened(ws) == [*before, "task.completed"]
    assert [task["status"] for task in tasks.cancel(ws, [one, one], None)] == ["cancelled"]


def test_changing_tags_and_nested_fields(ws: FakeWorkspace) -> None:
    one = add(ws, tags=["a", "b"], context={"working_directory": "src"})
    (task,) = tasks.update(ws, [one], {"context": {"environment": {"A": "1"}}}, tags=["c", "a"], untags=["b"])
    assert task["tags"] == ["a", "c"]
    assert (task["context"]["working_directory"], task["context"]["environment"]) == ("src", {"A": "1"})
    tasks.update(ws, [one], {}, tags=["a"], untags=[])
    assert happened(ws).count("task.updated") == 1, "what is so already is not recorded"


def test_circles_are_refused_with_their_path(ws: FakeWorkspace) -> None:
    one = add(ws)
    two = add(ws, after=(one,))
    three = add(ws, after=(two,))
    with pytest.raises(CycleError) as refusal:
        tasks.depend(ws, [one], [three], removing=False)
    assert refusal.value.path == [one, three, two, one]
    with pytest.raises(CycleError):
        tasks.depend(ws, [one], [one], removing=False)
    with pytest.raises(CycleError):
        tasks.depend(ws, [two, one], [three], removing=False)
    assert ws.store.reading().task(one)["dependencies"] == []
    tasks.update(ws, [two], {"parent_id": one}, tags=[], untags=[])
    with pytest.raises(CycleError):
        tasks.update(ws, [one], {"parent_id": two}, tags=[], untags=[])
    assert tasks.depend(ws, [three], [two], removing=True)[0]["blocked_by"] == []
    assert tasks.depend(ws, [one], [three], removing=False)[0]["blocked_by"] == [three]


def test_show_tells_the_whole_story(ws: FakeWorkspace) -> None:
    one = add(ws)
    two = add(ws, after=(one,))
    card = tasks.show(ws, two)
    assert card["blocked_by"] == [one]
    assert card["blockers"] == [{"id": one, "title": "Work", "status": "queued", "kind": "success"}]
    assert tasks.show(ws, one)["dependents"] == [
        {"id": two, "title": "Work", "status": "queued", "blockers": 1, "kind": "success"}
    ]


def test_filters_know_their_words(ws: FakeWorkspace) -> None:
    one = add(ws)
    assert [task["id"] for task in tasks.find(ws, everything(statuses=["queued"]))] == [one]
    for wanted in ({"statuses": ["x"]}, {"priorities": ["x"]}, {"categories": ["x"]}):
        with pytest.raises(UsageError):
            tasks.find(ws, everything(**wanted))


# Claims


def test_the_best_task_is_claimed_on_a_lease(ws: FakeWorkspace) -> None:
    add(ws, priority="low")
    best = add(ws, priority="high")
    anton = ws.acting_as("anton")
    task = tasks.claim(anton, None, agent=None, lease_s=60)
    assert (task["id"], task["status"], task["assigned_agent"]) == (best, "assigned", "anton")
    assert task["lease"] == {"agent": "anton", "token": token_of(task), "expires_at": plus(ws.time.now(), 60)}
    assert ws.store.reading().history(best)[-1]["actor"] == "agent:anton"


def test_nothing_is_given_twice_and_an_empty_queue_says_so(ws: FakeWorkspace) -> None:
    add(ws)
    tasks.claim(ws, None, agent="anton", lease_s=None)
    with pytest.raises(NothingToDoError):
        tasks.claim(ws, None, agent="berta", lease_s=None)
    with pytest.raises(NothingToDoError):
        queue.next_task(ws)


def test_claiming_again_renews_and_keeps_the_token(ws: FakeWorkspace) -> None:
    one = add(ws)
    first = tasks.claim(ws, one, agent="anton", lease_s=60)
    ws.time.advance(50)
    again = tasks.claim(ws, one, agent="anton", lease_s=60)
    assert token_of(again) == token_of(first)
    assert again["lease"] is not None
    assert again["lease"]["expires_at"] == plus(ws.time.now(), 60)
    with pytest.raises(ConflictError, match="claimed by anton"):
        tasks.claim(ws, one, agent="berta", lease_s=60)


def test_a_late_finisher_meets_the_fence(ws: FakeWorkspace) -> None:
    one = add(ws)
    anton, berta = ws.acting_as("anton"), ws.acting_as("berta")
    late = token_of(tasks.claim(anton, one, agent=None, lease_s=60))
    ws.time.advance(61)
    fresh = token_of(tasks.claim(berta, one, agent=None, lease_s=60))
    for too_late in (
        lambda: done(anton, one, token=late),
        lambda: done(anton, one),
        lambda: tasks.fail(anton, [one], "x", late),
        lambda: tasks.heartbeat(anton, one, token=late, lease_s=None),
        lambda: tasks.release(anton, [one], None, late),
        lambda: tasks.start(anton, [one], agent=None, token=late),
        lambda: tasks.cancel(anton, [one], None),
    ):
        with pytest.raises(ConflictError):
            too_late()
    assert status_of(ws, one) == "assigned"
    assert done(berta, one, token=fresh).tasks[0]["status"] == "completed"
    assert happened(ws).count("task.lease_expired") == 1


def test_starting_what_another_let_go_shuts_him_out(ws: FakeWorkspace) -> None:
    one = add(ws)
    anton, berta = ws.acting_as("anton"), ws.acting_as("berta")
    late = token_of(tasks.claim(anton, one, agent=None, lease_s=60))
    ws.time.advance(61)
    tasks.start(berta, [one], agent=None, token=None)
    with ws.store.writing("loop") as tx:
        waits.expire_leases(tx)
    assert ws.store.reading().task(one)["assigned_agent"] == "berta", "berta is not thrown out for anton's lease"
    with pytest.raises(ConflictError):
        done(anton, one, token=late)


def test_heartbeats_keep_a_claim_alive_and_are_rarely_events(ws: FakeWorkspace) -> None:
    one = add(ws)
    agents.register(ws, "anton", {"kind": "pull"})
    anton = ws.acting_as("anton")
    token = token_of(tasks.claim(anton, one, agent=None, lease_s=100))
    for _ in range(20):
        ws.time.advance(30)
        task = tasks.heartbeat(anton, one, token=token, lease_s=100)
        assert task["lease"] is not None
        assert task["lease"]["expires_at"] > ws.time.now()
    assert ws.store.reading().expired(ws.time.now()) == []
    assert agents.one(ws, "anton")["last_heartbeat"] == ws.time.now()
    ws.time.advance(101)
    assert ws.store.reading().expired(ws.time.now()) == [one]
    assert tasks.heartbeat(anton, one, token=token, lease_s=100)["status"] == "assigned", "nobody took it meanwhile"


def test_agents_take_what_they_can_and_no_more_than_they_may(ws: FakeWorkspace) -> None:
    add(ws, "For Rust", required_capabilities=["rust"], priority="critical")
    python, other = (
        add(ws, "For Python", required_capabilities=["python"]),
        add(ws, "For berta", agent="berta", priority="high"),
    )
    agents.register(ws, "anton", {"kind": "pull", "capabilities": ["python"]})
    assert tasks.claim(ws, None, agent="anton", lease_s=None)["id"] == python
    with pytest.raises(NothingToDoError, match="its limit"):
        tasks.claim(ws, None, agent="anton", lease_s=None)
    agents.register(ws, "berta", {"kind": "pull", "capabilities": ["x"]})
    assert tasks.claim(ws, None, agent="berta", lease_s=None)["id"] == other


def test_waiting_and_paused_tasks_are_not_given(ws: FakeWorkspace) -> None:
    one = add(ws)
    two = add(ws, after=(one,))
    with pytest.raises(AtmsError, match=f"waits for {one}"):
        tasks.claim(ws, two, agent="anton", lease_s=None)
    with pytest.raises(AtmsError, match=f"waits for {one}"):
        tasks.start(ws, [two], agent=None, token=None)
    assert queue.pause(ws, "lunch")
    assert not queue.pause(ws, "again")
    with pytest.raises(NothingToDoError, match="paused"):
        tasks.claim(ws, None, agent="anton", lease_s=None)
    assert queue.resume(ws)
    assert not queue.resume(ws)
    assert tasks.claim(ws, None, agent="anton", lease_s=None)["id"] == one


def test_a_person_may_take_a_task_away_but_not_from_a_running_loop(ws: FakeWorkspace) -> None:
    one = add(ws)
    tasks.claim(ws, one, agent="anton", lease_s=None)
    assert tasks.release(ws, [one], "my turn", None)[0]["status"] == "queued"
    with ws.store.writing("loop") as tx:
        attempts.dispatch(ws, tx, [(tx.read.task(one), shell(1))])
    ws.holder = "process 7"
    with pytest.raises(ConflictError, match="being run"):
        tasks.release(ws, [one], None, None)
    ws.holder = None
    assert tasks.release(ws, [one], None, None)[0]["status"] == "queued"


# Finishing


def test_done_says_what_it_unblocked_once(ws: FakeWorkspace) -> None:
    one, two = add(ws), add(ws)
    both = add(ws, after=(one, two))
    other = add(ws, after=(one,))
    assert [each["id"] for each in done(ws, one).unblocked] == [other]
    assert [each["id"] for each in done(ws, two).unblocked] == [both]
    assert done(ws, two).unblocked == [], "repeated, nothing is new"
    three, four = add(ws), add(ws)
    last = add(ws, after=(three, four))
    assert [each["id"] for each in done(ws, three, four).unblocked] == [last]


def test_gates_decide(ws: FakeWorkspace) -> None:
    ws.define_gate("tests", command="pytest")
    ws.define_gate("docs", required=False)
    one = add(ws)
    ws.runner.ends("tests", status="exited", exit_code=1)
    with pytest.raises(GatesFailedError, match="gate tests: exit code 1") as refusal:
        done(ws, one)
    assert refusal.value.hint.endswith("gate-tests.log")
    task = ws.store.reading().task(one)
    assert task["status"] == "queued"
    assert verdict_of(task)["passed"] is False
    ws.runner.ends("tests", status="exited", exit_code=0)
    ws.runner.ends("docs", status="timed_out")
    finished = done(ws, one).tasks[0]
    assert finished["status"] == "completed"
    assert [gate["status"] for gate in verdict_of(finished)["gates"]] == ["passed", "timeout"]
    assert "task.judged" in happened(ws)


@pytest.mark.parametrize(
    "outcome",
    [{"status": "signalled", "signal": 9}, {"status": "unstartable", "error": "gone"}, {"status": "timed_out"}],
)
def test_a_gate_that_did_not_run_to_its_end_has_not_passed(ws: FakeWorkspace, outcome: dict[str, object]) -> None:
    ws.define_gate("tests")
    ws.runner.ends("tests", **outcome)
    with pytest.raises(GatesFailedError):
        done(ws, add(ws))


def test_gates_of_several_tasks_are_all_or_none(ws: FakeWorkspace) -> None:
    ws.define_gate("special", stages=["ci"])
    plain, gated = add(ws), add(ws, validation_criteria={"gates": ["special"]})
    ws.runner.ends("special", status="exited", exit_code=2)
    with pytest.raises(GatesFailedError):
        done(ws, plain, gated)
    assert status_of(ws, plain) == "queued"


def test_a_gate_that_is_no_longer_defined_cannot_be_passed(ws: FakeWorkspace) -> None:
    ws.define_gate("special")
    one = add(ws, validation_criteria={"gates": ["special"]})
    del ws.config["gates"]["special"]
    with pytest.raises(NotFoundError, match="no gate `special`"):
        done(ws, one)
    assert status_of(ws, one) == "queued"


def test_no_lock_is_held_while_gates_run_and_the_fence_holds_after(ws: FakeWorkspace) -> None:
    ws.define_gate("tests")
    one = add(ws)
    anton = ws.acting_as("anton")
    token = token_of(tasks.claim(anton, one, agent=None, lease_s=60))

    def meanwhile() -> None:
        ws.time.advance(61)
        tasks.claim(ws, one, agent="berta", lease_s=60)

    ws.runner.meanwhile = meanwhile
    with pytest.raises(ConflictError):
        done(anton, one, token=token)
    assert ws.store.reading().task(one)["assigned_agent"] == "berta"


def test_passing_over_gates_is_for_people_and_is_recorded(ws: FakeWorkspace) -> None:
    ws.define_gate("tests")
    ws.runner.ends("tests", status="exited", exit_code=1)
    one = add(ws)
    with pytest.raises(AtmsError, match="agents cannot"):
        done(ws.acting_as("anton"), one, force="in a hurry")
    finished = done(ws, one, force="in a hurry").tasks[0]
    assert finished["result"] == {"by": "ann", "forced": "in a hurry"}
    assert ws.runner.launched == []


def test_gates_see_their_own_repository_and_what_they_judge(ws: FakeWorkspace) -> None:
    ws.define_gate("my tests/all", environment={"LEVEL": "2"})
    one = add(ws, context={"working_directory": "sub"})
    done(ws, one)
    (launch,) = ws.runner.launched
    assert launch["cwd"] == "/nowhere/sub"
    env = launch["env"]
    assert isinstance(env, dict)
    assert "GIT_DIR" not in env
    assert (env["ATMS_TASK_ID"], env["LEVEL"], env["ATMS_GATE"]) == (one, "2", "my tests/all")
    assert str(launch["output"]).endswith("/gate-my_tests_all.log")


def test_defining_and_choosing_gates(ws: FakeWorkspace) -> None:
    gates.add(ws, "lint", {"command": "ruff", "stages": ["pre-commit"], "required": True})
    with pytest.raises(ConflictError):
        gates.add(ws, "lint", {"command": "other"})
    ws.define_gate("tests")
    one = add(ws)
    assert [gate["name"] for gate in gates.select(ws, [], None, one)[0]] == ["tests"]
    assert [gate["name"] for gate in gates.select(ws, [], "pre-commit", None)[0]] == ["lint"]
    assert [gate["name"] for gate in gates.select(ws, ["tests"], None, None)[0]] == ["tests"]
    assert len(gates.select(ws, [], None, None)[0]) == 2


# Ends and beginnings again


def test_failing_retrying_and_reopening(ws: FakeWorkspace) -> None:
    one = add(ws)
    waiting = add(ws, after=(one,))
    assert tasks.fail(ws, [one], "broken", None)[0]["reason"] == "broken"
    assert queue.status(ws)["stuck"] == 1
    explanation = queue.explain(ws, waiting)
    assert "atms task retry" in str(explanation["waits_for"])
    assert tasks.retry(ws, [one], None)[0]["status"] == "queued"
    done(ws, one)
    assert tasks.reopen(ws, [one], "not good")[0]["completed_at"] is None
    assert tasks.have_ended(ws, [one]) is False
    assert tasks.is_running(ws, one) is False


def test_where_a_task_is_and_why(ws: FakeWorkspace) -> None:
    first, second = add(ws, priority="low", command="true"), add(ws, priority="high")
    explanation = queue.explain(ws, first)
    assert (explanation["rank"], explanation["waits_for"], explanation["base_priority"]) == (2, [], 1.0)
    ws.time.advance(86_400 * 3 + 1)
    third = add(ws, priority="critical")
    assert [queue.explain(ws, each)["rank"] for each in (second, first, third)] == [1, 2, 3]
    assert [task["id"] for task in queue.upcoming(ws, 2)] == [second, first]
    assert queue.next_task(ws)["id"] == second
    tasks.claim(ws, first, agent="anton", lease_s=None)
    assert queue.explain(ws, first)["rank"] is None


def test_numbers(ws: FakeWorkspace) -> None:
    one = add(ws)
    add(ws, after=(one,))
    add(ws, not_before=plus(ws.time.now(), 60))
    add(ws, draft=True)
    agents.register(ws, "anton", {"kind": "pull"})
    tasks.claim(ws, one, agent="anton", lease_s=None)
    numbers = queue.status(ws)
    assert (numbers["ready"], numbers["blocked"], numbers["delayed"], numbers["running"]) == (0, 1, 1, 1)
    whole = health.status(ws)
    counted = whole["tasks"]
    assert isinstance(counted, dict)
    assert counted["total"] == 4
    assert (counted["by_status"]["queued"], counted["by_status"]["created"]) == (2, 1)
    assert whole["agents"] == {"total": 1, "busy": 1, "by_status": {"busy": 1}}
    assert health.doctor(ws) == []


def test_the_doctor_says_where_locks_do_not_hold() -> None:
    ws = FakeWorkspace()
    ws.network = ("nfs4", "/home")
    (problem,) = health.doctor(ws)
    assert problem["check"] == "file system"
    assert "nfs4 (/home)" in str(problem["detail"])
    assert "atms sync" in str(problem["repair"])


def test_an_agent_that_is_heard_of_is_known_to_be_alive() -> None:
    ws = FakeWorkspace()
    agents.register(ws, "anton", {"kind": "pull"})
    ws.declare_agent("berta", command="work")
    assert agents.one(ws, "anton")["last_heartbeat"] is None
    ws.time.advance(60)
    for name in ("anton", "berta"):
        assert agents.beat(ws, name)["last_heartbeat"] == ws.time.now()
        assert agents.one(ws, name)["last_heartbeat"] == ws.time.now()
    assert [event["type"] for event in ws.store.reading().events_after("")] == ["agent.registered"]
    with pytest.raises(NotFoundError, match="no agent `carla`"):
        agents.beat(ws, "carla")


def test_agents_of_both_kinds(ws: FakeWorkspace) -> None:
    ws.declare_agent("carla", max_concurrent=2)
    agents.register(ws, "anton", {"kind": "pull"})
    agents.register(ws, "anton", {"kind": "pull"})
    assert [(agent["name"], agent["source"], agent["status"]) for agent in agents.everyone(ws)] == [
        ("anton", "registered", "initializing"), ("carla", "atms.yaml", "idle"),
    ]  # fmt: skip
    tasks.claim(ws, add(ws), agent="carla", lease_s=None)
    assert agents.one(ws, "carla")["status"] == "active"
    with pytest.raises(ConflictError):
        agents.remove(ws, "carla")
    agents.remove(ws, "anton")
    with pytest.raises(NotFoundError):
        agents.one(ws, "anton")
    assert happened(ws).count("agent.registered") == 1


# What the loop does with attempts


def dispatched(ws: FakeWorkspace) -> attempts.Start:
    with ws.store.writing("loop") as tx:
        force = attempts.workforce(ws, tx.read, 2, [])
        (start,) = attempts.dispatch(
            ws, tx, dispatch.upcoming(ws, tx.queue(ws.config["queue"]), force, tx.read.load(), 1, tx.now)
        )
    return start


def settled(ws: FakeWorkspace, start: attempts.Start, *, stopping: bool = False, **outcome: object) -> list[str]:
    given: JsonObject = {"status": "exited", **outcome}  # type: ignore[dict-item]
    with ws.store.writing("loop") as tx:
        done = settling.settle(ws, tx, start, gathering.hear(ws, start), given, stopping=stopping)
        return [gate["name"] for gate in done.judges]


def test_an_attempt_that_fails_is_tried_again_later_and_then_given_up(ws: FakeWorkspace) -> None:
    one = add(ws, command="false", max_attempts=2)
    start = dispatched(ws)
    assert settled(ws, start, exit_code=1) == []
    task = ws.store.reading().task(one)
    assert (task["status"], task["reason"]) == ("queued", "attempt 1 of 2: exit code 1")
    assert plus(ws.time.now(), 0.5) <= str(task["not_before"]) <= plus(ws.time.now(), 1)
    ws.time.advance(1)
    settled(ws, dispatched(ws), exit_code=1)
    assert status_of(ws, one) == "failed"
    assert [(each["number"], each["status"]) for each in ws.store.reading().attempts(one)] == [
        (1, "failed"),
        (2, "failed"),
    ]
    tasks.retry(ws, [one], None)
    settled(ws, dispatched(ws), exit_code=0)
    assert [each["status"] for each in ws.store.reading().attempts(one)] == ["failed", "failed", "succeeded"]


def test_an_attempt_that_is_no_longer_the_tasks_own_changes_nothing(ws: FakeWorkspace) -> None:
    one = add(ws, command="true")
    start = dispatched(ws)
    tasks.cancel(ws, [one], "not needed")
    before = happened(ws)
    assert settled(ws, start, exit_code=0) == []
    assert happened(ws) == before


def test_gates_judge_an_attempt_and_a_missing_gate_fails_it(ws: FakeWorkspace) -> None:
    ws.define_gate("tests")
    one = add(ws, command="true", validation_criteria={"gates": ["tests"]})
    del ws.config["gates"]["tests"]
    start = dispatched(ws)
    assert settled(ws, start, exit_code=0) == ["tests"]
    assert status_of(ws, one) == "validating"
    undefined = attempts.gates_of(ws, ws.store.reading().task(one))[0]
    assert "exit 1" in undefined["command"]


def test_stopping_gives_the_attempt_back(ws: FakeWorkspace) -> None:
    one = add(ws, command="sleep 100")
    settled(ws, dispatched(ws), stopping=True, status="killed")
    task = ws.store.reading().task(one)
    assert (task["status"], task["attempts"], task["not_before"]) == ("queued", 0, None)
