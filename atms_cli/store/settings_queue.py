"""The order and the pace of the queue: `queue` in atms.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field  # noqa: TID253

from atms_cli.domain import config as defaults
from atms_cli.domain.shares import check_weights
from atms_cli.store.settings_words import Count, Duration, Grouping, Section, StartRate, Strategy, Window, refuse

Concurrency = Annotated[Count | None, Meta(description="Tasks that may run at once.")]
Quiet = Annotated[
    list[Window],
    Meta(description="When nothing is started, in local time, like 22:00-06:00, mon-fri 09:00-17:00 or sat-sun."),
]
_QUEUE: Any = defaults.default()["queue"]


class Lane(Section):
    """A named queue; what it does not say of its order is as in the queue."""

    strategy: Strategy | None = None
    ageing: Duration | None = None
    by: Grouping | None = None
    weights: dict[str, float] | None = None
    half_life: Duration | None = None
    concurrency: Concurrency = None
    rate: StartRate = None
    quiet: Quiet = []

    def __post_init__(self) -> None:
        refuse(check_weights, self.weights or {})


class Alerts(Section):
    """Beyond what an alert is raised, once, until it is over."""

    size: Annotated[Count | None, Meta(description="Tasks in the queue.")] = None
    oldest_wait: Annotated[Duration | None, Meta(description="How long the oldest ready task has waited.")] = None
    failure_rate: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None, Meta(description="The share of the last attempts that failed.")
    ] = None
    stuck: Annotated[Count | None, Meta(description="Tasks that wait for one that failed or was cancelled.")] = None
    starving: Annotated[
        Count | None, Meta(description="Ready tasks that have waited longer than the bound of ageing.")
    ] = None


class Queue(Section):
    """How the queue orders its tasks, and how fast it gives them out."""

    strategy: Strategy = _QUEUE["strategy"]
    ageing: Annotated[Duration, Meta(description="Waiting this long is worth one level of priority.")] = _QUEUE[
        "ageing"
    ]
    by: Annotated[Grouping, Meta(description="What round_robin and fair_share tell groups of tasks apart by.")] = (
        _QUEUE["by"]
    )
    weights: Annotated[
        dict[str, float], Meta(description="Of groups, for fair_share; one that is not named has 1.")
    ] = {}
    half_life: Annotated[Duration, Meta(description="After so long a start counts half, for fair_share.")] = _QUEUE[
        "half_life"
    ]
    concurrency: Concurrency = None
    rate: StartRate = None
    quiet: Quiet = []
    lanes: dict[str, Lane | None] = {}
    resources: Annotated[
        dict[str, Count],
        Meta(description="How many tasks may hold each at once; one that is not named, one task."),
    ] = {}
    alerts: Alerts = field(default_factory=Alerts)

    def __post_init__(self) -> None:
        refuse(check_weights, self.weights)
