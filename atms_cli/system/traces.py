"""What work in a directory leaves behind, by which one can tell that there was any: commits, and changed files."""

from __future__ import annotations

import os
from os.path import dirname, join

from atms_cli.errors import AtmsError
from atms_cli.system.capture import capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S = 20.0
#: Of the files that are changed so many are looked at.
_MOST_FILES = 2000
#: Codes of `git status` behind whose path stands another one.
_RENAMED = b"RC"
_CODE = 3


class Traces:
    """Asks git, without getting in the way of whoever works there."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {
            **{name: value for name, value in environ.items() if not name.startswith("GIT_")},
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }

    def commit(self, tree: str) -> str | None:
        """Return the commit that is checked out, None if nobody can tell."""
        said = self._git(tree, "rev-parse", "--verify", "--quiet", "HEAD")
        return said.decode().strip() or None

    def changed_at_ms(self, tree: str) -> int | None:
        """Return when a commit was last made or a file changed that git does not ignore, None if nobody can tell."""
        top = self._git(tree, "rev-parse", "--show-toplevel").decode(errors="surrogateescape").rstrip("\n")
        if not top:
            return None
        moves = self._git(tree, "rev-parse", "--git-path", "logs/HEAD").decode(errors="surrogateescape").rstrip("\n")
        paths = [join(tree, moves), *(join(top, name) for name in self._changed(tree))]
        times = [time for time in map(_changed_at_ms, paths) if time is not None]
        return max(times, default=None)

    def _changed(self, tree: str) -> list[str]:
        entries = self._git(tree, "status", "--porcelain", "-z", "--untracked-files=all").split(b"\0")
        found: list[str] = []
        while entries and len(found) < _MOST_FILES:
            entry = entries.pop(0)
            if not entry:
                continue
            found.append(os.fsdecode(entry[_CODE:]))
            if entry[0] in _RENAMED and entries:
                entries.pop(0)
        return found

    def _git(self, tree: str, *arguments: str) -> bytes:
        try:
            ended = capture(("git", *arguments), cwd=tree, env=self._environ, timeout_s=_TIMEOUT_S, apart=True)
        except AtmsError:
            return b""
        return ended.output if ended.exit_code == 0 else b""


def _changed_at_ms(path: str) -> int | None:
    """Return when a file was last written; for one that was deleted, when its directory was."""
    for each in (path, dirname(path)):
        try:
            return os.lstat(each).st_mtime_ns // 1_000_000
        except OSError:
            continue
    return None
