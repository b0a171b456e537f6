"""Roadmaps to try things on."""

from __future__ import annotations

import json
import os
from multiprocessing import get_context
from typing import TYPE_CHECKING

from atms_cli.domain.feature import skeleton
from atms_cli.store.featurefile import JsonFeatureFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from atms_cli.domain.records import Edit, JsonObject

NOW = "2026-01-02T03:04:05.678Z"
PLAIN = json.dumps(skeleton("p", NOW), indent=2)
#: Enough for slow disks; no test waits for it.
AMPLE_WAIT_S = 120.0
spawning = get_context("spawn")


def feature_file(directory: Path, text: str | None = PLAIN, lock_wait_s: float = AMPLE_WAIT_S) -> JsonFeatureFile:
    path, backups = directory / "FEATURES.json", directory / "backups"
    if text is not None:
        path.write_bytes(text.encode())
    return JsonFeatureFile(str(path), backups=str(backups), now=lambda: "20260102T030405Z", lock_wait_s=lock_wait_s)


def rename_project(document: JsonObject) -> list[Edit]:
    return [("set", ("project",), f"{document['project']}!")]


def making(*edits: Edit) -> Callable[[JsonObject], list[Edit]]:
    return lambda _: list(edits)


def assert_nothing_left(directory: Path) -> None:
    assert {path.name for path in directory.iterdir()} <= {"FEATURES.json", "backups", "real.json"}
    assert not [path.name for path in directory.glob("backups/*.tmp")]


def taken_as_the_original(lock: Path) -> Path:
    """Take the lock as `taskmanager-api.js` does: created empty, then filled; a dead or an empty one is stolen."""
    while True:
        try:
            with lock.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            if is_stealable(lock):
                lock.unlink(missing_ok=True)
        else:
            return lock


def is_stealable(lock: Path) -> bool:
    try:
        os.kill(int(lock.read_text()), 0)
    except FileNotFoundError:
        return False
    except (ValueError, ProcessLookupError):
        return True
    return False
