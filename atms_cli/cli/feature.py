"""Features: the roadmap that people write and approve."""

from __future__ import annotations

from atms_cli.cli import featuretext
from atms_cli.cli.call import many
from atms_cli.errors import EXIT_REFUSED, UsageError
from atms_cli.services import features as service
from atms_cli.services import featuresync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Json, JsonObject


def _workspace(call: Call, path: str | None) -> OpenWorkspace:
    """Return the workspace, looking at another roadmap file if one is named."""
    workspace = call.workspace
    if path is not None:
        workspace.use_roadmap(path)
    return workspace


def list_(call: Call, status: o.FeatureStatuses = None, file: o.FeatureFile = None) -> None:
    """List the features of the roadmap file."""
    found = service.everything(_workspace(call, file), many(status))
    call.answer(found, _ids(found), lambda: featuretext.listing(call, found) if found else "")
    if not found:
        call.say("no features like that")


def _ids(found: Sequence[JsonObject]) -> list[str]:
    return [str(feature.get("id")) for feature in found]


def show(call: Call, feature_id: o.FeatureId, file: o.FeatureFile = None) -> None:
    """Show a feature and its tasks."""
    _one(call, service.show(_workspace(call, file), feature_id))


def _one(call: Call, feature: JsonObject) -> None:
    call.answer(feature, _ids([feature]), lambda: featuretext.card(call, feature))


def suggest(
    call: Call,
    title: o.SuggestedTitle = None,
    description: o.FeatureDescription = None,
    business_value: o.BusinessValue = None,
    category: o.FeatureCategory = None,
    priority: o.FeaturePriority = None,
    from_: o.FeatureFrom = None,
    edit: o.EditInEditor = False,
    file: o.FeatureFile = None,
) -> None:
    """Suggest a feature; a person approves it before anyone works on it."""
    from atms_cli.cli.featureinput import fields

    given = _given(title, call.text(description), call.text(business_value), category, priority)
    empty: JsonObject = {"title": "", "description": "", "business_value": "", "category": "enhancement"}
    _one(call, service.suggest(_workspace(call, file), fields(call, given, from_, in_editor=empty if edit else None)))


def _given(
    title: str | None, description: str | None, value: str | None, category: str | None, priority: str | None
) -> JsonObject:
    named = {
        "title": title, "description": description, "business_value": value, "category": category, "priority": priority,
    }  # fmt: skip
    return {name: each for name, each in named.items() if each is not None}


def approve(call: Call, feature_ids: o.FeatureIds, notes: o.ApprovalNotes = None, file: o.FeatureFile = None) -> None:
    """Approve suggestions, so that they become tasks; people only."""
    _decided(call, service.approve(_workspace(call, file), feature_ids, call.text(notes) or ""))


def reject(call: Call, feature_ids: o.FeatureIds, reason: o.Reason = None, file: o.FeatureFile = None) -> None:
    """Reject features, and end the work on them; people only."""
    _decided(call, service.reject(_workspace(call, file), feature_ids, call.text(reason) or "No reason provided"))


def implement(
    call: Call, feature_ids: o.FeatureIds, notes: o.ImplementationNotes = None, file: o.FeatureFile = None
) -> None:
    """Call features implemented, and give up what is left to do for them; people only."""
    _decided(call, service.implement(_workspace(call, file), feature_ids, call.text(notes) or ""))


def fail(call: Call, feature_ids: o.FeatureIds, reason: o.Reason = None, file: o.FeatureFile = None) -> None:
    """Call the implementation of features failed, and give up what is left to do for them; people only."""
    _decided(call, service.fail(_workspace(call, file), feature_ids, call.text(reason) or "No reason provided"))


def reopen(call: Call, feature_ids: o.FeatureIds, notes: o.ApprovalNotes = None, file: o.FeatureFile = None) -> None:
    """Bring back rejected features as suggestions, others as approved with their tasks; people only."""
    _decided(call, service.reopen(_workspace(call, file), feature_ids, call.text(notes) or ""))


