"""From words to a handler: the fast lane for what is plainly spelled, Typer for everything else."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    from atms_cli.cli.fastlane import match

    found = match(arguments)
    if found is None:
        from atms_cli.cli.app import run as run_typer

        return run_typer(list(arguments))
    target, values = found
    from atms_cli.cli.call import invoke

    return invoke(target, values)
