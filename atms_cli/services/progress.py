"""How far an attempt that runs has got: what it was seen doing, and what its agent says of itself.

Both are files of the attempt and no events: they come often, count only while it runs, and can be read without the loop.
"""

from __future__ import annotations

from atms_cli.domain import decisions
from atms_cli.errors import AtmsError, UsageError
from atms_cli.services.presence import hear_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import Workspace

SEEN, SAID = "seen.json", "said.json"
_MOST_PERCENT = 100


def say(ws: Workspace, named: str, percent: float | None, note: str | None, token: str | None) -> JsonObject:
    """Note what whoever works on a task says of how far it has got; return that.

    Raises:
        AtmsError: nobody works on it.

    """
    if percent is not None and not 0 <= percent <= _MOST_PERCENT:
        raise UsageError(f"{percent:g} % is no share of a task", "give a number from 0 to 100")
    with ws.store.writing(ws.actor) as tx:
        task = tx.read.task(named)
        decisions.guard(task, ws.agent or ws.actor, token, tx.now)
        attempts = tx.read.attempts(task["id"])
        if task["status"] not in ("in_progress", "validating") or not attempts:
            raise AtmsError(f"nobody works on `{task['id']}`", f"begin first: atms task start {task['id']}")
        hear_of(tx, ws.agent or ws.actor)
        now = tx.now
    return {"task": task["id"], **note_said(ws, attempts[-1]["run"], now, percent, note)}


def note_said(ws: Workspace, run: str, now: str, percent: float | None = None, note: str | None = None) -> JsonObject:
    """Keep that somebody was heard of at work on an attempt, and what was said; who says one thing leaves the other as it was."""
    before = ws.run_files.get(run, SAID) or {}
    said: JsonObject = {
        "at": now,
        "percent": before.get("percent") if percent is None else percent,
        "note": before.get("note") if note is None else note,
    }
    ws.run_files.put(run, SAID, said)
    return said


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
