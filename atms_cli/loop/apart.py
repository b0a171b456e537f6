"""What is done for tasks that work apart: git, beside the loop, and commands that take their work over.

Nothing here waits. Each step is either a chore, whose result turns up in a later turn, or a command that the keeper runs.
"""

from __future__ import annotations

from atms_cli.domain import attempt
from atms_cli.errors import AtmsError
from atms_cli.loop.work import Ended, Made, Merged
from atms_cli.services import attempts, isolation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.loop.chores import Chores
    from atms_cli.loop.work import Report, Work
    from atms_cli.ports import Workspace
    from atms_cli.services.attempts import Start


class Apart:
    """Worktrees that are made, committed to, merged and removed; of merges only one at a time."""

    def __init__(self, ws: Workspace, chores: Chores, report: Report) -> None:
        self._ws = ws
        self._chores = chores
        self._report = report
        self._made: list[Made] = []
        self._committed: list[Ended] = []
        self._merged: list[Merged] = []
        self._to_merge: list[Work] = []
        self._is_merging = False
        #: Attempts that wait for git.
        self._pending: set[str] = set()
        self._orders: list[JsonObject] = []
        #: By the ids of their processes.
        self._handing: dict[str, Merged] = {}
        self._tearing: dict[str, Callable[[], None]] = {}

    # What came of it

    def take_made(self) -> list[Made]:
        """Return, once, the worktrees that are there now."""
        made, self._made = self._made, []
        return made

    def take_committed(self) -> list[Ended]:
        """Return, once, the ends of commands whose work is committed now."""
        committed, self._committed = self._committed, []
        return committed

    def take_merged(self) -> list[Merged]:
        """Return, once, what came of merges."""
        merged, self._merged = self._merged, []
        return merged

    def take_orders(self) -> list[JsonObject]:
        """Return, once, the commands that are to be started."""
        orders, self._orders = self._orders, []
        return orders

    def has_news(self) -> bool:
        """Return whether something is to be put on record or to be started."""
        return bool(self._made or self._committed or self._merged or self._orders)

    def is_busy(self) -> bool:
        """Return whether something is not done yet, although no attempt may be in flight any more."""
        return self._chores.is_busy() or bool(self._orders or self._tearing)

    def are_all_pending(self, runs: Iterable[str]) -> bool:
        """Return whether attempts wait for nothing but git."""
        return self._pending.issuperset(runs)

    # Steps

    def make(self, start: Start) -> None:
        """Make the worktree of an attempt that is on record."""
        task_id = start.task["id"]

        def then(found: tuple[str, bool] | AtmsError) -> None:
            self._pending.discard(start.run)
            if isinstance(found, AtmsError):
                self._made.append(Made(start, error=f"{found.message}; {found.hint}" if found.hint else found.message))
            else:
                self._made.append(Made(start, *found))

        self._pending.add(start.run)
        self._chores.give(lambda: self._ws.worktrees.ensure(task_id), then)

    def commit(self, work: Work, ended: Ended) -> None:
        """Commit what a command that succeeded has left."""
        task_id, message = work.task["id"], isolation.message(work.task)

        def then(unresolved: list[str] | AtmsError) -> None:
            self._pending.discard(work.run)
            heard = work.heard or attempts.hear(self._ws, work.start)
            work.heard = attempts.with_commit(self._ws, work.start, heard, unresolved)
            self._committed.append(ended)

        self._pending.add(work.run)
        self._chores.give(lambda: self._ws.worktrees.commit(task_id, message), then)

    def bring_back(self, work: Work) -> None:
        """Have the branch of a task that is done and judged come back when it is its turn."""
        self._pending.add(work.run)
        self._to_merge.append(work)

    def merge(self) -> None:
        """Begin with the next merge, unless one is going on."""
        if self._is_merging or not self._to_merge:
            return
        work = self._to_merge.pop(0)
        if not attempts.in_flight(self._ws.store.reading().task(work.task["id"]), work.run):
            # It was taken away while it waited.
            self._merged.append(Merged(work, {"kind": "again"}))
            return
        self._is_merging = True
        task_id, policy = work.task["id"], self._ws.config["execution"]["merge"]
        message = isolation.message(work.task)
        self._report({"type": "merging", "task": task_id, "title": work.task["title"]})
        self._chores.give(
            lambda: self._ws.worktrees.merge(task_id, policy, message), lambda result: self._came_back(work, result)
        )

    def _came_back(self, work: Work, result: JsonObject | AtmsError) -> None:
        self._is_merging = False
        self._pending.discard(work.run)
        if isinstance(result, AtmsError):
            self._merged.append(Merged(work, {"kind": "refused", "detail": result.message}))
        elif result["kind"] == "hand_over":
            self._hand_over(work, result)
        else:
            self._merged.append(Merged(work, isolation.with_log(self._ws, work.run, result)))

    def _hand_over(self, work: Work, merge: JsonObject) -> None:
        launch = isolation.hand_over(self._ws, work.task, work.run, self._ws.ids.token(), merge)
        self._handing[str(launch["id"])] = Merged(work, merge)
        self._orders.append(launch)

    def end(self, ended: Ended) -> bool:
        """Take note of a command that has ended; return whether it was one of these."""
        handing, tearing = self._handing.pop(ended.id, None), self._tearing.pop(ended.id, None)
        if handing is not None:
            result = isolation.handed_over(self._ws, handing.work.task, handing.work.run, handing.result, ended.outcome)
            self._merged.append(Merged(handing.work, result))
        elif tearing is not None and attempt.is_success(ended.outcome):
            tearing()
        elif tearing is not None:
            run = ended.id.partition(".")[0]
            log = self._ws.run_files.path(run, isolation.TEARDOWN_LOG)
            text = f"a worktree stays, for its teardown failed: {attempt.describe(ended.outcome)}; see {log}"
            self._report({"type": "warning", "text": text})
        return handing is not None or tearing is not None

    def processes(self) -> list[str]:
        """Return the ids of the commands that run."""
        return [*self._handing, *self._tearing]

    def handing(self, run: str) -> list[str]:
        """Return the ids of the commands that take over the work of an attempt."""
        return [process for process, merged in self._handing.items() if merged.work.run == run]

    def forget(self) -> None:
        """Forget what has yet to be put on record; recovery finds it again."""
        for waiting in (self._made, self._committed, self._merged, self._to_merge, self._orders):
            waiting.clear()
        self._handing.clear()
        self._tearing.clear()
        self._pending.clear()

    def clean_up(self, task: Task, run: str, *, is_merged: bool) -> None:
        """Remove the worktree of a task whose end is on record, after its teardown if there is one."""

        def remove() -> None:
            self._chores.give(
                lambda: self._ws.worktrees.clean_up(task["id"], is_merged=is_merged),
                lambda kept: self._cleaned_up(task["id"], kept),
            )

        launch = isolation.teardown(self._ws, task, run, self._ws.ids.token())
        if launch is None:
            remove()
        else:
            self._tearing[str(launch["id"])] = remove
            self._orders.append(launch)

    def _cleaned_up(self, task_id: str, kept: str | AtmsError | None) -> None:
        if kept is not None:
            words = kept.message if isinstance(kept, AtmsError) else kept
            self._report({"type": "warning", "text": f"{task_id}: its worktree stays: {words}"})
