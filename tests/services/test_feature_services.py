"""FEATURES.json and the queue in step, in memory."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.errors import AtmsError, NotFoundError, UsageError
from atms_cli.services import features, featuresync, queue, tasks
from atms_cli.services.identity import AGENT_MARKS
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject

DATA = Path(__file__).parents[3] / "shared" / "data" / "features"
SUGGESTION: JsonObject = {
    "title": "Export the list", "description": "Send the whole list to a file.",
    "business_value": "people ask for it", "category": "new-feature",
}  # fmt: skip


def feature(feature_id: str, status: str = "approved", **fields: object) -> JsonObject:
    base: dict[str, object] = {
        "id": feature_id,
        "status": status,
        **SUGGESTION,
        "category": "enhancement",
        "kept": {"by": ["all"]},
    }
    return base | fields  # type: ignore[return-value]


def workspace(*found: JsonObject | None, **more: object) -> FakeWorkspace:
    return FakeWorkspace({"project": "p", "features": list(found), "metadata": {"approval_history": []}, **more})  # type: ignore[dict-item]


def finish(ws: FakeWorkspace, *task_ids: str) -> None:
    tasks.done(ws, task_ids, token=None, force_reason=None, note=None)


def created(ws: FakeWorkspace) -> list[Any]:
    found: Any = featuresync.sync(ws)["created"]
    return list(found)


def status(ws: FakeWorkspace, index: int = 0) -> str:
    document: Any = ws.roadmap.document
    return str(document["features"][index]["status"])


def test_the_eleven_approved_become_23_tasks_once() -> None:
    path = DATA / "eleven-approved.json"
    if not path.exists():
        pytest.skip("no sample files here")
    document = json.loads(path.read_text(encoding="utf-8"))
    ws = FakeWorkspace(copy.deepcopy(document))
    planned: Any = featuresync.diff(ws)["new"]
    made = created(ws)
    assert len(made) == 23
    assert len({task["feature_id"] for task in made}) == len(planned) == 11
    assert created(ws) == []
    assert featuresync.diff(ws) == {
        "file": ws.roadmap.path, "new": [], "write": [], "change": [], "conflicts": [], "problems": [],
    }  # fmt: skip
    assert ws.roadmap.document == document, "nothing is written before there is something to say"
    assert ws.store.reading().counts() == {"ready": 11, "waiting": 12}


def test_only_approved_features_are_worked_on() -> None:
    ws = workspace(
        *(feature(each, each) for each in ("suggested", "rejected", "implemented", "banana")), feature("", "approved")
    )
    assert created(ws) == []


def test_what_the_file_holds_is_adopted_with_its_dependencies() -> None:
    ws = workspace(
        feature("f1"),
        tasks=[
            {"id": "a", "feature_id": "f1", "title": "First", "status": "completed"},
            {"id": "b", "feature_id": "f1", "title": "Second", "status": "queued", "dependencies": ["a"]},
            {"id": "c", "feature_id": "f1", "title": "Third", "status": "queued", "dependencies": ["b"]},
        ],
    )
    second, third = created(ws)
    assert (second["title"], second["dependencies"], third["dependencies"]) == ("Second", [], [second["id"]])
    assert created(ws) == []


def test_a_file_written_by_hand_does_not_stop_the_rest() -> None:
    ws = workspace(
        feature("f1", title="x" * 900), feature("f2", title="  "), feature("f2"), None, feature("f3", title=5)
    )
    made = created(ws)
    assert [task["feature_id"] for task in made] == ["f1", "f2", "f3"]
    assert created(ws) == []


def test_finished_tasks_make_a_feature_implemented() -> None:
    ws = workspace(feature("f1", category="new-feature"), feature("f2"))
    before: Any = copy.deepcopy(ws.roadmap.document)
    made = created(ws)
    finish(ws, made[0]["id"])
    assert featuresync.sync(ws)["written"] == []
    finish(ws, made[1]["id"])
    tasks.cancel(ws, [made[2]["id"]], "nobody reads it")
    assert featuresync.sync(ws)["written"] == [{"feature": "f1", "from": "approved", "to": "implemented"}]
    document: Any = ws.roadmap.document
    now = ws.time.now()
    notes = document["features"][0]["implementation_notes"]
    assert made[0]["id"] in notes
    assert made[1]["id"] in notes
    assert document["features"][0] == {
        **before["features"][0],
        "status": "implemented", "updated_at": now, "implemented_date": now, "implemented_by": "ann", "implementation_notes": notes,
    }  # fmt: skip
    assert document["features"][1] == before["features"][1]
    assert featuresync.sync(ws)["written"] == []
    assert ws.store.reading().feature("f1") == {
        "id": "f1", "title": "Export the list", "status": "implemented", "tasks": [task["id"] for task in made[:3]],
        "written": "implemented",
        "fields": {**{name: SUGGESTION[name] for name in ("title", "description", "business_value", "category")}, "status": "implemented"},
    }  # fmt: skip


def test_failed_tasks_make_it_failed_and_a_retry_makes_it_good() -> None:
    ws = workspace(feature("f1"))
    (made,) = created(ws)
    tasks.fail(ws, [made["id"]], "cannot be done", None)
    assert featuresync.sync(ws)["written"] == [{"feature": "f1", "from": "approved", "to": "failed-implementation"}]
    document: Any = ws.roadmap.document
    assert "cannot be done" in document["features"][0]["failure_reason"]
    tasks.retry(ws, [made["id"]], None)
    finish(ws, made["id"])
    assert featuresync.settle(ws)["written"] == [
        {"feature": "f1", "from": "failed-implementation", "to": "implemented"}
    ]


@pytest.mark.parametrize("decided", ["rejected", "implemented", "suggested", "archived", "on hold"])
def test_what_somebody_decided_meanwhile_is_left_alone(decided: str) -> None:
    ws = workspace(feature("f1"))
    (made,) = created(ws)
    finish(ws, made["id"])
    document: Any = ws.roadmap.document
    document["features"][0]["status"] = decided
    edits = len(ws.roadmap.edits)
    assert featuresync.sync(ws)["written"] == []
    assert (status(ws), len(ws.roadmap.edits)) == (decided, edits)


def test_evidence_names_the_gates_that_passed() -> None:
    ws = workspace(feature("f1"))
    ws.define_gate("tests")
    (made,) = created(ws)
    finish(ws, made["id"])
    featuresync.sync(ws)
    document: Any = ws.roadmap.document
    assert "gates passed: tests" in document["features"][0]["implementation_notes"]


def test_people_approve_and_agents_cannot() -> None:
    ws = workspace(feature("f1", "suggested"), feature("f2", "suggested"))
    before = copy.deepcopy(ws.roadmap.document)
    anton = ws.acting_as("anton")
    with pytest.raises(AtmsError, match="agents cannot approve"):
        features.approve(anton, ["f1"], "")
    with pytest.raises(AtmsError, match="agents cannot reject"):
        features.reject(anton, ["f1"], "")
    assert ws.roadmap.document == before
    assert ws.store.reading().last_events(9) == []
    assert [each["status"] for each in features.approve(ws, ["f1"], "go")] == ["approved"]
    assert [each["status"] for each in features.reject(ws, ["f2"], "no")] == ["rejected"]
    events = [(event["type"], event["key"], event["actor"]) for event in ws.store.reading().last_events(9)]
    assert events == [("feature.approved", "f1", "ann"), ("feature.rejected", "f2", "ann")]


def test_approving_several_is_all_or_none() -> None:
    ws = workspace(feature("f1", "suggested"), feature("f2", "implemented"))
    with pytest.raises(AtmsError, match="only a suggested"):
        features.approve(ws, ["f1", "f2"], "")
    with pytest.raises(NotFoundError):
        features.approve(ws, ["f1", "zzz"], "")
    assert status(ws) == "suggested"


def test_suggesting_makes_the_file_and_anyone_may() -> None:
    ws = FakeWorkspace(None)
    with pytest.raises(UsageError):
        features.suggest(ws, {**SUGGESTION, "title": "x"})
    assert ws.roadmap.document is None
    with pytest.raises(NotFoundError):
        features.everything(ws, [])
    made = features.suggest(ws.acting_as("anton"), SUGGESTION)
    assert (made["status"], made["suggested_by"]) == ("suggested", "agent:anton")
    assert [each["id"] for each in features.everything(ws, ["suggested"])] == [made["id"]]
    assert features.everything(ws, ["approved"]) == []
    features.approve(ws, [str(made["id"])], "")
    assert len(created(ws)) == 3
    shown: Any = features.show(ws, str(made["id"]))
    assert [task["status"] for task in shown["atms_tasks"]] == ["queued"] * 3


def test_a_plan_records_nothing() -> None:
    ws = workspace(feature("f1"), feature("f2", "suggested"))
    (plan,) = featuresync.plan(ws, [])
    assert [task["title"] for task in plan["tasks"]] == ["Implement: Export the list"]  # type: ignore[union-attr,index]
    assert len(featuresync.plan(ws, ["f2"])) == 1
    assert ws.store.reading().last_events(1) == []


def test_while_the_queue_is_drained_features_become_drafts() -> None:
    ws = workspace(feature("f1"))
    queue.drain(ws, None)
    assert {task["status"] for task in created(ws)} == {"created"}


@pytest.mark.parametrize("mark", AGENT_MARKS)
def test_whoever_has_the_mark_of_an_agent_is_one(mark: str) -> None:
    ws = workspace(feature("f1", "suggested"))
    ws.environ = {"PATH": "/bin", mark: "1"}
    for decide in (features.approve, features.reject, features.implement, features.fail, features.reopen):
        with pytest.raises(AtmsError, match="agents cannot") as refused:
            decide(ws, ["f1"], "")
        assert mark in refused.value.hint
    ws.environ = {"PATH": "/bin", mark: ""}
    assert [each["status"] for each in features.approve(ws, ["f1"], "")] == ["approved"]


def test_people_say_what_became_of_features_and_their_work_follows() -> None:
    ws = workspace(feature("f1"), feature("f2", title="Another one"))
    one, two = created(ws)
    assert [each["status"] for each in features.implement(ws, ["f1"], "by hand")] == ["implemented"]
    assert [each["status"] for each in features.fail(ws, ["f2"], "no way")] == ["failed-implementation"]
    document: Any = ws.roadmap.document
    assert document["features"][0]["implemented_by"] == "ann"
    assert document["features"][0]["implementation_notes"] == "by hand"
    assert document["features"][1]["failure_reason"] == "no way"
    read = ws.store.reading()
    assert [read.task(each["id"])["status"] for each in (one, two)] == ["cancelled", "cancelled"]
    assert read.task(two["id"])["reason"] == "its feature failed, the file says: no way"
    features.reopen(ws, ["f1", "f2"], "once more")
    assert [status(ws, index) for index in (0, 1)] == ["approved", "approved"]
    assert [each["action"] for each in document_of(ws)["metadata"]["approval_history"]] == ["approved", "approved"]
    assert [read.task(each["id"])["status"] for each in (one, two)] == ["queued", "queued"]
    features.reject(ws, ["f1"], "not now")
    features.reopen(ws, ["f1"], "")
    assert status(ws) == "suggested"
    kinds = [event["type"] for event in ws.store.reading().history("f1") if event["type"] != "feature.synced"]
    assert kinds == [f"feature.{each}" for each in ("planned", "implemented", "reopened", "rejected", "reopened")]


def document_of(ws: FakeWorkspace) -> Any:  # noqa: ANN401  JSON
    return ws.roadmap.document


@pytest.mark.parametrize(
    ("decide", "present", "words"),
    [
        (features.approve, "rejected", "only a suggested feature can be approved; `f1` is rejected"),
        (features.reject, "implemented", "only a suggested, approved or failed-implementation feature can be rejected"),
        (features.implement, "suggested", "only an approved or failed-implementation feature can be implemented"),
        (features.fail, "suggested", "only an approved feature can be failed"),
        (features.reopen, "approved", "only a rejected, implemented or failed-implementation feature can be reopened"),
    ],
)  # fmt: skip
def test_a_decision_that_does_not_fit_says_what_would(decide: Any, present: str, words: str) -> None:  # noqa: ANN401
    ws = workspace(feature("f1", present))
    with pytest.raises(AtmsError) as refused:
        decide(ws, ["f1"], "")
    assert refused.value.message.startswith(words)
    assert refused.value.hint


def test_edited_words_reach_the_tasks_and_agents_may_edit_suggestions_only() -> None:
    ws = workspace(feature("f1"), feature("f2", "suggested"))
    (one,) = created(ws)
    anton = ws.acting_as("anton")
    with pytest.raises(AtmsError, match="agents cannot edit features that are more than suggestions"):
        features.edit(anton, "f1", {"title": "A title of my own"})
    assert features.edit(anton, "f2", {"title": "A title of my own"})["title"] == "A title of my own"
    features.edit(ws, "f1", {"title": "A title of my own", "priority": "low"})
    task = ws.store.reading().task(one["id"])
    assert (task["title"], task["priority"]) == ("Implement: A title of my own", "low")
    edits = len(ws.roadmap.edits)
    features.edit(ws, "f1", {"priority": "low"})
    assert len(ws.roadmap.edits) == edits, "what is so already is not written"
    with pytest.raises(UsageError, match="has 5 characters"):
        features.edit(ws, "f1", {"title": "short"})
    with pytest.raises(UsageError, match="not a priority of features"):
        features.edit(ws, "f1", {"priority": "background"})


def test_counting_features() -> None:
    ws = workspace(feature("f1"), feature("f2", "suggested", category=None))
    created(ws)
    assert features.stats(ws) == {
        "total": 2, "by_status": {"approved": 1, "suggested": 1}, "by_category": {"enhancement": 1, "none": 1},
        "with_tasks": 1, "tasks": 1, "conflicts": 0,
    }  # fmt: skip


def config_of(**more: object) -> dict[str, object]:
    return {"workflow_config": {"require_approval": True, "auto_reject_timeout_hours": 168, **more}}


def test_suggestions_that_need_nobodys_word_are_approved() -> None:
    ws = workspace(feature("f1", "suggested"), feature("f2", "rejected"), **config_of(require_approval=False))
    report: Any = featuresync.sync(ws)
    assert report["written"] == [{"feature": "f1", "from": "suggested", "to": "approved"}]
    assert [task["feature_id"] for task in report["created"]] == ["f1"]
    assert document_of(ws)["features"][0]["approved_by"] == "workflow_config"
    assert [each["action"] for each in document_of(ws)["metadata"]["approval_history"]] == ["approved"]


def test_suggestions_that_waited_too_long_are_rejected_but_not_for_what_was_before_us() -> None:
    born = "2025-09-25T00:46:54.871Z"
    ws = workspace(feature("f1", "suggested", created_at=born), feature("f2", "suggested"), **config_of())
    before = copy.deepcopy(ws.roadmap.document)
    assert featuresync.sync(ws)["written"] == []
    ws.time.advance(168 * 3600 - 1)
    assert featuresync.sync(ws)["written"] == []
    assert ws.roadmap.document == before
    ws.time.advance(1)
    rejected = [{"feature": "f1", "from": "suggested", "to": "rejected"}]
    assert featuresync.diff(ws)["write"] == rejected
    assert featuresync.sync(ws)["written"] == rejected, "one without a date stays"
    assert document_of(ws)["features"][0]["rejection_reason"] == "not approved within 168 hours"


@pytest.mark.parametrize("hours", [0, -1, None, "168", True, 1e308, [], "x"])
def test_hours_that_are_none_reject_nothing(hours: object) -> None:
    ws = workspace(feature("f1", "suggested", created_at="2025-09-25"), **config_of(auto_reject_timeout_hours=hours))
    featuresync.sync(ws)
    ws.time.advance(10_000 * 3600)
    assert featuresync.sync(ws)["written"] == []
