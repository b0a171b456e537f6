"""Limits and measures of attempts: reading them, which of them hold, and both in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import footprint
from atms_cli.errors import UsageError

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject

NONE: dict[str, float | None] = dict.fromkeys(footprint.LIMITS)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("500K", 512_000), ("64MB", 64 << 20), ("1.5g", 3 << 29), ("2 GiB", 2 << 30), ("7B", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert footprint.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "12X", "-1K", "1e400T", "nanM", "infG", "1K2"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        footprint.parse_size(text)


@given(st.integers(0, 1 << 55))
def test_a_size_in_words_is_near_the_size(size: int) -> None:
    words = footprint.describe_size(size)
    number, unit = words.split()
    assert abs(float(number) * 1024 ** ["B", "kB", "MB", "GB", "TB"].index(unit) - size) <= 0.07 * size
    assert len(number) <= 5


def test_limits_are_read_by_name() -> None:
    words = ["memory=2G", "cpu=10m", "files=1024", "processes=50", "file_size=1M", "cores=1.5"]
    expected = {"memory": 2 << 30, "cpu": 600, "files": 1024, "processes": 50, "file_size": 1 << 20, "cores": 1.5}
    assert footprint.parse_limits(words) == expected


@pytest.mark.parametrize("word", ["memory", "memory=", "ram=1G", "files=many", "files=2", "memory=12", "cores=0"])
def test_what_is_no_limit(word: str) -> None:
    with pytest.raises(UsageError):
        footprint.parse_limits([word])


def test_the_stricter_of_two_limits_holds() -> None:
    workspace = {**NONE, "memory": 100.0, "cpu": 7.0}
    assert footprint.limits_for(workspace, {"memory": 200, "files": 64}) == {"memory": 100, "cpu": 7, "files": 64}
    assert footprint.limits_for(workspace, {"memory": 50}) == {"memory": 50, "cpu": 7}
    assert footprint.limits_for(NONE, {}) == {}


def test_use_in_words() -> None:
    used = {"cpu_s": 1.25, "max_rss_kb": 3 << 10, "read_kb": 2048, "written_kb": 5, "output_bytes": 12_600}
    assert footprint.describe_use(used) == "CPU 1.2s, 3 MB, read 2 MB, wrote 5 kB, printed 12 kB"
    assert footprint.describe_use({}) == ""


def test_nothing_is_kept_of_nothing() -> None:
    outcome: JsonObject = {"status": "exited", "cpu_s": 0.5, "read_kb": 0, "hit": "", "output_bytes": 3}
    assert footprint.measured(outcome) == {"cpu_s": 0.5, "output_bytes": 3}
