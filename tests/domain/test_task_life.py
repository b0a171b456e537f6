"""The life of a task: whatever is decided can be folded, and no order of events breaks what must hold."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import decisions, foreign
from atms_cli.domain import task as tasks
from atms_cli.domain.moment import plus
from atms_cli.domain.task import ACTIVE, CLOSED, EVENTS, STATUSES, TRANSITIONS
from atms_cli.errors import AtmsError, ConflictError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from atms_cli.domain.records import Event, Fact, JsonObject, Lease, Task

START = "2026-01-02T03:04:05.000Z"
_numbers = itertools.count()


def event_of(fact: Fact, at: str = START) -> Event:
    kind, key, data = fact
    return {
        "v": 1,
        "id": f"{next(_numbers):013d}replica1",
        "at": at,
        "type": kind,
        "key": key,
        "actor": "ann",
        "data": data,
    }


def folded(task: Task | None, facts: Sequence[Fact], at: str = START) -> Task:
    for fact in facts:
        task = tasks.evolve(task, event_of(fact, at))
    assert task is not None
    return task


def born(*, draft: bool = False, **fields: object) -> Task:
    given: JsonObject = {"title": "Work", **fields}  # type: ignore[dict-item]
    return folded(None, decisions.create("t1", given, created_by="ann", draft=draft))


def lease_of(agent: str, now: str, seconds: float = 60) -> Lease:
    return {"agent": agent, "token": f"token-{agent}-{now}", "expires_at": plus(now, seconds)}


def check_invariants(task: Task) -> None:
    """Every live task is in exactly one place, and what has ended is in nobody's hands."""
    status = task["status"]
    if status == "assigned":
        assert task["lease"] is not None
        assert task["assigned_agent"] == task["lease"]["agent"]
    if status in ("in_progress", "validating"):
        assert task["assigned_agent"] is not None or status == "validating"
        assert task["attempts"] > 0 or status == "validating"
    if status not in ACTIVE and status != "review":
        assert task["lease"] is None
        assert task["run"] is None
    if status == "queued":
        assert task["queued_at"] is not None
        assert task["assigned_agent"] is None
        assert task["completed_at"] is task["cancelled_at"] is task["failed_at"] is None
    if status == "completed":
        assert task["completed_at"] is not None
    if status == "failed":
        assert task["failed_at"] is not None
    if status == "cancelled":
        assert task["cancelled_at"] is not None


AGENTS = ("anton", "berta")


def _starting(agent: str, run: str | None) -> Callable[[Task, str], list[Fact]]:
    def start(task: Task, now: str) -> list[Fact]:
        decisions.guard(task, agent, None, now)
        return decisions.start(task, agent=agent, run=run, blocked_by=())

    return start


def _renewing(task: Task, now: str) -> list[Fact]:
    return decisions.renew(task, plus(now, 120), now)


DECISIONS: tuple[Callable[[Task, str], list[Fact]], ...] = (
    *(lambda task, now, agent=agent: decisions.claim(task, lease_of(agent, now), (), now) for agent in AGENTS),
    *(_starting(agent, run) for agent in AGENTS for run in (None, "run1")),
    _renewing,
    decisions.expire,
    lambda task, _: decisions.release(task, "given back"),
    lambda task, _: decisions.validate(task),
    lambda task, _: decisions.judged(task, {"validation": {"passed": False}}),
    lambda task, now: decisions.complete(task, {"by": "ann"}, now),
    lambda task, _: decisions.fail(task, "broken"),
    lambda task, _: decisions.cancel(task, None),
    lambda task, now: decisions.retry(task, "again", not_before=plus(now, 5)),
    lambda task, _: decisions.retry_from_scratch(task, None),
    lambda task, _: decisions.reopen(task, "not good"),
    lambda task, _: decisions.update(task, {"title": f"{task['title'][:20]}!", "priority": "high", "not_before": None}),
    lambda task, _: decisions.link(task, "t2"),
    lambda task, _: decisions.unlink(task, "t2"),
)
steps = st.lists(st.tuples(st.sampled_from(DECISIONS), st.sampled_from((0.0, 1.0, 59.0, 61.0, 600.0))), max_size=25)


