"""Roadmap files as no one would write them: each is worked on or refused in words, and none is destroyed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atms_cli.errors import AtmsError
from atms_cli.services import features, featuresync, tasks
from atms_cli.store import featurefile
from atms_cli.store.featurefile import JsonFeatureFile
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (
    "id", "title", "description", "business_value", "category", "status", "priority", "metadata", "acceptanceCriteria", "approved_by",
    "created_at", "dependencies", "feature_id", "type", "estimated_effort", "required_capabilities", "approval_history", "features",
    "tasks", "workflow_config", "require_approval", "auto_reject_timeout_hours",
)  # fmt: skip
WORDS = (
    "f1",
    "f2",
    "approved",
    "suggested",
    "in_progress",
    "completed",
    "queued",
    "urgent",
    "new-feature",
    "",
    "x" * 600,
    "\ud800",
    "é\u2028",
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=12,
)
entries = st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=8) | scalars, max_size=4)
documents = st.fixed_dictionaries(
    {}, optional={"features": entries | values, "tasks": entries | values, "metadata": values, "workflow_config": values, "agents": values}
) | values  # fmt: skip
SUGGESTION: Any = {
    "title": "Export all lists", "description": "Each of them, to a file.", "business_value": "people ask", "category": "security",
}  # fmt: skip
lenient = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def workspace(path: Path, content: bytes) -> FakeWorkspace:
    ws = FakeWorkspace(None)
    path.write_bytes(content)
    ws.roadmap = JsonFeatureFile(str(path), backups=str(path.parent / "backups"))  # type: ignore[assignment]
    return ws


def use(ws: FakeWorkspace, path: Path) -> None:
    """Do what people do, and see that what is refused changes nothing and what is not leaves a file that can be read."""
    uses = (
        lambda: featuresync.diff(ws), lambda: features.everything(ws, []), lambda: features.stats(ws), lambda: featuresync.plan(ws, []),
        lambda: featuresync.sync(ws), lambda: features.approve(ws, ["f1"], ""), lambda: features.reject(ws, ["f2"], ""),
        lambda: features.edit(ws, "f1", {"priority": "low"}), lambda: featuresync.sync(ws), lambda: finish_all(ws),
        lambda: featuresync.sync(ws), lambda: features.reopen(ws, ["f1"], ""), lambda: features.suggest(ws, SUGGESTION),
        lambda: featuresync.sync(ws),
    )  # fmt: skip
    for each in uses:
        before = path.read_bytes()
        try:
            each()
        except AtmsError:
            assert path.read_bytes() == before
        if path.read_bytes() != before:
            assert ws.roadmap.read() is not None


def finish_all(ws: FakeWorkspace) -> None:
    for state in ws.store.reading().features():
        for task_id in state["tasks"]:
            tasks.done(ws, [task_id], token=None, force_reason=None, note=None)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(featurefile, "SETTLE_MOST_S", 0.0)
    return tmp_path / "FEATURES.json"


@lenient
@given(document=documents)
def test_any_json_is_worked_on_or_refused_in_words(path: Path, document: object) -> None:
    use(workspace(path, json.dumps(document, indent=1).encode()), path)


SAMPLE = json.dumps(
    {
        "project": "p", "metadata": {"approval_history": []}, "tasks": [{"id": "t", "feature_id": "f1", "title": "T", "status": "queued"}],
        "features": [{"id": "f1", **SUGGESTION, "status": "approved"}, {"id": "f2", **SUGGESTION, "status": "suggested"}],
    }, indent=2,
).encode()  # fmt: skip


@lenient
@given(
    st.lists(st.tuples(st.integers(0, len(SAMPLE)), st.integers(0, 12), st.binary(max_size=6)), min_size=1, max_size=4)
)
def test_any_bytes_are_worked_on_or_refused_in_words(path: Path, damages: list[tuple[int, int, bytes]]) -> None:
    content = SAMPLE
    for start, length, inserted in damages:
        content = content[:start] + inserted + content[start + length :]
    use(workspace(path, content), path)


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 100_000, b'{"features":' * 50_000, b"\xff\xfe", b"nul", b'{"a":' + b"9" * 5000 + b"}", b"\x00" * 64],
)
def test_what_is_no_roadmap_is_refused_and_kept(path: Path, content: bytes) -> None:
    ws = workspace(path, content)
    for use_it in (featuresync.sync, featuresync.diff, lambda each: features.approve(each, ["f1"], "")):
        with pytest.raises(AtmsError) as refused:
            use_it(ws)
        assert str(path) in refused.value.message
        assert refused.value.hint
    assert path.read_bytes() == content
