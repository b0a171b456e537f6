"""Directories that a coding agent works in without asking first whether to trust them, in its own settings."""

from __future__ import annotations

import os
from os.path import dirname, exists, isdir, join, normpath

from atms_cli.errors import AtmsError
from atms_cli.store.featurefile import JsonFeatureFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Edit, JsonObject


def trust(home: str, where: Sequence[str], directory: str, *, ours: str, backups: str) -> None:
    """Add a directory to a list in a JSON file, and take those out that lie below `ours` and are gone.

    Raises:
        AtmsError: the file cannot be read or written, or has something else in the place of the list.

    """
    name, key = where
    file, wanted = JsonFeatureFile(join(home, name), backups=backups), normpath(directory)
    if not exists(file.path):
        _make_room(dirname(file.path))
        file.create({key: [wanted]})
        return

    def decide(document: JsonObject) -> list[Edit]:
        present = document.get(key, [])
        if not isinstance(present, list):
            raise AtmsError(f"{file.path}: `{key}` is no list", "correct the file")
        kept = [each for each in present if not _is_gone(str(each), ours)]
        after = kept if wanted in kept else [*kept, wanted]
        return [] if after == present else [("set", (key,), after)]

    file.change(decide)


def _is_gone(directory: str, ours: str) -> bool:
    return directory.startswith(f"{ours}/") and not isdir(directory)


def _make_room(directory: str) -> None:
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise AtmsError(f"cannot make {directory}: {error.strerror}", "check permissions and free space") from error
