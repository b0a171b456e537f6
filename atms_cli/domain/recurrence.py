"""Recurring tasks: which occurrences of a template become tasks now, and the ids they have on every clone."""

from __future__ import annotations

from atms_cli.domain.moment import seconds_between
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: What becomes of occurrences that went by while nobody looked: none of them, the newest for all, or each.
MISSED = ("skip", "once", "all")
#: An occurrence that was noticed within this time was not missed.
ON_TIME_S = 300.0
#: So many at most at once; the newest are kept.
MOST_AT_ONCE = 100
#: As in system/ids.py, which domain cannot see; a test holds them equal.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 10


def check_missed(missed: str) -> None:
    """Refuse a word that is no policy."""
    if missed not in MISSED:
        raise UsageError(f"`{missed}` is no way to treat missed occurrences", f"choose one of: {', '.join(MISSED)}")


def due(occurrences: Sequence[str], missed: str, now: str, most: int = MOST_AT_ONCE) -> list[str]:
    """Return the occurrences that become tasks now, oldest first, of those since the last time, in any order."""
    past = sorted({at for at in occurrences if at <= now})[-most:]
    if missed == "all":
        return past
    return [at for at in past[-1:] if missed == "once" or seconds_between(at, now) <= ON_TIME_S]


def occurrence_id(template_id: str, at: str) -> str:
    """Return the id of the task for an occurrence: the same on every clone, so that two that spawn it make one task."""
    from hashlib import sha256

    digest = sha256(f"{template_id} {at}".encode()).digest()[:_ID_LENGTH]
    return ALPHABET[10 + digest[0] % 22] + "".join(ALPHABET[byte & 31] for byte in digest[1:])
