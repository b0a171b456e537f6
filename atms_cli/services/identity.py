"""Who acts: people decide what is worked on and what counts as done; agents do the work."""

from __future__ import annotations

from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.ports import Workspace


def people_only(ws: Workspace, what: str, why: str) -> None:
    """Refuse an agent, known by ATMS_AGENT in its environment, what only people may do."""
    if ws.agent is not None:
        raise AtmsError(f"agents cannot {what}", why)


def note_settings(ws: Workspace, what: str) -> None:
    """Put a change of atms.yaml on record, with who made it."""
    with ws.store.writing(ws.actor) as tx:
        tx.record([("settings.changed", "atms.yaml", {"reason": what})])
