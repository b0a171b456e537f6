"""What a newer atms has written is refused by name, and left as it is; what can be made anew is."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError, DamagedError, NewerError
from atms_cli.services import health
from atms_cli.store import backup, codec, paths, sql
from tests.fakes import contents
from tests.store.attacks import add_one_by_one, add_together, opened, segments

if TYPE_CHECKING:
    from atms_cli.bootstrap import OpenWorkspace


def made(directory: Path) -> OpenWorkspace:
    workspace = opened(directory)
    add_one_by_one(workspace)
    return workspace


def test_a_newer_line_stops_readers_writers_and_menders_and_stays(tmp_path: Path) -> None:
    workspace = made(tmp_path)
    [path] = segments(workspace)
    first, *_ = path.read_bytes().splitlines(keepends=True)
    event, _ = codec.decode(first)
    path.write_bytes(path.read_bytes() + codec.encode({**event, "v": codec.VERSION + 1}, more=False))
    before = path.read_bytes()
    for act in (
        workspace.store.reading,
        lambda: add_together(workspace.event_store, ["new"]),
        workspace.store.rebuild,
        workspace.mend_journal,
        lambda: health.repair(workspace),
    ):
        with pytest.raises(NewerError, match=rf"{path}:4: written in format 2, this atms knows 1") as refusal:
            act()
        assert refusal.value.hint == "upgrade atms"
    [problem] = health.doctor(workspace)
    assert problem["repair"] == "upgrade atms"
    assert path.read_bytes() == before
    assert [path.name for path in Path(workspace.directory, paths.BACKUPS).iterdir()] == []


def test_a_newer_index_is_made_anew(tmp_path: Path) -> None:
    workspace = made(tmp_path)
    connection = workspace.event_store.index.connection
    expected = contents(workspace.event_store)
    connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION + 1}")
    connection.execute("ALTER TABLE tasks ADD COLUMN unheard_of")
    connection.close()
    assert contents(opened(tmp_path).event_store) == expected


def test_newer_settings_are_refused_and_stay(tmp_path: Path) -> None:
    workspace = made(tmp_path)
    path = tmp_path / paths.CONFIG
    path.write_text("version: 2\nexecution: {unheard_of: 1}\n")
    for act in (workspace.settings.load, lambda: workspace.settings.edit(lambda _: None)):
        with pytest.raises(AtmsError, match="version") as refusal:
            act()
        assert "newer atms" in refusal.value.message
        assert refusal.value.hint == "upgrade atms"
    assert path.read_text() == "version: 2\nexecution: {unheard_of: 1}\n"


def test_a_newer_backup_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    workspace = made(tmp_path)
    path = tmp_path / "new.backup"
    backup.write(workspace.event_store, workspace.root, str(path), "2026-01-02T03:04:05.000Z")
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    manifest = json.loads(content["manifest.json"])
    content["manifest.json"] = json.dumps({**manifest, "format": 2, "atms": "99.0", "segments": "elsewhere"}).encode()
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    with pytest.raises(DamagedError, match=r"written by a newer atms \(99\.0\)") as refusal:
        backup.read(str(path))
    assert refusal.value.hint == "upgrade atms"
