"""What a person asked `atms run` for: values."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Plan:
    """What a person asked `atms run` for."""

    drain: bool = False
    once: bool = False
    jobs: int | None = None
    only: Sequence[str] = ()
    max_time_s: float | None = None
    max_usd: float | None = None
    max_tokens: int | None = None
    max_failures: int | None = None
