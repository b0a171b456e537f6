"""`atms run`: recover, then turn by turn settle and dispatch, asleep in between, until drained or told to stop."""

from __future__ import annotations

import gc
import os
import select
import signal
from os.path import join

from atms_cli.domain import budget
from atms_cli.domain.moment import describe_duration, seconds_between, to_iso
from atms_cli.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, AtmsError, ConflictError
from atms_cli.loop.chores import Chores
from atms_cli.loop.recovery import recover
from atms_cli.loop.roadmap import Roadmap, watched
from atms_cli.loop.summary import exit_code, sum_up
from atms_cli.loop.tick import Desk
from atms_cli.loop.work import Ended
from atms_cli.services import agents, attempts, dispatch, drivers, health, prompts, tidying
from atms_cli.store import paths
from atms_cli.store.lock import Lock, holder
from atms_cli.system.keeper_client import Keeper, KeeperGone, Refused
from atms_cli.system.launch import Launch, Outcome
from atms_cli.system.signals import Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import JsonObject
    from atms_cli.loop.plan import Plan
    from atms_cli.loop.work import Report
    from atms_cli.system.watch import Changes

#: How long an older keeper may take to hand over, and how often to look even if nothing was noticed.
_KEEPER_TIMEOUT_S = 30.0
_LONGEST_SLEEP_S = 30.0
_RUN_LOCK_TIMEOUT_S = 0.3
#: Worktrees that are made, committed to, merged or removed at once.
_CHORES = 8
#: What becomes of attempts when a run has cost as much as it may (services/watching.py stops them).
_AGENTS_GO_BACK = "commands may finish, what agents are at work on goes back into the queue"
#: Interrupts: start nothing new; stop what runs; kill it.
_FINISH, _STOP, _KILL = 1, 2, 3


