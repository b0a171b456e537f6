"""Files with conflicts: whether somebody has done something about them."""

from __future__ import annotations

from hashlib import sha256

_BEGINS, _ENDS = b"<<<<<<< ", b">>>>>>> "
_GONE = "gone"


def content(path: str) -> bytes | None:
    """Return what a file holds, None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def state_of(path: str) -> str:
    """Return what tells whether a file has been touched since."""
    present = content(path)
    return _GONE if present is None else sha256(present).hexdigest()


def has_markers(path: str) -> bool:
    """Return whether a file has both ends of a conflict; a line of `=` alone is a heading as well."""
    lines = (content(path) or b"").split(b"\n")
    return any(line.startswith(_BEGINS) for line in lines) and any(line.startswith(_ENDS) for line in lines)
