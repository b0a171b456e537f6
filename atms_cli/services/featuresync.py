"""FEATURES.json and the queue, kept in step: approved features become tasks, and each side's changes reach the other."""

from __future__ import annotations

from atms_cli.domain import breakdown, decisions, featureedits, featurepolicy, featureproblems
from atms_cli.domain import feature as features
from atms_cli.domain.filetasks import with_tasks_done
from atms_cli.domain.moment import to_iso
from atms_cli.errors import NotFoundError
from atms_cli.services import evidence
from atms_cli.services.consequences import follow
from atms_cli.services.featureplan import Planner
from atms_cli.services.tasks import is_draining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atms_cli.domain.merge import Merge
    from atms_cli.domain.records import Edit, Fact, FeatureState, Json, JsonObject, Task
    from atms_cli.ports import ReadModel, Transaction, Workspace
    from atms_cli.services.featureplan import Plan

    Places = dict[str, tuple[int, JsonObject]]

#: The key of the event that tells since when a roadmap is looked after.
_ROADMAP = "roadmap"


def document(ws: Workspace) -> JsonObject:
    """Return the whole roadmap file."""
    found = ws.roadmap.read()
    if found is None:
        raise NotFoundError(
            f"there is no {ws.roadmap.path}", 'make the first suggestion: atms feature suggest "Title" …'
        )
    return found


def diff(ws: Workspace) -> JsonObject:
    """Return what `sync` would do, the conflicts that wait for a person, and what is odd in the file."""
    found, read = document(ws), ws.store.reading()
    plan = Planner(ws, found).whole(read)
    judged = featurepolicy.decide(found, _since(ws, read), to_iso(ws.clock.now_ms()))[1]
    return {
        "file": ws.roadmap.path,
        "new": [
            {
                "feature": features.text(each, "id"),
                "title": each.get("title"),
                "tasks": [draft["title"] for draft in drafts],
            }
            for each, drafts in plan.new
        ],
        "write": [*judged, *_statuses_to_write(plan, found)],
        "change": [*plan.changes()],
        "conflicts": [*conflicts(plan.states)],
        "problems": [*featureproblems.find(found)],
    }


def conflicts(states: Sequence[FeatureState]) -> list[JsonObject]:
    """Return what both sides have changed, so that a person has to say what holds."""
    return [
        {"feature": state["id"], "field": name, **sides}
        for state in states
        for name, sides in conflicts_of(state).items()
    ]


def conflicts_of(state: FeatureState | None) -> dict[str, JsonObject]:
    """Return the conflicts of one feature, by field."""
    return {} if state is None else state.get("conflicts", {})


def sync(ws: Workspace) -> JsonObject:
    """Bring the queue and the file in step; return what was done."""
    judged, found = _judge_suggestions(ws)
    planner = Planner(ws, found)
    plan = planner.whole(ws.store.reading())
    plan, created = _record(ws, planner, plan)
    written = _write(ws, planner, plan)
    return {
        "file": ws.roadmap.path,
        "created": [*created],
        "written": [*judged, *written],
        "changed": [*plan.changes()],
        "conflicts": [*conflicts(_states_after(ws.store.reading(), plan))],
        "problems": len(featureproblems.find(found)),
    }


def _states_after(read: ReadModel, plan: Plan) -> list[FeatureState]:
    """Return what is known of features now; only what was touched is asked for again."""
    if plan.renames:
        return read.features()
    touched = {merge.feature for merge in plan.merges if merge.facts}
    again = [state for state in map(read.feature, touched) if state is not None]
    return sorted([*(state for state in plan.states if state["id"] not in touched), *again], key=_id)


def _id(state: FeatureState) -> str:
    return state["id"]


def settle(ws: Workspace) -> JsonObject:
    """Carry over what changed for features that have tasks, and take in no new ones; return what was done."""
    found = ws.roadmap.read()
    if found is None:
        return {"created": [], "written": [], "changed": []}
    planner = Planner(ws, found)
    plan, created = _record(ws, planner, planner.settle(ws.store.reading()))
    return {"created": [*created], "written": [*_write(ws, planner, plan)], "changed": [*plan.changes()]}


def plan(ws: Workspace, feature_ids: list[str]) -> list[JsonObject]:
    """Return the tasks that features would become; nothing is recorded."""
    found = document(ws)
    planner = Planner(ws, found)
    if not feature_ids:
        pairs = planner.whole(ws.store.reading()).new
    else:
        chosen = [features.find(found, each)[1] for each in feature_ids]
        pairs = [(each, planner.drafts(each)) for each in chosen]
    return [{"feature": each, "tasks": [*drafts]} for each, drafts in pairs]


# Doing it here


def _record(ws: Workspace, planner: Planner, plan: Plan) -> tuple[Plan, list[Task]]:
    """Put on record what follows from the file; return what that was, and the tasks that came to be."""
    if plan.is_empty():
        return plan, []
    with ws.store.writing(ws.actor) as tx:
        plan = planner.again(tx.read, plan)
        created: list[str] = []
        facts = [*plan.facts, *_facts_of_new(ws, tx, planner, plan, created)]
        for merge in plan.merges:
            facts += [*merge.facts, *_facts_of_adopted(ws, tx, planner, merge, created)]
        tx.record(facts)
        follow(tx, [key for kind, key, _ in facts if kind in ("task.cancelled", "task.completed")])
        tasks = [tx.read.task(task_id) for task_id in created]
    # Only now is it on the disk.
    return plan, tasks


