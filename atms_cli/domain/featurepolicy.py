"""What a roadmap's own `workflow_config` decides about suggestions: approved without being asked for, or rejected in the end."""

from __future__ import annotations

from atms_cli.domain import featureedits
from atms_cli.domain.feature import numbered, status, text
from atms_cli.domain.moment import to_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Edit, JsonObject

#: Who decides, in the file's own records.
BY = "workflow_config"
_HOUR_MS = 3_600_000


def decide(document: JsonObject, since: str, now: str) -> tuple[list[Edit], list[JsonObject]]:
    """Return the edits for suggestions that need nobody's word, or have waited too long for it, and what they do.

    The time to approve begins when a feature was suggested, but not before `since`, when atms first looked after the file.
    """
    config = document.get("workflow_config")
    if not isinstance(config, dict):
        return [], []
    edits: list[Edit] = []
    done: list[JsonObject] = []
    for index, feature in numbered(document):
        new = _judgement(config, feature, since, now)
        if new is None or not text(feature, "id"):
            continue
        if new == "approved":
            edits += featureedits.approve(document, index, by=BY, notes="require_approval is false", now=now)
        else:
            why = f"not approved within {config['auto_reject_timeout_hours']} hours"
            edits += featureedits.reject(document, index, by=BY, reason=why, now=now)
        done.append({"feature": text(feature, "id"), "from": "suggested", "to": new})
    return edits, done


def counts_time(document: JsonObject) -> bool:
    """Return whether suggestions are waiting for which there is a time to approve them."""
    config = document.get("workflow_config")
    return (
        isinstance(config, dict)
        and bool(config.get("auto_reject_timeout_hours"))
        and any(feature.get("status") == "suggested" for _, feature in numbered(document))
    )


def _judgement(config: JsonObject, feature: JsonObject, since: str, now: str) -> str | None:
    if status(feature) != "suggested":
        return None
    if config.get("require_approval") is False:
        return "approved"
    hours = config.get("auto_reject_timeout_hours")
    if isinstance(hours, bool) or not isinstance(hours, int | float) or hours <= 0:
        return None
    born = text(feature, "created_at") or text(feature, "suggested_at")
    try:
        began = max(to_ms(born), to_ms(since))
        return "rejected" if to_ms(now) - began >= hours * _HOUR_MS else None
    except ValueError:
        return None  # not a time that anyone could count from
