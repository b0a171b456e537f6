"""Who is there: each agent that shows itself is noted."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.ports import Transaction


def hear_of(tx: Transaction, name: str) -> None:
    """Note that an agent is alive; that one has come back is put on record."""
    tx.beat(name)
    if name in tx.read.switches("offline"):
        tx.record([("agent.recovered", name, {})])
