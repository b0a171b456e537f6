"""JSON that somebody else wrote: deep, huge or broken, it is refused and costs little."""

from __future__ import annotations

from atms_cli.domain.reports.report import UnreadableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Each list or object takes some 60 bytes of memory or more, for two bytes of a report.
_MOST_CONTAINERS, _MOST_MEMBERS = 2_000_000, 8_000_000


def parse(content: bytes) -> object:
    """Return the value of a document.

    Raises:
        UnreadableError: it is no JSON, or too much of it.

    """
    _check_size(content)
    return _parsed(decoded(content))


def lines(content: bytes) -> Iterator[object]:
    """Yield the values of a document with one on each line.

    Raises:
        UnreadableError: a line is no JSON.

    """
    _check_size(content)
    for line in decoded(content).split("\n"):
        if line.strip():
            yield _parsed(line)


def decoded(content: bytes) -> str:
    """Return text in UTF-8, UTF-16 or UTF-32.

    Raises:
        UnreadableError: it is not.

    """
    import json

    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise UnreadableError(f"it is not text in {encoding.upper()}") from None


def _check_size(content: bytes) -> None:
    if content.count(b"[") + content.count(b"{") > _MOST_CONTAINERS or content.count(b",") > _MOST_MEMBERS:
        raise UnreadableError("it has too many values")


def _parsed(text: str) -> object:
    import json

    try:
        value: object = json.loads(text)
    except RecursionError:
        raise UnreadableError("its values are nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(f"it is no JSON: {error}") from None
    return value
