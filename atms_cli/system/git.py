"""Git's plumbing, one command at a time, away from the person's index, work tree and hooks."""

from __future__ import annotations

import os

from atms_cli.errors import AtmsError, UnavailableError
from atms_cli.system.capture import capture
from atms_cli.system.clock import SystemClock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

#: Commits on our refs are made by the program, not by the person.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "atms", "GIT_AUTHOR_EMAIL": "atms@localhost", "GIT_COMMITTER_NAME": "atms", "GIT_COMMITTER_EMAIL": "atms@localhost",
}  # fmt: skip
_TIMEOUT_S = 300.0
#: Variables that say how to reach a remote. The others may point to a commit that is being made: a hook sets them.
_KEPT = ("GIT_SSH", "GIT_CONFIG", "GIT_ASKPASS", "GIT_HTTP", "GIT_SSL", "GIT_PROXY", "GIT_EXEC_PATH")
#: A lock on a ref is held for milliseconds; one that is older was left by a git that was killed.
_LOCK_STALE_MS = 2000
#: No clean-up behind a person's back, none of their hooks, and patience with another sync of this clone.
_SETTINGS = (
    "-c",
    "gc.auto=0",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    f"core.filesRefLockTimeout={_LOCK_STALE_MS + 500}",
)
#: Signs of a remote that cannot be reached or broke off.
_UNREACHABLE = (
    "Could not resolve", "unable to access", "unable to connect", "Could not read from remote", "timed out", "hung up unexpectedly",
    "early EOF", "RPC failed",
)  # fmt: skip


class Git:
    """The repository that a directory is in."""

    def __init__(self, directory: str, environ: Mapping[str, str]) -> None:
        self._directory = directory
        # Never a prompt, never a pager, and never the index of a commit that is being made (a hook sets GIT_INDEX_FILE).
        self._environ = {
            **{name: value for name, value in environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)},
            **_IDENTITY,
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            "ATMS_SKIP_HOOKS": "1",  # of hooks in git's settings, which have no path
        }

    def run(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run one git command and return its output.

        Raises:
            AtmsError: it failed; the message is git's own.

        """
        ended = capture(
            ("git", *_SETTINGS, *arguments),
            cwd=self._directory,
            env=self._environ,
            given=given,
            timeout_s=_TIMEOUT_S,
        )
        if ended.exit_code != 0:
            words = ended.errors.decode(errors="replace").strip() or f"exit code {ended.exit_code}"
            raise AtmsError(f"git {arguments[0]} failed: {words}")
        return ended.output

    def lines(self, *arguments: str) -> list[str]:
        """Run one git command and return its output's lines."""
        return self.run(*arguments).decode(errors="surrogateescape").splitlines()

    def is_repository(self) -> bool:
        """Return whether the directory is in a git repository."""
        try:
            self.run("rev-parse", "--git-dir")
        except AtmsError as error:
            if "not a git repository" not in error.message:
                raise
            return False
        return True

    def ref(self, name: str) -> str | None:
        """Return the commit that a ref points to, or None."""
        found = self.lines("for-each-ref", "--format=%(objectname)", name)
        return found[0] if found else None

    def refs(self, prefix: str) -> dict[str, str]:
        """Return the refs below a prefix, by the rest of their names."""
        pairs = (line.split(" ", 1) for line in self.lines("for-each-ref", "--format=%(refname) %(objectname)", prefix))
        return {name.removeprefix(prefix): commit for name, commit in pairs}

    def files(self, commit: str) -> dict[str, tuple[str, int]]:
        """Return the blobs of a commit's tree by name, each with its id and size."""
        found: dict[str, tuple[str, int]] = {}
        for line in self.lines("ls-tree", "-l", commit):
            about, name = line.split("\t", 1)
            _, kind, oid, size = about.split()
            if kind == "blob":
                found[name] = (oid, int(size))
        return found

    def blob(self, oid: str) -> bytes:
        """Return the content of a blob."""
        return self.run("cat-file", "blob", oid)

    def add_blob(self, content: bytes) -> str:
        """Store a blob and return its id."""
        return self.run("hash-object", "-w", "--stdin", given=content).decode().strip()

    def commit_files(self, files: Mapping[str, str], parent: str | None, message: str) -> str:
        """Store a commit whose tree holds blobs by name; return its id."""
        listing = "".join(f"100644 blob {oid}\t{name}\n" for name, oid in sorted(files.items()))
        tree = self.run("mktree", given=listing.encode()).decode().strip()
        parents: Sequence[str] = ("-p", parent) if parent else ()
        return self.run("commit-tree", tree, *parents, "-m", message).decode().strip()

    def move(self, ref: str, commit: str, before: str | None) -> None:
        """Point a ref at a commit, unless somebody else has moved it."""
        self._past_stale_locks("update-ref", ref, commit, before or "0" * len(commit))

    def remotes(self) -> list[str]:
        """Return the names of the remotes."""
        return self.lines("remote")

    def push(self, remote: str, source: str, target: str) -> None:
        """Push one ref; never by force."""
        with _Network():
            self.run("push", "--no-verify", "--no-recurse-submodules", "--", remote, f"{source}:{target}")

    def fetch(self, remote: str, *refspecs: str) -> None:
        """Fetch refs and nothing else: no tags, no FETCH_HEAD; what is gone there stays here."""
        with _Network():
            self._past_stale_locks(
                "fetch", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--no-prune",
                "--refmap=", "--", remote, *refspecs,
            )  # fmt: skip

    def _past_stale_locks(self, *arguments: str) -> None:
        """Run a command that moves refs of ours, removing what a killed git left in its way."""
        try:
            self.run(*arguments)
        except AtmsError as error:
            if not _remove_stale_lock(error.message):
                raise
            self.run(*arguments)


def _remove_stale_lock(message: str) -> bool:
    """Remove the lock on a ref of ours that git complains of, if it is old; return whether to try again."""
    path = message.partition("Unable to create '")[2].partition("': File exists")[0]
    if "/refs/atms/" not in path or not path.endswith(".lock"):
        return False
    try:
        if SystemClock().now_ms() - os.stat(path).st_mtime_ns // 1_000_000 < _LOCK_STALE_MS:
            return False
        os.unlink(path)
    except FileNotFoundError:
        pass
    return True


class _Network:
    """Around a command that talks to a remote: one that cannot be reached is no mistake of anybody here."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (
            isinstance(error, AtmsError)
            and "[remote rejected]" not in error.message
            and any(sign in error.message for sign in _UNREACHABLE)
        ):
            raise UnavailableError(
                error.message, "nothing was lost; sync again when the remote can be reached"
            ) from error
