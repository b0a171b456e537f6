"""What is done for tasks that work apart: git, beside the loop, and commands that take their work over.

Nothing here waits. Each step is either a chore, whose result turns up in a later turn, or a command that the keeper runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from atms_cli.domain import attempt
from atms_cli.errors import AtmsError
from atms_cli.loop.work import Ended, Made, Merged
from atms_cli.services import attempts, gathering, isolation, worktrees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.loop.chores import Chores
    from atms_cli.loop.work import Report, Work
    from atms_cli.ports import Workspace
    from atms_cli.services.attempts import Start

    _T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Leaving:
    """A worktree that is to go."""

    task: str
    is_merged: bool


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
        #: The attempt whose turn it is, until its work has come back: what it was judged with stays as it is meanwhile.
        self._turn: str | None = None
        #: Attempts that wait for git.
        self._pending: set[str] = set()
        self._orders: list[JsonObject] = []
        #: By the ids of their processes.
        self._handing: dict[str, Merged] = {}
        self._tearing: dict[str, Leaving] = {}
        #: Tasks whose worktrees are on their way out, and attempts that wait until they are gone.
        self._leaving: set[str] = set()
        self._returning: list[Start] = []
        #: Why no new worktree is made.
        self.full = "the worktrees that are kept have yet to be counted" if worktrees.is_limited(ws) else None
        self._is_counting = self._counts_again = False

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
        if task_id in self._leaving:
            self._returning.append(start)
            return

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
            heard = work.heard or gathering.hear(self._ws, work.start)
            work.heard = gathering.with_commit(self._ws, work.start, heard, unresolved)
            self._committed.append(ended)

        self._pending.add(work.run)
        self._chores.give(lambda: self._ws.worktrees.commit(task_id, message), then)

    def beside(self, run: str, act: Callable[[], _T], then: Callable[[_T | AtmsError], None]) -> None:
        """Have something done for an attempt that it waits for."""

        def done(found: _T | AtmsError) -> None:
            self._pending.discard(run)
            then(found)

        self._pending.add(run)
        self._chores.give(act, done)

    def bring_back(self, work: Work) -> None:
        """Have the branch of a task that is done and judged come back when it is its turn."""
        self._pending.add(work.run)
        self._to_merge.append(work)

    def end_turn(self, run: str) -> None:
        """Let others come back: the work of this attempt has, or never will."""
        self._turn = None if self._turn == run else self._turn

    def merge(self) -> None:
        """Begin with the next merge, unless one is going on, or what is to be merged next is being judged once more."""
        mergeable = [work for work in self._to_merge if self._turn in (None, work.run)]
        if self._is_merging or not mergeable:
            return
        work = mergeable[0]
        self._to_merge.remove(work)
        if not attempts.in_flight(self._ws.store.reading().task(work.task["id"]), work.run):
            # It was taken away while it waited.
            self._merged.append(Merged(work, {"kind": "again"}))
            return
        self._is_merging = True
        task_id, policy = work.task["id"], self._ws.config["execution"]["merge"]
        message = isolation.message(work.task)
        self._report({"type": "merging", "task": task_id, "title": work.task["title"], "phase": "merging"})
        self._chores.give(
            lambda: self._ws.worktrees.merge(task_id, policy, message), lambda result: self._came_back(work, result)
        )

    def _came_back(self, work: Work, result: JsonObject | AtmsError) -> None:
        self._is_merging = False
        self._turn = work.run
        self._pending.discard(work.run)
        if isinstance(result, AtmsError):
            self._merged.append(Merged(work, {"kind": "refused", "detail": result.message}))
        elif result["kind"] == "hand_over":
            self._hand_over(work, result)
        else:
            self._merged.append(Merged(work, isolation.with_log(self._ws, work.run, result)))

    def _hand_over(self, work: Work, merge: JsonObject) -> None:
        # Nothing of it comes back here, so nobody has to wait for it.
        self.end_turn(work.run)
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
            self._remove(tearing)
        elif tearing is not None:
            log = self._ws.run_files.path(ended.id.partition(".")[0], isolation.TEARDOWN_LOG)
            self._left(tearing.task, f"its teardown failed: {attempt.describe(ended.outcome)}; see {log}")
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
        self._turn = None

    # Removing

    def clean_up(self, task: Task, run: str, *, is_merged: bool) -> None:
        """Remove the worktree of a task whose end is on record, after its teardown if there is one."""
        leaving = Leaving(task["id"], is_merged)
        self._leaving.add(leaving.task)
        launch = isolation.teardown(self._ws, task, run, self._ws.ids.token())
        if launch is None:
            self._remove(leaving)
        else:
            self._tearing[str(launch["id"])] = leaving
            # What was kept for a while has a run of its own.
            self._ws.run_files.prepare(run)
            self._orders.append(launch)

    def _remove(self, leaving: Leaving) -> None:
        self._chores.give(
            lambda: self._ws.worktrees.clean_up(leaving.task, is_merged=leaving.is_merged),
            lambda kept: self._left(leaving.task, kept.message if isinstance(kept, AtmsError) else kept),
        )

    def _left(self, task_id: str, kept: str | None) -> None:
        """Go on with what waited for a worktree to go; say so if it stays."""
        if kept is not None:
            self._report({"type": "warning", "text": f"{task_id}: its worktree stays: {kept}"})
        self._leaving.discard(task_id)
        returning, self._returning = self._returning, []
        for start in returning:
            self.make(start)
        self.count_if_limited()

    def count_if_limited(self) -> None:
        """Count the worktrees that are kept, if only so many may be."""
        if worktrees.is_limited(self._ws):
            self.count()
        else:
            self.full = None

    def count(self) -> None:
        """Look at the worktrees that lie there, and remove those that have been kept long enough."""
        if self._is_counting:
            self._counts_again = True
            return
        self._is_counting, self._counts_again = True, False
        self._chores.give(lambda: worktrees.measured(self._ws), self._counted)

    def _counted(self, trees: list[JsonObject] | AtmsError) -> None:
        self._is_counting = False
        if isinstance(trees, AtmsError):
            self._report({"type": "warning", "text": f"cannot count worktrees: {trees.message}"})
            return
        found = [each for each in worktrees.described(self._ws, trees) if each["task"] not in self._leaving]
        due = worktrees.due(self._ws, found)
        for each in due:
            self._let_go(str(each["task"]))
        self._note_room(worktrees.full(self._ws, [each for each in found if each not in due]))
        if self._counts_again:
            self.count()

    def _let_go(self, task_id: str) -> None:
        read = self._ws.store.reading()
        if read.born(task_id):
            self.clean_up(read.task(task_id), self._ws.ids.run(), is_merged=True)
        else:
            self._leaving.add(task_id)
            self._remove(Leaving(task_id, is_merged=True))

    def _note_room(self, full: str | None) -> None:
        if full is not None and full != self.full:
            self._report({"type": "warning", "text": f"no new worktree is made: {full}; see: atms task worktrees"})
        self.full = full
