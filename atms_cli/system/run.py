"""One tree under watch: how long it may take and keep silent, and what it came to."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from math import inf

from atms_cli.system import cgroup, limits
from atms_cli.system.launch import Outcome
from atms_cli.system.tree import ESCALATION, IS_LINUX, Ending

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from collections.abc import Mapping

    from atms_cli.system.launch import Launch, Status
    from atms_cli.system.logcap import Cap
    from atms_cli.system.tree import Tree


class Silence:
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
class Run:
    """A tree under watch."""

    id: str
    began: float
    grace_s: float
    pid: int
    start_time: int
    tree: Tree
    is_child: bool = True
    timeout_s: float | None = None
    #: How it was started; an adopted one was by somebody else.
    launch: Launch | None = None
    silence: Silence | None = None
    cap: Cap | None = None
    #: Whether that bound could not be held.
    has_no_room: bool = False
    #: The directory of its control group.
    group: str | None = None
    #: Becomes readable at the end of a main process that is not our child; None where the system has no such thing.
    pidfd: int | None = None
    verdict: Status | None = None
    reason: str = ""
    end: Outcome | None = None
    ending: Ending | None = None

    @property
    def ends_unheard(self) -> bool:
        """Whether nothing wakes us at the end of its main process, so that we have to look."""
        return not self.is_child and self.pidfd is None

    def due(self) -> float:
        """Tell when its patience is over, or should be looked into."""
        deadline = inf if self.timeout_s is None else self.began + self.timeout_s
        return min(deadline, self.silence.due if self.silence else inf, self.cap.due if self.cap else inf)

    def judge(self, now: float) -> None:
        """Condemn it if it has taken, or kept silent for, too long, or if its output cannot be kept within bounds."""
        if self.timeout_s is not None and now >= self.began + self.timeout_s:
            self.condemn("timed_out", f"took longer than {self.timeout_s:g} s")
        elif self.silence and now >= self.silence.due and self.silence.is_too_long(now):
            self.condemn("stalled", f"no output for {self.silence.limit_s:g} s")
        elif self.cap and now >= self.cap.due and not self.cap.hold(now):
            self.has_no_room = True
            self.condemn("killed", "more output than its log may have, and this file system cannot drop a part of it")

    def condemn(self, verdict: Status, reason: str) -> None:
        """Begin to end it."""
        self.verdict, self.reason = verdict, reason
        self.ending = Ending(ESCALATION, self.grace_s)

    def exited(self, code: int, usage: resource.struct_rusage, now: float) -> None:
        """Note how its main process, a child of ours, has ended; the code is negative for a signal."""
        self.end = Outcome(
            self.id,
            "exited" if code >= 0 else "signalled",
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            duration_s=now - self.began,
            cpu_s=usage.ru_utime + usage.ru_stime,
            max_rss_kb=usage.ru_maxrss if IS_LINUX else usage.ru_maxrss // 1024,
            read_kb=usage.ru_inblock // 2,
            written_kb=usage.ru_oublock // 2,
        )

    def lost(self) -> None:
        """Note that its main process has gone, and that nobody can tell us how."""
        self.end = self._vanished()

    def outcome(self) -> Outcome:
        """Tell what it came to, now that all is over."""
        end = replace(self.end or self._vanished(), hit="output" if self.has_no_room else "")
        counts = cgroup.take_down(self.group) if self.group else {}
        reason = self.reason
        if self.ending and self.ending.survivors:
            reason = f"{reason}; not even SIGKILL ended {self.ending.survivors}".lstrip("; ")
        if self.cap:
            self.cap.hold(time.monotonic())
        if self.launch is None:
            return replace(end, status=self.verdict or end.status, error=reason)
        end = self._with_limits(end, self.launch, counts)
        printed = _size(self.launch.output)
        return replace(end, status=self.verdict or end.status, error=reason or end.error, output_bytes=printed)

    def _with_limits(self, end: Outcome, launch: Launch, counts: Mapping[str, int]) -> Outcome:
        if not launch.limits or end.hit:
            return end
        if end.exit_code == limits.NOT_SET:
            return replace(end, status="unstartable", error="its limits could not be set; its output says why")
        return replace(end, hit=limits.hit(launch.limits, end.exit_code, end.signal, counts))

    def _vanished(self) -> Outcome:
        return Outcome(self.id, "vanished", duration_s=time.monotonic() - self.began)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
