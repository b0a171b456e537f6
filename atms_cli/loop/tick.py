"""What to do now: one turn of the loop, in one transaction, and the commands that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from atms_cli.domain import budget
from atms_cli.domain import gate as gates
from atms_cli.errors import AtmsError
from atms_cli.services import attempts, dispatch, isolation, measures, recurrence
from atms_cli.services import gates as gate_service
from atms_cli.services.consequences import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from atms_cli.domain.records import Agent, Gate, GateResult, JsonObject, Task, Verdict
    from atms_cli.ports import Transaction, Workspace

    Report = Callable[[JsonObject], None]


#: How often the queue's health is looked after.
_LOOK_AFTER_S = 30.0


@dataclass(slots=True)
class Work:
    """An attempt in flight: first its command, then its gates."""

    run: str
    task: Task
    agent: Agent
    began: float
    gates: dict[str, Gate] = field(default_factory=dict)  # by the id of their process
    results: dict[str, GateResult] = field(default_factory=dict)  # by gate name
    verdict: Verdict | None = None
    unresolved: Sequence[str] = ()  # conflicts that its command left


@dataclass(frozen=True, slots=True)
class Order:
    """A command to start: how, and the directory that records it."""

    launch: JsonObject
    record: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended (system/launch.py)."""

    id: str
    outcome: JsonObject


