"""Several handles on one store against a model of a few lines: every command took effect once, and all see it at once."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from atms_cli.domain.task import ACTIVE, PRIORITIES, TRANSITIONS
from atms_cli.errors import AtmsError, NothingToDoError
from atms_cli.services import agents, queue, undo
from atms_cli.services import tasks as service
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.system.ids import RandomIds
from tests.fakes import FakeWorkspace, order
from tests.store.attacks import Ticking

if TYPE_CHECKING:
    from collections.abc import Callable

HANDLES = 3
LONG_S = 1e6
EXAMPLES = int(os.environ.get("ATMS_KILLS", "12"))
handles = st.integers(0, HANDLES - 1)
workers = st.sampled_from(["bob", "carl", "dora"])


@dataclass
class Known:
    """What the model knows of a task."""

    born: int
    priority: str = "medium"
    status: str = "queued"
    queued: int = 0
    needs: set[str] = field(default_factory=set)
    agent: str | None = None
    token: str | None = None
    was_completed: bool = False


class Model:
    """Tasks, agents and the queue, in the order in which things were done."""

    def __init__(self) -> None:
        self.tasks: dict[str, Known] = {}
        self.agents: set[str] = set()
        self.paused = False
        self.events = 0
        self.done: list[tuple[str, str, object]] = []
        self._step = 0

    def step(self) -> int:
        self._step += 1
        return self._step

    def will_change(self, kind: str, key: str, before: object) -> None:
        """Note a change of one event, and what was before it."""
        self.events += 1
        self.done.append((kind, key, copy.deepcopy(before)))

    def is_met(self, key: str) -> bool:
        known = self.tasks[key]
        return known.status == "completed" or (known.status == "archived" and known.was_completed)

    def blockers(self, key: str) -> list[str]:
        return [need for need in self.tasks[key].needs if not self.is_met(need)]

    def ready(self) -> list[str]:
        free = [key for key, known in self.tasks.items() if known.status == "queued" and not self.blockers(key)]
        return sorted(free, key=lambda key: (self._level(key), *self._place(key)))

    def _level(self, key: str) -> int:
        """Return the most urgent of a task's own level and those of all that wait for it."""
        waiting = [
            each
            for each, known in self.tasks.items()
            if key in known.needs and known.status not in ("completed", "cancelled", "archived")
        ]
        return min([PRIORITIES.index(self.tasks[key].priority), *map(self._level, waiting)])

    def _place(self, key: str) -> tuple[int, int]:
        return self.tasks[key].queued, self.tasks[key].born

    def reaches(self, start: str, goal: str) -> bool:
        """Return whether a task waits for another, however indirectly."""
        return start == goal or any(self.reaches(need, goal) for need in self.tasks[start].needs)

    def move(self, key: str, status: str) -> None:
        known = self.tasks[key]
        self.will_change("task", key, known)
        known.status = status
        if status == "queued":
            known.agent = known.token = None
        if status in ("queued", "completed"):
            known.was_completed = status == "completed"

    def waited_for(self, key: str) -> bool:
        return any(
            key in known.needs and known.status not in ("completed", "cancelled", "archived")
            for known in self.tasks.values()
        )


