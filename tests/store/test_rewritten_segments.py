"""Segments that were rewritten, here or elsewhere: taken in, told apart from forged ones, mended, and repaired by a sync."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import DamagedError
from atms_cli.store import backup as backups
from atms_cli.store import codec, rewritten, swapping
from atms_cli.store.mending import mend
from tests.fakes import add, change, contents
from tests.store.clones import FIRST, Clone, check_whole
from tests.store.test_compaction import finish, go_through, lived_in, without_events

if TYPE_CHECKING:
    from pathlib import Path

    from atms_cli.store.rewritten import Header

SEGMENT_BYTES = 2_000
THEIRS = "theirs00"


@pytest.fixture
def ours(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "ours", "ourown00", SEGMENT_BYTES)


@pytest.fixture
def theirs(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "theirs", THEIRS, SEGMENT_BYTES)


def at_the_same_time(*clones: Clone) -> None:
    for clone in clones:
        clone.clock.at_ms = max(each.clock.at_ms for each in clones)


# Compacted elsewhere


def test_who_has_the_whole_segment_keeps_it_and_who_is_new_takes_the_rewritten_one(
    ours: Clone, theirs: Clone, tmp_path: Path
) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    ours.take_from(theirs)
    whole = ours.path(THEIRS).read_bytes()
    theirs.compact()
    assert rewritten.of(theirs.path(THEIRS).read_bytes())
    ours.take_from(theirs)
    assert ours.path(THEIRS).read_bytes() == whole
    new = Clone(tmp_path / "new", "newone00", SEGMENT_BYTES)
    at_the_same_time(new, theirs)
    new.take_from(theirs)
    assert new.path(THEIRS).read_bytes() == theirs.path(THEIRS).read_bytes()
    for clone in (ours, new):
        assert without_events(clone) == without_events(theirs)
        check_whole(clone)
        assert clone.take_from(theirs) == []
    add(theirs.store, "later")
    for clone in (ours, new):
        assert [event["key"] for event in clone.take_from(theirs)] == ["later"]


@pytest.mark.parametrize("events", range(1, 9))
def test_who_has_a_beginning_of_a_segment_that_was_rewritten_since_goes_on_with_it(
    ours: Clone, theirs: Clone, events: int
) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    begun = b"".join(theirs.path(THEIRS).read_bytes().splitlines(keepends=True)[:events])
    ours.replication.take_in(THEIRS, FIRST, begun)
    theirs.compact()
    ours.take_from(theirs)
    assert without_events(ours) == without_events(theirs)
    lines = ours.path(THEIRS).read_bytes().splitlines(keepends=True)
    # What was here stays.
    assert set(begun.splitlines(keepends=True)) <= set(lines)
    check_whole(ours)
    assert ours.take_from(theirs) == []


def test_compacting_what_others_wrote_does_not_make_it_differ_from_what_they_have(ours: Clone, theirs: Clone) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    ours.take_from(theirs)
    report = ours.compact()
    assert {each["replica"] for each in report["segments"]} == {THEIRS}
    add(theirs.store, "more")
    assert len(ours.take_from(theirs)) == 1
    theirs.take_from(ours)
    theirs.compact()
    ours.take_from(theirs)
    assert ours.take_from(theirs) == []
    at_the_same_time(ours, theirs)
    assert without_events(ours) == without_events(theirs)
    check_whole(ours)


def test_what_a_clone_publishes_stands_without_the_folds_of_others(ours: Clone, theirs: Clone, tmp_path: Path) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    ours.take_from(theirs)
    ours.compact()
    theirs.take_from(ours)
    theirs.compact()
    new = Clone(tmp_path / "new", "newone00", SEGMENT_BYTES)
    at_the_same_time(new, theirs)
    new.take_from(theirs)
    without_last = [[row[1] for row in clone.state()["tasks"]] for clone in (new, theirs)]
    assert without_last[0] == without_last[1]


def test_a_kill_while_a_segment_is_replaced_is_healed_by_the_next_command(
    ours: Clone, theirs: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    ours.replication.take_in(
        THEIRS, FIRST, theirs.path(THEIRS).read_bytes()[: theirs.path(THEIRS).read_bytes().index(b"\n") + 1]
    )
    theirs.compact()

    def dies(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(swapping, "sync_directory", dies)
        with pytest.raises(KeyboardInterrupt):
            ours.take_from(theirs)
    assert not ours.store.index.is_current()
    ours.take_from(theirs)
    assert without_events(ours) == without_events(theirs)
    check_whole(ours)


# Forged


def forged(content: bytes, **changed: object) -> bytes:
    """Return a rewritten segment whose header says something else."""
    header = rewritten.of(content)
    assert header is not None
    fresh: Header = {**header, **changed}  # type: ignore[typeddict-item]
    return b"".join([rewritten.line(fresh), *rewritten.split(content)])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"why": "because"}, "says what cannot be"),
        ({"segment": 2}, "is not what its first line says"),
        ({"events": 10_000}, "is not what its first line says"),
        ({"dropped": -1}, "says what cannot be"),
        ({"dropped": True}, "says what cannot be"),
        ({"bytes": "many"}, "says what cannot be"),
        ({"through": None}, "says what cannot be"),
        ({"through": "0123456789012somebody"}, "was rewritten from another clone's segment"),
    ],
)
def test_a_forged_header_is_refused_and_nothing_is_harmed(
    ours: Clone, theirs: Clone, changed: dict[str, object], reason: str
) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    ours.replication.take_in(
        THEIRS, FIRST, theirs.path(THEIRS).read_bytes()[: theirs.path(THEIRS).read_bytes().index(b"\n") + 1]
    )
    add(ours.store, "own")
    before = contents(ours.store)
    theirs.compact()
    content = forged(theirs.path(THEIRS).read_bytes(), **changed)
    with pytest.raises(DamagedError, match=reason):
        ours.replication.take_in(THEIRS, FIRST, content)
    assert contents(ours.store) == before
    with pytest.raises(DamagedError):
        ours.replication.take_in(THEIRS, FIRST, content.replace(b'"rewritten"', b'"rewritteN"'))
    assert contents(ours.store) == before
    ours.take_from(theirs)
    check_whole(ours)


def test_a_segment_that_was_rewritten_to_say_something_else_is_refused(ours: Clone, theirs: Clone) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    lines = theirs.path(THEIRS).read_bytes().splitlines(keepends=True)
    ours.replication.take_in(THEIRS, FIRST, b"".join(lines[:4]))
    before = contents(ours.store)
    event, _ = codec.decode(lines[2])
    event["actor"] = "eve"
    last = codec.decode(lines[-1])[0]["id"]
    header: Header = {"why": "folded", "segment": 1, "events": 8, "bytes": 9999, "through": last, "dropped": 6}
    for kept in ([codec.encode(event, more=False), lines[-1]], [lines[0], lines[1]]):
        content = rewritten.line({**header, "events": len(kept) + 1, "dropped": 1}) + b"".join(kept)
        with pytest.raises(DamagedError, match="was rewritten since it was last seen"):
            ours.replication.take_in(THEIRS, FIRST, content)
    assert contents(ours.store) == before
    check_whole(ours)


# Mended


def damage(clone: Clone, replica: str, line: int, name: str = FIRST) -> None:
    path = clone.path(replica, name)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"type"', b'"tYpe"')
    path.write_bytes(b"".join(lines))
    clone.store.index.empty()


@pytest.mark.parametrize("line", [0, 2, 5])
def test_a_sync_brings_back_what_doctor_had_to_cut_out(ours: Clone, theirs: Clone, line: int) -> None:
    lived_in(theirs, 3)
    at_the_same_time(ours, theirs)
    ours.take_from(theirs)
    before, whole = contents(ours.store), ours.path(THEIRS).read_bytes()
    damage(ours, THEIRS, line)
    assert mend(ours.store, str(ours.root))
    assert ours.replication.lost(THEIRS, FIRST) == 1
    assert ours.store.doctor() == []
    assert len(ours.take_from(theirs)) == 1
    assert ours.replication.lost(THEIRS, FIRST) == 0
    assert ours.path(THEIRS).read_bytes() == whole
    assert contents(ours.store) == before
    check_whole(ours)
    assert ours.take_from(theirs) == []


def test_a_mended_last_segment_goes_on_with_what_its_clone_writes(ours: Clone, theirs: Clone) -> None:
    for clone in (ours, theirs):
        clone.store.journal.segment_bytes = 100_000
    for number in range(5):
        add(theirs.store, f"t{number}")
    ours.take_from(theirs)
    damage(ours, THEIRS, 3)
    mend(ours.store, str(ours.root))
    add(theirs.store, "t5")
    assert sorted(event["key"] for event in ours.take_from(theirs)) == ["t3", "t5"]
    add(theirs.store, "t6")
    assert [event["key"] for event in ours.take_from(theirs)] == ["t6"]
    assert ours.path(THEIRS).read_bytes() == theirs.path(THEIRS).read_bytes()
    check_whole(ours)


def test_a_copy_elsewhere_that_is_older_gives_back_what_it_has(ours: Clone, theirs: Clone) -> None:
    for clone in (ours, theirs):
        clone.store.journal.segment_bytes = 100_000
    for number in range(6):
        add(theirs.store, f"t{number}")
    whole = theirs.path(THEIRS).read_bytes()
    older = b"".join(whole.splitlines(keepends=True)[:4])
    ours.take_from(theirs)
    for line in (2, 5):
        damage(ours, THEIRS, line)
    # The last line is whole and wrong, so it was acknowledged, and is lost as well.
    mend(ours.store, str(ours.root))
    assert ours.replication.lost(THEIRS, FIRST) == 2
    assert [event["key"] for event in ours.replication.take_in(THEIRS, FIRST, older)] == ["t2"]
    assert ours.replication.lost(THEIRS, FIRST) == 1
    check_whole(ours)
    assert [event["key"] for event in ours.take_from(theirs)] == ["t5"]
    assert ours.path(THEIRS).read_bytes() == whole
    check_whole(ours)


def test_a_copy_that_contradicts_the_mended_one_is_refused(ours: Clone, theirs: Clone) -> None:
    lived_in(theirs, 3)
    at_the_same_time(ours, theirs)
    ours.take_from(theirs)
    damage(ours, THEIRS, 2)
    mend(ours.store, str(ours.root))
    before = contents(ours.store)
    lines = theirs.path(THEIRS).read_bytes().splitlines(keepends=True)
    event, _ = codec.decode(lines[4])
    for wrong in (lines[:1] + lines[2:], [*lines[:4], codec.encode({**event, "actor": "eve"}, more=False), *lines[5:]]):
        with pytest.raises(DamagedError, match="was rewritten since it was last seen"):
            ours.replication.take_in(THEIRS, FIRST, b"".join(wrong))
    assert contents(ours.store) == before


def rewritten_name(clone: Clone, replica: str) -> str:
    """Return the name of a rewritten segment that still holds an event."""
    found = [
        path
        for path in sorted(clone.path(replica).parent.glob("*.jsonl"))
        if path.read_bytes().startswith(codec.HEADER_MARK)
    ]
    return next(path.name for path in found if path.read_bytes().count(b"\n") > 1)


def test_damage_in_a_rewritten_segment_is_mended_and_repaired_like_any(ours: Clone, theirs: Clone) -> None:
    lived_in(theirs)
    at_the_same_time(ours, theirs)
    ours.take_from(theirs)
    ours.compact()
    damage(ours, THEIRS, 1, rewritten_name(ours, THEIRS))
    [problem] = ours.store.doctor()
    assert "the checksum does not match" in str(problem["detail"])
    mend(ours.store, str(ours.root))
    assert ours.store.doctor() == []
    assert ours.take_from(theirs)
    check_whole(ours)
    state = without_events(ours)
    theirs.take_from(ours)
    assert without_events(theirs) == state


def test_a_rewritten_segment_that_lost_its_end_is_damaged(ours: Clone) -> None:
    lived_in(ours)
    ours.compact()
    path = ours.path("ourown00", rewritten_name(ours, "ourown00"))
    whole = path.read_bytes()
    for cut in (len(whole) - 5, whole.rindex(b"\n", 0, -1) + 1):
        path.write_bytes(whole[:cut])
        assert [problem["check"] for problem in ours.store.doctor()] == ["journal"]
    path.write_bytes(whole)
    assert ours.store.doctor() == []


def test_an_unfinished_batch_is_not_made_whole_by_mending(ours: Clone) -> None:
    ours.store.journal.segment_bytes = 100_000
    for number in range(4):
        add(ours.store, f"t{number}")
    path = ours.path("ourown00")
    lines = path.read_bytes().splitlines(keepends=True)
    half = codec.encode({**codec.decode(lines[-1])[0], "id": "1zzzzzzzzzzzzourown00", "key": "half"}, more=True)
    for torn in (half, half + lines[-1][:-20]):
        path.write_bytes(b"".join([lines[0], lines[1].replace(b"type", b"tYpe"), *lines[2:]]) + torn)
        ours.store.index.empty()
        mend(ours.store, str(ours.root))
        assert sorted(str(row[0]) for row in contents(ours.store)["tasks"]) == ["t0", "t2", "t3"]
        header = rewritten.of(path.read_bytes())
        assert header is not None
        assert (header["events"], header["dropped"]) == (4, 1)


# Backups


def test_a_backup_of_a_compacted_workspace_brings_all_of_it_back(ours: Clone, tmp_path: Path) -> None:
    lived_in(ours)
    ours.compact()
    before = without_events(ours)
    path = str(tmp_path / "backup.tar.gz")
    (ours.root / ".atms").symlink_to(ours.root)
    backups.write(ours.store, str(ours.root), path, ours.clock.now())
    add(ours.store, "later")
    backups.put_back(ours.store, str(ours.root), backups.read(path), ours.clock.now())
    assert without_events(ours) == before
    check_whole(ours)


def test_a_backup_is_packed_again_if_a_segment_is_rewritten_meanwhile(
    ours: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(ours)
    (ours.root / ".atms").symlink_to(ours.root)
    packed: list[object] = []
    pack = backups._pack  # noqa: SLF001

    def compacting(*arguments: object) -> object:
        manifest = pack(*arguments)  # type: ignore[arg-type]
        if not packed:
            ours.compact()
        packed.append(manifest)
        return manifest

    monkeypatch.setattr(backups, "_pack", compacting)
    path = str(tmp_path / "backup.tar.gz")
    backups.write(ours.store, str(ours.root), path, ours.clock.now())
    assert len(packed) == 2
    before = without_events(ours)
    backups.put_back(ours.store, str(ours.root), backups.read(path), ours.clock.now())
    assert without_events(ours) == before


def test_an_old_backup_and_a_compacted_remote_come_together(ours: Clone, theirs: Clone, tmp_path: Path) -> None:
    for number in range(2):
        finish(theirs, f"t{number}")
    at_the_same_time(ours, theirs)
    ours.take_from(theirs)
    path = str(tmp_path / "backup.tar.gz")
    (ours.root / ".atms").symlink_to(ours.root)
    backups.write(ours.store, str(ours.root), path, ours.clock.now())
    lived_in(theirs)
    theirs.compact()
    at_the_same_time(ours, theirs)
    backups.put_back(ours.store, str(ours.root), backups.read(path), ours.clock.now())
    ours.take_from(theirs)
    assert without_events(ours) == without_events(theirs)
    check_whole(ours)


# Readers


def test_a_reader_who_is_overtaken_by_the_rewriting_looks_again(ours: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    lived_in(ours)
    read = ours.store.reading()
    expected = [event["id"] for event in read.history("ourown00open3")]
    loads: list[int] = []
    load = ours.store.journal.event_at

    def overtaken(replica: str, segment: int, offset: int) -> object:
        if not loads:
            loads.append(offset)
            ours.compact()
        return load(replica, segment, offset)

    monkeypatch.setattr(read, "_load", overtaken)
    assert [event["id"] for event in read.history("ourown00open3")] == expected


def test_doctor_is_not_misled_by_rewriting_that_goes_on_meanwhile(ours: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    lived_in(ours)
    read, calls = ours.store.journal.read, []

    def overtaken(replica: str, segment: int, start: int) -> object:
        calls.append(segment)
        if len(calls) == 10:
            ours.compact()
        return read(replica, segment, start)

    monkeypatch.setattr(ours.store.journal, "read", overtaken)
    assert ours.store.doctor() == []
    assert len(calls) > 10
    assert os.listdir(ours.root / "backups")


def test_damage_that_stays_is_reported(ours: Clone) -> None:
    go_through_one(ours)
    path = ours.path("ourown00")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0].replace(b"type", b"tYpe"), *lines[1:]]))
    with pytest.raises(DamagedError):
        ours.store.reading().history("t1")


def go_through_one(clone: Clone) -> None:
    add(clone.store, "t1")
    go_through(clone, "t1")
    change(clone.store, "t1", lambda task, _: [("task.reopened", task["id"], {"attempts": 0, "result": None})])
