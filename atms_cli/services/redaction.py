"""What must neither be shown nor kept of what commands print."""

from __future__ import annotations

from atms_cli.domain.redaction import Redactor
from atms_cli.domain.secrets import secret_values
from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Agent, Task
    from atms_cli.ports import Workspace


def redactor(
    ws: Workspace, task: Task | None = None, agent: Agent | None = None, more: Mapping[str, str] | None = None
) -> Redactor:
    """Return what masks secrets: those known by their form, and those that the environment of a command has."""
    environments: list[Mapping[str, str]] = [ws.environ, more or {}]
    if task is not None:
        environments.append(task["context"]["environment"])
    if agent is not None:
        environments.append(agent["env"])
    values = [value for environment in environments for value in secret_values(environment)]
    return Redactor(ws.config["redact"], values)


def mask(ws: Workspace, found: Redactor, run: str, names: Sequence[str]) -> bool:
    """Mask the secrets in files of a run that has ended; return whether that was possible."""
    try:
        for name in names:
            ws.run_files.mask(run, name, found)
    except AtmsError:
        # Whoever reads them masks what is read.
        return False
    return True
