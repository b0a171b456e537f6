"""The file by which the original's stop hook is told, once, to let an agent's session end."""

from __future__ import annotations

import os

from atms_cli.errors import AtmsError
from atms_cli.store.aside import Aside, sync_directory
from atms_cli.store.jsonedit import serialize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject

FLAG = ".stop-allowed"


def write(root: str, document: JsonObject) -> None:
    """Write the flag whole, in the place of one that is there; a link there is replaced, not followed."""
    path = os.path.join(root, FLAG)
    try:
        with Aside(path, serialize(document).encode()) as aside:
            os.replace(aside, path)
        sync_directory(path)
    except OSError as error:
        raise AtmsError(f"cannot write `{path}`: {error.strerror}", "check permissions and free space") from error
