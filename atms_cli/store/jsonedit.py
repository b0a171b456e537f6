"""Edits of JSON text that leave every byte they are not about as it was.

`apply` edits the text, `amend` does the same to the parsed value; each result is checked against the other.
"""

from __future__ import annotations

import json
import re

from atms_cli.errors import DamagedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from atms_cli.domain.records import Edit, Json

    Path = tuple[str | int, ...]

_BOM = "\ufeff"
_HINT = "correct the file by hand, or restore it from a backup"
_WORDS = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
_DECODER = json.JSONDecoder()
_BLANKS = " \t\n\r"
_SPACE = re.compile(f"[{_BLANKS}]*")
#: A bracket that ends a line, and the indentation of what follows it. Strings cannot match: they hold no line breaks.
_UNIT = re.compile(r"[\[{]\s*\n([ \t]*)[^\s\]}]")
#: Where to stop looking for it, so that a large file on one line costs nothing.
_UNIT_WITHIN = 100_000
_DEFAULT_UNIT = "  "


def parse(text: str) -> Json:
    """Return the value of a JSON text, which may begin with a byte order mark; errors begin with `LINE:COLUMN: `."""
    try:
        value: Json
        value, end = _decode(text, _start(text))
    except json.JSONDecodeError as error:
        raise _unreadable(error) from error
    except (RecursionError, ValueError) as error:
        # The scanner does not say where it gave up on nesting or on a number of thousands of digits.
        raise DamagedError(f"1:1: {error}", _HINT) from error
    if (end := _skip(text, end)) < len(text):
        raise _unreadable(json.JSONDecodeError("Extra data", text, end))
    return value


def _unreadable(error: json.JSONDecodeError) -> DamagedError:
    return DamagedError(f"{error.lineno}:{error.colno}: {error.msg}", _HINT)


