"""What a commit or a push brings, and nothing else: where it differs from the working tree, and a place where it is alone.

The working tree and the index of the person are only ever read.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from os.path import join, realpath

from atms_cli.errors import AtmsError
from atms_cli.system.capture import capture
from atms_cli.system.copies import TIMEOUT_S, Copies, Git, Place, patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Variables of a hook that say where the repository is; `Snapshots` says it itself.
_LOCATION = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
#: Read as it is: no index written, no question asked, no hook run, nothing started that stays.
_QUIETLY = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "ATMS_SKIP_HOOKS": "1"}
_UNMERGED = frozenset({"DD", "AU", "UD", "UA", "DU", "AA", "UU"})
#: Conflicts that are named in a message.
_NAMED = 5


class Snapshots:
    """What is staged or committed in the repository of a working tree."""

    def __init__(self, tree: str, directory: str, environ: Mapping[str, str]) -> None:
        self._tree = realpath(tree)
        self._directory = directory
        self._environ = environ
        self._found: Git | None = None
        self._common = ""

    # Finding

    @property
    def _git(self) -> Git:
        if self._found is None:
            self._found = self._find()
        return self._found

    def _find(self) -> Git:
        """Find the repository as git does: in a hook from what git says, else from the working tree."""
        is_told = any(name in self._environ for name in _LOCATION)
        asked = (
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--git-dir",
            "--git-common-dir",
            "--git-path",
            "index",
        )
        ended = capture(
            ("git", *asked),
            cwd=os.getcwd() if is_told else self._tree,
            env={**self._environ, **_QUIETLY},
            timeout_s=TIMEOUT_S,
        )
        if ended.exit_code != 0:
            words = ended.errors.decode(errors="replace").strip().removeprefix("fatal: ")
            raise AtmsError(
                f"no files that git could commit here: {words}", "call it in a working tree of a git repository"
            )
        top, git, self._common, index = os.fsdecode(ended.output).rstrip("\n").split("\n")
        kept = {name: value for name, value in self._environ.items() if name not in _LOCATION}
        return Git(git, top, index, {**kept, **_QUIETLY})

    # What differs

    def unstaged(self) -> list[str]:
        """Return the paths of the working tree that are not as the commit that is being made has them.

        Raises:
            AtmsError: paths are in conflict, so nothing can be committed.

        """
        entries = self._status()
        conflicts = [path for kind, path in entries if kind in _UNMERGED]
        if conflicts:
            raise AtmsError(
                f"in conflict: {', '.join(conflicts[:_NAMED])}{' …' if len(conflicts) > _NAMED else ''}",
                "resolve them, then: git add",
            )
        return [path for kind, path in entries if kind[1] != " "]

    def is_usual_index(self) -> bool:
        """Return whether what is committed is the usual index, which git finds in the working tree without being told."""
        return self._git.index == join(self._git.git, "index")

    def is_as(self, commit: str) -> bool:
        """Return whether the working tree is checked out at a commit, and nothing is changed."""
        head = self._git.run("rev-parse", "--verify", "--quiet", "HEAD").output.decode().strip()
        return head == commit and not self._status()

    def _status(self) -> list[tuple[str, str]]:
        """Return the paths that are not as in HEAD with git's two letters for each."""
        listed = self._git.must(
            "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=dirty", "--no-renames"
        )
        return [(os.fsdecode(entry[:2]), os.fsdecode(entry[3:])) for entry in listed.split(b"\0") if entry]

    # Places

    @contextmanager
    def here(self, note: str = "") -> Iterator[Place]:
        """Lend the working tree, which is exactly what is judged unless a note says otherwise."""
        before = patch(self._git, None) if note else b""
        yield Place(self._tree, self._git, self._git.top, None, before, notes=[note] if note else [])

    @contextmanager
    def staged(self) -> Iterator[Place]:
        """Lend a copy of what the commit that is being made will hold."""
        with self._copies().room() as room:
            # Of a copy of the index, since git would note in it what it has worked out.
            index = room.keep(self._git.index)
            tree = replace(self._git, index=index).text("write-tree")
            yield room.filled(tree, None)

    @contextmanager
    def committed(self, commit: str) -> Iterator[Place]:
        """Lend a copy of what a commit holds."""
        with self._copies().room() as room:
            yield room.filled(self._git.text("rev-parse", "--verify", f"{commit}^{{tree}}"), commit)

    def _copies(self) -> Copies:
        git = self._git
        return Copies(git, self._common, self._tree, self._directory)

    # What a push brings

    def upstream(self) -> tuple[str, str]:
        """Return the commit that a push of this branch would bring, and the one that the remote has, empty if none.

        Raises:
            AtmsError: there is no commit yet.

        """
        head = self._git.text("rev-parse", "--verify", "HEAD^{commit}")
        found = self._git.run("rev-parse", "--verify", "--quiet", "@{upstream}^{commit}")
        return head, found.output.decode().strip()

    def commit_of(self, name: str) -> str | None:
        """Return the commit that an object is or points to, None if it is none."""
        found = self._git.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return found.output.decode().strip() or None

    def base(self, commit: str, replaced: str, remote: str) -> str | None:
        """Return the commit since which a push brings changes, None if it brings all files."""
        there = self.commit_of(replaced) if replaced else None
        if there:
            return there
        new = self._git.text(
            "rev-list", "--topo-order", "--reverse", commit, "--not", f"--remotes={remote or '*'}"
        ).split()
        return self.commit_of(f"{new[0]}^") if new else commit
