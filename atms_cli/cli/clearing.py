"""Fields of a task that can be forgotten again, by the names of the options that give them."""

from __future__ import annotations

from atms_cli.domain.task import DEFAULTS, NESTED_DEFAULTS
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Json, JsonObject

_FIELDS = {
    "agent": "agent", "cap": "required_capabilities", "command": "command", "deadline": "deadline", "description": "description",
    "effort": "estimated_effort", "exclusive": "exclusive", "feature": "feature_id", "isolation": "isolation", "lane": "lane",
    "needs": "resources", "not-before": "not_before", "parent": "parent_id", "prompt": "prompt", "retries": "max_attempts",
    "tag": "tags", "timeout": "timeout", "value": "business_value",
}  # fmt: skip
_PARTS = {
    "criterion": ("validation_criteria", "success_criteria"),
    "cwd": ("context", "working_directory"),
    "env": ("context", "environment"),
    "input": ("context", "inputs"),
    "output": ("context", "outputs"),
    "limit": ("context", "constraints"),
    "gate": ("validation_criteria", "gates"),
    "check": ("validation_criteria", "commands"),
}


def cleared(names: Sequence[str], given: Mapping[str, Json]) -> JsonObject:
    """Return the changes that put fields back to what a new task has, with the parts given beside them.

    Raises:
        UsageError: no option has the name, or it is given a value as well.

    """
    changes: JsonObject = {}
    for name in names:
        field, part = _PARTS.get(name, (_FIELDS.get(name), None))
        if field is None:
            raise UsageError(f"`{name}` cannot be cleared", f"choose from: {', '.join(sorted([*_FIELDS, *_PARTS]))}")
        present = given.get(field)
        if field in given if part is None else isinstance(present, dict) and part in present:
            raise UsageError(f"--{name} and --clear {name} do not go together", "give one of them")
        if part is None:
            changes[field] = DEFAULTS[field]
        else:
            beside = changes.get(field, present)
            changes[field] = {**(beside if isinstance(beside, dict) else {}), part: NESTED_DEFAULTS[field][part]}
    return changes
