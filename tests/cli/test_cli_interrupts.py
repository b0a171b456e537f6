"""Ctrl-C is no bug, whenever it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atms_cli import __main__ as program
from atms_cli.cli import fastlane
from atms_cli.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


def test_an_interrupt_while_a_class_is_made_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_arguments: Sequence[str]) -> int:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr(fastlane, "run", run)
    assert program._guarded(["status"]) == EXIT_INTERRUPTED  # noqa: SLF001  the program without its end
