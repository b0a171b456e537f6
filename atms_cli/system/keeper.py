"""The keeper: starts and watches the commands of one loop, and outlives it until the last of them has ended.

`python -m atms_cli.system.keeper LOCKFILE LEDGERS` reads requests from its standard input and writes messages to its standard
output, one JSON object a line; keeper_client.py is the other end.

    {"op": "start", "launch": {...}}
    {"op": "adopt", "id", "pid", "start_time", "timeout_s", "grace_s", "output", "output_max"}
    {"op": "kill", "id", "reason", "verdict"}    {"op": "kill_now", "id", "reason"}

    {"event": "ready"}    {"event": "started", "id", "pid", "start_time"}
    {"event": "refused", "id", "error"}    {"event": "ended", ...outcome}

It holds the lock for as long as it may still read requests. So whoever gets the lock next knows that every start ever
ordered from this keeper has either left its trace in a ledger or never will: not even a half-made child is missing,
for it holds a copy of the lock's descriptor until its command begins. What has begun carries its marker.

What it begins and sees end is written into a ledger (ledger.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, replace

from atms_cli.errors import ConflictError
from atms_cli.system.launch import GRACE_S, Launch, Outcome, Started
from atms_cli.system.ledger import Ledger, begun, describe, ended
from atms_cli.system.process import Processes
from atms_cli.system.tree import start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

#: How long a keeper that lives has to record the end of a tree that is gone.
RECORD_WAIT_S = 2.0
#: How often we look whether it has.
RECORD_LOOK_S = 0.005

_REQUESTS = 0
_MESSAGES = 1
_LOG = 2


@dataclass(slots=True)
class _Awaited:
    """An adopted tree that has ended; its outcome should come from the keeper that started it."""

    outcome: Outcome
    ledgers: str
    give_up_at: float

    def settled(self) -> Outcome | None:
        """Give the outcome once it is known or nobody is left who could tell."""
        # Asked first: a keeper that dies after this has either written its record by the time we read, or never will.
        run_id = self.outcome.id
        may_come = time.monotonic() < self.give_up_at and describe(self.ledgers, run_id).is_kept()
        recorded = describe(self.ledgers, run_id).outcome
        if recorded is None:
            return None if may_come else self.outcome
        if self.outcome.status == "vanished":
            return recorded
        return replace(recorded, status=self.outcome.status, error=self.outcome.error)


class _Keeper:
    """The loop over requests, processes and messages."""

    def __init__(self, lock: int, ledgers: str) -> None:
        self._lock = lock
        self._ledgers = ledgers
        self._ledger = Ledger(ledgers, start_time(os.getpid()) or 0)
        self._processes = Processes()
        #: Our own children, whose ends we record.
        self._own: set[str] = set()
        #: Those that another keeper started and records.
        self._adopted: set[str] = set()
        self._awaited: list[_Awaited] = []
        self._unread = b""
        self._unsent = b""
        self._is_read = True
        self._is_heard = True
        self._is_told_to_end = False
        self._poll = select.poll()
        self._poll.register(_REQUESTS, select.POLLIN)
        self._poll.register(self._processes.fileno(), select.POLLIN)
        signal.signal(signal.SIGTERM, self._on_terminate)
        os.set_blocking(_MESSAGES, False)

    def run(self) -> None:
        """Serve until nobody can ask for more and nothing of ours is left running."""
        self._say({"event": "ready"})
        while self._is_needed():
            self._send()
            ready = dict(self._poll.poll(self._patience_ms()))
            if self._is_told_to_end:
                self._kill_own()
            if _REQUESTS in ready:
                self._read()
            for outcome in self._processes.poll(0):
                self._take(outcome)
            self._look_for_records()
        self._send()

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._is_told_to_end = True

    def _is_needed(self) -> bool:
        if self._is_read and not self._is_told_to_end:
            return True
        # Adopted trees have their own keeper, or the next loop will adopt them; but a kill once begun is carried out.
        is_killing = not self._adopted.isdisjoint(self._processes.ending)
        return bool(self._own or self._awaited or is_killing)

    def _patience_ms(self) -> int | None:
        due_s = min(self._processes.due_in_s(), RECORD_LOOK_S if self._awaited else float("inf"))
        return None if due_s == float("inf") else int(due_s * 1000) + 1

    def _kill_own(self) -> None:
        for run_id in self._own:
            self._processes.kill_now(run_id, "the keeper was told to end")

    def _read(self) -> None:
        chunk = os.read(_REQUESTS, 1 << 16)
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._obey(line)
        if not chunk:
            self._is_read = False
            self._poll.unregister(_REQUESTS)
            os.close(self._lock)

    def _obey(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            run_id = request["launch"]["id"] if request["op"] == "start" else request["id"]
        except (ValueError, KeyError, TypeError) as error:
            # Not the line itself: it may hold the environment of a command.
            _log(f"not a request: {type(error).__name__}")
            return
        try:
            self._carry_out(run_id, request)
        except Exception as error:  # noqa: BLE001 - one bad request must not cost the statuses of all that runs
            self._say({"event": "refused", "id": run_id, "error": f"{type(error).__name__}: {error}"})

    def _carry_out(self, run_id: str, request: dict[str, Any]) -> None:
        match request["op"]:
            case "start":
                self._start(Launch.from_json(request["launch"]))
            case "adopt":
                self._adopt(Started(run_id, request["pid"], request["start_time"]), request)
            case "kill":
                self._processes.kill(run_id, request["reason"], request["verdict"])
            case "kill_now":
                self._processes.kill_now(run_id, request["reason"])
            case unknown:
                raise ValueError(f"no such operation: {unknown}")

    def _start(self, launch: Launch) -> None:
        if self._is_told_to_end:
            raise ConflictError("the keeper was told to end")
        self._ledger.claim(launch.id)
        started = self._processes.start(launch)
        self._own.add(launch.id)
        if isinstance(started, Outcome):
            self._take(started)
            return
        line = begun(started)
        self._send_later(line)
        _try(self._ledger.note, launch.id, line)

    def _adopt(self, started: Started, request: dict[str, Any]) -> None:
        self._processes.adopt(
            started,
            request.get("timeout_s"),
            request.get("grace_s", GRACE_S),
            request.get("output"),
            request.get("output_max"),
        )
        self._adopted.add(started.id)

    def _take(self, outcome: Outcome) -> None:
        if outcome.id in self._adopted:
            self._adopted.discard(outcome.id)
            self._awaited.append(_Awaited(outcome, self._ledgers, time.monotonic() + RECORD_WAIT_S))
            return
        self._own.discard(outcome.id)
        line = ended(outcome)
        _try(self._ledger.conclude, outcome.id, line)
        self._send_later(line)

    def _look_for_records(self) -> None:
        still = []
        for awaited in self._awaited:
            outcome = awaited.settled()
            if outcome:
                self._send_later(ended(outcome))
            else:
                still.append(awaited)
        self._awaited = still

    def _say(self, message: dict[str, Any]) -> None:
        self._send_later(json.dumps(message).encode() + b"\n")

    def _send_later(self, line: bytes) -> None:
        if self._is_heard:
            self._unsent += line

    def _send(self) -> None:
        """Send what the pipe takes; a loop that does not listen must not keep us from our deadlines."""
        if not self._unsent:
            return
        try:
            self._unsent = self._unsent[os.write(_MESSAGES, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._is_heard, self._unsent = False, b""
        if self._unsent:
            self._poll.register(_MESSAGES, select.POLLOUT)
        else:
            with contextlib.suppress(KeyError):
                self._poll.unregister(_MESSAGES)


def _try(write: Callable[..., object], *arguments: object) -> None:
    # A full disk must not end the keeper: what it cannot record it can still tell.
    try:
        write(*arguments)
    except OSError as error:
        _log(f"cannot record: {error}")


def _log(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(_LOG, f"keeper {os.getpid()}: {text}\n".encode())


def main(lockfile: str, ledgers: str) -> None:
    """Wait for the lock, then serve."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    lock = os.open(lockfile, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _Keeper(lock, ledgers).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
