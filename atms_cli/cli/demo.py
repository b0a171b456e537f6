"""x."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli.call import Call


def demo(call: Call) -> None:
    """X."""
