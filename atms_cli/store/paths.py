"""What lies where in a workspace, and finding the workspace from any directory."""

from __future__ import annotations

import os
from os.path import exists, isdir, isfile, join

from atms_cli.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = ".atms"
CONFIG = "atms.yaml"
JOURNAL = "journal"
#: A whole journal that `atms restore` is about to put in the place of the present one.
RESTORED = "journal.new"
REPLICA = "replica"
INDEX = "index.sqlite"
LOCK = "lock"
SYNC = "sync"
RUN_LOCK = "run.lock"
COMPACT_LOCK = "compact.lock"
KEEPER_LOCK = "keeper.lock"
KEEPER_LOG = "keeper.log"
LEDGERS = "keepers"
COMPILED_CONFIG = "config.json"
RUNS = "runs"
WORKTREES = "worktrees"
GATE_PASSES = "gate-passes"
#: Copies of what is committed or pushed, while gates judge them.
STAGED = "staged"
BACKUPS = "backups"
OUTPUT = "output.log"
PROMPT = "prompt.md"


def find_root(start: str, environ: Mapping[str, str]) -> str:
    """Return the directory that holds `.atms`, from ATMS_WORKSPACE or upward from `start`.

    Inside a linked git worktree it is the main repository's, so that every agent sees one queue.

    Raises:
        NotFoundError: there is none.

    """
    named = environ.get("ATMS_WORKSPACE")
    if named:
        return check_root(named)
    directory = start
    while True:
        if isdir(join(directory, DIRECTORY)):
            return directory
        main = _main_worktree(join(directory, ".git"))
        if main is not None and isdir(join(main, DIRECTORY)):
            return main
        parent = os.path.dirname(directory)
        if parent == directory:
            raise NotFoundError(f"no workspace in {start} or above", "make one here: atms init")
        directory = parent


def linked_worktree(start: str) -> str | None:
    """Return the linked git worktree that a directory is in, or None."""
    directory = start
    while not isdir(join(directory, ".git")):
        if _main_worktree(join(directory, ".git")) is not None:
            return directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    return None


def check_root(directory: str) -> str:
    """Return the absolute path of a workspace named by hand."""
    root = os.path.abspath(directory)
    if not isdir(join(root, DIRECTORY)):
        raise NotFoundError(f"no workspace in {root}", f"make one: atms --workspace {directory} init")
    return root


def _main_worktree(git_file: str) -> str | None:
    """Return the main worktree's directory if `.git` is the file of a linked one (gitrepository-layout(5))."""
    if not isfile(git_file):
        return None
    with open(git_file, encoding="utf-8") as file:
        # Relative to the file since git 2.48, if git is asked for it (worktree.useRelativePaths).
        git_directory = join(os.path.dirname(git_file), file.read().strip().removeprefix("gitdir: "))
    common = join(git_directory, "commondir")
    if not exists(common):
        return None
    with open(common, encoding="utf-8") as file:
        return os.path.dirname(os.path.normpath(join(git_directory, file.read().strip())))
