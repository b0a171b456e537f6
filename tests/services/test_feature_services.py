"""FEATURES.json and the queue in step, in memory."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.errors import AtmsError, NotFoundError, UsageError
from atms_cli.services import features, queue, tasks
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
    found: Any = features.sync(ws)["created"]
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
    planned: Any = features.diff(ws)["new"]
    made = created(ws)
    assert len(made) == 23
    assert len({task["feature_id"] for task in made}) == len(planned) == 11
    assert created(ws) == []
    assert features.diff(ws) == {"file": ws.roadmap.path, "new": [], "write": []}
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
    assert features.sync(ws)["written"] == []
    finish(ws, made[1]["id"])
    tasks.cancel(ws, [made[2]["id"]], "nobody reads it")
    assert features.sync(ws)["written"] == [{"feature": "f1", "from": "approved", "to": "implemented"}]
    document: Any = ws.roadmap.document
    now = ws.time.now()
    notes = document["features"][0]["implementation_notes"]
    assert made[0]["id"] in notes
    assert made[1]["id"] in notes
    assert document["features"][0] == {
        **before["features"][0],
        "status": "implemented", "updated_at": now, "implemented_date": now, "implementation_notes": notes,
    }  # fmt: skip
    assert document["features"][1] == before["features"][1]
    assert features.sync(ws)["written"] == []
    assert ws.store.reading().feature("f1") == {
        "id": "f1", "title": "Export the list", "status": "implemented", "tasks": [task["id"] for task in made[:3]],
    }  # fmt: skip


def test_failed_tasks_make_it_failed_and_a_retry_makes_it_good() -> None:
    ws = workspace(feature("f1"))
    (made,) = created(ws)
    tasks.fail(ws, [made["id"]], "cannot be done", None)
    assert features.sync(ws)["written"] == [{"feature": "f1", "from": "approved", "to": "failed-implementation"}]
    document: Any = ws.roadmap.document
    assert "cannot be done" in document["features"][0]["failure_reason"]
    tasks.retry(ws, [made["id"]], None)
    finish(ws, made["id"])
    assert features.write_outcomes(ws) == [{"feature": "f1", "from": "failed-implementation", "to": "implemented"}]


@pytest.mark.parametrize("decided", ["rejected", "implemented", "suggested", "archived", "on hold"])
def test_what_somebody_decided_meanwhile_is_left_alone(decided: str) -> None:
    ws = workspace(feature("f1"))
    (made,) = created(ws)
    finish(ws, made["id"])
    document: Any = ws.roadmap.document
    document["features"][0]["status"] = decided
    edits = len(ws.roadmap.edits)
    assert features.sync(ws)["written"] == []
    assert (status(ws), len(ws.roadmap.edits)) == (decided, edits)


def test_evidence_names_the_gates_that_passed() -> None:
    ws = workspace(feature("f1"))
    ws.define_gate("tests")
    (made,) = created(ws)
    finish(ws, made["id"])
    features.sync(ws)
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
    (plan,) = features.plan(ws, [])
    assert [task["title"] for task in plan["tasks"]] == ["Implement: Export the list"]  # type: ignore[union-attr,index]
    assert len(features.plan(ws, ["f2"])) == 1
    assert ws.store.reading().last_events(1) == []


def test_while_the_queue_is_drained_features_become_drafts() -> None:
    ws = workspace(feature("f1"))
    queue.drain(ws, None)
    assert {task["status"] for task in created(ws)} == {"created"}
