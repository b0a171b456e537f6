"""What approved features become, and what their tasks make of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import breakdown, decisions, featureedits
from atms_cli.domain import feature as features
from atms_cli.errors import AtmsError, NotFoundError, UsageError
from atms_cli.store.jsonedit import amend

if TYPE_CHECKING:
    from atms_cli.domain.records import Event, FeatureState, JsonObject

DATA = Path(__file__).parents[3] / "shared" / "data" / "features"
NOW = "2026-01-02T03:04:05.000Z"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
field_names = st.sampled_from(
    [
        "id",
        "title",
        "description",
        "business_value",
        "category",
        "status",
        "priority",
        "acceptanceCriteria",
        "approved_by",
    ]
)


def made(**fields: object) -> JsonObject:
    base: dict[str, object] = {
        "id": "f1", "title": "Exports", "description": "Send the list to a file.", "business_value": "people ask for it",
        "category": "enhancement", "status": "approved",
    }  # fmt: skip
    return base | fields  # type: ignore[return-value]


def sample(name: str) -> JsonObject:
    path = DATA / name
    if not path.exists():
        pytest.skip("no sample files here")
    found: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_eleven_approved_become_23_tasks() -> None:
    document = sample("eleven-approved.json")
    approved = [feature for feature in features.listed(document) if feature.get("status") == "approved"]
    derived = {features.text(feature, "id"): breakdown.derive(feature) for feature in approved}
    assert len(approved) == len(derived) == 11
    assert sum(len(each) for each in derived.values()) == 23
    for feature in approved:
        own = derived[features.text(feature, "id")]
        titles = [f"{verb}: {feature['title']}" for verb in ("Implement", "Test", "Document")]
        assert [task["title"] for task in own] == (titles if feature["category"] == "new-feature" else titles[:1])
        assert all(task["feature_id"] == feature["id"] for task in own)
        assert [task["after"] for task in own] == [[], [0], [0]][: len(own)]
        for task in own:
            after = task.pop("after")
            assert isinstance(after, list)
            decisions.create("t", task, created_by="ann", draft=False)


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({"category": "security"}, "critical"),
        ({"category": "bug-fix"}, "high"),
        ({"category": "performance", "business_value": "critical"}, "high"),
        ({"category": "enhancement", "business_value": "This is CRITICAL."}, "critical"),
        ({"category": "new-feature", "business_value": "essential"}, "high"),
        ({"business_value": "not critically needed"}, "medium"),
        ({}, "medium"),
        ({"category": "security", "priority": "low"}, "low"),
        ({"priority": "urgent"}, "critical"),
        ({"priority": "normal", "category": "bug-fix"}, "medium"),
        ({"priority": "whatever", "category": "bug-fix"}, "high"),
    ],
)
def test_priority(fields: JsonObject, priority: str) -> None:
    assert breakdown.priority(made(**fields)) == priority


@pytest.mark.parametrize(
    ("category", "characters", "hours"),
    [("new-feature", 0, 10), ("new-feature", 500, 20), ("enhancement", 250, 12), ("security", 0, 9), ("bug-fix", 0, 5),
     ("documentation", 5000, 20), ("no such", 0, 5)],
)  # fmt: skip
def test_effort(category: str, characters: int, hours: int) -> None:
    assert breakdown.effort_minutes(made(category=category, description="x" * characters)) == hours * 60


@pytest.mark.parametrize(
    ("fields", "skills"),
    [
        ({"description": "We build what is required, quickly."}, []),
        ({"description": "A new UI."}, ["frontend"]),
        ({"description": "The user interfaces, the API server"}, ["frontend", "backend"]),
        ({"description": "the latest contest is attested"}, []),
        ({"description": "testing"}, ["testing"]),
        ({"description": "an api-test", "category": "security"}, ["security", "backend", "testing"]),
        ({"category": "bug-fix"}, ["analysis"]),
        ({"category": "performance"}, ["performance"]),
    ],
)
def test_capabilities_come_from_words_not_from_parts_of_words(fields: JsonObject, skills: list[str]) -> None:
    assert breakdown.capabilities(made(**fields)) == skills


def test_supporting_tasks() -> None:
    assert len(breakdown.derive(made())) == 1
    assert len(breakdown.derive(made(description="x" * 800))) == 1
    assert [task["category"] for task in breakdown.derive(made(description="x" * 801))] == ["enhancement", "testing"]
    assert len(breakdown.derive(made(business_value="a comprehensive answer"))) == 2
    main, test, document = breakdown.derive(made(category="new-feature", description="", priority="high"))
    assert [task["estimated_effort"] for task in (main, test, document)] == [600, 360, 180]
    assert [task["priority"] for task in (main, test, document)] == ["high", "high", "medium"]
    assert [task["required_capabilities"] for task in (main, test, document)] == [[], ["testing"], ["documentation"]]
    assert [task["category"] for task in (main, test, document)] == ["feature", "testing", "documentation"]


def test_a_features_own_criteria_become_the_tasks() -> None:
    (main,) = breakdown.derive(
        made(acceptanceCriteria=["it works", 5, "it is fast"], approved_by="ann", approval_date=NOW)
    )
    assert main["validation_criteria"] == {"gates": [], "success_criteria": ["it works", "it is fast"]}
    metadata: Any = main["metadata"]
    assert (metadata["approved_by"], metadata["approved_at"]) == ("ann", NOW)


@given(st.dictionaries(field_names, json_values), st.lists(st.dictionaries(st.sampled_from(
    ["id", "title", "description", "type", "priority", "status", "dependencies", "estimated_effort", "required_capabilities"]
), json_values), max_size=4))  # fmt: skip
def test_whatever_a_file_holds_becomes_tasks_that_can_be_made(feature: JsonObject, in_file: list[JsonObject]) -> None:
    feature["title"] = str(feature.get("title")) * 60
    for drafts in (breakdown.derive(feature), breakdown.adopt(feature, in_file)):
        for index, draft in enumerate(drafts):
            after = draft.pop("after")
            assert isinstance(after, list)
            assert all(isinstance(position, int) and 0 <= position < len(drafts) for position in after)
            assert index not in after
            decisions.create("t1", draft, created_by="ann", draft=False)


def test_the_files_own_tasks_are_adopted() -> None:
    document: JsonObject = {
        "tasks": [
            {"id": "a", "feature_id": "f1", "title": "First", "status": "completed", "type": "implementation"},
            {"id": "b", "feature_id": "f1", "title": "Second", "status": "queued", "type": "testing", "priority": "urgent",
             "dependencies": ["a", "c", "zz", "b"], "estimated_effort": 2.5, "required_capabilities": ["general", "", "testing"]},
            {"id": "c", "feature_id": "f1", "status": "in-progress", "type": "error", "description": "own words",
             "estimated_effort": float("inf")},
            {"id": "d", "feature_id": "f2", "title": "Another's", "status": "queued"},
            None, "text",
        ]
    }  # fmt: skip
    in_file = breakdown.tasks_in_file(document)["f1"]
    assert [task["id"] for task in in_file] == ["a", "b", "c"]
    second, third = breakdown.adopt(made(), in_file)
    assert (second["title"], second["category"], second["priority"], second["estimated_effort"]) == (
        "Second",
        "testing",
        "critical",
        150,
    )
    assert second["after"] == [1], "what is finished is met, what is elsewhere is not ours"
    assert second["required_capabilities"] == ["testing"]
    assert second["description"] == "Send the list to a file."
    assert (third["title"], third["category"], third["priority"], third["description"]) == (
        "Implement: Exports", "bug_fix", "medium", "own words",
    )  # fmt: skip
    properties: Any = third["metadata"]
    assert properties["properties"] == {"external_id": "c"}


@pytest.mark.parametrize(
    "name", ["api-one-feature-three-tasks.json", "features-and-tasks.json", "tab-indented-tasks.json"]
)
def test_the_saved_files_own_tasks_can_all_be_adopted(name: str) -> None:
    document = sample(name)
    for feature in features.listed(document):
        for draft in breakdown.adopt(feature, breakdown.tasks_in_file(document).get(features.text(feature, "id"), [])):
            draft.pop("after")
            decisions.create("t1", draft, created_by="ann", draft=False)


@pytest.mark.parametrize(
    ("statuses", "meaning"),
    [
        ([], None),
        (["queued"], None),
        (["completed"], "implemented"),
        (["completed", "completed"], "implemented"),
        (["completed", "cancelled"], "implemented"),
        (["completed", "archived"], "implemented"),
        (["cancelled"], None),
        (["completed", "queued"], None),
        (["completed", "blocked"], None),
        (["failed"], "failed-implementation"),
        (["failed", "queued"], "failed-implementation"),
        (["failed", "completed"], "failed-implementation"),
        (["failed", "in_progress"], None),
        (["failed", "review"], None),
        (["failed", "validating", "completed"], None),
    ],
)
def test_outcomes(statuses: list[str], meaning: str | None) -> None:
    assert features.outcome(statuses) == meaning


def test_only_what_nobody_decided_otherwise_is_overwritten() -> None:
    allowed = {
        (current, new)
        for current in (
            "suggested",
            "approved",
            "rejected",
            "implemented",
            "failed-implementation",
            "archived",
            "",
            "banana",
        )
        for new in ("implemented", "failed-implementation")
        if features.may_write(current, new)
    }
    assert allowed == {
        ("approved", "implemented"), ("failed-implementation", "implemented"), ("approved", "failed-implementation"),
    }  # fmt: skip


def document_of(*found: JsonObject) -> JsonObject:
    return {"project": "p", "features": [None, *found], "metadata": {"total_features": 9, "approval_history": []}}


def amended(document: JsonObject, edits: Any) -> Any:  # noqa: ANN401  JSON
    return amend(copy.deepcopy(document), edits)


def test_an_outcome_touches_its_own_fields_and_the_date() -> None:
    document = document_of(made(extra={"kept": [1]}))
    after = amended(document, featureedits.outcome(document, 1, "implemented", by="eve", note="all done", now=NOW))
    own = {
        "status": "implemented", "updated_at": NOW, "implemented_date": NOW, "implemented_by": "eve", "implementation_notes": "all done",
    }  # fmt: skip
    assert after["features"] == [None, {**made(extra={"kept": [1]}), **own}]
    assert after["metadata"] == {"total_features": 9, "approval_history": [], "updated": NOW}
    failed = amended(document, featureedits.outcome(document, 1, "failed-implementation", by="", note="broke", now=NOW))
    assert failed["features"][1]["failure_date"] == NOW
    assert failed["features"][1]["failure_reason"] == "broke"


def test_judging_writes_the_feature_and_the_history() -> None:
    document = document_of(made(status="suggested"))
    approved = amended(document, featureedits.approve(document, 1, by="ann", notes="go", now=NOW))
    assert approved["features"][1]["status"] == "approved"
    assert approved["features"][1]["approved_by"] == "ann"
    assert approved["metadata"]["approval_history"] == [
        {"feature_id": "f1", "action": "approved", "timestamp": NOW, "approved_by": "ann", "notes": "go"}
    ]
    rejected = amended(document, featureedits.reject(document, 1, by="ann", reason="no", now=NOW))
    assert (rejected["features"][1]["status"], rejected["features"][1]["rejection_reason"]) == ("rejected", "no")
    for status in ("approved", "rejected", "implemented", None):
        decided = document_of(made(status=status))
        with pytest.raises(AtmsError, match="only a suggested feature can be approved"):
            featureedits.approve(decided, 1, by="ann", notes="", now=NOW)


def test_suggesting_appends_and_counts() -> None:
    fields: JsonObject = {
        "title": "A long enough title",
        "description": "x" * 20,
        "business_value": "y" * 10,
        "category": "bug-fix",
    }
    document = document_of(made())
    after = amended(document, featureedits.suggest(document, fields, feature_id="f2", by="ann", now=NOW))
    assert list(after["features"][2]) == [
        "id", "title", "description", "business_value", "category", "status", "created_at", "updated_at", "suggested_by", "metadata",
    ]  # fmt: skip
    assert after["metadata"]["total_features"] == 2
    assert after["metadata"]["updated"] == NOW


@pytest.mark.parametrize(
    "change",
    [{"title": "short"}, {"title": "x" * 201}, {"title": "😀" * 101}, {"description": "x" * 19}, {"business_value": " "},
     {"category": "feature"}, {"category": None}, {"description": 5}],
)  # fmt: skip
def test_a_suggestion_that_the_original_would_refuse(change: JsonObject) -> None:
    fields: JsonObject = {
        "title": "A long enough title",
        "description": "x" * 20,
        "business_value": "y" * 10,
        "category": "bug-fix",
    }
    featureedits.check_suggestion(fields)
    with pytest.raises(UsageError):
        featureedits.check_suggestion({**fields, **change})


def test_finding_by_the_beginning_of_an_id() -> None:
    document = document_of(made(id="feature_1_aa"), made(id="feature_1_ab"), made(id="feature_1"))
    assert features.find(document, "feature_1")[0] == 3
    assert features.find(document, "feature_1_aa")[0] == 1
    with pytest.raises(UsageError, match="stands for 2"):
        features.find(document, "feature_1_")
    with pytest.raises(NotFoundError):
        features.find(document, "zzz")
    with pytest.raises(NotFoundError):
        features.find({"features": "broken"}, "f1")


def test_what_is_known_of_a_feature_is_folded_from_events() -> None:
    def event(kind: str, data: JsonObject) -> Event:
        return {"v": 1, "id": "e", "at": NOW, "type": kind, "key": "f1", "actor": "ann", "data": data}

    state: FeatureState | None = None
    for kind, data in (
        ("feature.suggested", {"title": "T", "status": "suggested"}),
        ("feature.approved", {"status": "approved"}),
        ("feature.planned", {"title": "T", "tasks": ["t1", "t2"]}),
        ("feature.planned", {"title": "T", "tasks": ["t3"]}),
        ("feature.written", {"status": "implemented"}),
    ):
        state = features.evolve(state, event(kind, data))  # type: ignore[arg-type]
    assert state == {"id": "f1", "title": "T", "status": "implemented", "tasks": ["t1", "t2", "t3"]}
    assert features.evolve(state, event("feature.from_the_future", {})) == state
