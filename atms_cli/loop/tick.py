"""What to do now: one turn of the loop, in one transaction, and the commands that follow from it."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.domain import budget, phases
from atms_cli.domain import gate as gates
from atms_cli.domain.watching import Limit
from atms_cli.errors import AtmsError, PromptError
from atms_cli.loop.apart import Apart
from atms_cli.loop.work import Ended, Work
from atms_cli.services import attempts, dispatch, gathering, halting, measures, recurrence, settling, waits
from atms_cli.services.agents import notice_silence
from atms_cli.services.consequences import follow
from atms_cli.services.judging import Round, Scope
from atms_cli.services.watching import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from atms_cli.domain.records import Agent, Gate, JsonObject, Task
    from atms_cli.domain.watching import Stop
    from atms_cli.loop.chores import Chores
    from atms_cli.loop.work import Made, Merged, Report
    from atms_cli.ports import Transaction, Workspace

#: How often the queue's health is looked after.
_LOOK_AFTER_S = 30.0
#: Trouble of an agent that, again and again, makes it rest.
_FAILURES = ("crash", "network", "stalled", "timeout")


class Desk:
    """What is in flight, and the decisions about it. It starts nothing and waits for nothing."""

    def __init__(self, ws: Workspace, report: Report, chores: Chores, *, jobs: int, only: Sequence[str]) -> None:
        self.ws = ws
        self.apart = Apart(ws, chores, report)
        self._chores = chores
        self.jobs = jobs
        self.only = only
        self.works: dict[str, Work] = {}
        self.counts = {"completed": 0, "failed": 0, "cancelled": 0, "retried": 0, "started": 0}
        self.is_stopping = False
        #: When a limit of time that keeps something back is over.
        self.throttled_until: str | None = None
        self._report = report
        self._looked_after = -_LOOK_AFTER_S
        self._processes: dict[str, str] = {}  # process id to run
        self._touched_feature = False
        self._to_judge: list[tuple[Work, Sequence[Gate]]] = []
        self._to_clean: list[Merged] = []
        #: Whether a worktree is one more that may be kept.
        self._has_left_work = False
        #: Works whose gates all have a result.
        self._judged: list[Work] = []
        self._gate_launches: list[tuple[Work, JsonObject]] = []
        self._failures: dict[str, int] = {}  # in a row, by agent
        self.spent = budget.Spent()
        self.watch = Watch(ws)
        #: Attempts that are on record and could not be launched.
        self.unstartable: list[Ended] = []

    def turn(self, tx: Transaction, ended: Iterable[Ended], *, room: Callable[[], int]) -> list[attempts.Start]:
        """Settle what ended, then put on record what starts next, at most `room()` attempts."""
        self._to_judge.clear()
        for each in ended:
            self._settle(tx, each)
        judged, self._judged = self._judged, []
        for work in judged:
            self._take_verdict(tx, work)
        for one in self.apart.take_merged():
            self._settle_merge(tx, one)
        waits.expire_leases(tx)
        waits.wait_anew(self.ws, tx)
        self.look_after(tx, every_s=_LOOK_AFTER_S)
        for task in recurrence.spawn(self.ws, tx):
            self.tell("due", task)
        force = attempts.workforce(self.ws, tx.read, self.jobs, self.only)
        free = min(room(), self.jobs - len(self.works))
        read = tx.queue(self.ws.config["queue"])
        throttle = dispatch.Throttle(self.ws, read, force, tx.now, self.apart.full)
        chosen = dispatch.upcoming(self.ws, read, force, self.load(), free, tx.now, throttle)
        self.throttled_until = dispatch.note_limits(tx, throttle) if free > 0 else None
        return attempts.dispatch(self.ws, tx, chosen)

    def gather(self, ended: Iterable[Ended]) -> list[Ended]:
        """Take in what commands have left: their words, and their work if it lies apart. Return what can be settled now."""
        settled = self.apart.take_committed()
        for each in ended:
            work = self.works.get(self._processes.get(each.id, ""))
            if self.apart.end(each):
                continue
            if work is None:
                settled.append(each)
                continue
            if work.round is not None and work.round.is_of(each.id):
                self._go_on_judging(work, work.round, each)
                del self._processes[each.id]
                continue
            self.watch.end(work.run)
            work.heard = gathering.gather(self.ws, work.start, each.outcome, self.watch.hearing(work.run))
            if gathering.leaves_work(work.start, each.outcome):
                self.apart.commit(work, each)
            else:
                settled.append(each)
        return settled

    def _go_on_judging(self, work: Work, judging: Round, ended: Ended) -> None:
        """Hear how a command of a gate ended, and note what is to be started now."""
        if self.is_stopping or ended.outcome["status"] == "killed":
            judging.stop()
        self._note_gates(work, judging, judging.ended(ended.outcome))

    def _note_gates(self, work: Work, judging: Round, launches: Sequence[JsonObject]) -> None:
        """Tell of new results, and note what is to be started or put on record because of them."""
        for result in judging.take_news():
            self.tell("gate", work.task, gate=result["name"], status=result["status"], reason=result["reason"])
        self._gate_launches += [(work, launch) for launch in launches]
        if judging.is_over:
            self._judged.append(work)

    def look(self, usd: float | None, tokens: int | None) -> list[tuple[str, Stop]]:
        """Look at the agents at work; return the processes that must stop. `usd` and `tokens` are this run's limits."""
        stops, news = self.watch.look(Limit("run", usd, tokens, self.spent))
        for each in news:
            who, run = each.start.agent["name"], each.start.run
            self.tell("progress", each.start.task, agent=who, run=run, phase="running", **each.seen)
        for run, stop in stops:
            words = f"{self.works[run].task['id']}: {stop.reason}; stopping its agent"
            self._report({"type": "warning", "text": words})
        return stops

    def clean_up(self) -> None:
        """Remove worktrees whose work has come back, now that it is on record."""
        merged, self._to_clean = self._to_clean, []
        for one in merged:
            is_merged = one.result["kind"] in ("merged", "nothing")
            self.apart.clean_up(one.work.task, one.work.run, is_merged=is_merged)
        if self._has_left_work:
            self._has_left_work = False
            self.apart.count_if_limited()

    def look_after(self, tx: Transaction, *, every_s: float) -> None:
        """Look after the queue's health now and then; a look costs more than a turn."""
        now = self.ws.clock.monotonic()
        if now - self._looked_after < every_s:
            return
        self._looked_after = now
        tx.queue(self.ws.config["queue"])
        for news in [*measures.check_alerts(self.ws, tx), *notice_silence(self.ws, tx)]:
            self._report(news)
        if self.apart.full is not None:
            # A person may have made room.
            self.apart.count()

    def load(self) -> dict[str, int]:
        """Return how many attempts each agent has in flight."""
        load: dict[str, int] = {}
        for work in self.works.values():
            load[work.agent["name"]] = load.get(work.agent["name"], 0) + 1
        return load

    def orders(self, starts: Sequence[attempts.Start]) -> list[JsonObject]:
        """Return the commands that follow from a turn, now that it is durable."""
        for work, judges in self._to_judge:
            self._judge(work, judges)
        launches, self._gate_launches = self._gate_launches, []
        orders = [order for work, launch in launches for order in self._gate_order(work, launch)]
        for start in starts:
            self.take(start)
            if start.is_apart:
                self.apart.make(start)
            else:
                orders += self._launched(start, self.ws.root)
        for made in self.apart.take_made():
            orders += self._begun(made)
        return orders + self.apart.take_orders()

    def _begun(self, made: Made) -> list[JsonObject]:
        """Return the command of an attempt whose worktree is there, unless it is not wanted any more."""
        run = made.start.run
        if made.error is not None:
            self.unstartable.append(Ended(run, {"status": "unstartable", "error": made.error}))
        elif self.is_stopping or not attempts.in_flight(self.ws.store.reading().task(made.start.task["id"]), run):
            self.unstartable.append(Ended(run, {"status": "killed"}))
        else:
            return self._launched(made.start, made.tree, is_set_up=made.is_set_up)
        return []

    def _launched(self, start: attempts.Start, tree: str, *, is_set_up: bool = True) -> list[JsonObject]:
        try:
            launch = attempts.launch(self.ws, start, tree, is_set_up=is_set_up)
            self.watch.begin(start)
            self.ws.run_files.prepare(start.run)
        except AtmsError as error:
            untold = isinstance(error, PromptError)
            words = error.message if untold or not error.hint else f"{error.message}; {error.hint}"
            outcome: JsonObject = {"status": "unstartable", "error": words, **({"untold": True} if untold else {})}
            self.unstartable.append(Ended(start.run, outcome))
            return []
        return [launch]

    def take(self, start: attempts.Start) -> None:
        """Count an attempt as in flight."""
        self.works[start.run] = Work(start, self.ws.clock.monotonic())
        self._processes[start.run] = start.run
        self.counts["started"] += 1
        phase, number = "preparing" if start.is_apart else "launching", start.task["attempts"] + 1
        self.tell("started", start.task, agent=start.agent["name"], run=start.run, attempt=number, phase=phase)

    def resume(self, work: Work) -> None:
        """Count an attempt as in flight that an earlier loop began."""
        self.works[work.run] = work
        self.watch.begin(work.start, work.task["started_at"])
        self._processes[work.run] = work.run
        self.tell("resumed", work.task, agent=work.agent["name"], run=work.run, phase="running")

    def judge_again(self, work: Work) -> None:
        """Judge a task whose command succeeded under a loop that died; whatever its gates had left is gone."""
        self.works[work.run] = work
        work.heard = gathering.with_outputs(self.ws, work.start, gathering.hear(self.ws, work.start))
        judges = attempts.gates_of(self.ws, work.task)
        if not judges and work.start.is_apart:
            # It had no gates, or they were taken out of atms.yaml meanwhile, and was about to come back.
            self.apart.bring_back(work)
        else:
            self._judge(work, judges)

    def _judge(self, work: Work, judges: Sequence[Gate]) -> None:
        """Begin a round of gates; what git has to be asked for it is asked beside the loop."""
        self.tell("validating", work.task, gates=[judge["name"] for judge in judges], phase="validating")
        is_apart, task_id = work.start.is_apart, work.task["id"]

        def begin() -> tuple[Round, list[JsonObject]]:
            tree = (self.ws.worktrees.path(task_id) if is_apart else None) or self.ws.root
            changed = self.ws.worktrees.changed(task_id) if is_apart else None
            judging = Round(self.ws, judges, work.run, Scope(tree, work.task, changed))
            return judging, judging.begin()

        def then(begun: tuple[Round, list[JsonObject]] | AtmsError) -> None:
            if isinstance(begun, AtmsError):
                begun = Round.failed(self.ws, judges, work.run, begun.message), []
            work.round, launches = begun
            self._note_gates(work, work.round, launches)

        if is_apart or any(gates.is_cached(judge) or gates.takes_files(judge) for judge in judges):
            self.apart.beside(work.run, begin, then)
        else:
            then(begin())

    def _gate_order(self, work: Work, launch: JsonObject) -> list[JsonObject]:
        """Return the command of a gate, unless its task has been taken away meanwhile."""
        name, judging = str(launch["id"]), work.round
        if judging is None or self.is_stopping or not attempts.in_flight(self._task_now(work), work.run):
            if judging is not None:
                judging.stop()
                self._note_gates(work, judging, judging.ended({"id": name, "status": "killed"}))
            return []
        self._processes[name] = work.run
        return [launch]

    def _task_now(self, work: Work) -> Task:
        return self.ws.store.reading().task(work.task["id"])

    def _settle(self, tx: Transaction, ended: Ended) -> None:
        run = self._processes.pop(ended.id, None)
        work = self.works.get(run or "")
        if work is None:
            return
        heard = work.heard or gathering.hear(self.ws, work.start)
        settled = settling.settle(self.ws, tx, work.start, heard, ended.outcome, stopping=self.is_stopping)
        self.spent = self.spent.plus(budget.usage_in(heard.told))
        self.watch.settle(work.run)
        self._watch_over(tx, work.agent, settled)
        if settled.judges:
            self._to_judge.append((work, settled.judges))
        elif settled.merges:
            self.apart.bring_back(work)
        else:
            self._finish(tx, work)

    def _watch_over(self, tx: Transaction, agent: Agent, settled: settling.Settled) -> None:
        """Count failures in a row of agents that have a driver, and tell of those that do not get through."""
        name, found = agent["name"], settled.trouble
        if found is None:
            self._failures.pop(name, None)
            return
        if found.kind in _FAILURES and agent["kind"] not in agents.DRIVERLESS:
            self._failures[name] = self._failures.get(name, 0) + 1
            halting.break_circuit(tx, agent, self._failures[name])
        about = tx.read.switches("halted").get(name)
        if about is not None and agents.is_halted(about, tx.now):
            self._report({"type": "halted", "agent": name, **about})

    def _take_verdict(self, tx: Transaction, work: Work) -> None:
        judging, work.round = work.round, None
        if judging is None or work.run not in self.works:
            return
        work.verdict = judging.verdict()
        if judging.has_passes:
            self._chores.give(judging.keep_passes, lambda _: None)
        heard = work.heard or gathering.hear(self.ws, work.start)
        settling.settle_gates(self.ws, tx, work.start, heard, work.verdict, stopping=self.is_stopping)
        if work.start.is_apart and attempts.in_flight(tx.read.task(work.task["id"]), work.run):
            self.apart.bring_back(work)
        else:
            self._finish(tx, work)

    def _settle_merge(self, tx: Transaction, merged: Merged) -> None:
        if self.works.get(merged.work.run) is not merged.work:
            # The keeper died meanwhile, and the attempt was taken up anew.
            return
        work, heard = merged.work, merged.work.heard or gathering.hear(self.ws, merged.work.start)
        if not settling.settle_merge(self.ws, tx, work.start, heard, work.verdict, merged.result):
            if merged.result["kind"] in ("merged", "nothing", "kept", "handed_over"):
                self._to_clean.append(merged)
            self._finish(tx, work, merged.result)
            return
        judges = attempts.gates_of(self.ws, work.task)
        if self.is_stopping:
            # The next loop judges it again, and brings it back.
            self._drop(work)
        elif judges:
            self._to_judge.append((work, judges))
        else:
            self.apart.bring_back(work)

    def _drop(self, work: Work) -> None:
        del self.works[work.run]
        self.apart.end_turn(work.run)
        self.watch.forget(work.run)

    def _finish(self, tx: Transaction, work: Work, merge: JsonObject | None = None) -> None:
        self._drop(work)
        if work.heard is not None:
            settling.account(tx, work.start, work.heard)
        self._has_left_work |= work.start.is_apart
        follow(tx, [work.task["id"]])
        task = tx.read.task(work.task["id"])
        self._touched_feature |= task["feature_id"] is not None
        what = "retried" if task["status"] == "queued" else task["status"]
        if what in self.counts:
            self.counts[what] += 1
        seconds = round(self.ws.clock.monotonic() - work.began, 3)
        more: JsonObject = {"phase": self._last_phase(tx, task, work.run)}
        more |= {} if merge is None else {"merge": merge}
        self.tell(what, task, agent=work.agent["name"], run=work.run, seconds=seconds, reason=task["reason"], **more)

    @staticmethod
    def _last_phase(tx: Transaction, task: Task, run: str) -> str:
        if task["status"] == "completed":
            return "succeeded"
        status = next((each["status"] for each in tx.read.attempts(task["id"]) if each["run"] == run), "failed")
        return phases.of_end(status, (task["result"] or {}).get("status"))

    def tell(self, what: str, task: Task, **more: object) -> None:
        """Report something about a task."""
        record: JsonObject = {"type": what, "task": task["id"], "title": task["title"], **more}  # type: ignore[dict-item]
        self._report(record)

    def forget(self) -> None:
        """Forget what is in flight; recovery finds it again."""
        self.works.clear()
        self.watch.clear()
        self._processes.clear()
        self.apart.forget()
        self._judged.clear()
        self._gate_launches.clear()

    def stale(self) -> list[str]:
        """Return the processes whose task was cancelled, released or finished by somebody else."""
        read = self.ws.store.reading()
        gone = {run for run, work in self.works.items() if not attempts.in_flight(read.task(work.task["id"]), run)}
        handing = [process for run in gone for process in self.apart.handing(run)]
        return handing + [process for process, run in self._processes.items() if run in gone]

    def waits_for_git_alone(self) -> bool:
        """Return whether nothing runs that could be ended."""
        return self.apart.are_all_pending(self.works) and not self.apart.processes()

    def processes(self) -> list[str]:
        """Return the ids of all processes in flight."""
        return [*self._processes, *self.apart.processes()]

    def has_news(self) -> bool:
        """Return whether something is to be put on record or to be started."""
        return bool(self._judged or self._gate_launches) or self.apart.has_news()

    def feature_work_ended(self) -> bool:
        """Return, once, whether a task of a feature has ended since the last time."""
        touched, self._touched_feature = self._touched_feature, False
        return touched
