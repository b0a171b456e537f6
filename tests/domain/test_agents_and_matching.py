"""Who may work, on what, and what an attempt's end means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import agent as agents
from atms_cli.domain import attempt, config, decisions, matching
from atms_cli.domain import task as tasks
from atms_cli.errors import AtmsError, ConflictError, NotFoundError, UsageError
from atms_cli.system.ids import RandomIds

if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, Event, JsonObject, Task

NOW = "2026-01-02T03:04:05.000Z"


def event_of(kind: str, key: str, data: JsonObject) -> Event:
    return {"v": 1, "id": "e1", "at": NOW, "type": kind, "key": key, "actor": "ann", "data": data}


def worker(name: str = "anton", **fields: object) -> Agent:
    given: JsonObject = {"command": "work", **fields}  # type: ignore[dict-item]
    ((kind, key, data),) = agents.register(None, name, given)
    found = agents.evolve(None, event_of(kind, key, data))
    assert found is not None
    return found


def made(**fields: object) -> Task:
    given: JsonObject = {"title": "Work", **fields}  # type: ignore[dict-item]
    (fact,) = decisions.create("t1", given, created_by="ann", draft=False)
    found = tasks.evolve(None, event_of(*fact))
    assert found is not None
    return found


def running(attempts: int, **fields: object) -> Task:
    return {**made(**fields), "status": "in_progress", "attempts": attempts}


def test_registering_holds_only_what_differs_and_twice_changes_nothing() -> None:
    facts = agents.register(None, "anton", {"kind": "command", "command": "work", "max_concurrent": 1})
    assert facts == [("agent.registered", "anton", {"command": "work"})]
    anton = worker()
    assert anton["registered_at"] == NOW
    assert agents.register(anton, "anton", {"command": "work"}) == []
    assert agents.register(anton, "anton", {"command": "work", "max_concurrent": 2}) != []
    assert agents.evolve(anton, event_of("agent.removed", "anton", {})) is None
    assert agents.evolve(anton, event_of("agent.from_the_future", "anton", {})) is anton


@pytest.mark.parametrize(
    ("name", "fields"),
    [("", {}), ("x" * 65, {}), ("a b", {}), ("ä", {}), ("shell", {}), ("a", {"approval": "all", "command": "x"}), ("a", {"command": " "}),
     ("a", {"max_concurrent": 0}), ("a", {"max_concurrent": "2"})],
)  # fmt: skip
def test_what_would_not_work_later_is_refused_now(name: str, fields: JsonObject) -> None:
    with pytest.raises(UsageError):
        agents.register(None, name, {"command": "work", **fields})


def test_agents_of_the_file_are_changed_in_the_file() -> None:
    declared = agents.declared("anton", {"command": "work"})
    assert declared["source"] == "atms.yaml"
    with pytest.raises(ConflictError):
        agents.register(declared, "anton", {"command": "other"})
    with pytest.raises(ConflictError):
        agents.remove(declared, "anton")
    with pytest.raises(NotFoundError):
        agents.remove(None, "anton")
    assert agents.remove(worker(), "anton") == [("agent.removed", "anton", {})]


def test_who_names_no_skill_takes_anything_and_who_names_one_only_that() -> None:
    task = made(required_capabilities=["python", "testing"])
    assert matching.refusal(worker(), task) is None
    assert matching.refusal(worker(capabilities=["testing"], languages=["python"]), task) is None
    assert matching.refusal(worker(capabilities=["testing"], specialization="python"), task) is None
    assert matching.refusal(worker(capabilities=["testing"]), task) == "it lacks python"
    assert matching.refusal(worker(capabilities=["x"]), made()) is None


def test_frameworks_and_tools_count_as_skills_and_tools_are_asked_of_who_names_some() -> None:
    task = made(required_capabilities=["django"], context={"required_tools": ["docker"]})
    assert matching.refusal(worker(frameworks=["django"], tools=["docker"]), task) is None
    assert matching.refusal(worker(frameworks=["django"]), task) is None
    assert matching.refusal(worker(tools=["docker"]), task) is None
    assert matching.refusal(worker(frameworks=["flask"], tools=["podman"]), task) == "it lacks django, docker"
    assert matching.refusal(worker(tools=["podman"]), task) == "it lacks docker"


def test_an_agent_may_take_some_categories_only_and_nothing_beyond_its_bounds() -> None:
    careful = worker(categories=["documentation", "testing"], max_complexity="simple", max_priority="medium")
    assert matching.refusal(careful, made(category="testing", complexity="simple", priority="medium")) is None
    assert matching.refusal(careful, made(category="testing", complexity="trivial", priority="background")) is None
    assert matching.refusal(careful, made(category="security", complexity="complex", priority="high")) == (
        "it takes no security, only documentation, testing; it takes nothing beyond simple, and this is complex; "
        "it takes nothing above priority medium, and this is high"
    )
    newer: Task = {**made(category="testing", priority="low"), "complexity": "heroic"}
    assert matching.refusal(careful, newer) == "it takes nothing beyond simple, and this is heroic"


NATURES = {
    "category": st.sampled_from([*tasks.CATEGORIES, "from the future"]),
    "priority": st.sampled_from([*tasks.PRIORITIES, "yesterday"]),
    "complexity": st.sampled_from([*tasks.COMPLEXITIES, "heroic"]),
}
ASKED = {
    "required_capabilities": st.sampled_from([[], ["python"], ["go", "python"]]),
    "agent": st.sampled_from([None, None, "a"]),
    "command": st.sampled_from([None, None, "true"]),
}
AGENTS = st.lists(
    st.fixed_dictionaries({
        "name": st.sampled_from("abc"),
        "capabilities": st.sampled_from([[], ["python"]]),
        "categories": st.lists(st.sampled_from(tasks.CATEGORIES), max_size=3),
        "max_priority": st.sampled_from([None, *tasks.PRIORITIES]),
        "max_complexity": st.sampled_from([None, *tasks.COMPLEXITIES]),
    }),
    max_size=3,
)  # fmt: skip
TASKS = st.fixed_dictionaries({**NATURES, **ASKED})


def is_left_out(task: Task, without: list[str]) -> bool:
    """Return what the index makes of demands to leave out (store/sql.py)."""
    demand = matching.demand(task)
    return demand in without or demand[matching.NATURE :] in without


@given(AGENTS, TASKS, TASKS)
def test_what_is_left_out_with_a_task_nobody_can_take_is_only_what_nobody_can_take(
    found: list[dict[str, object]], one: dict[str, object], other: dict[str, object]
) -> None:
    """Of whichever agents are busy: who would take the other one would have taken this one."""
    force = [agents.shell(1), *(worker(**fields) for fields in found)]  # type: ignore[arg-type]
    task: Task = {**made(), **one}  # type: ignore[typeddict-item]
    another: Task = {**made(), **other}  # type: ignore[typeddict-item]
    without = matching.alike(force, task)
    assert is_left_out(task, without)
    if is_left_out(another, without):
        takers = [agent["name"] for agent in matching.may_run(force, task)]
        assert all(agent["name"] in takers for agent in matching.may_run(force, another))


def test_without_choosy_agents_all_natures_are_left_out_at_once() -> None:
    assert matching.alike([agents.shell(2), worker(capabilities=["go"])], made(required_capabilities=["x"])) == [
        "able=['x']"
    ]
    choosy = [worker(categories=["testing"])]
    without = matching.alike(choosy, made(category="security"))
    assert len(without) == 1 + 9 * 5 * 5
    assert not is_left_out(made(category="testing"), without)


@pytest.mark.parametrize(
    "fields", [{"categories": ["cooking"]}, {"max_complexity": "heroic"}, {"max_priority": "yesterday"}, {"rate": "often"}]
)  # fmt: skip
def test_bounds_that_no_task_could_meet_are_refused(fields: JsonObject) -> None:
    with pytest.raises(UsageError):
        agents.register(None, "a", {"command": "x", **fields})


def test_an_update_changes_what_it_says_and_nothing_else() -> None:
    anton = worker(capabilities=["go"], max_concurrent=3)
    ((kind, name, data),) = agents.update(anton, "anton", {"rate": "10/1h"})
    assert (kind, name, data) == (
        "agent.registered",
        "anton",
        {"command": "work", "capabilities": ["go"], "max_concurrent": 3, "rate": "10/1h"},
    )
    assert agents.update(anton, "anton", {"capabilities": ["go"]}) == []
    assert agents.update(anton, "anton", {"capabilities": []}) == [
        ("agent.registered", "anton", {"command": "work", "max_concurrent": 3})
    ]
    with pytest.raises(NotFoundError):
        agents.update(None, "anton", {"rate": "10/1h"})
    with pytest.raises(ConflictError):
        agents.update(agents.declared("anton", {"command": "x"}), "anton", {"rate": "10/1h"})
    with pytest.raises(UsageError):
        agents.update(anton, "anton", {"command": ""})


def test_a_task_may_ask_for_its_agent() -> None:
    assert matching.refusal(worker("berta"), made(agent="anton")) == "the task asks for anton"
    assert matching.refusal(worker("anton"), made(agent="anton")) is None


def test_commands_belong_to_the_shell_and_nothing_else_does() -> None:
    shell, anton, puller = agents.shell(4), worker(), worker("petra", kind="pull", command=None)
    everyone = [shell, anton, puller]
    assert matching.may_run(everyone, made(command="true")) == [shell]
    assert matching.may_run(everyone, made(command="true", agent="anton")) == [anton]
    assert matching.may_run(everyone, made(command="true", agent="shell")) == [shell, anton][:1]
    assert matching.may_run(everyone, made()) == [anton]
    assert matching.refusal(shell, made()) is not None


def test_the_least_loaded_is_chosen_and_nobody_beyond_the_limit() -> None:
    anton, berta = worker("anton", max_concurrent=4), worker("berta", max_concurrent=1)
    task = made()
    assert matching.choose([berta, anton], task, {}) == anton
    assert matching.choose([anton, berta], task, {"anton": 1}) == berta
    assert matching.choose([anton, berta], task, {"anton": 3, "berta": 1}) == anton
    assert matching.choose([anton, berta], task, {"anton": 4, "berta": 1}) is None
    assert matching.choose([], task, {}) is None


@given(st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 5), st.integers(0, 6)), min_size=1))
def test_the_choice_does_not_depend_on_the_order_of_agents(found: dict[str, tuple[int, int]]) -> None:
    force = [worker(name, max_concurrent=most) for name, (most, _) in found.items()]
    load = {name: active for name, (_, active) in found.items()}
    chosen = matching.choose(force, made(), load)
    assert matching.choose(force[::-1], made(), load) == chosen
    if chosen is None:
        assert all(active >= most for most, active in found.values())
    else:
        assert load[chosen["name"]] < chosen["max_concurrent"]


@given(st.integers(min_value=1, max_value=10_000), st.floats(0.001, 1e4), st.floats(0.001, 1e6))
def test_backoff_grows_from_the_base_to_the_most(attempts: int, base: float, most: float) -> None:
    wait = attempt.backoff_s(attempts, base, most)
    assert 0 < wait <= most
    assert wait <= attempt.backoff_s(attempts + 1, base, most)
    if base <= most:
        assert attempt.backoff_s(1, base, most) == base


@given(st.integers(1, 10_000), st.floats(0.001, 1e4), st.floats(0.001, 1e6), st.floats(0, 1))
def test_a_retry_waits_between_half_and_all_of_that(attempts: int, base: float, most: float, chance: float) -> None:
    whole = attempt.backoff_s(attempts, base, most)
    assert whole / 2 <= attempt.retry_wait_s(attempts, base, most, chance) <= whole
    assert attempt.retry_wait_s(attempts, base, most, 0) == whole
    assert attempt.retry_wait_s(attempts, base, most, 1) == whole / 2


def test_the_chance_of_a_wait_is_that_of_its_attempt() -> None:
    drawn = {RandomIds().chance(f"run{number}").random() for number in range(50)}
    assert len(drawn) == 50, "what failed together does not come back together"
    assert all(0 <= each <= 1 for each in drawn)
    assert RandomIds().chance("run1").random() == RandomIds().chance("run1").random()


def test_backoff_doubles() -> None:
    assert [attempt.backoff_s(number, 1.0, 10.0) for number in range(1, 6)] == [1, 2, 4, 8, 10]


@pytest.mark.parametrize(
    ("outcome", "words", "success"),
    [
        ({"status": "exited", "exit_code": 0}, "exit code 0", True),
        ({"status": "exited", "exit_code": 3}, "exit code 3", False),
        ({"status": "signalled", "signal": 9, "exit_code": None}, "killed by signal 9", False),
        ({"status": "timed_out", "exit_code": 0}, "ran longer than its timeout", False),
        ({"status": "stalled"}, "was silent for too long", False),
        ({"status": "killed", "exit_code": 0}, "was stopped", False),
        ({"status": "vanished"}, "vanished without leaving an exit status", False),
        ({"status": "unstartable", "error": "no such file"}, "could not be started: no such file", False),
        ({}, "None", False),
    ],
)
def test_outcomes_in_words(outcome: JsonObject, words: str, success: bool) -> None:  # noqa: FBT001  a table
    assert attempt.describe(outcome) == words
    assert attempt.is_success(outcome) is success


def test_a_failure_is_tried_again_within_the_limit() -> None:
    execution = config.default()["execution"]
    result: JsonObject = {"status": "exited", "exit_code": 1}
    ((kind, _, data),) = attempt.after_failure(running(1), "exit code 1", result, execution, NOW)
    assert (kind, data["not_before"], data["reason"]) == ("task.retried", NOW, "attempt 1 of 3: exit code 1")
    ((kind, _, data),) = attempt.after_failure(running(3), "exit code 1", result, execution, NOW)
    assert (kind, data["reason"]) == ("task.failed", "exit code 1 after 3 attempts")
    ((kind, _, data),) = attempt.after_failure(running(1, max_attempts=1), "exit code 1", result, execution, NOW)
    assert (kind, data["reason"]) == ("task.failed", "exit code 1")


def test_what_cannot_start_is_not_tried_again() -> None:
    execution = config.default()["execution"]
    ((kind, _, _),) = attempt.after_failure(running(1), "no such file", {"status": "unstartable"}, execution, NOW)
    assert kind == "task.failed"


def test_after_the_end_nothing_is_tried_again() -> None:
    done: Task = {**made(), "status": "completed"}
    with pytest.raises(AtmsError):
        attempt.after_failure(done, "x", {}, config.default()["execution"], NOW)
