"""Stand-ins for the world: a clock moved by hand, ids that count, and a workspace without a file."""

from __future__ import annotations

import copy
import json
import random
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from atms_cli.domain import config, decisions
from atms_cli.domain.agent import DEFAULTS as AGENT_DEFAULTS
from atms_cli.domain.gate import DEFAULTS as GATE_DEFAULTS
from atms_cli.domain.globs import matcher
from atms_cli.domain.moment import to_iso, to_ms
from atms_cli.errors import AtmsError, ConflictError
from atms_cli.store.jsonedit import amend
from atms_cli.store.memory import in_memory
from atms_cli.store.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.config import Config, QueueSettings
    from atms_cli.domain.records import Edit, Event, Fact, Gate, JsonObject, Task
    from atms_cli.domain.redaction import Redactor
    from atms_cli.domain.thresholds import Baseline
    from atms_cli.ports import (
        Clock,
        Compaction,
        HookFiles,
        Ids,
        Replication,
        Repository,
        Snapshots,
        Store,
        TaskFilter,
        Transaction,
    )  # fmt: skip
    from atms_cli.store.eventstore import EventStore

#: 2026-01-02T03:04:05.000Z
START_MS = 1_767_323_045_000


class FakeClock:
    """Time that stands still until it is moved."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms

    def local(self) -> tuple[int, int]:
        days, rest = divmod(self.at_ms // 60_000, 24 * 60)
        return (days + 3) % 7, rest

    def monotonic(self) -> float:
        return self.at_ms / 1000

    def advance(self, seconds: float) -> str:
        self.at_ms += round(seconds * 1000)
        return self.now()

    def now(self) -> str:
        return to_iso(self.at_ms)


class FakeCalendar:
    """Knows `every N seconds`."""

    def next(self, cron: str, after: str) -> str:
        _, seconds, _ = cron.split()
        at, step = to_ms(after), int(seconds) * 1000
        return to_iso((at // step + 1) * step)

    def between(self, cron: str, after: str, until: str, most: int) -> list[str]:
        found = []
        while (after := self.next(cron, after)) <= until:
            found.append(after)
        return found[-most:]


class CountingIds:
    """Ids that say which they are: t0001, t0002, …"""

    def __init__(self) -> None:
        self._made = 0

    def _next(self, letter: str) -> str:
        self._made += 1
        return f"{letter}{self._made:04d}"

    def task(self) -> str:
        return self._next("t")

    def run(self) -> str:
        return self._next("run")

    def token(self) -> str:
        return self._next("token")

    def session(self, run: str) -> str:
        return f"session of {run}"

    def chance(self, seed: str) -> random.Random:
        return random.Random(seed)  # noqa: S311  forecasts are no secret

    def replica(self) -> str:
        return self._next("repl")


class FakeRoadmap:
    """FEATURES.json in memory."""

    def __init__(self, document: JsonObject | None = None) -> None:
        self.path = "/nowhere/FEATURES.json"
        self.document = document
        self.edits: list[Edit] = []

    def read(self) -> JsonObject | None:
        return copy.deepcopy(self.document)

    def change(self, decide: Callable[[JsonObject], Sequence[Edit]]) -> bool:
        assert self.document is not None
        edits = list(decide(copy.deepcopy(self.document)))
        self.edits += edits
        amended = amend(self.document, edits)
        assert isinstance(amended, dict)
        self.document = dict(amended)
        return bool(edits)

    def create(self, document: JsonObject) -> None:
        if self.document is not None:
            raise ConflictError("exists already")
        self.document = copy.deepcopy(document)


class FakeRunner:
    """Runs nothing: each gate ends as was said beforehand, or with exit code 0."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[JsonObject]] = {}
        self.most_at_once = 0
        self.version = 1
        self.leaves: dict[str, Callable[[JsonObject], object]] = {}  # what a gate's command does to files
        self.launched: list[JsonObject] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def ends(self, gate: str, **outcome: object) -> None:
        self.outcomes[gate] = [outcome]  # type: ignore[list-item]

    def ends_in_turn(self, gate: str, *exit_codes: int) -> None:
        self.outcomes[gate] = [{"status": "exited", "exit_code": code} for code in exit_codes]

    def run(
        self,
        launches: Sequence[JsonObject],
        ended: Callable[[JsonObject], Sequence[JsonObject]],
        watch: Callable[[], None] | None = None,
    ) -> None:
        self.meanwhile()
        waiting = list(launches)
        while waiting:
            self.most_at_once = max(self.most_at_once, len(waiting))
            launch = waiting.pop(0)
            self.launched.append(launch)
            gate = str(launch["env"]["ATMS_GATE"]) if "ATMS_GATE" in launch["env"] else ""  # type: ignore[call-overload,index,operator]
            ends = self.outcomes.get(gate, [])
            outcome: JsonObject = {"status": "exited", "exit_code": 0}
            if gate in self.leaves:
                self.leaves[gate](launch)
            if ends:
                outcome = ends.pop(0) if len(ends) > 1 else ends[0]
            waiting += ended({"id": launch["id"], "duration_s": 0.5, **outcome})
            if watch is not None:
                watch()

    def processors(self) -> int:
        return 4

    def identify(self, argv: Sequence[str], directory: str, environ: Mapping[str, str]) -> str:
        del directory, environ
        return f"{argv[-1].split()[0]} {self.version}"


