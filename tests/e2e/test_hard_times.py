"""A disk that is really full, and one that nobody may write on, in a mount namespace that vanishes with its test."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError
from atms_cli.services import tasks as service
from tests.store.attacks import add_one_by_one, add_together, closed, created, load_all, opened, present, replicate
from tests.store.children import alone, forked

if TYPE_CHECKING:
    from commandline import Atms

pytestmark = pytest.mark.e2e

#: Own mounts that nobody else sees; who is not root becomes it for these alone.
NAMESPACE = ("unshare", "--mount") if os.getuid() == 0 else ("unshare", "--mount", "--map-root-user")
PAGE = os.sysconf("SC_PAGE_SIZE")
MOST_FREE_PAGES = 60
NO_ROOM = "No space left on device"


def mounted(path: Path, options: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)  # noqa: TID251  a test stands outside


def _can_mount() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0  # noqa: TID251  likewise


@pytest.fixture(scope="module", autouse=True)
def _mounting() -> None:
    if not _can_mount():
        pytest.skip("needs the right to mount in a namespace of its own")


def commanding(directory: str) -> Atms:
    root, home = Path(directory) / "work", Path(directory) / "home"
    root.mkdir(exist_ok=True)
    home.mkdir()
    return import_module("tests.cli.commandline").Atms(root, home)  # type: ignore[no-any-return]


def test_a_full_disk_refuses_what_is_new_and_gives_what_is_there(tmp_path: Path) -> None:
    report = alone(fill_up, tmp_path, within=NAMESPACE)
    assert report["added"] >= 5
    assert report["refused"] >= 4


def fill_up(directory: str) -> dict[str, int]:
    mounted(Path(directory) / "work", "size=1m")
    atms = commanding(directory)
    atms("init")
    ballast = atms.write("ballast", "x" * 150_000)
    ids: list[str] = []
    refused = 0
    for size in (10_000, 2_000, 200, 1):
        while (answer := atms("task", "add", "One", "-d", "x" * size, "-q", code=None)).code == 0:
            ids.append(answer.line)
        refused += 1
        assert answer.code == 1, answer
        assert NO_ROOM in answer.err, answer
        assert "hint: nothing was changed; free some space and repeat" in answer.err, answer
        assert atms.statuses() == dict.fromkeys(ids, "queued")
    for words in (
        ["task", "show", ids[0]],
        ["queue", "next"],
        ["queue", "status"],
        ["status"],
        ["log"],
        ["task", "export"],
    ):
        atms(*words)
    for words in (["done", ids[0]], ["claim", "--agent", "eve"], ["cancel", ids[1]]):
        answer = atms("task", *words, code=None)
        assert answer.code == 0 or (answer.code == 1 and NO_ROOM in answer.err), answer
    assert atms("config", "set", "execution.jobs", "7", code=None).code in (0, 1)
    ballast.unlink()
    ids.append(atms.add("There is room again"))
    assert set(atms.statuses()) == set(ids)
    assert atms.json("doctor")["problems"] == []
    return {"added": len(ids), "refused": refused}


def test_with_any_number_of_free_pages_a_change_is_whole_or_refused(tmp_path: Path) -> None:
    report = alone(leave_pages, tmp_path, within=NAMESPACE)
    assert report["refused"] >= 1
    assert report["done"] >= 1


def leave_pages(directory: str) -> dict[str, int]:
    load_all()
    disk = Path(directory) / "disk"
    mounted(disk, "size=2m")
    base = Path(directory) / "base"
    assert forked(lambda: add_one_by_one(opened(base))) == 0
    report = {"refused": 0, "done": 0}
    for pages in range(MOST_FREE_PAGES):
        root = disk / "root"
        replicate(base, root)
        _fill(disk, pages)
        code = forked(lambda root=root: _add_or_refuse(root))  # type: ignore[misc]
        assert code == 0, f"{pages} pages"
        shutil.rmtree(disk / "ballast")
        workspace = opened(root)
        there = present(workspace)
        assert there in ({"o1", "o2", "o3"}, {"o1", "o2", "o3", "n1", "n2"}), f"{pages} pages: {there}"
        report["done" if "n1" in there else "refused"] += 1
        assert workspace.store.doctor() == []
        service.add(workspace, {"title": "next"}, after=(), draft=False)
        assert workspace.store.doctor() == []
        assert set(created(workspace.event_store).values()) == {1}
        closed(workspace)
        shutil.rmtree(root)
    return report


def _fill(disk: Path, pages: int) -> None:
    (disk / "ballast").mkdir()
    free = os.statvfs(disk).f_bavail - pages
    (disk / "ballast" / "file").write_bytes(bytes(free * PAGE))
    assert os.statvfs(disk).f_bavail == pages


def _add_or_refuse(root: Path) -> None:
    try:
        add_together(opened(root).event_store, ["n1", "n2"], size=6_000)
    except AtmsError as error:
        assert "No space left" in error.message, error.message  # noqa: PT017  it may as well go well
        assert "n1" not in present(opened(root))
    else:
        assert "n1" in present(opened(root))


def test_what_cannot_be_written_can_be_read_and_says_so(tmp_path: Path) -> None:
    assert alone(read_only, tmp_path, within=NAMESPACE)["refused"] >= 15


def contents_of(root: Path) -> str:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


def read_only(directory: str) -> dict[str, int]:
    mounted(Path(directory) / "work", "size=8m")
    atms = commanding(directory)
    atms("init")
    one, two = atms.add("One"), atms.add("Two")
    atms("task", "claim", one, "--agent", "eve")
    atms("agent", "register", "bob")
    atms.write("FEATURES.json", '{"project": "p", "features": [{"id": "f1", "title": "F", "status": "suggested"}]}')
    backup = atms.home / "kept.backup"
    atms("backup", str(backup))
    imported = atms.home / "tasks.json"
    imported.write_text(atms("task", "export").out)
    before = contents_of(atms.root)
    subprocess.run(["mount", "-o", "remount,ro", str(atms.root)], check=True)  # noqa: TID251  a test stands outside
    for line in READING:
        assert atms(*line.format(one=one).split()).out, line
    assert atms.statuses() == {one: "assigned", two: "queued"}
    refused = 0
    for line in WRITING:
        answer = atms(*line.format(one=one, two=two, backup=backup, file=imported).split(), code=None)
        assert answer.code == 1, (line, answer)
        assert "Read-only file system" in answer.err or "read-only" in answer.err, (line, answer)
        refused += 1
    assert not list(atms.home.glob("atms-report-*"))
    subprocess.run(["mount", "-o", "remount,rw", str(atms.root)], check=True)  # noqa: TID251  likewise
    assert contents_of(atms.root) == before
    atms("task", "done", two)
    assert atms.json("doctor")["problems"] == []
    return {"refused": refused}


READING = (
    "task list", "task list --json", "task show {one}", "queue next", "queue list", "queue status", "status", "log", "log --json",
    "task export", "agent list", "config list", "doctor", "feature list", "queue explain {one}", "version",
)  # fmt: skip
WRITING = (
    "task add Three", "task update {two} -p high", "task depend {two} --on {one}", "task start {two}", "task done {two}", "task fail {two}",
    "task cancel {two}", "task claim --agent bob", "task release {one}", "undo", "queue pause", "agent register carl", "agent remove bob",
    "feature approve f1", "config set execution.jobs 7", "restore {backup} --yes", "rebuild", "backup inside.backup", "run --drain", "init",
)  # fmt: skip


def test_a_workspace_of_somebody_else_can_be_read_and_says_whose_right_is_missing(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can become somebody else")
    assert alone(as_a_stranger, tmp_path)["refused"] == 3


def as_a_stranger(directory: str) -> dict[str, int]:
    load_all()
    base = Path(directory)
    for path in [base, *base.parents][:-1]:
        path.chmod(path.stat().st_mode | 0o055)
    assert forked(lambda: add_one_by_one(opened(base / "work"))) == 0
    journal = base / "work" / ".atms" / "journal"
    own = journal.parent
    #: What is opened to all, one after the other; what is somebody else's still stops who would write.
    for paths, mode in ([own], 0o777), ([journal, *journal.iterdir()], 0o777), (list(own.glob("*.*")), 0o444):
        for path in paths:
            path.chmod(mode)
        assert forked(lambda: _refused_as_nobody(base / "work")) == 0
    workspace = opened(base / "work")
    add_together(workspace.event_store, ["more"])
    assert workspace.store.doctor() == []
    return {"refused": 3}


def _refused_as_nobody(root: Path) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    workspace = opened(root)
    assert present(workspace) == {"o1", "o2", "o3"}
    with pytest.raises(AtmsError, match=r"Permission denied|readonly") as refusal:
        add_together(workspace.event_store, ["no"])
    assert str(root) in refusal.value.message
    assert present(opened(root)) == {"o1", "o2", "o3"}
