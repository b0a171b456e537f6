"""Agents that are started through a driver: sessions, limits, refusals, and what they are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.domain import gate as gates
from atms_cli.domain import streams
from atms_cli.domain.budget import Spent
from atms_cli.domain.hearing import Hearing
from atms_cli.domain.moment import plus, to_ms
from atms_cli.domain.watching import Limit
from atms_cli.errors import AtmsError, NotFoundError, UsageError
from atms_cli.services import (
    agents,
    attempts,
    dispatch,
    drivers,
    gathering,
    halting,
    isolation,
    leftovers,
    preview,
    progress,
    settling,
    tasks,
    watching,
)
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject, Task

WORKED = {"type": "assistant", "message": {}}
DONE: JsonObject = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "All done.",
    "usage": {"output_tokens": 7},
}
LIMITED = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429, "result": "slow down"}
NOT_LOGGED_IN = {"type": "assistant", "error": "authentication_failed"}
OUT_OF_MONEY = {"type": "result", "subtype": "error_max_budget_usd", "is_error": True}


@pytest.fixture
def ws() -> FakeWorkspace:
    ws = FakeWorkspace()
    agents.register(ws, "clara", {"kind": "claude"})
    return ws


def add(ws: FakeWorkspace, title: str = "Work", *, after: tuple[str, ...] = (), **fields: object) -> str:
    given: JsonObject = {"title": title, **fields}  # type: ignore[dict-item]
    return tasks.add(ws, given, after=after, draft=False)["id"]


def start(ws: FakeWorkspace) -> attempts.Start | None:
    """Begin what the loop would begin now."""
    with ws.store.writing("loop") as tx:
        force = attempts.workforce(ws, tx.read, 2, [])
        chosen = dispatch.upcoming(ws, tx.queue(ws.config["queue"]), force, tx.read.load(), 1, tx.now)
        return next(iter(attempts.dispatch(ws, tx, chosen)), None)


def attempt(
    ws: FakeWorkspace, *said: object, code: int = 0, status: str = "exited", stopping: bool = False, error: str = ""
) -> tuple[JsonObject, settling.Settled]:
    """Let an attempt print events and end; return how it was started and what came of it."""
    begun = start(ws)
    assert begun is not None
    launch = attempts.launch(ws, begun, ws.root)
    session = next((word for word in words(launch)[::-1] if "session" in word), "s1")
    events = [{"type": "system", "subtype": "init", "session_id": session}, *said]
    ws.run_files.files[ws.run_files.path(begun.run, attempts.OUTPUT)] = "\n".join(
        each if isinstance(each, str) else json.dumps(each) for each in events
    )
    outcome: JsonObject = {"status": status, "exit_code": code, "duration_s": 1.0, "error": error}
    with ws.store.writing("loop") as tx:
        settled = settling.settle(ws, tx, begun, gathering.hear(ws, begun), outcome, stopping=stopping)
    return launch, settled


def words(launch: JsonObject) -> list[str]:
    assert isinstance(launch["argv"], list)
    return [str(word) for word in launch["argv"]]


def told(ws: FakeWorkspace, launch: JsonObject) -> str:
    return ws.run_files.files[str(launch["input"])]


def task_of(ws: FakeWorkspace, task_id: str) -> Task:
    return ws.store.reading().task(task_id)


def result_of(ws: FakeWorkspace, task_id: str) -> Any:  # noqa: ANN401  JSON
    return task_of(ws, task_id)["result"]


def test_an_agent_that_got_through(ws: FakeWorkspace) -> None:
    one = add(ws, "Do it", description="All of it.")
    launch, settled = attempt(ws, WORKED, DONE)
    assert settled.trouble is None
    assert words(launch)[:2] == ["claude", "-p"]
    assert words(launch)[-2] == "--session-id"
    assert told(ws, launch).startswith("# Do it\n\nAll of it.\n")
    assert isinstance(launch["env"], dict)
    assert launch["env"]["NO_COLOR"] == "1"
    assert task_of(ws, one)["status"] == "completed"
    assert result_of(ws, one)["report"]["text"] == "All done."
    assert result_of(ws, one)["usage"]["output_tokens"] == 7
    assert (result_of(ws, one)["agent"], result_of(ws, one)["session"]) == ("clara", words(launch)[-1])


def test_what_it_said_at_the_end_is_told_to_who_comes_after(ws: FakeWorkspace) -> None:
    one = add(ws, "First")
    two = add(ws, "Second", after=(one,))
    attempt(ws, WORKED, DONE)
    assert "## What came of: First\n\nAll done.\n" in str(preview.of(ws, two)["prompt"])


def test_after_a_failure_it_goes_on_in_its_session(ws: FakeWorkspace) -> None:
    one = add(ws, max_attempts=2)
    first, _ = attempt(ws, WORKED, "Traceback: boom", code=1)
    assert (
        task_of(ws, one)["reason"]
        == "attempt 1 of 2: clara: it ended without saying how it went (exit code 1): Traceback: boom"
    )
    ws.time.advance(1)
    again, _ = attempt(ws, WORKED, code=1)
    assert words(again)[-2:] == ["--resume", words(first)[-1]]
    assert told(ws, again).startswith(
        "Go on with the task: Work. It is not done yet.\n\nWhat was in the way: attempt 1 of 2"
    )
    assert "Traceback: boom" in told(ws, again)
    assert task_of(ws, one)["status"] == "failed"
    tasks.retry(ws, [one], reason=None)
    anew, _ = attempt(ws, WORKED, DONE)
    assert words(anew)[-2] == "--session-id", "who tries again what was given up begins anew"


def test_a_session_in_which_nothing_happened_is_not_gone_on_with(ws: FakeWorkspace) -> None:
    add(ws, max_attempts=3)
    attempt(ws, code=1)
    ws.time.advance(1)
    again, _ = attempt(ws, WORKED, DONE)
    assert words(again)[-2] == "--session-id"


def test_a_session_is_gone_on_with_so_many_times(ws: FakeWorkspace) -> None:
    add(ws, max_attempts=100)
    ws.config["execution"]["retry_delay_max"] = 1.0
    begun = []
    for _ in range(drivers.MOST_CONTINUATIONS + 2):
        launch, _settled = attempt(ws, WORKED, code=1)
        begun.append(words(launch)[-2])
        ws.time.advance(1)
    assert begun == ["--session-id", *["--resume"] * drivers.MOST_CONTINUATIONS, "--session-id"]


def test_another_agent_does_not_go_on_in_it(ws: FakeWorkspace) -> None:
    add(ws, max_attempts=3)
    attempt(ws, WORKED, code=1)
    agents.remove(ws, "clara")
    agents.register(ws, "bert", {"kind": "claude"})
    ws.time.advance(1)
    assert words(attempt(ws, WORKED, DONE)[0])[-2] == "--session-id"


def test_gates_that_do_not_pass_are_told_in_the_session(ws: FakeWorkspace) -> None:
    ws.define_gate("tests", command="pytest")
    add(ws)
    begun = start(ws)
    assert begun is not None
    launch = attempts.launch(ws, begun, ws.root)
    output = ws.run_files.path(begun.run, attempts.OUTPUT)
    ws.run_files.files[output] = "\n".join(
        json.dumps(each) for each in ({**DONE, "session_id": words(launch)[-1]}, WORKED)
    )
    with ws.store.writing("loop") as tx:
        settled = settling.settle(
            ws,
            tx,
            begun,
            gathering.hear(ws, begun),
            {"status": "exited", "exit_code": 0},
            stopping=False,
        )
        (judge,) = settled.judges
        log = f"/nowhere/runs/{begun.run}/gate-tests.log"
        failed = gates.judge(judge, {"status": "exited", "exit_code": 1, "duration_s": 1.0}, log)
        settling.settle_gates(ws, tx, begun, gathering.hear(ws, begun), gates.verdict([failed]), stopping=False)
    ws.run_files.files[ws.run_files.path(begun.run, "gate-tests.log")] = "test_x.py:3: assert 1 == 2"
    ws.time.advance(1)
    again, _ = attempt(ws, WORKED, DONE)
    assert words(again)[-2:] == ["--resume", words(launch)[-1]]
    assert "test_x.py:3: assert 1 == 2" in told(ws, again)


def test_a_limit_lets_the_agent_wait_and_does_not_count(ws: FakeWorkspace) -> None:
    one = add(ws)
    until = plus(ws.time.now(), 7200)
    resets = {
        "type": "rate_limit_event",
        "rate_limit_info": {"status": "rejected", "resetsAt": ws.time.now_ms() // 1000 + 7200},
    }
    first, settled = attempt(ws, WORKED, resets, LIMITED, code=1)
    assert settled.trouble is not None
    assert (task_of(ws, one)["status"], task_of(ws, one)["attempts"], task_of(ws, one)["not_before"]) == (
        "queued",
        0,
        None,
    )
    shown = agents.one(ws, "clara")
    assert (shown["status"], shown["halted"]["until"]) == ("blocked", until)  # type: ignore[index]
    assert start(ws) is None
    ws.time.advance(7200)
    assert agents.one(ws, "clara")["status"] == "idle"
    again, _ = attempt(ws, WORKED, DONE)
    assert words(again)[-2:] == ["--resume", words(first)[-1]]
    assert told(ws, again) == "Go on with the task: Work. It is not done yet.\n", "limits are not the agent's business"
    assert task_of(ws, one)["attempts"] == 1
    assert ws.store.reading().switches("halted") == {}


def test_a_limit_without_an_end_is_waited_for_longer_each_time(ws: FakeWorkspace) -> None:
    add(ws)
    waits = []
    for _ in range(6):
        attempt(ws, LIMITED, code=1)
        about = ws.store.reading().switches("halted")["clara"]
        waits.append(next(s for s in range(0, 4000, 300) if plus(ws.time.now(), s) == about["until"]))
        ws.time.advance(waits[-1])
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_other_agents_take_over_meanwhile(ws: FakeWorkspace) -> None:
    agents.register(ws, "dora", {"kind": "claude"})
    one = add(ws)
    attempt(ws, LIMITED, code=1)
    begun = start(ws)
    assert begun is not None
    assert (begun.task["id"], begun.agent["name"]) == (one, "dora")


def test_an_agent_that_is_not_logged_in_gets_nothing_until_somebody_says_so(ws: FakeWorkspace) -> None:
    one = add(ws)
    attempt(ws, NOT_LOGGED_IN, {**LIMITED, "api_error_status": None}, code=1)
    assert agents.one(ws, "clara")["status"] == "error"
    ws.time.advance(10 * 86_400)
    assert start(ws) is None
    assert task_of(ws, one)["attempts"] == 0
    limit = dispatch.Throttle(ws, ws.store.queue(ws.config["queue"]), [], ws.time.now()).of({}, None, "clara")
    assert limit is not None
    assert "the agent clara is halted" in str(limit["text"])
    assert dispatch.way_on(limit) == "when that is mended: atms agent resume clara"
    assert agents.resume(ws, "clara")["status"] == "idle"
    agents.resume(ws, "clara")
    assert start(ws) is not None
    assert [event["type"] for event in ws.store.reading().history("clara")].count("agent.resumed") == 1
    with pytest.raises(NotFoundError):
        agents.resume(ws, "nobody")


def test_a_program_that_is_missing_halts_its_agent_and_spares_the_tasks(ws: FakeWorkspace) -> None:
    one = add(ws)
    attempt(ws, status="unstartable", error="no such program: claude")
    assert task_of(ws, one)["status"] == "queued"
    assert ws.store.reading().switches("halted")["clara"]["kind"] == "refused"


def test_a_spent_budget_is_final(ws: FakeWorkspace) -> None:
    one = add(ws, max_attempts=9)
    attempt(ws, WORKED, OUT_OF_MONEY, code=1)
    assert (task_of(ws, one)["status"], task_of(ws, one)["reason"]) == (
        "failed",
        "clara: exit code 1: error_max_budget_usd",
    )
    assert "session" not in result_of(ws, one)


def test_who_is_stopped_with_the_loop_goes_on_where_it_was(ws: FakeWorkspace) -> None:
    one = add(ws)
    first, _ = attempt(ws, WORKED, status="killed", stopping=True)
    assert (task_of(ws, one)["status"], task_of(ws, one)["attempts"]) == ("queued", 0)
    again, _ = attempt(ws, WORKED, DONE)
    assert words(again)[-2:] == ["--resume", words(first)[-1]]


def test_an_agent_that_keeps_failing_rests_longer_each_time(ws: FakeWorkspace) -> None:
    agent = agents.one(ws, "clara")
    rests = []
    with ws.store.writing("loop") as tx:
        assert not halting.break_circuit(tx, agent, halting.MOST_FAILURES - 1)
        for failures in range(halting.MOST_FAILURES, halting.MOST_FAILURES + 3):
            assert halting.break_circuit(tx, agent, failures)
            rests.append(tx.read.switches("halted")["clara"]["until"])
    assert rests == [plus(ws.time.now(), seconds) for seconds in (60, 120, 240)]


def test_a_removed_agent_leaves_no_halt_behind_for_the_next_of_its_name(ws: FakeWorkspace) -> None:
    add(ws)
    attempt(ws, NOT_LOGGED_IN, code=1)
    agents.remove(ws, "clara")
    agents.register(ws, "clara", {"kind": "claude"})
    assert agents.one(ws, "clara")["status"] == "idle"


def test_a_limit_that_never_ends_is_not_run_against(ws: FakeWorkspace) -> None:
    """`try again in 0.1 s`, for ever: each time costs an agent more of its time, whatever it says."""
    add(ws)
    begun = ws.time.now_ms()
    for _ in range(10):
        said = {**LIMITED, "result": "slow down, retry in 0.1s"}
        attempt(ws, said, code=1)
        until = str(ws.store.reading().switches("halted")["clara"]["until"])
        ws.time.advance((to_ms(until) - ws.time.now_ms()) / 1000)
    assert ws.time.now_ms() - begun >= 1000 * (2**10 - 1)


def test_a_limit_in_an_attempt_that_took_all_its_time_counts(ws: FakeWorkspace) -> None:
    one = add(ws, max_attempts=1)
    retrying = {"type": "system", "subtype": "api_retry", "error": "rate_limit"}
    attempt(ws, WORKED, retrying, status="timed_out", code=143)
    assert task_of(ws, one)["status"] == "failed"
    assert ws.store.reading().switches("halted")["clara"]["kind"] == "rate_limit"


def launched(ws: FakeWorkspace, *said: object) -> attempts.Start:
    begun = start(ws)
    assert begun is not None
    attempts.launch(ws, begun, ws.root)
    output = ws.run_files.path(begun.run, attempts.OUTPUT)
    ws.run_files.files[output] = "".join(f"{json.dumps(each)}\n" for each in said)
    return begun


def ended(ws: FakeWorkspace, begun: attempts.Start, code: int, hearing: Hearing | None = None) -> None:
    outcome: JsonObject = {"status": "exited", "exit_code": code, "duration_s": 1.0}
    heard = gathering.gather(ws, begun, outcome, hearing)
    with ws.store.writing("loop") as tx:
        settling.settle(ws, tx, begun, heard, outcome, stopping=False)


def test_attempts_beside_each_other_halt_an_agent_once_and_do_not_free_it(ws: FakeWorkspace) -> None:
    agents.register(ws, "clara", {"kind": "claude", "max_concurrent": 4})
    for _ in range(4):
        add(ws)
    works = launched(ws, WORKED, DONE)
    refused = [launched(ws, LIMITED) for _ in range(2)]
    locked_out = launched(ws, NOT_LOGGED_IN, {**LIMITED, "api_error_status": None})
    for each in refused:
        ended(ws, each, 1)
    about = ws.store.reading().switches("halted")["clara"]
    assert (about["times"], about["until"]) == (1, plus(ws.time.now(), 300))
    ended(ws, works, 0)
    assert "clara" in ws.store.reading().switches("halted"), "it began before the limit was met"
    ended(ws, locked_out, 1)
    assert ws.store.reading().switches("halted")["clara"]["until"] is None, "what needs a person goes before what ends"


def test_an_attempt_is_judged_as_it_began_whatever_the_settings_say_since(ws: FakeWorkspace) -> None:
    ws.config["drivers"]["mine"] = {"argv": ["mine"], "stream": "claude"}
    agents.remove(ws, "clara")
    agents.register(ws, "mina", {"kind": "mine"})
    ws.config["execution"]["isolation"] = "worktree"
    one = add(ws)
    begun = launched(ws, WORKED, DONE)
    del ws.config["drivers"]["mine"]
    ws.config["execution"]["isolation"] = "shared"
    ended(ws, begun, 0)
    assert task_of(ws, one)["status"] == "validating", "its branch has to come back"
    with ws.store.writing("loop") as tx:
        assert not settling.settle_merge(
            ws, tx, begun, gathering.hear(ws, begun), None, {"kind": "merged", "into": "main"}
        )
    assert task_of(ws, one)["status"] == "completed"
    assert result_of(ws, one)["report"]["text"] == "All done."
    with pytest.raises(UsageError):
        leftovers.taken_up(ws, begun.run, task_of(ws, one), begun.agent)


def test_a_command_that_an_agent_is_asked_for_is_a_command(ws: FakeWorkspace) -> None:
    one = add(ws, command="true", agent="clara")
    ended(ws, launched(ws), 0)
    assert task_of(ws, one)["status"] == "completed"


def test_a_limit_on_the_way_does_not_make_it_forget_what_the_gate_said(ws: FakeWorkspace) -> None:
    one = add(ws, max_attempts=9)
    attempt(ws, WORKED, "Traceback: boom", code=1)
    ws.time.advance(1)
    first = result_of(ws, one)
    attempt(ws, LIMITED, code=1)
    ws.time.advance(300)
    again, _ = attempt(ws, WORKED, DONE)
    assert words(again)[-2:] == ["--resume", first["session"]]
    assert "What was in the way: attempt 1 of 9" in told(ws, again)
    assert "Traceback: boom" in told(ws, again)


def test_a_worktree_that_cannot_be_set_up_is_not_the_agents_fault(ws: FakeWorkspace) -> None:
    ws.config["execution"] |= {"isolation": "worktree", "setup": "npm ci"}
    one = add(ws, max_attempts=1)
    _, settled = attempt(ws, code=isolation.SETUP_FAILED)
    assert settled.trouble is None
    assert task_of(ws, one)["reason"] == "its worktree could not be set up"
    assert "clara" not in ws.store.reading().switches("halted")


def test_the_list_shows_whom_the_days_budget_or_an_unknown_kind_keeps_from_work(ws: FakeWorkspace) -> None:
    ws.config["budget"]["day_usd"] = 0.5
    add(ws)
    attempt(ws, WORKED, {**DONE, "total_cost_usd": 0.5})
    ws.declare_agent("odd", kind="odd")
    shown = {agent["name"]: agent for agent in agents.everyone(ws)}
    assert (shown["clara"]["status"], shown["odd"]["status"]) == ("blocked", "error")
    assert "the day's budget" in str(shown["clara"]["halted"])


# What it may cost


def paid(usd: float) -> JsonObject:
    return {**DONE, "is_error": True, "total_cost_usd": usd}


def test_a_task_that_has_used_up_its_budget_is_not_tried_again(ws: FakeWorkspace) -> None:
    ws.config["budget"]["task_usd"] = 1.0
    one = add(ws, max_attempts=9)
    attempt(ws, WORKED, paid(0.6), code=1)
    assert task_of(ws, one)["status"] == "queued"
    ws.time.advance(1)
    attempt(ws, WORKED, paid(0.6), code=1)
    assert task_of(ws, one)["status"] == "failed"
    assert str(task_of(ws, one)["reason"]).endswith("; the task's budget is used up: $1.20 of $1.00 are spent")
    assert [each["usage"]["cost_usd"] for each in ws.store.reading().attempts(one)] == [0.6, 0.6]


def test_what_limits_cost_counts_against_the_budget_too(ws: FakeWorkspace) -> None:
    ws.config["budget"]["task_tokens"] = 10
    one = add(ws)
    attempt(ws, WORKED, {**LIMITED, "usage": {"input_tokens": 9, "output_tokens": 1}}, code=1)
    assert task_of(ws, one)["status"] == "failed"


def test_when_the_day_has_cost_enough_nothing_that_costs_is_started_until_the_next(ws: FakeWorkspace) -> None:
    ws.config["budget"]["day_usd"] = 0.5
    add(ws, "First")
    add(ws, "Second")
    attempt(ws, WORKED, {**DONE, "total_cost_usd": 0.5})
    assert start(ws) is None
    free = add(ws, "Third", command="true")
    begun = start(ws)
    assert begun is not None
    assert begun.task["id"] == free, "a command costs nothing"
    limit = dispatch.Throttle(ws, ws.store.queue(ws.config["queue"]), [agents.one(ws, "clara")], ws.time.now()).of(
        {}, None, "clara"
    )
    assert limit is not None
    assert limit["text"] == "the agent clara waits (the day's budget: $0.50 of $0.50 are spent)"
    _, minute = ws.time.local()
    assert limit["until"] == plus(ws.time.now()[:17] + "00.000Z", (24 * 60 - minute) * 60)
    ws.time.advance((24 * 60 - minute) * 60)
    assert start(ws) is not None


def test_tokens_are_priced_by_model(ws: FakeWorkspace) -> None:
    ws.config["budget"]["prices"]["opus"] = {"input": 10.0, "output": 100.0, "cached": None}
    agents.register(ws, "clara", {"kind": "claude", "model": "opus"})
    one = add(ws)
    attempt(ws, WORKED, {**DONE, "usage": {"input_tokens": 1000, "output_tokens": 1000}})
    assert result_of(ws, one)["usage"]["cost_usd"] == pytest.approx(0.11)


# Kinds


def test_kinds_come_from_atms_yaml_and_from_packages(ws: FakeWorkspace) -> None:
    ws.config["drivers"]["mine"] = {"argv": ["mine", "{task_id}"], "prompt": ["{prompt_file}"], "stdin": False}
    ws.plugged["theirs"] = {"argv": ["theirs"]}
    ws.plugged["broken"] = {"command": "no argv"}
    agents.remove(ws, "clara")
    agents.register(ws, "anna", {"kind": "mine"})
    agents.register(ws, "theo", {"kind": "theirs"})
    for kind in ("broken", "unknown"):
        with pytest.raises(UsageError, match=kind):
            agents.register(ws, "x", {"kind": kind})
    one = add(ws, agent="anna")
    launch, _ = attempt(ws)
    assert words(launch) == ["mine", one, f"/nowhere/runs/{launch['id']}/prompt.md"]
    assert launch["input"] is None
    assert task_of(ws, one)["status"] == "completed", "a plain driver's exit code counts alone"


def test_an_agent_of_an_unknown_kind_is_left_out_and_told_of(ws: FakeWorkspace) -> None:
    ws.declare_agent("odd", kind="odd")
    assert [agent["name"] for agent in attempts.workforce(ws, ws.store.reading(), 1, [])] == ["shell", "clara"]
    (problem,) = drivers.problems(ws, agents.known(ws, ws.store.reading()))
    assert "agent `odd`: `odd` is not a kind of agent" in problem


def test_secrets_stay_out_of_the_journal(ws: FakeWorkspace) -> None:
    with pytest.raises(UsageError, match="GEMINI_API_KEY"):
        agents.register(ws, "x", {"kind": "gemini", "env": {"GEMINI_API_KEY": "s3cret"}})
    agents.register(ws, "x", {"kind": "gemini", "env": {"LANG": "C"}})


def test_a_task_with_a_command_has_no_prompt(ws: FakeWorkspace) -> None:
    with pytest.raises(UsageError, match="has a command"):
        preview.of(ws, add(ws, command="true"))


# Trying an agent out


def test_who_answers_is_no_longer_halted(ws: FakeWorkspace) -> None:
    add(ws)
    attempt(ws, NOT_LOGGED_IN, code=1)
    launch = drivers.trial(ws, agents.one(ws, "clara"), "run9")
    ws.run_files.files[ws.run_files.path("run9", drivers.TEST_OUTPUT)] = json.dumps(DONE)
    result = drivers.ask(ws, agents.one(ws, "clara"), launch)
    assert (result["answered"], result["text"], result["trouble"]) == (True, "All done.", None)
    assert agents.one(ws, "clara")["status"] == "idle"
    assert ws.runner.launched == [launch]


def test_who_claims_for_itself_cannot_be_tried(ws: FakeWorkspace) -> None:
    agents.register(ws, "paul", {"kind": "pull"})
    with pytest.raises(UsageError, match="claims for itself"):
        drivers.trial(ws, agents.one(ws, "paul"), "run9")


# What is on record of attempts that were cut short, and what ends those that come to nothing


def cost(usd: float) -> JsonObject:
    """Return the last word of an attempt that did not get through."""
    return {"type": "result", "subtype": "error_during_execution", "is_error": True, "total_cost_usd": usd}


def test_money_that_gets_nowhere_is_not_spent_for_ever(ws: FakeWorkspace) -> None:
    ws.config["budget"]["without_progress_usd"] = 2.0
    one = add(ws, max_attempts=99)
    ws.traces.head = "c1"
    for _ in range(2):
        attempt(ws, WORKED, cost(0.9), code=1)
        assert task_of(ws, one)["status"] == "queued"
        ws.time.advance(300)
    ws.traces.head = "c2"
    attempt(ws, WORKED, cost(0.9), code=1)
    assert result_of(ws, one)["headway"]["usd"] == 0, "there was a commit"
    for _ in range(3):
        ws.time.advance(300)
        assert task_of(ws, one)["status"] == "queued"
        attempt(ws, WORKED, cost(0.9), code=1)
    assert task_of(ws, one)["status"] == "failed"
    assert str(task_of(ws, one)["reason"]).endswith(
        "; nothing has come of it in 3 attempts in a row, no commit and no fewer failing gates or findings: $2.70 of $2.00 are spent"
    )
    tasks.retry(ws, [one], None)
    attempt(ws, WORKED, cost(0.9), code=1)
    assert task_of(ws, one)["status"] == "queued", "who says so gets as much again"


def test_limits_that_do_not_count_as_attempts_are_no_way_around_it(ws: FakeWorkspace) -> None:
    ws.config["budget"]["without_progress_usd"] = 2.0
    one = add(ws)
    for _ in range(4):
        attempt(ws, WORKED, {**LIMITED, "total_cost_usd": 0.5}, code=1)
        ws.time.advance(3600)
    assert task_of(ws, one)["status"] == "failed"
    assert "in 4 attempts in a row" in str(task_of(ws, one)["reason"])


def verdict_of(ws: FakeWorkspace, begun: attempts.Start, *codes: int) -> None:
    """Let an attempt at a cost of a dollar succeed, and its gates end with these codes."""
    output = ws.run_files.path(begun.run, attempts.OUTPUT)
    ws.run_files.files[output] = "\n".join(map(json.dumps, (WORKED, {**DONE, "total_cost_usd": 1.0})))
    ended: JsonObject = {"status": "exited", "exit_code": 0, "duration_s": 1.0}
    heard = gathering.gather(ws, begun, ended)
    with ws.store.writing("loop") as tx:
        judges = settling.settle(ws, tx, begun, heard, ended, stopping=False).judges
        results = [
            gates.judge(judge, {"status": "exited", "exit_code": code}, f"/nowhere/runs/{begun.run}/gate.log")
            for judge, code in zip(judges, codes, strict=True)
        ]
        settling.settle_gates(ws, tx, begun, heard, gates.verdict(results), stopping=False)


def test_fewer_failing_gates_are_progress(ws: FakeWorkspace) -> None:
    ws.config["budget"]["without_progress_usd"] = 2.0
    ws.define_gate("lint")
    ws.define_gate("tests")
    one = add(ws, max_attempts=99)
    tallies = []
    for codes in ((1, 1), (1, 1), (0, 1), (1, 1), (1, 0)):
        begun = start(ws)
        assert begun is not None
        attempts.launch(ws, begun, ws.root)
        verdict_of(ws, begun, *codes)
        tallies.append((result_of(ws, one).get("headway") or {}).get("attempts"))
        ws.time.advance(300)
    assert tallies == [0, 1, 0, 1, None]
    assert task_of(ws, one)["status"] == "failed", "two in vain, a dollar each"


@pytest.mark.parametrize("status", ["put_back", "killed"])
def test_what_was_stopped_is_paid_for_all_the_same(ws: FakeWorkspace, status: str) -> None:
    one = add(ws)
    usage = {"id": "m1", "usage": {"input_tokens": 70, "output_tokens": 7}}
    attempt(ws, {"type": "assistant", "message": usage}, status=status, stopping=True, error="the day is over")
    task = task_of(ws, one)
    assert (task["status"], task["attempts"]) == ("queued", 0)
    assert task["reason"] == ("the day is over" if status == "put_back" else "stopped with its loop")
    (made,) = ws.store.reading().attempts(one)
    assert (made["status"], made["usage"]["input_tokens"]) == ("released", 70)


def test_what_was_taken_away_is_paid_for_once(ws: FakeWorkspace) -> None:
    one = add(ws)
    begun = launched(ws, WORKED, paid(0.5))
    heard = gathering.hear(ws, begun)
    tasks.cancel(ws, [one], None)
    for _ in range(2):
        with ws.store.writing("loop") as tx:
            settling.account(tx, begun, heard)
    assert [each["type"] for each in ws.store.reading().history(one)].count("task.spent") == 1
    assert ws.store.reading().attempts(one)[0]["usage"]["cost_usd"] == 0.5


def test_a_resumed_session_of_codex_is_not_paid_for_twice_while_it_runs(ws: FakeWorkspace) -> None:
    agents.remove(ws, "clara")
    agents.register(ws, "cody", {"kind": "codex"})
    add(ws, max_attempts=9)

    def turn(tokens: int) -> list[JsonObject]:
        begins: JsonObject = {"type": "thread.started", "thread_id": "x1"}
        says: JsonObject = {"type": "item.completed", "item": {"type": "agent_message", "text": "hm"}}
        return [begins, says, {"type": "turn.completed", "usage": {"input_tokens": tokens, "output_tokens": 0}}]

    attempt(ws, *turn(300), code=1)
    ws.time.advance(300)
    begun = launched(ws, *turn(400))
    watch = watching.Watch(ws)
    watch.begin(begun)
    (each,) = watch.look(Limit("run", None, 101))[1]
    assert each.usage["input_tokens"] == 100
    assert not watch.look(Limit("run", None, 101))[0]
    ((run, stop),) = watch.look(Limit("run", None, 101, Spent(1)))[0]
    assert (run, stop.verdict) == (begun.run, "put_back")
    assert watch.is_stopping()
    watch.settle(run)
    assert not watch.is_stopping()
    assert watch.due_in_s() == float("inf"), "nobody is at work"


GEMINI_SESSION = """\
{"sessionId":"0bf3-1","projectHash":"x","startTime":"2026-01-02T03:04:05.018Z","kind":"main"}
{"id":"m0","timestamp":"2026-01-02T03:04:04.000Z","type":"gemini","content":"","tokens":{"input":5000,"output":1,"cached":0,"thoughts":0,"total":5001}}
{"id":"m1","timestamp":"2026-01-02T03:04:09.000Z","type":"gemini","content":"","tokens":{"input":100,"output":10,"cached":30,"thoughts":10,"total":120}}
{"$set":{"lastUpdated":"2026-01-02T03:04:09.000Z"}}
{"id":"m1","timestamp":"2026-01-02T03:04:09.000Z","type":"gemini","content":"","tokens":{"input":100,"output":10,"cached":30,"thoughts":10,"total":120},"toolCalls":[]}
{"id":"u2","timestamp":"2026-01-02T03:04:10.000Z","type":"user","content":[]}
"""


def test_gemini_notes_in_its_session_what_its_output_tells_only_at_the_end(ws: FakeWorkspace) -> None:
    agents.remove(ws, "clara")
    agents.register(ws, "gina", {"kind": "gemini", "env": {"GEMINI_CLI_HOME": "/nowhere/g"}})
    one = add(ws)
    ws.ids.session = lambda run: f"0bf3-{run}"  # type: ignore[method-assign]
    begun = launched(ws, {"type": "init", "session_id": "0bf3-1", "model": "gemini-2.5-pro"})
    watch = watching.Watch(ws)
    watch.begin(begun)
    (each,) = watch.look(NO_LIMIT)[1]
    assert each.usage == {}
    log = "/nowhere/g/.gemini/tmp/work/chats/session-2026-01-02T03-04-0bf3.jsonl"
    ws.run_files.files[log] = GEMINI_SESSION
    (each,) = watch.look(NO_LIMIT)[1]
    assert each.usage == {"input_tokens": 100, "output_tokens": 20, "cached_tokens": 30}, "what was before is paid for"
    assert watch.look(NO_LIMIT)[1] == [], "nothing is new"
    ws.run_files.files[log] += GEMINI_SESSION.splitlines()[2].replace("m1", "m3") + "\n"
    watch.end(begun.run)
    ended(ws, begun, 1, watch.hearing(begun.run))
    (made,) = ws.store.reading().attempts(one)
    assert made["usage"]["input_tokens"] == 200, "it did not come to sum it up"


def test_what_gemini_sums_up_at_the_end_counts() -> None:
    report = streams.read(
        "gemini", [{"type": "result", "status": "success", "stats": {"input_tokens": 7, "total_tokens": 9}}]
    )
    session = Hearing("gemini session", report=report)
    session.take(GEMINI_SESSION.encode())
    assert (report.input_tokens, report.output_tokens) == (7, 2)


# Signs of life


def watched(ws: FakeWorkspace) -> tuple[attempts.Start, watching.Watch]:
    ws.config["execution"]["idle"] = 60.0
    add(ws)
    begun = launched(ws, WORKED)
    watch = watching.Watch(ws)
    watch.begin(begun)
    assert watch.look(NO_LIMIT)[0] == []
    return begun, watch


NO_LIMIT = Limit("run", None, None)


def test_who_gets_nowhere_is_stopped(ws: FakeWorkspace) -> None:
    begun, watch = watched(ws)
    ws.time.advance(59)
    ws.run_files.files[ws.run_files.path(begun.run, attempts.OUTPUT)] += '\n{"type":"system"}\nnoise\n'
    stops, news = watch.look(NO_LIMIT)
    assert (stops, len(news)) == ([], 1)
    ws.time.advance(1)
    ((run, stop),) = watch.look(NO_LIMIT)[0]
    assert (run, stop.verdict, stop.reason) == (begun.run, "stalled", "no progress for 1m")
    assert not watch.is_stopping(), "others go on"
    assert watch.look(NO_LIMIT)[0] == [], "once is enough"


def by_tool(ws: FakeWorkspace, begun: attempts.Start) -> None:
    said = {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "Bash", "input": {}}]}}
    ws.run_files.files[ws.run_files.path(begun.run, attempts.OUTPUT)] += f"\n{json.dumps(said)}\n"


def by_git(ws: FakeWorkspace, begun: attempts.Start) -> None:
    del begun
    ws.traces.changed = ws.time.now_ms()


def by_heartbeat(ws: FakeWorkspace, begun: attempts.Start) -> None:
    tasks.heartbeat(ws.acting_as("clara"), begun.task["id"], token=None, lease_s=None)


def by_progress(ws: FakeWorkspace, begun: attempts.Start) -> None:
    progress.say(ws.acting_as("clara"), begun.task["id"], 40, "half of it", None)


@pytest.mark.parametrize("sign", [by_tool, by_git, by_heartbeat, by_progress])
def test_a_sign_of_progress_gives_as_much_time_again(ws: FakeWorkspace, sign: Any) -> None:  # noqa: ANN401
    begun, watch = watched(ws)
    ws.time.advance(40)
    sign(ws, begun)
    if sign is by_tool:
        watch.look(NO_LIMIT)
    ws.time.advance(40)
    assert watch.look(NO_LIMIT)[0] == []
    ws.time.advance(19)
    assert watch.look(NO_LIMIT)[0] == []
    ws.time.advance(1)
    assert len(watch.look(NO_LIMIT)[0]) == 1


def test_of_an_agent_without_events_output_is_progress(ws: FakeWorkspace) -> None:
    agents.remove(ws, "clara")
    ws.config["drivers"]["helper"] = {"argv": ["helper"]}
    ws.config["agents"]["hans"] = {"kind": "helper"}
    ws.config["execution"]["idle"] = 60.0
    add(ws)
    begun = launched(ws)
    watch = watching.Watch(ws)
    watch.begin(begun)
    for _ in range(3):
        ws.time.advance(50)
        ws.run_files.files[ws.run_files.path(begun.run, attempts.OUTPUT)] += "still here\n"
        assert watch.look(NO_LIMIT)[0] == []
    ws.time.advance(60)
    assert len(watch.look(NO_LIMIT)[0]) == 1


def test_what_is_said_of_progress_can_be_read_while_it_runs(ws: FakeWorkspace) -> None:
    begun, _ = watched(ws)
    progress.say(ws, begun.task["id"], 40, "half of it", None)
    progress.say(ws, begun.task["id"], 60, None, None)
    known = progress.of(ws, begun.run)
    assert known is not None
    assert (known["percent"], known["note"], known["said_at"]) == (60, "half of it", ws.time.now())
    with pytest.raises(UsageError):
        progress.say(ws, begun.task["id"], 101, None, None)
    tasks.cancel(ws, [begun.task["id"]], None)
    with pytest.raises(AtmsError, match="nobody works on"):
        progress.say(ws, begun.task["id"], 70, None, None)


def test_secrets_are_masked_in_what_is_heard_while_it_runs(ws: FakeWorkspace) -> None:
    secret = "ghp_" + "a1" * 18
    one = add(ws)
    begun = launched(ws, {"type": "assistant", "message": {"content": [{"type": "text", "text": f"See {secret}."}]}})
    watch = watching.Watch(ws)
    watch.begin(begun)
    (each,) = watch.look(NO_LIMIT)[1]
    output = ws.run_files.path(begun.run, attempts.OUTPUT)
    ws.run_files.files[output] += json.dumps({**DONE, "result": f"Done with {secret}"})
    ended(ws, begun, 0, watch.hearing(begun.run))
    assert task_of(ws, one)["status"] == "completed"
    assert secret not in json.dumps([each.seen, ws.store.reading().history(one), ws.run_files.files])
    assert result_of(ws, one)["report"]["text"].startswith("Done with [redacted]")


def test_plain_commands_are_not_watched(ws: FakeWorkspace) -> None:
    add(ws, command="true")
    begun = start(ws)
    assert begun is not None
    watch = watching.Watch(ws)
    watch.begin(begun)
    assert watch.due_in_s() == float("inf")
    assert watch.hearing(begun.run) is None


def test_of_an_output_that_nobody_could_hear_out_its_ends_are_heard(
    ws: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "_CHUNK", 200)
    monkeypatch.setattr(drivers, "_MOST_UNHEARD", 1000)
    monkeypatch.setattr(drivers, "_TAIL", 300)
    one = add(ws)
    attempt(ws, "x" * 5000, WORKED, {**DONE, "session_id": ""})
    assert task_of(ws, one)["status"] == "completed"
    assert result_of(ws, one)["report"]["session"]
