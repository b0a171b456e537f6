"""What the loop has in hand, and what it orders: values."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import Agent, JsonObject, Task, Verdict
    from atms_cli.services.attempts import Start
    from atms_cli.services.drivers import Heard
    from atms_cli.services.judging import Round

    Report = Callable[[JsonObject], None]


@dataclass(slots=True)
class Work:
    """An attempt in flight: first its command, then its gates."""

    start: Start
    began: float
    heard: Heard | None = None
    round: Round | None = None  # of its gates
    verdict: Verdict | None = None

    @property
    def run(self) -> str:
        """Return the id of the attempt."""
        return self.start.run

    @property
    def task(self) -> Task:
        """Return the task as it was before."""
        return self.start.task

    @property
    def agent(self) -> Agent:
        """Return who works."""
        return self.start.agent


@dataclass(frozen=True, slots=True)
class Made:
    """A worktree that is there, for an attempt that can begin; or why it is not."""

    start: Start
    tree: str = ""
    is_set_up: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """How the branch of a task came back (system/worktree.py)."""

    work: Work
    result: JsonObject


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended (system/launch.py)."""

    id: str
    outcome: JsonObject
