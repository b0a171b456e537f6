"""What work may cost: tokens and US dollars, added up over attempts and held against limits."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from atms_cli.domain.records import JsonObject

_MILLION = 1_000_000
#: What is used up when a limit is reached, in words.
WHOSE = {
    "attempt": "the attempt's budget",
    "task": "the task's budget",
    "day": "the day's budget",
    "run": "the budget of this run",
}


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens, in and out together, and US dollars."""

    tokens: int = 0
    usd: float = 0.0

    def plus(self, usage: Mapping[str, object] | None) -> Spent:
        """Return this and the usage of one more attempt."""
        if usage is None:
            return self
        tokens = _number(usage.get("input_tokens")) + _number(usage.get("output_tokens"))
        return Spent(self.tokens + int(tokens), self.usd + _number(usage.get("cost_usd")))

    def beside(self, other: Spent) -> Spent:
        """Return this and the other together."""
        return Spent(self.tokens + other.tokens, self.usd + other.usd)


def total(usages: Iterable[Mapping[str, object] | None]) -> Spent:
    """Return what several attempts have used up."""
    spent = Spent()
    for usage in usages:
        spent = spent.plus(usage)
    return spent


def usage_in(result: Mapping[str, object]) -> JsonObject | None:
    """Return what an attempt has used up by its result, None if its agent does not say."""
    usage = result.get("usage")
    return usage if isinstance(usage, dict) else None


def priced(usage: JsonObject, model: str | None, prices: Mapping[str, Mapping[str, float | None]]) -> JsonObject:
    """Return a usage with its cost, from US dollars a million tokens, if the agent did not say and the model has a price.

    Cached tokens are among those that went in; without a price of their own they cost as much.
    """
    price = prices.get(model or "")
    if price is None or not usage or "cost_usd" in usage:
        return usage
    cached = _number(usage.get("cached_tokens"))
    fresh = max(0.0, _number(usage.get("input_tokens")) - cached)
    into, from_cache = _number(price["input"]), price["cached"]
    cost = fresh * into + cached * (into if from_cache is None else from_cache)
    cost += _number(usage.get("output_tokens")) * _number(price["output"])
    return {**usage, "cost_usd": round(cost / _MILLION, 6)}


def reached(spent: Spent, usd: float | None, tokens: int | None) -> str | None:
    """Say which limit is reached, or None while there is something left."""
    if usd is not None and spent.usd >= usd:
        return f"${spent.usd:.2f} of ${usd:.2f} are spent"
    if tokens is not None and spent.tokens >= tokens:
        return f"{spent.tokens} of {tokens} tokens are used up"
    return None


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