class Loop:
    """The one loop of a workspace."""

    def __init__(self, ws: OpenWorkspace, plan: Plan, report: Report) -> None:
        self._ws = ws
        self._plan = plan
        self._report = report
        self._chores = Chores(_CHORES)
        self._desk = Desk(ws, report, self._chores, jobs=plan.jobs or ws.config["execution"]["jobs"], only=plan.only)
        self._roadmap = Roadmap(ws, report)
        self._ended: list[Ended] = []
        self._stage = 0
        self._done_stage = 0
        self._signal = 0
        self._is_late = False
        #: Why nothing more is started, once a limit of this run is reached.
        self._reached: str | None = None
        self._began = ws.clock.monotonic()

    def run(self) -> int:
        """Work until done; return the exit code.

        Raises:
            ConflictError: another loop is at work here.

        """
        # Whoever asks whether a loop is at work holds the lock for a moment.
        lock = Lock(join(self._ws.directory, paths.RUN_LOCK), timeout_s=_RUN_LOCK_TIMEOUT_S)
        if not lock.acquire():
            name = holder(join(self._ws.directory, paths.RUN_LOCK))
            raise ConflictError(
                f"`atms run` is at work here already ({name})", "one loop a workspace; see: atms status"
            )
        gc.enable()
        try:
            # Read once: decoding it anew for every launch would cost more than the launch.
            self._ws.environ = dict(self._ws.environ)
            with watched(self._ws) as changes, Signals(self._interrupted) as signals:
                return self._keep_going(changes, signals)
        finally:
            lock.release()

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._signal = number
        self._stage = max(self._stage + 1, _STOP if number != signal.SIGINT else _FINISH)

    def _keep_going(self, changes: Changes, signals: Signals) -> int:
        os.makedirs(join(self._ws.directory, paths.RUNS), exist_ok=True)
        for problem in health.file_system(self._ws):
            self._report({"type": "warning", "text": f"{problem['detail']}; {problem['repair']}"})
        if self._ws.config["execution"]["isolation"] == "worktree" and not self._ws.repository.is_repository():
            raise AtmsError(
                f"{self._ws.root} is not in a git repository, so it has no worktrees",
                "make it one (git init), or: atms config set execution.isolation shared",
            )
        prompts.check(self._ws)
        for words in drivers.problems(self._ws, agents.known(self._ws, self._ws.store.reading())):
            self._report({"type": "warning", "text": words})
        for words in health.weak_limits(self._ws):
            self._report({"type": "warning", "text": words})
        self._report({"type": "run_started", "workspace": self._ws.root, "jobs": self._desk.jobs})
        self._take_over()
        self._desk.apart.count()
        tidied = tidying.tidy_now_and_then(self._ws)
        if tidied and tidied["runs"]:
            self._report({"type": "tidied", **tidied})
        try:
            self._roadmap.look()
            while not self._is_over():
                self._turn()
                self._escalate()
                self._watch()
                if not self._ended and not self._desk.has_news() and not self._is_over():
                    self._sleep(changes, signals)
                self._roadmap.look()
            return self._close()
        finally:
            self._keeper.close()

    def _take_over(self) -> None:
        """Start a keeper, and take up what an earlier one left."""
        places = (join(self._ws.directory, name) for name in (paths.KEEPER_LOCK, paths.KEEPER_LOG, paths.LEDGERS))
        self._keeper = Keeper.start(*places)
        self._keeper.wait_ready(_KEEPER_TIMEOUT_S)
        self._ended += recover(self._ws, self._desk, self._keeper)

    def _begin_again(self) -> None:
        """Go on with another keeper when ours was killed: what ran is treated as after a crash of the loop."""
        self._report({"type": "warning", "text": "the keeper of the commands has died; taking up what it left"})
        self._desk.forget()
        self._take_over()

    def _turn(self) -> None:
        """Settle, record, make durable, and only then launch."""
        ended, self._ended = self._ended, []
        ended = self._desk.gather(ended)
        with self._ws.store.writing("atms run") as tx:
            starts = self._desk.turn(tx, ended, room=self._room)
            # Here, for what is read further down may bring more news, and those have to wake us.
            has_news = self._ws.store.take_news()
        self._send(self._desk.orders(starts))
        if self._roadmap.take_changes() or has_news:
            self._end_stale()
        self._desk.clean_up()
        self._desk.apart.merge()
        self._ended += self._desk.unstartable
        self._desk.unstartable = []
        if self._desk.feature_work_ended():
            self._roadmap.settle()

    def _watch(self) -> None:
        """Stop the agents that have reached a limit, or get nowhere, when it is time to look."""
        if self._desk.watch.due_in_s() > 0:
            return
        for run, stop in self._desk.look(self._plan.max_usd, self._plan.max_tokens):
            self._keeper.kill(run, stop.reason, stop.verdict)

    def _look_at_limits(self) -> None:
        """Start nothing more once this run has taken what it may; when its time is over, what runs goes back too."""
        plan, desk = self._plan, self._desk
        if self._time_left() <= 0 and not self._is_late:
            self._is_late = True
            self._reached = f"the time of this run is over ({describe_duration(plan.max_time_s or 0)})"
            words = f"{self._reached}: starting nothing new, stopping what runs; it goes back into the queue"
            self._report({"type": "stopping", "text": words})
            self._stop("the time of the run is over")
        if self._reached is not None or self._stage:
            return
        self._reached, then = budget.reached(desk.spent, plan.max_usd, plan.max_tokens), _AGENTS_GO_BACK
        if plan.max_failures is not None and desk.counts["failed"] >= plan.max_failures:
            self._reached, then = (
                f"{desk.counts['failed']} of at most {plan.max_failures} failures",
                "what runs may finish",
            )
        if self._reached is not None:
            self._report({"type": "stopping", "text": f"{self._reached}: starting nothing new, {then}"})

    def _time_left(self) -> float:
        """Return the seconds that this run has left; without a limit they never end."""
        if self._plan.max_time_s is None:
            return float("inf")
        return self._plan.max_time_s - (self._ws.clock.monotonic() - self._began)

    def _stop(self, reason: str) -> None:
        self._desk.is_stopping = True
        for process in self._desk.processes():
            self._keeper.kill(process, reason)

    def _room(self) -> int:
        """Return how many attempts may still be started, now that what ended is counted."""
        self._look_at_limits()
        if self._stage or self._reached is not None or self._desk.watch.is_stopping():
            return 0
        return 1 - self._desk.counts["started"] if self._plan.once else self._desk.jobs

    def _send(self, orders: Sequence[JsonObject]) -> None:
        for order in orders:
            self._keeper.run(Launch.from_json(order))

    def _is_over(self) -> bool:
        if self._desk.works or self._ended or self._desk.apart.is_busy():
            # Who is told to kill does not wait for git: the next loop takes up what it leaves.
            return self._stage >= _KILL and not self._ended and self._desk.waits_for_git_alone()
        if self._stage or self._reached is not None:
            return True
        if self._plan.once:
            return self._desk.counts["started"] > 0 or not self._can_start_soon()
        return self._plan.drain and not self._roadmap.is_pending() and not self._can_start_soon()

    def _can_start_soon(self) -> bool:
        """Return whether something is ready for an agent here, or will be after its wait for another attempt."""
        read, now = self._ws.store.queue(self._ws.config["queue"]), to_iso(self._ws.clock.now_ms())
        if read.paused() is not None:
            return False
        force = attempts.workforce(self._ws, read, self._desk.jobs, self._plan.only)
        throttle = dispatch.Throttle(self._ws, read, force, now, self._desk.apart.full)
        recurs = read.next_recurrence()
        # What recurs later is not waited for: it would never end.
        if recurs is not None and recurs <= now:
            return True
        if dispatch.upcoming(self._ws, read, force, {}, 1, now, throttle):
            return True
        # What is only kept back for a while is waited for; what is paused, or quiet for the night, is not.
        moments = [read.next_due(), *(str(about["until"]) for about in throttle.reached.values())]
        patience_s = self._ws.config["execution"]["retry_delay_max"]
        return any(moment is not None and seconds_between(now, moment) <= patience_s for moment in moments)

    def _escalate(self) -> None:
        """Do, once each, what an interrupt asks for."""
        while self._done_stage < self._stage:
            self._done_stage += 1
            if self._done_stage == _FINISH and self._stage == _FINISH:
                self._report(
                    {"type": "stopping", "text": "starting nothing new; what runs may finish (again to stop it)"}
                )
            elif self._done_stage == _STOP:
                self._report(
                    {"type": "stopping", "text": "stopping what runs; it goes back into the queue (again to kill it)"}
                )
                self._stop("the loop is stopping")
            elif self._done_stage == _KILL:
                self._report({"type": "stopping", "text": "killing what runs"})
                for process in self._desk.processes():
                    self._keeper.kill_now(process, "the loop was told to kill it")

    def _sleep(self, changes: Changes, signals: Signals) -> None:
        """Wait for a process to end, a change by others, a signal, or the next moment that matters."""
        woken = [self._keeper.fileno(), changes.fileno(), signals.fileno(), self._chores.fileno()]
        is_nothing = True
        while is_nothing:
            ready, _, _ = select.select(woken, [], [], self._until_next_moment())
            signals.clear()
            self._chores.take_in()
            if self._keeper.fileno() in ready:
                self._listen()
            # What we write ourselves wakes us as well.
            is_by_others = changes.fileno() in ready and self._look_around(changes.take())
            is_nothing = ready == [changes.fileno()] and not is_by_others

    def _until_next_moment(self) -> float:
        read, now = self._ws.store.reading(), to_iso(self._ws.clock.now_ms())
        moments = [
            seconds_between(now, moment)
            for moment in (read.next_due(), read.next_recurrence(), read.next_expiry(), self._desk.throttled_until)
            if moment is not None
        ]
        left = _LONGEST_SLEEP_S if self._is_late else self._time_left()
        ours = (self._desk.watch.due_in_s(), self._roadmap.seconds_left())
        return max(0.001, min([_LONGEST_SLEEP_S, left, *ours, *moments]))

    def _listen(self) -> None:
        for message in self._keeper.receive():
            if isinstance(message, Outcome):
                self._ended.append(Ended(message.id, message.to_json()))
            elif isinstance(message, Refused):
                self._ended.append(Ended(message.id, Outcome(message.id, "unstartable", error=message.error).to_json()))
            elif isinstance(message, KeeperGone):
                self._begin_again()
                return

    def _look_around(self, changed: set[str]) -> bool:
        """See what others changed: tasks, settings, the roadmap; return whether they did."""
        if not all(path.endswith(".jsonl") for path in changed):
            self._reload_settings()
            self._roadmap.notice()
            return True
        return self._ws.store.has_news()

    def _end_stale(self) -> None:
        """End the commands of tasks that others have taken away meanwhile, or the roadmap has."""
        # What another clone decided may be older than our newest event, so only the tasks themselves can tell.
        for process in self._desk.stale():
            self._keeper.kill(process, "its task was taken away")

    def _reload_settings(self) -> None:
        before = self._ws.config
        try:
            self._ws.reload_config()
            prompts.check(self._ws)
            jobs = self._ws.config["execution"]["jobs"]
            self._desk.jobs = self._plan.jobs or jobs
            self._desk.apart.count_if_limited()
        except AtmsError as error:
            # Somebody is in the middle of editing: go on with what was good.
            self._ws.keep_config(before)
            self._report({"type": "warning", "text": f"{error.message}; going on with the settings from before"})

    def _close(self) -> int:
        """Sum up and return the exit code."""
        self._roadmap.close()
        with self._ws.store.writing("atms run") as tx:
            # Until the next loop nobody looks, so an alert that is over would stay.
            self._desk.look_after(tx, every_s=0.0)
        summary = sum_up(self._desk, self._plan, self._stage)
        self._report(summary)
        if self._stage:
            return EXIT_INTERRUPTED if self._signal == signal.SIGINT else EXIT_TERMINATED
        return exit_code(self._desk, self._plan, summary)
