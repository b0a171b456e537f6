"""Which paths a list of globs means."""

from __future__ import annotations

import re

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PIECES = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|\{|\}|,|.", re.DOTALL)
_FIXED = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matcher(globs: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells whether a path, from the root and with `/`, is meant; the last glob that matches decides.

    `*` stays within a directory, `**` does not, `{a,b}` is either. A glob without `/` means that name in any directory, one
    that ends with `/` all below. `!` in front takes away what was meant before; where only such stand, all others are meant.

    Raises:
        UsageError: a glob is none.

    """
    rules = [(not glob.startswith("!"), _compiled(glob.removeprefix("!"))) for glob in globs]
    is_meant_at_first = bool(rules) and not any(adds for adds, _ in rules)

    def is_meant(path: str) -> bool:
        meant = is_meant_at_first
        for adds, pattern in rules:
            if adds != meant and pattern.fullmatch(path):
                meant = adds
        return meant

    return is_meant


def _compiled(glob: str) -> re.Pattern[str]:
    if not glob.strip("/"):
        raise UsageError(f"`{glob}` is no glob", "write it like src/**/*.py or *.{ts,tsx}")
    anywhere = "" if "/" in glob.rstrip("/") else "(?:.*/)?"
    below = ".*" if glob.endswith("/") else ""
    try:
        return re.compile(anywhere + _translated(glob.removeprefix("/")) + below, re.DOTALL)
    except re.error as error:
        raise UsageError(f"`{glob}` is no glob: {error}", "close every [ and {") from error


def _translated(glob: str) -> str:
    parts: list[str] = []
    depth = 0
    for piece in _PIECES.findall(glob):
        if piece == "{":
            depth += 1
            parts.append("(?:")
        elif piece == "}" and depth:
            depth -= 1
            parts.append(")")
        elif piece == "," and depth:
            parts.append("|")
        elif piece in _FIXED:
            parts.append(_FIXED[piece])
        elif len(piece) > 1:
            parts.append("[^" + piece[2:] if piece.startswith("[!") else piece)
        else:
            parts.append(re.escape(piece))
    # What was opened and not closed is for the compiler to complain of.
    return "".join(parts)
