"""Making a workspace: its directories, and an atms.yaml that explains the common settings."""

from __future__ import annotations

import os
from os.path import exists, join

from atms_cli.errors import AtmsError
from atms_cli.store import paths

_TEMPLATE = """\
# Settings of atms. Times are seconds or like 90s, 15m, 1h30m, 2d. `atms config list` shows what holds.
version: 1

queue:
  strategy: priority      # or fifo, lifo, dependency, round_robin, fair_share, deadline
  ageing: 24h             # waiting this long is worth one level of priority

execution:
  jobs: 2                 # attempts at once
  max_attempts: 3         # before a task has failed
  timeout: 1h             # an attempt that takes longer is stopped
  # silence: 10m          # an attempt without output for so long is stopped

# A task is done when its gates say so. Each is a shell command that passes with exit code 0.
gates: {}
#  tests:
#    command: pytest -q
#    kind: test
#    timeout: 10m

# Agents that `atms run` starts. The prompt comes on standard input; {prompt_file} is its path.
agents: {}
#  worker:
#    command: ./work-on-it.sh {prompt_file}
#    max_concurrent: 2
"""


def create(root: str) -> bool:
    """Make `.atms` in a directory; return whether it is new."""
    directory = join(root, paths.DIRECTORY)
    is_new = not exists(directory)
    try:
        for name in (paths.JOURNAL, paths.RUNS, paths.BACKUPS):
            os.makedirs(join(directory, name), exist_ok=True)
        with open(join(directory, ".gitignore"), "w", encoding="utf-8") as file:
            file.write("*\n")
    except OSError as error:
        raise AtmsError(
            f"cannot make a workspace in {root}: {error.strerror}", "check that the directory is there and writable"
        ) from error
    return is_new


def settings_path(root: str) -> str:
    """Return where atms.yaml is."""
    return join(root, paths.CONFIG)


def has_settings(root: str) -> bool:
    """Return whether there is an atms.yaml."""
    return exists(settings_path(root))


def write_settings(root: str) -> bool:
    """Write atms.yaml unless there is one; return whether it was written."""
    from atms_cli.store.settings import write_atomically

    if has_settings(root):
        return False
    write_atomically(settings_path(root), _TEMPLATE.encode())
    return True


def back_up_settings(root: str) -> None:
    """Move atms.yaml to the backups."""
    target = join(root, paths.DIRECTORY, paths.BACKUPS, f"{paths.CONFIG}.{os.stat(settings_path(root)).st_mtime_ns}")
    os.replace(settings_path(root), target)
