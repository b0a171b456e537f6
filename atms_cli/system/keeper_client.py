"""The loop's end of a keeper: start one, order starts, adoptions and kills, and hear what came of them.

Coming back after a crash: get a keeper and wait until it is ready. From then on no older one starts anything, so
`ledger.describe` is final about what had begun, and `tree.marked` finds what began but was not written down.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass

import atms_cli
from atms_cli.errors import UnavailableError
from atms_cli.system.launch import Outcome, Started
from atms_cli.system.spawn import DEFAULT_SIGNALS, seal_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from atms_cli.system.launch import Launch, Verdict

# Without site-packages and the environment's Python settings the keeper starts in half the time and always alike. The
# package is looked for last, lest something that lies next to it hides a module of the standard library.
_KEEPER = "import sys; sys.path.append(sys.argv[1]); from atms_cli.system.keeper import main; main(*sys.argv[2:])"
_ISOLATED = ("-I", "-S") if sys.platform == "linux" else ("-P",)  # elsewhere it needs psutil


@dataclass(frozen=True, slots=True)
class Ready:
    """No older keeper will start anything any more."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A request made no sense, such as a second start of the same record; nothing was begun for it."""

    id: str
    error: str


@dataclass(frozen=True, slots=True)
class KeeperGone:
    """The keeper has ended: as it should after `finish`, by accident otherwise. Requests on their way are lost."""


Message = Ready | Started | Refused | Outcome | KeeperGone


class Keeper:
    """A keeper process, and the pipes to and from it."""

    def __init__(self, pid: int, requests: int, messages: int, ledgers: str) -> None:
        self.pid = pid
        #: The directory where it and others before it have written what they began and saw end.
        self.ledgers = ledgers
        self._requests: int | None = requests
        self._messages: int | None = messages
        self._unread = b""
        self._is_reaped = False
        os.set_blocking(messages, False)

    @classmethod
    def start(cls, lockfile: str, log: str, ledgers: str) -> Self:
        """Start a keeper in a session of its own; its complaints go to the log file."""
        seal_descriptors()
        their_requests, requests = os.pipe()
        messages, their_messages = os.pipe()
        log_file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            pid = _spawn((lockfile, ledgers), (their_requests, their_messages, log_file))
        finally:
            for descriptor in (their_requests, their_messages, log_file):
                os.close(descriptor)
        return cls(pid, requests, messages, ledgers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Give a descriptor that is readable when `receive` has something to give; -1 once the keeper is gone."""
        return -1 if self._messages is None else self._messages

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until this keeper is the only one that may start anything; to be called once, before any request."""
        until = time.monotonic() + timeout_s
        messages: list[Message] = []
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        while not messages and (left_s := until - time.monotonic()) > 0:
            poll.poll(left_s * 1000)
            messages = self.receive()
        if Ready() not in messages:
            self.abandon()
            raise UnavailableError(
                "the keeper of the commands did not get ready",
                "another `atms run` may be busy here; otherwise the keeper's log tells more",
            )

    def run(self, launch: Launch) -> None:
        """Order a command; its id is that of no other start before or after."""
        self.send({"op": "start", "launch": launch.to_json()})

    def adopt(self, started: Started, **limits: float | str | None) -> None:
        """Order a watch over what an older keeper started.

        Limits: `timeout_s` is what is left of its time, `grace_s`, `output` its file and `output_max` what that may take.
        """
        self.send({"op": "adopt", **started.to_json(), **limits})

    def kill(self, run_id: str, reason: str, verdict: Verdict = "killed") -> None:
        """Order the end of a whole tree; of one that has ended already, nothing comes.

        The verdict becomes the status of its outcome, so that whoever settles it knows why, also after a crash.
        """
        self.send({"op": "kill", "id": run_id, "reason": reason, "verdict": verdict})

    def kill_now(self, run_id: str, reason: str) -> None:
        """Order the end of a whole tree without grace, whatever was ordered before."""
        self.send({"op": "kill_now", "id": run_id, "reason": reason})

    def send(self, request: dict[str, Any]) -> None:
        """Send one request; a keeper that has died loses it like one it had not read yet, and `receive` tells."""
        if self._requests is None:
            return
        unsent = memoryview(json.dumps(request).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):
            while unsent:
                unsent = unsent[os.write(self._requests, unsent) :]

    def receive(self) -> list[Message]:
        """Give what the keeper has said since, without waiting."""
        messages: list[Message] = []
        while self._messages is not None:
            try:
                chunk = os.read(self._messages, 1 << 16)
            except BlockingIOError:
                break
            *lines, self._unread = (self._unread + chunk).split(b"\n")
            messages += map(_message, lines)
            if not chunk:
                messages.append(KeeperGone())
                self._reap(0)
                self.close()
        return messages

    def finish(self) -> None:
        """Let the keeper end after its last command; it can be heard until then, and lets go of the lock at once."""
        if self._requests is not None:
            os.close(self._requests)
            self._requests = None

    def close(self) -> None:
        """Leave the keeper alone: it ends after its last command, unheard."""
        self.finish()
        if self._messages is not None:
            os.close(self._messages)
            self._messages = None
        self._reap(os.WNOHANG)

    def abandon(self) -> None:
        """Tell the keeper to end all it has started, at once, and leave it alone."""
        self._reap(os.WNOHANG)
        if not self._is_reaped:
            os.kill(self.pid, signal.SIGTERM)
        self.close()

    def _reap(self, option: int) -> None:
        if self._is_reaped:
            return
        try:
            self._is_reaped = os.waitpid(self.pid, option)[0] == self.pid
        except ChildProcessError:  # somebody else in this process has waited for it
            self._is_reaped = True


def _spawn(arguments: tuple[str, str], descriptors: tuple[int, int, int]) -> int:
    where = os.path.dirname(os.path.dirname(atms_cli.__file__))
    return os.posix_spawn(
        sys.executable,
        [sys.executable, *_ISOLATED, "-c", _KEEPER, where, *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs, number) for number, theirs in enumerate(descriptors)],
        setsid=True,
        setsigmask=(),
        setsigdef=DEFAULT_SIGNALS,
    )


def _message(line: bytes) -> Message:
    plain = json.loads(line)
    match plain.pop("event"):
        case "ready":
            return Ready()
        case "started":
            return Started(plain["id"], plain["pid"], plain["start_time"])
        case "refused":
            return Refused(**plain)
        case "ended":
            return Outcome.from_json(plain)
        case unknown:
            raise ValueError(f"the keeper says `{unknown}`")
