"""Kept passes of gates: they may be lost at any time, and are never made up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from atms_cli.store import gatepasses
from atms_cli.store.gatepasses import GatePasses

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_put_is_got(tmp_path: Path) -> None:
    passes = GatePasses(str(tmp_path / "passes"))
    assert passes.get("a") is None
    passes.put("a", {"run": "r1"})
    assert passes.get("a") == {"run": "r1"}
    assert passes.get("b") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"run":'])
def test_what_is_broken_is_not_there(tmp_path: Path, content: bytes) -> None:
    passes = GatePasses(str(tmp_path))
    (tmp_path / "a.json").write_bytes(content)
    assert passes.get("a") is None


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatepasses, "_MOST", 3)
    passes = GatePasses(str(tmp_path))
    for number in range(5):
        passes.put(f"k{number}", {"number": number})
        os.utime(tmp_path / f"k{number}.json", (number, number))
    assert [passes.get(f"k{number}") is not None for number in range(5)] == [False, False, True, True, True]


def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    passes = GatePasses(str(tmp_path / "file"))
    passes.put("a", {})
    assert passes.get("a") is None
