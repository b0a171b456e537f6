"""Which atms this is."""

from __future__ import annotations

from atms_cli import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli.call import Call


def version(call: Call) -> None:
    """Print the version."""
    call.answer({"version": __version__}, [__version__], lambda: f"atms {__version__}")
