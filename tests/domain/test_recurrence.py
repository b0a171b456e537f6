"""Recurring tasks: what becomes of missed occurrences, and ids that are the same everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain.moment import plus
from atms_cli.domain.recurrence import ALPHABET, MISSED, MOST_AT_ONCE, ON_TIME_S, check_missed, due, occurrence_id
from atms_cli.errors import UsageError
from atms_cli.system import ids

NOW = "2026-01-05T09:00:04.000Z"
ON_TIME, EARLIER, LONG_AGO, TO_COME = (plus(NOW, seconds) for seconds in (-4, -3604, -90_004, 3596))

occurrences = st.lists(st.integers(min_value=-200_000, max_value=50_000).map(lambda s: plus(NOW, s)), max_size=150)


@pytest.mark.parametrize(
    ("given_", "skip", "once", "all_"),
    [
        ([], [], [], []),
        ([TO_COME], [], [], []),
        ([ON_TIME], [ON_TIME], [ON_TIME], [ON_TIME]),
        ([EARLIER], [], [EARLIER], [EARLIER]),
        ([LONG_AGO, EARLIER, TO_COME], [], [EARLIER], [LONG_AGO, EARLIER]),
        ([ON_TIME, EARLIER, LONG_AGO], [ON_TIME], [ON_TIME], [LONG_AGO, EARLIER, ON_TIME]),
    ],
)
def test_missed_occurrences(given_: list[str], skip: list[str], once: list[str], all_: list[str]) -> None:
    assert [due(given_, missed, NOW) for missed in MISSED] == [skip, once, all_]


@given(occurrences, st.sampled_from(MISSED))
def test_what_is_due_is_past_in_order_once_and_bounded(several: list[str], missed: str) -> None:
    found = due(several, missed, NOW)
    assert found == sorted(set(found))
    assert set(found) <= {at for at in several if at <= NOW}
    assert len(found) <= (MOST_AT_ONCE if missed == "all" else 1)
    past = {at for at in several if at <= NOW}
    if missed == "once" and past:
        assert found == [max(past)]
    if missed == "all":
        assert all(at < found[0] for at in past - set(found))
    if missed == "skip":
        assert bool(found) == any(at >= plus(NOW, -ON_TIME_S) for at in past)


def test_a_word_that_is_no_policy_is_refused() -> None:
    for missed in MISSED:
        check_missed(missed)
    with pytest.raises(UsageError, match="no way to treat"):
        check_missed("twice")


def test_ids_are_the_same_on_every_clone() -> None:
    assert ALPHABET == ids.ALPHABET
    # What is on disk is a promise: this must never change.
    assert occurrence_id("nightly001", "2026-01-05T09:00:00.000Z") == "ynn9x2pyz0"


words = st.text(alphabet="ab 019é", max_size=12)


@given(words, words, words)
def test_an_id_looks_like_that_of_any_task(template: str, at: str, other: str) -> None:
    found = occurrence_id(template, at)
    assert len(found) == len(ids.RandomIds().task())
    assert found[0].isalpha()
    assert set(found) <= set(ids.ALPHABET)
    assert (found == occurrence_id(template, other)) == (at == other)
