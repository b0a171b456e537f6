"""Alerts on the queue: which measures are beyond their thresholds, raised once and cleared once."""

from __future__ import annotations

from atms_cli.domain.moment import describe_duration
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from atms_cli.domain.records import JsonObject

#: An alert stays until its measure is down to this part of the threshold, so that one about it does not come and go.
CLEARS_AT = 0.9


def _count(number: float) -> str:
    return f"{number:g}"


def _tasks(number: float) -> str:
    return "1 task" if number == 1 else f"{number:g} tasks"


def _percent(rate: float) -> str:
    return f"{round(rate * 100, 1):g} %"


#: What is measured: the sentence for a value, and how the value and its threshold are written.
MEASURES: dict[str, tuple[str, Callable[[float], str], Callable[[float], str]]] = {
    "size": ("{} in the queue", _tasks, _count),
    "oldest_wait_s": ("the longest wait is {}", describe_duration, describe_duration),
    "failure_rate": ("{} of the latest attempts failed", _percent, _percent),
    "stuck": ("{} stuck", _tasks, _count),
    "starving": ("{} starving", _tasks, _count),
}


def check_thresholds(thresholds: Mapping[str, float]) -> None:
    """Refuse a threshold for what is not measured, or one that no measure can keep to."""
    for name, threshold in thresholds.items():
        if name not in MEASURES:
            raise UsageError(f"`{name}` is not measured", f"choose one of: {', '.join(MEASURES)}")
        if not threshold >= 0:
            raise UsageError(f"the threshold of {name} is {threshold}, less than 0")


def breaches(
    measures: Mapping[str, float | None],
    thresholds: Mapping[str, float | None],
    raised: Collection[str] = (),
) -> dict[str, JsonObject]:
    """Return what is above its threshold, and what was raised and is not yet well below; None is no value."""
    found: dict[str, JsonObject] = {}
    for name in MEASURES:
        value, threshold = measures.get(name), thresholds.get(name)
        if value is None or threshold is None:
            continue
        if value > (threshold * CLEARS_AT if name in raised else threshold):
            found[name] = {"value": value, "threshold": threshold, "text": _describe(name, value, threshold)}
    return found


def _describe(name: str, value: float, threshold: float) -> str:
    sentence, in_words, as_threshold = MEASURES[name]
    bound = "above" if value > threshold else "not yet well below"
    return f"{sentence.format(in_words(value))}, {bound} {as_threshold(threshold)}"


def changes(raised: Collection[str], found: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the alerts to raise and those to clear, from those that are raised and the breaches there are."""
    return sorted(set(found) - set(raised)), sorted(set(raised) - set(found))
