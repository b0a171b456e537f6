"""Moving the branch of a person on to a commit, with its files, as the person would: their hooks are heard."""

from __future__ import annotations

from os.path import join, lexists

from atms_cli.errors import AtmsError
from atms_cli.system.gitcommand import said, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.system.gitcommand import Git


def move_on(git: Git, root: str, target: str, commit: str) -> str | None:
    """Move what is checked out in a directory from a commit to one that follows it; return why that was refused, or None."""
    try:
        detail = _fast_forward(git, root, target, commit)
    except AtmsError as error:
        detail = error.message
    # Whatever it said, also a hook afterwards that failed or never ended: this is what counts.
    if git.must(root, "rev-parse", "HEAD") == commit:
        return None
    if git.run(root, "diff", "--cached", "--quiet", commit).exit_code == 0:
        # A hook forbade it when the files had been changed already.
        git.run(root, "read-tree", "-m", "-u", commit, target)
    return detail


def _fast_forward(git: Git, root: str, target: str, commit: str) -> str:
    move = ("merge", "--quiet", "--ff-only", commit)
    ended = git.run_with_hooks(root, *move)
    moved = _half_moved(git, root, target, commit) if ended.exit_code != 0 else []
    if moved:
        # They are as they will be; only the index does not know it.
        top = git.must(root, "rev-parse", "--show-toplevel")
        git.must(top, "reset", "--quiet", commit, "--", *moved)
        ended = git.run_with_hooks(root, *move)
        if ended.exit_code != 0:
            git.must(top, "reset", "--quiet", target, "--", *moved)
    return words(ended)


def _half_moved(git: Git, root: str, target: str, commit: str) -> list[str]:
    """Return the files that are as in a commit already, because a git was killed while it moved on to it."""
    changed = {*git.names(root, "diff", "--name-only", "-z", "--no-renames", target, commit)}
    top = git.must(root, "rev-parse", "--show-toplevel")
    status = git.names(top, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    # What somebody has told the index is not ours.
    names = [line[3:] for line in status if line[0] in " ?" and line[3:] in changed]
    return [name for name in names if _is_as_in(git, top, name, commit)]


def _is_as_in(git: Git, top: str, name: str, commit: str) -> bool:
    wanted = git.run(top, "rev-parse", "--verify", "--quiet", f"{commit}:{name}")
    if not lexists(join(top, name)):
        return wanted.exit_code != 0
    present = git.run(top, "hash-object", "--", name)
    return wanted.exit_code == 0 and present.exit_code == 0 and said(present) == said(wanted)
