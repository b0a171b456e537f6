"""Keeping and bringing back: backups, and building the index anew."""

from __future__ import annotations

from atms_cli.domain.moment import to_iso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject

_OLDER_THAN = "30d"
_MEGABYTE = 1_000_000


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


def compact(
    call: Call, older_than: o.OlderThan = None, dry_run: o.CompactDryRun = False, discard: o.Discard = False
) -> None:
    """Fold the history of tasks closed long ago, and rewrite the journal without what was folded; who did what is kept."""
    from atms_cli.domain.moment import parse_duration
    from atms_cli.services import compaction, tidying

    older_than_s = parse_duration(older_than or _OLDER_THAN)
    report = compaction.compact(call.workspace, older_than_s, only_show=dry_run, keep_originals=not discard)
    if not dry_run:
        report["tidied"] = tidying.tidy(call.workspace)
    call.answer(report, [], lambda: _compacted(call, report))


def _compacted(call: Call, report: JsonObject) -> str:
    from atms_cli.cli.render import plural, records

    segments = records(report["segments"])
    if not segments:
        words = "nothing is worth compacting: the journal is small, or little in it was closed long ago"
        return "\n".join([words, *_tidied(report)])
    would = "would fold" if report["dry_run"] else "folded"
    tasks, events = plural(int(str(report["tasks"])), "task"), plural(int(str(report["events"])), "event")
    lines = [
        f"{call.style('✓', 'green')} {would} {tasks}; {events} gone from {plural(len(segments), 'segment')}",
        f"  the journal is {_bytes(int(str(report['bytes_saved'])))} smaller",
    ]
    kept = [str(each["kept_in"]) for each in segments if each["kept_in"]]
    lines += [f"  as they were, packed: {kept[0]}" + (f" and {len(kept) - 1} more" if kept[1:] else "")] if kept else []
    return "\n".join([*lines, *_tidied(report)])


def _tidied(report: JsonObject) -> list[str]:
    from atms_cli.cli.reports import tidied

    found = report.get("tidied")
    return [f"  {tidied(found)}"] if isinstance(found, dict) and found["runs"] else []


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if abs(count) >= _MEGABYTE else f"{count} bytes"
