"""Which agent may take which task, and which should."""

from __future__ import annotations

from atms_cli.domain.agent import SHELL
from atms_cli.domain.task import CATEGORIES, COMPLEXITIES, PRIORITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.records import Agent, Task

    Key = Callable[[Agent, Task, Mapping[str, int]], tuple[object, ...]]

#: How to choose among agents that are able and free (services/balance.py).
BALANCES = ("least_load", "round_robin", "weighted", "sticky", "random")


def refusal(agent: Agent, task: Task) -> str | None:
    """Return why an agent may not take a task, all that is in the way of it, or None if it may."""
    if agent["name"] == SHELL:
        return (
            None
            if task["command"] and task["agent"] in (None, SHELL)
            else "it only runs commands of tasks that have one"
        )
    if task["agent"] is not None and task["agent"] != agent["name"]:
        return f"the task asks for {task['agent']}"
    lacking = _lacking(agent, task)
    reasons = [f"it lacks {', '.join(lacking)}"] if lacking else []
    if _is_choosy(agent):
        reasons += _unwelcome(agent, task["category"], task["priority"], task["complexity"])
    return "; ".join(reasons) or None


def _lacking(agent: Agent, task: Task) -> list[str]:
    """Return what a task takes and an agent has not. One that names no skill has any, and likewise with tools."""
    if not task["required_capabilities"] and not task["context"]["required_tools"]:
        return []
    skills = [*agent["capabilities"], *agent["languages"], *agent["frameworks"], agent["specialization"]]
    able = {*skills, *agent["tools"]}
    asked = task["required_capabilities"] if any(skills) else []
    asked = [*asked, *(task["context"]["required_tools"] if agent["tools"] else ())]
    return [name for name in dict.fromkeys(asked) if name not in able]


def _is_choosy(agent: Agent) -> bool:
    """Return whether an agent takes tasks of some natures only."""
    return bool(agent["categories"] or agent["max_priority"] or agent["max_complexity"])


def _unwelcome(agent: Agent, category: str, priority: str, complexity: str) -> list[str]:
    """Say what of a task's nature an agent does not take."""
    reasons = []
    if agent["categories"] and category not in agent["categories"]:
        reasons.append(f"it takes no {category}, only {', '.join(agent['categories'])}")
    if agent["max_complexity"] and _is_beyond(complexity, agent["max_complexity"], COMPLEXITIES):
        reasons.append(f"it takes nothing beyond {agent['max_complexity']}, and this is {complexity}")
    # Priorities begin with the most urgent.
    if agent["max_priority"] and _is_beyond(priority, agent["max_priority"], PRIORITIES[::-1]):
        reasons.append(f"it takes nothing above priority {agent['max_priority']}, and this is {priority}")
    return reasons


def _is_beyond(value: str, most: str, scale: Sequence[str]) -> bool:
    """Return whether a value lies beyond another one on a scale; one that is not on it, of a newer atms, does."""
    return value not in scale or scale.index(value) > scale.index(most)


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


#: A demand begins with the nature of its task, one character each for category, priority and complexity.
NATURE = 3
_CATEGORY = {name: chr(ord("a") + place) for place, name in enumerate(CATEGORIES)}
_PRIORITY = {name: str(place) for place, name in enumerate(PRIORITIES)}
_COMPLEXITY = {name: str(place) for place, name in enumerate(COMPLEXITIES)}


def demand(task: Task) -> str:
    """Return what a task asks of whoever runs it, so that of two with the same demand either both can start or none."""
    # Another clone may have a newer atms, which knows more words.
    nature = (
        _CATEGORY.get(task["category"], "?"),
        _PRIORITY.get(task["priority"], "?"),
        _COMPLEXITY.get(task["complexity"], "?"),
    )
    return "".join(nature) + _asked(task)


def _asked(task: Task) -> str:
    """Return the demand of a task apart from its nature; empty for the most usual one: any agent may take it."""
    parts: dict[str, object] = {
        # The shell takes those with a command alone, whether it is asked for or nobody is.
        "command": bool(task["command"]) and task["agent"] in (None, SHELL),
        "agent": task["agent"],
        "able": sorted(task["required_capabilities"]),
        "tools": sorted(task["context"]["required_tools"]),
        "holds": sorted(task["resources"]),
        "exclusive": task["exclusive"],
    }
    # Quoted, since a name may have blanks and commas in it.
    return " ".join(f"{name}={value!r}" for name, value in parts.items() if value)


def alike(agents: Sequence[Agent], task: Task) -> list[str]:
    """Return the demands of the tasks that cannot start either when one cannot, of whatever nature.

    They ask the same, and none but those agents take them that would take this one. Without a nature in front, a demand stands
    for those of all natures.
    """
    choosy = [agent for agent in agents if _is_choosy(agent)]
    asked = _asked(task)
    if not choosy:
        return [asked]
    unwilling = [agent for agent in choosy if _unwelcome(agent, task["category"], task["priority"], task["complexity"])]
    found = [
        f"{_CATEGORY[category]}{_PRIORITY[priority]}{_COMPLEXITY[complexity]}{asked}"
        for category in CATEGORIES
        for priority in PRIORITIES
        for complexity in COMPLEXITIES
        if all(_unwelcome(agent, category, priority, complexity) for agent in unwilling)
    ]
    return [demand(task), *found] if unwilling else [asked]
