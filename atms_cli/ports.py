"""What services and the loop need from the world: narrow protocols that adapters fulfil.

Nothing imports this module at run time on a hot path; it is for readers and type checkers.
"""

from __future__ import annotations

from typing import Protocol, TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from atms_cli.domain.config import Config, LaneSettings, QueueSettings
    from atms_cli.domain.forecast import Chance
    from atms_cli.domain.records import Agent, Attempt, Dependency, Edit, Event, Fact, FeatureState, JsonObject, Task
    from atms_cli.domain.redaction import Redactor
    from atms_cli.domain.thresholds import Baseline


class TaskFilter(TypedDict):
    """Which tasks to list, and how; empty lists let everything through."""

    statuses: Sequence[str]
    priorities: Sequence[str]
    categories: Sequence[str]
    tags: Sequence[str]
    features: Sequence[str]
    agents: Sequence[str]
    buckets: Sequence[str]
    lanes: Sequence[str]
    due_before: str | None
    search: str
    sort: str
    reverse: bool
    limit: int | None
    offset: int


class ResultFilter(TypedDict):
    """Which results of gates to list; None lets everything through."""

    gate: str | None
    status: str | None
    task: str | None
    run: str | None
    limit: int


class ForeignTask(Protocol):
    """A task of another program, in our terms (store/importers.py)."""

    id: str
    fields: JsonObject
    after: list[str]
    status: str
    original: JsonObject | None


class Clock(Protocol):
    """Time."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that only go forward."""

    def local(self) -> tuple[int, int]:
        """Return the day of the week, 0 for Monday, and the minute of the day, where this machine is."""


class Calendar(Protocol):
    """Cron expressions (system/calendar.py)."""

    def next(self, cron: str, after: str) -> str:
        """Return when an expression next holds."""

    def between(self, cron: str, after: str, until: str, most: int) -> list[str]:
        """Return the newest times after one and up to another, oldest first."""


class Ids(Protocol):
    """New names."""

    def task(self) -> str:
        """Return a task id."""

    def run(self) -> str:
        """Return an attempt's id."""

    def token(self) -> str:
        """Return a lease's fencing token."""

    def replica(self) -> str:
        """Return a replica id."""

    def session(self, run: str) -> str:
        """Return the name of the session that an attempt begins, the same one each time, in the form of a UUID."""

    def chance(self, seed: str) -> Chance:
        """Return numbers by chance, the same ones for the same seed."""


class Tasks(Protocol):
    """Questions about tasks (store/readmodel.py)."""

    def task(self, task_id: str) -> Task: ...
    def resolve(self, prefix: str) -> str: ...
    def tasks(self, wanted: TaskFilter) -> list[Task]: ...
    def of_status(self, status: str) -> list[Task]: ...
    def attempts(self, task_id: str) -> list[Attempt]: ...
    def task_of_run(self, run: str) -> str | None: ...
    def agent_of_feature(self, feature: str) -> str | None: ...
    def attempts_of_agent(self, agent: str, limit: int) -> list[Attempt]: ...
    def usages_since(self, at: str) -> list[JsonObject]: ...
    def gate_results(self, wanted: ResultFilter) -> list[JsonObject]: ...


class Dependencies(Protocol):
    """Questions about what waits for what."""

    def blockers(self, task_id: str) -> list[Dependency]: ...
    def needs(self, task_id: str) -> list[str]: ...
    def waiting_on(self, task_id: str) -> list[JsonObject]: ...
    def stuck(self) -> int: ...
    def children(self, task_id: str) -> list[JsonObject]: ...
    def born(self, task_id: str) -> str: ...
    def forward_span(self) -> tuple[str, str] | None: ...
    def dependents(self, task_id: str) -> list[str]: ...


