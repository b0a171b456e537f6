"""Every wart that roadmap files in the wild have: read, worked on, and written back with nothing else changed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.domain.feature import by_id, skeleton
from atms_cli.errors import AtmsError, DamagedError
from atms_cli.services import features, featuresync, tasks
from atms_cli.store.featurefile import JsonFeatureFile
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject

SAMPLES = sorted((Path(__file__).parents[3] / "shared" / "data" / "features").glob("*.json"))
#: What atms may write into a file, and nothing else.
OURS = (
    "status", "updated_at", "updated", "implemented_date", "implementation_date", "implemented_at", "implemented_by",
    "implementation_notes", "completed_at", "metadata",
)  # fmt: skip
BORN = "2025-09-25T00:46:54.871Z"


def feature(own: object = "f1", **fields: object) -> dict[str, object]:
    base: dict[str, object] = {
        "id": own, "title": "Export the list", "description": "Send the whole list to a file.",
        "business_value": "people ask for it", "category": "enhancement", "status": "approved",
        "created_at": BORN, "updated_at": BORN, "suggested_by": "system", "metadata": {},
    }  # fmt: skip
    return base | fields


def task(own: object, **fields: object) -> dict[str, object]:
    base: dict[str, object] = {
        "id": own, "feature_id": "f1", "title": f"Task {own}", "description": "", "type": "implementation", "priority": "normal",
        "status": "queued", "dependencies": [], "estimated_effort": 5, "required_capabilities": ["general"],
    }  # fmt: skip
    return base | fields


def v1(*found: object, **more: object) -> dict[str, object]:
    return {**skeleton("p", BORN), "features": list(found), **more}


V2: dict[str, object] = {
    "project": "p", "schema_version": "2.0.0", "migrated_from": "new_installation", "migration_date": BORN, "tasks": [],
    "completed_tasks": [],
    "task_relationships": {"gone": {"dependencies": [], "dependents": ["gone too"]}}, "workflow_config": {"allowed_task_types": ["error"]},
    "auto_generation_config": {}, "priority_system": {"order": ["ERROR"]}, "agents": {},
    "metadata": {"version": "2.0.0", "updated": BORN, "total_tasks": 21, "tasks_by_type": {"error": 1}, "approval_history": []},
}  # fmt: skip
MIGRATED: dict[str, object] = {
    "schema_version": "1.0.0", "migration_info": {"from": "TODO.json"}, "project": "p", "settings": {}, "completed_features": [],
    "features": [{
        "id": "f1", "title": "Fix the build", "description": "", "status": "approved", "suggested_at": BORN, "approved_at": BORN,
        "implemented_at": None, "original_category": "error", "dependencies": ["x"], "important_files": ["a.js"],
        "success_criteria": ["it builds"], "estimate": "", "requires_research": False,
        "subtasks": [{"id": "s", "type": "research", "estimated_hours": 0.5}],
    }],
}  # fmt: skip
SIM: dict[str, object] = {
    "features": [{
        "id": "f1", "title": "Physics", "description": "Rigid bodies", "status": "approved", "phase": "Phase 1", "priority": "high",
        "estimatedWeeks": 2.5, "dependencies": ["core-loop"], "components": ["a", "b"], "acceptanceCriteria": ["fast"],
    }],
    "metadata": {"totalFeatures": 1, "phases": 3, "lastUpdated": BORN},
}  # fmt: skip

#: A file, how many tasks it becomes, and the places of what is odd in it.
CASES: dict[str, tuple[dict[str, object], int, Sequence[str]]] = {
    "as the original makes it": (v1(), 0, ()),
    "agents as a list": (v1(feature(), agents=[]), 1, ()),
    "many agents": (v1(feature(), agents={"a": {"lastHeartbeat": BORN, "previousSessions": ["x"] * 9}, "b": {}}), 1, ()),
    "second generation": (V2, 0, ()),
    "second generation with features": ({**V2, "features": [feature()]}, 1, ()),
    "second generation with tasks alone": ({**V2, "features": [], "tasks": [task("t1", feature_id=None)]}, 0, ()),
    "migrated from TODO.json": (MIGRATED, 1, ()),
    "a plan by hand": (SIM, 1, ()),
    "nothing but features": ({"features": [feature()]}, 1, ()),
    "no features": ({"project": "p"}, 0, ()),
    "empty": ({}, 0, ()),
    "nulls in lists": (v1(None, feature(), None, tasks=[None, task("t1")]), 1, ("features[0]", "features[2]", "tasks[0]")),
    "strings in lists": (v1("f0", feature(), tasks=["t"], completed_tasks=[3]), 1, ("features[0]", "tasks[0]", "completed_tasks[0]")),
    "features that are no list": ({"features": {"f1": feature()}}, 0, ("features",)),
    "features that are null": ({"features": None, "tasks": None}, 0, ("features", "tasks")),
    "metadata that is null": (v1(metadata=None), 0, ("metadata",)),
    "history that is null": (v1(metadata={"approval_history": None}), 0, ("metadata.approval_history",)),
    "two of one id": (v1(feature(), feature()), 1, ("features[1].id",)),
    "no id": (v1({"title": "x", "status": "approved"}, feature()), 1, ("features[0].id",)),
    "an id that is a number": (v1(feature(7), feature()), 1, ("features[0].id", "features[0].id")),
    "an id from the hook": (v1(feature("error_1758523829033_pyogectd0")), 1, ()),
    "an id beyond ASCII": (v1(feature("ünïcode 🚀/..\n")), 1, ()),
    "values of another kind": (
        v1(feature(title=5, description=[], status=True), feature("f2", metadata=[], priority=3)), 1,
        ("features[0].title", "features[0].description", "features[0].status"),
    ),
    "nulls for values": (v1(feature(title=None, description=None, business_value=None, category=None)), 1, ()),
    "unknown words": (v1(feature(category="chore", priority="P0", extra={"a": [1]}), feature("f2", status="banana")), 1, ()),
    "both spellings of a status": (v1(feature("f0", status="in_progress"), feature("f2", status="in-progress")), 0, ()),
    "all statuses of tasks": (
        v1(feature(), tasks=[task(each, status=each) for each in (
            "suggested", "approved", "in-progress", "in_progress", "completed", "blocked", "rejected", "assigned", "banana", "cancelled",
            "failed", "implemented", None,
        )]), 9, (),
    ),
    "both vocabularies of tasks": (
        v1(feature(), tasks=[task("a", type="error", priority="urgent", category=None), task("b", type="audit", verificationGate=None)]),
        2, (),
    ),
    "both forms of completed tasks": (
        v1(feature(), tasks=[task("a", status="completed"), task("b", dependencies=["a"])], completed_tasks=[
            {"task_id": "a", "completed_at": BORN, "feature_id": "f1", "result": {}}, task("a", status="completed", archived_at=BORN),
        ]), 1, (),
    ),
    "references that lead nowhere": (
        v1(feature(), tasks=[task("a", feature_id="gone")], metadata={
            "approval_history": [{"feature_id": "gone", "action": "approved"}, {"feature_id": "f1", "action": "approved"}, None],
        }), 1, ("tasks[0].feature_id", "metadata.approval_history[0].feature_id"),
    ),
    "circles and strangers among dependencies": (
        v1(feature(), tasks=[task("a", dependencies=["a", "gone", 5]), task("b", dependencies=["a", "a"]), task("c", dependencies="a")]),
        3, (),
    ),
    "numbers that are none of ours": (v1(feature(n=[1.0, 1e400, 10**400, -0.0]), tasks=[task("a", estimated_effort=-3)]), 1, ()),
}  # fmt: skip


def as_json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def tabs(document: object) -> str:
    return json.dumps(document, indent="\t", ensure_ascii=False) + "\n"


def windows(document: object) -> str:
    return "\ufeff" + json.dumps(document, indent=4).replace("\n", "\r\n") + "\r\n"


def one_line(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


class Here(FakeWorkspace):
    """A workspace in memory with a roadmap on the disk."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(None)
        self.file = path
        path.write_bytes(text.encode())
        self.roadmap = JsonFeatureFile(str(path), backups=str(path.parent / "backups"))  # type: ignore[assignment]

    @property
    def text(self) -> str:
        return self.file.read_bytes().decode()

    def document(self) -> Any:  # noqa: ANN401  JSON
        return self.roadmap.read()


