"""The git worktrees of all tasks of a workspace: each operation has its task alone, and only one at a time merges.

A git that its process has left behind, because that was killed, keeps the lock until it has ended: nobody gets in its way.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from os.path import isdir, join

from atms_cli.errors import AtmsError
from atms_cli.system.alone import alone
from atms_cli.system.gitcommand import TIMEOUT_S, Git
from atms_cli.system.worktree import LOCKS, Worktree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from atms_cli.domain.records import JsonObject

#: Somebody else's git is given as long as one of ours.
_LOCK_TIMEOUT_S = TIMEOUT_S
#: Of merging, which no task can be called.
_MERGING = ".merging"
#: No file name may be longer on most systems, and something is put behind it.
_MOST_CHARACTERS = 100
#: What `st_blocks` counts.
_BLOCK = 512


class Worktrees:
    """The worktrees of a workspace, one for each task, in a directory of their own; for several threads."""

    def __init__(self, root: str, directory: str, environ: Mapping[str, str]) -> None:
        self._root = root
        self._directory = directory
        self._git = Git.of(environ)
        self._prefix: str | None = None

    def path(self, task: str) -> str | None:
        """Return where the work on a task lies: the place in its worktree that the workspace's root is in the repository."""
        tree = self._tree(task, self._git)
        if not tree.is_whole():
            return None
        if self._prefix is None:
            self._prefix = self._git.must(self._root, "rev-parse", "--show-prefix")
        return join(tree.place, self._prefix).rstrip("/")

    def ready_file(self, task: str) -> str:
        """Return the file that says that the worktree of a task has been set up."""
        return self._tree(task, self._git).ready_file

    def ensure(self, task: str) -> tuple[str, bool]:
        """Return where to work on a task, and whether it has been set up; a branch that is there is gone on with.

        Raises:
            AtmsError: this is no git repository, or it has no commit yet, or something else is where the worktree should be.

        """
        with self._alone(task) as tree:
            is_set_up = tree.ensure()
        return self.path(task) or tree.place, is_set_up

    def commit(self, task: str, message: str) -> list[str]:
        """Commit whatever is changed; return the files with conflicts that are not resolved (worktree.py)."""
        with self._alone(task) as tree:
            return tree.commit(message)

    def merge(self, task: str, policy: str, message: str) -> JsonObject:
        """Bring the work on a task into the branch that is checked out in the workspace; return what came of it (worktree.py)."""
        with (
            alone(join(self._directory, LOCKS, _MERGING), _LOCK_TIMEOUT_S) as merging,
            self._alone(task, merging) as tree,
        ):
            return tree.merge(policy, message)

    def clean_up(self, task: str, *, is_merged: bool, is_wanted: Callable[[], bool] = lambda: False) -> str | None:
        """Remove a worktree without changes, and a branch that is merged; return why it has to stay, or None.

        Whether it `is_wanted` is asked when nobody else can begin to make it any more.
        """
        with self._alone(task) as tree:
            reason = "its task goes on" if is_wanted() else tree.clean_up(is_merged=is_merged)
            if reason is None:
                # Whoever waits for it sees that it is another one now (alone.py).
                os.remove(self._lock_file(task))
            return reason

    def survey(self) -> list[JsonObject]:
        """Return the worktrees that are there, or of which the removal was cut short, each with `task` and its state."""
        try:
            names = {name for name in os.listdir(self._directory) if not name.startswith(".")}
        except FileNotFoundError:
            return []
        noted = {name.removesuffix(".json") for name in names if name.endswith(".json")}
        there = {name for name in names if isdir(join(self._directory, name))}
        return [{"task": name, **self._state(name)} for name in sorted(there | noted)]

    def _state(self, name: str) -> JsonObject:
        try:
            return self._tree(name, self._git).state()
        except AtmsError:
            about = "it was in the way of a worktree" if ".left-" in name else "it is no worktree of ours"
            path = join(self._directory, name)
            return {"path": path, "branch": None, "is_dirty": False, "is_unmerged": False, "problem": about}

    def size(self, name: str) -> int:
        """Return how many bytes a worktree takes on the disk."""
        total = 0
        for where, _, files in os.walk(join(self._directory, name)):
            for file in files:
                # What goes meanwhile does not count.
                with suppress(OSError):
                    total += os.lstat(join(where, file)).st_blocks * _BLOCK
        return total

    def diff(self, task: str) -> str | None:
        """Return what the work on a task changes, committed or not; None if there is neither worktree nor branch."""
        return self._tree(task, self._git).diff()

    def changed(self, task: str) -> list[str]:
        """Return the paths, from the workspace's root, that the work on a task has changed as far as it is committed."""
        return self._tree(task, self._git).changed(self.path(task) or self._root)

    def changes(self, base: str, commit: str) -> str:
        """Return what a commit changes against another."""
        return self._git.must(self._root, "diff", base, commit)

    def _tree(self, task: str, git: Git) -> Worktree:
        is_name = task.isascii() and task.replace("-", "").replace("_", "").isalnum()
        if not is_name or task.startswith("-") or len(task) > _MOST_CHARACTERS:
            raise AtmsError(f"`{task}` cannot be the name of a worktree", f"atms task update {task} --isolation shared")
        return Worktree(self._root, self._directory, task, git)

    def _lock_file(self, task: str) -> str:
        return join(self._directory, LOCKS, task)

    @contextmanager
    def _alone(self, task: str, *held: int) -> Iterator[Worktree]:
        self._tree(task, self._git)
        with alone(self._lock_file(task), _LOCK_TIMEOUT_S) as lock:
            yield self._tree(task, self._git.holding(lock, *held))
