"""Event ids: a hybrid logical clock and the replica, so that sorting ids sorts events by cause on every clone.

An id is 9 characters of milliseconds, 4 of a counter, and the replica id, in base 32. Within one clone ids only
grow, whatever the wall clock does. Source: Kulkarni et al., "Logical Physical Clocks", 2014.
"""

from __future__ import annotations

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_TIME_LENGTH = 9
_STAMP_LENGTH = 13
_COUNTER_BITS = 20


def _text(value: int, length: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in range(length - 1, -1, -1))


def _number(text: str) -> int:
    number = 0
    for character in text:
        number = number << 5 | _VALUES[character]
    return number


def following(last: str, now_ms: int, replica: str) -> str:
    """Return the id after `last` (empty for none): of the present millisecond, or one more than the last."""
    stamp = max(_number(last[:_STAMP_LENGTH]) + 1 if last else 0, now_ms << _COUNTER_BITS)
    return _text(stamp, _STAMP_LENGTH) + replica


def time_ms(event_id: str) -> int:
    """Return the milliseconds since the epoch in an id."""
    return _number(event_id[:_TIME_LENGTH])
