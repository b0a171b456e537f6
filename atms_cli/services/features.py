"""What people do with the features of the roadmap: suggest, judge, edit, and say what became of them."""

from __future__ import annotations

from atms_cli.domain import breakdown, decisions, featureedits
from atms_cli.domain import feature as features
from atms_cli.domain.filetasks import DONE, PRIORITY
from atms_cli.domain.moment import to_iso
from atms_cli.errors import AtmsError, NotFoundError
from atms_cli.services import evidence, featuresync
from atms_cli.services.featuresync import document
from atms_cli.services.identity import people_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import Edit, Fact, FeatureState, JsonObject
    from atms_cli.ports import ReadModel, Workspace

    Decision = Callable[[JsonObject, int, str], list[Edit]]

_WHY = "a person decides what is worked on"


def everything(ws: Workspace, statuses: Sequence[str]) -> list[JsonObject]:
    """Return the features of the file with the tasks that atms has for each."""
    read = ws.store.reading()
    chosen = [feature for feature in features.listed(document(ws)) if not statuses or feature.get("status") in statuses]
    return [_with_tasks(read, feature) for feature in chosen]


def show(ws: Workspace, feature_id: str) -> JsonObject:
    """Return one feature with its tasks."""
    return _with_tasks(ws.store.reading(), features.find(document(ws), feature_id)[1])


def _with_tasks(read: ReadModel, feature: JsonObject) -> JsonObject:
    state = read.feature(features.text(feature, "id"))
    own = [read.task(task_id) for task_id in (state["tasks"] if state else [])]
    listed = [{"id": task["id"], "title": task["title"], "status": task["status"]} for task in own]
    waiting = [{"field": name, **sides} for name, sides in featuresync.conflicts_of(state).items()]
    return {**feature, "atms_tasks": listed, **({"atms_conflicts": [*waiting]} if waiting else {})}


def stats(ws: Workspace) -> JsonObject:
    """Count the features by status and category, and what atms has of them."""
    found, read = document(ws), ws.store.reading()
    counts: dict[str, dict[str, int]] = {"by_status": {}, "by_category": {}}
    for feature in features.listed(found):
        for name, key in (("by_status", "status"), ("by_category", "category")):
            value = features.text(feature, key) or "none"
            counts[name][value] = counts[name].get(value, 0) + 1
    states = [state for state in read.features() if state["tasks"]]
    return {
        "total": len(features.listed(found)), **counts, "with_tasks": len(states),
        "tasks": sum(len(state["tasks"]) for state in states), "conflicts": len(featuresync.conflicts(states)),
    }  # fmt: skip


def suggest(ws: Workspace, fields: JsonObject) -> JsonObject:
    """Add a suggestion to the file, which is made if there is none."""
    featureedits.check_suggestion(fields)
    now_ms = ws.clock.now_ms()
    feature_id, now = f"feature_{now_ms}_{ws.ids.token()}", to_iso(now_ms)
    if ws.roadmap.read() is None:
        ws.roadmap.create(features.skeleton(ws.root.rstrip("/").rpartition("/")[2], now))
    ws.roadmap.change(lambda found: featureedits.suggest(found, fields, feature_id=feature_id, by=ws.actor, now=now))
    _note(ws, [("feature.suggested", feature_id, {"title": fields["title"], "status": "suggested"})])
    return show(ws, feature_id)


def approve(ws: Workspace, feature_ids: Sequence[str], notes: str, by: str | None = None) -> list[JsonObject]:
    """Approve suggestions, all of them or none, in the name of whoever runs this unless another is named."""
    people_only(ws, "approve features", _WHY)

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        return featureedits.approve(found, index, by=by or ws.actor, notes=notes, now=now)

    return _decide_on_each(ws, feature_ids, edits, "feature.approved", {"by": by or ws.actor, "notes": notes})


def reject(ws: Workspace, feature_ids: Sequence[str], reason: str, by: str | None = None) -> list[JsonObject]:
    """Reject features, all of them or none, likewise; work on them ends."""
    people_only(ws, "reject features", _WHY)

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        return featureedits.reject(found, index, by=by or ws.actor, reason=reason, now=now)

    return _decide_on_each(ws, feature_ids, edits, "feature.rejected", {"by": by or ws.actor, "reason": reason})


def implement(ws: Workspace, feature_ids: Sequence[str], notes: str) -> list[JsonObject]:
    """Say that features are implemented, by hand or well enough; what is left to do for them is given up."""
    people_only(ws, "call features implemented", "they are when their tasks have passed their gates")
    read = ws.store.reading()

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        own = features.text(features.listed_at(found, index), "id")
        note = notes or evidence.of(read, own, "implemented")[1]
        return featureedits.implement(found, index, by=ws.actor, note=note, now=now)

    return _decide_on_each(ws, feature_ids, edits, "feature.implemented", {"by": ws.actor, "notes": notes})


