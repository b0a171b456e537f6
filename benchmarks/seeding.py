"""Workspaces to measure in: of any size, every task with a life like those that people and agents give it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import Fact, JsonObject

    Fields = Callable[[int], JsonObject]

PRIORITIES = ("critical", "high", "medium", "low", "background")
_CATEGORIES = ("feature", "bug_fix", "testing", "documentation")
_BATCH = 2000
_SEEDER = "benchmark"
#: Longer than any benchmark.
LEASE_S = 8 * 3600


def new_workspace(root: str) -> OpenWorkspace:
    """Make a workspace and open it, its settings compiled as they are after the first command."""
    from atms_cli.bootstrap import open_workspace
    from atms_cli.store import creation

    os.makedirs(root, exist_ok=True)
    creation.create(root)
    creation.write_settings(root)
    workspace = open_workspace(root, os.environ)
    _ = workspace.config
    return workspace


def plain(number: int) -> JsonObject:
    """Return the fields of a task that stands by itself."""
    return {
        "title": f"Task number {number} of the benchmark",
        "description": "What it is about, at some length, as people write it. " * 3,
        "priority": PRIORITIES[number % len(PRIORITIES)],
        "category": _CATEGORIES[number % len(_CATEGORIES)],
        "tags": [f"tag{number % 10}"],
    }


def spare(number: int) -> JsonObject:
    """Return the fields of a task for which nobody asks before it is named."""
    return {**plain(number), "priority": "background"}


def fill(workspace: OpenWorkspace, size: int) -> None:
    """Record tasks: half of them done, of the open ones a fifth waiting for another, all of them for some feature."""
    ids = [workspace.ids.task() for _ in range(size)]

    def life(number: int) -> list[Fact]:
        # The first feature and agent have as many tasks to list in the smallest workspace as in the others.
        fields: JsonObject = {**plain(number), "feature_id": f"feature{number // 100 % 50}"}
        if number % 10 == 7:  # noqa: PLR2004  an open one, for an open one
            fields["dependencies"] = [ids[number - 2]]
        stages = _FULL if number % 2 == 0 else ()
        return _life(ids[number], fields, stages, agent=f"agent{number // 100 % 20}")

    _record(workspace, size, life)


def add(workspace: OpenWorkspace, count: int, fields: Fields, stages: Sequence[str] = ()) -> list[str]:
    """Record tasks that have come to a stage of their life; return their ids."""
    ids = [workspace.ids.task() for _ in range(count)]
    _record(workspace, count, lambda number: _life(ids[number], fields(number), stages, agent=workspace.actor))
    return ids


def chain(workspace: OpenWorkspace, size: int) -> list[str]:
    """Record tasks each of which waits for the one before; return their ids."""
    ids = [workspace.ids.task() for _ in range(size)]

    def life(number: int) -> list[Fact]:
        fields: JsonObject = {**plain(number), "dependencies": ids[max(0, number - 1) : number]}
        return _life(ids[number], fields, (), agent=workspace.actor)

    _record(workspace, size, life)
    return ids


def full_lives(workspace: OpenWorkspace, count: int) -> None:
    """Record tasks that are all done."""
    add(workspace, count, plain, _FULL)


def _record(workspace: OpenWorkspace, count: int, life: Callable[[int], list[Fact]]) -> None:
    for first in range(0, count, _BATCH):
        facts = [fact for number in range(first, min(first + _BATCH, count)) for fact in life(number)]
        with workspace.store.writing(_SEEDER) as tx:
            tx.record(facts)


#: What gates said of which one waits for the word of a person.
_AWAITED: JsonObject = {
    "passed": False,
    "gates": [
        {
            "name": "eyes", "kind": "review", "status": "waiting", "required": True, "exit_code": None, "duration_s": 0.0,
            "findings": [], "tests": None, "coverage": None, "log": None, "reason": "waits for a person",
        }
    ],
}  # fmt: skip
_FULL = ("claimed", "updated", "renewed", "started", "validating", "completed")


def _life(task_id: str, fields: JsonObject, stages: Sequence[str], *, agent: str) -> list[Fact]:
    from atms_cli.domain import decisions

    lease: JsonObject = {"agent": agent, "token": "token", "expires_at": "2999-01-01T00:00:00.000Z"}
    data: dict[str, JsonObject] = {
        "claimed": {"assigned_agent": agent, "lease": lease},
        "updated": {"estimated_effort": 30},
        "renewed": {"lease": lease},
        "started": {"assigned_agent": agent, "attempts": 1, "run": None},
        "validating": {},
        "review_requested": {
            "result": {"by": agent, "validation": _AWAITED},
            "reason": "waits for a person",
            "run": None,
        },
        "completed": {"result": {"by": agent}, "run": None},
        "failed": {"reason": "it did not work", "result": None, "run": None},
        "cancelled": {"reason": "not needed"},
    }
    born = decisions.create(task_id, fields, created_by=_SEEDER, draft="draft" in stages)
    return [*born, *((f"task.{stage}", task_id, data[stage]) for stage in stages if stage != "draft")]
