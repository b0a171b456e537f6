"""What keepers have begun and seen end: files of JSON lines, each written by one keeper alone.

A start is claimed before it, noted after it, and concluded at its end, a line each. A ledger outlives any process, but not a
loss of power; it is of no use any more when its keeper is gone and all that it tells of is settled.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from errno import ENOSPC
from os.path import join

from atms_cli.errors import ConflictError
from atms_cli.system.launch import Outcome, Started
from atms_cli.system.tree import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

#: A keeper begins another file beyond this size; what ended before the one before was settled long ago, and goes.
MOST_BYTES = 8 << 20
_SUFFIX = ".jsonl"
#: In the name of a file: pid and start time of its keeper, and a number.
_PARTS = 3
#: With more runs than this to look for, every line is read instead of searched.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Record:
    """What is known on disk of one start: `process` lacks if nothing began, or its keeper died at that very moment."""

    is_claimed: bool = False
    process: Started | None = None
    keeper_pid: int = 0
    keeper_start_time: int = 0
    outcome: Outcome | None = None

    def is_kept(self) -> bool:
        """Tell whether the keeper that will write the outcome is alive."""
        return is_alive(self.keeper_pid, self.keeper_start_time)


def describe(directory: str, run_id: str) -> Record:
    """Read what ledgers tell of one start."""
    return describe_all(directory, [run_id])[run_id]


def describe_all(directory: str, ids: Collection[str]) -> dict[str, Record]:
    """Read what ledgers tell of starts, in one pass."""
    claims: dict[str, tuple[int, int]] = {}
    began: dict[str, Started] = {}
    ended: dict[str, Outcome] = {}
    for keeper, line in _lines(directory, ids):
        run_id = str(line.get("id"))
        if run_id not in ids:
            continue
        claims[run_id] = keeper
        if line["event"] == "started":
            began[run_id] = Started(run_id, line["pid"], line["start_time"])
        elif line["event"] == "ended":
            ended[run_id] = Outcome.from_json(line)
    return {
        run_id: Record(run_id in claims, began.get(run_id), *claims.get(run_id, (0, 0)), ended.get(run_id))
        for run_id in ids
    }


def _lines(directory: str, ids: Collection[str]) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    wanted = [run_id.encode() for run_id in ids]
    for name in _names(directory):
        for line in _content(join(directory, name)).split(b"\n"):
            if len(wanted) > _FEW or any(each in line for each in wanted):
                yield _keeper_of(name), _parsed(line)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(line or b"{}")
    except ValueError:  # its writer was killed in the middle
        return {}
    return plain if isinstance(plain, dict) else {}


def _names(directory: str) -> list[str]:
    """Return the ledgers in a directory, of each keeper the older files first."""
    try:
        return sorted((name for name in os.listdir(directory) if len(_place(name)) == _PARTS), key=_place)
    except FileNotFoundError:
        return []


def _place(name: str) -> tuple[int, ...]:
    parts = name.removesuffix(_SUFFIX).split("-")
    return tuple(int(part) for part in parts if part.isdecimal())


def _keeper_of(name: str) -> tuple[int, int]:
    pid, born, _ = _place(name)
    return pid, born


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:  # the loop or its keeper has tidied up
        return b""


def forget(directory: str, unsettled: Collection[str]) -> None:
    """Remove the ledgers of dead keepers that tell of nothing that is not settled."""
    for name in _names(directory):
        if is_alive(*_keeper_of(name)):
            continue
        content = _content(join(directory, name))
        if not any(run_id.encode() in content for run_id in unsettled):
            os.unlink(join(directory, name))


class Ledger:
    """The ledger of the keeper that this process is."""

    def __init__(self, directory: str, start_time: int) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._path = join(directory, f"{os.getpid()}-{start_time}-{{}}{_SUFFIX}")
        self._number = 0
        #: What runs, with the lines that say so.
        self._running: dict[str, bytes] = {}
        #: What was claimed in any file that is still there.
        self._claimed = [self._claims_in(directory), set[str]()]
        self._open()

    @staticmethod
    def _claims_in(directory: str) -> set[str]:
        contents = (_content(join(directory, name)) for name in _names(directory))
        lines = (line for content in contents for line in content.split(b"\n") if b'"claimed"' in line)
        return {str(claim["id"]) for claim in map(_parsed, lines) if "id" in claim}

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._path.format(self._number), flags, 0o600)
        self._size = 0

    def claim(self, run_id: str) -> None:
        """Put the intent of a start on record; whatever goes wrong elsewhere, nothing is ever started twice.

        Raises:
            ConflictError: it is on record already.
            OSError: it cannot be written.

        """
        if any(run_id in claimed for claimed in self._claimed):
            raise ConflictError(f"`{run_id}` has been started before")
        if self._size > MOST_BYTES:
            self._begin_another()
        self._write(run_id, json.dumps({"event": "claimed", "id": run_id}).encode())
        self._claimed[-1].add(run_id)

    def note(self, run_id: str, line: bytes) -> None:
        """Write down what runs: a line of `begun`."""
        self._write(run_id, line)

    def conclude(self, run_id: str, line: bytes) -> None:
        """Write down what it came to: a line of `ended`."""
        self._write(run_id, line)
        del self._running[run_id]

    def _write(self, run_id: str, line: bytes) -> None:
        self._running[run_id] = line
        # On a line of its own, even if the one before was cut short by a full disk.
        written = os.write(self._file, b"\n" + line)
        self._size += written
        if written <= len(line):
            raise OSError(ENOSPC, os.strerror(ENOSPC))

    def _begin_another(self) -> None:
        os.close(self._file)
        self._number += 1
        self._claimed = [self._claimed[-1], set()]
        self._open()
        for run_id, line in list(self._running.items()):
            self._write(run_id, line)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path.format(self._number - 2))


def begun(started: Started) -> bytes:
    """Return the line that says what runs."""
    return json.dumps({"event": "started", **started.to_json()}).encode() + b"\n"


def ended(outcome: Outcome) -> bytes:
    """Return the line that says what a run came to."""
    return json.dumps({"event": "ended", **outcome.to_json()}).encode() + b"\n"
