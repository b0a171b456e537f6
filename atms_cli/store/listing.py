"""The statement behind `task list`: every filter leads by an index."""

from __future__ import annotations

from atms_cli.domain.task import PRIORITIES, level

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.ports import TaskFilter

_OLDEST_OPEN_FIRST = "tasks.closed, tasks.born"
_SORTS = {
    "created": _OLDEST_OPEN_FIRST,
    "updated": "updated",
    "priority": f"own, {_OLDEST_OPEN_FIRST}",
    "status": f"status, {_OLDEST_OPEN_FIRST}",
    "title": "title, tasks.born",
    "deadline": "deadline IS NULL, deadline, tasks.born",
}
SORTS = tuple(_SORTS)
_NO_LIMIT = -1


def statement(wanted: TaskFilter) -> tuple[str, list[object]]:
    """Return the SQL text of a filter and its values."""
    conditions, values = _conditions(wanted)
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    order, source = _SORTS[wanted["sort"]], "tasks"
    if wanted["tags"]:
        # Walked along by the first tag, in the order in which tasks are listed.
        source = "tags g INDEXED BY tags_by_tag CROSS JOIN tasks ON tasks.id = g.task"
        order = order.replace(_OLDEST_OPEN_FIRST, "g.closed, g.born")
    if wanted["reverse"]:
        order = ", ".join(f"{term} DESC" for term in order.split(", "))
    limit = _NO_LIMIT if wanted["limit"] is None else wanted["limit"]
    # Names and order come from the tables above, never from the user.
    text = f"SELECT doc, blockers FROM {source}{where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
    return text, [*values, limit, wanted["offset"]]


def _conditions(wanted: TaskFilter) -> tuple[list[str], list[object]]:
    parts: list[tuple[str, list[object]]] = []
    columns = (
        ("status", wanted["statuses"]),
        ("own", [level(priority) for priority in wanted["priorities"] if priority in PRIORITIES]),
        ("category", wanted["categories"]),
        ("feature", wanted["features"]),
        ("agent", wanted["agents"]),
        ("bucket", wanted["buckets"]),
        ("lane", wanted["lanes"]),
    )
    for column, choices in columns:
        if choices:
            parts.append((f"{column} IN ({', '.join('?' * len(choices))})", list(choices)))
    if wanted["lanes"] and "default" not in wanted["lanes"]:
        # The index has named lanes only.
        parts.append(("lane <> 'default'", []))
    if not wanted["statuses"]:
        parts.append(("status <> 'archived'", []))
    # Each tag must be there.
    parts.extend(("g.tag = ?", [tag]) for tag in wanted["tags"][:1])
    parts.extend(("id IN (SELECT task FROM tags WHERE tag = ?)", [tag]) for tag in wanted["tags"][1:])
    if wanted["due_before"] is not None:
        parts.append(("deadline < ? AND tasks.closed = 0", [wanted["due_before"]]))
    if wanted["search"]:
        pattern = "%" + wanted["search"].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        described = "json_extract(doc, '$.description') LIKE ? ESCAPE '\\'"
        parts.append((f"(title LIKE ? ESCAPE '\\' OR {described})", [pattern, pattern]))
    return [text for text, _ in parts], [value for _, values in parts for value in values]
