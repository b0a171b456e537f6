"""A git worktree and a branch for each task, and the way back into the branch that the workspace has checked out.

Nothing that is not merged is ever deleted: git itself refuses to remove a worktree with changes, and a branch is only
deleted when its work is in the target. Nothing is done in a directory that is not the worktree it should be.

Beside a worktree lie `ID.json`, which is written once the worktree is whole and says where its work belongs, and
`ID.ready`, once it has been set up.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from hashlib import sha256
from os.path import exists, isdir, join, realpath

from atms_cli.errors import AtmsError
from atms_cli.system.capture import capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from atms_cli.domain.records import JsonObject
    from atms_cli.system.capture import Captured

_TIMEOUT_S = 300.0
#: Gates decide what is good, not hooks; nobody is there to type a passphrase; and what a person likes in a terminal is not
#: for a program to read.
_SETTINGS = (
    "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "gc.auto=0", "-c", "color.ui=false", "-c", "merge.ff=true",
    "-c", "commit.cleanup=whitespace", "-c", "core.quotePath=false",
)  # fmt: skip
#: What a person may have set for commits; other variables of git may point to a commit that is being made.
_KEPT = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")
#: Of whoever has told git no name.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "atms", "GIT_AUTHOR_EMAIL": "atms@localhost", "GIT_COMMITTER_NAME": "atms", "GIT_COMMITTER_EMAIL": "atms@localhost",
}  # fmt: skip
_BEGINS, _ENDS = b"<<<<<<< ", b">>>>>>> "
_GONE = "gone"


class Worktrees:
    """The worktrees of a workspace, one for each task, in a directory of their own."""

    def __init__(self, root: str, directory: str, environ: Mapping[str, str]) -> None:
        self._root = root
        self._directory = directory
        self._environ = {
            **{name: value for name, value in environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)},
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        self._has_identity = "GIT_COMMITTER_EMAIL" in self._environ

    # Making

    def path(self, task: str) -> str | None:
        """Return where the work on a task lies: the place in its worktree that the workspace's root is in the repository."""
        worktree = join(self._directory, task)
        if not isdir(worktree) or not exists(self._note_file(task)):
            return None
        return join(worktree, self._must(self._root, "rev-parse", "--show-prefix")).rstrip("/")

    def ready_file(self, task: str) -> str:
        """Return the file that says that the worktree of a task has been set up."""
        return join(self._directory, f"{task}.ready")

    def _note_file(self, task: str) -> str:
        return join(self._directory, f"{task}.json")

    def _note(self, task: str) -> dict[str, Any]:
        try:
            with open(self._note_file(task), encoding="utf-8") as file:
                note = json.load(file)
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _write_note(self, task: str, note: Mapping[str, object]) -> None:
        aside = f"{self._note_file(task)}.new"
        try:
            os.makedirs(self._directory, exist_ok=True)
            with open(aside, "w", encoding="utf-8") as file:
                json.dump(note, file)
            os.replace(aside, self._note_file(task))
        except OSError as error:
            raise AtmsError(f"cannot write {aside}: {error.strerror}", "check permissions and free space") from error

    def ensure(self, task: str) -> tuple[str, bool]:
        """Return where to work on a task, and whether it has been set up; a branch that is there is gone on with.

        Raises:
            AtmsError: this is no git repository, or it has no commit yet, or something else is where the worktree should be.

        """
        there = self.path(task)
        if there is not None:
            self._refuse_strangers(task)
            return there, exists(self.ready_file(task))
        hint = "make a first commit: git commit"
        self._must(self._root, "rev-parse", "--verify", "HEAD^{commit}", hint=hint)
        place = join(self._directory, task)
        if isdir(place):
            # Its making was cut short, and nobody has worked in it.
            self._must(self._root, "worktree", "remove", "--force", "--force", place)
        # One that somebody deleted by hand would still hold its branch.
        self._must(self._root, "worktree", "prune")
        is_there = self._commit_of(f"refs/heads/{branch(task)}") is not None
        how = (place, branch(task)) if is_there else ("-b", branch(task), place, "HEAD")
        with suppress(FileNotFoundError):
            os.remove(self.ready_file(task))
        self._must(self._root, "worktree", "add", "--quiet", *how)
        self._write_note(task, {"into": self._checked_out()})
        return self.path(task) or place, False

    def _refuse_strangers(self, task: str) -> None:
        """Refuse to go on in a directory from which git finds another repository, or another worktree of this one."""
        place = join(self._directory, task)
        found = self._run(place, "rev-parse", "--show-toplevel", "--path-format=absolute", "--git-common-dir")
        top, _, common = found.output.decode(errors="surrogateescape").rstrip("\n").partition("\n")
        ours = self._must(self._root, "rev-parse", "--path-format=absolute", "--git-common-dir")
        if found.exit_code != 0 or realpath(top) != realpath(place) or realpath(common) != realpath(ours):
            raise AtmsError(
                f"{place} is not the worktree that it was",
                f"save from it what you need, then: rm -rf {place} {self._note_file(task)}",
            )

    def _refuse_other_branches(self, task: str) -> None:
        place = join(self._directory, task)
        on = self._run(place, "symbolic-ref", "--quiet", "HEAD").output.decode(errors="replace").strip()
        if on != f"refs/heads/{branch(task)}":
            where = (
                f"on the branch {on.removeprefix('refs/heads/')}"
                if on
                else "on no branch, or in the middle of a rebase"
            )
            raise AtmsError(
                f"the work is {where}: it has to be on {branch(task)}", f"git -C {place} switch {branch(task)}"
            )

    # Committing

    def commit(self, task: str, message: str) -> list[str]:
        """Commit whatever is changed; return the files with conflicts that are not resolved, of which nothing is committed.

        Raises:
            AtmsError: git failed, the worktree is not on its branch any more, or something in it cannot be committed.

        """
        place = join(self._directory, task)
        self._refuse_strangers(task)
        self._refuse_other_branches(task)
        left = self._unresolved(task)
        if left:
            return left
        self._must(place, "add", "--all")
        self._refuse_repositories_within(place)
        is_merging = self._run(place, "rev-parse", "--verify", "--quiet", "MERGE_HEAD").exit_code == 0
        if is_merging or self._run(place, "diff", "--cached", "--quiet").exit_code != 0:
            self._must(place, "commit", "--quiet", "-m", message)
        self._write_note(task, {**self._note(task), "conflicts": {}})
        return []

    def _refuse_repositories_within(self, place: str) -> None:
        """Refuse changes inside of submodules and other repositories: their commits would not come back with the work."""
        raw = self._must(place, "diff", "--cached", "--raw", "--ignore-submodules=none", "HEAD").splitlines()
        raw += self._must(place, "diff", "--raw", "--ignore-submodules=none").splitlines()
        within = sorted({line.partition("\t")[2] for line in raw if "160000" in line.split()[:2] or ":160000" in line})
        if within:
            raise AtmsError(f"{', '.join(within)}: a git repository within the work cannot come back with it")

    def _unresolved(self, task: str) -> list[str]:
        """Return the files of an earlier conflict that have its markers, or that nobody has touched since."""
        place = join(self._directory, task)
        unmerged = {*self._names(place, "diff", "--name-only", "-z", "--diff-filter=U")}
        conflicts = self._note(task).get("conflicts") or {}
        top = realpath(place)
        return [
            name
            for name in sorted({*conflicts, *unmerged})
            if _has_markers(join(top, name)) or (name in unmerged and _state(join(top, name)) == conflicts.get(name))
        ]

    # Merging

    def merge(self, task: str, policy: str, message: str) -> JsonObject:
        """Bring the work on a task, as the gates have seen it, into the branch that is checked out in the workspace.

        Returns `kind` and more: `merged` (`commit`, `base`), `nothing` to merge, `kept` on its branch (`branch`, `commit`),
        `again` (the branch went on meanwhile and was merged into the work, which has to be judged anew), `conflict`
        (`files`; their markers are in the work), or `refused` (`detail`: git's words). Call `clean_up` when that is on record.

        Raises:
            AtmsError: git failed, or the worktree is not on its branch any more.

        """
        self._refuse_strangers(task)
        self._refuse_other_branches(task)
        target = self._must(self._root, "rev-parse", "HEAD")
        tip = self._must(self._root, "rev-parse", f"refs/heads/{branch(task)}")
        if self._is_in(tip, target):
            return {"kind": "nothing"}
        into = self._checked_out()
        # Who switches branches while agents work does not want their work on the other one.
        if policy == "none" or not into or into != self._note(task).get("into"):
            return {"kind": "kept", "branch": branch(task), "commit": tip}
        if self._must(self._root, "merge-base", target, tip) != target:
            return self._catch_up(task, into, target)
        commit = tip
        if policy == "squash":
            commit = self._must(self._root, "commit-tree", f"{tip}^{{tree}}", "-p", target, "-m", message)
        ended = self._run(self._root, "merge", "--quiet", "--ff-only", commit)
        if ended.exit_code != 0:
            return {"kind": "refused", "branch": branch(task), "detail": _words(ended)}
        return {"kind": "merged", "into": into, "commit": commit, "base": target}

    def _is_in(self, tip: str, target: str) -> bool:
        """Return whether the work is in the target: by its commits, or, once squashed, by its content."""
        if self._run(self._root, "merge-base", "--is-ancestor", tip, target).exit_code == 0:
            return True
        return self._run(self._root, "diff", "--quiet", target, tip).exit_code == 0

    def _catch_up(self, task: str, into: str, target: str) -> JsonObject:
        """Merge what others have done meanwhile into the work on a task."""
        place = join(self._directory, task)
        ended = self._run(place, "merge", "--quiet", "-m", f"Merge {into}", target)
        if ended.exit_code == 0:
            return {"kind": "again", "into": into}
        files = self._names(place, "diff", "--name-only", "-z", "--diff-filter=U")
        if not files:
            return {"kind": "refused", "detail": _words(ended)}
        states = {name: _state(join(realpath(place), name)) for name in files}
        self._write_note(task, {**self._note(task), "conflicts": states})
        return {"kind": "conflict", "into": into, "files": list(files)}

    def clean_up(self, task: str, *, is_merged: bool) -> str | None:
        """Remove a worktree without changes, and a branch that is merged; return the worktree if it has to stay."""
        place = join(self._directory, task)
        if isdir(place):
            # What is on another branch, or on none, is not on ours.
            try:
                self._refuse_strangers(task)
                self._refuse_other_branches(task)
            except AtmsError:
                return place
            if self._run(self._root, "worktree", "remove", place).exit_code != 0:
                return place
        for file in (self.ready_file(task), self._note_file(task)):
            with suppress(FileNotFoundError):
                os.remove(file)
        tip = self._commit_of(f"refs/heads/{branch(task)}")
        if is_merged and tip is not None and self._is_in(tip, "HEAD"):
            self._run(self._root, "branch", "--quiet", "-D", branch(task))
        return None

    # Looking

    def diff(self, task: str) -> str | None:
        """Return what the work on a task changes, committed or not; None if there is neither worktree nor branch."""
        if self._commit_of(f"refs/heads/{branch(task)}") is None:
            return None
        base = self._must(self._root, "merge-base", "HEAD", branch(task))
        place = join(self._directory, task)
        return self._with_new_files(place, base) if isdir(place) else self.changes(base, branch(task))

    def changes(self, base: str, commit: str) -> str:
        """Return what a commit changes against another."""
        return self._must(self._root, "diff", base, commit)

    def _with_new_files(self, place: str, base: str) -> str:
        """Return a diff of a worktree against a commit that shows new files too, without touching its index."""
        copy = f"{self._directory}/{os.getpid()}.index"
        index = self._must(place, "rev-parse", "--path-format=absolute", "--git-path", "index")
        try:
            shutil.copyfile(index, copy)
            self._must(place, "add", "--intent-to-add", "--all", GIT_INDEX_FILE=copy)
            return self._must(place, "diff", base, GIT_INDEX_FILE=copy)
        except OSError as error:
            raise AtmsError(f"cannot read {index}: {error.strerror}") from error
        finally:
            with suppress(FileNotFoundError):
                os.remove(copy)

    # Git

    def _checked_out(self) -> str:
        """Return the branch that is checked out in the workspace, empty if it is none."""
        found = self._run(self._root, "symbolic-ref", "--quiet", "--short", "HEAD")
        return found.output.decode(errors="surrogateescape").strip()

    def _commit_of(self, ref: str) -> str | None:
        found = self._run(self._root, "rev-parse", "--verify", "--quiet", ref)
        return found.output.decode().strip() if found.exit_code == 0 else None

    def _names(self, directory: str, *arguments: str) -> list[str]:
        return [name for name in self._must(directory, *arguments).split("\0") if name]

    def _identity(self, directory: str) -> Mapping[str, str]:
        if not self._has_identity:
            asked = capture(("git", "config", "user.email"), cwd=directory, env=self._environ, timeout_s=_TIMEOUT_S)
            self._environ = self._environ if asked.exit_code == 0 else {**self._environ, **_IDENTITY}
            self._has_identity = True
        return self._environ

    def _run(self, directory: str, *arguments: str, **more: str) -> Captured:
        return capture(
            ("git", *_SETTINGS, *arguments),
            cwd=directory,
            env={**self._identity(directory), **more},
            timeout_s=_TIMEOUT_S,
            apart=True,
        )

    def _must(self, directory: str, *arguments: str, hint: str = "", **more: str) -> str:
        """Run git and return what it says.

        Raises:
            AtmsError: it failed; the message is git's own.

        """
        ended = self._run(directory, *arguments, **more)
        if ended.exit_code != 0:
            raise AtmsError(f"git {arguments[0]} failed: {_words(ended)}", hint)
        return ended.output.decode(errors="surrogateescape").rstrip("\n")


def branch(task: str) -> str:
    """Return the branch of a task."""
    return f"atms/{task}"


def _words(ended: Captured) -> str:
    words = ended.errors.decode(errors="replace").strip() or ended.output.decode(errors="replace").strip()
    return words or f"exit code {ended.exit_code}"


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _state(path: str) -> str:
    content = _content(path)
    return _GONE if content is None else sha256(content).hexdigest()


def _has_markers(path: str) -> bool:
    """Return whether a file has both ends of a conflict; a line of `=` alone is a heading as well."""
    lines = (_content(path) or b"").split(b"\n")
    return any(line.startswith(_BEGINS) for line in lines) and any(line.startswith(_ENDS) for line in lines)
