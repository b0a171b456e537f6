"""Running one command to its end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import Workspace


def to_its_end(ws: Workspace, launch: JsonObject) -> JsonObject:
    """Run a command and return what it came to."""
    outcomes: list[JsonObject] = []

    def ended(outcome: JsonObject) -> list[JsonObject]:
        outcomes.append(outcome)
        return []

    ws.runner.run([launch], ended)
    return outcomes[0]
