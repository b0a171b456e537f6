"""Which worktrees may go, and when there is no room for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import retention
from atms_cli.domain.task import CLOSED, STATUSES

if TYPE_CHECKING:
    from atms_cli.domain.config import WorktreeLimits
    from atms_cli.domain.records import JsonObject

NOW = "2026-01-10T00:00:00.000Z"
CLEAN: JsonObject = {"problem": None, "is_dirty": False, "is_unmerged": False}
LIMITS: WorktreeLimits = {"keep": 86_400.0, "max_size": None, "max_count": None}


def state(status: str | None, **facts: object) -> str:
    task = None if status is None else {"status": status}
    return retention.state(task, {**CLEAN, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "facts", "expected"),
    [
        ("in_progress", {"is_dirty": True}, "in_use"),
        ("validating", {}, "in_use"),
        ("queued", {"is_dirty": True}, "waiting"),
        ("blocked", {}, "waiting"),
        ("failed", {}, "removable"),
        ("completed", {}, "removable"),
        ("failed", {"is_dirty": True}, "dirty"),
        ("failed", {"is_unmerged": True}, "unmerged"),
        ("completed", {"is_dirty": True, "is_unmerged": True}, "dirty"),
        ("cancelled", {"problem": "it is no worktree"}, "broken"),
        ("review", {"is_dirty": True}, "dirty"),
        ("review", {}, "waiting"),
        (None, {}, "removable"),
        (None, {"is_unmerged": True}, "unmerged"),
    ],
)
def test_what_becomes_of_a_worktree(status: str | None, facts: dict[str, object], expected: str) -> None:
    assert state(status, **facts) == expected


@given(st.sampled_from([None, *STATUSES]), st.booleans(), st.booleans(), st.sampled_from([None, "broken"]))
def test_only_what_holds_nothing_may_go(status: str | None, dirty: bool, unmerged: bool, problem: str | None) -> None:  # noqa: FBT001
    it = state(status, is_dirty=dirty, is_unmerged=unmerged, problem=problem)
    if it == "removable":
        assert (dirty, unmerged, problem) == (False, False, None)
        assert status is None or status in (*CLOSED, "failed")


@pytest.mark.parametrize(
    ("status", "updated_at", "expected"),
    [
        ("completed", "2026-01-09T23:59:59.000Z", True),
        ("failed", "2026-01-09T23:59:59.000Z", False),
        ("failed", "2026-01-09T00:00:00.000Z", True),
        ("cancelled", "2026-01-08T00:00:00.000Z", True),
        (None, None, True),
    ],
)
def test_what_failed_is_kept_for_a_while(status: str | None, updated_at: str | None, expected: bool) -> None:  # noqa: FBT001
    found: JsonObject = {"state": "removable", "status": status, "updated_at": updated_at}
    assert retention.is_due(found, LIMITS, NOW) is expected
    assert not retention.is_due({**found, "state": "unmerged"}, LIMITS, NOW)


def test_there_is_room_until_so_many_or_so_much_is_kept() -> None:
    kept: list[JsonObject] = [{"state": name, "size": 1000} for name in ("in_use", "waiting", "dirty", "unmerged")]
    assert retention.full(kept, LIMITS) is None
    assert retention.full(kept, {**LIMITS, "max_count": 3, "max_size": 2001}) is None
    assert retention.full(kept, {**LIMITS, "max_count": 2}) == "2 worktrees are kept of at most 2"
    assert retention.full(kept, {**LIMITS, "max_size": 2000}) == "kept worktrees take 2 kB of at most 2 kB"