class FakeRunFiles:
    """The files of runs in a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.runs: list[tuple[str, float, int]] = []
        self.tidied_at = float("-inf")

    def prepare(self, run: str) -> str:
        return f"/nowhere/runs/{run}"

    def write(self, run: str, name: str, text: str) -> str:
        self.files[self.path(run, name)] = text
        return self.path(run, name)

    def write_bytes(self, run: str, name: str, content: bytes) -> str:
        return self.write(run, name, content.decode())

    def path(self, run: str, name: str) -> str:
        return f"/nowhere/runs/{run}/{name}"

    def head(self, run: str, name: str, most_bytes: int) -> bytes | None:
        text = self.files.get(self.path(run, name))
        return None if text is None else text.encode(errors="surrogateescape")[:most_bytes]

    def measure(self, path: str) -> JsonObject | None:
        text = self.files.get(path)
        return None if text is None else {"size": len(text), "sha256": f"sum of {text}"}

    def keep(self, run: str, name: str, path: str) -> str:
        return self.write(run, name, self.files[path])

    def put(self, run: str, name: str, document: JsonObject) -> None:
        self.write(run, name, json.dumps(document))

    def get(self, run: str, name: str) -> JsonObject | None:
        text = self.files.get(self.path(run, name))
        return None if text is None else json.loads(text)

    def names(self, run: str) -> list[str]:
        return [path.rpartition("/")[2] for path in self.files if path.startswith(self.path(run, ""))]

    def clear(self, run: str, name: str) -> None:
        self.files.pop(self.path(run, name), None)

    def text(self, run: str, name: str) -> str:
        return self.files.get(self.path(run, name), "")

    def tail(self, run: str, name: str, lines: int) -> str:
        return "\n".join(self.files.get(self.path(run, name), "").splitlines()[-lines:])

    def mask(self, run: str, name: str, redactor: Redactor) -> None:
        path = self.path(run, name)
        if path in self.files:
            self.files[path] = redactor.text(self.files[path])

    def survey(self) -> list[tuple[str, float, int]]:
        return list(self.runs)

    def remove(self, run: str) -> None:
        self.runs = [each for each in self.runs if each[0] != run]

    def tidied(self, every_s: float, now_s: float) -> bool:
        before, self.tidied_at = self.tidied_at, now_s
        return now_s - before < every_s

    def size(self, run: str, name: str) -> int:
        return len(self.files.get(self.path(run, name), "").encode())

    def newest(self, pattern: str) -> str | None:
        return next((path for path in reversed(self.files) if fnmatchcase(path, pattern)), None)

    def read(self, run: str, name: str, start: int, most: int) -> tuple[bytes, int]:
        return self.read_anywhere(self.path(run, name), start, most)

    def read_anywhere(self, path: str, start: int, most: int) -> tuple[bytes, int]:
        content = self.files.get(path, "").encode()[start : start + most]
        return content, start + len(content)


#: A worktree of which nothing is left to keep.
CLEAN: JsonObject = {"branch": "atms/x", "is_dirty": False, "is_unmerged": False, "problem": None}


class FakeCheckout:
    """A tree of files, as was said beforehand: what is in each, and which have changed."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {"a.py": "1", "docs/b.md": "1"}
        self.changes: list[str] = []
        self.diffs: dict[str | None, str] = {}

    def files(self) -> list[str]:
        return sorted(self.held)

    def changed(self, base: str | None) -> list[str]:
        del base
        return self.changes

    def head(self) -> str | None:
        return "head"

    def diff(self, base: str | None) -> str:
        return self.diffs.get(base, "")

    def contents(self) -> dict[str, str] | None:
        return dict(self.held)


