"""Clones of a repository work apart and sync through one bare remote: real git, real processes, real kills."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.bootstrap import open_workspace
from atms_cli.errors import AtmsError
from atms_cli.services import sharing
from atms_cli.services import tasks as service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}
KILLS = 30


class Site:
    """One bare remote and its clones, each with a workspace."""

    def __init__(self, root: Path, bare: Atms) -> None:
        self.root = root
        self.remote = root / "remote.git"
        self.bare = bare
        self.clones: list[Clone] = []
        self.git(root, "init", "-q", "--bare", "-b", "main", str(self.remote))
        self.git(root, "clone", "-q", str(self.remote), "seed")
        (root / "seed" / "README").write_text("hello\n")
        for words in (["add", "."], ["commit", "-q", "-m", "first"], ["commit", "-q", "--allow-empty", "-m", "second"]):
            self.git(root / "seed", *words)
        self.git(root / "seed", "push", "-q", "origin", "HEAD:main")

    def env(self) -> dict[str, str]:
        return {**self.bare.env, **IDENTITY}

    def git(self, where: Path, *words: str) -> str:
        ended = subprocess.run(  # noqa: TID251  a test stands outside
            ["git", *words], cwd=where, env=self.env(), capture_output=True, encoding="utf-8", check=False
        )
        assert ended.returncode == 0, (words, ended.stderr)
        return ended.stdout

    def clone(self, name: str, *options: str) -> Clone:
        self.git(self.root, "clone", "-q", *options, f"file://{self.remote}", name)
        return self.open(name)

    def open(self, name: str) -> Clone:
        clone = Clone(self, self.root / name)
        clone.atms("init")
        (clone.root / "atms.yaml").unlink(missing_ok=True)
        self.clones.append(clone)
        return clone

    def settle(self, clones: list[Clone] | None = None) -> None:
        """Sync everybody twice: once to give, once to take what others gave; all must then agree."""
        chosen = clones or self.clones
        for _ in range(2):
            for clone in chosen:
                assert clone.sync()["refused"] == []
        states = [clone.state() for clone in chosen]
        for state in states[1:]:
            assert state == states[0]

    def hook(self, name: str, text: str) -> None:
        path = self.remote / "hooks" / name
        path.write_text(text)
        path.chmod(0o755)


class Clone:
    """One clone; most is done in this process, which is faster and the same code."""

    def __init__(self, site: Site, root: Path) -> None:
        self.site = site
        self.root = root
        self.atms = type(site.bare)(root, site.bare.home)
        self.atms.env |= IDENTITY

    def git(self, *words: str) -> str:
        return self.site.git(self.root, *words)

    def ws(self) -> Any:  # noqa: ANN401  a workspace
        return open_workspace(str(self.root), self.site.env())

    def sync(self) -> Any:  # noqa: ANN401  JSON
        return sharing.sync(self.ws(), None)

    def add(self, title: str, **fields: object) -> str:
        return service.add(self.ws(), {"title": title, **fields}, after=[], draft=False)["id"]  # type: ignore[dict-item]

    def state(self) -> dict[str, list[tuple[object, ...]]]:
        """Return what must be the same in all clones."""
        ws = self.ws()
        ws.store.reading()
        run = ws.event_store.index.connection.execute
        return {
            "tasks": run("SELECT id, doc, bucket, blockers, born FROM tasks ORDER BY id").fetchall(),
            "counts": run("SELECT bucket, n FROM counts WHERE n ORDER BY bucket").fetchall(),
            "events": run("SELECT key, id FROM events ORDER BY id").fetchall(),
        }

    def replica(self) -> str:
        return (self.root / ".atms" / "replica").read_text().split()[0]

    def looks(self) -> tuple[str, ...]:
        """Return what git shows a person of this clone, and the index as it is on the disk."""
        refs = [line for line in self.git("show-ref", "--head").splitlines() if "/atms/" not in line]
        git_dir = Path(self.git("rev-parse", "--absolute-git-dir").strip())
        index = (git_dir / "index").read_bytes().hex()
        files = sorted(str(path) for path in git_dir.iterdir())
        return (
            self.git("status", "--porcelain=v2", "--branch"), "\n".join(refs), self.git("stash", "list"),
            self.git("config", "-l", "--local"), index, "\n".join(name for name in files if not name.endswith(("refs", "FETCH_HEAD"))),
        )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, bare: Atms) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    made = Site(tmp_path / "site", bare)
    yield made
    for clone in made.clones:
        clone.atms.close()


# Apart and together


def contests(ws: Any, shared: list[str], agent: str) -> list[Callable[[], object]]:  # noqa: ANN401  a workspace
    """Return what clones do to the same tasks."""
    return [
        lambda: service.done(ws, [shared[1]], token=None, force_reason=None, note=None),
        lambda: service.cancel(ws, [shared[1]], "not wanted"),
        lambda: service.claim(ws, shared[2], agent=agent, lease_s=600),
        lambda: service.start(ws, [shared[3]], agent="eve", token=None),
        lambda: service.fail(ws, [shared[3]], "broke", None),
        lambda: service.depend(ws, [shared[4]], [shared[5]], removing=False),
    ]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_clones_work_apart_and_agree_in_the_end(site: Site, count: int) -> None:
    rng = random.Random(count)  # noqa: S311  not for secrets
    first = site.clone("clone0")
    shared = [first.add(f"Shared {number}") for number in range(6)]
    first.sync()
    clones = [first, *(site.clone(f"clone{number}") for number in range(1, count))]
    for clone in clones[1:]:
        assert clone.sync()["events"] == 6
    offline = set(rng.sample(range(count), count // 3))
    for turn in range(2):
        for number, clone in enumerate(clones):
            ws = clone.ws()
            clone.add(f"From {number} in turn {turn}")
            service.update(ws, [shared[0]], {"title": f"Edited by {number}"}, tags=[f"c{number}"], untags=[])
            for act in rng.sample(contests(ws, shared, f"agent{number}"), 4):
                with contextlib.suppress(AtmsError):  # refused, as it may be
                    act()
            if number not in offline and rng.random() < 0.6:
                assert clone.sync()["refused"] == []
    rng.shuffle(clones)
    site.settle(clones)
    assert len(first.state()["tasks"]) == 6 + 2 * count
    for clone in clones[:3]:
        assert clone.ws().store.doctor() == []
    refs = site.git(site.remote, "for-each-ref", "--format=%(refname)").split()
    assert sorted(refs) == sorted(["refs/heads/main", *(f"refs/atms/{clone.replica()}" for clone in clones)])


def test_who_loses_is_shown_in_the_history(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    task = one.add("Contested")
    one.sync()
    two.sync()
    one.atms("task", "done", task)
    one.atms("sync")
    two.atms("task", "cancel", task, "--reason", "not wanted")
    assert two.atms("sync").out.startswith("✓ in step with origin: 1 new event from 1 clone")
    one.atms("sync")
    for clone in (one, two):
        events = clone.atms.json("log", task)
        assert [(event["type"], event.get("superseded", False)) for event in events] == [
            ("task.created", False), ("task.completed", False), ("task.cancelled", True),
        ]  # fmt: skip
        assert clone.atms.task(task)["history"] == events
        assert clone.atms.task(task)["status"] == "completed"
        assert [line.endswith("  (superseded)") for line in clone.atms("log", task).lines] == [False, False, True]


def test_a_circle_that_two_clones_closed_is_broken_once_for_all(site: Site) -> None:
    one, two, three = site.clone("one"), site.clone("two"), site.clone("three")
    a, b = one.add("A"), one.add("B")
    one.sync()
    two.sync()
    service.depend(one.ws(), [a], [b], removing=False)
    service.depend(two.ws(), [b], [a], removing=False)
    one.sync()
    report = two.atms.json("sync")
    assert [(each["task"], each["on"]) for each in report["circles_broken"]] == [(b, a)]
    assert three.sync()["circles_broken"] == []  # two has given its decision with the same sync
    site.settle()
    assert one.atms.task(a)["dependencies"] == [b]
    assert one.atms.task(b)["dependencies"] == []


def test_a_circle_that_a_killed_sync_took_in_is_broken_by_the_next(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = site.clone("one"), site.clone("two")
    a, b = one.add("A"), one.add("B")
    one.sync()
    two.sync()
    service.depend(one.ws(), [a], [b], removing=False)
    service.depend(two.ws(), [b], [a], removing=False)
    one.sync()
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "_break_circles", lambda *_: [])
        assert two.sync()["events"] == 1
    assert len(two.sync()["circles_broken"]) == 1
    site.settle()


# Nothing of the person's is touched


def test_git_looks_the_same_before_and_after(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    (one.root / "README").write_text("changed\n")
    (one.root / "new").write_text("new\n")
    one.git("add", "new")
    one.git("stash", "push", "-q", "--", "README")
    (one.root / "README").write_text("changed again\n")
    one.git("tag", "v1")
    one.add("One")
    two.add("Two")
    one.git("status")  # refreshes the index
    before = one.looks()
    report = one.atms.json("sync")
    assert report["pushed"] == f"refs/atms/{one.replica()}"
    two.sync()
    one.atms("sync")
    assert one.looks() == before
    refs = set(one.git("for-each-ref", "--format=%(refname)", "refs/atms").split())
    assert refs == {f"refs/atms/{clone.replica()}" for clone in (one, two)}
    assert sorted(path.name for path in one.root.iterdir()) == [".atms", ".git", "README", "new"]


def test_switching_stashing_rebasing_and_cleaning_leave_the_queue_alone(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    one.git("switch", "-q", "-c", "topic")
    (one.root / "topic").write_text("topic\n")
    one.git("add", ".")
    one.git("commit", "-q", "-m", "topic")
    one.sync()
    one.git("switch", "-q", "--detach", "main~1")
    one.add("Two")
    one.sync()
    one.git("switch", "-q", "topic")
    (one.root / "README").write_text("dirty\n")
    one.git("stash", "-q", "-u")
    one.git("rebase", "-q", "main~1")
    one.sync()
    one.git("clean", "-q", "-fdx", "-e", ".atms")
    one.git("reset", "-q", "--hard", "main")
    one.add("Three")
    two.add("Four")
    site.settle()
    assert len(one.state()["tasks"]) == 4
    # Nothing that was shared is lost even if the workspace is.
    old = one.replica()
    one.git("clean", "-q", "-fdx")
    assert not (one.root / ".atms").exists()
    one.atms("init")
    (one.root / "atms.yaml").unlink()
    one.add("Five")
    site.settle()
    assert len(one.state()["tasks"]) == 5
    assert one.replica() != old


def test_garbage_collection_keeps_our_refs(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    one.sync()
    one.add("Two")
    one.sync()
    for where in (one.root, site.remote):
        site.git(where, "reflog", "expire", "--expire=now", "--all")
        site.git(where, "gc", "-q", "--prune=now")
        site.git(where, "pack-refs", "--all", "--prune")
    two.git("fetch", "-q", "--prune")
    two.git("config", "fetch.prune", "true")
    two.sync()
    one.add("Three")
    site.settle()
    assert len(two.state()["tasks"]) == 3
    site.git(site.remote, "fsck", "--strict")
    one.git("fsck", "--strict")


@pytest.mark.parametrize("options", [("--depth", "1"), ("--filter=blob:none",), ("--single-branch", "--no-tags")])
def test_shallow_and_partial_clones_share_like_others(site: Site, options: tuple[str, ...]) -> None:
    site.git(site.remote, "config", "uploadpack.allowFilter", "true")
    one = site.clone("one")
    for number in range(3):
        one.add(f"One {number}")
        one.sync()
    shallow = site.clone("shallow", *options)
    was_shallow = shallow.git("rev-parse", "--is-shallow-repository")
    before = shallow.looks()
    shallow.add("Two")
    site.settle()
    assert shallow.looks() == before
    assert shallow.git("rev-parse", "--is-shallow-repository") == was_shallow


def test_a_linked_worktree_has_the_queue_of_the_main_one(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.git("worktree", "add", "-q", "../linked", "-b", "elsewhere")
    linked = site.root / "linked"
    task = one.atms("task", "add", "From the worktree", "-q", cwd=linked).line
    assert json.loads(one.atms("sync", "--json", cwd=linked).out)["replica"] == one.replica()
    assert not (linked / ".atms").exists()
    assert site.git(linked, "status", "--porcelain") == ""
    two.sync()
    assert two.atms.task(task)["title"] == "From the worktree"


def test_a_sync_inside_of_a_commit_hook_leaves_the_commit_alone(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    hook = one.root / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexec atms sync -q\n")
    hook.chmod(0o755)
    (one.root / "new").write_text("new\n")
    one.git("add", "new")
    subprocess.run(["git", "commit", "-q", "-m", "with a hook"], cwd=one.root, env=one.atms.env, check=True)  # noqa: TID251
    assert one.git("show", "--name-only", "--format=%s", "HEAD").split("\n") == ["with a hook", "", "new", ""]
    assert two.sync()["events"] == 1


# Copies and lost repositories


def test_a_copy_goes_on_under_an_id_of_its_own(site: Site) -> None:
    one = site.clone("one")
    task = one.add("One")
    one.sync()
    one.add("Not yet shared")
    subprocess.run(["cp", "-r", str(one.root), str(site.root / "copy")], check=True)  # noqa: TID251  a test stands outside
    copy = site.open("copy")
    copy.add("In the copy")
    one.add("In the original")
    copy.atms("task", "done", task)
    one.atms("task", "cancel", task)
    assert copy.replica() != one.replica()
    other = site.clone("other")
    site.settle()
    assert len(other.state()["tasks"]) == 4
    assert other.atms.task(task)["status"] == "completed"


def test_a_repository_that_was_cloned_anew_around_the_workspace_goes_on(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    one.sync()
    replica = one.replica()
    shutil.rmtree(one.root / ".git")
    site.git(site.root, "clone", "-q", f"file://{site.remote}", "fresh")
    (site.root / "fresh" / ".git").rename(one.root / ".git")
    one.add("Two")
    assert one.sync()["pushed"] == f"refs/atms/{replica}"
    one.git("update-ref", "-d", f"refs/atms/{replica}")
    one.add("Three")
    site.settle()
    assert len(two.state()["tasks"]) == 3
    assert one.replica() == replica


def test_a_workspace_put_back_from_a_copy_of_the_disk_says_how_to_go_on(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    one.sync()
    journal = one.root / ".atms" / "journal" / one.replica() / "00000001.jsonl"
    old = journal.read_bytes()
    one.add("Two")
    one.sync()
    journal.write_bytes(old)
    refused = one.atms("sync", code=1)
    assert f"somebody else has written events under the id of this workspace, {one.replica()}" in refused.err
    assert "remove .atms/replica" in refused.err
    (one.root / ".atms" / "replica").unlink()
    one.add("Three")
    site.settle()
    assert len(two.state()["tasks"]) == 3


# Remotes that refuse, are away, or do not exist


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_host_that_takes_only_branches_gets_branches(site: Site, hook: str) -> None:
    check = 'case "$ref" in refs/heads/*) ;; *) echo "no such refs here" >&2; exit 1;; esac'
    text = f"while read old new ref; do {check}; done" if hook == "pre-receive" else f'ref="$1"; {check}'
    site.hook(hook, f"#!/bin/sh\n{text}\n")
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    two.add("Two")
    before = one.looks()
    assert one.sync()["pushed"] == f"refs/heads/atms/{one.replica()}"
    site.settle()
    one.add("Three")
    site.settle()
    assert one.looks() == before
    (site.remote / "hooks" / hook).unlink()  # the host has learnt it
    two.add("Four")
    one.add("Five")
    assert two.sync()["pushed"] == f"refs/atms/{two.replica()}"
    site.settle()
    assert len(one.state()["tasks"]) == len(two.state()["tasks"]) == 5


def test_a_host_that_takes_nothing_is_reported_and_nothing_is_lost(site: Site) -> None:
    site.hook("pre-receive", "#!/bin/sh\necho frozen >&2\nexit 1\n")
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    assert "pre-receive hook declined" in one.atms("sync", code=1).err
    (site.remote / "hooks" / "pre-receive").unlink()
    site.settle()
    assert len(two.state()["tasks"]) == 1


def test_a_remote_that_is_away_loses_nothing(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    site.remote.rename(site.root / "away")
    refused = one.atms("sync", code=75)
    assert "nothing was lost; sync again when the remote can be reached" in refused.err
    for url in ("https://127.0.0.1:1/x.git", "git://127.0.0.1:1/x.git", "ssh://127.0.0.1:1/x.git"):
        one.git("remote", "set-url", "origin", url)
        one.atms("sync", code=75)
    one.git("remote", "set-url", "origin", f"file://{site.remote}")
    one.add("Two")
    (site.root / "away").rename(site.remote)
    site.settle()
    assert len(two.state()["tasks"]) == 2


def test_no_remote_an_unknown_one_and_no_repository_are_told_apart(site: Site, bare: Atms) -> None:
    bare("init")
    assert "is not in a git repository" in bare("sync", code=4).err
    one = site.clone("one")
    assert one.atms("sync", "elsewhere", code=4).err.splitlines() == [
        "error: there is no remote `elsewhere`", "hint: choose one of: origin",
    ]  # fmt: skip
    assert one.atms("sync", "--upload-pack=touch${IFS}x", code=2).err
    one.git("remote", "rename", "origin", "other")
    assert one.atms.json("sync")["remote"] == "other"
    one.git("remote", "remove", "other")
    assert one.atms("sync", code=4).err.startswith("error: this repository has no remote\n")
    one.add("One")
    assert one.atms.json("sync", f"file://{site.remote}")["pushed"] == f"refs/atms/{one.replica()}"
    assert one.atms("task", "list").code == 0


# Others that send nonsense


def forge(site: Site, replica: str, content: bytes, name: str = "00000001.jsonl") -> None:
    """Put a segment under a replica id on the remote, whoever it belongs to."""
    work = site.root / "forger"
    if not work.exists():
        site.git(site.root, "init", "-q", "forger")
    (work / name).write_bytes(content)
    blob = site.git(work, "hash-object", "-w", name).strip()
    tree = subprocess.run(  # noqa: TID251  a test stands outside
        ["git", "mktree"], input=f"100644 blob {blob}\t{name}\n", cwd=work, env=site.env(), capture_output=True, encoding="utf-8",
        check=True,
    ).stdout.strip()  # fmt: skip
    commit = site.git(work, "commit-tree", tree, "-m", "forged").strip()
    site.git(work, "push", "-q", "--force", str(site.remote), f"{commit}:refs/atms/{replica}")


def test_nonsense_from_one_clone_is_refused_and_the_others_are_heard(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    one.add("One")
    two.add("Two")
    one.sync()
    two.sync()
    journal = (two.root / ".atms" / "journal" / two.replica() / "00000001.jsonl").read_bytes()
    forge(site, "forged00", journal)
    forge(site, "damaged0", journal[:-30])
    forge(site, "newer000", journal.replace(b'"v":1', b'"v":9'))
    forge(site, "strange0", b"hello\n", "hello.txt")
    forge(site, "nested00/within", journal)
    report = one.atms.json("sync", code=1)
    assert (report["events"], report["replicas"]) == (1, [two.replica()])
    reasons = {each["replica"]: each["reason"] for each in report["refused"]}
    assert list(reasons) == ["damaged0", "forged00", "nested00/within", "newer000", "strange0"]
    assert "belongs to another clone than forged00" in reasons["forged00"]
    assert "the checksum does not match" in reasons["damaged0"]
    assert "is not a segment" in reasons["strange0"]
    assert one.ws().store.doctor() == []
    three = site.clone("three")
    text = three.atms("sync", code=1).out
    assert text.startswith("✓ in step with origin: 2 new events from 2 clones\n")
    assert "✗ not taken from damaged0: " in text
    assert three.state() == one.state()


def test_a_clone_that_rewrites_its_history_is_refused_and_what_is_known_of_it_stays(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    two.add("Two")
    two.sync()
    one.sync()
    before = one.state()
    other = site.clone("other")
    other.add("Other")
    other.add("And another")
    content = (other.root / ".atms" / "journal" / other.replica() / "00000001.jsonl").read_bytes()
    forge(site, two.replica(), content)
    (refused,) = one.sync()["refused"]
    assert refused["replica"] == two.replica()
    assert "was rewritten since it was last seen" in refused["reason"]
    assert one.state() == before
    # The one it happened to is told, and nothing of his is overwritten.
    two.add("Three")
    assert "somebody else has written events under the id" in two.atms("sync", code=1).err
    assert len(two.state()["tasks"]) == 2


# Races and kills


def test_five_clones_that_sync_at_once_all_get_through(site: Site) -> None:
    clones = [site.clone(f"clone{number}") for number in range(5)]
    for turn in range(3):
        children = []
        for clone in clones:
            clone.add(f"Turn {turn}")
            # Two at once in the same clone too.
            children += [(clone, clone.atms.start("sync", "--json")) for _ in range(2)]
        for clone, child in children:
            answer = clone.atms.end(child)
            assert answer.code == 0, answer
            assert answer.document["refused"] == []
            assert answer.document["pushed"] == f"refs/atms/{clone.replica()}"
    site.settle()
    assert len(clones[0].state()["tasks"]) == 15


def children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_kills_at_any_moment_of_a_sync_do_no_harm(site: Site) -> None:
    rng = random.Random(20261201)  # noqa: S311  not for secrets
    one, two = site.clone("one"), site.clone("two")
    ids, kills, longest = set(), 0, 0.4
    for number in range(4 * KILLS):
        if number % 3 == 0:
            ids.add(two.add(f"Two {number}", description="x" * rng.randrange(20_000)))
            two.sync()
        ids.add(one.add(f"One {number}"))
        sync = one.atms.start("sync")
        began = time.monotonic()
        try:
            sync.wait(rng.uniform(0.04, longest))
            longest = max(0.1, time.monotonic() - began)
        except Exception:  # noqa: BLE001  it lives, as it should
            # Git may die with it, or go on alone for a moment.
            for pid in [sync.pid, *(children_of(sync.pid) if number % 2 else [])]:
                kill(pid)
            kills += 1
        assert one.atms.end(sync).code in (0, -signal.SIGKILL)
        assert {row[0] for row in one.state()["tasks"]} <= ids
        if kills == KILLS:
            break
    assert kills == KILLS
    site.settle()
    assert {row[0] for row in one.state()["tasks"]} == ids
    assert one.ws().store.doctor() == two.ws().store.doctor() == []
    one.git("fsck", "--strict")
    site.git(site.remote, "fsck", "--strict")


def test_a_lock_that_a_killed_git_left_behind_is_removed(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    for clone in (one, two):
        clone.add("Something")
        clone.sync()
    one.sync()
    refs = one.root / ".git" / "refs" / "atms"
    one.add("More")
    for lock in (refs / f"{one.replica()}.lock", refs / f"{two.replica()}.lock"):
        lock.write_text("")
        os.utime(lock, (1, 1))
    two.add("More")
    two.sync()
    site.settle()
    assert len(one.state()["tasks"]) == 4


def test_a_running_loop_picks_up_what_a_sync_brings(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    with (one.root / "loop.log").open("w") as out:
        loop = one.atms.start("run", "--progress", "plain", out=out)
    one.atms.appears("loop.log", "atms run: ")
    task = two.add("From afar", command="echo $ATMS_TASK_ID > ran")
    two.sync()
    one.sync()
    assert one.atms.appears("ran", task, timeout_s=10) == f"{task}\n"
    one.atms.appears("loop.log", "completed in", timeout_s=10)
    # What another clone cancelled is stopped here.
    long = one.add("Long", command="echo $$ > began; exec sleep 1000")
    one.atms.appears("began", "\n", timeout_s=10)
    one.sync()
    two.sync()
    two.atms("task", "cancel", long)
    two.sync()
    one.sync()
    one.atms.until(lambda: not Path(f"/proc/{(one.root / 'began').read_text().strip()}").exists(), "the end of it", 10)
    loop.send_signal(signal.SIGINT)
    assert one.atms.end(loop).code == 130
    site.settle()
    assert two.atms.statuses() == {task: "completed", long: "cancelled"}