class Queue(Protocol):
    """Questions about what is next."""

    def ready(self, queue: QueueSettings, now: str, but: Collection[str] = ()) -> Iterator[str]: ...
    def ready_in(self, lane: str, settings: LaneSettings, now: str, without: Collection[str] = ()) -> Iterator[str]: ...
    def ready_lanes(self) -> list[str]: ...
    def starts(self, limit: int, *, lane: str | None = None, agent: str | None = None) -> list[str]: ...
    def last_attempts(self, limit: int) -> list[tuple[Attempt, str, str, str | None]]: ...
    def starving(self, lane: str, own_level: int, before: str) -> int: ...
    def active(self) -> list[Task]: ...
    def running(self) -> list[tuple[str, str, str | None, str]]: ...
    def oldest_ready(self) -> str | None: ...
    def ends_of_lane(self, lane: str) -> tuple[float, float]: ...
    def place(self, task_id: str) -> tuple[str, float, int, str, float, str]: ...
    def neighbours(self, task_id: str, *, newest_first: bool) -> tuple[float | None, list[str]]: ...
    def recurring(self, now: str) -> list[str]: ...
    def switches(self, switch: str) -> dict[str, JsonObject]: ...
    def expired(self, now: str) -> list[str]: ...
    def delayed_ahead(self, now: str) -> list[str]: ...
    def next_due(self) -> str | None: ...
    def next_recurrence(self) -> str | None: ...
    def next_expiry(self) -> str | None: ...
    def counts(self) -> dict[str, int]: ...
    def paused(self) -> JsonObject | None: ...


class Registry(Protocol):
    """Questions about agents and features."""

    def agent(self, name: str) -> Agent | None: ...
    def agents(self) -> list[Agent]: ...
    def heartbeats(self) -> dict[str, str]: ...
    def load(self) -> dict[str, int]: ...
    def feature(self, feature_id: str) -> FeatureState | None: ...
    def features(self) -> list[FeatureState]: ...
    def statuses_by_feature(self) -> dict[str, set[str]]: ...


class History(Protocol):
    """Questions about what happened."""

    def history(self, key: str) -> list[Event]: ...
    def event_ids(self, key: str) -> list[str]: ...
    def folds_since(self, at: str) -> list[Event]: ...
    def overrides(self) -> int: ...
    def events_after(self, event_id: str) -> list[Event]: ...
    def newest(self) -> str: ...
    def last_events(self, limit: int) -> list[Event]: ...


class ReadModel(Tasks, Dependencies, Queue, Registry, History, Protocol):
    """All questions; each answer reflects every event recorded before it was asked."""


class Transaction(Protocol):
    """Exclusive access: what is read here stays true until what follows from it is recorded."""

    @property
    def read(self) -> ReadModel: ...
    @property
    def now(self) -> str: ...

    def record(self, facts: Sequence[Fact]) -> list[Event]:
        """Add facts to the batch; reads see them at once, the world when the transaction ends well."""

    def queue(self, settings: QueueSettings) -> ReadModel:
        """Return the read model with all that the order of the queue needs."""

    def draining(self) -> dict[str, JsonObject]:
        """Return which queues and lanes take in nothing new."""

    def gave(self, lane: str) -> None:
        """Note that a lane had its turn, in the read model alone."""

    def beat(self, agent: str) -> None:
        """Note that an agent is alive, in the read model alone."""

    def __enter__(self) -> Transaction: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(Protocol):
    """Durable state."""

    def reading(self) -> ReadModel:
        """Return the read model, caught up with the journal."""

    def queue(self, settings: QueueSettings) -> ReadModel:
        """Return the read model, caught up, with all that the order of the queue needs."""

    def has_news(self) -> bool:
        """Return whether others have written, be it read by now or not, since `take_news`."""

    def take_news(self) -> bool:
        """Return whether what was read since the last time was written by others."""

    def writing(self, actor: str) -> Transaction:
        """Begin a transaction; leaving it without an error means its events are on the disk."""

    def doctor(self) -> list[JsonObject]:
        """Return what is wrong with the stored state, each as check, detail and what repairs it."""

    def rebuild(self) -> int:
        """Build the read model anew from the journal; return the number of events."""


class Settings(Protocol):
    """atms.yaml (store/settings.py)."""

    path: str

    def load(self) -> Config:
        """Return the checked settings."""

    def edit(self, change: Callable[[dict[str, object]], None]) -> None:
        """Change the file through its parsed form; a result that is wrong is refused and not written."""


