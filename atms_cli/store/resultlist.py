"""The statement behind `gate results`: it leads by an index of what is asked for most narrowly."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.ports import ResultFilter

#: Filters with their indexes, those that let through least first; that of statuses leaves out passes, which are most.
_INDEXES = (
    ("run", "gate_results_by_run"),
    ("task", "gate_results_by_task"),
    ("status", "gate_results_by_status"),
    ("gate", "gate_results_by_gate"),
)


def statement(wanted: ResultFilter) -> tuple[str, list[object]]:
    """Return the SQL text of a filter and its values."""
    given = {name: wanted[name] for name, _ in _INDEXES if wanted[name] is not None}  # type: ignore[literal-required]
    usable = (index for name, index in _INDEXES if name in given and (name, given[name]) != ("status", "passed"))
    index = next(usable, None)
    by = "" if index is None else f" INDEXED BY {index}"
    conditions = [f"{name} = ?" for name in given]
    if index == "gate_results_by_status":
        conditions.append("status <> 'passed'")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    # Names come from the table above, never from the user.
    return f"SELECT doc FROM gate_results{by}{where} ORDER BY event DESC LIMIT ?", [*given.values(), wanted["limit"]]  # noqa: S608
