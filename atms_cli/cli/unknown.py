"""Words that are no command, and the command that was probably meant. Without `difflib`, which costs two Python starts."""

from __future__ import annotations

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: So many letters of a word may be wrong: one in three, and one in a short one.
_LETTERS_A_SLIP = 3


def unknown(word: str, names: Iterable[str], path: str) -> UsageError:
    """Return the error for a word where one of some names is expected."""
    near = min(((_distance(word, name), name) for name in names), default=(len(word), ""))
    meant = f"; did you mean `{near[1]}`?" if near[0] <= max(1, len(word) // _LETTERS_A_SLIP) and word else ""
    return UsageError(f"no command `{word}`{meant}", f"see: {path} --help")


def _distance(one: str, other: str) -> int:
    """Return how many letters to add, drop, change or swap with their neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        before_last, before, row = before, row, [place]
        for column, wanted in enumerate(other, start=1):
            least = min(before[column] + 1, row[-1] + 1, before[column - 1] + (letter != wanted))
            if place > 1 and column > 1 and letter == other[column - 2] and one[place - 2] == wanted:
                least = min(least, before_last[column - 2] + 1)
            row.append(least)
    return row[-1]