class RoadmapFile(Protocol):
    """FEATURES.json, or TASKS.json (store/featurefile.py)."""

    path: str

    def read(self) -> JsonObject | None:
        """Return the whole file, or None if there is none."""

    def change(self, decide: Callable[[JsonObject], Sequence[Edit]]) -> bool:
        """Edit the file as decided on its present content; return whether anything was written."""

    def create(self, document: JsonObject) -> None:
        """Write a new file; refuse to replace one."""


class Repository(Protocol):
    """Git, as far as sharing needs it (system/git.py)."""

    def is_repository(self) -> bool: ...
    def remotes(self) -> list[str]: ...
    def ref(self, name: str) -> str | None: ...
    def refs(self, prefix: str) -> dict[str, str]: ...
    def files(self, commit: str) -> dict[str, tuple[str, int]]: ...
    def blob(self, oid: str) -> bytes: ...
    def add_blob(self, content: bytes) -> str: ...
    def commit_files(self, files: Mapping[str, str], parent: str | None, message: str) -> str: ...
    def move(self, ref: str, commit: str, before: str | None) -> None: ...
    def push(self, remote: str, source: str, target: str) -> None: ...
    def fetch(self, remote: str, *refspecs: str) -> None: ...


class Replication(Protocol):
    """The journal, as other clones see it (store/replication.py)."""

    def own(self) -> tuple[str, dict[str, int]]: ...
    def content(self, replica: str, name: str, size: int) -> bytes: ...
    def known_size(self, replica: str, name: str) -> int: ...
    def lost(self, replica: str, name: str) -> int: ...
    def wants(self, replica: str, name: str, size: int, *, is_last: bool) -> bool: ...
    def agrees(self, replica: str, name: str, content: bytes) -> bool: ...
    def take_in(self, replica: str, name: str, content: bytes) -> list[Event]: ...


class SealedEvents(TypedDict):
    """What sealed segments hold: bytes of each and of its events that were folded; of each task, bytes and number of events."""

    segments: Mapping[tuple[str, int], tuple[int, int]]
    replaced: Mapping[str, Mapping[tuple[str, int], tuple[int, int]]]


class Compaction(Protocol):
    """Rewriting the journal without what was folded (store/compaction.py)."""

    def alone(self) -> AbstractContextManager[None]: ...
    def survey(self, before_ms: int) -> SealedEvents: ...
    def line_size(self, fact: Fact, actor: str) -> int: ...
    def rewrite(self, *, keep_originals: bool) -> list[JsonObject]: ...


class RunFiles(Protocol):
    """The files of attempts and gate runs (store/runfiles.py)."""

    def prepare(self, run: str) -> str:
        """Make a run's directory and return its path."""

    def write(self, run: str, name: str, text: str) -> str:
        """Write a file of a run and return its path."""

    def write_bytes(self, run: str, name: str, content: bytes) -> str:
        """Write a file of a run byte for byte, and return its path."""

    def path(self, run: str, name: str) -> str:
        """Return where a file of a run lies."""

    def head(self, run: str, name: str, most_bytes: int) -> bytes | None:
        """Return the beginning of a file, None if there is none."""

    def measure(self, path: str) -> JsonObject | None:
        """Return `size` and `sha256` of a file anywhere, None if there is no file."""

    def keep(self, run: str, name: str, path: str) -> str:
        """Copy a file from anywhere to those of a run and return the copy's path."""

    def put(self, run: str, name: str, document: JsonObject) -> None:
        """Write a file of a run that holds one JSON object."""

    def get(self, run: str, name: str) -> JsonObject | None:
        """Return the JSON object that a file of a run holds, None if there is none."""

    def names(self, run: str) -> list[str]:
        """Return the names of a run's files."""

    def clear(self, run: str, name: str) -> None:
        """Remove a file of a run."""

    def text(self, run: str, name: str) -> str:
        """Return what a file holds; of a long file, its two ends."""

    def tail(self, run: str, name: str, lines: int) -> str:
        """Return the last lines of a file, empty if there is none."""

    def size(self, run: str, name: str) -> int:
        """Return how many bytes a file has, none if there is no such file."""

    def newest(self, pattern: str) -> str | None:
        """Return the file that was changed last of those anywhere that a pattern names, None if there is none."""

    def read_anywhere(self, path: str, start: int, most: int) -> tuple[bytes, int]:
        """Return the same as `read` of a file anywhere."""

    def read(self, run: str, name: str, start: int, most: int) -> tuple[bytes, int]:
        """Return about so many bytes of what a file holds from an offset on, and the offset behind them."""

    def mask(self, run: str, name: str, redactor: Redactor) -> None:
        """Mask the secrets in a file that nobody writes to any more."""

    def survey(self) -> list[tuple[str, float, int]]:
        """Return the runs that have files: name, time of the last change, and bytes on the disk."""

    def remove(self, run: str) -> None:
        """Remove the files of a run."""

    def tidied(self, every_s: float, now_s: float) -> bool:
        """Return whether the last time was less than so long ago; if not, now it is."""


