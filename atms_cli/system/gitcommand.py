"""Git for programs: always the same settings, whatever a person likes, and whatever hook it is called from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os.path import realpath

from atms_cli.errors import AtmsError
from atms_cli.system.capture import capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.system.capture import Captured

TIMEOUT_S = 300.0
#: Nobody is there to type a passphrase, and what a person likes in a terminal is not for a program to read.
_SETTINGS = (
    "-c", "commit.gpgsign=false", "-c", "gc.auto=0", "-c", "color.ui=false", "-c", "merge.ff=true", "-c", "commit.cleanup=whitespace",
    "-c", "core.quotePath=false", "-c", "rebase.autoStash=false", "-c", "rebase.updateRefs=false",
)  # fmt: skip
#: Gates decide what is good, not hooks; only where the branch of a person moves are that person's hooks called.
_WITHOUT_HOOKS = ("-c", "core.hooksPath=/dev/null")
#: What a person may have set for commits; other variables of git may point to a commit that is being made.
_KEPT = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")
#: Of whoever has told git no name.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "atms", "GIT_AUTHOR_EMAIL": "atms@localhost", "GIT_COMMITTER_NAME": "atms", "GIT_COMMITTER_EMAIL": "atms@localhost",
}  # fmt: skip

_COMMITTER = "user.email"


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git. What it starts keeps the descriptors `held`, so that whoever waits for a lock waits for git too."""

    environ: Mapping[str, str]
    held: Sequence[int] = ()
    #: What does not change: by directory where its repository is, and whether git knows who commits.
    _known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Git:
        """Return git for the environment of a process, which may be a hook's."""
        kept = {name: its for name, its in environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)}
        # Hooks of ours in git's settings have no path that could be taken away.
        return cls({**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C", "ATMS_SKIP_HOOKS": "1"})

    def holding(self, *descriptors: int) -> Git:
        """Return git that keeps more descriptors open as long as it runs."""
        return replace(self, held=(*self.held, *descriptors))

    def run(self, directory: str, *arguments: str, **variables: str) -> Captured:
        """Run git without hooks."""
        return self._run(directory, (*_WITHOUT_HOOKS, *arguments), variables)

    def run_with_hooks(self, directory: str, *arguments: str) -> Captured:
        """Run git as a person would, hooks and all."""
        return self._run(directory, arguments, {})

    def must(self, directory: str, *arguments: str, hint: str = "", **variables: str) -> str:
        """Run git without hooks and return what it says.

        Raises:
            AtmsError: it failed; the message is git's own.

        """
        ended = self.run(directory, *arguments, **variables)
        if ended.exit_code != 0:
            raise AtmsError(f"git {arguments[0]} failed: {words(ended)}", hint)
        return said(ended)

    def names(self, directory: str, *arguments: str) -> list[str]:
        """Return the names, each ended by a zero byte, that git says."""
        return [name for name in self.must(directory, *arguments).split("\0") if name]

    def commit_of(self, directory: str, ref: str) -> str | None:
        """Return the commit that a name stands for, or None."""
        found = self.run(directory, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return said(found) if found.exit_code == 0 else None

    def common(self, directory: str) -> str:
        """Return where the repository that a directory is in keeps what all of its worktrees share; asked once."""
        if directory not in self._known:
            self._known[directory] = realpath(
                self.must(directory, "rev-parse", "--path-format=absolute", "--git-common-dir")
            )
        return self._known[directory]

    def checked_out(self, directory: str) -> str:
        """Return the branch that is checked out somewhere, empty if it is none."""
        return said(self.run(directory, "symbolic-ref", "--quiet", "--short", "HEAD"))

    def _run(self, directory: str, arguments: Sequence[str], variables: Mapping[str, str]) -> Captured:
        return capture(
            ("git", *_SETTINGS, *arguments),
            cwd=directory,
            env={**self.environ, **self._identity(directory), **variables},
            timeout_s=TIMEOUT_S,
            apart=True,
            held=self.held,
        )

    def _identity(self, directory: str) -> Mapping[str, str]:
        if "GIT_COMMITTER_EMAIL" in self.environ:
            return {}
        if _COMMITTER not in self._known:
            asked = capture(("git", "config", _COMMITTER), cwd=directory, env=self.environ, timeout_s=TIMEOUT_S)
            self._known[_COMMITTER] = said(asked)
        return {} if self._known[_COMMITTER] else _IDENTITY


def said(ended: Captured) -> str:
    """Return what git said, without the last end of line."""
    return ended.output.decode(errors="surrogateescape").rstrip("\n")


def words(ended: Captured) -> str:
    """Return what git said about a failure."""
    spoken = ended.errors.decode(errors="replace").strip() or ended.output.decode(errors="replace").strip()
    return spoken or f"exit code {ended.exit_code}"
