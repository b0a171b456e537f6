"""Who acts: people decide what is worked on and what counts as done; agents do the work."""

from __future__ import annotations

from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.ports import Workspace

#: What agents have in their environment: from atms (an attempt, a lease), or from coding agents for the commands they run.
AGENT_MARKS = (
    "ATMS_AGENT", "ATMS_RUN_ID", "ATMS_LEASE", "CLAUDECODE", "GEMINI_CLI", "CODEX_SANDBOX", "CODEX_SANDBOX_NETWORK_DISABLED",
)  # fmt: skip


def people_only(ws: Workspace, what: str, why: str) -> None:
    """Refuse an agent, known by what it has in its environment, what only people may do."""
    if ws.agent is not None:
        raise AtmsError(f"agents cannot {what}", why)
    for name in AGENT_MARKS:
        if ws.environ.get(name):
            raise AtmsError(f"agents cannot {what}", f"{why}; {name} is set, so this seems to be an agent's shell")


def note_settings(ws: Workspace, what: str) -> None:
    """Put a change of atms.yaml on record, with who made it."""
    with ws.store.writing(ws.actor) as tx:
        tx.record([("settings.changed", "atms.yaml", {"reason": what})])
