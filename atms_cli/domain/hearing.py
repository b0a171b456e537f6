"""The output of an agent as it grows: bytes in, what they tell out. Nothing is looked at twice."""

from __future__ import annotations

from collections import deque
from json import JSONDecoder

from atms_cli.domain.streams import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.domain.streams import Report

#: A longer line is no event, and nobody reads it.
MOST_LINE = 8_388_608
#: Of the lines that are no events so many are kept, the last: they may say why an agent failed.
_LAST_WORDS = 40
# Some agents print control characters as they are.
_DECODER = JSONDecoder(strict=False)


class Hearing:
    """What was heard of one output until now, and up to where."""

    def __init__(self, stream: str, most_words: int = _LAST_WORDS, report: Report | None = None) -> None:
        self.offset = 0
        self._listener = Listener(stream, report)
        self._rest = b""
        self._is_within_line = False
        self._others: deque[str] = deque(maxlen=most_words)

    @property
    def report(self) -> Report:
        """Return what the events told."""
        return self._listener.report

    @property
    def last_words(self) -> list[str]:
        """Return the last lines that are no events and not empty."""
        return list(self._others)

    def take(self, chunk: bytes, end: int | None = None) -> None:
        """Take in what follows, up to an offset if that is not where its length leads; a line counts when it is whole."""
        self.offset = self.offset + len(chunk) if end is None else end
        *lines, rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take_line(line)
        self._rest = rest
        if len(rest) > MOST_LINE:
            self._rest, self._is_within_line = b"", True

    def skip_to(self, offset: int) -> None:
        """Go on further behind; the line that this is in the middle of does not count."""
        self.offset, self._rest, self._is_within_line = offset, b"", True

    def rewind(self) -> None:
        """Take the line that has only begun once more, for it may read otherwise by now."""
        self.offset, self._rest = self.offset - len(self._rest), b""

    def end(self) -> None:
        """Take in a last line that nobody has ended."""
        rest, self._rest = self._rest, b""
        self._take_line(rest)

    def _take_line(self, line: bytes) -> None:
        if self._is_within_line:
            self._is_within_line = False
            return
        text = line.decode(errors="replace").strip()
        if not text:
            return
        try:
            self._listener.feed(_DECODER.decode(text))
        except (ValueError, RecursionError):
            self._others.append(text)
