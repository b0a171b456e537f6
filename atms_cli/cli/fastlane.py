"""Parsing plainly spelled command lines from a table that is generated from Typer's declarations.

Anything unusual (help, an error, `--`, joined short options) returns None and is left to Typer, so that both lanes
agree by construction; a property test holds them to it.
"""

from __future__ import annotations

from atms_cli.cli.fastlane_table import COMMANDS, COMMON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Values = dict[str, object]


def run(arguments: Sequence[str]) -> int:
    """Run one command line, by this lane or by Typer's, and return its exit code."""
    found = match(arguments)
    if found is None:
        _refuse_unknown(arguments)
        from atms_cli.cli.app import run as run_typer

        return run_typer(list(arguments))
    from atms_cli.cli.call import invoke

    return invoke(*found)


def _refuse_unknown(arguments: Sequence[str]) -> None:
    """Refuse what is no command at all without loading Typer, in the words that Typer's lane has as well."""
    path, names = "atms", {name.partition(" ")[0] for name in COMMANDS}
    for word in arguments[:2]:
        if not names or word.startswith("-"):
            return
        if word not in names:
            from atms_cli.cli.unknown import unknown

            raise unknown(word, names, path)
        path, names = f"{path} {word}", {name.partition(" ")[2] for name in COMMANDS if name.startswith(f"{word} ")}


def match(arguments: Sequence[str]) -> tuple[str, Values] | None:
    """Return the handler's name and its values, or None where Typer has to look."""
    if not arguments or " " in arguments[0]:
        return None
    command, rest = COMMANDS.get(" ".join(arguments[:2])), arguments[2:]
    if command is None:
        command, rest = COMMANDS.get(arguments[0]), arguments[1:]
    if command is None:
        return None
    target, positionals, options = command
    try:
        values, words = _split(rest, COMMON | options)
        for name, kind, _ in positionals:
            if kind == "option" and name not in values:
                _missing(name)
        return target, values | _place(words, positionals)
    except (LookupError, ValueError):
        return None


def _split(rest: Sequence[str], options: dict[str, tuple[str, str]]) -> tuple[Values, list[str]]:
    """Separate options from words; an unknown spelling is a LookupError."""
    values: Values = {}
    words: list[str] = []
    waiting = list(reversed(rest))
    while waiting:
        word = waiting.pop()
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        flag, joined, text = word.partition("=") if word.startswith("--") else (word, "", "")
        name, kind = options[flag]
        if kind in ("true", "false"):
            if joined:
                raise LookupError(word)
            values[name] = kind == "true"
            continue
        _store(values, name, kind, text if joined else waiting.pop())
    return values, words


def _store(values: Values, name: str, kind: str, text: str) -> None:
    if kind == "many":
        known = values.setdefault(name, [])
        if isinstance(known, list):
            known.append(text)
    else:
        values[name] = _convert(kind, text)


def _convert(kind: str, text: str) -> object:
    """Convert plain digits; Typer may know more spellings and has better words for what is wrong."""
    if kind in ("int", "positive"):
        if not text.isascii() or not text.isdigit() or (kind == "positive" and not int(text)):
            raise ValueError(text)
        return int(text)
    return text


def _place(words: list[str], positionals: Sequence[tuple[str, str, bool]]) -> Values:
    """Give words to arguments; too few or too many are Typer's to complain about."""
    values: Values = {}
    for name, kind, required in positionals:
        if kind == "option":
            continue
        if kind == "many":
            if words or required:
                values[name] = words or _missing(name)
            words = []
        elif words:
            values[name] = _convert(kind, words[0])
            words = words[1:]
        elif required:
            _missing(name)
    if words:
        raise LookupError(words[0])
    return values


def _missing(name: str) -> list[str]:
    raise LookupError(name)
