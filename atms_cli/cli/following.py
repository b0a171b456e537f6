"""Going on as more comes in: `log -f`, `logs -f`, `wait`."""

from __future__ import annotations

import sys
from os.path import dirname, exists, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.cli.call import Call

#: Looked at this often even if no change was noticed: some file systems report none.
_LONGEST_WAIT_S = 5.0
_CHUNK = 65_536


def wait_until(call: Call, is_true: Callable[[], bool], timeout_s: float | None) -> bool:
    """Wait for changes of the journal until something is true; return False if time ran out."""
    from atms_cli.system.watch import Changes

    if is_true():
        return True
    clock = call.workspace.clock
    deadline = None if timeout_s is None else clock.monotonic() + timeout_s
    with Changes([join(call.workspace.directory, "journal")]) as changes:
        while not is_true():
            left = _LONGEST_WAIT_S if deadline is None else min(_LONGEST_WAIT_S, deadline - clock.monotonic())
            if left <= 0:
                return False
            changes.wait(left)
    return True


def whole(path: str) -> str:
    """Return what a file holds, with replacement characters for what is not text."""
    from atms_cli.errors import NotFoundError

    if not exists(path):
        raise NotFoundError(f"there is no output yet in {path}")
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def print_log(call: Call, path: str, goes_on: Callable[[], bool] | None) -> None:
    """Print a file, and what is added to it as long as `goes_on`."""
    from atms_cli.errors import NotFoundError
    from atms_cli.system.watch import Changes

    if not exists(path):
        raise NotFoundError(f"there is no output yet in {path}")
    with open(path, "rb") as file:
        if goes_on is None:
            _copy(file.read)
            return
        with Changes([dirname(path), join(call.workspace.directory, "journal")]) as changes:
            while True:
                running = goes_on()
                _copy(file.read)
                if not running:
                    return
                changes.wait(_LONGEST_WAIT_S)


def _copy(read: Callable[[int], bytes]) -> None:
    # What was written as text before comes first.
    sys.stdout.flush()
    while chunk := read(_CHUNK):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
