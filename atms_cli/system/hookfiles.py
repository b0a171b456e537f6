"""Where git looks for hooks in this repository, and changing the files and settings there: whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from os.path import basename, dirname, exists, isabs, join, lexists, realpath

from atms_cli.errors import AtmsError
from atms_cli.system.capture import capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S = 60.0
_LEFTHOOK = tuple(f"{dot}lefthook.{kind}" for dot in ("", ".", ".config/") for kind in ("yml", "yaml", "toml", "json"))


class HookFiles:
    """The hooks of the repository that a directory is in."""

    def __init__(self, directory: str, environ: Mapping[str, str]) -> None:
        self._directory = directory
        # Of this directory's repository, also if we are called from a hook of another one.
        self._environ = {
            **{name: value for name, value in environ.items() if not name.startswith("GIT_") or "CONFIG" in name},
            "LC_ALL": "C",
        }

    def version(self) -> str:
        """Return what git says its version is."""
        return self._must("version")

    def directory(self) -> str:
        """Return the absolute path of the directory with the hooks that git calls here.

        Raises:
            AtmsError: this is no git repository.

        """
        ended = self._git("rev-parse", "--path-format=absolute", "--git-path", "hooks")
        if ended is None:
            raise AtmsError(f"{self._directory} is in no git repository, so it has no hooks", "make one: git init")
        return os.path.normpath(ended)

    def is_private(self, directory: str) -> bool:
        """Return whether hooks there are of this clone alone: they lie in its git directory."""
        return _is_in(directory, self._must("rev-parse", "--path-format=absolute", "--git-common-dir"))

    def is_shared(self, directory: str) -> bool:
        """Return whether hooks there are files of this repository, for everybody who works on it."""
        top = self._git("rev-parse", "--show-toplevel")
        return top is not None and _is_in(directory, top)

    def origin(self) -> str:
        """Return from which settings git has the directory of hooks, like `global`; empty if from none."""
        return (self._git("config", "--show-scope", "--get", "core.hooksPath") or "").partition("\t")[0]

    def lefthook(self, mention: str) -> tuple[str, bool] | None:
        """Return the file that tells lefthook what to do, and whether it mentions something; None without lefthook."""
        top = self._git("rev-parse", "--show-toplevel") or self._directory
        found = [join(top, name) for name in _LEFTHOOK if exists(join(top, name))]
        return (found[0], any(mention in self._text(path) for path in found)) if found else None

    def _text(self, path: str) -> str:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def program(self) -> str | None:
        """Return the absolute path of this program, None if it was called in another way."""
        beside = join(dirname(sys.executable), "atms")
        called = os.path.abspath(sys.argv[0])
        return next((path for path in (beside, called) if basename(path) == "atms" and os.access(path, os.X_OK)), None)

    # Settings

    def configured(self, name: str) -> str | None:
        """Return a setting of this repository."""
        return self._git("config", "--local", "--get", name)

    def configure(self, name: str, value: str) -> None:
        """Change a setting of this repository."""
        self._must("config", "--local", name, value)

    def forget(self, section: str) -> None:
        """Remove a section of this repository's settings."""
        self._must("config", "--local", "--remove-section", section)

    # Files

    def read(self, path: str) -> tuple[bytes, bool, bool] | None:
        """Return what is in a hook, whether git would run it, and whether it is a link; None if there is none."""
        if not lexists(path):
            return None
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise AtmsError(f"cannot read the hook {path}: {error.strerror}", "check what it is") from error
        return content, os.access(path, os.X_OK), os.path.islink(path)

    def make(self, path: str, content: bytes) -> None:
        """Write a hook that git runs, whatever has the name now."""
        os.makedirs(dirname(path), exist_ok=True)
        mask = os.umask(0)
        os.umask(mask)
        self._write(path, content, 0o777 & ~mask)

    def rewrite(self, path: str, content: bytes) -> None:
        """Write other content into a hook that is there; its mode stays."""
        self._write(path, content, stat.S_IMODE(os.stat(path).st_mode))

    def _write(self, path: str, content: bytes, mode: int) -> None:
        fresh = f"{path}.{os.getpid()}.new"
        try:
            with open(fresh, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(fresh, mode)
            os.replace(fresh, path)
        finally:
            if exists(fresh):
                os.remove(fresh)

    def set_aside(self, path: str, aside: str) -> None:
        """Give a hook a second name; the first one is written over next, so that there is a hook at any time."""
        if lexists(aside):
            if os.path.samestat(os.lstat(path), os.lstat(aside)):
                return
            raise AtmsError(f"{aside} is in the way", "look at it, and give it another name")
        os.link(path, aside, follow_symlinks=False)

    def put_back(self, aside: str, path: str) -> None:
        """Give a hook its own name again."""
        os.replace(aside, path)

    def remove(self, path: str) -> None:
        """Remove a hook."""
        os.remove(path)

    def _git(self, *arguments: str) -> str | None:
        ended = capture(("git", *arguments), cwd=self._directory, env=self._environ, timeout_s=_TIMEOUT_S)
        return os.fsdecode(ended.output).removesuffix("\n") if ended.exit_code == 0 else None

    def _must(self, *arguments: str) -> str:
        ended = capture(("git", *arguments), cwd=self._directory, env=self._environ, timeout_s=_TIMEOUT_S)
        if ended.exit_code != 0:
            raise AtmsError(f"git {arguments[0]} failed: {ended.errors.decode(errors='replace').strip()}")
        return os.fsdecode(ended.output).removesuffix("\n")


def _is_in(path: str, directory: str) -> bool:
    real = realpath(directory)
    return isabs(path) and f"{realpath(path)}/".startswith(f"{real}/")
