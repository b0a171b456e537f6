"""What attempts in a row have cost without getting a task anywhere: a breaker against spending without progress.

Progress is a commit, or a verdict with fewer failing gates, or as many with fewer findings, than the best one before. What
passes its gates is over or on its way back, so it is no matter here however often that takes.
"""

from __future__ import annotations

from atms_cli.domain import budget, gate
from atms_cli.domain.budget import Spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.records import JsonObject, Verdict


def after(
    before: Mapping[str, object], usage: Mapping[str, object], verdict: Verdict | None, commit: str | None
) -> JsonObject:
    """Return the tally with one more attempt: spent and attempts since the last progress, and what to compare the next with."""
    wrong, least = _wrong(verdict), before.get("wrong")
    is_better = wrong is not None and (not isinstance(least, list) or wrong < least)
    known = before.get("commit")
    has_committed = commit is not None and known is not None and commit != known
    spent = Spent() if is_better or has_committed else _spent(before).plus(usage)
    attempts = 0 if is_better or has_committed else _attempts(before) + 1
    compared: JsonObject = {"wrong": wrong if is_better else least, "commit": commit or known}  # type: ignore[dict-item]
    return {"tokens": spent.tokens, "usd": round(spent.usd, 6), "attempts": attempts, **compared}


def exceeded(tally: Mapping[str, object], usd: float | None, tokens: int | None) -> str | None:
    """Say that too much was spent without progress, or None while it was not."""
    attempts = _attempts(tally)
    reached = budget.reached(_spent(tally), usd, tokens) if attempts else None
    if reached is None:
        return None
    in_a_row = "in 1 attempt" if attempts == 1 else f"in {attempts} attempts in a row"
    return f"nothing has come of it {in_a_row}, no commit and no fewer failing gates or findings: {reached}"


def _wrong(verdict: Verdict | None) -> list[int] | None:
    """Return how many required gates failed, and with how many findings and failed tests."""
    if verdict is None:
        return None
    failures = gate.failures(verdict)
    return [len(failures), sum(len(each["findings"]) + _failed_tests(each["tests"]) for each in failures)]


def _failed_tests(tests: JsonObject | None) -> int:
    counts = [(tests or {}).get(name) for name in ("failed", "errors")]
    return sum(count for count in counts if isinstance(count, int))


def _spent(tally: Mapping[str, object]) -> Spent:
    tokens, usd = tally.get("tokens"), tally.get("usd")
    return Spent(tokens if isinstance(tokens, int) else 0, usd if isinstance(usd, int | float) else 0.0)


def _attempts(tally: Mapping[str, object]) -> int:
    attempts = tally.get("attempts")
    return attempts if isinstance(attempts, int) else 0
