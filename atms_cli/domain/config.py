"""The settings of a workspace: their shapes and defaults. Parsing and checking them is store/settings.py's work."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from atms_cli.domain.records import Gate, JsonObject

    class QueueSettings(TypedDict):
        """How the queue orders its tasks."""

        strategy: str
        ageing: float  # seconds of waiting worth one level of priority

    class Execution(TypedDict):
        """How `atms run` executes attempts."""

        jobs: int
        max_attempts: int
        retry_delay: float  # seconds, doubling with each attempt
        retry_delay_max: float
        timeout: float  # seconds an attempt may take
        silence: float | None  # seconds without output
        grace: float  # seconds between interrupt, terminate and kill

    class Claims(TypedDict):
        """How agents that claim for themselves hold tasks."""

        lease: float  # seconds

    class FeatureSettings(TypedDict):
        """Which roadmap file to keep in step with."""

        file: str | None

    class Config(TypedDict):
        """All settings; times in seconds."""

        version: int
        queue: QueueSettings
        execution: Execution
        claims: Claims
        features: FeatureSettings
        gates: dict[str, Gate]
        agents: dict[str, JsonObject]


def default() -> Config:
    """Return the settings of a workspace whose atms.yaml says nothing."""
    return {
        "version": 1,
        "queue": {"strategy": "priority", "ageing": 86_400.0},
        "execution": {
            "jobs": 2,
            "max_attempts": 3,
            "retry_delay": 1.0,
            "retry_delay_max": 300.0,
            "timeout": 3600.0,
            "silence": None,
            "grace": 5.0,
        },
        "claims": {"lease": 1800.0},
        "features": {"file": None},
        "gates": {},
        "agents": {},
    }