class FakeReportFiles:
    """Files in a dictionary; what is written again is another one, also with the same content."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.written = 0
        self._marks: dict[str, str] = {}

    def write(self, path: str, content: bytes | str) -> None:
        self.written += 1
        self.files[path] = content.encode() if isinstance(content, str) else content
        self._marks[path] = str(self.written)

    def mark(self, path: str) -> str:
        return self._marks.get(path, "")

    def read(self, path: str, most: int) -> bytes:
        if path not in self.files:
            raise AtmsError("it is not there")
        if len(self.files[path]) > most:
            raise AtmsError("it is larger")
        return self.files[path]

    def found(self, directory: str, globs: Sequence[str]) -> list[tuple[str, int]]:
        is_meant = matcher(globs)
        below = {
            path.removeprefix(f"{directory}/"): len(self.files[path])
            for path in self.files
            if path.startswith(f"{directory}/")
        }
        return sorted((path, size) for path, size in below.items() if is_meant(path))


class FakeBaselines:
    """What people have accepted, in a dictionary."""

    path = "/nowhere/.atms-baseline.json"

    def __init__(self) -> None:
        self.held: dict[str, Baseline] = {}

    def read(self) -> dict[str, Baseline]:
        return dict(self.held)

    def write(self, baselines: Mapping[str, Baseline]) -> None:
        self.held = dict(baselines)


class FakePasses(dict[str, "JsonObject"]):
    """Passes of gates in a dictionary."""

    def put(self, key: str, kept: JsonObject) -> None:
        self[key] = kept


class FakeWorktrees:
    """Worktrees of which nothing is on disk: each is ready at once, and what was said beforehand comes of a merge."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self.merges: list[JsonObject] = []
        self.states: dict[str, JsonObject] = {}

    def path(self, task: str) -> str | None:
        return self.places.get(task)

    def changed(self, task: str) -> list[str]:
        del task
        return ["changed.py"]

    def ready_file(self, task: str) -> str:
        return f"/nowhere/worktrees/{task}.ready"

    def ensure(self, task: str) -> tuple[str, bool]:
        is_there = task in self.places
        return self.places.setdefault(task, f"/nowhere/worktrees/{task}"), is_there

    def commit(self, task: str, message: str) -> list[str]:
        del task, message
        return []

    def merge(self, task: str, policy: str, message: str) -> JsonObject:
        del task, policy, message
        return self.merges.pop(0) if self.merges else {"kind": "nothing"}

    def survey(self) -> list[JsonObject]:
        return [{"task": task, "path": path, **self.states.get(task, CLEAN)} for task, path in self.places.items()]

    def size(self, name: str) -> int:
        return 1000 * len(name)

    def clean_up(self, task: str, *, is_merged: bool, is_wanted: Callable[[], bool] = lambda: False) -> str | None:
        del is_merged
        if is_wanted():
            return "its task goes on"
        self.places.pop(task, None)
        return None

    def diff(self, task: str) -> str | None:
        return f"diff of {task}" if task in self.places else None

    def changes(self, base: str, commit: str) -> str:
        return f"diff {base} {commit}"


