"""A git worktree and a branch for each task, and the way back into the branch that the workspace has checked out.

Nothing that is not merged is ever deleted: git itself refuses to remove a worktree with changes, and a branch is only
deleted when its work is in the target.
"""

from __future__ import annotations

import os
from contextlib import suppress
from os.path import exists, isdir, join

from atms_cli.errors import AtmsError
from atms_cli.system.capture import capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.records import JsonObject
    from atms_cli.system.capture import Captured

_TIMEOUT_S = 300.0
#: Gates decide what is good, not hooks; and nobody is there to type a passphrase.
_SETTINGS = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "gc.auto=0")
#: Of whoever has told git no name.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "atms", "GIT_AUTHOR_EMAIL": "atms@localhost", "GIT_COMMITTER_NAME": "atms", "GIT_COMMITTER_EMAIL": "atms@localhost",
}  # fmt: skip
_MARKER = "leftover conflict marker"


class Worktrees:
    """The worktrees of a workspace, one for each task, in a directory of their own."""

    def __init__(self, root: str, directory: str, environ: Mapping[str, str]) -> None:
        self._root = root
        self._directory = directory
        self._environ = {name: value for name, value in environ.items() if not name.startswith("GIT_")} | {
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        self._has_identity = False

    def path(self, task: str) -> str | None:
        """Return where the work on a task lies: the place in its worktree that the workspace's root is in the repository."""
        worktree = join(self._directory, task)
        if not isdir(worktree):
            return None
        prefix = self._must(self._root, "rev-parse", "--show-prefix")
        return join(worktree, prefix).rstrip("/")

    def ready_file(self, task: str) -> str:
        """Return the file that says that the worktree of a task has been set up."""
        return join(self._directory, f"{task}.ready")

    def ensure(self, task: str) -> tuple[str, bool]:
        """Return where to work on a task, and whether it has been set up; a branch that is there is gone on with.

        Raises:
            AtmsError: this is no git repository, or it has no commit yet.

        """
        there = self.path(task)
        if there is not None:
            return there, exists(self.ready_file(task))
        self._must(self._root, "rev-parse", "--verify", "--quiet", "HEAD", hint="make a first commit: git commit")
        # A worktree that somebody deleted by hand would still hold its branch.
        self._must(self._root, "worktree", "prune")
        has_branch = (
            self._run(self._root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch(task)}").exit_code == 0
        )
        os.makedirs(self._directory, exist_ok=True)
        place = join(self._directory, task)
        how = (place, branch(task)) if has_branch else ("-b", branch(task), place, "HEAD")
        self._must(self._root, "worktree", "add", "--quiet", *how)
        return self.path(task) or place, False

    def commit(self, task: str, message: str) -> list[str]:
        """Commit whatever is changed; return the places of conflict markers that are left, which are not committed."""
        place = join(self._directory, task)
        self._must(place, "add", "--all")
        check = self._run(place, "diff", "--cached", "--check").output.decode(errors="replace")
        left = [line.partition(f": {_MARKER}")[0] for line in check.splitlines() if _MARKER in line]
        if left:
            return left
        if self._is_merging(place) or self._run(place, "diff", "--cached", "--quiet").exit_code != 0:
            self._must(place, "commit", "--quiet", "-m", message)
        return []

    def merge(self, task: str, policy: str, message: str) -> JsonObject:
        """Bring the work on a task, as the gates have seen it, into the branch that is checked out in the workspace.

        Returns `kind` and more: `merged` (`commit`, `base`), `nothing` to merge, `kept` on its branch (`branch`, `commit`),
        `again` (the branch went on meanwhile and was merged into the work, which has to be judged anew), `conflict`
        (`files`; their markers are in the work), or `refused` (`detail`: git's words).
        """
        place, target = join(self._directory, task), self._must(self._root, "rev-parse", "HEAD")
        tip = self._must(self._root, "rev-parse", f"refs/heads/{branch(task)}")
        if self._run(self._root, "merge-base", "--is-ancestor", tip, target).exit_code == 0:
            return {"kind": "nothing", "kept": self._clean_up(task, is_merged=True)}
        name = self._run(self._root, "symbolic-ref", "--quiet", "--short", "HEAD").output.decode().strip()
        if policy == "none" or not name:
            return {
                "kind": "kept",
                "branch": branch(task),
                "commit": tip,
                "kept": self._clean_up(task, is_merged=False),
            }
        if self._must(self._root, "merge-base", target, tip) != target:
            return self._catch_up(place, name, target)
        commit = tip
        if policy == "squash":
            tree = self._must(self._root, "rev-parse", f"{tip}^{{tree}}")
            commit = self._must(self._root, "commit-tree", tree, "-p", target, "-m", message)
        ended = self._run(self._root, "merge", "--quiet", "--ff-only", commit)
        if ended.exit_code != 0:
            return {"kind": "refused", "branch": branch(task), "detail": _words(ended)}
        return {
            "kind": "merged", "into": name, "commit": commit, "base": target, "kept": self._clean_up(task, is_merged=True),
        }  # fmt: skip

    def _catch_up(self, place: str, name: str, target: str) -> JsonObject:
        """Merge what others have done meanwhile into the work on a task."""
        ended = self._run(place, "merge", "--quiet", "-m", f"Merge {name}", target)
        if ended.exit_code == 0:
            return {"kind": "again", "into": name}
        files = self._must(place, "diff", "--name-only", "--diff-filter=U").splitlines()
        if not files:
            return {"kind": "refused", "detail": _words(ended)}
        return {"kind": "conflict", "into": name, "files": files}

    def _clean_up(self, task: str, *, is_merged: bool) -> str | None:
        """Remove a worktree without changes, and a branch that is merged; return the worktree if it has to stay."""
        place = join(self._directory, task)
        if self._run(self._root, "worktree", "remove", place).exit_code != 0:
            return place
        with suppress(FileNotFoundError):
            os.remove(self.ready_file(task))
        if is_merged:
            self._run(self._root, "branch", "--quiet", "-D", branch(task))
        return None

    def diff(self, task: str) -> str | None:
        """Return what the work on a task changes, committed or not; None if there is neither worktree nor branch."""
        tip = self._run(self._root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch(task)}")
        if tip.exit_code != 0:
            return None
        base = self._must(self._root, "merge-base", "HEAD", branch(task))
        place = join(self._directory, task)
        if isdir(place):
            return self._must(place, "diff", base)
        return self._must(self._root, "diff", base, branch(task))

    def changes(self, base: str, commit: str) -> str:
        """Return what a commit changes against another."""
        return self._must(self._root, "diff", base, commit)

    def _is_merging(self, place: str) -> bool:
        return self._run(place, "rev-parse", "--verify", "--quiet", "MERGE_HEAD").exit_code == 0

    def _identity(self, directory: str) -> Mapping[str, str]:
        if not self._has_identity:
            asked = capture(("git", "config", "user.email"), cwd=directory, env=self._environ, timeout_s=_TIMEOUT_S)
            if asked.exit_code != 0:
                self._environ = {**self._environ, **_IDENTITY}
            self._has_identity = True
        return self._environ

    def _run(self, directory: str, *arguments: str) -> Captured:
        return capture(
            ("git", *_SETTINGS, *arguments), cwd=directory, env=self._identity(directory), timeout_s=_TIMEOUT_S
        )

    def _must(self, directory: str, *arguments: str, hint: str = "") -> str:
        """Run git and return what it says.

        Raises:
            AtmsError: it failed; the message is git's own.

        """
        ended = self._run(directory, *arguments)
        if ended.exit_code != 0:
            raise AtmsError(f"git {arguments[0]} failed: {_words(ended)}", hint)
        return ended.output.decode(errors="replace").rstrip("\n")


def branch(task: str) -> str:
    """Return the branch of a task."""
    return f"atms/{task}"


def _words(ended: Captured) -> str:
    words = ended.errors.decode(errors="replace").strip() or ended.output.decode(errors="replace").strip()
    return words or f"exit code {ended.exit_code}"
