"""Running one short command of ours and taking its output: git, mostly."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass

from atms_cli.errors import AtmsError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Captured:
    """What a command said, and its exit code."""

    exit_code: int
    output: bytes
    errors: bytes


def capture(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    given: bytes = b"",
    timeout_s: float,
    apart: bool = False,
    held: Sequence[int] = (),
) -> Captured:
    """Run a command to its end; one that is `apart` is in a session of its own, so that Ctrl-C is not for it.

    Raises:
        AtmsError: it is not there, or the directory is not.
        UnavailableError: it took too long.

    """
    try:
        process = subprocess.Popen(  # noqa: TID251
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=apart,
            pass_fds=held,
        )
    except FileNotFoundError as error:
        if error.filename == cwd:
            raise AtmsError(f"no such directory: {cwd}") from None
        raise AtmsError(f"`{argv[0]}` was not found", f"install {argv[0]}, then repeat") from None
    with process:
        try:
            output, errors = process.communicate(given, timeout_s)
        except subprocess.TimeoutExpired:
            if apart:
                # What it has started would hold our pipes open.
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise UnavailableError(
                f"`{argv[0]}` took longer than {timeout_s:g} s", "check the network, then repeat"
            ) from None
        except BaseException:
            process.kill()
            raise
    return Captured(process.returncode, output, errors)
