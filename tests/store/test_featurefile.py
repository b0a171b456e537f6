"""FEATURES.json on a real disk, with real processes that want it too."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import resource
import stat
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.errors import AtmsError, ConflictError, DamagedError, NotFoundError, UnavailableError
from atms_cli.store import featurefile
from atms_cli.domain.feature import skeleton
from atms_cli.store.featurefile import ATTEMPTS, JsonFeatureFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import Edit, JsonObject

DATA = Path(__file__).parents[3] / "shared" / "data" / "features"
FILES = sorted(DATA.glob("*.json"))
real_files = pytest.mark.parametrize(
    "sample",
    FILES or [pytest.param(None, marks=pytest.mark.skip(reason="no sample files here"))],
    ids=lambda sample: sample.stem,
)

NOW = "2026-01-02T03:04:05.678Z"
PLAIN = json.dumps(skeleton("p", NOW), indent=2)
#: Enough for slow disks; no test waits for it.
AMPLE_WAIT_S = 120.0
spawning = get_context("spawn")


def feature_file(directory: Path, text: str | None = PLAIN, lock_wait_s: float = AMPLE_WAIT_S) -> JsonFeatureFile:
    path, backups = directory / "FEATURES.json", directory / "backups"
    if text is not None:
        path.write_bytes(text.encode())
    return JsonFeatureFile(str(path), backups=str(backups), now=lambda: "20260102T030405Z", lock_wait_s=lock_wait_s)


def rename_project(document: JsonObject) -> list[Edit]:
    return [("set", ("project",), f"{document['project']}!")]


def making(*edits: Edit) -> Callable[[JsonObject], list[Edit]]:
    return lambda _: list(edits)


def assert_nothing_left(directory: Path) -> None:
    assert {path.name for path in directory.iterdir()} <= {"FEATURES.json", "backups", "real.json"}
    assert not [path.name for path in directory.glob("backups/*.tmp")]


# Reading


@real_files
def test_reads_real_files(sample: Path) -> None:
    file = JsonFeatureFile(str(sample), backups="unused")
    assert file.exists()
    assert file.read() == json.loads(sample.read_bytes())


def test_no_file_is_no_document(tmp_path: Path) -> None:
    file = feature_file(tmp_path, None)
    assert not file.exists()
    assert file.read() is None
    with pytest.raises(NotFoundError, match=re.escape(file.path)):
        file.change(rename_project)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: Expecting value"),
        (b'{\n  "a": [1,}', ":2:11: "),
        (b'{"a": 1}\n{', ":2:1: Extra data"),
        (b'{\n  "a": "\xff"}', ":2:9: this is not UTF-8"),
        (b"[]", ":1:1: the top level is an array, not an object"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(featurefile, "SETTLE_S", 0.01)
    file = feature_file(tmp_path)
    Path(file.path).write_bytes(content)
    for use in (file.read, lambda: file.change(rename_project)):
        with pytest.raises(DamagedError) as refused:
            use()
        assert refused.value.message.startswith(file.path + message)
        assert refused.value.hint
    assert Path(file.path).read_bytes() == content
    assert_nothing_left(tmp_path)


def use_pauses(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
    """Let somebody else do something in each pause of the reader, in place of the time that would pass."""
    remaining = iter(steps)
    monkeypatch.setattr(featurefile, "SETTLE_S", AMPLE_WAIT_S)
    monkeypatch.setattr(time, "sleep", lambda _: next(remaining)())


def test_a_file_written_in_place_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = feature_file(tmp_path)
    for cut in range(0, len(PLAIN), 50):
        with open(file.path, "wb", buffering=0) as writer:
            parts = PLAIN[:cut].encode(), PLAIN[cut:].encode()
            use_pauses(monkeypatch, *(partial(writer.write, part) for part in parts))
            assert file.read() == json.loads(PLAIN)


def test_a_change_starts_from_what_is_written_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = feature_file(tmp_path)
    with open(file.path, "wb", buffering=0) as writer:
        use_pauses(monkeypatch, partial(writer.write, PLAIN.encode()))
        assert file.change(rename_project)
    assert Path(file.path).read_text() == PLAIN.replace('"project": "p"', '"project": "p!"')


# Changing


@real_files
def test_a_change_of_nothing_does_not_touch_the_file(tmp_path: Path, sample: Path) -> None:
    file = feature_file(tmp_path, sample.read_bytes().decode())
    before = os.stat(file.path)
    assert not file.change(making())
    assert not file.change(lambda document: [("set", (key,), document[key]) for key in document])
    assert os.stat(file.path) == before
    assert Path(file.path).read_bytes() == sample.read_bytes()
    assert os.listdir(tmp_path) == ["FEATURES.json"]


@real_files
def test_a_change_is_on_disk_and_the_old_content_in_the_backups(tmp_path: Path, sample: Path) -> None:
    file = feature_file(tmp_path, sample.read_bytes().decode())
    assert file.change(making(("set", ("metadata", "updated"), NOW)))
    document = json.loads(sample.read_bytes())
    document["metadata"]["updated"] = NOW
    assert file.read() == document
    (backup,) = (tmp_path / "backups").iterdir()
    assert re.fullmatch(r"FEATURES\.json\.20260102T030405Z\.[0-9a-f]{8}", backup.name)
    assert backup.read_bytes() == sample.read_bytes()
    assert_nothing_left(tmp_path)


def test_each_content_is_backed_up_once(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    for name in ("b", "a", "b", "a"):
        assert file.change(making(("set", ("project",), name)))
    assert len(list((tmp_path / "backups").iterdir())) == 3


def test_a_spoilt_backup_does_not_count(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    file.change(rename_project)
    (backup,) = (tmp_path / "backups").iterdir()
    spoilt = backup.rename(backup.with_name(backup.name.replace("2026", "2025")))
    spoilt.write_text("")
    Path(file.path).write_text(PLAIN)
    file.change(rename_project)
    assert backup.read_text() == PLAIN


def test_the_first_backup_of_a_content_is_the_one_kept(tmp_path: Path) -> None:
    times = iter(["1", "2", "3"])
    path, backups = tmp_path / "FEATURES.json", tmp_path / "backups"
    file = JsonFeatureFile(str(path), backups=str(backups), now=lambda: next(times))
    for _ in range(3):
        path.write_text(PLAIN)
        assert file.change(rename_project)
    assert [backup.name.split(".")[2] for backup in backups.iterdir()] == ["1"]


def test_the_usual_name_of_a_backup_is_a_utc_time(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    JsonFeatureFile(file.path, backups=str(tmp_path / "backups")).change(rename_project)
    assert re.fullmatch(r"FEATURES\.json\.\d{8}T\d{6}Z\.[0-9a-f]{8}", os.listdir(tmp_path / "backups")[0])


def test_the_document_is_the_deciders_own(tmp_path: Path) -> None:
    def spoil(document: JsonObject) -> list[Edit]:
        document.clear()
        return [("set", ("project",), "q")]

    file = feature_file(tmp_path)
    assert file.change(spoil)
    assert Path(file.path).read_text() == PLAIN.replace('"project": "p"', '"project": "q"')


def test_an_edit_that_does_not_fit_names_file_and_place(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    with pytest.raises(DamagedError, match=re.escape(f"{file.path}: `features` is an array, not an object")):
        file.change(making(("set", ("features", "x"), 1)))
    assert Path(file.path).read_text() == PLAIN
    assert_nothing_left(tmp_path)


def test_an_error_of_the_decider_releases_the_lock(tmp_path: Path) -> None:
    def refuse(_: JsonObject) -> list[Edit]:
        assert (tmp_path / "FEATURES.json.lock").read_text() == str(os.getpid())
        raise ConflictError("no")

    with pytest.raises(ConflictError, match="no"):
        feature_file(tmp_path).change(refuse)
    assert_nothing_left(tmp_path)


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.json"
    real.parent.mkdir()
    real.write_text(PLAIN)
    (tmp_path / "FEATURES.json").symlink_to(real)
    file = feature_file(tmp_path, None)
    assert file.change(rename_project)
    assert (tmp_path / "FEATURES.json").is_symlink()
    assert json.loads(real.read_text())["project"] == "p!"
    assert os.listdir(real.parent) == ["real.json"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_the_mode_stays(tmp_path: Path, mode: int) -> None:
    file = feature_file(tmp_path)
    os.chmod(file.path, mode)
    file.change(rename_project)
    assert stat.S_IMODE(os.stat(file.path).st_mode) == mode
    (backup,) = (tmp_path / "backups").iterdir()
    assert stat.S_IMODE(backup.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    os.chown(file.path, 12345, 23456)
    file.change(rename_project)
    assert (os.stat(file.path).st_uid, os.stat(file.path).st_gid) == (12345, 23456)


def test_a_path_without_a_directory_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feature_file(tmp_path)
    (tmp_path / "FEATURES.json.lock").write_text("0")
    monkeypatch.chdir(tmp_path)
    file = JsonFeatureFile("FEATURES.json", backups="backups")
    assert file.change(rename_project)
    assert_nothing_left(tmp_path)


# Editors, which take no lock


def test_an_editors_change_between_decision_and_replacement_is_kept(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    seen = []

    def decide(document: JsonObject) -> list[Edit]:
        seen.append(document["project"])
        if len(seen) == 1:
            Path(file.path).write_text(PLAIN.replace('"project": "p"', '"project": "by hand"'))
        return [("append", ("features",), {"id": "f"})]

    assert file.change(decide)
    assert seen == ["p", "by hand"]
    document = file.read() or {}
    assert (document["project"], document["features"]) == ("by hand", [{"id": "f"}])
    assert_nothing_left(tmp_path)


def test_an_editor_who_never_stops_wins(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    turns = iter(range(1000))

    def decide(_: JsonObject) -> list[Edit]:
        Path(file.path).write_text(f'{{"turn": {next(turns)}}}')
        return [("set", ("mine",), 1)]

    with pytest.raises(ConflictError, match=re.escape(file.path)):
        file.change(decide)
    assert file.read() == {"turn": ATTEMPTS - 1}
    assert_nothing_left(tmp_path)


# The lock


def dead_pid() -> int:
    process = spawning.Process(target=os.getpid)
    process.start()
    process.join()
    assert process.pid
    return process.pid


def test_a_living_processs_lock_is_respected(tmp_path: Path) -> None:
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{os.getppid()}")
    before = os.stat(lock)
    with pytest.raises(UnavailableError) as refused:
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)
    assert refused.value.message == f"`{lock}` is held by process {os.getppid()}"
    assert refused.value.hint
    assert os.stat(lock) == before
    assert (tmp_path / "FEATURES.json").read_text() == PLAIN
    lock.unlink()
    assert_nothing_left(tmp_path)


def test_the_lock_is_taken_when_it_comes_free(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    entered, released = threading.Event(), threading.Event()

    def decide(_: JsonObject) -> list[Edit]:
        entered.set()
        released.wait()
        return [("append", ("features",), "first")]

    first = threading.Thread(target=file.change, args=(decide,))
    second = threading.Thread(target=file.change, args=(making(("append", ("features",), "second")),))
    first.start()
    entered.wait()
    second.start()
    released.set()
    first.join()
    second.join()
    assert (file.read() or {})["features"] == ["first", "second"]
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("content", ["", "\n", "who?", "0", "-1", "9" * 40, "{pid}", "{pid}\n"])
def test_an_abandoned_lock_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "FEATURES.json.lock").write_text(content.format(pid=dead_pid()))
    assert feature_file(tmp_path).change(rename_project)
    assert_nothing_left(tmp_path)


def test_an_empty_lock_gets_time_for_its_content(tmp_path: Path) -> None:
    (tmp_path / "FEATURES.json.lock").touch()
    with pytest.raises(UnavailableError, match="is held by another process"):
        feature_file(tmp_path, lock_wait_s=0).change(rename_project)
    assert (tmp_path / "FEATURES.json.lock").exists()


def test_a_lock_that_became_somebody_elses_is_left_to_them(tmp_path: Path) -> None:
    lock = tmp_path / "FEATURES.json.lock"

    def decide(_: JsonObject) -> list[Edit]:
        lock.unlink()
        lock.write_text(f"{os.getppid()}")
        return [("set", ("project",), "q")]

    assert feature_file(tmp_path).change(decide)
    assert lock.read_text() == f"{os.getppid()}"


def test_a_living_lock_that_was_set_aside_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look at an abandoned lock and its removal, the original replaces it by its own."""
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{dead_pid()}")
    rename = os.rename

    def outrun(source: str, target: str) -> None:
        lock.unlink()
        lock.write_text(f"{os.getppid()}")
        rename(source, target)

    monkeypatch.setattr(os, "rename", outrun)
    with pytest.raises(UnavailableError, match=f"process {os.getppid()}"):
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)
    assert lock.read_text() == f"{os.getppid()}"


