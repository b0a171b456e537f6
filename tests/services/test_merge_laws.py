"""Laws of the merge, whatever both sides do: a second sync does nothing, both sides agree or say where not, nothing is lost."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atms_cli.domain.feature import OVER, by_id, may_write, outcome, status
from atms_cli.errors import AtmsError
from atms_cli.services import features, featuresync, tasks
from tests.fakes import FakeWorkspace, everything

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import JsonObject

IDS = ("f1", "f2", "f3")
STATUSES = ("suggested", "approved", "rejected", "implemented", "failed-implementation", "in_progress", "on hold", None)
FIELDS = {
    "title": ("Export the list", "Import the list", ""),
    "description": ("Send the whole list to a file.", "Something else, at length."),
    "category": ("enhancement", "new-feature", "security", "chore"),
    "priority": ("low", "high", "urgent", None),
    "acceptanceCriteria": ([], ["fast"], ["fast", "small"]),
}


def feature(own: str) -> JsonObject:
    return {
        "id": own, "title": f"Feature {own}", "description": "Send the whole list to a file.", "business_value": "people ask for it",
        "category": "new-feature", "status": "approved", "kept": {"of": own},
    }  # fmt: skip


def step(*parts: Any) -> st.SearchStrategy[tuple[Any, ...]]:  # noqa: ANN401
    return st.tuples(*(st.sampled_from(part) if isinstance(part, tuple) else st.just(part) for part in parts))


theirs = st.one_of(
    step("status", IDS, STATUSES),
    *(step("set", IDS, name, values) for name, values in FIELDS.items()),
    step("delete", IDS), step("restore", IDS), step("rename", IDS, ("g1", "g2", "f2")), step("duplicate", IDS), step("reverse"),
    step("null"),
)  # fmt: skip
ours = st.one_of(
    step("task", (0, 1, 2, 3, 4), ("start", "done", "fail", "cancel", "block", "reopen", "release")),
    step("update", (0, 1, 2, 3, 4), "priority", ("low", "critical")), step("update", (0, 1, 2), "title", ("Mine", "Yours")),
    step("judge", IDS, ("approve", "reject", "implement", "fail", "reopen")), step("resolve", IDS, ("file", "queue")), step("rebuild"),
)  # fmt: skip
steps = st.lists(st.one_of(theirs, ours, step("sync")), max_size=14)


class World:
    """A roadmap and a queue, and what people do to them."""

    def __init__(self) -> None:
        self.ws = FakeWorkspace({"features": [feature(own) for own in IDS], "metadata": {}})
        self.gone: list[Any] = []
        featuresync.sync(self.ws)

    @property
    def document(self) -> Any:  # noqa: ANN401  JSON
        return self.ws.roadmap.document

    def named(self, own: str) -> list[Any]:
        return [each for each in self.document["features"] if each is not None and each["id"] == own]

    def do(self, what: str, *about: Any) -> None:  # noqa: ANN401
        """Take one step; what is refused changes nothing, and that is as good a step as any."""
        before = self.ws.store.reading().newest(), copy.deepcopy(self.document)
        try:
            getattr(self, f"do_{what}")(*about)
        except AtmsError:
            assert (self.ws.store.reading().newest(), self.document) == before

    def do_status(self, own: str, new: str | None) -> None:
        for each in self.named(own):
            each["status"] = new

    def do_set(self, own: str, name: str, value: object) -> None:
        for each in self.named(own):
            each[name] = copy.deepcopy(value)

    def do_delete(self, own: str) -> None:
        for each in self.named(own):
            self.document["features"].remove(each)
            self.gone.append(each)

    def do_restore(self, own: str) -> None:
        self.document["features"] += [each for each in self.gone if each["id"] == own and not self.named(own)]

    def do_rename(self, own: str, new: str) -> None:
        for each in self.named(own):
            each["id"] = new

    def do_duplicate(self, own: str) -> None:
        self.document["features"] += copy.deepcopy(self.named(own)[:1])

    def do_reverse(self) -> None:
        self.document["features"].reverse()

    def do_null(self) -> None:
        self.document["features"].insert(0, None)

    def task_id(self, number: int) -> str:
        return self.ws.store.reading().tasks(everything())[number]["id"]

    def do_task(self, number: int, verb: str) -> None:
        own = [self.task_id(number)]
        verbs: dict[str, Callable[[], object]] = {
            "start": lambda: tasks.start(self.ws, own, agent=None, token=None),
            "done": lambda: tasks.done(self.ws, own, token=None, force_reason=None, note=None),
            "fail": lambda: tasks.fail(self.ws, own, "no", None),
            "cancel": lambda: tasks.cancel(self.ws, own, "mine"),
            "block": lambda: tasks.block(self.ws, own, "mine"),
            "reopen": lambda: tasks.reopen(self.ws, own, "mine"),
            "release": lambda: tasks.release(self.ws, own, "mine", None),
        }
        verbs[verb]()

    def do_update(self, number: int, name: str, value: str) -> None:
        tasks.update(self.ws, [self.task_id(number)], {name: value}, tags=[], untags=[])

    def do_judge(self, own: str, verb: str) -> None:
        getattr(features, verb)(self.ws, [own], "because")

    def do_resolve(self, own: str, take: str) -> None:
        features.resolve(self.ws, own, take)

    def do_rebuild(self) -> None:
        before = self.ws.store.reading().features()
        self.ws.store.rebuild()
        assert self.ws.store.reading().features() == before

    def do_sync(self) -> None:
        before = copy.deepcopy(self.document)
        foretold: Any = featuresync.diff(self.ws)
        report: Any = featuresync.sync(self.ws)
        assert [each["what"] for each in report["changed"]] == [each["what"] for each in foretold["change"]]
        assert report["written"] == foretold["write"]
        assert len(report["created"]) == sum(len(each["tasks"]) for each in foretold["new"])
        self.assert_nothing_lost(before)
        self.assert_nothing_left_to_do()
        self.assert_agreed(report)

    def assert_nothing_left_to_do(self) -> None:
        before = self.ws.store.reading().newest(), copy.deepcopy(self.document)
        again: Any = featuresync.sync(self.ws)
        assert (again["created"], again["written"], again["changed"]) == ([], [], [])
        assert (self.ws.store.reading().newest(), self.document) == before

    def assert_nothing_lost(self, before: Any) -> None:  # noqa: ANN401  JSON
        """Only outcomes are written over what the file had, and its entries keep their number, order and keys."""
        ours = (
            "status",
            "updated_at",
            "implemented_date",
            "implemented_by",
            "implementation_notes",
            "failure_date",
            "failure_reason",
        )
        pairs = list(zip(before["features"], self.document["features"], strict=True))
        for old, new in pairs:
            assert (old is None) == (new is None)
            if old is not None:
                assert list(new)[: len(old)] == list(old)
                assert {name: value for name, value in new.items() if name not in ours} == {
                    name: value for name, value in old.items() if name not in ours
                }

    def assert_agreed(self, report: Any) -> None:  # noqa: ANN401  JSON
        read, present = self.ws.store.reading(), by_id(self.document)
        statuses, disputed = (
            read.statuses_by_feature(),
            {(each["feature"], each["field"]) for each in report["conflicts"]},
        )
        for state in read.features():
            if not state["tasks"]:
                continue
            own = [read.task(task_id) for task_id in state["tasks"]]
            there = status(present[state["id"]][1]) if state["id"] in present else None
            wanted = outcome(statuses.get(state["id"], ()))
            if there != "approved":
                assert "queued" not in {task["status"] for task in own} or there in OVER, (state["id"], there)
            is_done = wanted == "implemented" and there is not None and there != wanted
            assert not (is_done and may_write(there or "", "implemented"))
            if (state["id"], "status") in disputed:
                assert there not in ("approved", "implemented")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_whatever_both_sides_do_the_merge_keeps_its_laws(taken: list[tuple[Any, ...]]) -> None:
    world = World()
    for what, *about in [*taken, ("sync",)]:
        world.do(what, *about)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(theirs, max_size=8))
def test_the_order_of_syncs_does_not_matter_for_what_the_file_says(taken: list[tuple[Any, ...]]) -> None:
    """Text that was seen step by step is the same in the end as text that was seen at once."""
    often, once = World(), World()
    for what, *about in taken:
        for world in (often, once):
            world.do(what, *about)
        often.do("sync")
    once.do("sync")
    assert often.document["features"] == once.document["features"]
    texts = [
        {
            task["id"]: (task["title"], task["description"], task["priority"], task["category"])
            for state in world.ws.store.reading().features()
            if state["id"] in by_id(world.document)
            for task in map(world.ws.store.reading().task, state["tasks"])
        }
        for world in (often, once)
    ]
    assert {key: texts[0][key] for key in texts[0].keys() & texts[1].keys()} == {
        key: texts[1][key] for key in texts[0].keys() & texts[1].keys()
    }