class Desk:
    """What is in flight, and the decisions about it. It starts nothing and waits for nothing."""

    def __init__(self, ws: Workspace, report: Report, *, jobs: int, only: Sequence[str]) -> None:
        self.ws = ws
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
        self._to_merge: list[Work] = []
        self._merging: dict[str, Work] = {}  # by the id of what is reported as their end
        self._failures: dict[str, int] = {}  # in a row, by agent
        self.spent = budget.Spent()
        #: Attempts that are on record and could not be launched.
        self.unstartable: list[Ended] = []

    def turn(self, tx: Transaction, ended: Iterable[Ended], *, room: Callable[[], int]) -> list[attempts.Start]:
        """Settle what ended, then put on record what starts next, at most `room()` attempts."""
        self._to_judge.clear()
        for each in ended:
            self._settle(tx, each)
        attempts.expire_leases(tx)
        self.look_after(tx, every_s=_LOOK_AFTER_S)
        for task in recurrence.spawn(self.ws, tx):
            self.tell("due", task)
        force = attempts.workforce(self.ws, tx.read, self.jobs, self.only)
        free = min(room(), self.jobs - len(self.works))
        read = tx.queue(self.ws.config["queue"])
        throttle = dispatch.Throttle(self.ws, read, force, tx.now)
        chosen = dispatch.upcoming(self.ws, read, force, self.load(), free, tx.now, throttle)
        self.throttled_until = dispatch.note_limits(tx, throttle) if free > 0 else None
        return attempts.dispatch(self.ws, tx, chosen)

    def gather(self, ended: Iterable[Ended]) -> None:
        """Commit what commands that succeeded have left in their worktrees; it takes git a while, so before the turn."""
        for each in ended:
            work = self.works.get(self._processes.get(each.id, ""))
            if work is None or each.id in work.gates or each.outcome.get("exit_code") != 0:
                continue
            if isolation.is_apart(self.ws, work.task, work.agent):
                try:
                    work.unresolved = self.ws.worktrees.commit(work.task["id"], isolation.message(work.task))
                except AtmsError as error:
                    work.unresolved = [error.message]

    def merge(self) -> list[Ended]:
        """Bring back the branches of tasks that are done and judged, one after the other; return how that ended."""
        ended = []
        for work in self._to_merge:
            self.tell("merging", work.task)
            policy = self.ws.config["execution"]["merge"]
            try:
                result = self.ws.worktrees.merge(work.task["id"], policy, isolation.message(work.task))
            except AtmsError as error:
                result = {"kind": "refused", "detail": error.message}
            self._merging[f"{work.run}.merge"] = work
            ended.append(Ended(f"{work.run}.merge", result))
        self._to_merge.clear()
        return ended

    def look_after(self, tx: Transaction, *, every_s: float) -> None:
        """Look after the queue's health now and then; a look costs more than a turn."""
        now = self.ws.clock.monotonic()
        if now - self._looked_after < every_s:
            return
        self._looked_after = now
        tx.queue(self.ws.config["queue"])
        for news in measures.check_alerts(self.ws, tx):
            self._report(news)

    def load(self) -> dict[str, int]:
        """Return how many attempts each agent has in flight."""
        load: dict[str, int] = {}
        for work in self.works.values():
            load[work.agent["name"]] = load.get(work.agent["name"], 0) + 1
        return load

    def orders(self, starts: Sequence[attempts.Start]) -> list[Order]:
        """Return the commands that follow from a turn, now that it is durable."""
        orders: list[Order] = []
        for work, judges in self._to_judge:
            orders += self._gate_orders(work, judges)
        for start in starts:
            self.take(start)
            try:
                orders.append(Order(attempts.launch(self.ws, start), self.ws.run_files.prepare(start.run)))
            except AtmsError as error:
                self.unstartable.append(Ended(start.run, {"status": "unstartable", "error": error.message}))
        return orders

    def take(self, start: attempts.Start) -> None:
        """Count an attempt as in flight."""
        self.works[start.run] = Work(start.run, start.task, start.agent, self.ws.clock.monotonic())
        self._processes[start.run] = start.run
        self.counts["started"] += 1
        self.tell("started", start.task, agent=start.agent["name"], run=start.run, attempt=start.task["attempts"] + 1)

    def resume(self, work: Work) -> None:
        """Count an attempt as in flight that an earlier loop began."""
        self.works[work.run] = work
        self._processes[work.run] = work.run
        self.tell("resumed", work.task, agent=work.agent["name"], run=work.run)

    def judge_again(self, work: Work) -> list[Order]:
        """Return the gates of a task whose command succeeded under a loop that died; whatever they left is gone."""
        self.works[work.run] = work
        judges = attempts.gates_of(self.ws, work.task)
        if not judges:
            self._to_merge.append(work)
        return self._gate_orders(work, judges) if judges else []

    def _gate_orders(self, work: Work, judges: Sequence[Gate]) -> list[Order]:
        orders: list[Order] = []
        round_id = self.ws.ids.token()
        work.gates.clear()
        work.results.clear()
        tree = isolation.tree_of(self.ws, work.task, work.agent)
        for judge in judges:
            launch = gate_service.launch(self.ws, judge, work.run, work.task, tree)
            launch["id"] = f"{work.run}.{judge['name']}.{round_id}"
            work.gates[str(launch["id"])] = judge
            self._processes[str(launch["id"])] = work.run
            orders.append(Order(launch, self.ws.run_files.prepare(f"{work.run}/gates/{round_id}-{len(orders)}")))
        self.tell("validating", work.task, gates=[judge["name"] for judge in judges])
        return orders

    def _settle(self, tx: Transaction, ended: Ended) -> None:
        if ended.id in self._merging:
            self._settle_merge(tx, self._merging.pop(ended.id), ended.outcome)
            return
        run = self._processes.pop(ended.id, None)
        work = self.works.get(run or "")
        if work is None:
            return
        if ended.id in work.gates:
            self._settle_gate(tx, work, ended)
            return
        outcome: JsonObject = {**ended.outcome, "unresolved": [*work.unresolved]}
        settled = attempts.settle(
            self.ws, tx, work.task["id"], work.run, work.agent, outcome, stopping=self.is_stopping
        )
        self._watch_over(tx, work.agent, settled)
        if settled.judges:
            self._to_judge.append((work, settled.judges))
        elif settled.merges:
            self._to_merge.append(work)
        else:
            self._finish(tx, work)

    def _watch_over(self, tx: Transaction, agent: Agent, settled: attempts.Settled) -> None:
        """Count failures in a row of agents that have a driver, and tell of those that do not get through."""
        name, found = agent["name"], settled.trouble
        if found is None:
            self._failures.pop(name, None)
            return
        if found.kind in ("crash", "network") and agent["kind"] not in ("command", "pull"):
            self._failures[name] = self._failures.get(name, 0) + 1
            attempts.break_circuit(tx, agent, self._failures[name])
        about = tx.read.switches("halted").get(name)
        if about is not None and str(about["until"] or "9999") > tx.now:
            self._report({"type": "halted", "agent": name, **about})

    def _settle_gate(self, tx: Transaction, work: Work, ended: Ended) -> None:
        judge = work.gates[ended.id]
        log = self.ws.run_files.path(work.run, gate_service.log_name(judge))
        result = gates.judge(judge, ended.outcome, log)
        work.results[judge["name"]] = result
        self.tell("gate", work.task, gate=judge["name"], status=result["status"], reason=result["reason"])
        if len(work.results) == len(work.gates):
            ordered = [work.results[each["name"]] for each in work.gates.values()]
            work.verdict = attempts.settle_gates(
                self.ws, tx, work.task["id"], work.run, work.agent, ordered, stopping=self.is_stopping
            )
            is_apart = isolation.is_apart(self.ws, work.task, work.agent)
            if is_apart and attempts.in_flight(tx.read.task(work.task["id"]), work.run):
                self._to_merge.append(work)
            else:
                self._finish(tx, work)

    def _settle_merge(self, tx: Transaction, work: Work, result: JsonObject) -> None:
        task_id, judges = work.task["id"], attempts.gates_of(self.ws, work.task)
        if not attempts.settle_merge(self.ws, tx, task_id, work.run, work.agent, work.verdict, result):
            if result.get("kept"):
                self._report(
                    {"type": "warning", "text": f"{task_id}: its worktree has changes and stays: {result['kept']}"}
                )
            self._finish(tx, work)
        elif judges:
            self._to_judge.append((work, judges))
        else:
            self._to_merge.append(work)

    def _finish(self, tx: Transaction, work: Work) -> None:
        del self.works[work.run]
        follow(tx, [work.task["id"]])
        task = tx.read.task(work.task["id"])
        self._touched_feature |= task["feature_id"] is not None
        what = "retried" if task["status"] == "queued" else task["status"]
        usage = (task["result"] or {}).get("usage")
        self.spent = self.spent.plus(usage if isinstance(usage, dict) else None)
        if what in self.counts:
            self.counts[what] += 1
        seconds = round(self.ws.clock.monotonic() - work.began, 3)
        self.tell(what, task, agent=work.agent["name"], run=work.run, seconds=seconds, reason=task["reason"])

    def tell(self, what: str, task: Task, **more: object) -> None:
        """Report something about a task."""
        record: JsonObject = {"type": what, "task": task["id"], "title": task["title"], **more}  # type: ignore[dict-item]
        self._report(record)

    def forget(self) -> None:
        """Forget what is in flight; recovery finds it again."""
        self.works.clear()
        self._processes.clear()
        self._to_merge.clear()
        self._merging.clear()

    def stale(self) -> list[str]:
        """Return the processes whose task was cancelled, released or finished by somebody else."""
        read = self.ws.store.reading()
        gone = {run for run, work in self.works.items() if not attempts.in_flight(read.task(work.task["id"]), run)}
        return [process for process, run in self._processes.items() if run in gone]

    def processes(self) -> list[str]:
        """Return the ids of all processes in flight."""
        return list(self._processes)

    def feature_work_ended(self) -> bool:
        """Return, once, whether a task of a feature has ended since the last time."""
        touched, self._touched_feature = self._touched_feature, False
        return touched
