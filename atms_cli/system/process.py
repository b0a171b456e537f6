"""Starts, watches and ends the process trees of commands, from within this very process.

A command's tree is found by its session, by ancestry and by a marker in the environment, because each alone has holes:
agents start tools in sessions of their own, daemons give up their parents, and a few programs wipe their environment.
Not here: surviving the death of whoever ordered the command; that is what keeper.py is for.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import selectors
import signal
import sys
import time
from dataclasses import dataclass, replace

from atms_cli.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from collections.abc import Collection, Iterable, Mapping
    from types import FrameType, TracebackType
    from typing import Any, Literal, Self

    Status = Literal["exited", "signalled", "timed_out", "stalled", "killed", "unstartable", "vanished"]

#: Names the run a process belongs to, in its environment and so in that of every descendant.
MARKER = "ATMS_RUN_ID"
#: The runs that the run in MARKER was started within, outermost first: their end is its end too.
OUTER_MARKER = "ATMS_OUTER_RUN_IDS"
#: What a tree is asked with, step by step, when it must end.
ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
#: The same for what a finished command left running: shells make background jobs deaf to SIGINT.
SWEEP = (signal.SIGTERM, signal.SIGKILL)
#: How long each polite signal is given.
GRACE_S = 5.0
#: How long SIGKILL is repeated before a process is taken for unkillable (stuck in the kernel, or not ours to kill).
GIVE_UP_S = 10.0
#: The shortest time between two looks at all processes while a tree is ending.
LOOK_S = 0.02
#: How often a process that is not our child is looked at where the system cannot wake us at its end.
WATCH_S = 0.1
#: How long a process may be within exec before it is taken for one without an environment.
BEGINNING_S = 0.2
#: What a child must not inherit: Python ignores SIGPIPE, a keeper ignores SIGINT and SIGHUP.
DEFAULT_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}

_FOREVER = float("inf")
_STDERR = 2
_IS_LINUX = sys.platform == "linux"
#: Places in /proc/<pid>/stat, counted from the state, which is the third field of proc(5).
_START_TIME, _VSIZE, _START_CODE, _ENV_END = 19, 20, 23, 48
_PR_SET_CHILD_SUBREAPER = 36
_SPAWN_ERRORS = {
    errno.ENOEXEC: "not executable: {}; a script must begin with a line such as `#!/bin/sh`",
    errno.ENOENT: "no such interpreter: see the first line of {}",
    errno.EACCES: "not executable: {}",
    errno.E2BIG: "arguments and environment are too long for {}",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """One command to start: all that it will see, and how long it may take."""

    id: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    output: str
    input: str | None = None
    timeout_s: float | None = None
    silence_s: float | None = None
    grace_s: float = GRACE_S

    def to_json(self) -> dict[str, Any]:
        """Give the plain values that `from_json` takes."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Launch:
        """Read what `to_json` gave, before or after a trip through JSON."""
        return cls(**{**plain, "argv": tuple(plain["argv"])})


@dataclass(frozen=True, slots=True)
class Started:
    """A command has begun; pid and start time together name its process for as long as the machine is up."""

    id: str
    pid: int
    start_time: int

    def to_json(self) -> dict[str, Any]:
        """Give the plain values that it can be made of again."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to; `exit_code` and `signal` are the main process's own, whatever the status says."""

    id: str
    status: Status
    exit_code: int | None = None
    signal: int | None = None
    duration_s: float = 0.0
    error: str = ""
    cpu_s: float = 0.0
    max_rss_kb: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the plain values that `from_json` takes."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Outcome:
        """Read what `to_json` gave; keys of other versions are passed over."""
        return cls(**{name: plain[name] for name in cls.__slots__ if name in plain})


def shell(command: str) -> tuple[str, ...]:
    """Give the argv that runs a line of shell."""
    return ("/bin/sh", "-c", command)


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
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:  # it ended meanwhile, or is another user's
        return b""


@functools.cache
def _this_boot() -> int:
    # Start times count from the boot, so a service that starts early may meet its own pid and start time again after
    # a crash of the machine. Thirteen bits of salt keep the sum exact in every JSON reader.
    return (int(_content("/proc/sys/kernel/random/boot_id")[:8] or b"0", 16) & 0x1FFF) << 40