class Templates(Protocol):
    """Templates of prompts, by their paths from the root, and other words of the repository (store/templates.py)."""

    def render(self, name: str | None, values: Mapping[str, object]) -> str:
        """Return a prompt: a template filled in, the built-in one unless another is named."""

    def problem(self, name: str) -> str | None:
        """Say what is wrong with a template, or None."""

    def check(self, files: Mapping[str, str]) -> None:
        """Refuse templates that cannot be filled in; they are given by the settings that name them."""

    def read(self, names: Sequence[str]) -> tuple[str, str] | None:
        """Return the first of some files that exists, by name and text."""


class Runner(Protocol):
    """Running commands to their end, in this process."""

    def run(
        self,
        launches: Sequence[JsonObject],
        ended: Callable[[JsonObject], Sequence[JsonObject]],
        watch: Callable[[], None] | None = None,
    ) -> None:
        """Run commands side by side, and with each outcome those that `ended` gives; `watch` is called now and then."""

    def processors(self) -> int:
        """Return how many processors this process may use."""

    def identify(self, argv: Sequence[str], directory: str, environ: Mapping[str, str]) -> str:
        """Return what tells the program that a command line starts apart from other versions of it, as far as can be seen."""


class Checkout(Protocol):
    """A tree of files as git knows it (system/checkout.py); paths are from its root."""

    def files(self) -> list[str]:
        """Return the files that are there, tracked or new, but for what is ignored."""

    def changed(self, base: str | None) -> list[str]:
        """Return the paths that differ from the last commit, or from where the work left a base."""

    def head(self) -> str | None:
        """Return the last commit, None if there is none."""

    def diff(self, base: str | None) -> str:
        """Return what differs from the last commit, or from where the work left a base, new files too, without context."""

    def contents(self) -> dict[str, str] | None:
        """Return for each file what tells its content apart from any other; None if that cannot be told."""


class ReportFiles(Protocol):
    """Files that gates' commands leave (system/reportfiles.py)."""

    def mark(self, path: str) -> str:
        """Return what tells a file apart from what it was before, empty if there is none."""

    def read(self, path: str, most: int) -> bytes:
        """Return what is in a file of so many bytes at most."""

    def found(self, directory: str, globs: Sequence[str]) -> list[tuple[str, int]]:
        """Return the files below a directory that globs mean, with their bytes, sorted."""


class Baselines(Protocol):
    """What people have accepted of gates (store/baselinefile.py)."""

    path: str

    def read(self) -> dict[str, Baseline]: ...
    def write(self, baselines: Mapping[str, Baseline]) -> None: ...


class GatePasses(Protocol):
    """Gates that have passed, by all that their results follow from (store/gatepasses.py)."""

    def get(self, key: str) -> JsonObject | None: ...
    def put(self, key: str, kept: JsonObject) -> None: ...


class Worktrees(Protocol):
    """A git worktree and a branch for each task (system/worktree.py)."""

    def path(self, task: str) -> str | None: ...
    def ready_file(self, task: str) -> str: ...
    def changed(self, task: str) -> list[str]: ...
    def ensure(self, task: str) -> tuple[str, bool]: ...
    def commit(self, task: str, message: str) -> list[str]: ...
    def merge(self, task: str, policy: str, message: str) -> JsonObject: ...
    def clean_up(self, task: str, *, is_merged: bool, is_wanted: Callable[[], bool] = ...) -> str | None: ...
    def survey(self) -> list[JsonObject]: ...
    def size(self, name: str) -> int: ...
    def diff(self, task: str) -> str | None: ...
    def changes(self, base: str, commit: str) -> str: ...


