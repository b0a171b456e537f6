"""Which of several able agents takes a task (`execution.balance`)."""

from __future__ import annotations

from atms_cli.domain import matching
from atms_cli.domain.moment import seconds_between

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.matching import Key
    from atms_cli.domain.records import Agent, Attempt, Task
    from atms_cli.ports import ReadModel, Workspace

#: So many attempts tell how good an agent is.
_ATTEMPTS = 500


class Balance:
    """Orders agents for one turn; who comes first takes the task, unless it is busy."""

    def __init__(self, ws: Workspace, read: ReadModel, force: Sequence[Agent]) -> None:
        self._read = read
        self._how = ws.config["execution"]["balance"]
        keys: dict[str, Key] = {
            "round_robin": self._by_turn, "weighted": self._by_merit, "sticky": self._by_feature, "random": self._by_chance,
        }  # fmt: skip
        self._key = keys.get(self._how, matching.by_load)
        if self._how == "round_robin":
            self._last = {agent["name"]: next(iter(read.starts(1, agent=agent["name"])), "") for agent in force}
        elif self._how == "weighted":
            self._weights = weights([attempt for attempt, *_ in read.last_attempts(_ATTEMPTS)])
        elif self._how == "random":
            self._chance = ws.ids.chance(ws.ids.token())

    def choose(self, agents: Sequence[Agent], task: Task, load: Mapping[str, int]) -> Agent | None:
        """Return the agent that should run a task: able, below its limit, and first by the strategy; or None."""
        agent = matching.choose(agents, task, load, self._key)
        if agent is not None and self._how == "round_robin":
            # Behind all that have started before; several are chosen in a turn.
            self._last[agent["name"]] = max(self._last.values()) + "+"
        return agent

    def _by_turn(self, agent: Agent, task: Task, load: Mapping[str, int]) -> tuple[object, ...]:
        return (self._last.get(agent["name"], ""), *matching.by_load(agent, task, load))

    def _by_merit(self, agent: Agent, task: Task, load: Mapping[str, int]) -> tuple[object, ...]:
        # One more task is worth what it adds to the load, by how much the agent gets done.
        weight = self._weights.get(agent["name"], 1.0)
        return (
            (load.get(agent["name"], 0) + 1) / (agent["max_concurrent"] * weight),
            *matching.by_load(agent, task, load),
        )

    def _by_feature(self, agent: Agent, task: Task, load: Mapping[str, int]) -> tuple[object, ...]:
        knows = task["feature_id"] is not None and self._read.agent_of_feature(task["feature_id"]) == agent["name"]
        return (not knows, *matching.by_load(agent, task, load))

    def _by_chance(self, agent: Agent, task: Task, load: Mapping[str, int]) -> tuple[object, ...]:
        return (self._chance.random(), *matching.by_load(agent, task, load))


def weights(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Return how much each agent gets done, 1 for the best: successes a second of work, with a doubt for each.

    One success and one failure of usual length are added to each, so that few attempts say little (Laplace's rule).
    """
    spent: dict[str, list[float]] = {}
    good: dict[str, int] = {}
    for attempt in attempts:
        if attempt["ended_at"] is not None and attempt["status"] in ("succeeded", "failed"):
            seconds = max(0.1, seconds_between(attempt["started_at"], attempt["ended_at"]))
            spent.setdefault(attempt["agent"], []).append(seconds)
            good[attempt["agent"]] = good.get(attempt["agent"], 0) + (attempt["status"] == "succeeded")
    if not spent:
        return {}
    everything = [seconds for times in spent.values() for seconds in times]
    usual = sum(everything) / len(everything)
    done = {name: (good[name] + 1) / (sum(times) + 2 * usual) for name, times in spent.items()}
    best = max(done.values())
    return {name: value / best for name, value in done.items()}
