"""A task in one line, which is all that most commands say."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Task

#: Symbol and style of each status; the symbol says it without colour.
STATUS_MARKS: dict[str, tuple[str, str]] = {
    "created": ("·", "dim"),
    "queued": ("○", ""),
    "assigned": ("◔", "cyan"),
    "in_progress": ("▶", "cyan"),
    "validating": ("◑", "cyan"),
    "review": ("?", "yellow"),
    "blocked": ("■", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("–", "dim"),
    "archived": ("–", "dim"),
}


def one_line(text: str) -> str:
    """Return a text in one line; what would command the terminal is shown as a replacement character."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)


def task_line(call: Call, task: Task) -> str:
    """Return a task in one line."""
    mark, style = STATUS_MARKS[task["status"]]
    return f"{call.style(mark, style) if style else mark} {call.style(task['id'], 'bold')}  {one_line(task['title'])}"


def changed_lines(call: Call, tasks: Sequence[Task], verb: str) -> str:
    """Return tasks, each in one line with what was done to it, if there is a word for that."""
    said = f"  {call.style(verb, 'dim')}" if verb else ""
    return "\n".join(task_line(call, task) + said for task in tasks)
