"""Slow work beside the loop."""

from __future__ import annotations

import select
from threading import Event

from atms_cli.errors import AtmsError
from atms_cli.loop.chores import Chores

PATIENCE_S = 60.0


def until_done(chores: Chores) -> None:
    while chores.is_busy():
        assert select.select([chores.fileno()], [], [], PATIENCE_S)[0]
        chores.take_in()


def test_what_comes_of_it_is_taken_in_by_the_loop() -> None:
    chores, found = Chores(2), list[object]()
    for number in range(20):
        chores.give(lambda number=number: number * 2, found.append)  # type: ignore[misc]
    assert chores.is_busy()
    until_done(chores)
    assert sorted(found, key=str) == sorted((2 * number for number in range(20)), key=str)
    assert not chores.is_busy()


def test_an_error_is_a_result_whatever_it_is() -> None:
    chores, found = Chores(1), list[object]()

    def refuse() -> int:
        raise AtmsError("git failed")

    chores.give(refuse, found.append)
    chores.give(lambda: 1 // 0, found.append)
    until_done(chores)
    assert [str(each.message) for each in found if isinstance(each, AtmsError)] == [
        "git failed",
        "ZeroDivisionError: integer division or modulo by zero",
    ]


def test_a_slow_one_does_not_hold_up_the_next() -> None:
    chores, found, go = Chores(2), list[object](), Event()
    chores.give(lambda: go.wait(PATIENCE_S), found.append)
    chores.give(lambda: "quick", found.append)
    while not found:
        assert select.select([chores.fileno()], [], [], PATIENCE_S)[0]
        chores.take_in()
    assert found == ["quick"]
    go.set()
    until_done(chores)
    assert found == ["quick", True]


def test_more_may_be_given_by_what_is_taken_in() -> None:
    chores, found = Chores(1), list[object]()
    chores.give(lambda: 1, lambda one: chores.give(lambda: (one, 2), found.append))
    until_done(chores)
    assert found == [(1, 2)]
