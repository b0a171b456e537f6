"""Output files: reading past the hole where the middle was dropped (system/logcap.py), and masking secrets in place."""

from __future__ import annotations

import errno
import os

from atms_cli.domain.footprint import describe_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from atms_cli.domain.redaction import Redactor

_CHUNK = 65_536
#: How file systems say that they know no holes.
_NO_HOLES = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def chunks(file: int, position: int, end: int | None = None) -> Iterator[tuple[int, bytes, bool]]:
    """Yield what a file holds between two positions: where each piece ends, the piece, and whether it stands for a hole."""
    while end is None or position < end:
        data_at = _next_data(file, position)
        if data_at is None:
            return
        if data_at > position:
            yield data_at, _marker(data_at - position), True
            position = data_at
            continue
        most = _CHUNK if end is None else min(_CHUNK, end - position)
        piece = os.pread(file, most, position)[: max(0, _next_hole(file, position) - position)]
        if not piece:
            return
        # What was dropped while we read may have come as zeros.
        if _next_data(file, position) == position:
            position += len(piece)
            yield position, piece, False


def _next_data(file: int, position: int) -> int | None:
    """Return where the next data is, None behind the last."""
    try:
        return os.lseek(file, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno not in _NO_HOLES:
            raise
        return position if position < os.fstat(file).st_size else None


def _next_hole(file: int, position: int) -> int:
    """Return where the next hole is; the end of a file is one."""
    try:
        return os.lseek(file, position, os.SEEK_HOLE)
    except OSError as error:
        if error.errno not in _NO_HOLES:
            raise
        return os.fstat(file).st_size


def _marker(count: int) -> bytes:
    return f"\n[... {describe_size(count)} of output were dropped here ...]\n".encode()


def read(path: str, begin: int, end: int | None = None) -> bytes:
    """Return what a file holds between two positions; a negative one counts from its end.

    Raises:
        OSError: it cannot be read.

    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        return b"".join(piece for _, piece, _ in chunks(file, max(0, size + begin) if begin < 0 else begin, end))
    finally:
        os.close(file)


def read_on(path: str, begin: int, most: int) -> tuple[bytes, int]:
    """Return about so many bytes of what a file holds from a position on, and the position behind them.

    Raises:
        OSError: it cannot be read.

    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    found, end = bytearray(), begin
    try:
        for behind, piece, _ in chunks(file, begin):
            found += piece
            end = behind
            if len(found) >= most:
                break
    finally:
        os.close(file)
    return bytes(found), end


def mask(path: str, redactor: Redactor) -> None:
    """Mask the secrets in a file that nobody writes to, in place, so that it can be begun anew after a crash.

    Raises:
        OSError: it cannot be read or written.

    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _mask(file, redactor)
    finally:
        os.close(file)


def _mask(file: int, redactor: Redactor) -> None:
    from atms_cli.domain.redaction import Stream

    stream, raw, place = Stream(redactor), b"", 0
    for position, piece, is_hole in chunks(file, 0):
        if is_hole:
            _correct(file, place, raw, stream.end())
            stream, raw = Stream(redactor), b""
            continue
        raw += piece
        given = stream.feed(piece)
        _correct(file, position - len(raw), raw[: len(given)], given)
        raw = raw[len(given) :]
        place = position - len(raw)
    _correct(file, place, raw, stream.end())


def _correct(file: int, place: int, raw: bytes, masked: bytes) -> None:
    if raw == masked:
        return
    left = memoryview(masked)
    while left:
        written = os.pwrite(file, left, place)
        left, place = left[written:], place + written
