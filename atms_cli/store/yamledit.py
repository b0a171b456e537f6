"""Edits of a YAML text that touch nothing else: every other character, comments above all, stays where it is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from atms_cli.domain.records import Json, JsonObject

    #: The value to set at a path, or to take away with its key.
    Edit = tuple[tuple[str, ...], Json, bool]
    #: Makes YAML of a value: lines, or what fits into one.
    Dump = Callable[[Json], str]


class UneditableError(Exception):
    """The text is written in a way that these edits do not know."""


def edited(text: str, before: JsonObject, after: JsonObject, dump: Dump, indent: int) -> str:
    """Return a text that says `after` where it said `before`.

    Raises:
        UneditableError: that takes more than these edits can.

    """
    for path, value, is_removal in _differences(before, after, ()):
        mapping, key = _mapping_at(text, path[:-1]), path[-1]
        if is_removal:
            text = _without(text, mapping, key)
        elif _entry(mapping, key) is not None:
            text = _with_value(text, mapping, key, value, dump, indent)
        else:
            text = _with_entry(text, mapping, path[-1], value, dump)
    return text


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[Edit]:  # noqa: ANN401  JSON
    for key, value in after.items():
        old = before.get(key, _ABSENT)
        if old is _ABSENT or old != value or type(old) is not type(value):
            if isinstance(old, dict) and isinstance(value, dict) and old and value:
                yield from _differences(old, value, (*path, key))
            else:
                yield (*path, key), value, False
    yield from (((*path, key), None, True) for key in before if key not in after)


_ABSENT = object()


def _mapping_at(text: str, path: Sequence[str]) -> Any:  # noqa: ANN401  a node of ruamel.yaml
    """Return the node of a mapping in a text; None for a text that holds nothing."""
    from ruamel.yaml import YAML

    node = YAML(pure=True).compose(text)
    for key in path:
        entry = _entry(node, key)
        if entry is None or entry[1].id != "mapping":
            raise UneditableError(key)
        node = entry[1]
    return node


def _entry(mapping: Any, key: str) -> tuple[Any, Any] | None:  # noqa: ANN401
    found = [(name, value) for name, value in (mapping.value if mapping else ()) if name.value == key]
    return found[0] if found else None


def _is_flow(node: Any) -> bool:  # noqa: ANN401
    return bool(node.flow_style)


def _end(node: Any) -> int:  # noqa: ANN401
    """Return where the content of a node ends, without the comments and empty lines behind it."""
    if node.id == "scalar" or _is_flow(node) or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _line_end(text: str, index: int) -> int:
    """Return where the line of a place ends, behind its newline; a block scalar ends at the beginning of the next line."""
    if index and text[index - 1] == "\n":
        return index
    newline = text.find("\n", index)
    return len(text) if newline < 0 else newline + 1


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _without(text: str, mapping: Any, key: str) -> str:  # noqa: ANN401
    entry = _entry(mapping, key)
    if entry is None or _is_flow(mapping) or len(mapping.value) == 1:
        raise UneditableError(key)
    name, value = entry
    return (
        text[: _line_start(text, name.start_mark.index)]
        + text[_line_end(text, max(_end(value), name.end_mark.index)) :]
    )


def _with_value(text: str, mapping: Any, key: str, value: Json, dump: Dump, indent: int) -> str:  # noqa: ANN401
    """Return a text with another value for a key that is there."""
    name, old = _entry(mapping, key) or (None, None)
    if name is None or old is None or _is_flow(mapping) or getattr(old, "anchor", None):
        raise UneditableError(key)
    is_block = old.id != "scalar" and not _is_flow(old)
    if is_block or (old.id == "scalar" and old.style in ("|", ">")):
        if isinstance(value, dict) and not value:
            # The comment behind the key stays.
            colon = text.index(":", name.end_mark.index) + 1
            kept = text[colon : _line_start(text, old.start_mark.index)]
            return text[:colon] + " {}" + kept + text[_line_end(text, _end(old)) :]
        start = _line_start(text, name.start_mark.index)
        lines = _indented(dump({key: value}), name.start_mark.column)
        return text[:start] + lines + text[_line_end(text, _end(old)) :]
    return _with_simple_value(text, name, old, value, dump, indent)


def _with_simple_value(text: str, name: Any, old: Any, value: Json, dump: Dump, indent: int) -> str:  # noqa: ANN401
    """Return a text with another value for one that stands in the line of its key, like a word, `{}` or nothing."""
    colon = text.index(":", name.end_mark.index) + 1
    start, end = (old.start_mark.index, old.end_mark.index) if old.end_mark.index > colon else (colon, colon)
    gap = "" if start > colon else " "
    if isinstance(value, dict | list) and value:
        behind = _line_end(text, end)
        rest = text[end:behind].rstrip("\n")
        lines = _indented(dump(value), name.start_mark.column + (indent if isinstance(value, dict) else 0))
        return text[:colon] + (rest if rest.strip() else "") + "\n" + lines + text[behind:]
    return text[:start] + gap + _in_one_line(dump({"k": value})) + text[end:]


def _with_entry(text: str, mapping: Any, key: str, value: Json, dump: Dump) -> str:  # noqa: ANN401
    """Return a text with one more key, behind the last of its mapping."""
    lines = dump({key: value})
    if mapping is None:
        return _ended(text) + lines
    if _is_flow(mapping) or not mapping.value:
        raise UneditableError(key)
    first, last = mapping.value[0][0], mapping.value[-1]
    end = _line_end(text, max(_end(last[1]), last[0].end_mark.index))
    return _ended(text[:end]) + _indented(lines, first.start_mark.column) + text[end:]


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _indented(lines: str, columns: int) -> str:
    return "".join(f"{' ' * columns}{line}" if line.strip() else line for line in lines.splitlines(keepends=True))


def _in_one_line(lines: str) -> str:
    shown = lines.removeprefix("k:").strip()
    if "\n" in shown:
        raise UneditableError(shown)
    return shown
