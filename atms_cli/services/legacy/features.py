"""The original's commands about features."""

from __future__ import annotations

from atms_cli.domain import feature as features
from atms_cli.domain import legacy
from atms_cli.domain.legacysessions import entry
from atms_cli.errors import AtmsError, UsageError
from atms_cli.services import agents
from atms_cli.services import features as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Json, JsonObject
    from atms_cli.ports import Workspace


def suggest(ws: Workspace, fields: JsonObject) -> JsonObject:
    """Add a suggestion."""
    legacy.check(fields, legacy.SUGGESTION)
    return _told(service.suggest(ws, fields), "suggested")


def approve(ws: Workspace, feature_id: str, decision: JsonObject | None = None) -> JsonObject:
    """Approve a suggestion."""
    given = legacy.check(decision or {}, legacy.APPROVAL)
    by = _person(ws, given.get("approved_by"), "approve")
    (feature,) = service.approve(ws, [feature_id], features.text(given, "notes"), by)
    return _told(feature, "approved")


def approve_all(ws: Workspace, feature_ids: Sequence[object], decision: JsonObject | None = None) -> JsonObject:
    """Approve suggestions one by one, and tell of each that could not be."""
    approved: list[Json] = []
    errors: list[Json] = []
    for feature_id in feature_ids:
        try:
            feature = _approved(ws, feature_id, decision)
        except AtmsError as error:
            errors.append({"feature_id": feature_id, "error": error.message, "hint": error.hint, "success": False})
        else:
            title, status = feature.get("title"), feature.get("status")
            approved.append({"feature_id": feature.get("id"), "title": title, "status": status, "success": True})
    return {
        "success": not errors,
        "approved_count": len(approved),
        "error_count": len(errors),
        "approved_features": approved,
        "errors": errors,
        "message": f"{len(approved)} approved, {len(errors)} not",
        **({"error": f"{len(errors)} of {len(feature_ids)} features were not approved"} if errors else {}),
    }


def _approved(ws: Workspace, feature_id: object, decision: JsonObject | None) -> JsonObject:
    if not isinstance(feature_id, str) or not feature_id:
        raise UsageError("a feature's id is text", "see them all: atms api list-features")
    feature = approve(ws, feature_id, decision)["feature"]
    return dict(feature) if isinstance(feature, dict) else {}


def reject(ws: Workspace, feature_id: str, decision: JsonObject | None = None) -> JsonObject:
    """Reject a feature."""
    given = legacy.check(decision or {}, legacy.REJECTION)
    by = _person(ws, given.get("rejected_by"), "reject")
    (feature,) = service.reject(ws, [feature_id], features.text(given, "reason") or "No reason provided", by)
    return _told(feature, "rejected")


def _person(ws: Workspace, name: Json, verb: str) -> str | None:
    """Return in whose name a person decides, who may be at another desk; an agent that is known here decides nothing."""
    if not isinstance(name, str) or not name.strip():
        return None
    if name in agents.known(ws, ws.store.reading()) or entry(ws.roadmap.read() or {}, name) is not None:
        raise AtmsError(
            f"agents cannot {verb} features, and `{name}` is an agent",
            f"a person decides what is worked on: atms feature {verb} ID",
        )
    return name


def _told(feature: JsonObject, verb: str) -> JsonObject:
    return {"success": True, "feature": legacy.feature(feature), "message": f"`{feature.get('id')}` is {verb}"}


def list_all(ws: Workspace, wanted: JsonObject | None = None) -> JsonObject:
    """List the features of the file, of a status and a category if asked for."""
    chosen = legacy.check(wanted or {}, legacy.FEATURE_FILTER)
    found = ws.roadmap.read() or {}
    listed = [
        feature
        for feature in features.listed(found)
        if all(feature.get(name) == value for name, value in chosen.items())
    ]
    return {"success": True, "features": listed, "total": len(listed), "metadata": found.get("metadata") or {}}


def stats(ws: Workspace) -> JsonObject:
    """Count the features, and show the last decisions."""
    found = ws.roadmap.read() or {}
    return {"success": True, "stats": legacy.feature_stats(found), "metadata": found.get("metadata") or {}}
