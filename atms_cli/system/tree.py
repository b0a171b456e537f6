"""Finds and ends process trees: everything that one run has started.

A tree is found by its session, by ancestry and by a marker in the environment, because each alone has holes: agents
start tools in sessions of their own, daemons give up their parents, and a few programs wipe their environment.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from dataclasses import dataclass
from math import inf

from atms_cli.system.launch import GRACE_S, MARKER, OUTER_MARKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: What a tree is asked with, step by step, when it must end.
ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
#: The same for what a finished command left running: shells make background jobs deaf to SIGINT.
SWEEP = (signal.SIGTERM, signal.SIGKILL)
#: How long SIGKILL is repeated before a process is taken for unkillable (stuck in the kernel, or not ours to kill).
GIVE_UP_S = 10.0
#: The shortest time between two looks at all processes while a tree is ending.
LOOK_S = 0.02
#: How long a process may be within exec before it is taken for one without an environment.
BEGINNING_S = 0.2
#: Linux shows its processes in /proc; elsewhere psutil has to be asked.
IS_LINUX = sys.platform == "linux"

#: So much is asked for at once of a file in /proc.
_MOST = 1 << 16

#: Places in /proc/<pid>/stat, counted from the state, which is the third field of proc(5).
_START_TIME, _VSIZE, _START_CODE, _ENV_END = 19, 20, 23, 48


# Looking at processes


@dataclass(frozen=True, slots=True)
class Seen:
    """A process as the system shows it."""

    pid: int
    parent: int
    group: int
    session: int
    start_time: int
    is_zombie: bool


def look_in_proc(pid: int) -> Seen | None:
    """Ask Linux about one process."""
    # The second field, a name, may hold spaces and parentheses; the fields from the third on may not.
    fields = _content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if not fields:
        return None
    parent, group, session = map(int, fields[1:4])
    return Seen(pid, parent, group, session, _this_boot() + int(fields[_START_TIME]), fields[0] in b"ZX")


def look_with_psutil(pid: int) -> Seen | None:
    """Ask any other system about one process."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            born, is_zombie = int(process.create_time() * 1000), process.status() == psutil.STATUS_ZOMBIE
            return Seen(pid, process.ppid(), os.getpgid(pid), os.getsid(pid), born, is_zombie)
    except (psutil.Error, OSError):
        return None


def runs_in_proc(pid: int) -> tuple[str, ...]:
    """Tell which runs a process belongs to, on Linux."""
    environment = _content(f"/proc/{pid}/environ")
    give_up_at = time.monotonic() + BEGINNING_S
    is_beginning = True
    while not environment and is_beginning and time.monotonic() < give_up_at:
        is_beginning = _is_beginning(pid)
        environment = _content(f"/proc/{pid}/environ")  # after asking: only now is an empty one its own
    if b"ATMS_" not in environment:
        return ()
    pairs = (item.partition("=") for item in os.fsdecode(environment).split("\0"))
    return _runs_of({name: value for name, _, value in pairs})


def _is_beginning(pid: int) -> bool:
    """Tell whether a process is within exec, where for some microseconds nobody has an environment."""
    fields = _content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) <= _ENV_END:
        return False
    # Memory without code or environment. Kernel threads and the dying have no memory, and where we may not look, the
    # start of the code reads 1.
    return fields[_VSIZE] != b"0" and fields[_START_CODE] == fields[_ENV_END] == b"0"


def runs_with_psutil(pid: int) -> tuple[str, ...]:
    """Tell which runs a process belongs to, anywhere else."""
    import psutil

    try:
        return _runs_of(psutil.Process(pid).environ())
    except (psutil.Error, OSError):
        return ()


def _runs_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    return (*environment.get(OUTER_MARKER, "").split(), *environment.get(MARKER, "").split())


def _content(path: str) -> bytes:
    # Not a file object: it would ask twice as much of the system, and this is done for every process.
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it ended meanwhile, or is another user's
        return b""
    content = b""
    try:
        while piece := os.read(file, _MOST):
            content += piece
    except OSError:
        return b""
    else:
        return content
    finally:
        os.close(file)


@functools.cache
def _this_boot() -> int:
    # Start times count from the boot, so a service that starts early may meet its own pid and start time again after
    # a crash of the machine. Thirteen bits of salt keep the sum exact in every JSON reader.
    return (int(_content("/proc/sys/kernel/random/boot_id")[:8] or b"0", 16) & 0x1FFF) << 40


def _look(pid: int) -> Seen | None:
    return look_in_proc(pid) if IS_LINUX else look_with_psutil(pid)


def _pids() -> list[int]:
    if IS_LINUX:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    import psutil

    return list(psutil.pids())


def start_time(pid: int) -> int | None:
    """Give the opaque number that, with the pid, names this process and no later one; None if there is none."""
    seen = _look(pid)
    return seen.start_time if seen else None


def is_alive(pid: int, started: int) -> bool:
    """Tell whether that very process still runs; a zombie does not."""
    seen = _look(pid)
    return seen is not None and seen.start_time == started and not seen.is_zombie


