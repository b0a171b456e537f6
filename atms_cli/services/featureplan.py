"""What has to be done so that roadmap and queue are in step; nothing is done here."""

from __future__ import annotations

from dataclasses import dataclass, field

from atms_cli.domain import breakdown, featuremerge
from atms_cli.domain import feature as features
from atms_cli.domain.moment import to_iso
from atms_cli.services.attempts import gates_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from atms_cli.domain.merge import Merge
    from atms_cli.domain.records import Fact, FeatureState, JsonObject, Task
    from atms_cli.ports import ReadModel, TaskFilter, Workspace


@dataclass(slots=True)
class Plan:
    """What is to be done."""

    #: What was known of features when this was decided.
    states: list[FeatureState]
    #: Features with the drafts of the tasks that they become.
    new: list[tuple[JsonObject, list[JsonObject]]] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    renames: list[JsonObject] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Return whether nothing is to be recorded."""
        return not (self.facts or self.new or any(merge.facts or merge.adopt for merge in self.merges))

    def changes(self) -> list[JsonObject]:
        """Return what changes for tasks that are there, in words."""
        return [*self.renames, *(change for merge in self.merges for change in merge.changes)]


class Planner:
    """Compares one content of the roadmap with what is known here."""

    def __init__(self, ws: Workspace, found: JsonObject) -> None:
        self._ws = ws
        self._now = to_iso(ws.clock.now_ms())
        self._in_file = breakdown.tasks_in_file(found)
        self._present = {key: feature for key, (_, feature) in features.by_id(found).items()}

    def settle(self, read: ReadModel) -> Plan:
        """Return what is to be done for features that have tasks."""
        plan = Plan(read.features())
        states = {state["id"]: state for state in plan.states if state["tasks"]}
        former = self._follow_renames(read, plan, states)
        statuses = read.statuses_by_feature() if states else {}
        for key, state in states.items():
            theirs, here = self._present.get(key), former.get(key, key)
            seen = None if theirs is None else featuremerge.snapshot(theirs, self._in_file.get(key, ()))
            if not featuremerge.is_settled(state, seen, statuses.get(here, ())):
                plan.merges.append(self._merge(read, state, here))
        return plan

    def whole(self, read: ReadModel) -> Plan:
        """Return what is to be done, taking in what is new."""
        plan = self.settle(read)
        known = {state["id"] for state in plan.states if state["tasks"]} | {
            str(each["feature"]) for each in plan.renames
        }
        for key, feature in self._present.items():
            # What is somebody else's work in progress is not begun here.
            if key not in known and feature.get("status") == "approved":
                drafts = self.drafts(feature)
                if drafts:
                    plan.new.append((feature, drafts))
        return plan

    def again(self, read: ReadModel, before: Plan) -> Plan:
        """Decide anew on what was to be done, now that nobody else can change anything here."""
        if before.renames:
            return self.whole(read) if before.new else self.settle(read)
        states = self._known(read, [merge.feature for merge in before.merges])
        plan = Plan(before.states)
        plan.merges = [self._merge(read, state, state["id"]) for state in states]
        taken = {state["id"] for state in self._known(read, [features.text(each, "id") for each, _ in before.new])}
        plan.new = [(each, drafts) for each, drafts in before.new if features.text(each, "id") not in taken]
        return plan

    @staticmethod
    def _known(read: ReadModel, feature_ids: Iterable[str]) -> list[FeatureState]:
        return [state for state in map(read.feature, feature_ids) if state is not None and state["tasks"]]

    def drafts(self, feature: JsonObject) -> list[JsonObject]:
        """Return a feature's tasks as fields: those in the file if it holds any, otherwise derived ones."""
        in_file = self._in_file.get(features.text(feature, "id"))
        return breakdown.adopt(feature, in_file) if in_file else breakdown.derive(feature)

    def snapshot(self, feature: JsonObject) -> JsonObject:
        """Return what is kept in step of a feature."""
        return featuremerge.snapshot(feature, self._in_file.get(features.text(feature, "id"), ()))

    def feature(self, feature_id: str) -> JsonObject | None:
        """Return a feature of the file."""
        return self._present.get(feature_id)

    def _merge(self, read: ReadModel, state: FeatureState, here: str) -> Merge:
        key = state["id"]
        theirs, file_tasks = self._present.get(key), self._in_file.get(key, ())
        return featuremerge.merge(
            state, theirs, _tasks_of(read, here), file_tasks, now=self._now, is_judged=self._is_judged
        )

    def _is_judged(self, task: Task) -> bool:
        return bool(gates_of(self._ws, task))

    def _follow_renames(self, read: ReadModel, plan: Plan, states: dict[str, FeatureState]) -> dict[str, str]:
        """Let features that have another id in the file have it here; return the former ids, under which their tasks still are."""
        gone = [state for key, state in states.items() if key not in self._present]
        fresh = [each for key, each in self._present.items() if key not in states] if gone else []
        former: dict[str, str] = {}
        for state, feature in featuremerge.renames(gone, fresh):
            new_id, old_id = features.text(feature, "id"), state["id"]
            plan.facts += featuremerge.rename(state, new_id, _tasks_of(read, old_id))
            words = f"renamed in the file; it was {old_id}"
            plan.renames.append({"feature": new_id, "what": words, "tasks": [*state["tasks"]]})
            former[new_id] = old_id
            states[new_id] = {**states.pop(old_id), "id": new_id, "conflicts": {}}
        return former


def _tasks_of(read: ReadModel, feature_id: str) -> list[Task]:
    wanted: TaskFilter = {
        "statuses": [], "priorities": [], "categories": [], "tags": [], "features": [feature_id], "agents": [], "buckets": [], "lanes": [],
        "due_before": None, "search": "", "sort": "created", "reverse": False, "limit": None, "offset": 0,
    }  # fmt: skip
    return read.tasks(wanted)
