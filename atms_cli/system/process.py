"""Starts, watches and ends the process trees of commands, from within this very process.

Not here: surviving the death of whoever ordered the command; that is what keeper.py is for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import time
from math import inf

from atms_cli.errors import ConflictError
from atms_cli.system import cgroup
from atms_cli.system.launch import GRACE_S, Outcome, Started
from atms_cli.system.limits import launcher
from atms_cli.system.logcap import Cap
from atms_cli.system.run import Run, Silence
from atms_cli.system.spawn import UnstartableError, seal_descriptors, spawn
from atms_cli.system.tree import IS_LINUX, LOOK_S, SWEEP, Ending, Tree, is_alive, list_children, look_at_all, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

    from atms_cli.system.launch import Launch, Verdict

#: How often a process that is not our child is looked at where the system cannot wake us at its end.
WATCH_S = 0.1

_PR_SET_CHILD_SUBREAPER = 36


class Processes:
    """The trees that this process runs; while it is open, all children of this process are its to reap.

    It is for the main thread only, moves the current directory for the moment of a start, and makes this process the
    parent of its descendants' orphans where the system can (Linux).
    """

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        #: Our children whose end has not been seen yet, by pid.
        self._mains: dict[int, Run] = {}
        #: Runs whose main process has just gone: what it left behind is still to be looked for.
        self._gone: list[Run] = []
        self._ended: list[Outcome] = []
        self._next_look = -inf
        self._group: cgroup.Group | None = None
        #: Whether control groups were tried, and the system refused.
        self._is_ungrouped = False
        #: Children from before our time, which are nobody's orphans.
        self._foreign = set(list_children() or ())
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
        failure = self.begin(launch)
        if failure is not None:
            return failure
        run = self._runs[launch.id]
        run.start_time = start_time(run.pid) or 0
        return Started(run.id, run.pid, run.start_time)

    def begin(self, launch: Launch) -> Outcome | None:
        """Start a command where nobody else has to know its process, which takes a look at it; an Outcome says why not."""
        self._refuse_if_known(launch.id)
        began = time.monotonic()
        group = self._group_of(launch) if launch.limits and launch.grouped else None
        try:
            pid = spawn(launch, launcher(launch.limits, group) if launch.limits else ())
        except UnstartableError as error:
            if group:
                cgroup.take_down(group)
            return Outcome(launch.id, "unstartable", error=str(error))
        tree = Tree(launch.id, pid)
        run = Run(launch.id, began, launch.grace_s, pid, 0, tree, timeout_s=launch.timeout_s, launch=launch)
        run.group = group
        self._watch_output(run, launch.output, launch.silence_s, launch.output_max)
        self._runs[run.id] = self._mains[pid] = run
        return None

    def _group_of(self, launch: Launch) -> str | None:
        """Make the control group of a run; where that cannot be, its limits hold for each process alone."""
        own = cgroup.own_group()
        if own is None or not launch.limits.keys() & cgroup.CONTROLLERS.keys() or self._is_ungrouped:
            return None
        try:
            self._group = self._group or cgroup.Group(own, launch.limits)
            return self._group.make(launch.id, launch.limits)
        except OSError:
            self._is_ungrouped = True
            return None

    @staticmethod
    def _watch_output(run: Run, path: str, silence_s: float | None, most: int | None) -> None:
        if silence_s is not None:
            run.silence = Silence(path, silence_s, run.began)
        if most is not None:
            run.cap = Cap(path, most, run.began)

    def adopt(
        self, started: Started, timeout_s: float | None = None, grace_s: float = GRACE_S,
        output: str | None = None, output_max: int | None = None,
    ) -> None:  # fmt: skip
        """Watch a tree that another process started; it ends as "vanished", for only a parent learns the exit code."""
        self._refuse_if_known(started.id)
        pidfd = _open_pidfd(started.pid)
        # Asked after opening, so that the descriptor is known to be of that very process.
        lives = is_alive(started.pid, started.start_time)
        # The number of a process that has gone may be the session of a stranger.
        tree = Tree(started.id, started.pid if lives else None)
        run = Run(started.id, time.monotonic(), grace_s, started.pid, started.start_time, tree, is_child=False)
        run.timeout_s, run.pidfd = timeout_s, pidfd
        if output is not None:
            self._watch_output(run, output, None, output_max)
        if pidfd is not None:
            self._selector.register(pidfd, selectors.EVENT_READ, run)
        if not lives:
            self._lose(run)
        self._runs[run.id] = run

    def kill(self, run_id: str, reason: str, verdict: Verdict = "killed") -> bool:
        """Begin to end a tree; false if there is nothing to begin, as it has ended or is ending."""
        run = self._runs.get(run_id)
        if run is None or run.ending or run.end:
            return False
        run.condemn(verdict, reason)
        return True

    def kill_now(self, run_id: str, reason: str) -> bool:
        """End a tree without grace, also one that is being ended gently; false if it has ended."""
        run = self._runs.get(run_id)
        if run is None:
            return False
        if run.ending is None:
            run.condemn("killed", reason)
        if run.ending is not None:
            run.ending.hurry()
        self._next_look = -inf
        return True

    def poll(self, timeout_s: float | None = None) -> list[Outcome]:
        """Wait until something has ended, at most that long, and give what has; None waits as long as it takes."""
        until = inf if timeout_s is None else time.monotonic() + timeout_s
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
        due = inf
        for run in self._runs.values():
            due = min(due, self._next_look if run.ending else run.due())
            if run.ends_unheard:
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
        """Wait to be woken by the end of a child or of an adopted process."""
        for key, _ in self._selector.select(None if wait_s == inf else wait_s):
            if key.data is None:
                os.read(self._woken, 4096)
            else:
                self._lose(key.data)

    def _advance(self, now: float) -> None:
        """Take note of what has ended, judge what still runs, and go on with what is being ended."""
        self._reap(now)
        for run in self._runs.values():
            if not run.end and run.ends_unheard and not is_alive(run.pid, run.start_time):
                self._lose(run)
            if not run.end and not run.ending:
                run.judge(now)
        self._settle()
        self._end_trees(now)

    def _reap(self, now: float) -> None:
        """Collect the children that have ended, orphans among them, and note how ours did."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return
                self._foreign.discard(pid)
                if run := self._mains.pop(pid, None):
                    run.exited(os.waitstatus_to_exitcode(status), usage, now)
                    self._gone.append(run)

    def _lose(self, run: Run) -> None:
        """Take note that an adopted main process has gone."""
        self._close_pidfd(run)
        run.lost()
        self._gone.append(run)

    def _close_pidfd(self, run: Run) -> None:
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
                run.ending = Ending(SWEEP, run.grace_s)

    def _strays(self) -> set[int] | None:
        """Give our children that we did not start, by which every leftover shows up; None where nobody can tell."""
        children = list_children()
        return None if children is None else children - self._mains.keys() - self._foreign

    def _end_trees(self, now: float) -> None:
        """Look at all processes, send what is due to those of ending trees, and report the trees that are gone."""
        ending = [(run, run.ending) for run in self._runs.values() if run.ending]
        if not ending or now < self._next_look:
            return
        # With nothing else running, an orphan that has wiped its environment can only be of this tree.
        strays = (self._strays() or ()) if len(self._runs) == 1 else ()
        everyone, once_more = look_at_all(), None
        for run, end in ending:
            hidden = cgroup.members(run.group) if run.group else strays
            tree = run.tree.find(everyone, hidden)
            if not tree:  # perhaps, for one may have handed over to a child and ended while we were reading
                once_more = once_more or look_at_all()
                tree = run.tree.find(once_more, hidden)
            if end.is_over(tree, now) and (run.end or end.survivors):
                self._finish(run)
        took_s = time.monotonic() - now
        self._next_look = now + took_s + max(LOOK_S, 4 * took_s)

    def _finish(self, run: Run) -> None:
        del self._runs[run.id]
        self._mains.pop(run.pid, None)
        self._close_pidfd(run)
        self._ended.append(run.outcome())


def _wake_up(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: a signal must have a handler for the wake-up descriptor to be written to."""


def _adopt_orphans(yes: int) -> None:
    if IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, yes, 0, 0, 0)


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system, an old kernel, or a process that has gone
        return None
