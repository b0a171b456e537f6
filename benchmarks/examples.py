"""A command line for every command of atms, with blanks, and what goes into the blanks; or why a command has none."""

from __future__ import annotations

import json
import os
import shlex
import time
from itertools import count
from os.path import join

import measure
import seeding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import JsonObject

UNKNOWN = "nosuchcommand"
#: What needs no workspace.
INSTANT = ("version", UNKNOWN)
#: What changes one task, and answers when that is on the disk.
WRITING = (
    "task add 'One more, number {number}' -p low -t tag1",
    "task start {queued}",
    "task done {queued}",
    "task claim --agent worker{number}",
    "task update {shown} --title 'A new title, number {number}'",
    "task heartbeat {held}",
    "agent heartbeat {agent}",
)
#: What people and agents ask again and again.
READING = (
    "task show {shown}",
    "queue next",
    "queue status",
    "status",
    "task list --limit 50",
    "task list --limit 50 --status completed",
    "task list --limit 50 -p high",
    "task list --limit 50 --tag tag3",
    "task list --limit 50 --ready",
    "task list --limit 50 --feature feature0",
    "task list --limit 50 --agent agent0",
)
#: Everything else. What edits settings works on a workspace of its own: the next command there has to check them.
OTHER = (
    "init --workspace {fresh}",
    "undo --workspace {undoing}",
    "log",
    "log {shown}",
    "doctor",
    "backup {file}",
    "restore {backup} --yes --workspace {restored}",
    "compact --dry-run",
    "run --dry-run",
    "task progress {begun} 40 --note 'half of it'",
    "task list",
    "task list --search 'number 77'",
    "task depend {queued} --on {shown}",
    "task queue {draft}",
    "task fail {started} --reason 'it does not work'",
    "task cancel {queued}",
    "task reopen {completed}",
    "task retry {failed}",
    "task release {started}",
    "task logs {attempted}",
    "task wait {attempted}",
    "task export --format jsonl",
    "queue list",
    "queue explain {shown}",
    "queue pause",
    "queue resume",
    "queue drain --lane aside",
    "queue move {shown} --first",
    "queue prioritize {shown} low",
    "queue hold {queued}",
    "queue release --tag nosuchtag",
    "queue retry --tag nosuchtag",
    "queue dead",
    "queue stats",
    "queue set ageing {number}h --workspace {aside}",
    "task block {queued}",
    "task unblock {shown}",
    "task archive {completed}",
    "task approve {submitted}",
    "task graph {shown}",
    "agent register another{number} --cap python",
    "agent update {registered} --rate 10/1h",
    "agent list",
    "agent show {agent}",
    "agent stats",
    "agent drain {agent}",
    "agent disable {agent}",
    "agent enable {agent}",
    "agent resume {agent}",
    "agent remove {registered}",
    "feature list",
    "feature show feature_1",
    "feature suggest 'Idea number {number}' -d 'What it would be, in twenty characters' --business-value 'It saves time' -c enhancement",
    "feature approve {suggested}",
    "feature reject {suggested} --reason 'Not now'",
    "feature plan",
    "feature sync",
    "feature diff",
    "feature implement {failed_feature} --notes 'By hand'",
    "feature reopen {rejected}",
    "feature edit {suggested} --priority low",
    "feature stats",
    "gate add gate{number} --command true --workspace {aside}",
    "gate list",
    "gate show quick",
    "gate remove {gate} --workspace {aside}",
    "gate run quick",
    "gate results --limit 50",
    "gate stats quick",
    "gate baseline",
    "hook run pre-commit",
    "config get queue.ageing",
    "config set queue.ageing {number}h --workspace {aside}",
    "config unset gates.{gate} --workspace {aside}",
    "config list",
    "config path",
    "config validate",
    "config schema",
    "api get-task-stats",
)
HELP = ("--help", "{group} --help", "task add --help", "status --help", "gate run --help")
#: What goes through all tasks, as its purpose is; it is measured with few.
READS_ALL = ("doctor", "backup", "restore", "compact", "run", "task export")
#: Exit codes of answers that are no failures: there is no such command, there may be differences.
CODES = {UNKNOWN: (2,), "feature diff": (0, 1)}
#: Commands without an example, and why.
SKIPPED = {
    "run": "runs as long as there is work; see the tables of the loop",
    "demo": "lets agents work for some seconds",
    "sync": "talks to a git remote",
    "rebuild": "reads the whole journal; see the table of the store",
    "task import": "see the table of the store",
    "task diff": "asks git for it",
    "task worktrees": "asks git for them",
    "task attach": "goes on as long as the attempt does",
    "agent test": "starts an agent",
    "feature fail": "as `feature implement`",
    "feature resolve": "needs a conflict",
    "feature watch": "goes on until it is interrupted",
    "gate install-hook": "asks git where",
    "gate uninstall-hook": "asks git where",
}
_STAGES: dict[str, tuple[str, ...]] = {
    "queued": (), "draft": ("draft",), "started": ("started",), "failed": ("started", "failed"),
    "completed": ("started", "completed"), "submitted": ("started", "review_requested"),
}  # fmt: skip
_APPROVED = 5


def known(lines: Iterable[str]) -> list[str]:
    """Return the lines of commands that this version of atms has, one for each group where a line names none."""
    from atms_cli.cli.registry import GROUPS, targets

    there = targets()
    wanted = [line.replace("{group}", group) for line in lines for group in (GROUPS if "{group}" in line else ("",))]
    return [line for line in wanted if command_of(line) in there or line in INSTANT or line.endswith("--help")]


def command_of(line: str) -> str:
    """Return the command that a line calls, as the registry names it."""
    from atms_cli.cli.registry import GROUPS

    words = line.split()
    return " ".join(words[:2] if words[0] in GROUPS else words[:1])


