"""Fields of a feature from options, a JSON object, or a person's editor."""

from __future__ import annotations

import json

from atms_cli.domain.featureedits import EDITABLE
from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject


def fields(call: Call, given: JsonObject, source: str | None, *, in_editor: JsonObject | None) -> JsonObject:
    """Return the fields: options go before those of a JSON object; `in_editor`, unless None, is what a person starts from."""
    found = _parsed(call.text(source if source == "-" else f"@{source}") or "", source) if source else {}
    found = {**found, **given}
    if in_editor is None:
        return found
    if call.no_input:
        raise UsageError("--edit needs a person, and --no-input says that there is none")
    from atms_cli.system.editor import edit

    shown = {**in_editor, **found}
    left = edit(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", call.environ, ".json")
    return _parsed(left, "what you left in the editor")


def present(feature: JsonObject) -> JsonObject:
    """Return the fields of a feature that may be edited."""
    return {name: feature[name] for name in EDITABLE if name in feature}


def _parsed(text: str, source: str) -> JsonObject:
    name = "standard input" if source == "-" else source
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AtmsError(f"{name} is not JSON: {error}", "nothing was changed") from error
    if not isinstance(value, dict):
        raise AtmsError(f"{name} is not a JSON object", 'write it like {"title": "…", "description": "…"}')
    unknown = [key for key in value if key not in EDITABLE]
    if unknown:
        raise UsageError(f"`{unknown[0]}` is not a field that can be given", f"those are: {', '.join(EDITABLE)}")
    return value