def _look(pid: int) -> Seen | None:
    return look_in_proc(pid) if _IS_LINUX else look_with_psutil(pid)


def _pids() -> list[int]:
    if _IS_LINUX:
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


def marked(ids: Iterable[str]) -> dict[str, list[int]]:
    """Find the live processes of each of these runs, in one pass over all processes."""
    found: dict[str, list[int]] = {run_id: [] for run_id in ids}
    for seen, runs in _everyone():
        for run_id in found.keys() & set(runs):
            found[run_id].append(seen.pid)
    return found


def _everyone() -> list[tuple[Seen, tuple[str, ...]]]:
    """Give all live processes but this one, with the runs they belong to."""
    runs_of = runs_in_proc if _IS_LINUX else runs_with_psutil
    here = os.getpid()
    seen = (_look(pid) for pid in _pids() if pid != here)
    return [(each, runs_of(each.pid)) for each in seen if each and not each.is_zombie]


class _Tree:
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


class _Ending:
    """The end of one tree: each signal in turn to whoever is left, the last one again and again."""

    __slots__ = ("_give_up_at", "_grace_s", "_next_at", "_signals", "survivors")

    def __init__(self, signals: tuple[signal.Signals, ...], grace_s: float) -> None:
        self._signals = signals
        self._grace_s = grace_s
        self._next_at = -_FOREVER
        self._give_up_at = _FOREVER
        self.survivors: list[int] = []

    def is_over(self, tree: list[Seen], now: float) -> bool:
        """Send what is due to the tree; true once it is empty or beyond hope."""
        if tree and now >= self._next_at:
            self._send(self._signals[0], tree, now)
        self.survivors = [seen.pid for seen in tree]
        return not tree or now >= self._give_up_at

    def _send(self, number: signal.Signals, tree: list[Seen], now: float) -> None:
        for seen in tree:
            _signal(seen, number)
        if len(self._signals) > 1:
            self._signals = self._signals[1:]
            self._next_at = now + self._grace_s
        elif self._give_up_at == _FOREVER:
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
    tree, ending = _Tree(run_id, None), _Ending(ESCALATION, grace_s)
    while not ending.is_over(tree.find(_everyone()) or tree.find(_everyone()), time.monotonic()):
        time.sleep(LOOK_S)
    return ending.survivors


# Starting commands


class _UnstartableError(Exception):
    """The command cannot be started, and why."""


