"""Going on as more comes in: `log -f`, `logs -f`, `wait`."""

from __future__ import annotations

import sys
from os.path import dirname, exists, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.cli.call import Call
    from atms_cli.domain.redaction import Redactor

#: Looked at this often even if no change was noticed: some file systems report none.
_LONGEST_WAIT_S = 5.0


def wait_until(call: Call, is_true: Callable[[], bool], timeout_s: float | None) -> bool:
    """Wait for changes of the journal until something is true; return False if time ran out."""
    from atms_cli.system.watch import Changes

    if is_true():
        return True
    clock = call.workspace.clock
    deadline = None if timeout_s is None else clock.monotonic() + timeout_s
    with Changes([join(call.workspace.directory, "journal")]) as changes:
        while not is_true():
            left = _LONGEST_WAIT_S if deadline is None else min(_LONGEST_WAIT_S, deadline - clock.monotonic())
            if left <= 0:
                return False
            changes.wait(left)
    return True


def whole(path: str, redactor: Redactor) -> str:
    """Return what a log holds, without secrets, and with replacement characters for what is not text."""
    from atms_cli.store import logfile

    _check(path)
    return redactor.content(logfile.read(path, 0)).decode("utf-8", "replace")


def print_log(
    call: Call, path: str, redactor: Redactor, goes_on: Callable[[], bool] | None, stream: str = "plain"
) -> None:
    """Print a log without secrets, and what is added to it as long as `goes_on`; events of a stream in words."""
    from atms_cli.system.watch import Changes

    _check(path)
    with open(path, "rb", buffering=0) as file:
        printer = Printer(file.fileno(), redactor, _print, _in_words(stream))
        if goes_on is None:
            printer.print_rest()
            return
        with Changes([dirname(path), join(call.workspace.directory, "journal")]) as changes:
            while goes_on():
                printer.print_more()
                changes.wait(_LONGEST_WAIT_S)
        printer.print_rest()


def _check(path: str) -> None:
    from atms_cli.errors import NotFoundError

    if not exists(dirname(path)):
        raise NotFoundError(
            "the files of this attempt are no longer kept", "how long they are: atms config get execution.logs_keep"
        )
    if not exists(path):
        raise NotFoundError(f"there is no output yet in {path}")


def _in_words(stream: str) -> Callable[[bytes], bytes]:
    """Return what makes of whole lines what is printed; the last call has none and ends what is not complete."""
    from atms_cli.domain import transcript

    if not transcript.has(stream):
        return lambda lines: lines
    told = transcript.Transcript(stream)

    def in_words(lines: bytes) -> bytes:
        texts = lines.decode("utf-8", "replace").split("\n")
        words = "".join(told.told(text) for text in texts if text)
        return (words if lines else told.rest()).encode()

    return in_words


class Printer:
    """Prints a log piece by piece; a line that is not complete may hold a part of a secret, and waits."""

    def __init__(
        self,
        file: int,
        redactor: Redactor,
        write: Callable[[bytes], object],
        in_words: Callable[[bytes], bytes] = lambda lines: lines,
    ) -> None:
        from atms_cli.domain.redaction import Stream

        self._file = file
        self._in_words = in_words
        self._stream = Stream(redactor)
        self._position = 0
        self._write = write

    def print_more(self) -> None:
        """Print what has been added."""
        from atms_cli.store import logfile

        for position, piece, is_hole in logfile.chunks(self._file, self._position):
            lines = self._stream.end() + piece if is_hole else self._stream.feed(piece)
            self._write(self._in_words(lines) if lines else b"")
            self._position = position

    def print_rest(self) -> None:
        """Print what has been added, up to the end."""
        self.print_more()
        lines = self._stream.end()
        self._write((self._in_words(lines) if lines else b"") + self._in_words(b""))


def _print(piece: bytes) -> None:
    # What was written as text before comes first.
    sys.stdout.flush()
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
