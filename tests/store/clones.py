"""Clones of one workspace in one process, each with a journal and a clock of its own, and what they do at random."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from atms_cli.domain import decisions, foreign
from atms_cli.domain import task as tasks
from atms_cli.domain.graph import find_cycle
from atms_cli.domain.moment import plus
from atms_cli.errors import AtmsError
from atms_cli.services import compaction
from atms_cli.store.compaction import Compaction
from atms_cli.store.eventstore import EventStore, in_directory
from atms_cli.store.journal import Journal, segment_name
from atms_cli.store.replication import Replication
from tests.fakes import CountingIds, FakeClock, contents

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from atms_cli.domain.records import Event, Fact, JsonObject, Task

FIRST = segment_name(1)


class Names(CountingIds):
    """Ids of one clone; its replica id is given."""

    def __init__(self, replica: str) -> None:
        super().__init__()
        self._replica = replica

    def replica(self) -> str:
        return self._replica


class Clone:
    """One clone in this process, with a clock of its own."""

    def __init__(self, root: Path, name: str, segment_bytes: int | None = None) -> None:
        for directory in ("journal", "backups"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        self.root = root
        self.name = name
        self.clock = FakeClock()
        self.store: EventStore = in_directory(str(root), self.clock, Names(name))
        if segment_bytes:
            self.store.journal.segment_bytes = segment_bytes
        self.replication = Replication(self.store, str(root / "journal"), self.clock.now_ms)

    def take_from(self, other: Clone) -> list[Event]:
        """Take in what another clone has written itself, as a sync through a remote does."""
        replica, sizes = other.replication.own()
        taken: list[Event] = []
        for name, size in sizes.items():
            if self.replication.wants(replica, name, size, is_last=name == max(sizes)):
                taken += self.replication.take_in(replica, name, other.replication.content(replica, name, size))
        return taken

    def compact(self, older_than_s: float = 0, *, only_show: bool = False, keep_originals: bool = True) -> Any:  # noqa: ANN401  JSON
        """Fold what was closed so long ago, and rewrite the segments that it was in."""
        return compaction.compact(self.workspace(), older_than_s, only_show=only_show, keep_originals=keep_originals)

    def workspace(self) -> Any:  # noqa: ANN401  as much of a workspace as compacting needs
        journal = Journal(str(self.root), Names(self.name).replica)
        rewriting = Compaction(self.store, journal, str(self.root))
        return SimpleNamespace(store=self.store, clock=self.clock, actor=self.name, compaction=rewriting)

    def state(self) -> dict[str, list[tuple[object, ...]]]:
        """Return what must be the same in every clone: all but where in the files an event lies."""
        found = contents(self.store)
        found.pop("positions")
        found["events"] = [row[:4] for row in found["events"]]
        found["counts"] = sorted(found["counts"])
        return found

    def path(self, replica: str, name: str = FIRST) -> Path:
        return self.root / "journal" / replica / name

    def close(self) -> None:
        self.store.index.connection.close()


# One thing done in one clone


def lease_of(agent: str, now: str, seconds: float, token: str) -> JsonObject:
    return {"agent": agent, "token": token, "expires_at": plus(now, seconds)}


def moves(rng: random.Random) -> list[Callable[[Task, str], Sequence[Fact]]]:
    """Return the things that may happen to a task; each may be refused."""
    agent = rng.choice(("ann", "bob", "eve"))
    token, seconds = f"token{rng.randrange(10**9)}", rng.choice((5.0, 1000.0))
    return [
        lambda task, _: decisions.update(task, {"title": f"Title {rng.randrange(100)}"}),
        lambda task, _: decisions.update(task, {"priority": rng.choice(tasks.PRIORITIES)}),
        lambda task, _: decisions.update(task, {"tags": rng.sample(["a", "b", "c"], 2)}),
        lambda task, now: decisions.claim(task, lease_of(agent, now, seconds, token), (), now),  # type: ignore[arg-type]
        lambda task, now: decisions.renew(task, plus(now, 5000), now),
        decisions.expire,
        lambda task, _: decisions.start(task, agent=agent, run=rng.choice((None, token)), blocked_by=()),
        lambda task, _: decisions.validate(task),
        lambda task, now: decisions.complete(task, {"by": agent}, now),
        lambda task, _: decisions.fail(task, "broke"),
        lambda task, _: decisions.cancel(task, "no longer wanted"),
        lambda task, _: decisions.reopen(task, None),
        lambda task, _: decisions.release(task, None),
        lambda task, now: decisions.retry(task, "again", not_before=rng.choice((None, plus(now, 60)))),
        lambda task, _: decisions.enqueue(task),
    ]


def act(clone: Clone, rng: random.Random, number: int) -> None:
    """Do something at random in a clone, if it is allowed there."""
    clone.clock.advance(rng.choice((0, 0.001, 1, 30)))
    with clone.store.writing(clone.name) as tx:
        known = [row[0] for row in clone.store.index.connection.execute("SELECT id FROM tasks ORDER BY id")]
        what = rng.random()
        if not known or what < 0.2:
            given: JsonObject = {
                "title": f"Task {number}",
                "dependencies": rng.sample(known, min(len(known), rng.randrange(3))),
            }
            tx.record(decisions.create(f"{clone.name}{number}", given, created_by=clone.name, draft=rng.random() < 0.2))
        elif what < 0.3:
            one, other = rng.choice(known), rng.choice(known)
            if one != other and find_cycle(one, other, tx.read.needs) is None:
                tx.record((decisions.link if rng.random() < 0.7 else decisions.unlink)(tx.read.task(one), other))
        elif what < 0.5:
            tx.record([rng.choice(beside_tasks(clone, rng, number))])
        else:
            with contextlib.suppress(AtmsError):
                tx.record(rng.choice(moves(rng))(tx.read.task(rng.choice(known)), tx.now))


def beside_tasks(clone: Clone, rng: random.Random, number: int) -> list[Fact]:
    """Return what may happen to agents, the queue and features, and imports of the same tasks by several."""
    agent = rng.choice(("robot", "worker"))
    return [
        ("agent.registered", agent, {"kind": "pull", "max_concurrent": number + 1}), ("agent.removed", agent, {}),
        ("queue.paused", "default", {"reason": f"because {number}"}), ("queue.resumed", "default", {}),
        ("feature.planned", rng.choice(("f1", "f2")), {"title": "F", "tasks": [f"p{number}"]}),
        foreign.imported(f"import{rng.randrange(3)}", {"title": f"Imported by {clone.name}"}),
    ]  # fmt: skip


def mix(clones: Sequence[Clone], rng: random.Random, turns: int) -> None:
    """Let clones act and take from each other at random; some are offline all the time."""
    offline = rng.sample(clones, len(clones) // 3)
    for number in range(turns):
        act(rng.choice(clones), rng, number)
        if rng.random() < 0.3:
            taker, giver = rng.sample(clones, 2)
            if taker not in offline:
                taker.take_from(giver)


def bring_together(clones: Sequence[Clone], rng: random.Random) -> int:
    """Let everybody take from everybody, in any order; return how many events moved."""
    pairs = [(taker, giver) for taker in clones for giver in clones if taker is not giver]
    rng.shuffle(pairs)
    return sum(len(taker.take_from(giver)) for taker, giver in pairs)


def check_whole(clone: Clone) -> None:
    """Hold that the index says what the journal says, and that its counts are those of its tasks."""
    before = clone.state()
    assert clone.store.doctor() == []
    clone.store.rebuild()
    assert clone.state() == before
    run = clone.store.index.connection.execute
    assert dict(run("SELECT bucket, count(*) FROM tasks GROUP BY bucket")) == clone.store.reading().counts()
    for task_id, blockers in run("SELECT id, blockers FROM tasks").fetchall():
        assert blockers == len(clone.store.reading().blockers(task_id))
