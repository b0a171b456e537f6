"""Handing this terminal to a program of the person."""

from __future__ import annotations

import signal
import subprocess

from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def run_shell(directory: str, environ: Mapping[str, str]) -> None:
    """Run the person's shell in a directory until they leave it; Ctrl-C is for what they do there.

    Raises:
        AtmsError: it cannot be started.

    """
    shell = environ.get("SHELL") or "/bin/sh"
    # Not ignored: that would be passed on to all that the shell starts.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        subprocess.call([shell], cwd=directory, env=environ)
    except OSError as error:
        raise AtmsError(f"cannot start {shell}: {error.strerror}", "say another one with SHELL=/bin/sh") from error
    finally:
        signal.signal(signal.SIGINT, before)
