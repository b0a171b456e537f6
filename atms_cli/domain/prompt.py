"""What an agent is told: the task, when it is done, and what went wrong before."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Task


def build(task: Task, gates: Sequence[str], failure_log: str) -> str:
    """Return the prompt of a task in Markdown; its own prompt, if it has one, takes the place of the description."""
    parts = [f"# {task['title']}"]
    body = task["prompt"] or task["description"]
    parts += [body] if body else []
    if task["business_value"] and not task["prompt"]:
        parts.append(f"Why it matters: {task['business_value']}")
    done = [*task["validation_criteria"]["success_criteria"], *(f"the quality gate `{name}` passes" for name in gates)]
    parts += ["## Done when\n\n" + "\n".join(f"- {each}" for each in done)] if done else []
    if task["attempts"] > 0 and task["reason"]:
        parts.append(f"## The attempt before this one failed\n\n{task['reason']}")
        parts += [f"```\n{failure_log}\n```"] if failure_log else []
    parts.append(f"Task {task['id']}, {task['category']}, priority {task['priority']}.")
    return "\n\n".join(parts) + "\n"
