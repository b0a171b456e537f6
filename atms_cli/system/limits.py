"""Limits on what a command may use, enforced by the system: set by a launcher that becomes the command.

posix_spawn cannot set limits, and setting them from outside comes too late for a command that is quick. So a line of
shell sets them on itself; only commands that have limits pay for it.
"""

from __future__ import annotations

import resource
import signal
from math import ceil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.system.launch import Limits

#: What the launcher ends with if a limit cannot be set; it says which in the command's output.
NOT_SET = 122
#: So long after SIGXCPU a process that goes on is killed.
_CPU_GRACE_S = 5
_KILOBYTE = 1024
#: The unit of `ulimit -f` (POSIX).
_BLOCK = 512
_SIGNALS = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "file_size"}
#: A shell gives a signal that ended its command back as this much more.
_OF_SHELL = 128


def launcher(limits: Limits, group: str | None) -> tuple[str, ...]:
    """Return the words that go before a command; what its control group limits is left to that."""
    steps = [f'echo 0 > "$0/cgroup.procs" || exit {NOT_SET}'] if group else []
    steps += [f"{step} || exit {NOT_SET}" for step in _ulimits(limits, is_grouped=group is not None)]
    return ("/bin/sh", "-c", "; ".join([*steps, 'exec "$@"']), group or "atms")


def _ulimits(limits: Limits, *, is_grouped: bool) -> list[str]:
    steps = []
    if "memory" in limits and not is_grouped:
        # Not the address space: runtimes reserve a hundred times what they use.
        steps.append(f"ulimit -d {_within(resource.RLIMIT_DATA, limits['memory'], _KILOBYTE)}")
    if "cpu" in limits:
        # In this order: a hard limit below the soft one is refused.
        steps.append(f"ulimit -S -t {_within(resource.RLIMIT_CPU, limits['cpu'])}")
        steps.append(f"ulimit -H -t {_within(resource.RLIMIT_CPU, limits['cpu'] + _CPU_GRACE_S)}")
    if "files" in limits:
        steps.append(f"ulimit -n {_within(resource.RLIMIT_NOFILE, limits['files'])}")
    if "processes" in limits and not is_grouped:
        most = _within(resource.RLIMIT_NPROC, limits["processes"])
        # Shells differ about its letter.
        steps.append(f"{{ ulimit -u {most} 2>/dev/null || ulimit -p {most}; }}")
    if "file_size" in limits:
        steps.append(f"ulimit -f {_within(resource.RLIMIT_FSIZE, limits['file_size'], _BLOCK)}")
    return steps


def _within(kind: int, wanted: float, unit: int = 1) -> int:
    """Return a limit in its unit, no higher than the one we are under ourselves, which nobody may raise."""
    ours = resource.getrlimit(kind)[1]
    most = wanted if ours == resource.RLIM_INFINITY else min(wanted, ours)
    return ceil(most / unit)


def hit(limits: Limits, exit_code: int | None, number: int | None, counts: Mapping[str, int]) -> str:
    """Name the limit that a command has met, as far as its end and its control group tell; empty if none."""
    if counts.get("oom_kill"):
        return "memory"
    if counts.get("fork_refused"):
        return "processes"
    killed_by = number or (exit_code or 0) - _OF_SHELL
    name = next((name for each, name in _SIGNALS.items() if each == killed_by), "")
    return name if name in limits else ""
