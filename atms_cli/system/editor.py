"""A person's own editor, in the terminal they are at."""

from __future__ import annotations

import os
import tempfile

from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def edit(text: str, environ: Mapping[str, str], suffix: str) -> str:
    """Return a text as it was left in the editor."""
    command = environ.get("VISUAL") or environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=suffix) as file:
        file.write(text)
        file.flush()
        # An editor is a command line, like `code --wait`, and has the terminal to itself until it ends.
        words = ["sh", "-c", f'{command} "$1"', "sh", file.name]
        code = os.spawnve(os.P_WAIT, "/bin/sh", words, dict(environ))  # noqa: S606  nothing of ours to keep track of
        if code != 0:
            raise AtmsError(f"the editor `{command}` ended with exit code {code}", "name another one in $EDITOR")
        # Read anew: an editor may have put another file in its place.
        with open(file.name, encoding="utf-8") as edited:
            return edited.read()
