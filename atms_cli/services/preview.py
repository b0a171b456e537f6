"""What an agent would be told of a task if it was started now."""

from __future__ import annotations

from atms_cli.domain import agent as agents
from atms_cli.errors import UsageError
from atms_cli.services import attempts, drivers, prompts
from atms_cli.services.agents import known
from atms_cli.services.balance import Balance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace


def of(ws: Workspace, named: str) -> JsonObject:
    """Return the prompt, who would get it, from which template, and whether in the session of the attempt before.

    Raises:
        UsageError: nobody is told anything, since the task is a command.
        PromptError: the template cannot be filled in.

    """
    read = ws.store.reading()
    task = read.task(read.resolve(named))
    if task["command"]:
        raise UsageError(
            f"`{task['id']}` has a command, so no agent is told anything", f"see: atms task show {task['id']}"
        )
    agent = _who(ws, read, task)
    used = drivers.find(ws, agent["kind"])
    is_continued = not drivers.session_of(ws, task, agent, used, "").is_new
    text = prompts.told(ws, task, agent, used, attempts.must_pass(ws, task), is_continued=is_continued)
    return {
        "prompt": text,
        "agent": agent["name"],
        "template": prompts.template_of(ws, agent),
        "is_continued": is_continued,
    }


def _who(ws: Workspace, read: ReadModel, task: Task) -> Agent:
    """Return who would be told: the agent that asks or is asked for, else whom `atms run` would choose, else anybody."""
    name = ws.agent or task["agent"]
    if name is not None:
        return known(ws, read).get(name) or agents.anonymous(name)
    force = attempts.workforce(ws, read, ws.config["execution"]["jobs"], ())
    return Balance(ws, read, force).choose(force, task, {}) or agents.anonymous(ws.actor)
