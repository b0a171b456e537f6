"""What coding agents may cost: `budget` in atms.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta  # noqa: TID253

from atms_cli.domain import config as defaults
from atms_cli.store.settings_words import Count, Section

Amount = Annotated[float, Meta(ge=0)]
_BUDGET: Any = defaults.default()["budget"]


class Price(Section):
    """Of a model, in US dollars a million tokens."""

    input: Amount
    output: Amount
    cached: Annotated[
        Amount | None, Meta(description="Of those that went in, those from a cache; as `input` if not set.")
    ] = None


class Budget(Section):
    """What coding agents may cost; `null` is no limit. It is looked at while they work, as far as they say, and at the end."""

    attempt_usd: Annotated[
        Amount | None,
        Meta(description="US dollars for one attempt; beyond them it is stopped, and the task has failed."),
    ] = _BUDGET["attempt_usd"]
    attempt_tokens: Annotated[Count | None, Meta(description="Tokens, in and out, for one attempt.")] = _BUDGET[
        "attempt_tokens"
    ]
    task_usd: Annotated[
        Amount | None, Meta(description="US dollars for one task; beyond them it is stopped, and not tried again.")
    ] = _BUDGET["task_usd"]
    task_tokens: Annotated[Count | None, Meta(description="Tokens, in and out, for one task.")] = None
    day_usd: Annotated[
        Amount | None,
        Meta(
            description="US dollars a day, by the local clock; beyond them what costs is stopped and waits for the next."
        ),
    ] = _BUDGET["day_usd"]
    day_tokens: Annotated[Count | None, Meta(description="Tokens, in and out, a day.")] = None
    without_progress_usd: Annotated[
        Amount | None,
        Meta(
            description="US dollars for attempts in a row that end without a commit and without fewer failing gates or findings; "
            "beyond them the task has failed."
        ),
    ] = _BUDGET["without_progress_usd"]
    without_progress_tokens: Annotated[
        Count | None, Meta(description="Tokens, in and out, for attempts in a row without progress.")
    ] = _BUDGET["without_progress_tokens"]
    prices: Annotated[
        dict[str, Price], Meta(description="By model, for agents that say tokens and no cost (gemini, codex, agy).")
    ] = {}
