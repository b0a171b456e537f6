"""What an agent is told: the task, when it is done, and what went wrong before."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Task


#: Of what an agent said at the end of a task, so much is told to those after it.
_MOST_RESULT = 1500


def build(task: Task, gates: Sequence[str], failure_log: str, results: Sequence[tuple[str, str]] = ()) -> str:
    """Return the prompt of a task in Markdown; its own prompt, if it has one, takes the place of the description.

    `results` has the titles of the tasks before it, and what their agents said at the end.
    """
    parts = [f"# {task['title']}"]
    body = task["prompt"] or task["description"]
    parts += [body] if body else []
    if task["business_value"] and not task["prompt"]:
        parts.append(f"Why it matters: {task['business_value']}")
    done = [*task["validation_criteria"]["success_criteria"], *(f"the quality gate `{name}` passes" for name in gates)]
    parts += ["## Done when\n\n" + "\n".join(f"- {each}" for each in done)] if done else []
    for title, text in results:
        parts.append(f"## What came of: {title}\n\n{text.strip()[:_MOST_RESULT]}")
    if task["attempts"] > 0 and task["reason"]:
        parts.append(f"## The attempt before this one failed\n\n{task['reason']}")
        parts += [f"```\n{failure_log}\n```"] if failure_log else []
    parts.append(f"Task {task['id']}, {task['category']}, priority {task['priority']}.")
    return "\n\n".join(parts) + "\n"


def go_on(task: Task, failure_log: str) -> str:
    """Return what is said to an agent that goes on with a task in the session of its last attempt."""
    parts = [f"Go on with the task: {task['title']}. It is not done yet."]
    last = task["result"] or {}
    # A limit or a lost connection says nothing about the work; what was wrong before it does.
    reason = last.get("was") if last.get("trouble") else task["reason"]
    parts += [f"What was in the way: {reason}"] if reason else []
    parts += [f"```\n{failure_log}\n```"] if failure_log else []
    return "\n\n".join(parts) + "\n"
