"""The original's API in memory: every command with its shape, and what is refused."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import legacy as legacy_shapes
from atms_cli.domain import legacycommands, legacytasks
from atms_cli.errors import AtmsError, ConflictError, GatesFailedError, NotFoundError, UsageError
from atms_cli.services import agents, featuresync, legacy
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject

IDEA = {
    "title": "Export the list", "description": "Send the whole list to a file.", "business_value": "people ask for it",
    "category": "new-feature",
}  # fmt: skip
TASK = {"title": "Fix it", "description": "It is broken"}


def feature(own: str, status: str = "approved", **more: object) -> JsonObject:
    return {"id": own, "status": status, **IDEA, **more}  # type: ignore[dict-item]


def workspace(*found: JsonObject, **more: object) -> FakeWorkspace:
    """Return a workspace with a roadmap, an agent `a1`, and two tasks: t0001, which a1 holds, and t0003 in the queue."""
    document: dict[str, object] = {"features": list(found), "metadata": {"approval_history": []}, **more}
    ws = FakeWorkspace(document)  # type: ignore[arg-type]
    agents.register(ws, "a1", {"kind": "pull", "capabilities": ["testing"]})
    return ws


def call(ws: FakeWorkspace, name: str, *arguments: object) -> Any:  # noqa: ANN401  JSON
    """Call as a process would: words in, and what comes out is JSON."""
    words = [each if isinstance(each, str) else json.dumps(each) for each in arguments]
    values = legacycommands.read(name, words)
    return json.loads(json.dumps(legacy.answer(lambda: ws, name, values)))


def made(ws: FakeWorkspace, **more: object) -> str:
    return str(call(ws, "create-task", {**TASK, **more})["task"]["id"])


def assigned(ws: FakeWorkspace) -> str:
    own = made(ws)
    call(ws, "assign-task", own, "a1")
    return own


FEATURE_KEYS = {"id", "title", "description", "business_value", "category", "status"}
TASK_KEYS = {
    "id", "feature_id", "title", "description", "type", "priority", "status", "dependencies", "estimated_effort",
    "required_capabilities", "created_at", "updated_at", "created_by", "metadata",
}  # fmt: skip
TASK_ANSWER = {"success", "task", "message"}
LIST_ANSWER = {"success", "tasks", "count", "message"}
STATS = {
    "total_initializations", "total_reinitializations", "current_day", "current_bucket", "today_totals", "time_buckets",
    "recent_activity", "last_updated", "last_reset",
}  # fmt: skip
#: Command to its arguments, where `TASK` is one that waits, `HELD` one that a1 has; the keys of its answer, and those of a part of it.
SHAPES: dict[str, tuple[Sequence[object], set[str], str, set[str]]] = {
    "guide": ([], {"success", "message", "commands", "workflow", "rules"}, "commands", set(legacycommands.COMMANDS)),
    "methods": (
        [],
        {"success", "message", "cliMapping", "availableCommands", "guide"},
        "cliMapping",
        set(legacycommands.COMMANDS),
    ),
    "suggest-feature": (
        [{**IDEA, "suggested_by": "bob", "metadata": {}}],
        {"success", "feature", "message"},
        "feature",
        FEATURE_KEYS | {"created_at", "updated_at", "suggested_by", "metadata"},
    ),
    "approve-feature": (
        ["idea", {"approved_by": "bob", "notes": "yes"}],
        {"success", "feature", "message"},
        "feature",
        FEATURE_KEYS | {"approved_by", "approval_date", "approval_notes", "updated_at"},
    ),
    "bulk-approve-features": (
        [["idea"], {"approved_by": "bob"}],
        {"success", "approved_count", "error_count", "approved_features", "errors", "message"},
        "approved_features",
        {"feature_id", "title", "status", "success"},
    ),
    "reject-feature": (
        ["idea", {"rejected_by": "bob", "reason": "no"}],
        {"success", "feature", "message"},
        "feature",
        FEATURE_KEYS | {"rejected_by", "rejection_date", "rejection_reason", "updated_at"},
    ),
    "list-features": (
        [{"status": "suggested"}],
        {"success", "features", "total", "metadata"},
        "features",
        FEATURE_KEYS,
    ),
    "feature-stats": (
        [],
        {"success", "stats", "metadata"},
        "stats",
        {"total", "by_status", "by_category", "recent_activity"},
    ),
    "get-initialization-stats": ([], {"success", "stats", "message"}, "stats", STATS),
    "initialize": (
        ["new"],
        {"success", "agent", "message", "comprehensiveGuide"},
        "agent",
        {"id", "status", "sessionId", "timestamp"},
    ),
    "reinitialize": (
        ["a1"],
        {"success", "agent", "message", "comprehensiveGuide"},
        "agent",
        {"id", "status", "sessionId", "timestamp", "previousSessions"},
    ),
    "authorize-stop": (
        ["a1", "all is done"],
        {"success", "authorization", "message"},
        "authorization",
        {"authorized_by", "reason", "timestamp", "stop_flag_created"},
    ),
    "create-task": ([TASK], TASK_ANSWER, "task", TASK_KEYS),
    "get-task": (["TASK"], TASK_ANSWER, "task", TASK_KEYS),
    "update-task": (["TASK", {"priority": "urgent"}], TASK_ANSWER, "task", TASK_KEYS),
    "complete-task": (
        ["HELD", {"ok": True}],
        TASK_ANSWER | {"unblocked"},
        "task",
        TASK_KEYS | {"completed_at", "progress_percentage", "result"},
    ),
    "assign-task": (["TASK", "a1"], TASK_ANSWER | {"agent", "lease"}, "agent", {"id", "capabilities"}),
    "get-agent-tasks": (["a1"], LIST_ANSWER, "tasks", TASK_KEYS | {"assigned_to", "assigned_at"}),
    "get-tasks-by-status": (["queued"], LIST_ANSWER, "tasks", TASK_KEYS),
    "get-tasks-by-priority": (["normal"], LIST_ANSWER, "tasks", TASK_KEYS),
    "get-available-tasks": (["a1"], LIST_ANSWER, "tasks", TASK_KEYS),
    "create-tasks-from-features": ([], {"success", "created_tasks", "message"}, "created_tasks", TASK_KEYS),
    "get-task-queue": (
        [{"status": "queued", "priority": "normal"}],
        {"success", "tasks", "total", "filters_applied", "message"},
        "tasks",
        TASK_KEYS,
    ),
    "get-task-stats": (
        [],
        {"success", "statistics", "message"},
        "statistics",
        {"total_tasks", "by_status", "by_priority", "by_type", "by_agent", "completion_rate"},
    ),
    "optimize-assignments": (
        [],
        {"success", "assignments", "message"},
        "assignments",
        {"task_id", "agent_id", "task_title", "reason"},
    ),
    "register-agent": (
        ["new", ["testing"]],
        {"success", "agent", "message"},
        "agent",
        {"id", "capabilities", "registered_at", "last_seen", "status"},
    ),
    "unregister-agent": (["a1"], {"success", "message"}, "", set()),
    "get-active-agents": ([], {"success", "agents", "count", "message"}, "agents", {"id", "capabilities", "status"}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_command_answers_in_its_shape(name: str) -> None:
    arguments, keys, part, part_keys = SHAPES[name]
    ws = workspace(feature("idea", "suggested"), feature("f1"))
    agents.register(ws, "a2", {"kind": "pull"})
    named = {"TASK": made(ws), "HELD": assigned(ws)}
    answer = call(ws, name, *(named.get(each, each) if isinstance(each, str) else each for each in arguments))
    assert set(answer) == keys
    assert answer["success"] is True
    found = answer.get(part, {})
    assert not isinstance(found, list) or found, "an empty list would prove nothing"
    for each in found if isinstance(found, list) else [found]:
        assert part_keys <= set(each)


def test_no_command_is_left_out() -> None:
    assert set(legacy.ALONE) | set(legacy.ANSWERS) == set(legacycommands.COMMANDS)
    assert set(SHAPES) | {"start-websocket"} == set(legacycommands.COMMANDS)
    assert len(legacycommands.COMMANDS) == 29
    with pytest.raises(AtmsError, match="no web socket server"):
        call(workspace(), "start-websocket", "8080")


# Calls that are no good


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("approve-feature", [], "`approve-feature` lacks FEATURE_ID"),
        ("get-task", [" "], "TASK_ID is empty"),
        ("get-task", ["a", "b"], "`get-task` does not take `b`"),
        ("suggest-feature", ["[]"], "is no JSON object"),
        ("bulk-approve-features", ["{}"], "is no JSON array"),
        ("create-task", ["{"], "is not JSON: Expecting"),
        ("create-task", [""], "is not JSON: Expecting"),
        ("create-task", ["[" * 100_000], "is not JSON: maximum recursion"),
        ("create-task", ['{"title": NaN}'], "is not JSON: NaN is no number"),
        ("create-task", ['{"title": 1e999}'], "is not JSON: Out of range"),
        ("create-task", ['{"title": "\\ud800"}'], "is not JSON: 'utf-8' codec"),
        ("create-task", ['{"estimated_effort": ' + "9" * 5000 + "}"], "is not JSON: Exceeds the limit"),
    ],
)
def test_a_call_that_is_no_good_is_refused(name: str, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        legacycommands.read(name, words)


@pytest.mark.parametrize("name", [None, "", "bogus", "feature-stat"])
def test_an_unknown_command_is_told_what_there_is(name: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        legacycommands.find(name)
    told: Any = legacycommands.failure(refused.value, name, "now")
    assert set(told) == {"success", "error", "hint", "command", "timestamp", "guide"}
    assert told["success"] is False
    assert len(told["guide"]["commands"]) == 29
    assert ("did you mean `feature-stats`?" in told["hint"]) == (name == "feature-stat")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs a title"), ({"title": "x"}, "needs a description"), ({**TASK, "title": 1}, "`title` is not text"),
        ({**TASK, "titel": ""}, "`titel` is not a field"), ({**TASK, "priority": "soon"}, "`soon` is not a priority"),
        ({**TASK, "type": "fun"}, "`fun` is not a type"), ({**TASK, "estimated_effort": True}, "is not a number"),
        ({**TASK, "estimated_effort": -1}, "`estimated_effort` is -1"), ({**TASK, "required_capabilities": [1]}, "not a list of words"),
        ({**TASK, "dependencies": ["gone"]}, "no task `gone`"), ({**TASK, "feature_id": "idea"}, "`idea` is suggested, not approved"),
        ({**TASK, "feature_id": "gone"}, "no feature `gone`"), ({**TASK, "metadata": []}, "is not an object"),
    ],
)  # fmt: skip
def test_a_task_that_is_none_is_refused(fields: object, message: str) -> None:
    ws = workspace(feature("idea", "suggested"))
    with pytest.raises(AtmsError, match=message):
        call(ws, "create-task", fields)
    assert call(ws, "get-task-stats")["statistics"]["total_tasks"] == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
fields_of_any_kind = st.dictionaries(
    st.sampled_from(
        [*legacytasks.NEW, *legacytasks.CHANGES, *legacytasks.FILTER, *legacy_shapes.SUGGESTION, "force", "notes"]
    ),
    json_values | st.sampled_from(["queued", "completed", "urgent", "normal", "error", "x" * 30]),
    max_size=6,
)


@given(st.sampled_from(list(legacy.ANSWERS)), st.lists(fields_of_any_kind | json_values, max_size=3), st.booleans())
def test_whatever_is_given_is_answered_or_refused(name: str, some: list[object], is_named: bool) -> None:  # noqa: FBT001
    ws = workspace(feature("idea", "suggested"))
    words = [*([made(ws)] if is_named else []), *some]
    with contextlib.suppress(AtmsError):
        assert call(ws, name, *words)["success"] in (True, False)


# Features


def test_approvals_are_kept_as_the_original_keeps_them() -> None:
    ws = workspace(feature("one", "suggested"), feature("two", "suggested"))
    answer = call(ws, "bulk-approve-features", ["one", "gone", 7, "two"], {"approved_by": "bob", "notes": "go"})
    assert (answer["success"], answer["approved_count"], answer["error_count"]) == (False, 2, 2)
    assert [each["feature_id"] for each in answer["errors"]] == ["gone", 7]
    history: Any = ws.roadmap.document["metadata"]["approval_history"]  # type: ignore[index, call-overload]
    entry = {"action": "approved", "timestamp": ws.time.now(), "approved_by": "bob", "notes": "go"}
    assert history == [{"feature_id": own, **entry} for own in ("one", "two")]
    assert call(ws, "feature-stats")["stats"]["recent_activity"] == history[::-1]
    with pytest.raises(AtmsError, match="only a suggested feature can be approved"):
        call(ws, "approve-feature", "one")


@pytest.mark.parametrize("name", ["approve-feature", "reject-feature"])
def test_agents_decide_nothing(name: str) -> None:
    ws = workspace(feature("idea", "suggested"), agents={"old": {"status": "active"}})
    with pytest.raises(AtmsError, match="agents cannot"):
        call(ws.acting_as("a1"), name, "idea")
    key = "approved_by" if name == "approve-feature" else "rejected_by"
    for agent in ("a1", "old"):
        with pytest.raises(AtmsError, match=f"`{agent}` is an agent"):
            call(ws, name, "idea", {key: agent})
    assert ws.roadmap.edits == []


# Tasks


def test_the_words_of_a_caller_are_given_back() -> None:
    ws = workspace()
    said = {"type": "error", "priority": "urgent", "estimated_effort": 1.5, "metadata": {"a": [1]}, "created_by": "me"}
    own = made(ws, **said, required_capabilities=["general"])
    task = call(ws, "get-task", own)["task"]
    metadata = {"auto_generated": False, "a": [1]}
    assert {name: task[name] for name in said} == {**said, "metadata": metadata}
    assert call(ws, "update-task", own, {"priority": "low", "metadata": {"b": 2}})["task"]["metadata"]["b"] == 2
    assert call(ws, "get-tasks-by-priority", "urgent")["count"] == 0


def test_a_task_goes_its_way_through_the_statuses() -> None:
    ws = workspace()
    own = assigned(ws)
    with pytest.raises(ConflictError):
        call(ws.acting_as("a2"), "update-task", own, {"status": "in_progress"})
    task = call(ws, "update-task", own, {"status": "in-progress", "progress_percentage": 40})["task"]
    assert (task["status"], task["assigned_to"], task["progress_percentage"]) == ("in_progress", "a1", 40)
    for wanted in ("queued", "blocked", "queued", "failed", "queued", "cancelled", "pending", "completed", "queued"):
        now = call(ws, "update-task", own, {"status": wanted})["task"]["status"]
        assert now == {"pending": "queued"}.get(wanted, wanted)
    for wanted, message in (("banana", "not a status"), ("assigned", "cannot be set"), ("suggested", "cannot be set")):
        with pytest.raises(AtmsError, match=message):
            call(ws, "update-task", own, {"status": wanted, "title": "Another"})
    assert call(ws, "get-task", own)["task"]["title"] == "Fix it", "nothing is half changed"
    with pytest.raises(UsageError, match="nothing to change"):
        call(ws, "update-task", own, {})


def test_an_agent_that_lacks_something_is_not_assigned() -> None:
    ws = workspace()
    own = made(ws, required_capabilities=["security"])
    answer = call(ws, "assign-task", own, "a1")
    assert answer["success"] is False
    assert (answer["agent_capabilities"], answer["required_capabilities"]) == (["testing"], ["security"])
    with pytest.raises(NotFoundError, match="no agent `nobody`"):
        call(ws, "assign-task", own, "nobody")


def test_a_task_is_completed_by_its_gates_alone() -> None:
    ws = workspace()
    ws.define_gate("tests")
    ws.runner.ends("tests", status="exited", exit_code=1)
    own = assigned(ws)
    with pytest.raises(GatesFailedError):
        call(ws, "complete-task", own, {"ok": True})
    assert call(ws, "get-task", own)["task"]["status"] == "assigned"
    ws.runner.ends("tests", status="exited", exit_code=0)
    assert call(ws, "complete-task", own, {"ok": True, "text": "fine"})["task"]["result"] == {
        "ok": True,
        "text": "fine",
    }


def test_who_comes_after_the_lease_has_ended_does_not_act_for_its_holder() -> None:
    ws = workspace()
    own = assigned(ws)
    ws.time.advance(1801)
    agents.register(ws, "a2", {"kind": "pull"})
    call(ws, "optimize-assignments")
    holder = call(ws, "get-task", own)["task"]["assigned_to"]
    other = "a2" if holder == "a1" else "a1"
    with pytest.raises(ConflictError):
        call(ws.acting_as(other), "complete-task", own)


def test_tasks_of_the_file_are_found_by_their_ids_there() -> None:
    ws = workspace(
        feature("f1"), tasks=[{"id": "task_1", "feature_id": "f1", "title": "From the file", "status": "queued"}]
    )
    featuresync.sync(ws)
    task = call(ws, "get-task", "task_1")["task"]
    assert (task["title"], task["metadata"]["external_id"]) == ("From the file", "task_1")
    assert call(ws, "create-task", {**TASK, "dependencies": ["task_1"]})["task"]["dependencies"] == [task["id"]]
    with pytest.raises(NotFoundError):
        call(ws, "get-task", "task_2")
    with pytest.raises(AtmsError, match="made once"):
        call(ws, "create-tasks-from-features", {"force": True})


def test_without_a_file_there_is_nothing_to_list() -> None:
    ws = FakeWorkspace()
    assert call(ws, "list-features") == {"success": True, "features": [], "total": 0, "metadata": {}}
    assert call(ws, "feature-stats")["stats"]["total"] == 0
    assert call(ws, "create-tasks-from-features")["created_tasks"] == []
    assert ws.roadmap.document is None, "looking makes no file"


# Agents


def test_sessions_stand_in_the_file_and_agents_here() -> None:
    ws = FakeWorkspace()
    first = call(ws, "initialize", "main")["agent"]["sessionId"]
    own = made(ws)
    lease = call(ws, "assign-task", own, "main")["lease"]
    ws.time.advance(900)
    again = call(ws, "reinitialize", "main")["agent"]
    assert again["previousSessions"] == 1
    document: Any = ws.roadmap.document
    assert document["agents"]["main"] == {
        "lastHeartbeat": ws.time.now(), "status": "active", "initialized": "2026-01-02T03:04:05.000Z", "sessionId": again["sessionId"],
        "reinitialized": ws.time.now(), "previousSessions": [first],
    }  # fmt: skip
    task = call(ws, "get-task", own)["task"]
    assert task["lease_expires_at"] > lease["expires_at"], "a new session renews what its agent holds"
    stats = call(ws, "get-initialization-stats")["stats"]
    assert (stats["total_initializations"], stats["total_reinitializations"]) == (1, 1)
    call(ws, "unregister-agent", "main")
    assert (ws.roadmap.document or {})["agents"] == {}
    assert call(ws, "get-active-agents")["agents"] == []
    assert call(ws, "get-task", own)["task"]["status"] == "queued"
    with pytest.raises(NotFoundError):
        call(ws, "unregister-agent", "main")


@pytest.mark.parametrize("before", [[], None, {"other": {"id": "other", "kept": 1.0}}])
def test_what_is_in_the_file_of_other_agents_stays(before: object) -> None:
    ws = workspace(agents=copy.deepcopy(before))
    call(ws, "initialize", "main")
    call(ws, "register-agent", "main", ["general", "testing"])
    document: Any = ws.roadmap.document
    assert {name: each for name, each in document["agents"].items() if name != "main"} == (before or {})
    assert document["agents"]["main"]["capabilities"] == ["general", "testing"]
    assert "sessionId" in document["agents"]["main"]
    assert agents.one(ws, "main")["capabilities"] == [], "who is general takes anything"


def test_a_stop_is_allowed_in_the_originals_words() -> None:
    ws = workspace()
    call(ws, "authorize-stop", "a1", "all is done")
    assert ws.stop == {
        "stop_allowed": True, "authorized_by": "a1", "reason": "all is done", "timestamp": ws.time.now(),
        "session_type": "self_authorized",
    }  # fmt: skip


def test_free_agents_take_turns() -> None:
    ws = workspace()
    agents.register(ws, "a2", {"kind": "pull"})
    for _ in range(3):
        made(ws)
    answer = call(ws, "optimize-assignments")
    assert {each["agent_id"] for each in answer["assignments"]} == {"a1", "a2"}
    assert len(answer["assignments"]) == 2
    assert call(ws, "optimize-assignments")["assignments"] == []