def fail(ws: Workspace, feature_ids: Sequence[str], reason: str) -> list[JsonObject]:
    """Say that the implementation of features has failed; what is left to do for them is given up."""
    people_only(ws, "call features failed", "atms does when their tasks have failed")

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        return featureedits.fail(found, index, reason=reason, now=now)

    return _decide_on_each(ws, feature_ids, edits, "feature.failed", {"by": ws.actor, "reason": reason})


def reopen(ws: Workspace, feature_ids: Sequence[str], notes: str) -> list[JsonObject]:
    """Bring features back: rejected ones as suggestions, others as approved, with their tasks back in the queue."""
    people_only(ws, "reopen features", _WHY)

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        return featureedits.reopen(found, index, by=ws.actor, notes=notes, now=now)

    return _decide_on_each(ws, feature_ids, edits, "feature.reopened", {"by": ws.actor, "notes": notes})


def edit(ws: Workspace, feature_id: str, fields: JsonObject) -> JsonObject:
    """Give a feature other words; its open tasks follow."""
    if features.status(show(ws, feature_id)) != "suggested":
        people_only(ws, "edit features that are more than suggestions", _WHY)

    def edits(found: JsonObject, index: int, now: str) -> list[Edit]:
        return featureedits.change(found, index, fields, now)

    return _decide_on_each(ws, [feature_id], edits, "feature.edited", {"fields": [*fields]})[0]


def _decide_on_each(
    ws: Workspace, feature_ids: Sequence[str], edits: Decision, kind: str, data: JsonObject
) -> list[JsonObject]:
    now = to_iso(ws.clock.now_ms())
    document(ws)
    decided: list[str] = []

    def decide(found: JsonObject) -> list[Edit]:
        chosen = dict(features.find(found, feature_id) for feature_id in feature_ids)
        decided[:] = [features.text(feature, "id") for feature in chosen.values()]
        return [each for index in chosen for each in edits(found, index, now)]

    if ws.roadmap.change(decide):
        after = features.by_id(document(ws))
        statuses = {own: features.text(after[own][1], "status") for own in decided if own in after}
        _note(ws, [(kind, own, {"status": status, **data}) for own, status in statuses.items()])
    read = ws.store.reading()
    if any(state is not None and state["tasks"] for state in map(read.feature, decided)):
        featuresync.settle(ws)
    return [show(ws, own) for own in decided]


def _note(ws: Workspace, facts: Sequence[Fact]) -> None:
    with ws.store.writing(ws.actor) as tx:
        tx.record(facts)


def resolve(ws: Workspace, feature_id: str, take: str) -> JsonObject:
    """Settle the conflicts of a feature: as the file has it, or as the queue has it."""
    people_only(ws, "settle conflicts", _WHY)
    found = document(ws)
    _, feature = features.find(found, feature_id)
    own_id = features.text(feature, "id")
    state = ws.store.reading().feature(own_id)
    waiting = featuresync.conflicts_of(state)
    if state is None or not waiting:
        raise NotFoundError(f"`{own_id}` has no conflict", "see them all: atms feature diff")
    facts: list[Fact] = []
    for name, sides in waiting.items():
        if take == "queue" and name == "status":
            _insist(ws, own_id, str(sides["ours"]))
            facts.append(
                ("feature.written", own_id, {"status": sides["ours"], "from": sides["theirs"], "file": ws.roadmap.path})
            )
        facts.append(("feature.resolved", own_id, {"field": name, "take": take}))
    with ws.store.writing(ws.actor) as tx:
        if take == "file":
            facts = [*_as_the_file_has_it(tx.read, state, feature, waiting), *facts]
        tx.record(facts)
    return show(ws, own_id)


def _insist(ws: Workspace, own_id: str, status: str) -> None:
    """Write what the queue came to over what the file says."""
    read, now = ws.store.reading(), to_iso(ws.clock.now_ms())

    def decide(found: JsonObject) -> list[Edit]:
        index, _ = features.find(found, own_id)
        by, note = evidence.of(read, own_id, status)
        return featureedits.outcome(found, index, status, by=by, note=note, now=now)

    ws.roadmap.change(decide)


def _as_the_file_has_it(
    read: ReadModel, state: FeatureState, feature: JsonObject, waiting: dict[str, JsonObject]
) -> list[Fact]:
    """Return what follows for tasks when the file is right."""
    derived = breakdown.possible(feature)
    own = [read.task(task_id) for task_id in state["tasks"]]
    facts: list[Fact] = []
    for name in ("category", "priority"):
        if name in waiting:
            pairs = zip(own, derived, strict=False)
            facts += [fact for task, draft in pairs for fact in decisions.update(task, {name: draft[name]})]
    by_their_ids = {str(task["metadata"]["properties"].get("external_id")): task for task in own}
    for name, sides in waiting.items():
        task = by_their_ids.get(name.partition(".")[2])
        if task is not None and name.startswith(PRIORITY):
            facts += decisions.update(task, {"priority": sides["theirs"]})
        elif task is not None and name.startswith(DONE):
            words = f"`{task['id']}` is completed in the file, but has not passed its gates"
            raise AtmsError(words, f"run them: atms task done {task['id']}")
    return facts
