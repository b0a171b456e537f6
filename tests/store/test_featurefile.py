"""FEATURES.json on a real disk, with real processes that want it too."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import stat
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.domain.feature import skeleton
from atms_cli.errors import AtmsError, ConflictError, DamagedError, NotFoundError
from atms_cli.store import featurefile
from atms_cli.store.featurefile import ATTEMPTS, BACKUPS_KEPT, JsonFeatureFile
from tests.store.feature_files import (
    AMPLE_WAIT_S,
    NOW,
    PLAIN,
    assert_nothing_left,
    feature_file,
    making,
    rename_project,
    spawning,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import Edit, JsonObject

DATA = Path(__file__).parents[3] / "shared" / "data" / "features"
FILES = sorted(DATA.glob("*.json"))
real_files = pytest.mark.parametrize(
    "sample",
    FILES or [pytest.param(None, marks=pytest.mark.skip(reason="no sample files here"))],
    ids=lambda sample: sample.stem if sample else "none",
)


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
    monkeypatch.setattr(featurefile, "SETTLE_MOST_S", 0.01)
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
    for name in ("SETTLE_S", "SETTLE_EMPTY_S", "SETTLE_MOST_S"):
        monkeypatch.setattr(featurefile, name, AMPLE_WAIT_S)
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


def contents(backups: Path) -> set[str]:
    return {json.loads(backup.read_text())["project"] for backup in backups.iterdir()}


def change_names(file: JsonFeatureFile, times: int) -> list[str]:
    names = [f"p{number}" for number in range(times)]
    for name in names:
        assert file.change(making(("set", ("project",), name)))
    return names


def test_only_the_newest_backups_of_the_file_are_kept(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    strangers = ["TASKS.json.20200102T030405Z.01234567", "FEATURES.json.by-hand", "journal.20200102"]
    for stranger in strangers:
        (backups / stranger).write_text('{"project": "of others"}')
        os.utime(backups / stranger, (0, 0))
    seconds = count()
    file = JsonFeatureFile(feature_file(tmp_path).path, backups=str(backups), now=lambda: f"{next(seconds):04}")
    names = change_names(file, BACKUPS_KEPT + 3)
    assert contents(backups) == {"of others", *names[-1 - BACKUPS_KEPT : -1]}
    assert len(list(backups.iterdir())) == BACKUPS_KEPT + len(strangers)
    assert_nothing_left(tmp_path)


def test_a_content_that_comes_back_makes_its_backup_new(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    change_names(file, BACKUPS_KEPT)
    assert "p" in contents(tmp_path / "backups")
    Path(file.path).write_text(PLAIN)
    for name in ("x", "y"):
        assert file.change(making(("set", ("project",), name)))
    kept = contents(tmp_path / "backups")
    assert "p" in kept
    assert len(kept) == BACKUPS_KEPT


def test_a_change_stands_even_if_old_backups_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = feature_file(tmp_path)
    unlink = os.unlink

    def refuse(path: str) -> None:
        if "backups" in path and not path.endswith(".tmp"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    change_names(file, BACKUPS_KEPT + 2)
    assert len(list((tmp_path / "backups").iterdir())) == BACKUPS_KEPT + 2


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
