"""Which lines of which files a change has added, from what `git diff` prints."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_HUNK = re.compile(r"@@ -\d{1,9}(?:,\d{1,9})? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_NEW_FILE = "+++ "
_NOWHERE = "/dev/null"
_ESCAPES = re.compile(rb'\\([abfnrtv"\\]|[0-7]{3})')
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def added_lines(diff: str) -> Mapping[str, list[range]]:
    """Return the added and changed lines by path; the diff has no context (`--unified=0`) and no prefixes (`--no-prefix`)."""
    found: dict[str, list[range]] = {}
    hunks: list[range] = []
    left = 0
    for line in diff.split("\n"):
        if left and line[:1] in ("+", "-", "\\"):
            # A line of a hunk, which may well begin with `+++ `.
            left -= line[:1] != "\\"
        elif line.startswith(_NEW_FILE):
            path = _unquoted(line.removeprefix(_NEW_FILE).rstrip("\t"))
            hunks = [] if path == _NOWHERE else found.setdefault(path, [])
        elif hunk := _HUNK.match(line):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            hunks.append(range(first, first + count))
            left = count + _removed(line)
    return {path: ranges for path, ranges in found.items() if ranges}


def _removed(header: str) -> int:
    _, _, count = header.split(" ", 2)[1].partition(",")
    return int(count or 1)


def _unquoted(path: str) -> str:
    """Return a path that git may have put in quotes, as C would."""
    if not (path.startswith('"') and path.endswith('"') and len(path) > 1):
        return path

    def plain(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        return bytes([int(escape, 8) & 0xFF]) if len(escape) > 1 else _LETTERS.get(escape, escape)

    return _ESCAPES.sub(plain, path[1:-1].encode()).decode(errors="surrogateescape")
