"""Which agent may take which task, and which should."""

from __future__ import annotations

from atms_cli.domain.agent import SHELL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.records import Agent, Task

    Key = Callable[[Agent, Task, Mapping[str, int]], tuple[object, ...]]

#: How to choose among agents that are able and free (services/balance.py).
BALANCES = ("least_load", "round_robin", "weighted", "sticky", "random")


def refusal(agent: Agent, task: Task) -> str | None:
    """Return why an agent may not take a task, or None if it may."""
    if agent["name"] == SHELL:
        return (
            None
            if task["command"] and task["agent"] in (None, SHELL)
            else "it only runs commands of tasks that have one"
        )
    if task["agent"] is not None and task["agent"] != agent["name"]:
        return f"the task asks for {task['agent']}"
    able = {*agent["capabilities"], *agent["languages"], agent["specialization"]}
    lacking = [capability for capability in task["required_capabilities"] if capability not in able]
    # An agent that names no capability is a generalist and takes anything.
    if lacking and (agent["capabilities"] or agent["languages"] or agent["specialization"]):
        return f"it lacks {', '.join(lacking)}"
    return None


def may_run(agents: Sequence[Agent], task: Task) -> list[Agent]:
    """Return the agents that `atms run` may start for a task. A command of its own needs no agent but the one asked for."""
    if task["command"] and task["agent"] is None:
        return [agent for agent in agents if agent["name"] == SHELL]
    return [agent for agent in agents if agent["kind"] != "pull" and refusal(agent, task) is None]


def by_load(agent: Agent, task: Task, load: Mapping[str, int]) -> tuple[object, ...]:
    """Order agents by how busy they are."""
    del task
    return (load.get(agent["name"], 0) / agent["max_concurrent"], agent["name"])


def choose(agents: Sequence[Agent], task: Task, load: Mapping[str, int], key: Key = by_load) -> Agent | None:
    """Return the agent that should run a task: able, below its limit, and first by a key; or None."""
    able = [agent for agent in may_run(agents, task) if load.get(agent["name"], 0) < agent["max_concurrent"]]
    return min(able, key=lambda agent: key(agent, task, load), default=None)


def holds_something(demand: str) -> bool:
    """Return whether tasks of a demand hold something while they run."""
    return "holds=" in demand or "exclusive=" in demand


def demand(task: Task) -> str:
    """Return what a task asks of whoever runs it, so that of two with the same demand either both can start or none.

    Empty for the most usual one: any agent may take it.
    """
    parts: dict[str, object] = {
        # The shell takes those with a command alone, whether it is asked for or nobody is.
        "command": bool(task["command"]) and task["agent"] in (None, SHELL),
        "agent": task["agent"],
        "able": sorted(task["required_capabilities"]),
        "holds": sorted(task["resources"]),
        "exclusive": task["exclusive"],
    }
    # Quoted, since a name may have blanks and commas in it.
    return " ".join(f"{name}={value!r}" for name, value in parts.items() if value)