def missing() -> list[str]:
    """Return the commands that have neither an example nor a reason."""
    from atms_cli.cli.registry import targets

    covered = {command_of(line) for line in (*INSTANT, *WRITING, *READING, *OTHER)}
    return [name for name in targets() if name not in covered and name not in SKIPPED]


class Stock:
    """What fills the blanks of lines: some things are named again and again, some can be used but once."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.fixed: dict[str, str] = {}
        self.supplies: dict[str, list[str]] = {}
        self._numbers = count(1)

    def __getitem__(self, name: str) -> str:
        """Return what fills one blank, used up if it can be used but once."""
        if name in self.fixed:
            return self.fixed[name]
        if name == "number":
            return str(next(self._numbers))
        if name in ("fresh", "file"):
            return self._new_path(name)
        return self.supplies[name].pop()

    def _new_path(self, name: str) -> str:
        path = join(self.root, f"{name}{next(self._numbers)}")
        if name == "fresh":
            os.mkdir(path)
        return path

    def words(self, line: str) -> list[str]:
        """Return the arguments of one call."""
        return [word.format_map(self) for word in shlex.split(line)]


def stock(workspace: OpenWorkspace, directory: str, lines: Sequence[str], calls: int) -> Stock:
    """Record as many spare tasks in each status as that many calls of each line use up."""
    from atms_cli.services import agents, tasks

    made = Stock(directory)
    made.fixed["agent"] = agents.register(workspace, "known", {"kind": "pull"})["name"]
    for name, stages in _STAGES.items():
        needed = calls * sum(line.count(f"{{{name}}}") for line in lines)
        made.supplies[name] = seeding.add(workspace, needed, seeding.spare, stages) if needed else []
    made.fixed["shown"], made.fixed["held"], made.fixed["begun"] = seeding.add(workspace, 3, seeding.spare)
    tasks.claim(workspace, made.fixed["held"], agent=None, lease_s=seeding.LEASE_S)
    tasks.start(workspace, [made.fixed["begun"]], agent=None, token=None)
    return made


def furnish(workspace: OpenWorkspace, made: Stock, atms: str, calls: int) -> None:
    """Add what the less usual commands are about: agents, gates, a roadmap, an attempt, workspaces beside this one."""
    from atms_cli.services import agents

    made.supplies["registered"] = [
        agents.register(workspace, f"known{number}", {"kind": "pull"})["name"] for number in range(calls)
    ]
    made.supplies |= _write_roadmap(
        workspace.root, {"suggested": 3 * calls, "rejected": calls, "failed-implementation": calls}
    )
    made.supplies["failed_feature"] = made.supplies.pop("failed-implementation")
    made.fixed["attempted"] = _attempt(workspace)
    with open(join(workspace.root, "atms.yaml"), "w", encoding="utf-8") as file:
        file.write(_settings(["quick"]))
    made.fixed["backup"] = join(made.root, "backup.tar.gz")
    measure.took([atms, "backup", made.fixed["backup"]], within=workspace.root)
    _add_workspaces(made, calls)


def _write_roadmap(root: str, wanted: dict[str, int]) -> dict[str, list[str]]:
    """Write a roadmap with a few approved features and so many of other statuses; return the ids of those."""
    features = [_feature(number, "approved") for number in range(1, _APPROVED + 1)]
    for status, number_wanted in wanted.items():
        features += [_feature(number, status) for number in range(len(features) + 1, len(features) + number_wanted + 1)]
    with open(join(root, "FEATURES.json"), "w", encoding="utf-8") as file:
        json.dump({"project": "benchmark", "features": features}, file, indent=2)
    return {status: [str(each["id"]) for each in features if each["status"] == status] for status in wanted}


def _feature(number: int, status: str) -> JsonObject:
    return {
        "id": f"feature_{number}", "title": f"Feature number {number}", "status": status, "category": "enhancement",
        "description": "What it is about, at some length, as people write it.",
        "business_value": "It saves the time of many people", "created_at": "2026-11-02T09:12:44.120Z",
        "updated_at": "2026-11-02T09:12:44.120Z", "suggested_by": "ann", "metadata": {},
    }  # fmt: skip


def _attempt(workspace: OpenWorkspace) -> str:
    """Record an attempt with output, as the loop does; return the id of its task."""
    [task] = seeding.add(workspace, 1, seeding.spare)
    run = workspace.ids.run()
    with workspace.store.writing("atms run") as tx:
        tx.record([("task.started", task, {"assigned_agent": "shell", "attempts": 1, "run": run})])
        tx.record([("task.completed", task, {"result": {"run": run}, "run": run})])
    workspace.run_files.write(run, "output.log", "hello\n")
    return task


def _settings(gates: Sequence[str]) -> str:
    return "version: 1\ngates:\n" + "".join(f"  {name}: {{command: 'true'}}\n" for name in gates)


def _add_workspaces(made: Stock, calls: int) -> None:
    """Make workspaces for what changes settings, takes back changes, or puts a backup in the place of all."""
    from atms_cli.services import tasks

    opened: Mapping[str, OpenWorkspace] = {
        name: seeding.new_workspace(join(made.root, name)) for name in ("aside", "undoing", "restored")
    }
    made.fixed |= {name: workspace.root for name, workspace in opened.items()}
    made.supplies["gate"] = [f"spare{number}" for number in range(2 * calls)]
    with open(join(made.fixed["aside"], "atms.yaml"), "w", encoding="utf-8") as file:
        file.write(_settings(made.supplies["gate"]))
    for number in range(calls):
        tasks.add(opened["undoing"], seeding.plain(number), after=(), draft=False)
        # What was recorded in the same millisecond counts as one change.
        time.sleep(0.002)
