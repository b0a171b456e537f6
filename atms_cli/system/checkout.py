"""A tree of files as git knows it: which there are, which have changed, and what is in them. Nothing is written, not even the index."""

from __future__ import annotations

import hashlib
import os
import stat
from os.path import join

from atms_cli.errors import AtmsError, NotFoundError
from atms_cli.system.capture import capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.system.capture import Captured

_TIMEOUT_S = 120.0
_SETTINGS = (
    "-c",
    "core.quotePath=false",
    "-c",
    "color.ui=false",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "diff.autoRefreshIndex=false",
)
_CHUNK = 1 << 20


class Checkout:
    """The files below a directory of a working tree; paths are from there."""

    def __init__(self, tree: str, environ: Mapping[str, str]) -> None:
        self._tree = tree
        # A hook's variables are about the commit that is being made.
        self._environ = {
            **{name: value for name, value in environ.items() if not name.startswith("GIT_")},
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }

    def is_there(self) -> bool:
        """Return whether the directory is in a working tree of git."""
        try:
            return self._run("rev-parse", "--is-inside-work-tree").output.strip() == b"true"
        except AtmsError:
            # Neither git nor a repository.
            return False

    def files(self) -> list[str]:
        """Return the files that are there, tracked or new, but for what is ignored."""
        gone = set(self._names("ls-files", "--deleted", "-z"))
        listed = self._names("ls-files", "--cached", "--others", "--exclude-standard", "-z")
        return sorted({path for path in listed if path not in gone})

    def changed(self, base: str | None) -> list[str]:
        """Return the paths that differ from the last commit, or from where the work left a base; new and deleted ones too.

        Raises:
            NotFoundError: there is no such base.

        """
        begun = self._began_at(base)
        if begun is None:
            return self.files()
        differing = self._names("diff", "--name-only", "--no-renames", "--relative", "-z", begun)
        return sorted({*differing, *self._names("ls-files", "--others", "--exclude-standard", "-z")})

    def _began_at(self, base: str | None) -> str | None:
        """Return the commit to compare with, None if there is none yet."""
        head = self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if base is None:
            return head.output.decode().strip() or None
        found = self._run("merge-base", base, "HEAD")
        if found.exit_code != 0:
            words = found.errors.decode(errors="replace").strip() or "it has no commit in common with this branch"
            raise NotFoundError(f"cannot compare with `{base}`: {words}", "name a branch, a tag or a commit")
        return found.output.decode().strip()

    def head(self) -> str | None:
        """Return the last commit, None if there is none."""
        return self._began_at(None)

    def diff(self, base: str | None) -> str:
        """Return what differs from the last commit, or from where the work left a base, without context and prefixes.

        Of new files every line counts as added.

        Raises:
            NotFoundError: there is no such base.

        """
        begun = self._began_at(base)
        if begun is None:
            return "".join(_as_added(self._tree, path) for path in self.files())
        fresh = self._names("ls-files", "--others", "--exclude-standard", "-z")
        return "".join([self._diff(begun), *(_as_added(self._tree, path) for path in fresh)])

    def _diff(self, begun: str) -> str:
        flags = ("--unified=0", "--no-prefix", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative")
        ended = self._run("diff", *flags, begun)
        if ended.exit_code != 0:
            raise AtmsError(f"git diff failed: {ended.errors.decode(errors='replace').strip()}")
        return ended.output.decode(errors="surrogateescape")

    def contents(self) -> dict[str, str] | None:
        """Return for each file what tells its content apart from any other; None if that cannot be told."""
        found: dict[str, str] = {}
        for line in self._names("ls-files", "--stage", "-z"):
            about, _, path = line.partition("\t")
            mode, content, _ = about.split()
            found[path] = f"{mode} {content}"
        for path in self._names("ls-files", "--modified", "--deleted", "--others", "--exclude-standard", "-z"):
            own = _content_id(join(self._tree, path))
            if own is None:
                return None
            found[path] = own
        return found

    def _names(self, *arguments: str) -> list[str]:
        ended = self._run(*arguments)
        if ended.exit_code != 0:
            raise AtmsError(f"git {arguments[0]} failed: {ended.errors.decode(errors='replace').strip()}")
        return [os.fsdecode(name) for name in ended.output.split(b"\0") if name]

    def _run(self, *arguments: str) -> Captured:
        return capture(
            ("git", *_SETTINGS, *arguments), cwd=self._tree, env=self._environ, timeout_s=_TIMEOUT_S, apart=True
        )


def _as_added(tree: str, path: str) -> str:
    """Return the diff that adds a file, without what is in its lines."""
    try:
        with open(join(tree, path), "rb") as file:
            lines = file.read().count(b"\n") + 1
    except OSError:
        return ""
    return f"+++ {path}\n@@ -0,0 +1,{lines} @@\n" + "+\n" * lines


def _content_id(path: str) -> str | None:
    """Return what git would call the content of a file, `gone` if there is none; None for what is no file."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return f"120000 {_blob(os.fsencode(os.readlink(path)))}"
        if not stat.S_ISREG(status.st_mode):
            return None  # a submodule, a socket: what is in it is not for us to tell
        with open(path, "rb") as file:
            content = hashlib.sha1(b"blob %d\0" % status.st_size, usedforsecurity=False)
            while chunk := file.read(_CHUNK):
                content.update(chunk)
    except FileNotFoundError:
        return "gone"
    except OSError:
        return None
    return f"{'100755' if status.st_mode & stat.S_IXUSR else '100644'} {content.hexdigest()}"


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
