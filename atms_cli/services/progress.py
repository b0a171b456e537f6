"""How far an attempt that runs has got: what it was seen doing, and what its agent says of itself.

Both are files of the attempt and no events: they come often, count only while it runs, and can be read without the loop.
"""

from __future__ import annotations

from atms_cli.errors import AtmsError, UsageError
from atms_cli.services.presence import hear_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import Workspace

SEEN, SAID = "seen.json", "said.json"
#: Of all attempts at work so many are told of.
MOST_TOLD = 20
_MOST_PERCENT = 100
_SETUP_LOG, _OUTPUT, _APART, _PROMPT = "setup.log", "output.log", "worktree", "prompt.md"


def say(ws: Workspace, named: str, percent: int | None, note: str | None, token: str | None) -> JsonObject:
    """Note what whoever works on a task says of how far it has got; return that.

    Raises:
        AtmsError: nobody works on it.

    """
    if percent is not None:
        check(percent)
    from atms_cli.domain import decisions

    with ws.store.writing(ws.actor) as tx:
        task = tx.read.task(named)
        decisions.guard(task, ws.agent or ws.actor, token, tx.now)
        attempts = tx.read.attempts(task["id"])
        if task["status"] not in ("in_progress", "validating") or not attempts:
            raise AtmsError(f"nobody works on `{task['id']}`", f"begin first: atms task start {task['id']}")
        hear_of(tx, ws.agent or ws.actor)
        now = tx.now
    return {"task": task["id"], **note_said(ws, attempts[-1]["run"], now, percent, note)}


def check(percent: int) -> None:
    """Refuse what is no share of a task."""
    if not 0 <= percent <= _MOST_PERCENT:
        raise UsageError(f"{percent} % is no share of a task", "give a number from 0 to 100")


def note_said(ws: Workspace, run: str, now: str, percent: int | None = None, note: str | None = None) -> JsonObject:
    """Keep that somebody was heard of at work on an attempt, and what was said; who says one thing leaves the other as it was."""
    before = ws.run_files.get(run, SAID) or {}
    said: JsonObject = {
        "at": now,
        "percent": before.get("percent") if percent is None else percent,
        "note": before.get("note") if note is None else note,
    }
    ws.run_files.put(run, SAID, said)
    return said


def phase(ws: Workspace, task: Task) -> str:
    """Return the phase of the attempt that is being made at a task: what its events do not tell, its files do."""
    run, files = str(task["run"]), ws.run_files
    if task["status"] == "validating":
        from atms_cli.domain.phases import along

        history = ws.store.reading().history(task["id"])
        return next((entered for _, entered in [*along(history)][::-1] if entered), "validating")
    if task["run"] is None:
        return "running"
    # Whoever starts a command makes its output first.
    if files.head(run, _OUTPUT, 1) is None:
        is_made = files.size(run, _APART) or files.size(run, _PROMPT)
        return "launching" if is_made else "preparing"
    is_set_up = files.head(run, _SETUP_LOG, 1) is None or files.size(run, _OUTPUT) > 0
    return "running" if is_set_up else "preparing"


def at_work(ws: Workspace, tasks: Sequence[Task]) -> list[JsonObject]:
    """Return what is known of the attempts that are being made at tasks, of so many at most."""
    return [
        {
            "task": task["id"], "title": task["title"], "agent": task["assigned_agent"], "run": task["run"],
            "since": task["started_at"], "phase": phase(ws, task), "progress": of(ws, str(task["run"])),
        }
        for task in tasks[:MOST_TOLD]
    ]  # fmt: skip


def of(ws: Workspace, run: str) -> JsonObject | None:
    """Return what is known of an attempt that runs: doing, steps, usage, percent, note, and when; None if nothing is."""
    seen, said = ws.run_files.get(run, SEEN), ws.run_files.get(run, SAID)
    if seen is None and said is None:
        return None
    nothing: JsonObject = {
        "doing": None,
        "steps": 0,
        "usage": {},
        "seen_at": None,
        "percent": None,
        "note": None,
        "said_at": None,
    }
    told = said or {}
    return {
        **nothing, **(seen or {}), "percent": told.get("percent"), "note": told.get("note"), "said_at": told.get("at"),
    }  # fmt: skip
