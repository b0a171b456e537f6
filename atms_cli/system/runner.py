"""Running a few commands to their end in this process, for commands of a person that wait for them."""

from __future__ import annotations

from atms_cli.system.launch import Launch, Outcome
from atms_cli.system.process import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import JsonObject


class LocalRunner:
    """Starts commands, so many at once; an interrupt ends them all before it goes on."""

    def run(self, launches: Sequence[JsonObject], at_once: int, ended: Callable[[JsonObject], None]) -> None:
        """Run commands and hand over each outcome as it comes."""
        waiting = [Launch.from_json(launch) for launch in launches][::-1]
        running = 0
        with Processes() as processes:
            while waiting or running:
                while waiting and running < at_once:
                    started = processes.start(waiting.pop())
                    if isinstance(started, Outcome):
                        ended(started.to_json())
                    else:
                        running += 1
                for outcome in processes.poll() if running else []:
                    running -= 1
                    ended(outcome.to_json())