def _decided(call: Call, found: Sequence[JsonObject]) -> None:
    document: object = found[0] if len(found) == 1 else found
    call.answer(document, _ids(found), lambda: featuretext.listing(call, found))


def edit(
    call: Call,
    feature_id: o.FeatureId,
    title: o.FeatureTitle = None,
    description: o.FeatureDescription = None,
    business_value: o.BusinessValue = None,
    category: o.FeatureCategory = None,
    priority: o.FeaturePriority = None,
    from_: o.FeatureFrom = None,
    edit: o.EditInEditor = False,
    file: o.FeatureFile = None,
) -> None:
    """Give a feature other words; its open tasks follow."""
    from atms_cli.cli.featureinput import fields, present

    workspace = _workspace(call, file)
    given = _given(title, call.text(description), call.text(business_value), category, priority)
    before = present(service.show(workspace, feature_id)) if edit else None
    changes = fields(call, given, from_, in_editor=before)
    if not changes:
        raise UsageError("nothing to change", "say what: --title, -d, --business-value, -c, -p, --from or --edit")
    _one(call, service.edit(workspace, feature_id, changes))


def plan(call: Call, feature_ids: o.SomeFeatureIds = None, file: o.FeatureFile = None) -> None:
    """Show the tasks that approved features would become; nothing is changed."""
    plans = featuresync.plan(_workspace(call, file), many(feature_ids))
    ids = [str(each["feature"].get("id")) for each in plans if isinstance(each["feature"], dict)]
    call.answer(plans, ids, lambda: featuretext.planned(call, plans))
    if not plans:
        call.say("every approved feature has its tasks already")


def sync(call: Call, check: o.Check = False, file: o.FeatureFile = None) -> int:
    """Make tasks of approved features, and let each side's changes reach the other."""
    if check:
        return diff(call, file=file)
    report = featuresync.sync(_workspace(call, file))
    _synced(call, report, "in step already")
    return 0


def _synced(call: Call, report: JsonObject, otherwise: str) -> None:
    created = report["created"]
    ids = [str(task["id"]) for task in created if isinstance(task, dict)] if isinstance(created, list) else []
    call.answer(report, ids, lambda: featuretext.synced(call, report) or otherwise)
    for name, words in (("conflicts", "waiting for a person"), ("problems", "odd in the file")):
        number = _number(report[name])
        if number:
            call.say(f"{number} {words}; see: atms feature diff")


def _number(value: Json) -> int:
    return len(value) if isinstance(value, list) else int(str(value))


def diff(call: Call, file: o.FeatureFile = None) -> int:
    """Show what `sync` would do and what waits for a person; exit with 1 if there is something."""
    found = featuresync.diff(_workspace(call, file))
    open_ends = [each for name in ("new", "write", "change", "conflicts") for each in _list(found[name])]
    ids = list(dict.fromkeys(str(each["feature"]) for each in open_ends))
    call.answer(found, ids, lambda: featuretext.differences(call, found))
    return EXIT_REFUSED if open_ends else 0


def _list(value: Json) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def resolve(call: Call, feature_id: o.FeatureId, take: o.Take, file: o.FeatureFile = None) -> None:
    """Settle a conflict between the file and the queue; people only."""
    if take not in ("file", "queue"):
        raise UsageError(f"`{take}` is not a side", "choose one of: file, queue")
    _one(call, service.resolve(_workspace(call, file), feature_id, take))


def stats(call: Call, file: o.FeatureFile = None) -> None:
    """Count the features by status and category."""
    found = service.stats(_workspace(call, file))
    call.answer(found, [str(found["total"])], lambda: featuretext.counted(call, found))


def watch(call: Call, file: o.FeatureFile = None) -> None:
    """Keep file and queue in step whenever one of them changes, until interrupted."""
    from atms_cli.cli.progress import view
    from atms_cli.loop.roadmap import watch as keep_in_step

    workspace = _workspace(call, file)
    call.say(f"keeping {workspace.roadmap.path} and the queue in step; Ctrl-C ends it")
    with view(call, "json" if call.json else "plain") as report:
        keep_in_step(workspace, report)
