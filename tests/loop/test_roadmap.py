"""When the loop looks at the roadmap: soon after a burst of changes, again after a lock, now and then without being told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.errors import DamagedError, UnavailableError
from atms_cli.loop.roadmap import Roadmap
from atms_cli.services import tasks
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject


class Watched(FakeWorkspace):
    """A workspace whose roadmap counts its contents."""

    def __init__(self) -> None:
        super().__init__({"features": [], "metadata": {}})
        self.stamp: tuple[int, int, int] | None = (1, 1, 1)
        self.reports: list[Any] = []
        self.loop = Roadmap(self, self.reports.append)  # type: ignore[arg-type]

    def roadmap_stamp(self) -> tuple[int, int, int] | None:
        return self.stamp

    def add(self, own: str) -> None:
        feature: JsonObject = {"id": own, "title": f"Feature {own}", "status": "approved"}
        found: Any = self.roadmap.document
        found["features"].append(feature)
        self.stamp = (len(found["features"]) + 1, 1, 1)

    def planned(self) -> list[str]:
        return [each["feature"] for each in self.reports if each["type"] == "planned"]


def test_it_looks_at_once_and_then_only_when_something_changed() -> None:
    ws = Watched()
    ws.add("f1")
    ws.loop.look()
    assert ws.planned() == ["f1"]
    ws.add("f2")
    ws.loop.look()
    assert ws.planned() == ["f1"], "nobody has said so"
    assert ws.loop.seconds_left() == pytest.approx(30)
    ws.time.advance(30)
    ws.loop.look()
    assert ws.planned() == ["f1", "f2"], "now and then it looks all the same"


def test_where_notifications_do_not_come_it_looks_more_often() -> None:
    ws = Watched()
    ws.network = ("nfs", "/mnt")
    ws.loop = Roadmap(ws, ws.reports.append)  # type: ignore[arg-type]
    ws.loop.look()
    assert ws.loop.seconds_left() == pytest.approx(2)


def test_a_burst_is_taken_for_one_change_and_does_not_put_it_off_for_ever() -> None:
    ws = Watched()
    ws.loop.look()
    ws.add("f1")
    for _ in range(20):
        ws.loop.notice()
        ws.loop.look()
        assert ws.loop.is_pending()
        assert ws.planned() == []
        ws.time.advance(0.05)
    ws.loop.look()
    assert (ws.planned(), ws.loop.is_pending()) == (["f1"], False), "a second after the first"


def test_what_a_lock_has_kept_from_being_done_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Watched()
    ws.add("f1")
    ws.loop.look()
    tasks.done(ws, [ws.store.reading().feature("f1")["tasks"][0]], token=None, force_reason=None, note=None)  # type: ignore[index]

    def refuse(*_: object) -> bool:
        raise UnavailableError("held by process 7")

    with monkeypatch.context() as locked:
        locked.setattr(ws.roadmap, "change", refuse)
        ws.loop.settle()
    assert ws.reports[-1] == {"type": "warning", "text": "held by process 7"}
    ws.loop.look()
    ws.time.advance(2)
    ws.loop.look()
    assert ws.reports[-1] == {"type": "feature", "feature": "f1", "from": "approved", "to": "implemented"}
    ws.loop.close()
    assert len(ws.reports) == 3


def test_a_broken_file_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Watched()

    def refuse() -> JsonObject:
        raise DamagedError("1:1: broken")

    monkeypatch.setattr(ws.roadmap, "read", refuse)
    for _ in range(3):
        ws.loop.look()
        ws.time.advance(60)
    # It is said again after an hour, and when the file changes.
    assert [each["text"] for each in ws.reports] == ["1:1: broken"]


def test_suggestions_that_waited_too_long_are_found_by_a_loop_that_nobody_wakes() -> None:
    ws = Watched()
    ws.roadmap.document = {
        "features": [{"id": "f1", "status": "suggested", "created_at": ws.time.now()}], "workflow_config": {"auto_reject_timeout_hours": 2},
    }  # fmt: skip
    for _ in range(5):
        ws.loop.look()
        ws.time.advance(3600)
    assert ws.reports == [{"type": "feature", "feature": "f1", "from": "suggested", "to": "rejected"}]


def test_without_a_file_there_is_nothing_to_do() -> None:
    ws = Watched()
    ws.stamp = None
    ws.loop.look()
    assert ws.reports == []


def test_changed_tasks_are_told_of_once() -> None:
    ws = Watched()
    ws.add("f1")
    ws.loop.look()
    assert not ws.loop.take_changes()
    found: Any = ws.roadmap.document
    found["features"][0]["status"] = "rejected"
    ws.stamp = (9, 9, 9)
    ws.loop.notice()
    ws.time.advance(0.1)
    ws.loop.look()
    assert ws.reports[-1]["type"] == "feature_changed"
    assert (ws.loop.take_changes(), ws.loop.take_changes()) == (True, False)