def test_only_one_process_clears_an_abandoned_lock(tmp_path: Path) -> None:
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{dead_pid()}")
    before = os.stat(lock)
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    held: list[os.stat_result] = []
    change = threading.Thread(target=feature_file(tmp_path).change, args=(rename_project,))
    change.start()
    held.extend(os.stat(lock) for _ in range(1000))
    os.close(directory)
    change.join()
    assert held == [before] * 1000
    assert json.loads((tmp_path / "FEATURES.json").read_text())["project"] == "p!"
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("answer", [None, errno.EBADF])
def test_a_lock_that_another_has_cleared_and_taken_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None
) -> None:
    lock = tmp_path / "FEATURES.json.lock"
    lock.write_text(f"{dead_pid()}")
    taken: list[os.stat_result] = []

    def flock(*_: object) -> None:
        lock.unlink()
        lock.write_text(f"{os.getppid()}")
        taken.append(os.stat(lock))
        if answer:
            raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(featurefile, "flock", flock)
    with pytest.raises(UnavailableError):
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)
    assert taken == [os.stat(lock)]


def test_an_interrupt_on_taking_the_lock_releases_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def interrupted(source: str, target: str) -> None:
        link(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        feature_file(tmp_path).change(rename_project)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_file_systems_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    file = feature_file(tmp_path, None)
    file.create(skeleton("p", NOW))
    (tmp_path / "FEATURES.json.lock").write_text(f"{dead_pid()}")
    assert file.change(rename_project)
    assert_nothing_left(tmp_path)
    (tmp_path / "FEATURES.json.lock").write_text(f"{os.getppid()}")
    with pytest.raises(UnavailableError):
        feature_file(tmp_path, lock_wait_s=0.05).change(rename_project)


# Many at once


def append_all(directory: Path, name: str, count: int) -> None:
    file = feature_file(directory, None)
    for number in range(count):
        assert file.change(making(("append", ("features",), {"id": f"{name}-{number}"})))


def append_all_as_the_original(directory: Path, name: str, count: int) -> None:
    for number in range(count):
        lock = taken_as_the_original(directory / "FEATURES.json.lock")
        path = directory / "FEATURES.json"
        document = json.loads(path.read_bytes())
        document["features"].append({"id": f"{name}-{number}"})
        path.write_text(json.dumps(document, indent=2))
        lock.unlink()


def taken_as_the_original(lock: Path) -> Path:
    """Take the lock as `taskmanager-api.js` does: created empty, then filled; a dead or an empty one is stolen."""
    while True:
        try:
            with lock.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            if is_stealable(lock):
                lock.unlink(missing_ok=True)
        else:
            return lock


def is_stealable(lock: Path) -> bool:
    try:
        os.kill(int(lock.read_text()), 0)
    except FileNotFoundError:
        return False
    except (ValueError, ProcessLookupError):
        return True
    return False


@pytest.mark.parametrize(
    ("fifth", "abandoned"),
    # The original may remove a living lock for the abandoned one it has seen, so there is none when it takes part.
    [(append_all, [".lock"]), (append_all_as_the_original, [])],
    ids=["ours", "the original"],
)
def test_many_processes_lose_nothing(
    tmp_path: Path, fifth: Callable[[Path, str, int], None], abandoned: list[str]
) -> None:
    file = feature_file(tmp_path)
    for suffix in abandoned:
        Path(file.path + suffix).write_text(f"{dead_pid()}")
    workers = [append_all, append_all, append_all, append_all, fifth]
    with ProcessPoolExecutor(len(workers), mp_context=spawning) as pool:
        jobs = [pool.submit(worker, tmp_path, str(number), 20) for number, worker in enumerate(workers)]
        for job in jobs:
            job.result()
    ids = [feature["id"] for feature in json.loads(Path(file.path).read_bytes())["features"]]
    assert sorted(ids) == sorted(f"{worker}-{number}" for worker in range(len(workers)) for number in range(20))
    assert_nothing_left(tmp_path)


# Creating


def test_creates_the_originals_skeleton(tmp_path: Path) -> None:
    file = feature_file(tmp_path, None)
    file.create(skeleton("p", NOW))
    assert Path(file.path).read_text() == PLAIN
    assert list(skeleton("p", NOW)) == ["project", "features", "agents", "metadata", "workflow_config"]
    assert_nothing_left(tmp_path)


@real_files
def test_the_skeleton_is_like_a_fresh_files(sample: Path) -> None:
    if sample.stem == "fresh-empty":
        fresh = json.loads(sample.read_bytes())
        made: Any = skeleton(fresh["project"], fresh["metadata"]["created"])
        made["metadata"]["updated"] = fresh["metadata"]["updated"]
        assert made == fresh | {"agents": {}}


def test_never_creates_over_a_file(tmp_path: Path) -> None:
    file = feature_file(tmp_path, "{}")
    with pytest.raises(ConflictError, match="exists already"):
        file.create(skeleton("p", NOW))
    assert Path(file.path).read_text() == "{}"
    assert_nothing_left(tmp_path)


def test_creating_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    file = JsonFeatureFile(str(tmp_path / "missing" / "FEATURES.json"), backups="unused")
    with pytest.raises(NotFoundError, match="cannot create"):
        file.create({})


# A disk that refuses


def refusal_under_size_limit(directory: Path) -> tuple[str, str]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
    with pytest.raises(AtmsError) as refused:
        feature_file(directory, None).change(rename_project)
    return refused.value.message, refused.value.hint


@pytest.mark.parametrize("backed_up", [False, True])
def test_running_out_of_room_while_writing_leaves_everything_as_it_was(tmp_path: Path, *, backed_up: bool) -> None:
    file = feature_file(tmp_path)
    if backed_up:
        file.change(rename_project)
        Path(file.path).write_text(PLAIN)
    with ProcessPoolExecutor(1, mp_context=spawning) as pool:
        message, hint = pool.submit(refusal_under_size_limit, tmp_path).result()
    assert message == f"cannot change `{file.path}`: {os.strerror(errno.EFBIG)}"
    assert hint
    assert Path(file.path).read_text() == PLAIN
    assert len(list(tmp_path.glob("backups/*"))) == backed_up
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("name", ["replace", "fsync", "link"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_refusing_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    file = feature_file(tmp_path)
    monkeypatch.setattr(os, name, refuse)
    with pytest.raises(AtmsError) as refused:
        file.change(rename_project)
    assert refused.value.message == f"cannot change `{file.path}`: {os.strerror(code)}"
    assert refused.value.hint
    assert Path(file.path).read_text() == PLAIN
    assert_nothing_left(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_explained(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    os.chmod(tmp_path, 0o500)
    with pytest.raises(AtmsError, match=os.strerror(errno.EACCES)):
        file.change(rename_project)
    os.chmod(tmp_path, 0o700)
    assert_nothing_left(tmp_path)


def test_what_is_not_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "FEATURES.json").mkdir()
    with pytest.raises(AtmsError, match="cannot read"):
        feature_file(tmp_path, None).read()
