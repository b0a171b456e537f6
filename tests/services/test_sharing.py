"""Sharing as a conversation with a repository: what is asked of it, and what becomes of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError, NotFoundError, UnavailableError
from atms_cli.services import sharing
from atms_cli.services import tasks as service
from atms_cli.store.eventstore import in_directory
from atms_cli.store.replication import Replication
from tests.fakes import CountingIds, FakeWorkspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from atms_cli.store.eventstore import EventStore

AWAY = UnavailableError("Could not resolve host", "nothing was lost")


class Objects:
    """What all repositories can read: trees by the id of their commit, blobs by their own."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.commits: dict[str, tuple[dict[str, str], str | None]] = {}
        self.remote: dict[str, str] = {}

    def descends(self, commit: str | None, from_: str | None) -> bool:
        while commit is not None and commit != from_:
            commit = self.commits[commit][1]
        return commit == from_


class FakeRepository:
    """Git in memory, as the Repository port has it; each error in `errors` is raised once by its verb."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.local: dict[str, str] = {}
        self.errors: list[tuple[str, AtmsError]] = []
        self.names = ["origin"]
        self.exists = True
        self.meanwhile: Callable[[], object] = lambda: None
        self.asked: list[str] = []

    def _fail(self, verb: str) -> None:
        self.asked.append(verb)
        for number, (what, error) in enumerate(self.errors):
            if what == verb:
                del self.errors[number]
                raise error

    def is_repository(self) -> bool:
        return self.exists

    def remotes(self) -> list[str]:
        return self.names

    def ref(self, name: str) -> str | None:
        return self.local.get(name)

    def refs(self, prefix: str) -> dict[str, str]:
        return {name.removeprefix(prefix): commit for name, commit in self.local.items() if name.startswith(prefix)}

    def files(self, commit: str) -> dict[str, tuple[str, int]]:
        return {name: (oid, len(self._objects.blobs[oid])) for name, oid in self._objects.commits[commit][0].items()}

    def blob(self, oid: str) -> bytes:
        return self._objects.blobs[oid]

    def add_blob(self, content: bytes) -> str:
        oid = f"blob{len(self._objects.blobs)}"
        self._objects.blobs[oid] = content
        return oid

    def commit_files(self, files: Mapping[str, str], parent: str | None, message: str) -> str:
        assert message
        commit = f"commit{len(self._objects.commits)}"
        self._objects.commits[commit] = (dict(files), parent)
        return commit

    def move(self, ref: str, commit: str, before: str | None) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        self._fail("move")
        if self.local.get(ref) != before:
            raise AtmsError("git update-ref failed: cannot lock ref")
        self.local[ref] = commit

    def push(self, remote: str, source: str, target: str) -> None:
        assert remote == "origin"
        self._fail("push")
        if not self._objects.descends(self.local[source], self._objects.remote.get(target)):
            raise AtmsError("git push failed: ! [rejected] (non-fast-forward)")
        self._objects.remote[target] = self.local[source]

    def fetch(self, remote: str, *refspecs: str) -> None:
        assert remote == "origin"
        self._fail("fetch")
        there, _, here = refspecs[0].removeprefix("+").partition(":")
        without = [spec.removeprefix("^") for spec in refspecs[1:]]
        for name, commit in self._objects.remote.items():
            if name == there:
                self.local[here] = commit
            elif there.endswith("*") and name.startswith(there[:-1]) and name not in without:
                self.local[here[:-1] + name.removeprefix(there[:-1])] = commit


class Ids(CountingIds):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def _next(self, letter: str) -> str:
        return f"{letter}-{self._name}-{super()._next('')}"

    def replica(self) -> str:
        return self._name


class Clone(FakeWorkspace):
    """A workspace whose repository is in memory."""

    def __init__(self, root: Path, name: str, objects: Objects) -> None:
        super().__init__()
        (root / "journal").mkdir(parents=True)
        self.name = name
        self.ids = Ids(name)
        self.git = FakeRepository(objects)
        self.store: EventStore = in_directory(str(root), self.clock, self.ids)
        self._replication = Replication(self.store, str(root / "journal"), self.clock.now_ms)

    @property
    def repository(self) -> FakeRepository:
        return self.git

    @property
    def replication(self) -> Replication:
        return self._replication

    def add(self, title: str) -> str:
        self.time.advance(1)
        return service.add(self, {"title": title}, after=[], draft=False)["id"]

    def titles(self) -> list[str]:
        run = self.store.index.connection.execute
        self.store.reading()
        return [row[0] for row in run("SELECT title FROM tasks ORDER BY title")]


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def one(tmp_path: Path, objects: Objects) -> Clone:
    return Clone(tmp_path / "one", "clone001", objects)


@pytest.fixture
def two(tmp_path: Path, objects: Objects) -> Clone:
    return Clone(tmp_path / "two", "clone002", objects)


def test_the_report_of_a_sync(one: Clone, two: Clone) -> None:
    nothing = {
        "remote": "origin",
        "pushed": "nothing to push",
        "events": 0,
        "replicas": [],
        "refused": [],
        "circles_broken": [],
        "repaired": [],
    }
    assert sharing.sync(one, None) == {**nothing, "replica": "clone001"}
    one.add("One")
    assert sharing.sync(one, "origin") == {**nothing, "replica": "clone001", "pushed": "refs/atms/clone001"}
    assert sharing.sync(two, None) == {**nothing, "replica": "clone002", "events": 1, "replicas": ["clone001"]}
    assert two.titles() == ["One"]
    assert sharing.sync(two, None)["events"] == 0


def test_what_has_not_grown_is_not_committed_again(one: Clone, objects: Objects) -> None:
    one.add("One")
    sharing.sync(one, None)
    commits = len(objects.commits)
    sharing.sync(one, None)
    assert len(objects.commits) == commits
    one.add("Two")
    sharing.sync(one, None)
    assert objects.commits[one.git.local["refs/atms/clone001"]][1] is not None


def test_a_sync_that_another_one_of_this_clone_overtook_goes_on_from_there(one: Clone, two: Clone) -> None:
    one.add("One")

    def overtaken() -> None:
        one.add("Meanwhile")
        sharing.sync(one, None)

    one.git.meanwhile = overtaken
    assert sharing.sync(one, None)["pushed"] == "refs/atms/clone001"
    sharing.sync(two, None)
    assert two.titles() == ["Meanwhile", "One"]


@pytest.mark.parametrize(
    "words", ["! [remote rejected] (failed to update ref)", "! [remote rejected] (cannot lock ref 'x')"]
)
def test_somebody_at_the_same_ref_is_waited_for_and_no_reason_for_a_branch(one: Clone, words: str) -> None:
    one.add("One")
    one.git.errors = [("push", AtmsError(words))] * 3
    assert sharing.sync(one, None)["pushed"] == "refs/atms/clone001"
    one.git.errors = [("push", AtmsError(words))] * 100
    one.add("Two")
    with pytest.raises(UnavailableError, match="origin did not take refs/atms/clone001"):
        sharing.sync(one, None)


def test_a_host_that_refuses_our_refs_gets_a_branch_and_others_read_both(
    one: Clone, two: Clone, objects: Objects
) -> None:
    one.add("One")
    two.add("Two")
    one.git.errors = [("push", AtmsError("! [remote rejected] (pre-receive hook declined)"))]
    assert sharing.sync(one, None)["pushed"] == "refs/heads/atms/clone001"
    sharing.sync(two, None)
    sharing.sync(one, None)
    assert one.titles() == two.titles() == ["One", "Two"]
    # The branch lags behind from now on; it must not hide what the ref brings.
    one.add("Three")
    sharing.sync(one, None)
    assert objects.remote["refs/heads/atms/clone001"] != objects.remote["refs/atms/clone001"]
    sharing.sync(two, None)
    assert two.titles() == ["One", "Three", "Two"]


def test_a_host_that_refuses_both_is_an_error(one: Clone) -> None:
    one.add("One")
    one.git.errors = [("push", AtmsError("! [remote rejected] (frozen)"))] * 2
    with pytest.raises(AtmsError, match="frozen"):
        sharing.sync(one, None)


@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_a_remote_that_is_away_leaves_everything_for_the_next_time(one: Clone, two: Clone, verb: str) -> None:
    one.add("One")
    two.add("Two")
    sharing.sync(two, None)
    one.git.errors = [(verb, AWAY)]
    with pytest.raises(UnavailableError, match="Could not resolve host"):
        sharing.sync(one, None)
    assert one.titles() == ["One"]
    assert sharing.sync(one, None)["events"] == 1
    sharing.sync(two, None)
    assert two.titles() == ["One", "Two"]


def test_a_fetch_that_others_got_in_the_way_of_is_repeated(one: Clone, two: Clone) -> None:
    two.add("Two")
    sharing.sync(two, None)
    one.git.errors = [("fetch", AtmsError("error: cannot lock ref 'refs/atms/clone002'"))]
    assert sharing.sync(one, None)["events"] == 1
    one.git.errors = [("fetch", AtmsError("error: some local refs could not be updated"))]
    assert sharing.sync(one, None)["refused"] == []
    one.git.errors = [("fetch", AtmsError("fatal: something new"))]
    with pytest.raises(AtmsError, match="something new"):
        sharing.sync(one, None)


def test_a_repository_that_forgot_our_ref_takes_it_up_from_the_remote(one: Clone, objects: Objects) -> None:
    one.add("One")
    sharing.sync(one, None)
    pushed = objects.remote["refs/atms/clone001"]
    one.git.local.clear()
    one.add("Two")
    sharing.sync(one, None)
    assert objects.descends(objects.remote["refs/atms/clone001"], pushed)


def test_a_twin_is_told_and_overwrites_nothing(one: Clone, tmp_path: Path, objects: Objects) -> None:
    twin = Clone(tmp_path / "twin", "clone001", objects)
    one.add("One")
    twin.add("Another")
    sharing.sync(one, None)
    pushed = dict(objects.remote)
    with pytest.raises(
        AtmsError, match="somebody else has written events under the id of this workspace, clone001"
    ) as told:
        sharing.sync(twin, None)
    assert "remove .atms/replica" in told.value.hint
    assert objects.remote == pushed
    assert twin.titles() == ["Another"]


def test_damage_of_one_clone_is_reported_and_the_others_are_heard(one: Clone, two: Clone, objects: Objects) -> None:
    two.add("Two")
    sharing.sync(two, None)
    files, _ = objects.commits[two.git.local["refs/atms/clone002"]]
    objects.blobs["bad"] = objects.blobs[files["00000001.jsonl"]]
    objects.commits["bad"] = ({"00000001.jsonl": "bad"}, None)
    objects.remote["refs/atms/forged00"] = objects.remote["refs/heads/atms/other/one"] = "bad"
    report = sharing.sync(one, None)
    refused = report["refused"]
    assert isinstance(refused, list)
    assert [each["replica"] for each in refused] == ["forged00", "other/one"]
    assert report["events"] == 1
    assert one.titles() == ["Two"]


def test_circles_of_three_clones_are_broken_at_their_youngest_link_and_pushed_at_once(
    one: Clone, two: Clone, tmp_path: Path, objects: Objects
) -> None:
    three = Clone(tmp_path / "three", "clone003", objects)
    a, b, c = one.add("A"), one.add("B"), one.add("C")
    clones = (one, two, three)
    for clone in clones:
        sharing.sync(clone, None)
    for clone, task, on in ((one, a, b), (two, b, c), (three, c, a)):
        clone.time.advance(10)
        service.depend(clone, [task], [on], removing=False)
    three.time.advance(10)
    for clone in clones:
        sharing.sync(clone, None)
    assert all(sharing.sync(clone, None)["circles_broken"] == [] for clone in clones)
    docs = [[clone.store.reading().task(task)["dependencies"] for task in (a, b, c)] for clone in clones]
    links = [need for task in docs[0] for need in task]
    assert docs == [docs[0]] * 3
    assert len(links) == 2


def test_where_there_is_nothing_to_share_through(one: Clone) -> None:
    with pytest.raises(NotFoundError, match="there is no remote `nowhere`") as unknown:
        sharing.sync(one, "nowhere")
    assert unknown.value.hint == "choose one of: origin"
    one.git.names = []
    with pytest.raises(NotFoundError, match="this repository has no remote"):
        sharing.sync(one, None)
    one.git.exists = False
    with pytest.raises(NotFoundError, match="is not in a git repository"):
        sharing.sync(one, None)
    assert one.git.asked == []
