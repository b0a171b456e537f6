"""Joins ports to adapters; each is made when it is first asked for."""

from __future__ import annotations

import os
from os.path import join

from atms_cli.store import paths
from atms_cli.system.clock import SystemClock
from atms_cli.system.ids import RandomIds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli import ports
    from atms_cli.domain.config import Config
    from atms_cli.domain.records import JsonObject
    from atms_cli.store.eventstore import EventStore


class OpenWorkspace:
    """A workspace on the file system, as ports.Workspace."""

    def __init__(self, root: str, environ: Mapping[str, str]) -> None:
        self.root = root
        self.directory = join(root, paths.DIRECTORY)
        self.tree = root
        self.environ = environ
        self.agent = environ.get("ATMS_AGENT") or None
        self.actor = f"agent:{self.agent}" if self.agent else person(environ)
        self.clock: ports.Clock = SystemClock()
        self.ids: ports.Ids = RandomIds()
        self._store: EventStore | None = None
        self._config: Config | None = None
        self._roadmap: str | None = None
        self._worktrees: ports.Worktrees | None = None
        self._templates: ports.Templates | None = None

    @property
    def store(self) -> ports.Store:
        """Return the event store, opened once."""
        return self.event_store

    @property
    def event_store(self) -> EventStore:
        """Return the event store with its journal and index in sight, for backups and sharing."""
        if self._store is None:
            from atms_cli.store.eventstore import in_directory

            self._store = in_directory(self.directory, self.clock, self.ids)
        return self._store

    @property
    def config(self) -> Config:
        """Return the settings, read once."""
        if self._config is None:
            self._config = self.settings.load()
        return self._config

    def reload_config(self) -> None:
        """Read the settings again when they are next asked for."""
        self._config = None

    def keep_config(self, config: Config) -> None:
        """Go on with these settings until the next reload."""
        self._config = config

    @property
    def settings(self) -> ports.Settings:
        """Return atms.yaml."""
        from atms_cli.store.settings import Settings

        return Settings(self.root)

    @property
    def roadmap(self) -> ports.RoadmapFile:
        """Return FEATURES.json, or TASKS.json where only that is there."""
        from atms_cli.store.featurefile import JsonFeatureFile

        named = self._roadmap or self.config["features"]["file"]
        found = next(
            (name for name in ("FEATURES.json", "TASKS.json") if os.path.exists(join(self.root, name))), "FEATURES.json"
        )
        return JsonFeatureFile(join(self.root, named or found), backups=join(self.directory, paths.BACKUPS))

    def use_roadmap(self, path: str) -> None:
        """Keep in step with another file than the usual one."""
        self._roadmap = os.path.abspath(path)

    def roadmap_stamp(self) -> tuple[int, int, int] | None:
        """Return what tells one content of the roadmap file from the next, or None if there is no file."""
        try:
            status = os.stat(self.roadmap.path)
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    @property
    def calendar(self) -> ports.Calendar:
        """Return what reads cron expressions."""
        from atms_cli.system.calendar import Calendar

        return Calendar()

    @property
    def runner(self) -> ports.Runner:
        """Return what runs commands to their end."""
        from atms_cli.system.runner import LocalRunner

        return LocalRunner()

    @property
    def run_files(self) -> ports.RunFiles:
        """Return the files of attempts and gate runs."""
        from atms_cli.store.runfiles import RunDirectories

        return RunDirectories(join(self.directory, paths.RUNS))

    @property
    def report_files(self) -> ports.ReportFiles:
        """Return the files that gates' commands leave."""
        from atms_cli.system.reportfiles import ReportFiles

        return ReportFiles()

    @property
    def baselines(self) -> ports.Baselines:
        """Return what people have accepted of gates."""
        from atms_cli.store.baselinefile import BaselineFile

        return BaselineFile(self.root)

    @property
    def gate_passes(self) -> ports.GatePasses:
        """Return the gates that have passed before."""
        from atms_cli.store.gatepasses import GatePasses

        return GatePasses(join(self.directory, paths.GATE_PASSES))

    def checkout(self, tree: str) -> ports.Checkout | None:
        """Return a tree of files as git knows it, or None where git does not."""
        from atms_cli.system.checkout import Checkout

        found = Checkout(tree, self.environ)
        return found if found.is_there() else None

    @property
    def worktrees(self) -> ports.Worktrees:
        """Return the git worktrees of tasks."""
        if self._worktrees is None:
            from atms_cli.system.worktrees import Worktrees

            self._worktrees = Worktrees(self.root, join(self.directory, paths.WORKTREES), self.environ)
        return self._worktrees

    @property
    def templates(self) -> ports.Templates:
        """Return the templates of prompts."""
        if self._templates is None:
            from atms_cli.store.templates import Templates

            self._templates = Templates(self.root)
        return self._templates

    @property
    def traces(self) -> ports.Traces:
        """Return what can tell whether work gets on."""
        from atms_cli.system.traces import Traces

        return Traces(self.environ)

    @property
    def repository(self) -> ports.Repository:
        """Return the git repository that the workspace is in."""
        from atms_cli.system.git import Git

        return Git(self.root, self.environ)

    @property
    def snapshots(self) -> ports.Snapshots:
        """Return what is staged or committed, apart from everything else in the tree."""
        from atms_cli.system.snapshot import Snapshots

        return Snapshots(self.tree, join(self.directory, paths.STAGED), self.environ)

    @property
    def hook_files(self) -> ports.HookFiles:
        """Return git's hooks of the repository that the tree belongs to."""
        from atms_cli.system.hookfiles import HookFiles

        return HookFiles(self.tree, self.environ)

    def at(self, tree: str, environ: Mapping[str, str]) -> OpenWorkspace:
        """Return this workspace with other files for gates to judge, and with more variables for them."""
        from copy import copy

        other = copy(self)
        other.tree, other.environ = tree, {**self.environ, **environ}
        return other

    @property
    def replication(self) -> ports.Replication:
        """Return the journal as other clones see it."""
        from atms_cli.store.replication import Replication

        return Replication(self.event_store, join(self.directory, paths.JOURNAL), self.clock.now_ms)

    @property
    def compaction(self) -> ports.Compaction:
        """Return the journal's sealed segments."""
        from atms_cli.store.compaction import Compaction
        from atms_cli.store.journal import Journal

        journal = Journal(self.directory, self.ids.replica)
        return Compaction(self.event_store, journal, self.directory)

    def mend_journal(self) -> list[str]:
        """Cut damaged lines out of the journal; return the files that keep them."""
        from atms_cli.store.mending import mend

        return mend(self.event_store, self.directory)

    def network_file_system(self) -> tuple[str, str] | None:
        """Return kind and mount point of the network file system that the workspace lies on, or None."""
        from atms_cli.system.filesystem import networked

        return networked(self.directory)

    def group_obstacle(self, limits: Mapping[str, float]) -> str | None:
        """Say why control groups cannot enforce limits here, None if they can."""
        from atms_cli.system import cgroup

        return cgroup.obstacle(cgroup.own_group(), limits)

    def plugged_driver(self, kind: str) -> Mapping[str, object] | None:
        """Return the driver that an installed package brings for a kind of agent, or None."""
        from atms_cli.system.plugins import driver

        return driver(kind)

    def allow_stop(self, document: JsonObject) -> None:
        """Tell the original's stop hook to let a session end, once (store/stopflag.py)."""
        from atms_cli.store.stopflag import write

        write(self.root, document)

    def trust(self, home: str, where: Sequence[str], directory: str) -> None:
        """Name a directory, which a worktree is or has, among those that a coding agent works in unasked (store/trusting.py)."""
        from atms_cli.store.trusting import trust

        trust(
            home,
            where,
            directory,
            ours=join(self.directory, paths.WORKTREES),
            backups=join(self.directory, paths.BACKUPS),
        )

    def loop_holder(self) -> str | None:
        """Return who runs `atms run` here, or None if nobody does."""
        from atms_cli.store.lock import holder, is_held

        path = join(self.directory, paths.RUN_LOCK)
        return holder(path) if is_held(path) else None


def person(environ: Mapping[str, str]) -> str:
    """Return the name of the person at the keyboard."""
    named = environ.get("USER") or environ.get("LOGNAME")
    if named:
        return named
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def open_workspace(directory: str | None, environ: Mapping[str, str]) -> OpenWorkspace:
    """Open the workspace named, or the one found upward from the working directory."""
    root = paths.check_root(directory) if directory else paths.find_root(os.getcwd(), environ)
    workspace = OpenWorkspace(root, environ)
    workspace.tree = paths.linked_worktree(os.getcwd()) or root
    return workspace
