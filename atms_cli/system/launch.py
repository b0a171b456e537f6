"""What a command is started with, and what comes of it: values, made and read anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    #: Why somebody has it ended: see `kill` of keeper_client.py.
    Verdict = Literal["killed", "stalled", "over_budget", "put_back"]
    Status = Literal["exited", "signalled", "timed_out", "unstartable", "vanished"] | Verdict
    #: What a command may use, by name: memory and file_size in bytes, cpu in seconds, files, processes, cores.
    Limits = Mapping[str, float]

#: Names the run a process belongs to, in its environment and so in that of every descendant.
MARKER = "ATMS_RUN_ID"
#: The runs that the run in MARKER was started within, outermost first: their end is its end too.
OUTER_MARKER = "ATMS_OUTER_RUN_IDS"
#: How long each polite signal is given.
GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Launch:
    """One command to start: all that it will see, and how long it may take.

    What belongs to a run, like a gate of an attempt, has an id of `RUN.MORE`, and ends with all of RUN.
    """

    id: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    output: str
    input: str | None = None
    timeout_s: float | None = None
    silence_s: float | None = None
    grace_s: float = GRACE_S
    limits: Limits = field(default_factory=dict)
    #: Whether a control group may enforce them.
    grouped: bool = True
    #: How many bytes of its output are kept at most.
    output_max: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the plain values that `from_json` takes."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Launch:
        """Read what `to_json` gave, before or after a trip through JSON."""
        return cls(**{**plain, "argv": tuple(plain["argv"])})


@dataclass(frozen=True, slots=True)
class Started:
    """A command has begun; pid and start time together name its process for as long as the machine is up."""

    id: str
    pid: int
    start_time: int

    def to_json(self) -> dict[str, Any]:
        """Give the plain values that it can be made of again."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to; `exit_code` and `signal` are the main process's own, whatever the status says."""

    id: str
    status: Status
    exit_code: int | None = None
    signal: int | None = None
    duration_s: float = 0.0
    error: str = ""
    cpu_s: float = 0.0
    max_rss_kb: int = 0
    #: What was read from and written to disks, not to what the system holds in memory.
    read_kb: int = 0
    written_kb: int = 0
    output_bytes: int = 0
    #: The limit that it has met, as far as that is known.
    hit: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the plain values that `from_json` takes."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Outcome:
        """Read what `to_json` gave; keys of other versions are passed over."""
        return cls(**{name: plain[name] for name in cls.__slots__ if name in plain})


def shell(command: str) -> tuple[str, ...]:
    """Give the argv that runs a line of shell."""
    return ("/bin/sh", "-c", command)
