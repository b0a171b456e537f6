"""The first line of a segment that was rewritten: why, and what the segment was before.

It has the form of an event's line and is none. Such a segment never grows, and its events stand in it one by one: a
batch may have lost its last.
"""

from __future__ import annotations

from atms_cli.errors import DamagedError
from atms_cli.store import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from atms_cli.store.segments import Segments

    class Header(TypedDict):
        """What a rewritten segment says of itself."""

        why: str
        segment: int
        events: int
        bytes: int
        through: str
        dropped: int


FOLDED = "folded"
MENDED = "mended"
#: No header is longer.
_MOST_BYTES = 512
_ID_LENGTH = 21


def line(header: Header) -> bytes:
    """Return the line of a header."""
    return codec.encode({"v": codec.VERSION, "rewritten": header}, more=False)  # type: ignore[typeddict-item]


def of(content: bytes) -> Header | None:
    """Return the header that a segment begins with, None if it is as it was written.

    Raises:
        DamagedError: there is one, and it is damaged or says what cannot be.

    """
    if not content.startswith(codec.HEADER_MARK):
        return None
    first = content[: content.find(b"\n") + 1]
    try:
        record = codec.decode(first)[0]["rewritten"]  # type: ignore[typeddict-item]
    except (KeyError, ValueError) as error:
        raise DamagedError("the first line is not a header") from error
    if not _is_good(record):
        raise DamagedError("the header says what cannot be", "upgrade atms, here or there")
    header: Header = record
    return header


def _is_good(record: object) -> bool:
    if not isinstance(record, dict) or record.get("why") not in (FOLDED, MENDED):
        return False
    numbers = [record.get(name) for name in ("segment", "events", "bytes", "dropped")]
    if not all(type(number) is int and number >= 0 for number in numbers):
        return False
    return isinstance(record.get("through"), str) and record["dropped"] <= record["events"]


def at(journal: Segments, replica: str, segment: int) -> Header | None:
    """Return the header of a segment that is here."""
    return of(journal.beginning(replica, segment, _MOST_BYTES))


def is_mended(journal: Segments, replica: str, segment: int) -> bool:
    """Return whether damaged lines were cut out of a segment."""
    header = at(journal, replica, segment)
    return header is not None and header["why"] == MENDED


def original_size(journal: Segments, replica: str, segment: int) -> int:
    """Return the bytes that a segment had when it was written, 0 if it is not here."""
    header = at(journal, replica, segment)
    return journal.size(replica, segment) if header is None else header["bytes"]


def split(content: bytes) -> Sequence[bytes]:
    """Return the lines of a segment that are events."""
    lines = content.splitlines(keepends=True)
    return lines[1:] if content.startswith(codec.HEADER_MARK) else lines
