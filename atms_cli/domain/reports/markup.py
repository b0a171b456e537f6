"""XML that somebody else wrote, read as it goes by: no entities, nothing from outside, bounded depth and number.

What entities can do to a parser is well known (https://docs.python.org/3/library/xml.html#xml-security), and no report
needs them. A document type that only names its DTD is let through, as Cobertura's reports have it; nothing is fetched.
"""

from __future__ import annotations

from atms_cli.domain.reports.report import UnreadableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Start = Callable[[str, Mapping[str, str]], None]
    End = Callable[[str, str], None]

_MOST_DEPTH = 64
_MOST_ELEMENTS = 1_000_000
#: Of the text in one element, so much is kept.
_MOST_TEXT = 65_536


def walk(content: bytes, start: Start, end: End) -> None:
    """Hand over each element as it begins, with its attributes, and as it ends, with the text in it.

    Raises:
        UnreadableError: it is no XML, or none that is safe to read.

    """
    from xml.parsers import expat

    parser = expat.ParserCreate()
    walker = _Walker(start, end)
    parser.StartElementHandler = walker.start
    parser.EndElementHandler = walker.end
    parser.CharacterDataHandler = walker.text
    parser.StartDoctypeDeclHandler = _refuse_subset
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise UnreadableError(f"it is no XML: {error}") from None
    except (ValueError, LookupError) as error:
        raise UnreadableError(f"it is in no known encoding: {error}") from None


class _Walker:
    """Keeps count of depth, number and text."""

    def __init__(self, start: Start, end: End) -> None:
        self._start = start
        self._end = end
        self._texts: list[list[str]] = []
        self._sizes: list[int] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._texts) >= _MOST_DEPTH:
            raise UnreadableError("its elements are nested too deeply")
        if self._elements > _MOST_ELEMENTS:
            raise UnreadableError("it has too many elements")
        self._texts.append([])
        self._sizes.append(0)
        self._start(name.rpartition(":")[2], attributes)

    def text(self, text: str) -> None:
        if self._sizes[-1] < _MOST_TEXT:
            self._texts[-1].append(text)
            self._sizes[-1] += len(text)

    def end(self, name: str) -> None:
        self._sizes.pop()
        self._end(name.rpartition(":")[2], "".join(self._texts.pop()))


def _refuse_subset(name: str, system: str | None, public: str | None, has_subset: int) -> None:
    del name, system, public
    if has_subset:
        raise UnreadableError("it defines a document type of its own")


def _refuse_entity(*about: object) -> None:
    del about
    raise UnreadableError("it defines entities")
