"""What tools report of their work: a module for each format, all read into one form.

A report is written by a program that an agent may have changed, so nothing in it is trusted: whatever it holds, reading it
ends soon, with what it says or with an `UnreadableError` that says why it cannot be read.
"""

from __future__ import annotations

from atms_cli.domain.reports import cobertura, coveragejson, jsontext, junit, lcov, sarif, tools
from atms_cli.domain.reports.report import MOST_BYTES, Report, UnreadableError, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.reports.report import Place

    Reader = Callable[[bytes, Report], None]

_READERS: dict[str, Reader] = {
    "junit": junit.read,
    "sarif": sarif.read,
    "cobertura": cobertura.read,
    "coverage-json": coveragejson.read,
    "lcov": lcov.read,
    "ruff": tools.ruff,
    "mypy": tools.mypy,
    "pip-audit": tools.pip_audit,
    "bandit": tools.bandit,
    "eslint": tools.eslint,
}
AUTO = "auto"
FORMATS = (AUTO, *_READERS)
#: Formats in which nothing at all means that nothing is wrong.
_MAY_BE_EMPTY = ("mypy",)
#: The beginning of a file says what it is; XML may have a declaration, a document type and comments first.
_HEAD = 4096


def read(content: bytes, kind: str, place: Place) -> Report:
    """Return what a report says.

    Raises:
        UnreadableError: it says nothing that can be relied on.

    """
    if len(content) > MOST_BYTES:
        raise UnreadableError(f"it is larger than {MOST_BYTES // 1024**2} MiB")
    if not content.strip() and kind not in _MAY_BE_EMPTY:
        raise UnreadableError("it is empty")
    report = Report(place)
    _READERS[detected(content) if kind == AUTO else kind](content, report)
    return report


#: What a report begins with, and what it then ends with.
_BRACKETS = {b"[": b"]", b"{": b"}", b"<": b">", b"S": b"end_of_record", b"T": b"end_of_record"}


def within(output: bytes, kind: str) -> bytes:
    """Return the report in what a command printed: before and behind it there may be lines for people."""
    lines = output.split(b"\n")
    if kind == "mypy":
        return b"\n".join(line for line in lines if line.lstrip().startswith(b"{"))
    start = next((at for at, line in enumerate(lines) if line.startswith((b"[", b"{", b"<", b"SF:", b"TN:"))), None)
    if start is None:
        return b""
    closing = _BRACKETS[lines[start][:1]]
    end = max((at for at, line in enumerate(lines) if line.rstrip().endswith(closing)), default=start)
    return b"\n".join(lines[start : end + 1])


def detected(content: bytes) -> str:
    """Return the format of a report from what is in it.

    Raises:
        UnreadableError: it is like none that is known.

    """
    head = content[:_HEAD].lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()
    if head.startswith(b"<"):
        return _of_markup(head)
    if head.startswith((b"TN:", b"SF:")):
        return "lcov"
    if not head.startswith((b"{", b"[")):
        raise UnreadableError("it is like no format that is known; say which one it is")
    return _of_json(content)


def _of_markup(head: bytes) -> str:
    for mark, kind in ((b"<testsuite", "junit"), (b"<coverage", "cobertura")):
        if mark in head:
            return kind
    raise UnreadableError("it is XML, but neither JUnit's nor Cobertura's")


#: Members that a JSON report has at its top, or each line or entry of it.
_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sarif", ("runs", "version")),
    ("coverage-json", ("totals", "files")),
    ("pip-audit", ("dependencies",)),
    ("bandit", ("results", "errors")),
    ("mypy", ("file", "severity", "message")),
)
_ENTRY_MARKS = (("ruff", ("filename", "message")), ("eslint", ("filePath", "messages")))


def _of_json(content: bytes) -> str:
    value = _first_value(content)
    is_list = isinstance(value, list)
    if value == []:
        # Of ruff or of eslint, and both say with it that nothing is wrong.
        return "ruff"
    about = members(value[0] if isinstance(value, list) else value)
    for kind, names in _ENTRY_MARKS if is_list else _MARKS:
        if all(name in about for name in names):
            return kind
    raise UnreadableError("it is JSON, but of no tool that is known; say which one it is")


def _first_value(content: bytes) -> object:
    """Return the whole document, or the first line where each is a document by itself."""
    try:
        return jsontext.parse(content)
    except UnreadableError:
        first = next(line for line in content.splitlines() if line.strip())
        if len(first) == len(content.strip()):
            raise
        try:
            return jsontext.parse(first)
        except UnreadableError:
            pass
        raise
