"""Secrets in text: knowing them by their form or their value, and putting a mask of the same length in their place.

What a command prints is looked through line by line, in time that grows with its length alone; a private key may go over
lines. Of what is longer than `LONGEST`, that much is masked.
"""

from __future__ import annotations

import json
import re

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MASK = b"[redacted]"
#: No secret is longer, so that so many bytes are enough to know one.
LONGEST = 32_768
#: Lines of values that go over several are looked for one by one, if they have so many characters.
_LEAST_LINE = 16

#: What stands before a token: no letter or digit, except that of an escape in JSON or a shell's string.
_START = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0}))"


def _token(prefix: str, rest: str) -> str:
    # The prefix first: the search for a text is much faster than one for a condition.
    return prefix + _START.replace("{0}", prefix) + rest


#: The beginning of a private key, and as much of it as is there.
_KEY_BLOCK = (
    r"-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY-----(?:(?:\s|\\[rn]){0,16}(?:Proc-Type|DEK-Info):[^\n\\]{0,200}){0,4}"
    r"[A-Za-z0-9+/=\s\\]{0,20000}+"
)

#: Forms of secrets, each with texts of which at least one is in it; each finds the secret as a whole, or its group `s`.
FORMS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"gho_", b"ghp_", b"ghr_", b"ghs_", b"ghu_"), r"gh[oprsu]_[A-Za-z0-9]{20,255}"),
    ((b"github_pat_",), r"github_pat_[A-Za-z0-9_]{22,255}"),
    ((b"glpat-",), r"glpat-[A-Za-z0-9_-]{20,255}"),
    ((b"sk-",), _token("sk-", r"[A-Za-z0-9_-]{20,255}")),
    ((b"sk_live_", b"sk_test_", b"rk_live_"), r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,255}"),
    ((b"AIza",), _token("AIza", r"[A-Za-z0-9_-]{30,64}")),
    ((b"AKIA", b"ASIA"), r"A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ((b"xox",), _token("xox", r"[abeoprs]-[A-Za-z0-9-]{10,255}")),
    ((b"npm_",), _token("npm_", r"[A-Za-z0-9]{36}")),
    ((b"pypi-",), _token("pypi-", r"[A-Za-z0-9_-]{32,255}")),
    ((b"eyJ",), _token("eyJ", r"[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,2000}")),
    (
        (b"uthorization", b"UTHORIZATION"),
        (
            r"(?i:authorization)(?:\\?[\"'])?[ \t]{0,8}[:=][ \t]{0,8}(?:\\?[\"'])?"
            r"(?:(?i:basic|bearer|token|apikey)[ \t]{1,8}(?P<s0>[A-Za-z0-9._~+/=-]{6,8000})|(?P<s3>[A-Za-z0-9._~+/=-]{16,8000}))"
        ),
    ),
    ((b"earer", b"EARER"), r"(?i:bearer)[ \t]{1,8}(?=[A-Za-z._~+/=-]{0,80}[0-9])(?P<s1>[A-Za-z0-9._~+/=-]{16,8000})"),
    ((b"://",), r"://[^\s/:@\"'\\]{0,255}:(?P<s2>[^\s/@\"'\\]{1,512})@"),
    ((b"PRIVATE KEY-----",), _KEY_BLOCK + r"(?:-----END[ A-Z0-9]{0,40}PRIVATE KEY-----)?"),
)  # fmt: skip


_REFERENCE = re.compile(r"\\[1-9]|\(\?\(")


def check_pattern(text: str) -> None:
    """Refuse a pattern that is none, or that finds nothing everywhere.

    Raises:
        UsageError: says what is wrong with it.

    """
    try:
        # It becomes a part of a larger one.
        pattern = re.compile(b"(?:%b)" % text.encode())
    except re.error as error:
        raise UsageError(f"`{text}` is not a pattern: {error}", "write a regular expression of Python") from None
    if pattern.match(b""):
        raise UsageError(f"`{text}` matches where nothing is", "let it match at least one character")
    if pattern.groupindex or _REFERENCE.search(text):
        raise UsageError(f"`{text}` refers to groups", "group without a name: (?:...)")


