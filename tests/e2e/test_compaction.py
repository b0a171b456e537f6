"""Compacting with real kills, beside real readers and writers, and between clones that sync through real git."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from pathlib import Path
from subprocess import PIPE, Popen  # noqa: TID251  a test stands outside
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.bootstrap import open_workspace
from atms_cli.services import compaction, sharing
from atms_cli.services import tasks as service
from atms_cli.store import journal, rewritten
from tests.store.clones import Clone
from tests.store.test_compaction import lived_in, told, without_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

SEED = 20_261_124
KILLS = int(os.environ.get("ATMS_TEST_KILLS", "150"))
SEGMENT_BYTES = 2_000


# Kills


def opened(directory: Path, at_ms: int) -> Clone:
    clone = Clone(directory, "ourown00", SEGMENT_BYTES)
    clone.clock.at_ms = at_ms
    return clone


def steady(clone: Clone) -> dict[str, list[tuple[object, ...]]]:
    """Return the state but for the id of each task's last event, which may be a fold."""
    state = without_events(clone)
    state["tasks"] = [row[:16] + row[17:] for row in state["tasks"]]
    return state


def compacts(directory: Path, at_ms: int, dies_at: int) -> int:
    """Compact in a child that is killed at its n-th call of anything; return how it ended, or the calls it made if it was not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        calls = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call", "c_return")
            if calls == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

        clone = opened(directory, at_ms)
        sys.setprofile(count)
        clone.compact()
        sys.setprofile(None)
        os.write(writing, str(calls).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as ended:
        said = ended.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return int(said) if status == 0 else status


@pytest.mark.filterwarnings("ignore:This process")
def test_kills_between_any_two_steps_do_no_harm(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    rng = random.Random(SEED)  # noqa: S311  not for secrets
    template = opened(tmp_path / "template", 1_767_323_045_000)
    lived_in(template, 4)
    keys = ("ourown000", "ourown003", "ourown00open1")
    expected, logs, at_ms = steady(template), {key: told(template, key) for key in keys}, template.clock.at_ms
    template.close()
    shutil.copytree(template.root, tmp_path / "whole")
    calls = compacts(tmp_path / "whole", at_ms, 0)
    assert calls > 1000
    folded, kills = set(), 0
    for number in range(KILLS):
        directory = tmp_path / f"killed{number}"
        shutil.copytree(template.root, directory)
        # Twice in a row: the second finds what the first has left.
        ends = [compacts(directory, at_ms, rng.randrange(1, calls)) for _ in range(1 + number % 2)]
        kills += ends.count(-signal.SIGKILL)
        clone = opened(directory, at_ms)
        assert steady(clone) == expected
        assert {key: told(clone, key) for key in keys} == logs
        assert clone.store.doctor() == []
        folded.add(sum(row[2] == "task.folded" for row in clone.state()["events"]))
        clone.compact()
        assert clone.compact()["segments"] == []
        assert steady(clone) == expected
        assert clone.store.doctor() == []
        assert [path.name for path in (directory / "journal").rglob(".*")] == []
        clone.close()
        shutil.rmtree(directory)
    assert kills >= KILLS
    assert len(folded) > 1
    record_property("kills", kills)
    sys.stdout.write(f"kills {kills}, of {calls} moments\n")


# Others at work

WRITER = """
import sys
from atms_cli.domain import decisions
from atms_cli.store.eventstore import in_directory
from atms_cli.system.clock import SystemClock
from atms_cli.system.ids import RandomIds

directory, name, most, segment = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = in_directory(directory, SystemClock(), RandomIds())
store.journal.segment_bytes = segment
for number in range(most):
    key = f"{name}-{number}"
    with store.writing("writer") as tx:
        tx.record(decisions.create(key, {"title": key, "description": "x" * 200}, created_by="writer", draft=False))
    for decide in (
        lambda task, now: decisions.start(task, agent="a", run=None, blocked_by=()),
        lambda task, now: decisions.fail(task, "no", {"log": "y" * 600}),
        lambda task, now: decisions.retry_from_scratch(task, "again"),
        lambda task, now: decisions.complete(task, {"by": "writer"}, now) if number % 5 else [],
    ):
        with store.writing("writer") as tx:
            tx.record(decide(tx.read.task(key), tx.now))
print("done")
"""
READER = """
import sys
from atms_cli.services.history import marked
from atms_cli.store.eventstore import in_directory
from atms_cli.system.clock import SystemClock
from atms_cli.system.ids import RandomIds

directory, stop = sys.argv[1], sys.argv[2]
store = in_directory(directory, SystemClock(), RandomIds())
import os
looks = 0
while not os.path.exists(stop):
    # Also long after it was asked for, and while everything moves.
    read = store.reading()
    assert read.events_after("") or True
    for key in [row[0] for row in store.index.connection.execute("SELECT id FROM tasks ORDER BY random() LIMIT 40")]:
        is_completed = read.task(key)["status"] == "completed"
        kinds = [event["type"] for event in marked(read.history(key)) if event["type"] != "task.folded"]
        assert kinds[:1] == ["task.created"], (key, kinds)
        if is_completed:
            assert kinds == ["task.created", "task.started", "task.failed", "task.retried", "task.completed"], (key, kinds)
        looks += 1