def _spawn(launch: Launch) -> int:
    # Input first: if our own descriptors 0 to 2 are closed, no dup2 below overwrites one that a later one needs.
    source = _opened(launch.input or os.devnull, os.O_RDONLY)
    try:
        sink = _opened(launch.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            return _spawn_in_directory(launch, source, sink)
        finally:
            os.close(sink)
    finally:
        os.close(source)


def _opened(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, 0o644)
    except (OSError, ValueError) as error:
        raise _UnstartableError(f"cannot open {path}: {_reason(error)}") from error


def _spawn_in_directory(launch: Launch, source: int, sink: int) -> int:
    # posix_spawn cannot change directory and fork is many times slower, so this process goes there and back.
    home = _opened(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        _enter(launch.cwd)
        return _posix_spawn(_program(launch), launch, source, sink)
    except ValueError as error:  # a zero byte, an equals sign in the name of a variable
        raise _UnstartableError(f"{launch.argv[0]!r}: {error}") from error
    finally:
        os.fchdir(home)
        os.close(home)


def _posix_spawn(program: str, launch: Launch, source: int, sink: int) -> int:
    redirections = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_DUP2, sink, 2)]
    try:
        return os.posix_spawn(
            program,
            launch.argv,
            _environment(launch),
            file_actions=redirections,
            setsid=True,
            setsigmask=(),
            setsigdef=DEFAULT_SIGNALS,
        )
    except OSError as error:
        reason = _SPAWN_ERRORS.get(error.errno or 0, f"{{}}: {error.strerror}")
        raise _UnstartableError(reason.format(program)) from error


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except FileNotFoundError as error:
        raise _UnstartableError(f"no such directory: {directory}") from error
    except (OSError, ValueError) as error:
        raise _UnstartableError(f"cannot enter directory {directory}: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _program(launch: Launch) -> str:
    """Find the file to execute as a shell in the current directory would, given the PATH of the command."""
    name = launch.argv[0] if launch.argv else ""
    path = launch.env.get("PATH", os.defpath)
    places = [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in path.split(":")]
    for place in places:
        if os.access(place, os.X_OK) and not os.path.isdir(place):
            return place
    is_there = name and any(os.path.exists(place) for place in places)
    raise _UnstartableError(f"not executable: {name}" if is_there else f"no such program: {name}")


def _environment(launch: Launch) -> dict[str, str]:
    """Mark the environment, and keep the marks of the runs that this one runs within."""
    environment = dict(launch.env)
    within = environment.get(MARKER, launch.id)
    if within != launch.id:
        environment[OUTER_MARKER] = f"{environment.get(OUTER_MARKER, '')} {within}".lstrip()
    environment[MARKER] = launch.id
    return environment


def seal_descriptors() -> None:
    """Keep what a caller left open, often a lock of a wrapping script, out of processes that may outlive it."""
    for name in os.listdir("/dev/fd"):
        if int(name) > _STDERR:
            with contextlib.suppress(OSError):  # the listing's own descriptor is among them, and closed by now
                os.set_inheritable(int(name), False)


# Watching commands


class _Silence:
    """The output file of a command that must not fall silent for too long."""

    __slots__ = ("_checked_at", "_path", "_size", "due", "limit_s")

    def __init__(self, path: str, limit_s: float, now: float) -> None:
        self._path = path
        self._checked_at = now
        self._size = -1
        with contextlib.suppress(OSError):
            self._size = os.stat(path).st_size
        self.limit_s = limit_s
        self.due = now + limit_s

    def is_too_long(self, now: float) -> bool:
        """Look at the file, which is due; if it has changed, the next look is due that long after its last change."""
        try:
            status = os.stat(self._path)
        except OSError:
            return True
        if status.st_size == self._size:
            return True
        quiet_s = time.clock_gettime(time.CLOCK_REALTIME) - status.st_mtime
        if not 0 <= quiet_s <= now - self._checked_at:
            quiet_s = 0  # the clock was set, or the file is on a machine whose clock differs
        self._size, self._checked_at, self.due = status.st_size, now, now + self.limit_s - quiet_s
        return False


@dataclass(slots=True)
class _Run:
    """A tree under watch."""

    id: str
    began: float
    grace_s: float
    pid: int
    start_time: int
    tree: _Tree
    is_child: bool = True
    timeout_s: float | None = None
    silence: _Silence | None = None
    #: Becomes readable at the end of a main process that is not our child; None where the system has no such thing.
    pidfd: int | None = None
    verdict: Status | None = None
    reason: str = ""
    end: Outcome | None = None
    ending: _Ending | None = None

    def due(self) -> float:
        """Tell when its patience is over, or should be looked into."""
        deadline = _FOREVER if self.timeout_s is None else self.began + self.timeout_s
        return min(deadline, self.silence.due if self.silence else _FOREVER)

    def judge(self, now: float) -> None:
        """Condemn it if it has taken, or kept silent for, too long."""
        if self.timeout_s is not None and now >= self.began + self.timeout_s:
            self.condemn("timed_out", f"took longer than {self.timeout_s:g} s")
        elif self.silence and now >= self.silence.due and self.silence.is_too_long(now):
            self.condemn("stalled", f"no output for {self.silence.limit_s:g} s")

    def condemn(self, verdict: Status, reason: str) -> None:
        """Begin to end it."""
        self.verdict, self.reason = verdict, reason
        self.ending = _Ending(ESCALATION, self.grace_s)

    def outcome(self) -> Outcome:
        """Tell what it came to, now that all is over."""
        end = self.end or Outcome(self.id, "vanished", duration_s=time.monotonic() - self.began)
        reason = self.reason
        if self.ending and self.ending.survivors:
            reason = f"{reason}; not even SIGKILL ended {self.ending.survivors}".lstrip("; ")
        return replace(end, status=self.verdict or end.status, error=reason)


class Processes:
    """The trees that this process runs; while it is open, all children of this process are its to reap.

    It is for the main thread only, moves the current directory for the moment of a start, and makes this process the
    parent of its descendants' orphans where the system can (Linux).
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        #: Our children whose end has not been seen yet, by pid.
        self._mains: dict[int, _Run] = {}
        #: Runs whose main process has just gone: what it left behind is still to be looked for.
        self._gone: list[_Run] = []
        self._ended: list[Outcome] = []
        self._next_look = -_FOREVER
        #: Children from before our time, which are nobody's orphans.
        self._foreign = set(_children() or ())
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._old_handler = signal.signal(signal.SIGCHLD, _wake_up)
        self._old_waker = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        _adopt_orphans(1)
        seal_descriptors()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def running(self) -> list[str]:
        """The runs that have not been reported as ended."""
        return list(self._runs)

    @property
    def ending(self) -> list[str]:
        """Those of them whose trees are being ended."""
        return [run.id for run in self._runs.values() if run.ending]

    def fileno(self) -> int:
        """Give a descriptor that is readable when `poll` has something to do before `due_in_s` is over."""
        return self._selector.fileno()

    def start(self, launch: Launch) -> Started | Outcome:
        """Start a command in a session of its own; an Outcome says why it could not be started."""
        self._refuse_if_known(launch.id)
        began = time.monotonic()
        try:
            pid = _spawn(launch)
        except _UnstartableError as error:
            return Outcome(launch.id, "unstartable", error=str(error))
        run = _Run(
            launch.id,
            began,
            launch.grace_s,
            pid,
            start_time(pid) or 0,
            _Tree(launch.id, pid),
            timeout_s=launch.timeout_s,
        )
        if launch.silence_s is not None:
            run.silence = _Silence(launch.output, launch.silence_s, began)
        self._runs[run.id] = self._mains[pid] = run
        return Started(run.id, pid, run.start_time)

    def adopt(self, started: Started, timeout_s: float | None = None, grace_s: float = GRACE_S) -> None:
        """Watch a tree that another process started; it ends as "vanished", for only a parent learns the exit code."""
        self._refuse_if_known(started.id)
        pidfd = _open_pidfd(started.pid)
        # Asked after opening, so that the descriptor is known to be of that very process.
        lives = is_alive(started.pid, started.start_time)
        # The number of a process that has gone may be the session of a stranger.
        tree = _Tree(started.id, started.pid if lives else None)
        run = _Run(started.id, time.monotonic(), grace_s, started.pid, started.start_time, tree, is_child=False)
        run.timeout_s, run.pidfd = timeout_s, pidfd
        if pidfd is not None:
            self._selector.register(pidfd, selectors.EVENT_READ, run)
        if not lives:
            self._lose(run)
        self._runs[run.id] = run

    def kill(self, run_id: str, reason: str) -> bool:
        """Begin to end a tree; false if there is nothing to begin, as it has ended or is ending."""
        run = self._runs.get(run_id)
        if run is None or run.ending or run.end:
            return False
        run.condemn("killed", reason)
        return True

    def poll(self, timeout_s: float | None = None) -> list[Outcome]:
        """Wait until something has ended, at most that long, and give what has; None waits as long as it takes."""
        until = _FOREVER if timeout_s is None else time.monotonic() + timeout_s
        wait_s = 0.0
        while True:
            self._listen(wait_s)
            self._advance(time.monotonic())
            left_s = until - time.monotonic()
            if self._ended or left_s <= 0 or not self._runs:
                ended, self._ended = self._ended, []
                return ended
            wait_s = min(left_s, self.due_in_s())

    def due_in_s(self) -> float:
        """Tell after how long `poll` has something to do even if nothing happens; infinity if never."""
        now = time.monotonic()
        due = _FOREVER
        for run in self._runs.values():
            due = min(due, self._next_look if run.ending else run.due())
            if not run.is_child and run.pidfd is None:
                due = min(due, now + WATCH_S)
        return max(0.0, due - now)

    def close(self) -> None:
        """End all that still runs, and give this process its signals back."""
        try:
            for run_id in self.running:
                self.kill(run_id, "whoever started it has stopped")
            while self._runs:
                self.poll()
        finally:
            _adopt_orphans(0)
            signal.set_wakeup_fd(self._old_waker)
            signal.signal(signal.SIGCHLD, self._old_handler)
            self._selector.close()
            os.close(self._woken)
            os.close(self._waker)

    def _refuse_if_known(self, run_id: str) -> None:
        if run_id in self._runs:
            raise ConflictError(f"`{run_id}` is running already")

    def _listen(self, wait_s: float) -> None:
        for key, _ in self._selector.select(None if wait_s == _FOREVER else wait_s):
            if key.data is None:
                os.read(self._woken, 4096)
            else:
                self._lose(key.data)

    def _advance(self, now: float) -> None:
        self._reap(now)
        for run in self._runs.values():
            if not run.end and not run.is_child and run.pidfd is None and not is_alive(run.pid, run.start_time):
                self._lose(run)
            if not run.end and not run.ending:
                run.judge(now)
        self._settle()
        self._end_trees(now)

    def _reap(self, now: float) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return
                self._foreign.discard(pid)
                if run := self._mains.pop(pid, None):
                    run.end = _end(run, os.waitstatus_to_exitcode(status), usage, now)
                    self._gone.append(run)

    def _lose(self, run: _Run) -> None:
        self._close_pidfd(run)
        run.end = Outcome(run.id, "vanished", duration_s=time.monotonic() - run.began)
        self._gone.append(run)

    def _close_pidfd(self, run: _Run) -> None:
        if run.pidfd is not None:
            self._selector.unregister(run.pidfd)
            os.close(run.pidfd)
            run.pidfd = None

    def _settle(self) -> None:
        """Report the runs whose main process has gone, or begin to end what it left running."""
        gone, self._gone = self._gone, []
        if not gone:
            return
        strays = self._strays()
        for run in gone:
            if run.is_child and not run.ending and not strays:
                self._finish(run)
            elif not run.ending:
                run.ending = _Ending(SWEEP, run.grace_s)

    def _strays(self) -> set[int] | None:
        """Give our children that we did not start, by which every leftover shows up; None where nobody can tell."""
        children = _children()
        return None if children is None else children - self._mains.keys() - self._foreign

    def _end_trees(self, now: float) -> None:
        ending = [(run, run.ending) for run in self._runs.values() if run.ending]
        if not ending or now < self._next_look:
            return
        # With nothing else running, an orphan that has wiped its environment can only be of this tree.
        strays = (self._strays() or ()) if len(self._runs) == 1 else ()
        everyone, once_more = _everyone(), None
        for run, end in ending:
            tree = run.tree.find(everyone, strays)
            if not tree:  # perhaps, for one may have handed over to a child and ended while we were reading
                once_more = once_more or _everyone()
                tree = run.tree.find(once_more, strays)
            if end.is_over(tree, now) and (run.end or end.survivors):
                self._finish(run)
        took_s = time.monotonic() - now
        self._next_look = now + took_s + max(LOOK_S, 4 * took_s)

    def _finish(self, run: _Run) -> None:
        del self._runs[run.id]
        self._mains.pop(run.pid, None)
        self._close_pidfd(run)
        self._ended.append(run.outcome())


def _end(run: _Run, code: int, usage: resource.struct_rusage, now: float) -> Outcome:
    return Outcome(
        run.id,
        "exited" if code >= 0 else "signalled",
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        duration_s=now - run.began,
        cpu_s=usage.ru_utime + usage.ru_stime,
        max_rss_kb=usage.ru_maxrss if _IS_LINUX else usage.ru_maxrss // 1024,
    )


def _children() -> set[int] | None:
    """Give the children of this process, living and dead, or None where the system does not list them."""
    # Complete, whatever proc(5) warns of: no child of ours leaves the list while it is read, as only we reap them.
    here = os.getpid()
    path = f"/proc/{here}/task/{here}/children"
    listing = _content(path)
    return set(map(int, listing.split())) if listing or os.path.exists(path) else None


def _wake_up(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: a signal must have a handler for the wake-up descriptor to be written to."""


def _adopt_orphans(yes: int) -> None:
    if _IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, yes, 0, 0, 0)


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system, an old kernel, or a process that has gone
        return None