class Redactor:
    """Masks what looks like a secret, and given values wherever they stand."""

    def __init__(self, patterns: Sequence[str] = (), values: Iterable[str] = ()) -> None:
        self._values = sorted({spelt.encode() for value in values for spelt in _spellings(value)}, key=len)[::-1]
        self._patterns = [pattern.encode() for pattern in patterns]
        self._compiled: dict[tuple[object, ...], re.Pattern[bytes]] = {}

    def text(self, text: str) -> str:
        """Return a text without its secrets."""
        return self.content(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace") if text else text

    def content(self, content: bytes) -> bytes:
        """Return bytes of text without their secrets."""
        stream = Stream(self)
        return stream.feed(content) + stream.end()

    def search(self, content: bytes) -> re.Pattern[bytes] | None:
        """Return what finds the secrets in this content, or None if none can be in it."""
        values = tuple(value for value in self._values if value in content)
        forms = tuple(number for number, (signs, _) in enumerate(FORMS) if any(sign in content for sign in signs))
        if not values and not forms and not self._patterns:
            return None
        active = (values, forms)
        if active not in self._compiled:
            parts = [*map(re.escape, values), *self._patterns, *(FORMS[number][1].encode() for number in forms)]
            self._compiled[active] = re.compile(b"|".join(b"(?:%b)" % part for part in parts), re.MULTILINE)
        return self._compiled[active]


def _spellings(value: str) -> Iterator[str]:
    """Yield a value as it may be printed: line by line, and as in JSON."""
    lines = value.splitlines()
    for line in [value] if len(lines) == 1 else [line for line in lines if len(line) >= _LEAST_LINE]:
        text = line[:LONGEST]
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]


def mask(secret: bytes) -> bytes:
    """Return what stands for a secret: as long, in as many lines, and the same for itself."""
    if len(secret) < len(MASK):
        return b"*" * len(secret)
    return MASK + _IN_A_LINE.sub(b"*", secret[len(MASK) :])


_IN_A_LINE = re.compile(rb"[^\n]")
_OPEN_BLOCK = re.compile(_KEY_BLOCK.encode())
#: So many bytes before a place decide whether a secret begins there.
_BEFORE = 2


class Stream:
    """Bytes that come in pieces, each given on once it is certain that no secret goes over its end."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        #: How much of what is held has been given on and is kept for what a secret may not stand behind.
        self._given = 0

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece and return what can be given on."""
        self._held += piece
        return self._give(self._certain())

    def end(self) -> bytes:
        """Return the rest."""
        return self._give(len(self._held))

    def _certain(self) -> int:
        """Return up to where a secret that begins there is held as a whole: complete lines, but not into a key block."""
        held = self._held
        limit = max(held.rfind(b"\n") + 1, len(held) - LONGEST)
        begin = held.rfind(b"-----BEGIN", max(self._given, len(held) - LONGEST))
        block = _OPEN_BLOCK.match(held, begin) if begin >= 0 else None
        return min(limit, begin) if block and block.end() >= limit else limit

    def _give(self, limit: int) -> bytes:
        if limit <= self._given:
            return b""
        given, position = [], self._given
        found = self._redactor.search(self._held)
        for match in found.finditer(self._held, position) if found else ():
            if match.start() >= limit:
                break
            begin, end = _span(match)
            given += [self._held[position:begin], mask(self._held[begin:end])]
            position = end
        if position < limit:
            given.append(self._held[position:limit])
            position = limit
        keep = max(0, position - _BEFORE)
        self._held, self._given = self._held[keep:], position - keep
        return b"".join(given)


def _span(match: re.Match[bytes]) -> tuple[int, int]:
    group = match.lastgroup
    return match.span(group) if group else match.span()
