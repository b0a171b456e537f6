"""What work may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import budget
from atms_cli.domain.budget import Spent

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject

PRICES: dict[str, dict[str, float | None]] = {
    "m": {"input": 2.0, "output": 10.0, "cached": 0.5},
    "n": {"input": 2.0, "output": 10.0, "cached": None},
}


def test_tokens_have_a_price_by_model() -> None:
    usage: JsonObject = {"input_tokens": 1_000_000, "cached_tokens": 400_000, "output_tokens": 100_000}
    assert budget.priced(usage, "m", PRICES)["cost_usd"] == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 10)
    assert budget.priced(usage, "n", PRICES)["cost_usd"] == pytest.approx(2 + 1)


def test_what_an_agent_says_itself_counts_and_what_nobody_knows_has_no_price() -> None:
    assert budget.priced({"input_tokens": 5, "cost_usd": 1.0}, "m", PRICES) == {"input_tokens": 5, "cost_usd": 1.0}
    assert budget.priced({"input_tokens": 5}, "other", PRICES) == {"input_tokens": 5}
    assert budget.priced({"input_tokens": 5}, None, PRICES) == {"input_tokens": 5}
    assert budget.priced({}, "m", PRICES) == {}


usages = st.lists(
    st.none() | st.fixed_dictionaries({}, optional={
        "input_tokens": st.integers(0, 10**6), "output_tokens": st.integers(0, 10**6), "cost_usd": st.integers(0, 100),
    })
)  # fmt: skip


@given(usages, usages)
def test_what_is_spent_adds_up(some: list[dict[str, int] | None], more: list[dict[str, int] | None]) -> None:
    one, both = budget.total(some), budget.total([*some, *more])
    assert both.tokens == one.tokens + budget.total(more).tokens
    assert both.usd >= one.usd
    assert budget.total(reversed([*some, *more])) == both


def test_limits() -> None:
    spent = Spent(tokens=100, usd=2.5)
    assert budget.reached(spent, None, None) is None
    assert budget.reached(spent, 2.6, 101) is None
    assert budget.reached(spent, 2.5, None) == "$2.50 of $2.50 are spent"
    assert budget.reached(spent, 3.0, 100) == "100 of 100 tokens are used up"
    assert budget.reached(Spent(), 0.0, None) == "$0.00 of $0.00 are spent", "nothing at all is a limit too"
