"""An event as one line of the journal, and back: compact JSON that ends in its own checksum.

The line is `{"v":1,"id":…,"at":…,"type":…,"key":…,"actor":…,"data":{…},"crc":"xxxxxxxx"}` and a newline. `crc` is
the CRC-32 of every byte before `,"crc"`. Events recorded together carry `"more":true` on all but the last, so that
a batch cut short by a crash is seen and dropped as a whole.
"""

from __future__ import annotations

# The same function as zlib's, without loading that library.
from binascii import crc32

from atms_cli.errors import DamagedError, NewerError, UsageError
from atms_cli.store.jsontext import decode as decode_json
from atms_cli.store.jsontext import encode as encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.records import Event

#: The newest line format this program knows.
VERSION = 1
#: How the first line of a rewritten segment begins, which is no event (store/rewritten.py).
HEADER_MARK = b'{"v":%d,"rewritten":' % VERSION
_MARK = b',"crc":"'
_CLOSE = b'"}\n'
#: Bytes from the mark to the newline.
SEAL_LENGTH = len(_MARK) + 8 + len(_CLOSE)


def encode(event: Event, *, more: bool) -> bytes:
    """Return the line of an event; `more` says that the batch goes on.

    Raises:
        UsageError: it holds half of a surrogate pair, as from an argument that is not UTF-8.

    """
    record = {**event, "more": True} if more else event
    try:
        body = encode_json(record)[:-1].encode()
    except UnicodeEncodeError:
        raise UsageError(f"the text of {event['type']} is not valid Unicode", "give it in UTF-8") from None
    return b"%b%b%08x%b" % (body, _MARK, crc32(body), _CLOSE)


def decode(line: bytes) -> tuple[Event, bool]:
    """Return the event of a whole line, and whether its batch goes on.

    Raises:
        DamagedError: the line is not one that `encode` wrote, or of a newer version.

    """
    body, seal = line[:-SEAL_LENGTH], line[-SEAL_LENGTH:]
    if seal != b"%b%08x%b" % (_MARK, crc32(body), _CLOSE):
        raise DamagedError("the checksum does not match")
    record = decode_json(body.decode() + "}")
    if record["v"] > VERSION:
        raise NewerError(f"written in format {record['v']}, this atms knows {VERSION}", "upgrade atms")
    return record, record.pop("more", False)


def seal(line: bytes) -> str:
    """Return the checksum that ends a line, which identifies it."""
    return line[-SEAL_LENGTH + len(_MARK) : -len(_CLOSE)].decode()
