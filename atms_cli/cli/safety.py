"""Keeping and bringing back: backups, and building the index anew."""

from __future__ import annotations

from atms_cli.domain.moment import to_iso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call


def backup(call: Call, path: o.BackupFile) -> None:
    """Write the whole workspace into one file, while others go on working."""
    from os.path import abspath

    from atms_cli.store import backup as backups

    workspace = call.workspace
    manifest = backups.write(workspace.event_store, workspace.root, abspath(path), to_iso(workspace.clock.now_ms()))
    call.answer(manifest, [path], lambda: f"wrote {path}: {_size(manifest)}; bring it back with: atms restore {path}")


def _size(manifest: Mapping[str, object]) -> str:
    from atms_cli.cli.render import plural

    segments = manifest["segments"]
    total = sum(int(each["size"]) for each in segments.values()) if isinstance(segments, dict) else 0
    return f"{plural(len(segments) if isinstance(segments, dict) else 0, 'segment')}, {total} bytes of events"


def restore(call: Call, path: o.BackupFile) -> int:
    """Check a backup and put it in the place of this workspace's tasks, which are kept in .atms/backups."""
    from atms_cli.store import backup as backups

    workspace = call.workspace
    contents = backups.read(path)
    total = workspace.store.reading().counts()
    if total and not call.confirm(f"put {path} in the place of the {sum(total.values())} tasks here?"):
        return 1
    backups.put_back(workspace.event_store, workspace.directory, contents, to_iso(workspace.clock.now_ms()))
    tasks = sum(workspace.store.reading().counts().values())
    call.answer(
        {"restored": path, "tasks": tasks},
        [],
        lambda: f"restored {tasks} tasks from {path}; settings stay as they are here",
    )
    return 0


def rebuild(call: Call) -> None:
    """Build the index anew from the journal."""
    events = call.workspace.store.rebuild()
    call.answer({"events": events}, [], lambda: f"built the index anew from {events} events")
