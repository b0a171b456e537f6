"""What real tools wrote of a small project with known flaws: ruff 0.17, mypy 2.4, pytest 9, coverage.py 7.17, bandit, eslint, vitest."""

from __future__ import annotations

import os

_DIRECTORY = os.path.join(os.path.dirname(__file__), "data", "reports")
NAMES = tuple(sorted(os.listdir(_DIRECTORY)))


def recorded(name: str) -> bytes:
    """Return the content of a recorded report."""
    with open(os.path.join(_DIRECTORY, name), "rb") as file:
        return file.read()