@given(draft=st.booleans(), walk=steps)
def test_whatever_is_decided_is_folded_and_keeps_the_invariants(
    draft: bool,  # noqa: FBT001  Hypothesis fills it
    walk: list[tuple[Callable[[Task, str], list[Fact]], float]],
) -> None:
    task, now = born(draft=draft), START
    for decide, seconds in walk:
        now = plus(now, seconds)
        try:
            facts = decide(task, now)
        except AtmsError:
            continue
        for fact in facts:
            before, event = task["status"], event_of(fact, now)
            after = tasks.evolve(task, event)
            assert after is not None
            assert after is not task, f"{fact[0]} was decided on a {before} task but changes nothing"
            wanted = EVENTS[fact[0]][0]
            assert after["status"] == (before if wanted is None else wanted)
            assert after["status"] == before or after["status"] in TRANSITIONS[before]
            task = after
            check_invariants(task)
        assert decide is not _renewing or task["lease"] is not None


@given(draft=st.booleans(), walk=steps, order=st.randoms(use_true_random=False))
def test_events_in_any_order_never_break_the_table(
    draft: bool,  # noqa: FBT001  Hypothesis fills it
    walk: list[tuple[Callable[[Task, str], list[Fact]], float]],
    order: Random,
) -> None:
    """Clones decide without knowing of each other: the same facts arrive in an order nobody decided on."""
    now, facts = START, []
    task = born(draft=draft)
    for decide, seconds in walk:
        now = plus(now, seconds)
        with contextlib.suppress(AtmsError):
            facts += [(fact, now) for fact in decide(task, now)]
            task = folded(task, [fact for fact, at in facts if at == now], now)
    order.shuffle(facts)
    mixed = born(draft=draft)
    for fact, at in facts:
        before = mixed["status"]
        evolved = tasks.evolve(mixed, event_of(fact, at))
        assert evolved is not None
        mixed = evolved
        assert mixed["status"] == before or mixed["status"] in TRANSITIONS[before]
        if mixed["status"] not in ACTIVE:
            assert mixed["lease"] is None
        if mixed["status"] == "queued":
            assert mixed["queued_at"] is not None


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", [kind for kind, (status, _) in EVENTS.items() if status])
def test_an_event_that_the_table_forbids_changes_nothing(status: str, kind: str) -> None:
    task: Task = {**born(), "status": status}  # type: ignore[typeddict-item]
    data: JsonObject = {"lease": None, "assigned_agent": "anton", "attempts": 1, "run": None, "reason": "because"}
    after = tasks.evolve(task, event_of((kind, "t1", data), plus(START, 5)))
    wanted = EVENTS[kind][0]
    assert after is not None
    if wanted in TRANSITIONS[status]:
        assert after["status"] == wanted
    else:
        assert after is task


def test_the_table_is_closed() -> None:
    assert {after for follow in TRANSITIONS.values() for after in follow} <= set(STATUSES)
    assert {status for status, _ in EVENTS.values() if status} <= set(STATUSES)
    assert set(CLOSED) | set(ACTIVE) < set(STATUSES)


def test_events_of_a_task_that_is_not_known_change_nothing() -> None:
    assert tasks.evolve(None, event_of(("task.completed", "t1", {}))) is None
    task = born()
    assert tasks.evolve(task, event_of(("task.from_the_future", "t1", {"title": "no"}))) is task
    assert tasks.evolve(task, event_of(("task.created", "t1", {"title": "again"}))) is task


def test_a_new_task_has_all_fields_and_holds_only_what_differs() -> None:
    (fact,) = decisions.create(
        "t1", {"title": "Work", "priority": "medium", "tags": ["a"]}, created_by="ann", draft=False
    )
    assert fact == ("task.created", "t1", {"title": "Work", "tags": ["a"], "metadata": {"created_by": "ann"}})
    task = folded(None, [fact])
    assert set(tasks.DEFAULTS) <= set(task)
    assert (task["status"], task["queued_at"], task["created_at"]) == ("queued", START, START)
    assert task["context"]["environment"] == {}
    assert task["validation_criteria"] == {"gates": [], "success_criteria": [], "commands": []}


@pytest.mark.parametrize("title", ["", "   ", "x" * 501, None, 5])
def test_a_title_must_be_a_title_when_made_and_when_changed(title: str) -> None:
    with pytest.raises(UsageError):
        decisions.create("t1", {"title": title}, created_by="ann", draft=False)
    with pytest.raises(UsageError):
        decisions.update(born(), {"title": title})


@pytest.mark.parametrize(
    "fields",
    [
        {"priority": "urgent"},
        {"category": "x"},
        {"complexity": "x"},
        {"estimated_effort": -1},
        {"max_attempts": 0},
        {"timeout": -0.1},
    ],
)
def test_values_out_of_their_set_are_refused(fields: JsonObject) -> None:
    with pytest.raises(UsageError):
        decisions.create("t1", {"title": "x", **fields}, created_by="ann", draft=False)


