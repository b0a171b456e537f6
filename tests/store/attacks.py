"""What is attacked: everything that writes into a workspace, from its beginning to its acknowledgement.

Each attack says how the workspace is before, what is done, and which tasks come of it together or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from atms_cli.bootstrap import OpenWorkspace
from atms_cli.domain import decisions
from atms_cli.errors import DamagedError
from atms_cli.services import exchange, health, undo
from atms_cli.services import tasks as service
from atms_cli.store import backup, creation, paths
from atms_cli.store.codec import HEADER_MARK
from atms_cli.store.replication import Replication
from tests.fakes import START_MS
from tests.store.children import forked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import ForeignTask
    from atms_cli.store.eventstore import EventStore

NEW = ("n1", "n2", "n3")
OLD = ("o1", "o2", "o3")
#: A few lines fill a segment of this size.
SMALL_SEGMENT = 1000
ANN = {"USER": "ann"}
ROADMAP = json.dumps({"project": "p", "features": []})
SETTINGS = "version: 1\n# kept\nexecution:\n  jobs: 2\n"


class Ticking:
    """A clock that is one millisecond later each time it is looked at, so that no two changes are at the same time."""

    def __init__(self) -> None:
        self.at_ms = START_MS

    def now_ms(self) -> int:
        self.at_ms += 1
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000

    def local(self) -> tuple[int, int]:
        return 0, 0


@dataclass
class Draft:
    """A task from elsewhere."""

    id: str
    fields: JsonObject
    after: list[str] = field(default_factory=list)
    status: str = "queued"
    original: JsonObject | None = None


def opened(root: str | Path, segment_bytes: int | None = None) -> OpenWorkspace:
    """Open a workspace, made if there is none."""
    workspace = OpenWorkspace(str(root), ANN)
    workspace.clock = Ticking()
    if not os.path.isdir(workspace.directory):
        creation.create(str(root))
    if segment_bytes is not None:
        workspace.event_store.journal.segment_bytes = segment_bytes
    return workspace


def closed(workspace: OpenWorkspace) -> None:
    workspace.event_store.index.connection.close()


def add_together(store: EventStore, ids: Iterable[str], size: int = 10) -> None:
    """Create tasks in one batch, each behind the one before."""
    before: list[str] = []
    with store.writing("ann") as tx:
        for each in ids:
            fields: JsonObject = {"title": each, "description": "x" * size, "dependencies": [*before]}
            tx.record(decisions.create(each, fields, created_by="ann", draft=False))
            before = [each]


def add_one_by_one(workspace: OpenWorkspace, ids: Iterable[str] = OLD) -> None:
    for each in ids:
        add_together(workspace.event_store, [each])


def created(store: EventStore) -> Counter[str]:
    """Return how often each task is created in the journal."""
    journal = store.journal
    return Counter(
        event["key"]
        for replica in journal.replicas()
        for segment in journal.segments(replica)
        for event, _, _ in journal.read(replica, segment, 0)
        if event["type"] in ("task.created", "task.imported")
    )


def present(workspace: OpenWorkspace) -> set[str]:
    workspace.store.reading()
    return {row[0] for row in workspace.event_store.index.connection.execute("SELECT id FROM tasks")}


def assert_sound(workspace: OpenWorkspace, kept: Collection[str], batches: Iterable[Collection[str]]) -> None:
    """Hold that what was acknowledged is there once, that batches are whole or absent, and that work goes on at once."""
    store = workspace.event_store
    there = present(workspace)
    made = created(store)
    assert set(made) == there, (made, there)
    assert set(made.values()) <= {1}, f"twice in the journal: {made}"
    assert set(kept) <= there, f"lost: {set(kept) - there}"
    for batch in batches:
        assert there.isdisjoint(batch) or set(batch) <= there, f"half of a batch: {batch} in {there}"
    found = store.doctor()
    assert found == [], found
    added = service.add(workspace, {"title": "next"}, after=(), draft=False)
    assert present(workspace) == {*there, added["id"]}
    assert store.doctor() == []


@dataclass(frozen=True)
class Attack:
    """A workspace, what is done in it, and what holds afterwards, however far that came."""

    prepare: Callable[[OpenWorkspace], None]
    act: Callable[[OpenWorkspace], object]
    kept: Collection[str] = OLD
    batch: Collection[str] = ()
    segment_bytes: int | None = None
    holds: Callable[[OpenWorkspace], None] = lambda _: None
    has_happened: Callable[[OpenWorkspace], bool] = lambda _: True

    def hold(self, root: Path, *, is_acknowledged: bool) -> None:
        """Hold that a workspace is sound after the act came to an end, or to its death."""
        workspace = opened(root, self.segment_bytes)
        self.holds(workspace)
        assert_sound(workspace, {*self.kept, *(self.batch if is_acknowledged else ())}, [self.batch])
        if is_acknowledged:
            assert self.has_happened(workspace), "acknowledged, and it did not happen"
        closed(workspace)


def load_all() -> None:
    """Load what an act loads when it needs it, so that children have it from the start."""
    for name in (
        "store.transaction",
        "store.bulk",
        "store.settings_schema",
        "store.checkup",
        "domain.agent",
        "services.gates",
    ):
        import_module(f"atms_cli.{name}")
    import_module("ruamel.yaml.util")
    import_module("encodings.ascii")


def prepared(directory: str, attack: Attack) -> Path:
    """Return a workspace as it is before the attack."""
    source = Path(directory) / "before"

    def prepare() -> None:
        attack.prepare(opened(source, attack.segment_bytes))

    # In a child, so that nothing of it is open here.
    assert forked(prepare) == 0
    return source


def replicate(source: Path, target: Path) -> None:
    """Copy a workspace so that it stays who it is: a copied file `replica` would have another inode."""
    shutil.copytree(source, target)
    replica = target / paths.DIRECTORY / paths.REPLICA
    if replica.exists():
        name = replica.read_text().split()[0]
        replica.write_text(f"{name} {replica.stat().st_ino}\n")


def _nothing(_: OpenWorkspace) -> None:
    pass


def _batch(workspace: OpenWorkspace) -> None:
    add_together(workspace.event_store, NEW)


def _full_segment(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace)
    journal = workspace.event_store.journal
    number = 0
    while journal.size(journal.replicas()[0], 1) < SMALL_SEGMENT:
        add_together(workspace.event_store, [f"fill{number}"])
        number += 1


def _three_rotations(workspace: OpenWorkspace) -> None:
    for each in NEW:
        add_together(workspace.event_store, [each])


def _outdated_index(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace, OLD[:1])
    closed(workspace)
    index = Path(workspace.event_store.index.path)
    content = index.read_bytes()
    other = opened(workspace.root)
    add_one_by_one(other, OLD[1:])
    with other.event_store.writing("ann") as tx:
        tx.record(decisions.complete(tx.read.task(OLD[0]), {"by": "ann"}, tx.now))
    closed(other)
    index.write_bytes(content)


def _no_index(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace)
    closed(workspace)
    Path(workspace.event_store.index.path).unlink()


def _import(workspace: OpenWorkspace) -> None:
    drafts: list[ForeignTask] = [Draft(each, {"title": each}, after=["n1"] if each != "n1" else []) for each in NEW]
    exchange.take_in(workspace, drafts, only_show=False)


def _something_to_undo(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace)
    service.cancel(workspace, OLD, "by mistake")


def _all_or_none_cancelled(workspace: OpenWorkspace) -> None:
    statuses = {workspace.store.reading().task(each)["status"] for each in OLD}
    assert statuses in ({"queued"}, {"cancelled"}), statuses


def _statuses(workspace: OpenWorkspace) -> list[str]:
    return [workspace.store.reading().task(each)["status"] for each in OLD]


def _work(workspace: OpenWorkspace) -> None:
    claimed = service.claim(workspace, None, agent="worker", lease_s=600)
    lease = claimed["lease"]
    assert lease is not None
    service.start(workspace, [claimed["id"]], agent="worker", token=lease["token"])
    service.done(workspace, [claimed["id"]], token=lease["token"], force_reason=None, note="well")


def _backup_and_more(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace)
    backup.write(workspace.event_store, workspace.root, f"{workspace.root}/kept.backup", "2026-01-02T03:04:05.000Z")
    add_one_by_one(workspace, ("later",))


def _restore(workspace: OpenWorkspace) -> None:
    content = backup.read(f"{workspace.root}/kept.backup")
    backup.put_back(workspace.event_store, workspace.directory, content, "2026-01-02T03:04:06.000Z")


def _before_or_after_restore(workspace: OpenWorkspace) -> None:
    there = present(workspace) & {*OLD, "later"}
    assert there in ({*OLD}, {*OLD, "later"}), there


def _damage(workspace: OpenWorkspace) -> None:
    """Damage two lines, in the first segment and in the last."""
    _full_segment(workspace)
    add_one_by_one(workspace, ("bad", "good"))
    closed(workspace)
    first, *_, last = segments(workspace)
    assert first != last
    for path, key in ((first, b'"o2"'), (last, b'"bad"')):
        path.write_bytes(path.read_bytes().replace(b'"key":' + key, b'"kee":' + key))


def segments(workspace: OpenWorkspace) -> list[Path]:
    return sorted(Path(workspace.directory, paths.JOURNAL).glob("*/*.jsonl"))


def _mended(workspace: OpenWorkspace) -> None:
    """Hold that a half-mended workspace is refused as a damaged one, and can be mended to the end, with nothing lost."""
    try:
        assert [event["key"] for event in workspace.store.reading().history("good")] == ["good"]
    except DamagedError:
        assert workspace.store.doctor()
    if workspace.store.doctor():
        assert health.repair(workspace)
    kept = b"".join(path.read_bytes() for path in Path(workspace.directory, paths.BACKUPS).glob("damaged.*"))
    assert b'"kee":"o2"' in kept
    assert b'"kee":"bad"' in kept
    lines = b"".join(path.read_bytes() for path in segments(workspace))
    assert b'"kee"' not in lines
    headers = sum(path.read_bytes().startswith(HEADER_MARK) for path in segments(workspace))
    assert len(workspace.store.reading().events_after("")) == lines.count(b"\n") - headers


def _settings(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace)
    Path(workspace.root, paths.CONFIG).write_text(SETTINGS)


def _edit_settings(workspace: OpenWorkspace) -> None:
    workspace.settings.edit(lambda tree: tree["execution"].update(jobs=5))  # type: ignore[attr-defined]
    workspace.settings.load()


def _old_or_new_settings(workspace: OpenWorkspace) -> None:
    text = Path(workspace.root, paths.CONFIG).read_text()
    assert text in (SETTINGS, SETTINGS.replace("2", "5")), text
    assert workspace.settings.load()["execution"]["jobs"] == (2 if text == SETTINGS else 5)


def _roadmap(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace)
    Path(workspace.root, "FEATURES.json").write_text(ROADMAP)


def _edit_roadmap(workspace: OpenWorkspace) -> None:
    workspace.roadmap.change(lambda _: [("set", ("project",), "q")])


def _old_or_new_roadmap(workspace: OpenWorkspace) -> None:
    text = Path(workspace.root, "FEATURES.json").read_text()
    assert text in (ROADMAP, ROADMAP.replace('"p"', '"q"')), text
    for path in Path(workspace.directory, paths.BACKUPS).glob("FEATURES.json.*"):
        assert path.read_text() == ROADMAP
    if text != ROADMAP:
        assert list(Path(workspace.directory, paths.BACKUPS).glob("FEATURES.json.*"))


def _unmade(workspace: OpenWorkspace) -> None:
    shutil.rmtree(workspace.directory)


def _make(workspace: OpenWorkspace) -> None:
    creation.create(workspace.root)
    creation.write_settings(workspace.root)


def _made(workspace: OpenWorkspace) -> None:
    creation.create(workspace.root)
    creation.write_settings(workspace.root)
    assert workspace.settings.load()["execution"]["jobs"] == 2


def _other_clone(workspace: OpenWorkspace) -> None:
    add_one_by_one(workspace)
    other = opened(Path(workspace.root, "clone"))
    _batch(other)
    closed(other)


def _take_in(workspace: OpenWorkspace) -> None:
    [path] = segments(OpenWorkspace(f"{workspace.root}/clone", ANN))
    Replication(workspace.event_store, f"{workspace.directory}/{paths.JOURNAL}", lambda: START_MS + 1_000_000).take_in(
        path.parent.name, path.name, path.read_bytes()
    )


def _write_backup(workspace: OpenWorkspace) -> None:
    backup.write(workspace.event_store, workspace.root, f"{workspace.root}/new.backup", "2026-01-02T03:04:05.000Z")


def _whole_backup_or_none(workspace: OpenWorkspace) -> None:
    path = f"{workspace.root}/new.backup"
    if os.path.exists(path):
        assert len(backup.read(path)) == 1


ATTACKS = {
    "add": Attack(add_one_by_one, _batch, batch=NEW),
    "first add": Attack(_nothing, _batch, kept=(), batch=NEW),
    "rotation": Attack(_full_segment, _batch, batch=NEW, segment_bytes=SMALL_SEGMENT),
    "rotations": Attack(add_one_by_one, _three_rotations, segment_bytes=1),
    "rebuild": Attack(add_one_by_one, lambda ws: ws.store.rebuild()),
    "catch-up": Attack(_outdated_index, lambda ws: ws.store.reading()),
    "catch-up from nothing": Attack(_no_index, lambda ws: ws.store.reading()),
    "import": Attack(add_one_by_one, _import, batch=NEW),
    "undo": Attack(
        _something_to_undo,
        lambda ws: undo.undo(ws, 1),
        holds=_all_or_none_cancelled,
        has_happened=lambda ws: _statuses(ws) == ["queued"] * 3,
    ),
    "work": Attack(add_one_by_one, _work, has_happened=lambda ws: _statuses(ws) == ["completed", "queued", "queued"]),
    "restore": Attack(
        _backup_and_more,
        _restore,
        holds=_before_or_after_restore,
        has_happened=lambda ws: "later" not in present(ws),
    ),
    "mending": Attack(_damage, health.repair, kept=("o1", "o3", "good"), segment_bytes=SMALL_SEGMENT, holds=_mended),
    "settings": Attack(
        _settings,
        _edit_settings,
        holds=_old_or_new_settings,
        has_happened=lambda ws: ws.settings.load()["execution"]["jobs"] == 5,
    ),
    "roadmap": Attack(
        _roadmap,
        _edit_roadmap,
        holds=_old_or_new_roadmap,
        has_happened=lambda ws: (ws.roadmap.read() or {})["project"] == "q",
    ),
    "init": Attack(_unmade, _make, kept=(), holds=_made),
    "taking in": Attack(_other_clone, _take_in, batch=NEW),
    "backup": Attack(
        add_one_by_one,
        _write_backup,
        holds=_whole_backup_or_none,
        has_happened=lambda ws: os.path.exists(f"{ws.root}/new.backup"),
    ),
}
