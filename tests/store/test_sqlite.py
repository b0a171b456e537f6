"""The driver without what it does not use: it must be whole all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED_ALONE = """
import sys
from atms_cli.store.sqlite import driver
assert "functools" not in sys.modules and "collections" not in sys.modules, sorted(sys.modules)
connection = driver.connect(":memory:")
assert connection.execute("SELECT ?", (7,)).fetchone() == (7,)
# The cache of statements gives the same answers also when it is full.
assert [connection.execute(f"SELECT {n}").fetchone()[0] for n in [*range(300), *range(300)]] == [*range(300), *range(300)]
import functools, sqlite3
assert functools.wraps and sqlite3.connect is driver.connect
"""
LOADED_AFTER = """
import functools
from atms_cli.store.sqlite import driver
assert functools.wraps
assert driver.connect(":memory:").execute("SELECT 1").fetchone() == (1,)
"""
LOADED_AS_USUAL = """
import _functools, sys
del _functools._lru_cache_wrapper
import types
_functools._lru_cache_wrapper = None
from atms_cli.store.sqlite import driver
assert "functools" in sys.modules
"""


@pytest.mark.parametrize("code", [LOADED_ALONE, LOADED_AFTER, LOADED_AS_USUAL])
def test_the_driver_is_whole_however_it_is_loaded(code: str) -> None:
    subprocess.run([sys.executable, "-I", "-c", code], check=True)  # noqa: TID251  a fresh interpreter