def serialize(value: Json) -> str:
    """Return a new file's text, as JavaScript's `JSON.stringify(value, null, 2)` writes it."""
    return _Style("\n", _DEFAULT_UNIT, ": ").on_lines(value, "")


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return the text with the edits made, one after another."""
    owned = [_owned(edit) for edit in edits]
    try:
        return _applied(text, owned)
    except RecursionError as error:
        raise DamagedError(f"1:1: {error}", _HINT) from error


def _applied(text: str, edits: Sequence[Edit]) -> str:
    expected = amend(parse(text), edits)
    holder = _opened(text)
    style = _style_of(text, holder)
    for kind, path, value in edits:
        _write(holder, kind, (0, *path), value, style)
    result = holder.text()
    if parse(result) != expected:
        raise RuntimeError(f"editing JSON text went wrong; nothing was written; the edits were {edits!r}")
    return result


def amend(document: Json, edits: Sequence[Edit]) -> Json:
    """Make the edits on a parsed document, in place where it can be, and return it."""
    holder: list[Json] = [document]
    for kind, path, value in map(_owned, edits):
        _put(holder, kind, (0, *path), value)
    return holder[0]


def _owned(edit: Edit) -> Edit:
    # As JSON will read it back, and apart from the caller's: a later edit may reach into it.
    kind, path, value = edit
    owned: Json = json.loads(json.dumps(value, allow_nan=False))
    return kind, path, owned


def _put(holder: list[Json], kind: str, path: Path, value: Json) -> None:
    at: Any = holder
    depth = 0
    while depth < len(path) - 1 and _has(at, path, depth):
        at = at[path[depth]]
        depth += 1
    step = path[depth]
    if not _has(at, path, depth):
        if kind != "remove":
            at[step] = _grown(kind, path, depth + 1, value)
    elif kind == "remove":
        del at[step]
    elif kind == "set":
        at[step] = value
    else:
        _append(at[step], path, value)


def _has(at: Json, path: Path, depth: int) -> bool:
    """Tell whether the next step of a path leads anywhere; refuse one that never can."""
    step = path[depth]
    if isinstance(at, dict) and isinstance(step, str):
        return step in at
    if not isinstance(at, list) or not isinstance(step, int):
        raise _mismatch(at, path[:depth], "an object" if isinstance(step, str) else "an array")
    if not 0 <= step < len(at):
        raise DamagedError(f"{_name(path[: depth + 1])} is beyond the end of the array", _HINT)
    return True


def _append(at: Json, path: Path, value: Json) -> None:
    if not isinstance(at, list):
        raise _mismatch(at, path, "an array")
    at.append(value)


def _grown(kind: str, path: Path, depth: int, value: Json) -> Json:
    """Return the value inside the containers that its path lacks."""
    grown: Json = [value] if kind == "append" else value
    for step in reversed(path[depth:]):
        if not isinstance(step, str):
            raise DamagedError(f"{_name(path)} is in an array that is missing", _HINT)
        grown = {step: grown}
    return grown


def _mismatch(at: Json, path: Path, wanted: str) -> DamagedError:
    return DamagedError(f"{_name(path)} is {described(at)}, not {wanted}", _HINT)


def described(value: Json) -> str:
    """Return what kind of value it is, in words."""
    return _WORDS.get(type(value), "a number")


def _name(path: Path) -> str:
    steps = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in path[1:])
    return f"`{steps.removeprefix('.')}`" if steps else "the top level"


class _Slot:
    """A member or an element: its value and all the text around it, up to the commas or brackets."""

    __slots__ = ("colon", "key", "label", "lead", "tail", "value")

    def __init__(self, key: str, lead: str, label: str, colon: str, value: str, tail: str) -> None:
        self.key = key
        self.lead = lead
        self.label = label
        self.colon = colon
        self.value: str | _Container = value
        self.tail = tail

    def value_text(self) -> str:
        return self.value if isinstance(self.value, str) else self.value.text()

    def text(self) -> str:
        return f"{self.lead}{self.label}{self.colon}{self.value_text()}{self.tail}"

    def indent(self, outer: str) -> str:
        """Return the indentation of the line on which the value begins."""
        return self.lead.rpartition("\n")[2] if "\n" in self.lead else outer

    def opened(self, outer: str) -> _Container:
        """Return the value as a container; it stays opened, so that later edits find it so."""
        if isinstance(self.value, str):
            self.value = _Container(self.value, self.indent(outer), on_lines="\n" in self.lead)
        return self.value


class _Container:
    """An object or an array, cut into its slots."""

    __slots__ = ("bracket", "close", "indent", "on_lines", "slots")

    def __init__(self, text: str, indent: str, *, on_lines: bool) -> None:
        self.bracket, self.close = text[:1], text[-1:]
        self.indent = indent
        self.on_lines = on_lines or "\n" in text
        self.slots = _cut(text)
        if not self.slots:
            self.close = text[1:]

    def text(self) -> str:
        return f"{self.bracket}{','.join(slot.text() for slot in self.slots)}{self.close}"

    def slot(self, step: str | int) -> _Slot | None:
        """Return the slot at an index, or the last with a key: of duplicate keys that is the one JSON readers see."""
        if isinstance(step, int):
            return self.slots[step]
        return next((slot for slot in reversed(self.slots) if slot.key == step), None)

    def insert(self, key: str | None, value: Json, style: _Style) -> None:
        """Add a slot at the end in the manner of those before it."""
        new = self._after_last(style) if self.slots else self._only(style)
        new.value = style.like(self._model(new), value, new.indent(self.indent))
        if key is not None:
            new.key = key
            new.label = style.on_one_line(key)
        else:
            new.colon = ""
        self.slots.append(new)

    def remove(self, step: str | int) -> None:
        """Take away the slot at an index, or all that have a key; what is left keeps its place on the lines."""
        doomed = [self.slots[step]] if isinstance(step, int) else [slot for slot in self.slots if slot.key == step]
        for slot in doomed:
            first, last = self.slots[0].lead, self.slots[-1].tail
            self.slots.remove(slot)
            if self.slots:
                self.slots[0].lead, self.slots[-1].tail = first, last

    def _after_last(self, style: _Style) -> _Slot:
        last = self.slots[-1]
        alone = len(self.slots) == 1
        lead = style.gap if alone and "\n" not in last.lead else last.lead
        new = _Slot("", lead, "", last.colon, "", last.tail)
        last.tail = "" if alone else self.slots[-2].tail
        return new

    def _only(self, style: _Style) -> _Slot:
        self.close = self.close[-1:]
        if not self.on_lines:
            return _Slot("", "", "", style.colon, "", "")
        line = style.newline + self.indent
        return _Slot("", line + style.unit, "", style.colon, "", line)

    def _model(self, new: _Slot) -> str:
        """Return text that has a line break if the new slot's value should have them."""
        last = self.slots[-1].value_text() if self.slots else ""
        alike = self.bracket == "[" and _is_filled(last)
        return last if alike else new.lead + last

    def replace(self, slot: _Slot, value: Json, style: _Style) -> None:
        """Give a slot another value, unless it has that already."""
        old = slot.value_text()
        if not _same(parse(old), value):
            model = old if _is_filled(old) else slot.lead
            slot.value = style.like(model, value, slot.indent(self.indent))


