"""The record of one start, ever: who runs as it, under which keeper, and what it came to.

It is one file of JSON lines, `process.jsonl`, in a directory of its own: created before the start, empty and exclusively,
given a first line after it and a second one at the end. It outlives any process, but not a loss of power.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from atms_cli.system.launch import Outcome, Started
from atms_cli.system.tree import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_NAME = "process.jsonl"


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


def describe(directory: str) -> Record:
    """Read a record, however much of it there is."""
    try:
        with open(f"{directory}/{_NAME}", "rb") as file:
            lines = list(_whole_lines(file.read()))
    except FileNotFoundError:
        return Record()
    began = next((line for line in lines if "pid" in line), None)
    ended = next((line for line in lines if "status" in line), None)
    return Record(
        is_claimed=True,
        process=Started(began["id"], began["pid"], began["start_time"]) if began else None,
        keeper_pid=began["keeper_pid"] if began else 0,
        keeper_start_time=began["keeper_start_time"] if began else 0,
        outcome=Outcome.from_json(ended) if ended else None,
    )


def _whole_lines(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        try:
            plain = json.loads(line or b"null")
        except ValueError:  # its writer was killed in the middle
            continue
        if isinstance(plain, dict):
            yield plain


def claim(directory: str) -> int:
    """Create a record and give its descriptor; whatever goes wrong elsewhere, none is ever started from twice."""
    return os.open(f"{directory}/{_NAME}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def begun(started: Started, keeper: Mapping[str, int | None]) -> bytes:
    """Return the line that says what runs, and who keeps it."""
    return json.dumps({"event": "started", **started.to_json(), **keeper}).encode() + b"\n"


def ended(outcome: Outcome) -> bytes:
    """Return the line that says what it came to."""
    return json.dumps({"event": "ended", **outcome.to_json()}).encode() + b"\n"


def conclude(directory: str, line: bytes) -> None:
    """Write down what it came to: a line of `ended`."""
    record = os.open(f"{directory}/{_NAME}", os.O_WRONLY | os.O_APPEND)
    try:
        # On a line of its own, even if the one before was cut short.
        os.write(record, b"\n" + line)
    finally:
        os.close(record)
