"""The only maker of ids."""

from __future__ import annotations

from os import urandom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

#: Crockford's base 32 without look-alikes; ids sort as their values do.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def random_text(length: int) -> str:
    """Return that many random characters, five bits each, the first one a letter so that no id looks like a number."""
    raw = urandom(length)
    return ALPHABET[10 + raw[0] % 22] + "".join(ALPHABET[byte & 31] for byte in raw[1:])


class RandomIds:
    """Ids that are unique across clones without asking anyone."""

    def task(self) -> str:
        """Return a task id: 49 bits, so a million tasks collide with a chance of one in a thousand, and none unseen."""
        return random_text(10)

    def run(self) -> str:
        """Return the id of an attempt or a gate's run."""
        return random_text(16)

    def token(self) -> str:
        """Return a lease's fencing token."""
        return random_text(12)

    def replica(self) -> str:
        """Return a replica id."""
        return random_text(8)

    def session(self, run: str) -> str:
        """Return the name of the session that an attempt begins: a UUID of version 5 of the run (RFC 9562, section 5.5)."""
        from uuid import NAMESPACE_URL, uuid5

        return str(uuid5(NAMESPACE_URL, f"atms:run:{run}"))

    def chance(self, seed: str) -> Random:
        """Return numbers by chance, the same ones for the same seed."""
        from random import Random

        return Random(seed)  # noqa: S311  forecasts are no secret
