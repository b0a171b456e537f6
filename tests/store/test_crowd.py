"""Many processes at once, on the store itself: each command took effect once, and no task was given to two."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.domain import decisions
from atms_cli.domain import task as tasks
from atms_cli.errors import AtmsError, NothingToDoError
from atms_cli.services import agents, queue, undo
from atms_cli.services import tasks as service
from atms_cli.system.clock import SystemClock
from tests.store.attacks import add_together, closed, load_all, opened
from tests.store.children import alone, begun, ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import Event, Task

pytestmark = pytest.mark.e2e

SCALE = max(1, int(os.environ.get("ATMS_KILLS", "0")) // 100)
WORKERS = 8
COMMANDS = 30 * SCALE
CLAIMERS = 50
TO_CLAIM = 1000
LONG_S = 1e6


def reported(directory: str, works: list[Callable[[int], None]]) -> list[Any]:
    """Do things in children at once; return what each has reported, one JSON text a line."""
    names = [f"{directory}/report.{number}" for number in range(len(works))]

    def writing(work: Callable[[int], None], name: str) -> None:
        work(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND))

    children = [begun(partial(writing, work, name)) for work, name in zip(works, names, strict=True)]
    assert [ended(child) for child in children] == [0] * len(children)
    return [json.loads(line) for name in names for line in open(name, encoding="utf-8")]


def tell(report: int, what: object) -> None:
    os.write(report, json.dumps(what).encode() + b"\n")


def in_real_time(root: str) -> OpenWorkspace:
    workspace = opened(root)
    workspace.clock = SystemClock()
    return workspace


def test_each_acknowledged_command_is_in_the_journal_once_and_replaying_it_gives_the_state(tmp_path: Path) -> None:
    commands = alone(all_kinds_at_once, tmp_path)
    workspace = opened(tmp_path)
    events = workspace.store.reading().events_after("")
    by_actor = {actor: len(list(group)) for actor, group in groupby(events, key=lambda event: event["actor"])}
    assert len(by_actor) == len({event["actor"] for event in events}), "what was recorded together stays together"
    acknowledged = {actor: count for actor, count in commands if count}
    assert by_actor == acknowledged
    folded: dict[str, Task | None] = {}
    for event in events:
        if event["type"].startswith("task."):
            folded[event["key"]] = tasks.evolve(folded.get(event["key"]), event)
    assert folded == {key: workspace.store.reading().task(key) for key in folded}
    assert workspace.store.doctor() == []
    assert len({event["type"] for event in events}) >= 8, "many kinds of them"


def all_kinds_at_once(directory: str) -> list[tuple[str, int]]:
    load_all()
    closed(opened(directory))
    found: list[tuple[str, int]] = reported(
        directory, [partial(_do_anything, directory, number) for number in range(WORKERS)]
    )
    return found


def _do_anything(root: str, number: int, report: int) -> None:
    """Give commands at random, each in a name of its own; report how many events it has recorded."""
    chance = random.Random(number)  # noqa: S311  not for secrets
    workspace = in_real_time(root)
    ids: list[str] = []
    for step in range(COMMANDS):
        workspace.actor = f"p{number}.{step}"
        ids = [event["key"] for event in workspace.store.reading().last_events(60) if event["key"].isalnum()] or ids
        before = workspace.store.reading().newest()
        try:
            chance.choice(KINDS if ids else KINDS[:1])(workspace, chance, ids)
        except AtmsError:
            tell(report, (workspace.actor, 0))
            continue
        own = [event for event in workspace.store.reading().events_after(before) if event["actor"] == workspace.actor]
        tell(report, (workspace.actor, len(own)))


def _own_undo(workspace: OpenWorkspace, _chance: random.Random, _ids: list[str]) -> None:
    undo.undo(workspace, 1)


def _worked(workspace: OpenWorkspace, chance: random.Random, ids: list[str]) -> None:
    task = workspace.store.reading().task(chance.choice(ids))
    token = task["lease"]["token"] if task["lease"] else None
    if chance.random() < 0.5:
        service.done(workspace, [task["id"]], token=token, force_reason=None, note=None)
    elif chance.random() < 0.5:
        service.fail(workspace, [task["id"]], None, token)
    else:
        service.start(workspace, [task["id"]], agent=task["assigned_agent"] or "bob", token=token)


KINDS: tuple[Callable[[OpenWorkspace, random.Random, list[str]], object], ...] = (
    lambda ws, chance, ids: service.add(ws, {"title": "t"}, after=chance.sample(ids, min(len(ids), 1)), draft=False),
    lambda ws, chance, ids: service.add(ws, {"title": "draft"}, after=(), draft=bool(ids or chance)),
    lambda ws, chance, ids: service.update(
        ws, [chance.choice(ids)], {"priority": chance.choice(tasks.PRIORITIES)}, tags=("x",), untags=()
    ),
    lambda ws, chance, ids: service.depend(ws, [chance.choice(ids)], [chance.choice(ids)], removing=chance.random() < 0.3),
    lambda ws, chance, ids: service.claim(ws, None, agent=f"a{chance.randrange(4)}{len(ids)}", lease_s=LONG_S),
    _worked,
    _worked,
    lambda ws, chance, ids: service.cancel(ws, chance.sample(ids, min(len(ids), 2)), None),
    lambda ws, chance, ids: service.reopen(ws, [chance.choice(ids)], None),
    lambda ws, chance, ids: service.release(ws, [chance.choice(ids)], None, None),
    lambda ws, chance, ids: agents.register(ws, f"r{chance.randrange(3)}", {"kind": "pull", "max_concurrent": 1 + len(ids)}),
    lambda ws, chance, ids: queue.pause(ws, None) if chance.random() < 0.3 and ids else queue.resume(ws),
    _own_undo,
)  # fmt: skip


def test_fifty_claimers_take_a_thousand_tasks_each_once(tmp_path: Path) -> None:
    claims = alone(claim_all, tmp_path)
    ids = [f"t{number}" for number in range(TO_CLAIM)]
    assert Counter(task for task, _ in claims) == dict.fromkeys(ids, 1)
    workspace = opened(tmp_path)
    read = workspace.store.reading()
    assert {task: read.task(task)["assigned_agent"] for task in ids} == dict(claims)
    history: list[Event] = read.events_after("")
    assert Counter(event["key"] for event in history if event["type"] == "task.claimed") == dict.fromkeys(ids, 1)
    assert workspace.store.doctor() == []


def claim_all(directory: str) -> list[tuple[str, str]]:
    load_all()
    workspace = in_real_time(directory)
    with workspace.event_store.writing("ann") as tx:
        for number in range(TO_CLAIM):
            tx.record(decisions.create(f"t{number}", {"title": "t"}, created_by="ann", draft=False))
    closed(workspace)
    found: list[tuple[str, str]] = reported(
        directory, [partial(_claim_until_none_is_left, directory, f"a{number}") for number in range(CLAIMERS)]
    )
    return found


def _claim_until_none_is_left(root: str, name: str, report: int) -> None:
    workspace = in_real_time(root)
    workspace.actor = name
    try:
        while True:
            tell(report, (service.claim(workspace, None, agent=name, lease_s=LONG_S)["id"], name))
    except NothingToDoError:
        return


def test_what_is_added_together_by_many_is_never_mixed(tmp_path: Path) -> None:
    alone(add_batches, tmp_path)
    keys = [event["key"] for event in opened(tmp_path).store.reading().events_after("")]
    batches = [list(group) for _, group in groupby(keys, key=lambda key: key.rpartition("-")[0])]
    assert sorted(map(len, batches)) == [5] * (WORKERS * 10)


def add_batches(directory: str) -> None:
    load_all()
    closed(opened(directory))
    works = [partial(_add_batches, directory, number) for number in range(WORKERS)]
    assert reported(directory, list(works)) == []


def _add_batches(root: str, number: int, _report: int) -> None:
    workspace = in_real_time(root)
    for batch in range(10):
        add_together(workspace.event_store, [f"p{number}-{batch}-{part}" for part in range(5)])