print(looks)
"""


def test_readers_and_writers_do_not_notice(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "backups").mkdir()
    stop, most = tmp_path / "stop", 60
    writers = [
        Popen([sys.executable, "-c", WRITER, str(tmp_path), f"w{number}", str(most), "4000"], stdout=PIPE, stderr=PIPE)
        for number in range(2)
    ]
    readers = [
        Popen([sys.executable, "-c", READER, str(tmp_path), str(stop)], stdout=PIPE, stderr=PIPE) for _ in range(2)
    ]
    ws = open_workspace_in(tmp_path)
    rewrites = rounds = 0
    while any(writer.poll() is None for writer in writers):
        rewrites += len(compaction.compact(ws, 0, only_show=False, keep_originals=False)["segments"])  # type: ignore[arg-type]
        rounds += 1
    rewrites += len(compaction.compact(ws, 0, only_show=False, keep_originals=False)["segments"])  # type: ignore[arg-type]
    stop.touch()
    for child in (*writers, *readers):
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err.decode()
        assert out
    assert ws.store.doctor() == []
    assert sum(ws.store.reading().counts().values()) == 2 * most
    assert rewrites > 5
    sys.stdout.write(f"{rewrites} segments rewritten in {rounds} rounds\n")


def open_workspace_in(directory: Path) -> Any:  # noqa: ANN401  as much of a workspace as compacting needs
    from atms_cli.store.eventstore import in_directory
    from atms_cli.system.clock import SystemClock
    from atms_cli.system.ids import RandomIds

    clone = Clone.__new__(Clone)
    clone.root, clone.name, clone.clock = directory, "ourown00", SystemClock()  # type: ignore[assignment]
    clone.store = in_directory(str(directory), SystemClock(), RandomIds())
    clone.store.journal.segment_bytes = 4000
    return clone.workspace()


# Between clones


class Site:
    """A bare remote, and clones whose journals have small segments."""

    def __init__(self, root: Path, bare: Atms) -> None:
        self.root = root
        self.bare = bare
        self.run(root, "init", "-q", "--bare", "remote.git")

    def run(self, where: Path, *words: str) -> None:
        ended = Popen(["git", *words], cwd=where, env=self.bare.env, stdout=PIPE, stderr=PIPE)
        _, err = ended.communicate()
        assert ended.returncode == 0, err

    def clone(self, name: str) -> Any:  # noqa: ANN401  a workspace
        self.run(self.root, "clone", "-q", f"file://{self.root}/remote.git", name)
        atms = type(self.bare)(self.root / name, self.bare.home)
        atms("init")
        (self.root / name / "atms.yaml").unlink()
        return self.open(name)

    def open(self, name: str) -> Any:  # noqa: ANN401  a workspace
        return open_workspace(str(self.root / name), self.bare.env)


@pytest.fixture
def site(tmp_path: Path, bare: Atms, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", SEGMENT_BYTES)
    (tmp_path / "site").mkdir()
    return Site(tmp_path / "site", bare)


def add(ws: Any, title: str) -> str:  # noqa: ANN401  a workspace
    return service.add(ws, {"title": title, "description": "d" * 300}, after=[], draft=False)["id"]


def busy(ws: Any, count: int = 8) -> list[str]:  # noqa: ANN401  a workspace
    ids = [add(ws, f"Task {number}") for number in range(count)]
    for task_id in ids[: count - 2]:
        service.start(ws, [task_id], agent="ann", token=None)
        service.fail(ws, [task_id], "broke", None)
        service.retry(ws, [task_id], "once more")
        service.cancel(ws, [task_id], "not wanted")
    return ids


def tasks_of(ws: Any) -> list[tuple[object, ...]]:  # noqa: ANN401  a workspace
    ws.store.reading()
    return list(ws.event_store.index.connection.execute("SELECT id, doc, bucket, born FROM tasks ORDER BY id"))


def names(ws: Any) -> list[Path]:  # noqa: ANN401  a workspace
    return sorted(Path(ws.directory, "journal").glob("*/*.jsonl"))


def test_a_compacted_clone_syncs_with_old_and_new_ones(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    busy(one)
    sharing.sync(one, None)
    sharing.sync(two, None)
    report = compaction.compact(one, 0, only_show=False, keep_originals=True)
    assert report["segments"]
    busy(two, 4)
    for ws in (one, two, one):
        assert sharing.sync(ws, None)["refused"] == []
    three = site.clone("three")
    assert sharing.sync(three, None)["refused"] == []
    assert any(rewritten.of(path.read_bytes()) for path in names(three))
    compaction.compact(two, 0, only_show=False, keep_originals=True)
    busy(one, 3)
    for ws in (two, three, one, two, three):
        assert sharing.sync(ws, None)["refused"] == []
    assert tasks_of(one) == tasks_of(two) == tasks_of(three)
    for ws in (one, two, three):
        assert ws.store.doctor() == []


def test_a_repository_cloned_anew_around_a_compacted_workspace_goes_on(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    busy(one)
    sharing.sync(one, None)
    compaction.compact(one, 0, only_show=False, keep_originals=True)
    site.run(site.root / "one", "update-ref", "-d", f"refs/atms/{sharing.sync(one, None)['replica']}")
    shutil.rmtree(site.root / "one" / ".git")
    site.run(site.root, "clone", "-q", f"file://{site.root}/remote.git", "again")
    (site.root / "again" / ".git").rename(site.root / "one" / ".git")
    busy(one, 3)
    one = site.open("one")
    assert sharing.sync(one, None)["refused"] == []
    assert sharing.sync(two, None)["refused"] == []
    assert tasks_of(one) == tasks_of(two)


def test_doctor_and_sync_together_lose_nothing_that_was_shared(site: Site, bare: Atms) -> None:
    one, two = site.clone("one"), site.clone("two")
    ids = busy(one)
    replica = str(sharing.sync(one, None)["replica"])
    before = tasks_of(one)
    one.event_store.index.connection.close()
    path = names(one)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"title"', b'"tittle"')
    path.write_bytes(b"".join(lines))
    for suffix in ("", "-wal", "-shm"):
        Path(one.directory, f"index.sqlite{suffix}").unlink(missing_ok=True)
    atms = type(bare)(site.root / "one", bare.home)
    assert "damaged lines were set aside" in atms("doctor", "--fix").err
    assert len(tasks_of(site.open("one"))) == len(before) - 1
    answer = atms("sync")
    assert f"✓ repaired {replica}/00000001.jsonl: 1 lost event came back" in answer.out
    one = site.open("one")
    assert tasks_of(one) == before
    assert one.store.doctor() == []
    assert atms.json("sync")["repaired"] == []
    service.reopen(one, [ids[0]], None)
    sharing.sync(one, None)
    sharing.sync(two, None)
    assert tasks_of(one) == tasks_of(two)


# On the command line


def grown(site: Site) -> Any:  # noqa: ANN401  a workspace
    """Let somebody else add tasks, so that what came before is in sealed segments."""
    other = open_workspace(str(site.root / "one"), {**site.bare.env, "USER": "bob"})
    for number in range(10):
        add(other, f"Other {number}")
    other.event_store.index.connection.close()


def test_the_command_says_what_it_did(site: Site, bare: Atms) -> None:
    one = site.clone("one")
    ids = busy(one)
    service.done(one, [ids[-1]], token=None, force_reason="the gate is broken", note=None)
    grown(site)
    atms = type(bare)(site.root / "one", bare.home)
    assert atms("compact").line.startswith("nothing is worth compacting")
    said = atms("compact", "--older-than", "0s", "--dry-run").lines
    assert said[0].startswith("✓ would fold ")
    report = atms.json("compact", "--older-than", "0s")
    assert report["tasks"] >= 6
    assert all(Path(each["kept_in"]).exists() for each in report["segments"])
    assert atms.json("compact", "--older-than", "0s")["segments"] == []
    log = atms("log", ids[0]).lines
    assert [line.split()[1] for line in log] == [
        "task.created", "task.started", "task.failed", "task.retried", "task.cancelled", "task.folded",
    ]  # fmt: skip
    assert "not wanted  (folded)" in log[-2]
    assert [event["type"] for event in atms.task(ids[0])["history"]][:2] == ["task.created", "task.started"]
    assert len([line for line in atms("log", "--type", "task.cancelled").lines if "not wanted" in line]) == 6
    assert "forced: the gate is broken" in atms("log", "-n", "11").out
    assert "soon" in atms("compact", "--older-than", "soon", code=2).err


def test_undo_says_that_a_change_was_folded(site: Site, bare: Atms) -> None:
    one = site.clone("one")
    ids = busy(one)
    grown(site)
    atms = type(bare)(site.root / "one", bare.home)
    atms("compact", "--older-than", "0s")
    # The last ones may lie in a segment that was not worth rewriting.
    folded = {event["key"] for event in atms.json("log", "--type", "task.folded")}
    answers = [atms("undo", code=None) for _ in range(9)]
    refused = answers[-1]
    assert refused.code == 5
    assert "was folded by `atms compact`" in refused.err
    assert any(f"atms task reopen {key}" in refused.err for key in folded)
    assert not any(key in answer.out for answer in answers for key in folded)
    atms("task", "reopen", ids[0])
    assert "task.reopened" in atms("undo").out
    assert atms.task(ids[0])["status"] == "cancelled"
    assert "was folded by `atms compact`" in atms("undo", code=5).err
