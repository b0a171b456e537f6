"""How agents are: heard of or not, at work, halted, disabled; and that each change is on record once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from atms_cli.domain import agent as rules
from atms_cli.errors import AtmsError, ConflictError, NotFoundError, NothingToDoError
from atms_cli.services import agents, attempts, dispatch, gathering, health, queue, settling, tasks, undo
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject


@pytest.fixture
def ws() -> FakeWorkspace:
    ws = FakeWorkspace()
    agents.register(ws, "petra", {"kind": "pull"})
    agents.register(ws, "worker", {"command": "work"})
    return ws


def add(ws: FakeWorkspace, **fields: object) -> str:
    given: JsonObject = {"title": "Work", **fields}  # type: ignore[dict-item]
    return tasks.add(ws, given, after=(), draft=False)["id"]


def status(ws: FakeWorkspace, name: str = "petra") -> str:
    return agents.one(ws, name)["status"]


def waits_for(ws: FakeWorkspace, task_id: str) -> list[JsonObject]:
    found = queue.explain(ws, task_id)["waits_for"]
    assert isinstance(found, list)
    return found


def happened(ws: FakeWorkspace, name: str = "petra") -> list[str]:
    return [event["type"] for event in ws.store.reading().history(name) if event["type"] != "agent.registered"]


def look(ws: FakeWorkspace) -> list[JsonObject]:
    with ws.store.writing("somebody") as tx:
        return agents.notice_silence(ws, tx)


def test_every_status_follows_from_what_is_on_record() -> None:
    """The first that holds: disabled and done, halted, silent, at work, never seen."""
    draining: JsonObject = {"finishes": True}
    waiting: JsonObject = {"until": "2030"}
    puller, starter = rules.anonymous("p"), rules.declared("w", {"command": "x", "max_concurrent": 2})
    forever: JsonObject = {"until": None}
    found = {
        rules.status(
            agent,
            rules.Presence(active=active, halted=halted, disabled=disabled, is_offline=is_offline, was_seen=was_seen),
        )
        for agent, active, halted, disabled, is_offline, was_seen in itertools.product(
            (puller, starter), (0, 1, 2), (None, forever, waiting), (None, draining), (False, True), (False, True)
        )
    }  # fmt: skip
    assert found == rules.STATUSES.keys()
    at_work = rules.Presence(active=1, halted=None, disabled=draining, is_offline=False, was_seen=True)
    assert rules.status(starter, at_work) == "active"


def test_from_the_first_sign_of_life_to_silence_and_back(ws: FakeWorkspace) -> None:
    assert (status(ws), status(ws, "worker")) == ("initializing", "idle")
    agents.beat(ws, "petra")
    assert status(ws) == "idle"
    one = add(ws)
    tasks.claim(ws, one, agent="petra", lease_s=None)
    assert status(ws) == "busy"
    tasks.done(ws.acting_as("petra"), [one], token=None, force_reason=None, note=None)
    ws.time.advance(3601)
    assert status(ws) == "offline"
    assert happened(ws) == [], "who only reads records nothing"
    (news,) = look(ws)
    assert (news["type"], news["agent"]) == ("offline", "petra")
    assert look(ws) == []
    agents.beat(ws, "petra")
    assert status(ws) == "idle"
    agents.beat(ws, "petra")
    assert happened(ws) == ["agent.offline", "agent.recovered"]


def test_whatever_an_agent_does_brings_it_back(ws: FakeWorkspace) -> None:
    one = add(ws)
    tasks.claim(ws, one, agent="petra", lease_s=10_000)
    for back in (
        lambda: tasks.heartbeat(ws.acting_as("petra"), one, token=None, lease_s=10_000),
        lambda: tasks.claim(ws, one, agent="petra", lease_s=10_000),
        lambda: agents.beat(ws, "petra"),
    ):
        ws.time.advance(3601)
        assert len(look(ws)) == 1
        back()
    assert happened(ws) == ["agent.offline", "agent.recovered"] * 3


def test_who_finds_leases_that_have_ended_notes_who_is_gone(ws: FakeWorkspace) -> None:
    one = add(ws)
    tasks.claim(ws, one, agent="petra", lease_s=None)
    ws.time.advance(3601)
    tasks.claim(ws, None, agent="somebody else", lease_s=None)
    assert happened(ws) == ["agent.offline"]


def test_the_time_may_jump_as_it_likes(ws: FakeWorkspace) -> None:
    """A sign of life from a clock that was ahead counts from now on; one change is one event."""
    ws.time.advance(86_400)
    agents.beat(ws, "petra")
    ws.time.advance(-86_400)
    assert look(ws) == []
    assert status(ws) == "idle"
    ws.time.advance(3601)
    assert len(look(ws)) == 1
    ws.time.advance(-7200)
    assert look(ws) == []
    assert status(ws) == "offline", "until it is heard of"
    agents.beat(ws, "petra")
    assert happened(ws) == ["agent.offline", "agent.recovered"]
    assert status(ws) == "idle"


def test_who_is_started_by_the_loop_need_give_no_sign_of_life(ws: FakeWorkspace) -> None:
    agents.beat(ws, "worker")
    agents.beat(ws, "petra")
    agents.remove(ws, "petra")
    ws.time.advance(1e6)
    assert look(ws) == []
    assert status(ws, "worker") == "idle"


def test_who_is_disabled_gives_back_what_it_has_and_gets_nothing_more(ws: FakeWorkspace) -> None:
    one, two = add(ws), add(ws, agent="petra")
    token = tasks.claim(ws, one, agent="petra", lease_s=None)["lease"]
    assert agents.disable(ws, "petra", "on leave", finishes=False)["status"] == "terminated"
    task = ws.store.reading().task(one)
    assert (task["status"], task["reason"], task["lease"]) == ("queued", "petra was disabled", None)
    assert token is not None
    with pytest.raises(ConflictError):
        tasks.done(ws.acting_as("petra"), [one], token=token["token"], force_reason=None, note=None)
    with pytest.raises(NothingToDoError, match=r"the agent petra is disabled \(on leave\)") as caught:
        tasks.claim(ws, None, agent="petra", lease_s=None)
    assert caught.value.hint == "let it work again: atms agent enable petra"
    with pytest.raises(ConflictError, match="`petra` is disabled"):
        tasks.claim(ws, two, agent="petra", lease_s=None)
    agents.disable(ws, "petra", "again", finishes=True)
    assert agents.enable(ws, "petra")["status"] == "idle"
    agents.enable(ws, "petra")
    assert happened(ws) == ["agent.disabled", "agent.enabled"]


def begin(ws: FakeWorkspace) -> list[attempts.Start]:
    with ws.store.writing("loop") as tx:
        force = attempts.workforce(ws, tx.read, 2, [])
        chosen = dispatch.upcoming(ws, tx.queue(ws.config["queue"]), force, tx.read.load(), 1, tx.now)
        return attempts.dispatch(ws, tx, chosen)


def test_who_is_drained_finishes_what_it_has(ws: FakeWorkspace) -> None:
    one, two = add(ws), add(ws)
    (begun,) = begin(ws)
    assert begun.task["id"] == one
    assert agents.disable(ws, "worker", None, finishes=True)["status"] == "busy"
    assert begin(ws) == []
    assert ws.store.reading().task(one)["status"] == "in_progress"
    (held,) = waits_for(ws, two)
    assert held == {"kind": "disabled", "scope": "agent worker", "text": "the agent worker is disabled", "until": None}
    outcome: JsonObject = {"status": "exited", "exit_code": 0}
    with ws.store.writing("loop") as tx:
        settling.settle(ws, tx, begun, gathering.gather(ws, begun, outcome), outcome, stopping=False)
    assert status(ws, "worker") == "terminated"


def test_what_a_loop_runs_of_a_disabled_agent_was_no_attempt(ws: FakeWorkspace) -> None:
    one = add(ws)
    begin(ws)
    agents.disable(ws, "worker", None, finishes=True)
    agents.disable(ws, "worker", None, finishes=False)
    task = ws.store.reading().task(one)
    assert (task["status"], task["attempts"], task["run"]) == ("queued", 0, None)
    assert happened(ws, "worker") == ["agent.disabled", "agent.disabled"]
    assert health.status(ws)["agents"] == {"total": 2, "busy": 0, "by_status": {"initializing": 1, "terminated": 1}}


def test_people_decide_who_works(ws: FakeWorkspace) -> None:
    with pytest.raises(AtmsError, match="agents cannot disable"):
        agents.disable(ws.acting_as("petra"), "worker", None, finishes=False)
    with pytest.raises(AtmsError, match="agents cannot enable"):
        agents.enable(ws.acting_as("petra"), "worker")
    with pytest.raises(NotFoundError):
        agents.disable(ws, "nobody", None, finishes=False)


def test_a_removed_agent_that_comes_again_begins_anew(ws: FakeWorkspace) -> None:
    agents.beat(ws, "petra")
    agents.disable(ws, "petra", None, finishes=True)
    ws.time.advance(3601)
    look(ws)
    agents.remove(ws, "petra")
    agents.register(ws, "petra", {"kind": "pull"})
    assert status(ws) == "initializing"
    agents.beat(ws, "petra")
    assert status(ws) == "idle"


def test_who_is_changed_was_heard_of_all_the_same(ws: FakeWorkspace) -> None:
    agents.beat(ws, "petra")
    ws.time.advance(60)
    assert agents.update(ws, "petra", {"rate": "1/1h"})["status"] == "idle"


def test_an_agent_that_cannot_be_told_anything_shows_it(ws: FakeWorkspace) -> None:
    ws.templates.files["mine.md"] = "{{ task.titel }}"
    agents.update(ws, "worker", {"prompt": "mine.md"})
    worker = agents.one(ws, "worker")
    assert worker["status"] == "error"
    assert "`task.titel` is not known" in str(worker["halted"])
    (held,) = waits_for(ws, add(ws))
    assert held["kind"] == "prompt"
    assert dispatch.way_on(held) == "mend its template; see: atms config validate"


def test_disabling_is_taken_back_with_all_that_it_did(ws: FakeWorkspace) -> None:
    one = add(ws)
    tasks.claim(ws, one, agent="petra", lease_s=None)
    ws.time.advance(1)
    agents.disable(ws, "petra", "by mistake", finishes=False)
    assert undo.undo(ws, 1)[0]["events"] == [f"task.released {one}", "agent.disabled petra"]
    assert (status(ws), ws.store.reading().task(one)["status"]) == ("busy", "assigned")
    ws.time.advance(1)
    agents.disable(ws, "petra", "meant so", finishes=True)
    ws.time.advance(1)
    agents.enable(ws, "petra")
    ws.time.advance(1)
    undo.undo(ws, 1)
    assert agents.one(ws, "petra")["disabled"] == {
        "reason": "meant so", "finishes": True, "undoes": [event["id"] for event in ws.store.reading().history("petra")][-2:-1],
    }  # fmt: skip


def test_what_was_only_noted_is_in_nobodys_way(ws: FakeWorkspace) -> None:
    one = add(ws)
    agents.beat(ws, "petra")
    ws.time.advance(3601)
    tasks.update(ws, [one], {"title": "Other"}, tags=[], untags=[])
    ws.time.advance(1)
    look(ws)
    agents.beat(ws, "petra")
    undo.undo(ws, 1)
    assert ws.store.reading().task(one)["title"] == "Work"
