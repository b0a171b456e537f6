"""A file system that goes wrong at a chosen change, for what runs with the library from faults.c preloaded."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import run  # noqa: TID251  a test stands outside
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import pytest

from tests.store.children import forked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SOURCE = Path(__file__).with_name("faults.c")
#: What a process ends with that dies at a change.
DIED = 77

WATCH, DIE, FULL_ONCE, FULL_FROM_THEN_ON, BROKEN_ONCE = range(5)


def preloading(into: Path) -> Mapping[str, str]:
    """Compile the library; return the environment of a process that is to have it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    library = into / "faults.so"
    run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}


@dataclass(frozen=True)
class Change:
    """What the library has seen, with the number of its last point."""

    point: int
    what: str
    path: str
    other: str
    size: int

    @property
    def points(self) -> range:
        return range(self.point - (self.what == "write"), self.point + 1)


def watched(directory: str, work: Callable[[], object], *, dies_at: int = 0) -> list[Change]:
    """Return the changes below a directory that a child makes, to its end or to its death."""
    with TemporaryFile() as log:

        def watching() -> None:
            arm(directory, DIE if dies_at else WATCH, dies_at, log.fileno())
            work()

        assert forked(watching) == (DIED if dies_at else 0)
        log.seek(0)
        rows = [line.decode().rstrip("\n").split("\t") for line in log]
    return [Change(int(point), what, path, other, int(size)) for point, what, path, other, size in rows]


def arm(directory: str, how: int, at: int = 0, log: int = -1) -> None:
    """Begin to count the changes below a directory, and let the one numbered `at` go wrong."""
    _library().faults_arm(os.fsencode(directory), how, ctypes.c_long(at), log)


def disarm() -> int:
    """Let everything go well again; return the number of points there were."""
    return int(_library().faults_disarm())


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.faults_disarm.restype = ctypes.c_long
    return library
