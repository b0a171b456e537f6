"""The git worktrees of tasks, in a table."""

from __future__ import annotations

from atms_cli.cli.render import plural, table
from atms_cli.domain.footprint import describe_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject

_STYLES = {
    "in_use": "cyan",
    "waiting": "",
    "dirty": "yellow",
    "unmerged": "yellow",
    "broken": "red",
    "removable": "green",
}


def listed(call: Call, found: Sequence[JsonObject]) -> None:
    """Answer with worktrees, and say on the side what may be done about them."""
    call.answer(list(found), [str(each["task"]) for each in found], lambda: _table(call, found) if found else "")
    if not found:
        call.say("no task has a worktree")
    removable = sum(each["state"] == "removable" for each in found)
    if removable:
        call.say(f"{plural(removable, 'worktree')} may go: atms task worktrees --prune")


def _table(call: Call, found: Sequence[JsonObject]) -> str:
    rows = [
        [
            (str(each["task"]), "bold"),
            (str(each["state"]).replace("_", " "), _STYLES[str(each["state"])]),
            (describe_size(int(str(each["size"]))), ""),
            (str(each["status"] or "").replace("_", " "), ""),
            (str(each["problem"] or each["title"] or ""), ""),
        ]
        for each in found
    ]
    return table(call, ("TASK", "STATE", "SIZE", "STATUS", "TITLE"), rows, stretch=4)


def pruned(call: Call, found: Sequence[JsonObject]) -> int:
    """Answer with the worktrees that were to go; return how many are still there."""
    left = [each for each in found if each["kept"] is not None]
    gone = [str(each["task"]) for each in found if each["kept"] is None]
    call.answer(list(found), gone, lambda: "\n".join(f"removed the worktree of {task}" for task in gone))
    for each in left:
        call.say(f"the worktree of {each['task']} stays: {each['kept']}")
    if not found:
        call.say("nothing may go: what is not merged, or not committed, stays")
    return len(left)
