"""The git worktree and the branch of one task, and the way back into the branch that the workspace has checked out.

Nothing that is not merged is ever deleted: git itself refuses to remove a worktree with changes, and a branch is only
deleted when its work is in the target. Nothing is done in a directory that is not the worktree it should be.

Beside a worktree lie `ID.json`, which is written once the worktree is whole and says where its work belongs, and
`ID.ready`, once it has been set up.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from os.path import dirname, exists, isdir, join, lexists, realpath

from atms_cli.errors import AtmsError
from atms_cli.system.alone import alone
from atms_cli.system.conflicts import content, has_markers, state_of
from atms_cli.system.fastforward import move_on
from atms_cli.system.gitcommand import TIMEOUT_S, said, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from atms_cli.domain.records import JsonObject
    from atms_cli.system.gitcommand import Git

#: Where locks lie, and that of git's list of worktrees, which no task can be called.
LOCKS, _REGISTRY = ".locks", ".registry"
#: The reason of git's own lock on a worktree that it makes.
_BEING_MADE = "initializing"


class Worktree:
    """A worktree, whether it is there or not; who calls has it alone."""

    def __init__(self, root: str, directory: str, task: str, git: Git) -> None:
        self._root = root
        self._git = git
        self._registry_lock = join(directory, LOCKS, _REGISTRY)
        self.place = join(directory, task)
        self.branch = branch(task)
        self.ready_file = f"{self.place}.ready"
        self._note_file = f"{self.place}.json"

    # Making

    def is_whole(self) -> bool:
        """Return whether it is there, and was made to the end."""
        return isdir(self.place) and exists(self._note_file)

    def ensure(self) -> bool:
        """Make it unless it is there, on its branch if there is one; return whether it has been set up.

        Raises:
            AtmsError: this is no git repository, or it has no commit yet, or something else is where it should be.

        """
        if self.is_whole():
            self._refuse_strangers()
            self._forget_dead_locks()
            return exists(self.ready_file)
        if self._git.commit_of(self._root, "HEAD") is None:
            self._git.must(self._root, "rev-parse", "--verify", "HEAD^{commit}", hint="make a first commit: git commit")
        if lexists(self.place) and self._take_up():
            return exists(self.ready_file)
        is_there = self._tip() is not None
        how = (self.place, self.branch) if is_there else ("--no-track", "-b", self.branch, self.place, "HEAD")
        with suppress(FileNotFoundError):
            os.remove(self.ready_file)
        with self._registry() as git:
            if is_there:
                # One that somebody deleted by hand, or whose making was cut short, would still hold its branch.
                git.run(self._root, "worktree", "unlock", self.place)
                git.must(self._root, "worktree", "prune")
            git.must(self._root, "worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", _BEING_MADE, *how)
        self._git.must(self.place, "reset", "--quiet", "--hard", "--no-recurse-submodules")
        with self._registry() as git:
            git.must(self._root, "worktree", "unlock", self.place)
        self._write_note({"into": self._git.checked_out(self._root)})
        return False

    def _take_up(self) -> bool:
        """Return whether what is there without a note can be gone on with; otherwise it is removed, or out of the way.

        A worktree is locked for as long as it is being made: nobody has worked in one that still is.
        """
        if (content(f"{self._git_directory()}/locked") or b"").startswith(_BEING_MADE.encode()):
            with self._registry() as git:
                git.run(self._root, "worktree", "remove", "--force", "--force", self.place)
        elif self._is_ours():
            self._write_note({"into": self._git.checked_out(self._root)})
            return True
        if lexists(self.place):
            self._move_away()
        return False

    @contextmanager
    def _registry(self) -> Iterator[Git]:
        """Give git that alone adds and removes worktrees: it fails on those that another is just adding or removing."""
        with alone(self._registry_lock, TIMEOUT_S) as lock:
            yield self._git.holding(lock)

    def _is_ours(self) -> bool:
        try:
            self._refuse_other_branches()
        except AtmsError:
            return False
        return True

    def _git_directory(self) -> str:
        """Return where git keeps what it knows of this worktree, as its `.git` says."""
        return (
            (content(join(self.place, ".git")) or b"").decode(errors="surrogateescape").removeprefix("gitdir: ").strip()
        )

    def _move_away(self) -> None:
        """Move what is no worktree out of the way: it may be anybody's."""
        number = 1
        while lexists(aside := f"{self.place}.left-{number}"):
            number += 1
        try:
            os.rename(self.place, aside)
        except OSError as error:
            raise AtmsError(f"{self.place} is in the way of a worktree: {error.strerror}", "move it away") from error

    def note(self) -> dict[str, Any]:
        """Return what is noted of it: where its work belongs, and the conflicts in it."""
        try:
            with open(self._note_file, encoding="utf-8") as file:
                note = json.load(file)
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _write_note(self, note: Mapping[str, object]) -> None:
        aside = f"{self._note_file}.new"
        try:
            with open(aside, "w", encoding="utf-8") as file:
                json.dump(note, file)
            os.replace(aside, self._note_file)
        except OSError as error:
            raise AtmsError(f"cannot write {aside}: {error.strerror}", "check permissions and free space") from error

    def _refuse_strangers(self) -> str:
        """Refuse to go on in a directory from which git finds another repository, or another worktree; return the branch in it."""
        asked = ("--show-toplevel", "--git-common-dir", "--symbolic-full-name", "HEAD")
        found = self._git.run(self.place, "rev-parse", "--path-format=absolute", *asked)
        top, common, on = [*said(found).split("\n"), "", "", ""][:3]
        if (
            found.exit_code != 0
            or realpath(top) != realpath(self.place)
            or realpath(common) != self._git.common(self._root)
        ):
            raise AtmsError(
                f"{self.place} is not the worktree that it was",
                f"save from it what you need, then: rm -rf {self.place} {self._note_file}",
            )
        return on.removeprefix("refs/heads/") if on.startswith("refs/heads/") else ""

    def _refuse_other_branches(self) -> None:
        """Refuse to go on with work that is not on the branch of its task, in another worktree, or in none."""
        on = self._refuse_strangers()
        if on != self.branch:
            where = f"on the branch {on}" if on else "on no branch, or in the middle of a rebase"
            raise AtmsError(
                f"the work is {where}: it has to be on {self.branch}", f"git -C {self.place} switch {self.branch}"
            )

    def _enter(self) -> None:
        """Make sure that it is what it should be, and take back what a git that was killed has left half done.

        Raises:
            AtmsError: it is another directory, or on another branch.

        """
        self._refuse_strangers()
        self._forget_dead_locks()
        if self.note().get("rebasing"):
            self._give_up_rebase()
        self._refuse_other_branches()

    def _forget_dead_locks(self) -> None:
        """Remove locks on the index and the branch: nobody is at work here, so who took them was killed."""
        own = self._git_directory()
        common = dirname(dirname(own))
        for lock in (f"{own}/index.lock", f"{own}/HEAD.lock", f"{common}/refs/heads/{self.branch}.lock"):
            with suppress(OSError):
                os.remove(lock)

    # Committing

    def commit(self, message: str) -> list[str]:
        """Commit whatever is changed; return the files with conflicts that are not resolved, of which nothing is committed.

        Raises:
            AtmsError: git failed, the worktree is not on its branch any more, or something in it cannot be committed.

        """
        self._enter()
        left = self._unresolved()
        if left:
            return left
        self._git.must(self.place, "add", "--all")
        self._refuse_repositories_within()
        is_merging = self._git.commit_of(self.place, "MERGE_HEAD") is not None
        if is_merging or self._git.run(self.place, "diff", "--cached", "--quiet").exit_code != 0:
            self._git.must(self.place, "commit", "--quiet", "-m", message)
        self._write_note({**self.note(), "conflicts": {}})
        return []

    def _refuse_repositories_within(self) -> None:
        """Refuse changes inside of submodules and other repositories: their commits would not come back with the work."""
        raw = self._git.must(self.place, "diff", "--cached", "--raw", "--ignore-submodules=none", "HEAD").splitlines()
        raw += self._git.must(self.place, "diff", "--raw", "--ignore-submodules=none").splitlines()
        within = sorted({line.partition("\t")[2] for line in raw if "160000" in line.split()[:2] or ":160000" in line})
        if within:
            raise AtmsError(f"{', '.join(within)}: a git repository within the work cannot come back with it")

    def _unresolved(self) -> list[str]:
        """Return the files of an earlier conflict that have its markers, or that nobody has touched since."""
        unmerged = {*self._unmerged()}
        conflicts = self.note().get("conflicts") or {}
        top = realpath(self.place)
        return [
            name
            for name in sorted({*conflicts, *unmerged})
            if has_markers(join(top, name)) or (name in unmerged and state_of(join(top, name)) == conflicts.get(name))
        ]

    def _unmerged(self) -> list[str]:
        return self._git.names(self.place, "diff", "--name-only", "-z", "--diff-filter=U")

    # Merging

    def merge(self, policy: str, message: str) -> JsonObject:
        """Bring the work, as the gates have seen it, into the branch that is checked out in the workspace.

        Returns `kind` and more: `merged` (`into`, `commit`, `base`), `nothing` to merge, `kept` on its branch (`branch`,
        `commit`, and `reason`: why), `again` (the branch went on meanwhile and is now in the work, which has to be judged
        anew), `conflict` (`files`, `text`; their markers are in the work), `refused` (`detail`: git's words), or
        `hand_over` (`branch`, `commit`, `into`) for a policy of `command`. Call `clean_up` when that is on record.

        Raises:
            AtmsError: git failed, or the worktree is not on its branch any more.

        """
        self._enter()
        target = self._git.must(self._root, "rev-parse", "HEAD")
        tip = self._git.must(self._root, "rev-parse", f"refs/heads/{self.branch}")
        if self._is_in(tip, target):
            return {"kind": "nothing"}
        into = self._git.checked_out(self._root)
        work: JsonObject = {"branch": self.branch, "commit": tip}
        if policy == "command":
            return {"kind": "hand_over", "into": self.note().get("into") or into, **work}
        reason = self._why_kept(policy, into)
        if reason is not None:
            return {"kind": "kept", "reason": reason, **work}
        if self._git.must(self._root, "merge-base", target, tip) != target:
            return self._catch_up(policy, into, target)
        return self._move_on(into, target, self._arriving(policy, target, tip, message))

    def _why_kept(self, policy: str, into: str) -> str | None:
        """Return why the branch stays as it is; who switches branches while agents work does not want their work there."""
        meant = self.note().get("into")
        if policy == "none":
            return "execution.merge is none"
        if not meant:
            return "no branch was checked out when its worktree was made"
        if into != meant:
            return f"{meant} is not checked out in the workspace any more" + (f", {into} is" if into else "")
        return None

    def _arriving(self, policy: str, target: str, tip: str, message: str) -> str:
        """Return the commit that the target moves to: the tip, or one commit with all of the work."""
        # Where a conflict was resolved in a merge, a straight history has it in one commit.
        is_bent = policy == "rebase" and bool(self._git.must(self._root, "rev-list", "--merges", f"{target}..{tip}"))
        if policy == "squash" or is_bent:
            return self._git.must(self._root, "commit-tree", f"{tip}^{{tree}}", "-p", target, "-m", message)
        return tip

    def _is_in(self, tip: str, target: str) -> bool:
        """Return whether the work is in the target: by its commits, or, once squashed, by its content."""
        if self._git.run(self._root, "merge-base", "--is-ancestor", tip, target).exit_code == 0:
            return True
        return self._git.run(self._root, "diff", "--quiet", target, tip).exit_code == 0

    def _move_on(self, into: str, target: str, commit: str) -> JsonObject:
        detail = move_on(self._git, self._root, target, commit)
        if detail is None:
            return {"kind": "merged", "into": into, "commit": commit, "base": target}
        return {"kind": "refused", "into": into, "branch": self.branch, "detail": detail}

    # Catching up

    def _catch_up(self, policy: str, into: str, target: str) -> JsonObject:
        """Bring what others have done meanwhile into the work."""
        if policy == "rebase" and self._rebase(target):
            return {"kind": "again", "into": into}
        ended = self._git.run(self.place, "merge", "--quiet", "-m", f"Merge {into}", target)
        if ended.exit_code == 0:
            return {"kind": "again", "into": into}
        files = self._unmerged()
        if not files:
            return {"kind": "refused", "into": into, "branch": self.branch, "detail": words(ended)}
        states = {name: state_of(join(realpath(self.place), name)) for name in files}
        self._write_note({**self.note(), "conflicts": states})
        return {"kind": "conflict", "into": into, "files": files, "text": self._git.must(self.place, "diff")}

    def _rebase(self, target: str) -> bool:
        """Put the work on top of a commit; where that conflicts, return False with all as it was.

        A conflict is left in a merge instead, which can be resolved by whoever may only edit files.
        """
        self._write_note({**self.note(), "rebasing": True})
        is_done = self._git.run(self.place, "rebase", "--quiet", "--no-rebase-merges", target).exit_code == 0
        self._give_up_rebase()
        return is_done

    def _give_up_rebase(self) -> None:
        """Go back to before a rebase that was not finished, if there is one."""
        if isdir(f"{self._git_directory()}/rebase-merge"):
            self._git.must(self.place, "rebase", "--abort")
        self._write_note({**self.note(), "rebasing": False})

    # Looking, and going

    def state(self) -> JsonObject:
        """Return whether something in it is not committed, or not in the branch that it came from, or what is wrong with it."""
        facts: JsonObject = {
            "path": self.place,
            "branch": self.branch,
            "is_dirty": False,
            "is_unmerged": False,
            "problem": None,
        }
        try:
            if not isdir(self.place):
                return facts
            if not self.is_whole():
                return {**facts, "problem": "it was not made to the end"}
            self._refuse_other_branches()
            return {**facts, "is_dirty": not self.is_clean(), "is_unmerged": not self._is_merged()}
        except AtmsError as error:
            return {**facts, "problem": error.message}

    def is_clean(self) -> bool:
        """Return whether everything in it is committed."""
        return not self._git.must(self.place, "status", "--porcelain")

    def _is_merged(self) -> bool:
        tip, into = self._tip(), f"refs/heads/{self.note().get('into')}"
        targets = ["HEAD", *([into] if self._git.commit_of(self._root, into) else [])]
        return tip is None or any(self._is_in(tip, target) for target in targets)

    def clean_up(self, *, is_merged: bool) -> str | None:
        """Remove it if it has no changes, and its branch if that is merged; return why it has to stay, or None."""
        if isdir(self.place):
            # What is on another branch, or on none, is not on ours.
            try:
                self._refuse_other_branches()
            except AtmsError as error:
                return error.message
            with self._registry() as git:
                ended = git.run(self._root, "worktree", "remove", self.place)
            if ended.exit_code != 0:
                return words(ended) if self.is_clean() else "something in it is not committed"
        tip = self._tip()
        if is_merged and tip is not None and self._is_in(tip, "HEAD"):
            with self._registry() as git:
                git.run(self._root, "branch", "--quiet", "-D", self.branch)
        # Last, so that a branch that is still to go is found again.
        for file in (self.ready_file, self._note_file):
            with suppress(FileNotFoundError):
                os.remove(file)
        return None

    def _tip(self) -> str | None:
        return self._git.commit_of(self._root, f"refs/heads/{self.branch}")

    def diff(self) -> str | None:
        """Return what the work changes, committed or not; None if there is neither worktree nor branch."""
        if self._tip() is None:
            return None
        base = self._git.must(self._root, "merge-base", "HEAD", self.branch)
        return (
            self._with_new_files(base) if isdir(self.place) else self._git.must(self._root, "diff", base, self.branch)
        )

    def changed(self, root: str) -> list[str]:
        """Return the paths, from a directory in it, that the work has changed as far as it is committed."""
        base = self._git.must(self._root, "merge-base", "HEAD", self.branch)
        return [*self._git.names(root, "diff", "--name-only", "--no-renames", "--relative", "-z", base, self.branch)]

    def _with_new_files(self, base: str) -> str:
        """Return a diff of the worktree against a commit that shows new files too, without touching its index."""
        copy = f"{self.place}.{os.getpid()}.index"
        index = self._git.must(self.place, "rev-parse", "--path-format=absolute", "--git-path", "index")
        try:
            shutil.copyfile(index, copy)
            self._git.must(self.place, "add", "--intent-to-add", "--all", GIT_INDEX_FILE=copy)
            return self._git.must(self.place, "diff", base, GIT_INDEX_FILE=copy)
        except OSError as error:
            raise AtmsError(f"cannot read {index}: {error.strerror}") from error
        finally:
            with suppress(FileNotFoundError):
                os.remove(copy)


def branch(task: str) -> str:
    """Return the branch of a task."""
    return f"atms/{task}"
