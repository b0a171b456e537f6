"""Gates that have passed, by all that their results follow from; may be deleted at any time."""

from __future__ import annotations

import os
from contextlib import suppress
from os.path import join

from atms_cli.errors import AtmsError
from atms_cli.store.jsontext import decode, encode
from atms_cli.store.settings import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject

#: The oldest are removed beyond so many.
_MOST = 1000


class GatePasses:
    """A file for each pass, in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def get(self, key: str) -> JsonObject | None:
        """Return what is kept, None if nothing is or it cannot be read."""
        try:
            with open(join(self._directory, f"{key}.json"), encoding="utf-8") as file:
                kept = decode(file.read())
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) else None

    def put(self, key: str, kept: JsonObject) -> None:
        """Keep a pass; where it cannot be written, the gate will just run again."""
        with suppress(OSError, AtmsError):
            os.makedirs(self._directory, exist_ok=True)
            write_atomically(join(self._directory, f"{key}.json"), encode(kept).encode())
            self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        with os.scandir(self._directory) as entries:
            ages = sorted((entry.stat().st_mtime_ns, entry.path) for entry in entries)
        for _, path in ages[:-_MOST]:
            with suppress(FileNotFoundError):
                os.remove(path)