def age_s(started: int, now_ms: int) -> float:
    """Give how long ago a process began; on Linux whatever has become of the wall clock since."""
    if not IS_LINUX:
        return max(0.0, (now_ms - started) / 1000)
    ticks = started - _this_boot()
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def marked(ids: Iterable[str]) -> dict[str, list[int]]:
    """Find the live processes of each of these runs, in one pass over all processes."""
    found: dict[str, list[int]] = {run_id: [] for run_id in ids}
    for seen, runs in look_at_all():
        for run_id in found.keys() & set(runs):
            found[run_id].append(seen.pid)
    return found


def look_at_all() -> list[tuple[Seen, tuple[str, ...]]]:
    """Give all live processes but this one, with the runs they belong to."""
    runs_of = runs_in_proc if IS_LINUX else runs_with_psutil
    here = os.getpid()
    seen = (_look(pid) for pid in _pids() if pid != here)
    return [(each, runs_of(each.pid)) for each in seen if each and not each.is_zombie]


def list_children() -> set[int] | None:
    """Give the children of this process, living and dead, or None where the system does not list them."""
    # Complete, whatever proc(5) warns of: no child of ours leaves the list while it is read, as only we reap them.
    here = os.getpid()
    path = f"/proc/{here}/task/{here}/children"
    listing = _content(path)
    return set(map(int, listing.split())) if listing or os.path.exists(path) else None


class Tree:
    """Everything that one run has started, however well hidden."""

    __slots__ = ("_found", "_id", "_session")

    def __init__(self, run_id: str, session: int | None) -> None:
        self._id = run_id
        self._session = session
        self._found: list[Seen] = []

    def find(self, everyone: list[tuple[Seen, tuple[str, ...]]], strays: Collection[int] = ()) -> list[Seen]:
        """Give the marked, those of the session, the strays without a mark, and whoever descends from any of them."""
        # Who was in the tree once stays in it: the dying lose their environment well before they are gone.
        known = {(seen.pid, seen.start_time) for seen in self._found}
        roots = [
            seen
            for seen, runs in everyone
            if self._id in runs
            or seen.session == self._session
            or (seen.pid in strays and not runs)
            or (seen.pid, seen.start_time) in known
        ]
        self._found = _with_descendants(roots, everyone)
        return self._found


def _with_descendants(roots: list[Seen], everyone: list[tuple[Seen, tuple[str, ...]]]) -> list[Seen]:
    children: dict[int, list[Seen]] = {}
    for seen, _ in everyone:
        children.setdefault(seen.parent, []).append(seen)
    found = {seen.pid: seen for seen in roots}
    unvisited = list(roots)
    while unvisited:
        new = [seen for seen in children.get(unvisited.pop().pid, ()) if seen.pid not in found]
        found.update((seen.pid, seen) for seen in new)
        unvisited += new
    return list(found.values())


# Ending trees


class Ending:
    """The end of one tree: each signal in turn to whoever is left, the last one again and again."""

    __slots__ = ("_give_up_at", "_grace_s", "_next_at", "_signals", "survivors")

    def __init__(self, signals: tuple[signal.Signals, ...], grace_s: float) -> None:
        self._signals = signals
        self._grace_s = grace_s
        self._next_at = -inf
        self._give_up_at = inf
        self.survivors: list[int] = []

    def is_over(self, tree: list[Seen], now: float) -> bool:
        """Send what is due to the tree; true once it is empty or beyond hope."""
        if tree and now >= self._next_at:
            self._send(self._signals[0], tree, now)
        self.survivors = [seen.pid for seen in tree]
        return not tree or now >= self._give_up_at

    def hurry(self) -> None:
        """Leave out what is gentle: the last signal is due now."""
        self._signals = self._signals[-1:]
        self._next_at = -inf

    def _send(self, number: signal.Signals, tree: list[Seen], now: float) -> None:
        for seen in tree:
            _signal(seen, number)
        if len(self._signals) > 1:
            self._signals = self._signals[1:]
            self._next_at = now + self._grace_s
        elif self._give_up_at == inf:
            self._give_up_at = now + GIVE_UP_S


def _signal(seen: Seen, number: signal.Signals) -> None:
    if start_time(seen.pid) != seen.start_time:
        return
    try:
        os.kill(seen.pid, number)
        if number != signal.SIGKILL:
            os.kill(seen.pid, signal.SIGCONT)  # a stopped process acts on nothing else
    except (ProcessLookupError, PermissionError):
        pass


def kill_marked(run_id: str, grace_s: float = GRACE_S) -> list[int]:
    """Interrupt, terminate and kill all of a run except this process; give the pids that survived even that."""
    tree, ending = Tree(run_id, None), Ending(ESCALATION, grace_s)
    while not ending.is_over(tree.find(look_at_all()) or tree.find(look_at_all()), time.monotonic()):
        time.sleep(LOOK_S)
    return ending.survivors
