"""Running a few commands to their end in this process, for commands of a person that wait for them."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from os.path import join, realpath

from atms_cli.system.launch import Launch, Outcome
from atms_cli.system.process import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.records import JsonObject

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How often somebody who watches is called.
_WATCH_S = 0.1


class LocalRunner:
    """Starts commands; an interrupt ends them all before it goes on."""

    def run(
        self,
        launches: Sequence[JsonObject],
        ended: Callable[[JsonObject], Sequence[JsonObject]],
        watch: Callable[[], None] | None = None,
    ) -> None:
        """Run commands side by side, and with each outcome those that `ended` gives; `watch` is called now and then."""
        waiting = list(launches)
        running = 0
        with Processes() as processes:
            while waiting or running:
                while waiting:
                    failure = _begun_whole(processes, Launch.from_json(waiting.pop(0)))
                    if failure is None:
                        running += 1
                    else:
                        waiting += ended(failure.to_json())
                for outcome in processes.poll(None if watch is None else _WATCH_S) if running else []:
                    running -= 1
                    waiting += ended(outcome.to_json())
                if watch is not None:
                    watch()

    def processors(self) -> int:
        """Return how many processors this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def identify(self, argv: Sequence[str], directory: str, environ: Mapping[str, str]) -> str:
        """Return place, size and time of the program that a command line starts, or its name where it is not found."""
        name = _program(argv)
        found = join(directory, name) if "/" in name else shutil.which(name, path=environ.get("PATH", os.defpath))
        try:
            status = os.stat(found or "")
        except OSError:
            return name
        return f"{realpath(found or name)} {status.st_size} {status.st_mtime_ns}"


def _begun_whole(processes: Processes, launch: Launch) -> Outcome | None:
    """Start a command; an interrupt in the middle of that waits, or nobody would know of the command and end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        return processes.begin(launch)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _program(argv: Sequence[str]) -> str:
    """Return the program that a command line is about: in a line of shell, its first word that sets no variable."""
    if list(argv[:2]) != ["/bin/sh", "-c"]:
        return argv[0]
    try:
        words = shlex.split(argv[2])
    except ValueError:
        return argv[0]
    return next((word for word in words if "=" not in word), argv[0])
