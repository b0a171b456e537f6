"""SQLite's driver, loaded without what it does not use.

`_sqlite3` asks `functools` for one name, `lru_cache`, and the Python half of that module brings `collections`, `types`
and four more: together a fifth of a Python start, on every command (docs/decisions/0011-sqlite-driver.md). The cache
itself is written in C. So while the driver loads, a module stands in that offers the C half alone. Where anything is
not as expected, the driver is loaded as usual.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def _loaded() -> ModuleType:
    if "functools" not in sys.modules and "_sqlite3" not in sys.modules:
        try:
            return _loaded_alone()
        except (ImportError, AttributeError, TypeError):
            sys.modules.pop("_sqlite3", None)
    try:
        # The public module imports `datetime` and `collections.abc` for adapters that are not used here.
        import _sqlite3 as found
    except ImportError:
        import sqlite3 as found  # type: ignore[no-redef]
    return found


def _loaded_alone() -> ModuleType:
    from _functools import _lru_cache_wrapper  # type: ignore[import-not-found]

    def lru_cache(maxsize: int) -> Callable[[object], object]:
        return lambda function: _lru_cache_wrapper(function, maxsize, False, tuple)

    stand_in = type(sys)("functools")
    stand_in.lru_cache = lru_cache  # type: ignore[attr-defined]
    sys.modules["functools"] = stand_in
    try:
        import _sqlite3

        # The first connection makes the cache: a driver that wants more of it says so here.
        _sqlite3.connect(":memory:").close()
        return _sqlite3
    finally:
        del sys.modules["functools"]


driver = _loaded()