class Traces(Protocol):
    """What work in a directory leaves behind (system/traces.py)."""

    def commit(self, tree: str) -> str | None: ...
    def changed_at_ms(self, tree: str) -> int | None: ...


class Place(Protocol):
    """Where the gates of a hook find the files (system/snapshot.py)."""

    @property
    def tree(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def environ(self) -> Mapping[str, str]: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def is_copy(self) -> bool: ...
    def changed(self) -> bytes: ...


class Snapshots(Protocol):
    """What a commit or a push brings, and nothing else (system/snapshot.py)."""

    def unstaged(self) -> list[str]: ...
    def is_usual_index(self) -> bool: ...
    def is_as(self, commit: str) -> bool: ...
    def here(self, note: str = "") -> AbstractContextManager[Place]: ...
    def staged(self) -> AbstractContextManager[Place]: ...
    def committed(self, commit: str) -> AbstractContextManager[Place]: ...
    def upstream(self) -> tuple[str, str]: ...
    def commit_of(self, name: str) -> str | None: ...
    def base(self, commit: str, replaced: str, remote: str) -> str | None: ...


class HookFiles(Protocol):
    """Git's hooks in this repository (system/hookfiles.py)."""

    def version(self) -> str: ...
    def directory(self) -> str: ...
    def is_private(self, directory: str) -> bool: ...
    def is_shared(self, directory: str) -> bool: ...
    def origin(self) -> str: ...
    def lefthook(self, mention: str) -> tuple[str, bool] | None: ...
    def program(self) -> str | None: ...
    def configured(self, name: str) -> str | None: ...
    def configure(self, name: str, value: str) -> None: ...
    def forget(self, section: str) -> None: ...
    def read(self, path: str) -> tuple[bytes, bool, bool] | None: ...
    def make(self, path: str, content: bytes) -> None: ...
    def rewrite(self, path: str, content: bytes) -> None: ...
    def set_aside(self, path: str, aside: str) -> None: ...
    def put_back(self, aside: str, path: str) -> None: ...
    def remove(self, path: str) -> None: ...


class Workspace(Protocol):
    """One workspace with everything needed to work on it."""

    root: str
    tree: str  # the files that gates judge: the linked git worktree this process is in, else the root
    actor: str
    agent: str | None  # the agent on whose behalf this process acts; None for a person
    clock: Clock
    ids: Ids
    environ: Mapping[str, str]

    @property
    def store(self) -> Store: ...
    @property
    def config(self) -> Config: ...
    @property
    def settings(self) -> Settings: ...
    def reload_config(self) -> None: ...
    @property
    def roadmap(self) -> RoadmapFile: ...
    @property
    def calendar(self) -> Calendar: ...
    @property
    def runner(self) -> Runner: ...
    @property
    def run_files(self) -> RunFiles: ...
    @property
    def report_files(self) -> ReportFiles: ...
    @property
    def baselines(self) -> Baselines: ...
    @property
    def gate_passes(self) -> GatePasses: ...
    def checkout(self, tree: str) -> Checkout | None: ...
    @property
    def worktrees(self) -> Worktrees: ...
    @property
    def templates(self) -> Templates: ...
    @property
    def traces(self) -> Traces: ...
    @property
    def repository(self) -> Repository: ...
    @property
    def replication(self) -> Replication: ...
    @property
    def compaction(self) -> Compaction: ...
    def plugged_driver(self, kind: str) -> Mapping[str, object] | None: ...
    def allow_stop(self, document: JsonObject) -> None: ...
    def trust(self, home: str, where: Sequence[str], directory: str) -> None: ...
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def hook_files(self) -> HookFiles: ...
    def at(self, tree: str, environ: Mapping[str, str]) -> Workspace:
        """Return this workspace with other files for gates to judge, and with more variables for them."""

    def loop_holder(self) -> str | None: ...
    def group_obstacle(self, limits: Mapping[str, float]) -> str | None: ...
    def network_file_system(self) -> tuple[str, str] | None: ...
    def mend_journal(self) -> list[str]: ...
