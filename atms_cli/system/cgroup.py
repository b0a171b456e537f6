"""Control groups of Linux (version 2): limits that hold for all processes of a run together, and counts of what they used.

They need a part of the hierarchy that was given to us (https://systemd.io/CGROUP_DELEGATION/). What is there is a matter of
how `atms run` was started, so each step can fail, and says why.
"""

from __future__ import annotations

import contextlib
import os
from os.path import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.system.launch import Limits

#: Which controller each limit needs.
CONTROLLERS = {"memory": "memory", "processes": "pids", "cores": "cpu"}
_PREFIX = "atms-"
_PERIOD_US = 100_000


def own_group(about: str = "/proc/self") -> str | None:
    """Return the directory of the control group that this process is in, None where version 2 is not there."""
    line = next((line for line in _lines(join(about, "cgroup")) if line.startswith("0::")), None)
    for mount in _lines(join(about, "mountinfo")):
        before, _, after = mount.partition(" - ")
        if line is not None and after.startswith("cgroup2 "):
            _, _, _, root, point = before.split(" ")[:5]
            inside = line[3:].removeprefix(root.rstrip("/"))
            return join(point, inside.lstrip("/")).rstrip("/")
    return None


def obstacle(group: str | None, limits: Limits) -> str | None:
    """Say why limits cannot be set for all processes of a run together; None if they can."""
    if group is None:
        return "there are no control groups of version 2 here"
    wanted = _wanted(limits)
    lacking = wanted - _words(join(group, "cgroup.controllers"))
    if lacking:
        return f"the control group {group} has no controller for {', '.join(sorted(lacking))}"
    if not all(os.access(join(group, name), os.W_OK) for name in ("", "cgroup.procs", "cgroup.subtree_control")):
        return f"the control group {group} is not ours to change"
    is_prepared = wanted <= _words(join(group, "cgroup.subtree_control"))
    others = {int(pid) for pid in _lines(join(group, "cgroup.procs"))} - {os.getpid()}
    return None if is_prepared or not others else f"other processes are in the control group {group}"


class Group:
    """The part of the hierarchy that a keeper has, with a group for each run in it.

    Raises:
        OSError: the system refuses.

    """

    def __init__(self, directory: str, limits: Limits) -> None:
        self._directory = directory
        self._prepare(_wanted(limits))
        self._sweep()

    def _prepare(self, wanted: set[str]) -> None:
        control = join(self._directory, "cgroup.subtree_control")
        if wanted <= _words(control):
            return
        # A group with groups in it may have no processes of its own: the loop and we move into one beside the runs'.
        ours = join(self._directory, f"{_PREFIX}{os.getpid()}")
        os.makedirs(ours, exist_ok=True)
        for pid in {os.getpid(), os.getppid()} & {int(pid) for pid in _lines(join(self._directory, "cgroup.procs"))}:
            _write(join(ours, "cgroup.procs"), str(pid))
        _write(control, " ".join(f"+{name}" for name in sorted(wanted)))

    def _sweep(self) -> None:
        """Remove what the runs of dead keepers left; a group with processes in it cannot be removed."""
        for name in os.listdir(self._directory):
            if name.startswith(_PREFIX):
                with contextlib.suppress(OSError):
                    os.rmdir(join(self._directory, name))

    def make(self, run_id: str, limits: Limits) -> str:
        """Make the group of one run and return its directory."""
        self._prepare(_wanted(limits))
        group = join(self._directory, f"{_PREFIX}{run_id}")
        os.mkdir(group)
        for name, text in _settings(limits):
            _write(join(group, name), text)
        if "memory" in limits:
            with contextlib.suppress(OSError):  # without swap there is no such file
                _write(join(group, "memory.swap.max"), "0")
        return group


def members(group: str) -> set[int]:
    """Return the processes of a run, however well hidden."""
    return {int(pid) for pid in _lines(join(group, "cgroup.procs"))}


def take_down(group: str) -> dict[str, int]:
    """Remove the group of a run that has ended; return what was counted of it."""
    counts = {
        "oom_kill": _count(group, "memory.events", "oom_kill"),
        "fork_refused": _count(group, "pids.events", "max"),
    }
    with contextlib.suppress(OSError):  # it has groups of its own making
        os.rmdir(group)
    return counts


def _wanted(limits: Limits) -> set[str]:
    return {controller for name, controller in CONTROLLERS.items() if name in limits}


def _settings(limits: Limits) -> Iterator[tuple[str, str]]:
    if "memory" in limits:
        yield "memory.max", str(int(limits["memory"]))
    if "processes" in limits:
        yield "pids.max", str(int(limits["processes"]))
    if "cores" in limits:
        yield "cpu.max", f"{round(limits['cores'] * _PERIOD_US)} {_PERIOD_US}"


def _count(group: str, name: str, key: str) -> int:
    found = (line.split() for line in _lines(join(group, name)))
    return next((int(value) for found_key, value in found if found_key == key), 0)


def _words(path: str) -> set[str]:
    return {word for line in _lines(path) for word in line.split()}


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
