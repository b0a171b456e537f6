"""The files of attempts and gate runs: output, prompt, exit status."""

from __future__ import annotations

import os
from os.path import join

from atms_cli.errors import AtmsError

_TAIL_BYTES = 65_536


class RunDirectories:
    """One directory for each run below `.atms/runs`."""

    def __init__(self, root: str) -> None:
        self._root = root

    def prepare(self, run: str) -> str:
        """Make a run's directory and return its path."""
        directory = join(self._root, run)
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise AtmsError(f"cannot make {directory}: {error.strerror}", "check permissions and free space") from error
        return directory

    def path(self, run: str, name: str) -> str:
        """Return where a file of a run lies."""
        return join(self._root, run, name)

    def write(self, run: str, name: str, text: str) -> str:
        """Write a file of a run and return its path."""
        path = join(self.prepare(run), name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def tail(self, run: str, name: str, lines: int) -> str:
        """Return the last lines of a file, empty if there is none."""
        try:
            with open(self.path(run, name), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - _TAIL_BYTES))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""