def test_update_says_only_what_differs_and_leaves_the_status_alone() -> None:
    task = born(priority="high")
    assert decisions.update(task, {"priority": "high"}) == []
    assert decisions.update(task, {"priority": "low", "description": ""}) == [
        ("task.updated", "t1", {"priority": "low"})
    ]
    with pytest.raises(UsageError):
        decisions.update(task, {"status": "completed"})


def test_claiming_again_renews_under_the_same_token() -> None:
    task = folded(born(), decisions.claim(born(), lease_of("anton", START), (), START))
    later = plus(START, 50)
    renewed = folded(task, decisions.claim(task, lease_of("anton", later), (), later), later)
    assert task["lease"] is not None
    assert renewed["lease"] == {**task["lease"], "expires_at": plus(later, 60)}
    with pytest.raises(ConflictError, match="claimed by anton"):
        decisions.claim(renewed, lease_of("berta", later), (), later)


def test_a_lease_that_ended_is_anyones() -> None:
    task = folded(born(), decisions.claim(born(), lease_of("anton", START), (), START))
    later = plus(START, 60)
    facts = decisions.claim(task, lease_of("berta", later), (), later)
    assert [fact[0] for fact in facts] == ["task.lease_expired", "task.claimed"]
    taken = folded(task, facts, later)
    assert taken["assigned_agent"] == "berta"
    with pytest.raises(ConflictError, match="no longer yours"):
        decisions.guard(taken, "anton", "token-anton-" + START, later)


def test_starting_over_an_ended_lease_shuts_its_holder_out() -> None:
    task = folded(born(), decisions.claim(born(), lease_of("anton", START), (), START))
    later = plus(START, 61)
    started = folded(task, decisions.start(task, agent="berta", run=None, blocked_by=()), later)
    assert started["lease"] is None
    assert decisions.expire(started, plus(later, 1000)) == []
    with pytest.raises(ConflictError):
        decisions.guard(started, "anton", f"token-anton-{START}", later)


def test_starting_ones_own_claim_keeps_the_lease() -> None:
    task = folded(born(), decisions.claim(born(), lease_of("anton", START), (), START))
    started = folded(task, decisions.start(task, agent="anton", run=None, blocked_by=()))
    assert started["lease"] == task["lease"]
    assert decisions.start(started, agent="anton", run=None, blocked_by=()) == []


def test_a_renewal_that_gains_little_is_not_an_event() -> None:
    task = folded(born(), decisions.claim(born(), lease_of("anton", START, 1800), (), START))
    soon = plus(START, 10)
    assert decisions.renew(task, plus(soon, 1800), soon) == []
    later = plus(START, 900)
    assert [fact[0] for fact in decisions.renew(task, plus(later, 1800), later)] == ["task.renewed"]


def test_a_renewal_that_arrives_after_the_end_is_superseded() -> None:
    task = folded(born(), decisions.claim(born(), lease_of("anton", START), (), START))
    renewal = decisions.renew(task, plus(START, 300), START)
    done = folded(task, decisions.complete(task, {}, START))
    assert folded(done, renewal)["lease"] is None


def test_a_draft_that_was_started_and_given_back_has_a_place_in_the_queue() -> None:
    draft = born(draft=True)
    started = folded(draft, decisions.start(draft, agent="anton", run=None, blocked_by=()), plus(START, 1))
    back = folded(started, decisions.release(started, None), plus(START, 2))
    assert back["queued_at"] == plus(START, 2)


def test_a_retry_keeps_the_place_and_the_count_but_a_persons_starts_anew() -> None:
    task = folded(born(), decisions.start(born(), agent="shell", run="r1", blocked_by=()), plus(START, 1))
    again = folded(task, decisions.retry(task, "exit code 1", not_before=plus(START, 9)), plus(START, 2))
    assert (again["status"], again["attempts"], again["queued_at"], again["not_before"], again["reason"]) == (
        "queued", 1, START, plus(START, 9), "exit code 1",
    )  # fmt: skip
    failed = folded(task, decisions.fail(task, "broken"), plus(START, 2))
    assert failed["run"] is None
    anew = folded(failed, decisions.retry_from_scratch(failed, None), plus(START, 3))
    assert (anew["attempts"], anew["failed_at"], anew["reason"]) == (0, None, None)


def test_undoing_a_start_gives_the_attempt_back() -> None:
    task = folded(born(), decisions.start(born(), agent="shell", run="r1", blocked_by=()))
    undone = folded(task, decisions.undo_start(task, "stopped"))
    assert (undone["status"], undone["attempts"], undone["run"]) == ("queued", 0, None)


