"""What other installed packages bring, by the entry points that they declare."""

from __future__ import annotations

from importlib.metadata import entry_points

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Each names a kind of agent, and is a mapping with the fields of domain/driver.py.
_DRIVERS = "atms.drivers"


def driver(kind: str) -> Mapping[str, object] | None:
    """Return the driver that a package declares for a kind of agent, or None."""
    for entry in entry_points(group=_DRIVERS, name=kind):
        try:
            found = entry.load()
        except Exception as error:
            raise UsageError(f"the driver `{kind}` of {entry.value} does not load: {error}") from error
        return found if isinstance(found, dict) else {}
    return None