class _Style:
    """How a document is spaced where there is no neighbour to imitate."""

    __slots__ = ("colon", "gap", "newline", "unit")

    def __init__(self, newline: str, unit: str, colon: str) -> None:
        self.newline = newline
        self.unit = unit
        self.colon = colon
        self.gap = " " if colon.endswith(" ") else ""

    def like(self, model: str, value: Json, indent: str) -> str:
        """Return a value on lines of its own or on one, as the model is."""
        return self.on_lines(value, indent) if "\n" in model else self.on_one_line(value)

    def on_lines(self, value: Json, indent: str) -> str:
        text = json.dumps(value, ensure_ascii=False, indent=self.unit, separators=(",", self.colon))
        return _encodable(text.replace("\n", self.newline + indent))

    def on_one_line(self, value: Json) -> str:
        return _encodable(json.dumps(value, ensure_ascii=False, separators=("," + self.gap, self.colon)))


def _encodable(text: str) -> str:
    # Half of a surrogate pair has no UTF-8; JSON.stringify escapes it too, and JSON's escape is spelled like Python's.
    return text.encode(errors="backslashreplace").decode()


def _opened(text: str) -> _Container:
    """Return a container without brackets whose only element is the document."""
    start, end = _start(text), len(text.rstrip(_BLANKS))
    root = _Slot("", text[:start], "", "", text[start:end], text[end:])
    if text[start] in "[{":
        root.value = _Container(root.value_text(), root.indent(""), on_lines=True)
    holder = _Container("", "", on_lines=True)
    holder.slots.append(root)
    return holder


def _style_of(text: str, holder: _Container) -> _Style:
    unit = _UNIT.search(text, 0, _UNIT_WITHIN)
    root = holder.slots[0].value
    first = root.slots[0].colon if isinstance(root, _Container) and root.slots else ""
    newline = "\r\n" if text[: text.find("\n")].endswith("\r") else "\n"
    return _Style(newline, unit[1] if unit else _DEFAULT_UNIT, first or ": ")


def _write(holder: _Container, kind: str, path: Path, value: Json, style: _Style) -> None:
    # The same walk as _put's, which has already refused every path that leads nowhere.
    at = holder
    depth = 0
    while depth < len(path) - 1 and (slot := at.slot(path[depth])):
        at = slot.opened(at.indent)
        depth += 1
    step = path[depth]
    if kind == "remove":
        if depth == len(path) - 1:
            at.remove(step)
    elif not (slot := at.slot(step)):
        at.insert(str(step), _grown(kind, path, depth + 1, value), style)
    elif kind == "set":
        at.replace(slot, value, style)
    else:
        slot.opened(at.indent).insert(None, value, style)


def _cut(text: str) -> list[_Slot]:
    """Return the slots of a container's text."""
    slots: list[_Slot] = []
    at = 1
    key, colon_at = "", 0
    if _skip(text, at) >= len(text) - 1:
        return slots
    while True:
        start = label_end = value_at = _skip(text, at)
        if text[0] == "{":
            key, label_end = _decode(text, start)
            colon_at = _skip(text, label_end)
            value_at = _skip(text, colon_at + 1)
        _, end = _decode(text, value_at)
        following = _skip(text, end)
        parts = text[at:start], text[start:label_end], text[label_end:value_at], text[value_at:end], text[end:following]
        slots.append(_Slot(key, *parts))
        if text[following] != ",":
            return slots
        at = following + 1


def _start(text: str) -> int:
    return _skip(text, len(_BOM) if text.startswith(_BOM) else 0)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _decode(text: str, at: int) -> tuple[Any, int]:
    # The scanner in C finds the end of a value far faster than any code of ours could, and without our recursion.
    return _DECODER.raw_decode(text, at)


def _is_filled(text: str) -> bool:
    return text[0:1] in ("[", "{") and not text[1:-1].isspace() and len(text) > len("{}")


def _same(one: Json, other: Json) -> bool:
    """Tell whether two values are the same JSON; Python alone takes `True` for 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
