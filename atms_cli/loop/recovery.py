"""Taking up what an earlier loop left: adopt what runs, settle what ended, put back what never began."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.errors import UsageError
from atms_cli.loop.work import Ended, Work
from atms_cli.services import attempts, leftovers
from atms_cli.services.agents import known
from atms_cli.system.launch import Outcome
from atms_cli.system.ledger import describe_all, forget
from atms_cli.system.tree import age_s, kill_marked, marked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Task
    from atms_cli.loop.tick import Desk
    from atms_cli.ports import Workspace
    from atms_cli.system.keeper_client import Keeper
    from atms_cli.system.ledger import Record

#: For what is adopted when its time is over already.
_LEAST_TIME_S = 0.001


def recover(ws: Workspace, desk: Desk, keeper: Keeper) -> list[Ended]:
    """Return what has ended meanwhile, and have judged again what was being judged. Call it when the keeper is ready.

    From that moment no older keeper starts anything, so what is on record and what is marked is all there is.
    """
    left = leftovers.left_over(ws.store.reading())
    runs = [str(task["run"]) for task in left]
    found, records = (marked(runs), describe_all(keeper.ledgers, runs)) if left else ({}, {})
    forget(keeper.ledgers, runs)
    ended: list[Ended] = []
    for task in left:
        run = str(task["run"])
        start = _taken_up(ws, task)
        if start is None:
            kill_marked(run)
            _put_back(ws, task)
            continue
        work = Work(start, ws.clock.monotonic())
        if task["status"] == "validating":
            kill_marked(run)
            desk.judge_again(work)
        elif not _take_up(ws, desk, keeper, work, ended, records[run], is_marked=bool(found.get(run))):
            _put_back(ws, task)
    return ended


def _take_up(
    ws: Workspace, desk: Desk, keeper: Keeper, work: Work, ended: list[Ended], record: Record, *, is_marked: bool
) -> bool:
    """Settle or adopt one attempt; return False if it never began."""
    if record.outcome is not None:
        ended.append(Ended(work.run, record.outcome.to_json()))
    elif record.process is not None:
        output, most = ws.run_files.path(work.run, attempts.OUTPUT), ws.config["execution"]["log_max"]
        limit = work.task["timeout"] or ws.config["execution"]["timeout"]
        left_s = max(_LEAST_TIME_S, limit - age_s(record.process.start_time, ws.clock.now_ms()))
        keeper.adopt(record.process, timeout_s=left_s, output=output, output_max=most)
    elif record.is_claimed or is_marked:
        # It may have begun, or even ended, but its keeper died before it could write that down.
        kill_marked(work.run)
        ended.append(Ended(work.run, Outcome(work.run, "vanished").to_json()))
    else:
        return False
    desk.resume(work)
    return True


def _taken_up(ws: Workspace, task: Task) -> attempts.Start | None:
    """Return an attempt as it began, or None if its agent, or what reads it, is not there any more."""
    name = task["assigned_agent"] or agents.SHELL
    agent = agents.shell(1) if name == agents.SHELL else known(ws, ws.store.reading()).get(name)
    if agent is None:
        return None
    try:
        return leftovers.taken_up(ws, str(task["run"]), task, agent)
    except UsageError:
        return None


def _put_back(ws: Workspace, task: Task) -> None:
    with ws.store.writing("atms run") as tx:
        leftovers.never_began(tx, task["id"], str(task["run"]))