@pytest.fixture(params=["FEATURES.json", "TASKS.json"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def created(ws: Here) -> list[Any]:
    found: Any = featuresync.sync(ws)["created"]
    return list(found)


def finish(ws: Here, made: list[Any]) -> None:
    for each in made:
        tasks.done(ws, [each["id"]], token=None, force_reason=None, note=None)


def assert_only_ours_changed(before: str, after: str) -> None:
    """Lines that are new or gone hold a field that is ours; a comma behind a former last key is not a change."""
    old, new = (Counter(line.strip().rstrip(",") for line in text.splitlines()) for text in (before, after))
    for line in [*(old - new), *(new - old)]:
        assert line in ("}", "{", "") or line.partition('":')[0].strip('"') in OURS, line


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_read_worked_on_and_written_with_nothing_else_changed(place: Path, name: str) -> None:
    document, number, odd = CASES[name]
    ws = Here(place, before := as_json(document))
    found: Any = featuresync.diff(ws)
    assert [each["path"] for each in found["problems"]] == list(odd)
    made = created(ws)
    assert len(made) == number
    assert created(ws) == []
    assert ws.text == before
    assert not (place.parent / "backups").exists(), "nothing was written, so nothing had to be kept"
    if any(each["status"] == "created" for each in made):
        tasks.enqueue(ws, [each["id"] for each in made])
    finish(ws, made)
    report: Any = featuresync.sync(ws)
    assert {each["to"] for each in report["written"]} <= {"implemented"}
    assert len(report["written"]) == len({each["feature_id"] for each in made})
    assert_only_ours_changed(before, ws.text)
    settled = ws.text
    again: Any = featuresync.sync(ws)
    assert (again["written"], again["changed"], ws.text) == ([], [], settled)


@pytest.mark.parametrize("layout", [as_json, tabs, windows, one_line])
@pytest.mark.parametrize("name", CASES)
def test_the_manner_of_writing_is_kept(tmp_path: Path, name: str, layout: Any) -> None:  # noqa: ANN401
    document, _, _ = CASES[name]
    ws = Here(tmp_path / "FEATURES.json", before := layout(document))
    finish_all(ws)
    expected = json.loads(layout(ws.document()).lstrip("\ufeff"))
    assert ws.document() == expected
    assert ws.text == layout(ws.document()), "as if whoever wrote it had written the change"
    assert (ws.text == before) == (ws.document() == json.loads(before.lstrip("\ufeff")))


def finish_all(ws: Here) -> None:
    made = created(ws)
    drafts = [each["id"] for each in made if each["status"] == "created"]
    if drafts:
        tasks.enqueue(ws, drafts)
    finish(ws, made)
    featuresync.sync(ws)


@pytest.mark.parametrize("name", CASES)
def test_people_can_judge_in_any_file_or_hear_where_it_is_broken(tmp_path: Path, name: str) -> None:
    document, _, _ = CASES[name]
    listed = document.get("features")
    ws = Here(tmp_path / "FEATURES.json", before := as_json(document))
    suggestion: JsonObject = {
        "title": "Export all lists", "description": "Each of them, to a file of its own.", "business_value": "people ask for it",
        "category": "new-feature",
    }  # fmt: skip
    metadata = document.get("metadata", {})
    is_broken = not isinstance(listed if "features" in document else [], list) or not isinstance(metadata, dict)
    is_broken |= isinstance(metadata, dict) and not isinstance(metadata.get("approval_history", []), list)
    if is_broken:
        with pytest.raises(DamagedError, match="not an "):
            features.approve(ws, [str(features.suggest(ws, suggestion)["id"])], "go")
        return
    own = str(features.suggest(ws, suggestion)["id"])
    features.approve(ws, [own], "go")
    assert by_id(ws.document())[own][1]["approved_by"] == "ann"
    kept = json.loads(before)
    assert ws.document().get("features", [])[:-1] == kept.get("features", [])
    assert {key: value for key, value in ws.document().items() if key not in ("features", "metadata")} == {
        key: value for key, value in kept.items() if key not in ("features", "metadata")
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_a_sync_of_nothing_leaves_real_files_as_they_are(place: Path, sample: Path) -> None:
    ws = Here(place, sample.read_bytes().decode())
    for each in [*created(ws), *created(ws)]:
        assert each["status"] in ("queued", "created")
    featuresync.diff(ws)
    features.everything(ws, [])
    assert place.read_bytes() == sample.read_bytes()
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_name_that_stands_for_two_features_says_which(tmp_path: Path) -> None:
    ws = Here(tmp_path / "FEATURES.json", as_json(v1(feature("f0"), feature(), feature())))
    with pytest.raises(AtmsError) as refused:
        features.reject(ws, ["f1"], "no")
    assert refused.value.message == "features[1] and features[2] have the same id, `f1`"