def test_completing_measures_the_effort_unless_it_was_given() -> None:
    task = folded(born(), decisions.start(born(), agent="ann", run=None, blocked_by=()))
    ((_, _, data),) = decisions.complete(task, {}, plus(START, 600))
    assert data["actual_effort"] == 10
    ((_, _, given),) = decisions.complete({**task, "actual_effort": 3}, {}, plus(START, 600))
    assert "actual_effort" not in given


def test_repeating_what_is_true_is_nothing_to_record() -> None:
    task = born()
    done = folded(task, decisions.complete(task, {}, START))
    assert decisions.complete(done, {}, START) == []
    cancelled = folded(task, decisions.cancel(task, None))
    assert decisions.cancel(cancelled, None) == []
    failed = folded(task, decisions.fail(task, None))
    assert decisions.fail(failed, None) == []
    assert decisions.release(task, None) == decisions.reopen(task, None) == decisions.retry(task, None) == []


def test_waiting_tasks_can_be_neither_claimed_nor_started() -> None:
    with pytest.raises(AtmsError, match="waits for t0"):
        decisions.claim(born(), lease_of("anton", START), ["t0"], START)
    with pytest.raises(AtmsError, match="waits for t0"):
        decisions.start(born(), agent="anton", run=None, blocked_by=["t0"])


def test_a_reopened_and_cancelled_task_no_longer_counts_as_met() -> None:
    task = born()
    done = folded(task, decisions.complete(task, {}, START))
    assert tasks.is_met(done)
    archived: Task = {**done, "status": "archived"}
    assert tasks.is_met(archived)
    reopened = folded(done, decisions.reopen(done, None))
    assert not tasks.is_met(reopened)
    given_up: Task = {**folded(reopened, decisions.cancel(reopened, None)), "status": "archived"}
    assert not tasks.is_met(given_up)


def refused(attempt: Callable[[], list[Fact]]) -> AtmsError | None:
    try:
        attempt()
    except AtmsError as refusal:
        return refusal
    return None


@pytest.mark.parametrize("status", STATUSES)
def test_every_refusal_says_what_to_do_and_nothing_destructive(status: str) -> None:
    task: Task = {**born(), "status": status}  # type: ignore[typeddict-item]
    attempts: tuple[Callable[[], list[Fact]], ...] = (
        lambda: decisions.complete(task, {}, START),
        lambda: decisions.fail(task, None),
        lambda: decisions.cancel(task, None),
        lambda: decisions.release(task, None),
        lambda: decisions.reopen(task, None),
        lambda: decisions.retry_from_scratch(task, None),
        lambda: decisions.validate(task),
        lambda: decisions.start(task, agent="x", run=None, blocked_by=()),
    )
    for refusal in filter(None, map(refused, attempts)):
        assert "`t1` is" in refusal.message
        assert refusal.hint.endswith("t1")
        assert not {"rm", "delete", "--force"} & set(refusal.hint.split())


def test_an_imported_task_is_as_it_was_but_in_nobodys_hands() -> None:
    task = folded(born(tags=["x"]), decisions.claim(born(), lease_of("anton", START), (), START))
    original: JsonObject = {**task, "history": [], "blocked_by": []}  # type: ignore[dict-item]
    again = folded(None, [foreign.imported("t9", original)], plus(START, 99))
    assert again == {**task, "id": "t9", "status": "queued", "assigned_agent": None, "lease": None}
    check_invariants(again)
    done = folded(task, decisions.complete(task, {}, START))
    assert folded(None, [foreign.imported("t9", {**done})], plus(START, 99)) == {**done, "id": "t9"}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "original",
    [
        {"title": "t"},
        {"title": "t", "status": "in_progress"},
        {"title": "t", "status": "created", "tags": None, "context": {"environment": {"A": "1"}}},
        {"title": "t", "priority": None, "from": "elsewhere"},
    ],
)
def test_an_imported_task_may_lack_anything_but_its_title(original: JsonObject) -> None:
    task = folded(None, [foreign.imported("t9", original)])
    check_invariants(task)
    assert task["created_at"] == task["updated_at"] == START
    assert set(task["context"]) == set(born()["context"])


@pytest.mark.parametrize(
    "change",
    [
        {"title": 5},
        {"title": ""},
        {"status": "banana"},
        {"priority": "urgent"},
        {"tags": "ab"},
        {"dependencies": {}},
        {"attempts": "one"},
        {"queued_at": 5},
        {"updated_at": "yesterday"},
        {"deadline": "2026-02-30"},
        {"context": []},
    ],
)
def test_what_no_task_can_hold_is_not_imported(change: JsonObject) -> None:
    with pytest.raises(UsageError):
        foreign.imported("t9", {"title": "t", **change})
