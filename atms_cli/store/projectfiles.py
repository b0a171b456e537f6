"""The files by which a project sets up its tools, as text."""

from __future__ import annotations

from os.path import join

from atms_cli.domain.detection import NAMES

#: Longer ones are lock files, of which only the name matters.
_MOST_CHARACTERS = 1_000_000


def read(root: str) -> dict[str, str]:
    """Return what those files of a directory hold that are there, by name; what cannot be read is empty."""
    found: dict[str, str] = {}
    for name in NAMES:
        try:
            with open(join(root, name), encoding="utf-8", errors="replace") as file:
                found[name] = file.read(_MOST_CHARACTERS)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            found[name] = ""
    return found
