"""Copies of what is committed or pushed, in directories that nobody else knows of.

A copy is a work tree of the person's repository with a git directory of its own, so that git in it finds the same commits,
and what is staged. It does not stand in the repository's list of worktrees: a kill leaves nothing there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from os.path import commonpath, dirname, exists, isdir, join, normpath, realpath, relpath

from atms_cli.errors import AtmsError
from atms_cli.system import surroundings
from atms_cli.system.capture import capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atms_cli.system.capture import Captured

TIMEOUT_S = 600.0
_SETTINGS = ("-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false", "-c", "submodule.recurse=false")
#: The copy is gone before a daemon that watches it would have paid.
_UNWATCHED = ("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false")
#: A merge that is being committed, and which part of the tree a person wants to see.
_TAKEN_ALONG = ("MERGE_HEAD", "MERGE_MSG", "info/sparse-checkout", "config.worktree")
_SUBMODULE = b"160000 "


@dataclass(frozen=True, slots=True)
class Git:
    """Git with a git directory, a work tree and an index, wherever this process is."""

    git: str
    top: str
    index: str
    environ: Mapping[str, str]

    def run(self, *arguments: str) -> Captured:
        """Run one git command to its end, however that is."""
        location = {"GIT_DIR": self.git, "GIT_WORK_TREE": self.top, "GIT_INDEX_FILE": self.index}
        return capture(
            ("git", *_SETTINGS, *arguments), cwd=self.top, env={**self.environ, **location}, timeout_s=TIMEOUT_S
        )

    def must(self, *arguments: str) -> bytes:
        """Run one git command and return its output.

        Raises:
            AtmsError: it failed; the message is git's own.

        """
        ended = self.run(*arguments)
        if ended.exit_code != 0:
            words = ended.errors.decode(errors="replace").strip() or f"exit code {ended.exit_code}"
            raise AtmsError(f"git {_command(arguments)} failed: {words}")
        return ended.output

    def text(self, *arguments: str) -> str:
        """Run one git command and return its output as text."""
        return os.fsdecode(self.must(*arguments)).strip("\n")


@dataclass(frozen=True, slots=True)
class Place:
    """Where gates find the files."""

    tree: str
    git: Git
    #: The top of the person's working tree.
    origin: str
    #: What the files are compared with: a tree; the index if none is named.
    against: str | None = None
    #: How they differed to begin with, as a patch.
    before: bytes = b""
    environ: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    is_copy: bool = False

    def changed(self) -> bytes:
        """Return as a patch how tracked files differ, empty if that is as it was to begin with."""
        now = patch(self.git, self.against)
        return b"" if now == self.before else now


def patch(git: Git, against: str | None) -> bytes:
    """Return how tracked files differ from a tree, or from the index if none is named, in a form that git can apply."""
    form = (
        "--binary",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        "--no-renames",
        "--src-prefix=a/",
        "--dst-prefix=b/",
    )
    return git.must("diff", *form, "--ignore-submodules=all", *filter(None, [against]))


def _command(arguments: Sequence[str]) -> str:
    return next(word for word in arguments if not word.startswith("-") and "=" not in word)


class Copies:
    """The directory with the copies of a working tree."""

    def __init__(self, git: Git, common: str, tree: str, directory: str) -> None:
        self.git = git
        self.common = common
        self.tree = tree
        self.directory = directory

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Lend an empty directory; it is locked while it is in use, so that what a kill leaves can be told from it."""
        os.makedirs(self.directory, exist_ok=True)
        self._sweep()
        path, lock = self._locked()
        try:
            yield Room(self, path)
        finally:
            _remove(path)
            os.close(lock)

    def _locked(self) -> tuple[str, int]:
        """Make a directory and lock it."""
        while True:
            path = join(self.directory, os.urandom(4).hex())
            os.mkdir(path)
            # Somebody may sweep it away before it is locked.
            with suppress(FileNotFoundError):
                lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(lock, fcntl.LOCK_EX)
                if exists(path):
                    return path, lock
                os.close(lock)

    def _sweep(self) -> None:
        """Remove copies whose process has died."""
        for name in os.listdir(self.directory):
            with suppress(OSError):
                lock = os.open(join(self.directory, name), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(join(self.directory, name))
                finally:
                    os.close(lock)


class Room:
    """A directory for one copy."""

    def __init__(self, copies: Copies, path: str) -> None:
        self._of = copies
        self._path = path

    def keep(self, source: str) -> str:
        """Copy a file, if it is there, and return its place here."""
        target = join(self._path, "kept")
        _copy_if_there(source, target)
        return target

    def filled(self, tree: str, commit: str | None) -> Place:
        """Return the copy of a tree; HEAD in it is a commit, or what it is in the working tree."""
        git, top = self._of.git, self._of.git.top
        copy = self._check_out(tree, f"{commit}\n".encode() if commit else _read(join(git.git, "HEAD")))
        listed = git.must("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
        ignored = [os.fsdecode(path) for path in listed.split(b"\0") if path]
        surroundings.provide(ignored, top, copy.top, without=dirname(realpath(self._of.directory)))
        notes = self._place_submodules(copy)
        inside = relpath(self._of.tree, top) if commonpath((top, self._of.tree)) == top else "."
        environ = surroundings.python_path(ignored, top, copy.top, git.environ)
        # Files that a filter changes whenever they are written differ from the beginning.
        before = patch(copy, tree)
        return Place(normpath(join(copy.top, inside)), copy, top, tree, before, environ, notes, is_copy=True)

    def _check_out(self, tree: str, head: bytes) -> Git:
        """Make a work tree with a git directory of its own and fill it."""
        git, top = join(self._path, "git"), join(self._path, "tree")
        os.makedirs(join(git, "info"))
        os.mkdir(top)
        _write(join(git, "HEAD"), head)
        _write(join(git, "commondir"), os.fsencode(f"{self._of.common}\n"))
        _write(join(top, ".git"), os.fsencode(f"gitdir: {git}\n"))
        for name in _TAKEN_ALONG:
            _copy_if_there(join(self._of.git.git, name), join(git, name))
        copy = Git(git, top, join(git, "index"), self._of.git.environ)
        if exists(join(git, "config.worktree")):
            for name in ("core.worktree", "core.bare"):
                copy.run("config", "--file", join(git, "config.worktree"), "--unset-all", name)
        copy.must(*_UNWATCHED, "read-tree", "--reset", "-u", tree)
        return copy

    def _place_submodules(self, copy: Git) -> list[str]:
        """Put those submodules into a copy that are checked out at the commit it names; return what to say of the others."""
        if not exists(join(copy.top, ".gitmodules")):
            return []
        entries = copy.must("ls-files", "--stage", "-z").split(b"\0")
        notes = [self._place_submodule(copy, entry) for entry in entries if entry.startswith(_SUBMODULE)]
        return [note for note in notes if note]

    def _place_submodule(self, copy: Git, entry: bytes) -> str:
        about, _, name = entry.partition(b"\t")
        path, commit = os.fsdecode(name), about.split()[1].decode()
        source = join(self._of.git.top, path)
        if not exists(join(source, ".git")) or self._ask(source, "HEAD") != commit:
            return f"the submodule {path} is not checked out at {commit[:10]}, so gates find it empty"
        surroundings.mirror(source, join(copy.top, path), but=(".git",))
        _write(join(copy.top, path, ".git"), os.fsencode(f"gitdir: {self._ask(source, '--absolute-git-dir')}\n"))
        return ""

    def _ask(self, submodule: str, what: str) -> str:
        argv = ("git", "rev-parse", what)
        ended = capture(argv, cwd=submodule, env=self._of.git.environ, timeout_s=TIMEOUT_S)
        return os.fsdecode(ended.output).rstrip("\n")


def _copy_if_there(source: str, target: str) -> None:
    with suppress(FileNotFoundError):
        shutil.copyfile(source, target)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _remove(room: str) -> None:
    """Remove a copy, also with directories that a gate has made read-only; what cannot be removed is swept up later."""
    if not isdir(room):
        return
    shutil.rmtree(room, ignore_errors=True)
    if exists(room):
        for directory, _, _ in os.walk(room):
            with suppress(OSError):
                os.chmod(directory, 0o700)
        shutil.rmtree(room, ignore_errors=True)