class ManyHandles(RuleBasedStateMachine):
    """Commands through any of several handles, each a store of its own as another process would have."""

    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        os.mkdir(f"{self.directory}/journal")
        self.clock = Ticking()
        self.model = Model()
        self.workspaces = [FakeWorkspace() for _ in range(HANDLES)]

    @initialize()
    def open_all(self) -> None:
        for workspace in self.workspaces:
            workspace.clock, workspace.ids = self.clock, RandomIds()
            workspace.store = self.opened()

    def opened(self) -> EventStore:
        return in_directory(self.directory, self.clock, RandomIds())

    def teardown(self) -> None:
        for workspace in self.workspaces:
            if isinstance(workspace.store, EventStore):
                if os.path.exists(f"{self.directory}/journal"):
                    assert workspace.store.doctor() == []
                workspace.store.index.connection.close()
        shutil.rmtree(self.directory)

    def refused(self, work: Callable[[], object]) -> None:
        """Hold that something is refused; the invariants hold that nothing came of it."""
        try:
            work()
        except AtmsError:
            return
        raise AssertionError("it was not refused")

    # Tasks

    @rule(target=tasks, by=handles, priority=st.sampled_from(PRIORITIES))
    def add(self, by: int, priority: str) -> str:
        return self._added(by, priority)

    def _added(self, by: int, priority: str) -> str:
        task = service.add(self.workspaces[by], {"title": "t", "priority": priority}, after=(), draft=False)
        now = self.model.step()
        self.model.will_change("task", task["id"], None)
        self.model.tasks[task["id"]] = Known(now, priority, queued=now)
        return task["id"]

    @rule(target=tasks, by=handles, after=tasks)
    def add_behind(self, by: int, after: str) -> str:
        key = self._added(by, "high")
        # As one who adds and then has second thoughts: the same as `add --after`, in two changes.
        self._linked(by, key, after)
        return key

    @rule(by=handles, task=tasks, priority=st.sampled_from(PRIORITIES))
    def update(self, by: int, task: str, priority: str) -> None:
        service.update(self.workspaces[by], [task], {"priority": priority}, tags=(), untags=())
        known = self.model.tasks[task]
        if known.priority != priority:
            self.model.will_change("task", task, known)
            known.priority = priority

    @rule(by=handles, task=tasks, on=tasks)
    def depend(self, by: int, task: str, on: str) -> None:
        self._linked(by, task, on)

    def _linked(self, by: int, task: str, on: str) -> None:
        known = self.model.tasks[task]
        if self.model.reaches(on, task):
            self.refused(lambda: service.depend(self.workspaces[by], [task], [on], removing=False))
            return
        service.depend(self.workspaces[by], [task], [on], removing=False)
        if on not in known.needs:
            self.model.will_change("task", task, known)
            known.needs.add(on)

    @rule(by=handles, task=tasks, on=tasks)
    def depend_no_longer(self, by: int, task: str, on: str) -> None:
        service.depend(self.workspaces[by], [task], [on], removing=True)
        known = self.model.tasks[task]
        if on in known.needs:
            self.model.will_change("task", task, known)
            known.needs.discard(on)

    # Work

    @rule(by=handles, worker=workers)
    def claim(self, by: int, worker: str) -> None:
        ready = [] if self.model.paused else self.model.ready()
        try:
            task = service.claim(self.workspaces[by], None, agent=worker, lease_s=LONG_S)
        except NothingToDoError:
            assert ready == []
            return
        assert task["id"] == ready[0]
        assert task["lease"] is not None
        self.model.move(task["id"], "assigned")
        known = self.model.tasks[task["id"]]
        known.agent, known.token = worker, task["lease"]["token"]

    @rule(by=handles, task=tasks)
    def start(self, by: int, task: str) -> None:
        known, workspace = self.model.tasks[task], self.workspaces[by]
        worker = known.agent or "bob"

        def work() -> object:
            return service.start(workspace, [task], agent=worker, token=known.token)

        if known.status == "in_progress":
            work()
        elif known.status not in ("queued", "assigned") or self.model.blockers(task):
            self.refused(work)
        else:
            work()
            self.model.move(task, "in_progress")
            known.agent = worker

    @rule(by=handles, task=tasks, end=st.sampled_from(["completed", "failed", "released"]), is_token_good=st.booleans())
    def finish(self, by: int, task: str, end: str, *, is_token_good: bool) -> None:
        known, workspace = self.model.tasks[task], self.workspaces[by]
        token = known.token if is_token_good else "wrong"

        def work() -> object:
            if end == "completed":
                return service.done(workspace, [task], token=token, force_reason=None, note=None)
            if end == "failed":
                return service.fail(workspace, [task], None, token)
            return service.release(workspace, [task], None, token)

        status = "queued" if end == "released" else end
        if not is_token_good and not (end == "completed" and known.status == "completed"):
            self.refused(work)
        elif known.status == status:
            work()
        elif (end == "released" and known.status not in ACTIVE) or status not in TRANSITIONS[known.status]:
            self.refused(work)
        else:
            work()
            self.model.move(task, status)

    @rule(by=handles, task=tasks)
    def cancel(self, by: int, task: str) -> None:
        known = self.model.tasks[task]
        if known.status != "cancelled" and "cancelled" not in TRANSITIONS[known.status]:
            self.refused(lambda: service.cancel(self.workspaces[by], [task], None))
            return
        service.cancel(self.workspaces[by], [task], None)
        if known.status != "cancelled":
            self.model.move(task, "cancelled")

    @rule(by=handles, task=tasks)
    def reopen(self, by: int, task: str) -> None:
        known = self.model.tasks[task]
        if known.status in ACTIVE:
            self.refused(lambda: service.reopen(self.workspaces[by], [task], None))
            return
        service.reopen(self.workspaces[by], [task], None)
        if known.status != "queued":
            self.model.move(task, "queued")
            known.queued = self.model.step()

    # The rest

    @rule(by=handles)
    def take_back(self, by: int) -> None:
        if not self.model.done:
            self.refused(lambda: undo.undo(self.workspaces[by], 1))
            return
        kind, key, before = self.model.done[-1]
        if kind == "task" and before is None and self.model.waited_for(key):
            self.refused(lambda: undo.undo(self.workspaces[by], 1))
            return
        undo.undo(self.workspaces[by], 1)
        self.model.done.pop()
        self.model.events += 1
        if kind == "agent":
            self.model.agents.discard(key)
        elif kind == "queue":
            self.model.paused = not self.model.paused
        elif isinstance(before, Known):
            self.model.tasks[key] = before
        else:
            self.model.tasks[key].status = "archived"

    @rule(by=handles, is_pause=st.booleans())
    def pause_or_resume(self, by: int, *, is_pause: bool) -> None:
        is_new = queue.pause(self.workspaces[by], None) if is_pause else queue.resume(self.workspaces[by])
        assert is_new == (self.model.paused != is_pause)
        if is_new:
            self.model.will_change("queue", "queue/default", None)
            self.model.paused = is_pause

    @rule(by=handles, name=st.sampled_from(["xaver", "yvonne"]))
    def register(self, by: int, name: str) -> None:
        agents.register(self.workspaces[by], name, {"kind": "pull"})
        if name not in self.model.agents:
            self.model.will_change("agent", name, None)
            self.model.agents.add(name)

    @rule(by=handles)
    def reopen_handle(self, by: int) -> None:
        store = self.workspaces[by].store
        assert isinstance(store, EventStore)
        store.index.connection.close()
        self.workspaces[by].store = self.opened()

    @rule(by=handles)
    def rebuild(self, by: int) -> None:
        assert self.workspaces[by].store.rebuild() == self.model.events

    @invariant()
    def all_see_the_same(self) -> None:
        for workspace in self.workspaces:
            read = workspace.store.reading()
            for key, known in self.model.tasks.items():
                task = read.task(key)
                assert (task["status"], task["priority"], set(task["dependencies"])) == (
                    known.status, known.priority, known.needs,
                )  # fmt: skip
                assert known.status not in ACTIVE or task["assigned_agent"] == known.agent
            assert sum(read.counts().values()) == len(self.model.tasks)
            assert order(workspace.store, "2026-06-01T00:00:00.000Z") == self.model.ready()
            assert {agent["name"] for agent in read.agents()} == self.model.agents
            assert (read.paused() is not None) == self.model.paused
            assert len(read.events_after("")) == self.model.events, "each command is in the journal once"


TestManyHandles = ManyHandles.TestCase
TestManyHandles.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
