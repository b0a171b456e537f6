"""What each side does to a feature reaches the other: status by the transition table, text as the file has it, and conflicts."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.errors import AtmsError, NotFoundError
from atms_cli.services import features, featuresync, health, tasks
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject


def feature(feature_id: str = "f1", **fields: object) -> JsonObject:
    base: dict[str, object] = {
        "id": feature_id, "title": "Export the list", "description": "Send the whole list to a file.",
        "business_value": "people ask for it", "category": "enhancement", "status": "approved", "kept": {"by": ["all"]},
    }  # fmt: skip
    return base | fields  # type: ignore[return-value]


def workspace(*found: JsonObject, **more: object) -> FakeWorkspace:
    return FakeWorkspace({"project": "p", "features": list(found), "metadata": {"approval_history": []}, **more})  # type: ignore[dict-item]


def synced(*found: JsonObject, **more: object) -> tuple[FakeWorkspace, list[Any]]:
    """Return a workspace that has taken in its roadmap, and the tasks made of it."""
    ws = workspace(*found, **more)
    created: Any = featuresync.sync(ws)["created"]
    return ws, created


def document(ws: FakeWorkspace) -> Any:  # noqa: ANN401  JSON
    return ws.roadmap.document


def write(ws: FakeWorkspace, index: int = 0, **fields: object) -> None:
    """Edit a feature as somebody with an editor does."""
    document(ws)["features"][index].update(fields)


def sync(ws: FakeWorkspace) -> Any:  # noqa: ANN401  JSON
    """Bring both sides in step, and see that there is nothing left to do then."""
    foretold: Any = featuresync.diff(ws)
    report: Any = featuresync.sync(ws)
    assert [each["what"] for each in foretold["change"]] == [each["what"] for each in report["changed"]]
    assert foretold["write"] == report["written"]
    events, text = ws.store.reading().newest(), copy.deepcopy(document(ws))
    again: Any = featuresync.sync(ws)
    assert (again["created"], again["written"], again["changed"]) == ([], [], [])
    assert (ws.store.reading().newest(), document(ws)) == (events, text)
    return report


def task(ws: FakeWorkspace, task_id: str) -> Any:  # noqa: ANN401  JSON
    return ws.store.reading().task(task_id)


def finish(ws: FakeWorkspace, task_id: str) -> None:
    tasks.done(ws, [task_id], token=None, force_reason=None, note=None)


def kinds(ws: FakeWorkspace, key: str = "f1") -> list[str]:
    return [event["type"] for event in ws.store.reading().history(key)]


# Text


def test_what_the_file_says_anew_reaches_open_tasks() -> None:
    ws, (one, test, words) = synced(feature(category="new-feature"))
    finish(ws, one["id"])
    write(ws, title="Export all lists", description="Every one of them, to a file.", business_value="critical for us")
    report = sync(ws)
    assert {touched for each in report["changed"] for touched in each["tasks"]} == {
        each["id"] for each in (one, test, words)
    }
    assert task(ws, test["id"])["title"] == "Test: Export all lists"
    assert task(ws, words["id"])["description"] == "Every one of them, to a file."
    assert task(ws, test["id"])["priority"] == "critical"
    assert task(ws, words["id"])["priority"] == "medium", "documentation has a priority of its own"


def test_of_texts_that_both_sides_changed_the_files_holds() -> None:
    ws, (one,) = synced(feature())
    tasks.update(ws, [one["id"]], {"description": "mine", "priority": "low"}, tags=[], untags=[])
    write(ws, description="What the file says, at some length.")
    assert sync(ws)["conflicts"] == []
    now = task(ws, one["id"])
    assert (now["description"], now["priority"]) == ("What the file says, at some length.", "low")


def test_what_only_we_changed_stays_ours() -> None:
    ws, (one,) = synced(feature())
    tasks.update(ws, [one["id"]], {"title": "Mine", "description": "mine", "priority": "low"}, tags=[], untags=[])
    write(ws, business_value="worth more than thought")
    sync(ws)
    now = task(ws, one["id"])
    assert (now["title"], now["description"], now["priority"]) == ("Mine", "mine", "low")
    assert now["business_value"] == "worth more than thought"


def test_criteria_of_both_sides_are_kept() -> None:
    ws, (one,) = synced(feature(acceptanceCriteria=["fast", "small"]))
    tasks.update(
        ws,
        [one["id"]],
        {"validation_criteria": {"gates": [], "success_criteria": ["fast", "small", "ours"]}},
        tags=[],
        untags=[],
    )
    write(ws, acceptanceCriteria=["fast", "theirs"])
    sync(ws)
    assert task(ws, one["id"])["validation_criteria"]["success_criteria"] == ["fast", "theirs", "ours"]


@pytest.mark.parametrize("take", ["file", "queue"])
def test_a_priority_that_both_sides_chose_waits_for_a_person(take: str) -> None:
    ws, (one,) = synced(feature(priority="low"))
    tasks.update(ws, [one["id"]], {"priority": "critical"}, tags=[], untags=[])
    write(ws, priority="high")
    conflict = {"field": "priority", "base": "low", "theirs": "high", "ours": "critical"}
    assert sync(ws)["conflicts"] == [{"feature": "f1", **conflict}]
    assert kinds(ws) == ["feature.planned", "feature.conflicted", "feature.synced"]
    assert featuresync.diff(ws)["conflicts"] == [{"feature": "f1", **conflict}]
    assert features.show(ws, "f1")["atms_conflicts"] == [conflict]
    assert [each["detail"] for each in health.doctor(ws)] == ["f1: file and queue disagree on its priority"]
    with pytest.raises(AtmsError, match="agents cannot settle"):
        features.resolve(ws.acting_as("eve"), "f1", take)
    features.resolve(ws, "f1", take)
    assert sync(ws)["conflicts"] == []
    assert task(ws, one["id"])["priority"] == ("high" if take == "file" else "critical")
    with pytest.raises(NotFoundError, match="no conflict"):
        features.resolve(ws, "f1", take)


def test_a_conflict_ends_when_both_sides_agree() -> None:
    ws, (one,) = synced(feature(priority="low"))
    tasks.update(ws, [one["id"]], {"priority": "critical"}, tags=[], untags=[])
    write(ws, priority="high")
    sync(ws)
    write(ws, priority="urgent")
    assert sync(ws)["conflicts"] == []
    assert task(ws, one["id"])["priority"] == "critical"


# Status


def test_a_rejected_features_work_ends_with_the_reason() -> None:
    ws, (one, test, _) = synced(feature(category="new-feature"))
    tasks.start(ws, [one["id"]], agent=None, token=None)
    write(ws, status="rejected", rejected_by="bea", rejection_reason="too dear")
    sync(ws)
    for each in (one, test):
        now = task(ws, each["id"])
        assert (now["status"], now["reason"]) == ("cancelled", "its feature was rejected by bea: too dear")
    write(ws, status="approved")
    sync(ws)
    assert task(ws, one["id"])["status"] == task(ws, test["id"])["status"] == "queued"


@pytest.mark.parametrize("status", ["implemented", "completed", "failed-implementation"])
def test_what_somebody_ended_by_hand_is_given_up(status: str) -> None:
    ws, (one,) = synced(feature())
    write(ws, status=status, implemented_by="bea")
    assert sync(ws)["written"] == []
    assert task(ws, one["id"])["status"] == "cancelled"
    assert document(ws)["features"][0]["status"] == status


@pytest.mark.parametrize("status", ["suggested", "on hold", "", None])
def test_what_is_no_longer_approved_is_held_back(status: str | None) -> None:
    ws, (one, test, _) = synced(feature(category="new-feature"))
    tasks.start(ws, [one["id"]], agent=None, token=None)
    write(ws, status=status)
    sync(ws)
    assert [task(ws, each["id"])["status"] for each in (one, test)] == ["in_progress", "blocked"]
    tasks.release(ws, [one["id"]], None, None)
    sync(ws)
    assert task(ws, one["id"])["status"] == "blocked", "it does not start once more either"
    write(ws, status="approved")
    sync(ws)
    assert [task(ws, each["id"])["status"] for each in (one, test)] == ["queued", "queued"]


def test_a_feature_that_is_gone_is_held_back_until_it_returns() -> None:
    ws, (one, two) = synced(feature(), feature("f2", title="Another one"))
    taken = document(ws)["features"].pop(0)
    sync(ws)
    assert (task(ws, one["id"])["status"], task(ws, two["id"])["status"]) == ("blocked", "queued")
    assert task(ws, one["id"])["reason"] == "its feature is not in the file any more"
    document(ws)["features"].append(taken)
    sync(ws)
    assert task(ws, one["id"])["status"] == "queued"


def test_what_a_person_holds_back_stays_held_back() -> None:
    ws, (one,) = synced(feature())
    tasks.block(ws, [one["id"]], "not yet")
    write(ws, status="suggested")
    sync(ws)
    write(ws, status="approved")
    sync(ws)
    assert task(ws, one["id"])["status"] == "blocked"


@pytest.mark.parametrize("spelling", ["in-progress", "in_progress"])
def test_somebody_elses_word_for_work_does_not_stop_it(spelling: str) -> None:
    ws, (one,) = synced(feature())
    write(ws, status=spelling)
    assert sync(ws)["changed"] == []
    finish(ws, one["id"])
    assert sync(ws)["written"] == [{"feature": "f1", "from": spelling, "to": "implemented"}]


@pytest.mark.parametrize("take", ["file", "queue"])
def test_work_that_is_done_for_what_was_rejected_is_a_conflict(take: str) -> None:
    ws, (one,) = synced(feature())
    finish(ws, one["id"])
    write(ws, status="rejected")
    report = sync(ws)
    assert report["written"] == []
    assert report["conflicts"] == [
        {"feature": "f1", "field": "status", "base": "approved", "theirs": "rejected", "ours": "implemented"}
    ]
    features.resolve(ws, "f1", take)
    assert sync(ws)["conflicts"] == []
    assert document(ws)["features"][0]["status"] == ("rejected" if take == "file" else "implemented")


def test_a_failure_gives_way_to_work_that_went_well_after_all() -> None:
    ws, (one,) = synced(feature())
    finish(ws, one["id"])
    write(ws, status="failed-implementation")
    assert sync(ws)["written"] == [{"feature": "f1", "from": "failed-implementation", "to": "implemented"}]


def test_an_implemented_feature_that_is_approved_again_is_done_again() -> None:
    ws, (one,) = synced(feature())
    finish(ws, one["id"])
    sync(ws)
    write(ws, status="approved")
    assert sync(ws)["written"] == []
    assert task(ws, one["id"])["status"] == "queued"
    finish(ws, one["id"])
    assert sync(ws)["written"] == [{"feature": "f1", "from": "approved", "to": "implemented"}]


@pytest.mark.parametrize("ended", ["implemented", "failed-implementation"])
def test_an_outcome_that_was_overwritten_with_what_was_there_before_is_written_again(ended: str) -> None:
    """As by a program that takes no lock: it read the file before us and wrote it after us."""
    ws, (one,) = synced(feature())
    stale = copy.deepcopy(document(ws))
    if ended == "implemented":
        finish(ws, one["id"])
    else:
        tasks.fail(ws, [one["id"]], "no", None)
    sync(ws)
    ws.roadmap.document = stale
    write(ws, description="And it has changed something else.")
    assert sync(ws)["written"] == [{"feature": "f1", "from": "approved", "to": ended}]
    now = task(ws, one["id"])
    assert (now["status"], now["description"]) == (
        ended.removesuffix("-implementation").replace("implemented", "completed"),
        "And it has changed something else.",
    )
    write(ws, status="approved")
    assert sync(ws)["written"] == [], "but a status that is taken back is taken back"
    assert task(ws, one["id"])["status"] == "queued"


def test_the_outcome_is_on_record_even_if_the_event_was_not_written() -> None:
    """As after a kill between the file and the journal."""
    ws, (one,) = synced(feature())
    finish(ws, one["id"])
    write(ws, status="implemented", implemented_date="2026-01-02T03:04:05.000Z")
    assert sync(ws)["written"] == []
    assert ws.store.reading().feature("f1")["status"] == "implemented"  # type: ignore[index]


# Other hands


def test_a_renamed_feature_keeps_its_tasks() -> None:
    ws, (one,) = synced(feature())
    write(ws, id="error_1", status="rejected")
    report = sync(ws)
    assert report["created"] == []
    assert task(ws, one["id"])["feature_id"] == "error_1"
    assert task(ws, one["id"])["status"] == "cancelled", "and what else was changed with the name counts too"
    assert [each["id"] for each in features.show(ws, "error_1")["atms_tasks"]] == [one["id"]]  # type: ignore[union-attr,index]


def test_features_that_look_alike_are_not_taken_for_renamed() -> None:
    ws, made = synced(feature(), feature("f2"))
    document(ws)["features"][:] = [feature("x1"), feature("x2")]
    assert len(sync(ws)["created"]) == 2
    assert {task(ws, each["id"])["status"] for each in made} == {"blocked"}


def test_another_order_and_a_second_one_of_the_same_id_change_nothing() -> None:
    ws, made = synced(feature(), feature("f2", title="Another one"))
    document(ws)["features"].reverse()
    document(ws)["features"].append(feature(status="rejected"))
    report = sync(ws)
    assert (report["changed"], report["created"], report["written"]) == ([], [], [])
    assert {task(ws, each["id"])["status"] for each in made} == {"queued"}
    assert featuresync.diff(ws)["problems"] == [
        {"path": "features[2].id", "problem": "is `f1`, as of features[1]; only the first one counts"}
    ]


def file_task(own_id: str, **fields: object) -> dict[str, object]:
    return {
        "id": own_id,
        "feature_id": "f1",
        "title": f"Task {own_id}",
        "priority": "normal",
        "status": "queued",
        **fields,
    }


def test_what_is_changed_in_the_files_tasks_reaches_ours() -> None:
    ws, (one, two, three) = synced(
        feature(), tasks=[file_task("a"), file_task("b"), file_task("c", status="suggested")]
    )
    assert task(ws, three["id"])["status"] == "created", "nobody has approved it"
    in_file = document(ws)["tasks"]
    in_file[0].update(title="Otherwise", priority="urgent")
    in_file[1].update(status="cancelled")
    in_file[2].update(status="approved")
    in_file.append(file_task("d"))
    in_file.append(file_task("e", metadata={"auto_generated": True}))
    report = sync(ws)
    assert (task(ws, one["id"])["title"], task(ws, one["id"])["priority"]) == ("Otherwise", "critical")
    assert (task(ws, two["id"])["status"], task(ws, three["id"])["status"]) == ("cancelled", "queued")
    assert [each["title"] for each in report["created"]] == ["Task d"], "what the original derives is derived already"


def test_a_task_that_the_file_calls_completed_is_unless_gates_have_to_judge_it() -> None:
    ws, (one, two) = synced(feature(), tasks=[file_task("a"), file_task("b")])
    document(ws)["tasks"][0]["status"] = "completed"
    sync(ws)
    assert task(ws, one["id"])["status"] == "completed"
    ws.define_gate("tests")
    document(ws)["tasks"][1]["status"] = "completed"
    assert sync(ws)["conflicts"] == [
        {"feature": "f1", "field": "done.b", "base": "queued", "theirs": "completed", "ours": "queued"}
    ]
    with pytest.raises(AtmsError, match="has not passed its gates"):
        features.resolve(ws, "f1", "file")
    finish(ws, two["id"])
    report = sync(ws)
    assert (report["conflicts"], [each["to"] for each in report["written"]]) == ([], ["implemented"])


@pytest.mark.parametrize("take", ["file", "queue"])
def test_a_priority_of_a_task_that_both_sides_chose_waits_for_a_person_too(take: str) -> None:
    ws, (one,) = synced(feature(), tasks=[file_task("a.b")])
    tasks.update(ws, [one["id"]], {"priority": "low"}, tags=[], untags=[])
    document(ws)["tasks"][0]["priority"] = "urgent"
    assert sync(ws)["conflicts"] == [
        {"feature": "f1", "field": "priority.a.b", "base": "medium", "theirs": "critical", "ours": "low"}
    ]
    features.resolve(ws, "f1", take)
    assert sync(ws)["conflicts"] == []
    assert task(ws, one["id"])["priority"] == ("critical" if take == "file" else "low")


def test_evidence_names_who_did_it_the_gates_and_the_commit() -> None:
    ws, (one,) = synced(feature())
    result: JsonObject = {
        "merge": {"kind": "merged", "commit": "0123456789abcdef", "base": "f"},
        "validation": {"passed": True, "gates": [{"name": "tests", "status": "passed"}, {"name": "lint", "status": "failed"}]},
    }  # fmt: skip
    with ws.store.writing("atms run") as tx:
        tx.record(
            [
                ("task.started", one["id"], {"assigned_agent": "claude", "attempts": 1, "run": "r"}),
                ("task.completed", one["id"], {"result": result, "run": "r"}),
            ]
        )
    sync(ws)
    written = document(ws)["features"][0]
    assert written["implemented_by"] == "claude"
    assert written["implementation_notes"] == (
        f"completed by atms: {one['id']} (Implement: Export the list; gates passed: tests; commit 0123456789ab)"
    )


def test_the_last_task_that_the_file_completes_makes_its_feature_implemented_at_once() -> None:
    ws, (_,) = synced(feature(), tasks=[file_task("a")])
    document(ws)["tasks"][0]["status"] = "completed"
    assert [each["to"] for each in sync(ws)["written"]] == ["implemented"]


def test_what_is_completed_in_the_file_stays_so_when_its_feature_is_rejected_too() -> None:
    ws, (one, two) = synced(feature(), tasks=[file_task("a"), file_task("b")])
    document(ws)["tasks"][0]["status"] = "completed"
    write(ws, status="rejected")
    sync(ws)
    assert [task(ws, each["id"])["status"] for each in (one, two)] == ["completed", "cancelled"]


def test_a_task_of_the_file_that_is_done_here_is_done_there() -> None:
    ws, (one, _) = synced(feature(), tasks=[file_task("a", kept=[1]), file_task("b")])
    before = copy.deepcopy(document(ws))
    finish(ws, one["id"])
    sync(ws)
    now = ws.time.now()
    before["tasks"][0] |= {"status": "completed", "updated_at": now, "completed_at": now}
    before["metadata"]["updated"] = now
    assert document(ws) == before


def test_what_is_known_survives_a_rebuild() -> None:
    ws, (one,) = synced(feature(priority="low"))
    tasks.update(ws, [one["id"]], {"priority": "critical"}, tags=[], untags=[])
    write(ws, priority="high", description="What the file says, at some length.")
    sync(ws)
    before = ws.store.reading().features()
    ws.store.rebuild()
    assert ws.store.reading().features() == before
    assert sync(ws)["changed"] == []