class FakeTemplates(Templates):
    """Templates whose files are in a dictionary."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        self.files: dict[str, str] = {}

    def _text(self, name: str) -> str | None:
        return self.files.get(name) if name in self.files else super()._text(name)

    def _stamp(self, name: str) -> tuple[int, int, int] | None:
        return (hash(self.files[name]), 0, 0) if name in self.files else super()._stamp(name)


class FakeTraces:
    """A tree in which commits and changes are made by hand."""

    def __init__(self) -> None:
        self.head: str | None = None
        self.changed: int | None = None

    def commit(self, tree: str) -> str | None:
        del tree
        return self.head

    def changed_at_ms(self, tree: str) -> int | None:
        del tree
        return self.changed


class FakeSettings:
    """atms.yaml in a dictionary; only gates can be edited."""

    path = "/nowhere/atms.yaml"

    def __init__(self, config: Config) -> None:
        self._config = config

    def load(self) -> Config:
        return self._config

    def raw(self) -> JsonObject:
        return {"gates": dict(self._config["gates"])}

    def edit(self, change: Callable[[dict[str, object]], None]) -> None:
        document: dict[str, object] = {"gates": {}}
        change(document)
        gates = document["gates"]
        assert isinstance(gates, dict)
        for name, fields in gates.items():
            self._config["gates"][name] = {**GATE_DEFAULTS, "name": name, **fields}  # type: ignore[typeddict-item]


class FakeHookFiles:
    """Hooks in a dictionary: path to content, whether git would run it, whether it is a link."""

    def __init__(self) -> None:
        self.git = "git version 2.39.5"
        self.place = "/nowhere/.git/hooks"
        self.private, self.shared = True, False
        self.where = ""
        self.lefthook_file: tuple[str, str] | None = None
        self.settings: dict[str, str] = {}
        self.files: dict[str, tuple[bytes, bool, bool]] = {}

    def version(self) -> str:
        return self.git

    def directory(self) -> str:
        return self.place

    def is_private(self, directory: str) -> bool:
        assert directory == self.place
        return self.private

    def is_shared(self, directory: str) -> bool:
        assert directory == self.place
        return self.shared

    def origin(self) -> str:
        return self.where

    def lefthook(self, mention: str) -> tuple[str, bool] | None:
        return (self.lefthook_file[0], mention in self.lefthook_file[1]) if self.lefthook_file else None

    def program(self) -> str | None:
        return "/opt/bin/atms"

    def configured(self, name: str) -> str | None:
        return self.settings.get(name)

    def configure(self, name: str, value: str) -> None:
        self.settings[name] = value

    def forget(self, section: str) -> None:
        self.settings = {name: value for name, value in self.settings.items() if not name.startswith(f"{section}.")}

    def read(self, path: str) -> tuple[bytes, bool, bool] | None:
        return self.files.get(path)

    def make(self, path: str, content: bytes) -> None:
        self.files[path] = (content, True, False)

    def rewrite(self, path: str, content: bytes) -> None:
        self.files[path] = (content, *self.files[path][1:])

    def set_aside(self, path: str, aside: str) -> None:
        assert aside not in self.files
        self.files[aside] = self.files[path]

    def put_back(self, aside: str, path: str) -> None:
        self.files[path] = self.files.pop(aside)

    def remove(self, path: str) -> None:
        del self.files[path]


class FakeWorkspace:
    """A workspace in memory; `acting_as` gives the same one to somebody else."""

    def __init__(self, document: JsonObject | None = None) -> None:
        self.root = self.tree = "/nowhere"
        self.actor = "ann"
        self.agent: str | None = None
        self.time = FakeClock()
        self.clock: Clock = self.time
        self.ids: Ids = CountingIds()
        self.calendar = FakeCalendar()
        self.environ: Mapping[str, str] = {"PATH": "/bin", "GIT_DIR": "/somebody/else's"}
        self.store: Store = in_memory(self.clock)
        self.config = config.default()
        self.settings = FakeSettings(self.config)
        self.roadmap = FakeRoadmap(document)
        self.runner = FakeRunner()
        self.run_files = FakeRunFiles()
        self.traces = FakeTraces()
        self.holder: str | None = None
        self.network: tuple[str, str] | None = None
        self.ungrouped: str | None = None
        self.worktrees = FakeWorktrees()
        self.templates = FakeTemplates()
        self.stop: JsonObject | None = None
        self.trusted: list[tuple[str, ...]] = []
        self.gate_passes = FakePasses()
        self.report_files = FakeReportFiles()
        self.baselines = FakeBaselines()
        #: None: git knows nothing of the files.
        self.files: FakeCheckout | None = None
        self.hooks = FakeHookFiles()
        self.plugged: dict[str, Mapping[str, object]] = {}

    def acting_as(self, agent: str | None) -> FakeWorkspace:
        other = copy.copy(self)
        other.agent = agent
        other.actor = f"agent:{agent}" if agent else "ann"
        return other

    @property
    def repository(self) -> Repository:
        raise NotImplementedError("there is no git in memory")

    @property
    def snapshots(self) -> Snapshots:
        raise NotImplementedError("there is no git in memory")

    @property
    def hook_files(self) -> HookFiles:
        return self.hooks

    def at(self, tree: str, environ: Mapping[str, str]) -> FakeWorkspace:
        other = copy.copy(self)
        other.tree, other.environ = tree, {**self.environ, **environ}
        return other

    @property
    def replication(self) -> Replication:
        raise NotImplementedError("there are no other clones in memory")

    @property
    def compaction(self) -> Compaction:
        raise NotImplementedError("there are no segments in memory")

    def mend_journal(self) -> list[str]:
        return []

    def network_file_system(self) -> tuple[str, str] | None:
        return self.network

    def group_obstacle(self, limits: Mapping[str, float]) -> str | None:
        assert limits
        return self.ungrouped

    def plugged_driver(self, kind: str) -> Mapping[str, object] | None:
        return self.plugged.get(kind)

    def allow_stop(self, document: JsonObject) -> None:
        self.stop = document

    def trust(self, home: str, where: Sequence[str], directory: str) -> None:
        self.trusted.append((home, *where, directory))

    def loop_holder(self) -> str | None:
        return self.holder

    def checkout(self, tree: str) -> FakeCheckout | None:
        del tree
        return self.files

    def reload_config(self) -> None:
        """Settings in memory are always the present ones."""

    def define_gate(self, name: str, **fields: object) -> Gate:
        gate: Gate = {**GATE_DEFAULTS, "name": name, "command": "true", **fields}  # type: ignore[typeddict-item]
        self.config["gates"][name] = gate
        return gate

    def declare_agent(self, name: str, **fields: object) -> None:
        self.config["agents"][name] = {**AGENT_DEFAULTS, "command": "work", **fields}  # type: ignore[dict-item]


def queue_settings(**wanted: object) -> QueueSettings:
    """Return the usual settings of the queue but for what is asked."""
    return {**config.default()["queue"], **wanted}  # type: ignore[typeddict-item]


def order(store: Store | Transaction, now: str, **wanted: object) -> list[str]:
    """Return the ids of the ready tasks, best first."""
    settings = queue_settings(**wanted)
    return list(store.queue(settings).ready(settings, now))


def everything(**wanted: object) -> TaskFilter:
    """Return a filter that lets all tasks through but for what is asked."""
    base: TaskFilter = {
        "statuses": [], "priorities": [], "categories": [], "tags": [], "features": [], "agents": [], "buckets": [], "lanes": [],
        "due_before": None, "search": "", "sort": "created", "reverse": False, "limit": None, "offset": 0,
    }  # fmt: skip
    return {**base, **wanted}  # type: ignore[typeddict-item]


def contents(store: EventStore) -> dict[str, list[tuple[object, ...]]]:
    """Return all that the read model says, apart from what comes and goes without an event."""
    statements = {
        # Delayed tasks become ready by themselves.
        "tasks": "SELECT id, doc, title, status, CASE bucket WHEN 'delayed' THEN 'ready' ELSE bucket END, own, level, lane, pin, "
        "since, nudge, category, feature, agent, parent, born, last, updated, demand, not_before, deadline, risk, lease_ends, closed, "
        "CASE bucket WHEN 'delayed' THEN 'going' ELSE outcome END, blockers FROM tasks ORDER BY id",
        "counts": "SELECT CASE bucket WHEN 'delayed' THEN 'ready' ELSE bucket END AS b, sum(n) FROM counts GROUP BY b HAVING sum(n) > 0",
        "dependencies": "SELECT task, needs, kind FROM dependencies ORDER BY task, needs",
        "forward": "SELECT task, needs, born, waiting FROM forward ORDER BY task, needs",
        "tags": "SELECT tag, task, closed, born FROM tags ORDER BY tag, task",
        "attempts": "SELECT run, task, started, lane, agent, at, doc FROM attempts ORDER BY run",
        "agents": "SELECT name, doc FROM agents ORDER BY name",
        "features": "SELECT id, doc FROM features ORDER BY id",
        "events": "SELECT key, id, type, replica, segment, offset FROM events ORDER BY key, id",
        "meta": "SELECT name, value FROM meta WHERE value IS NOT NULL AND name <> 'promoted' ORDER BY name",
        "positions": "SELECT replica, segment, offset, seal FROM positions WHERE offset > 0 ORDER BY replica",
    }
    store.reading()
    return {name: store.index.connection.execute(text).fetchall() for name, text in statements.items()}


def add(store: Store, task_id: str, *, draft: bool = False, **fields: object) -> Task:
    """Create a task in a transaction of its own."""
    given: JsonObject = {"title": f"Task {task_id}", **fields}  # type: ignore[dict-item]
    with store.writing("ann") as tx:
        tx.record(decisions.create(task_id, given, created_by="ann", draft=draft))
    return store.reading().task(task_id)


def record(store: Store, *facts: Fact) -> list[Event]:
    """Record facts in a transaction of their own."""
    with store.writing("ann") as tx:
        return tx.record(facts)


def change(store: Store, task_id: str, decide: Callable[[Task, str], Sequence[Fact]]) -> Task:
    """Record what is decided on a task."""
    with store.writing("ann") as tx:
        tx.record(decide(tx.read.task(task_id), tx.now))
    return store.reading().task(task_id)
