"""The result of a gate in one line."""

from __future__ import annotations

from atms_cli.cli.lines import one_line
from atms_cli.domain.moment import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import GateResult

#: Mark and style of each status.
MARKS = {
    "passed": ("✓", "green"), "failed": ("✗", "red"), "timeout": ("✗", "red"), "error": ("✗", "red"), "skipped": ("–", "dim"),
    "waiting": ("◑", "yellow"),
}  # fmt: skip


def line(call: Call, result: GateResult) -> str:
    """Return a result in one line."""
    mark, style = MARKS[result["status"]]
    took = describe_duration(result["duration_s"]) if result.get("attempts", 1) else ""
    reason = f"skipped: {result['reason']}" if result["status"] == "skipped" else result["reason"] or ""
    notes = [reason, _how(result), "" if result["required"] else "(advisory)"]
    parts = [f"{call.style(mark, style)} {result['name']}", call.style(took, "dim"), *map(one_line, notes)]
    return "  ".join(part for part in parts if part)


def _how(result: GateResult) -> str:
    """Say how a gate came by its result, if that is not plain."""
    earlier = result.get("cached_from")
    if earlier:
        return f"cached: passed at {earlier['at']} in {earlier['run']}"
    attempts = result.get("attempts", 1)
    if result.get("flaky"):
        return f"flaky: passed at attempt {attempts}"
    return f"{attempts} attempts" if attempts > 1 else ""
