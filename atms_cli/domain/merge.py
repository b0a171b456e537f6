"""What a merge comes to for one feature; featuremerge.py and filetasks.py fill it."""

from __future__ import annotations

from dataclasses import dataclass, field

from atms_cli.domain.task import evolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atms_cli.domain.records import Event, Fact, Json, JsonObject, Task


@dataclass(slots=True)
class Merge:
    """What follows for one feature: facts, changes in words, a status to write, and tasks of the file to be taken in."""

    feature: str
    #: The conflicts that are on record, by field.
    known: Mapping[str, JsonObject]
    now: str
    #: Whether gates have to judge a task before it may count as done.
    is_judged: Callable[[Task], bool]
    facts: list[Fact] = field(default_factory=list)
    changes: list[JsonObject] = field(default_factory=list)
    write: str | None = None
    adopt: list[JsonObject] = field(default_factory=list)
    #: Ids of the file's own tasks that are done here and not yet there.
    write_tasks: list[str] = field(default_factory=list)

    def tell(self, what: str, facts: Sequence[Fact]) -> None:
        """Add facts about tasks, and what they come to in words."""
        if facts:
            self.facts += facts
            touched: list[Json] = list(dict.fromkeys(key for _, key, _ in facts))
            self.changes.append({"feature": self.feature, "what": what, "tasks": touched})

    def applied(self, tasks: Sequence[Task]) -> list[Task]:
        """Return tasks as they will be after the facts so far."""
        after = {task["id"]: task for task in tasks}
        for kind, key, data in self.facts:
            event: Event = {"v": 1, "id": "", "at": self.now, "type": kind, "key": key, "actor": "", "data": data}
            if key in after:
                after[key] = evolve(after[key], event) or after[key]
        return list(after.values())

    def dispute(self, name: str, sides: JsonObject) -> None:
        """Put a conflict on record, once."""
        if self.known.get(name) != sides:
            self.facts.append(("feature.conflicted", self.feature, {"field": name, **sides}))
            self.changes.append({"feature": self.feature, "what": f"conflict: {name}", "tasks": [], **sides})

    def agree(self, name: str) -> None:
        """Put on record that a conflict is none any more."""
        if name in self.known:
            self.facts.append(("feature.resolved", self.feature, {"field": name, "take": "agreed"}))