def _facts_of_new(ws: Workspace, tx: Transaction, planner: Planner, plan: Plan, created: list[str]) -> Iterator[Fact]:
    for feature, drafts in plan.new:
        ids = [ws.ids.task() for _ in drafts]
        yield from _births(ws, tx, drafts, ids)
        yield features.planned(feature, ids, planner.snapshot(feature))
        created += ids


def _births(ws: Workspace, tx: Transaction, drafts: list[JsonObject], ids: list[str]) -> Iterator[Fact]:
    for task_id, draft in zip(ids, drafts, strict=True):
        after = draft["after"]
        needs: list[Json] = [ids[place] for place in after if isinstance(place, int)] if isinstance(after, list) else []
        fields = {**{name: value for name, value in draft.items() if name != "after"}, "dependencies": needs}
        yield from decisions.create(task_id, fields, created_by=ws.actor, draft=is_draining(tx, fields))


def _facts_of_adopted(
    ws: Workspace, tx: Transaction, planner: Planner, merge: Merge, created: list[str]
) -> Iterator[Fact]:
    """Take in tasks that the file got for a feature that has tasks here already."""
    feature = planner.feature(merge.feature)
    if merge.adopt and feature is not None:
        drafts = breakdown.adopt(feature, merge.adopt)
        ids = [ws.ids.task() for _ in drafts]
        yield from _births(ws, tx, drafts, ids)
        yield "feature.planned", merge.feature, {"title": features.text(feature, "title"), "tasks": list(ids)}
        created += ids


# Writing to the file


def _judge_suggestions(ws: Workspace) -> tuple[list[JsonObject], JsonObject]:
    """Do with suggestions what the file's own workflow_config says; return what that was, and the file as it is then."""
    found, now = document(ws), to_iso(ws.clock.now_ms())
    read = ws.store.reading()
    if featurepolicy.counts_time(found) and not read.history(_ROADMAP):
        with ws.store.writing(ws.actor) as tx:
            tx.record([("feature.watched", _ROADMAP, {"file": ws.roadmap.path})])
    since = _since(ws, ws.store.reading())
    if not featurepolicy.decide(found, since, now)[0]:
        return [], found
    done: list[JsonObject] = []

    def decide(fresh: JsonObject) -> list[Edit]:
        edits, done[:] = featurepolicy.decide(fresh, since, now)
        return edits

    ws.roadmap.change(decide)
    with ws.store.writing(ws.actor) as tx:
        tx.record(
            [
                (f"feature.{each['to']}", str(each["feature"]), {"status": each["to"], "by": featurepolicy.BY})
                for each in done
            ]
        )
    return done, document(ws)


def _since(ws: Workspace, read: ReadModel) -> str:
    """Return when this workspace began to look after its roadmap."""
    seen = read.history(_ROADMAP)
    return seen[0]["at"] if seen else to_iso(ws.clock.now_ms())


def _statuses_to_write(plan: Plan, found: JsonObject) -> list[JsonObject]:
    present = features.by_id(found)
    return [
        {"feature": merge.feature, "from": features.text(present[merge.feature][1], "status"), "to": merge.write}
        for merge in plan.merges
        if merge.write is not None and merge.feature in present
    ]


def _write(ws: Workspace, planner: Planner, plan: Plan) -> list[JsonObject]:
    """Write back what became of features and of the file's own tasks; return feature, old and new status of each."""
    merges = [merge for merge in plan.merges if merge.write is not None or merge.write_tasks]
    if not merges:
        return []
    read, now = ws.store.reading(), to_iso(ws.clock.now_ms())
    written: list[JsonObject] = []

    def decide(fresh: JsonObject) -> list[Edit]:
        written.clear()
        places = features.by_id(fresh), features.by_id(fresh, "tasks")
        return [edit for merge in merges for edit in _edits(fresh, places, read, merge, now, written)]

    ws.roadmap.change(decide)
    _note_written(ws, planner, merges, written)
    return written


def _edits(
    fresh: JsonObject, places: tuple[Places, Places], read: ReadModel, merge: Merge, now: str, written: list[JsonObject]
) -> Iterator[Edit]:
    found, in_file = places[0].get(merge.feature), places[1]
    if found is None:
        return
    index, feature = found
    for own_id in merge.write_tasks:
        if own_id in in_file:
            yield from featureedits.complete_task(in_file[own_id][0], now)
    # Somebody may have decided otherwise since we looked.
    if merge.write is not None and features.may_write(features.status(feature), merge.write):
        written.append({"feature": merge.feature, "from": features.text(feature, "status"), "to": merge.write})
        by, note = evidence.of(read, merge.feature, merge.write)
        yield from featureedits.outcome(fresh, index, merge.write, by=by, note=note, now=now)


def _note_written(ws: Workspace, planner: Planner, merges: list[Merge], written: list[JsonObject]) -> None:
    facts: list[Fact] = []
    for merge in merges:
        feature = planner.feature(merge.feature)
        if merge.write_tasks and feature is not None:
            seen = with_tasks_done(planner.snapshot(feature), merge.write_tasks)
            facts.append(("feature.synced", merge.feature, {"fields": seen}))
    for each in written:
        data: JsonObject = {"status": each["to"], "from": each["from"], "file": ws.roadmap.path}
        facts.append(("feature.written", str(each["feature"]), data))
    if facts:
        with ws.store.writing(ws.actor) as tx:
            tx.record(facts)
