"""One call of one command: what the person wants of the output, and the workspace, opened when asked for."""

from __future__ import annotations

import os
import sys

from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import Json, JsonObject

#: Options that every command has, by the names of their values.
COMMON = ("json", "quiet", "workspace", "color", "yes", "no_input")
_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


class Call:
    """The common options, output, and the way to the workspace."""

    def __init__(self, common: dict[str, object]) -> None:
        self.json = bool(common.get("json"))
        self.quiet = bool(common.get("quiet"))
        self.yes = bool(common.get("yes"))
        self.no_input = bool(common.get("no_input"))
        self.environ = os.environ
        self._directory = str(common["workspace"]) if common.get("workspace") else None
        self._color = str(common.get("color") or "auto")
        self._opened: OpenWorkspace | None = None
        if self._color not in ("auto", "always", "never"):
            raise UsageError(f"`{self._color}` is not a colour mode", "choose one of: auto, always, never")

    @property
    def workspace(self) -> OpenWorkspace:
        """Return the workspace named or found."""
        if self._opened is None:
            from atms_cli.bootstrap import open_workspace

            self._opened = open_workspace(self._directory, self.environ)
        return self._opened

    @property
    def directory(self) -> str:
        """Return the directory named with --workspace, or the working directory."""
        return os.path.abspath(self._directory) if self._directory else os.getcwd()

    def out(self, text: str) -> None:
        """Write a line of data."""
        sys.stdout.write(text + "\n")

    def say(self, text: str) -> None:
        """Tell the person something; scripts do not see it."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    def document(self, value: object) -> None:
        """Write one JSON document."""
        from atms_cli.store.jsontext import encode

        record: Json = value  # type: ignore[assignment]
        sys.stdout.write(encode(record) + "\n")

    def answer(self, value: object, ids: Iterable[str], text: Callable[[], str]) -> None:
        """Write an answer in the form asked for: JSON, ids alone, or words."""
        if self.json:
            self.document(value)
        elif self.quiet:
            sys.stdout.write("".join(f"{each}\n" for each in ids))
        else:
            words = text()
            sys.stdout.write(words + "\n" if words else "")

    def colored(self) -> bool:
        """Return whether to colour (https://no-color.org, https://bixense.com/clicolors)."""
        if self._color != "auto":
            return self._color == "always"
        environ = self.environ
        if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
            return False
        if environ.get("FORCE_COLOR") or environ.get("CLICOLOR_FORCE", "0") != "0":
            return True
        return sys.stdout.isatty()

    def style(self, text: str, *names: str) -> str:
        """Return text in a style, where colours are on."""
        if not text or not names or not self.colored():
            return text
        codes = ";".join(_STYLES[name] for name in names)
        return f"\033[{codes}m{text}\033[0m"

    def text(self, value: str | None) -> str | None:
        """Return a TEXT option's value, with tokens masked: `-` is standard input, `@file` a file, `@@…` begins with @."""
        given = self._given(value)
        if given is None:
            return None
        from atms_cli.domain.secrets import without_secrets

        return without_secrets(given)

    @staticmethod
    def _given(value: str | None) -> str | None:
        if value == "-":
            return sys.stdin.read().rstrip("\n")
        if value is None or not value.startswith("@"):
            return value
        if value.startswith("@@"):
            return value[1:]
        try:
            with open(value[1:], encoding="utf-8") as file:
                return file.read().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise AtmsError(f"cannot read {value[1:]}: {error}", "write @@ for a text that begins with @") from error

    def confirm(self, question: str) -> bool:
        """Ask a person; without one, only --yes is a yes."""
        if self.yes:
            return True
        if self.no_input or not sys.stdin.isatty():
            raise AtmsError(f"{question}: nobody is here to ask", "say it with --yes")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def invoke(target: str, values: dict[str, object]) -> int:
    """Call a handler, named `module:function`, and return its exit code."""
    module_name, _, function_name = target.partition(":")
    __import__(module_name)
    handler = getattr(sys.modules[module_name], function_name)
    common = {name: values.pop(name) for name in COMMON if name in values}
    return int(handler(Call(common), **values) or 0)


def many(values: Sequence[str] | None) -> list[str]:
    """Return a repeatable option's values."""
    return list(values or ())


def environment(pairs: Sequence[str] | None) -> JsonObject:
    """Return NAME=VALUE words as a mapping."""
    for pair in many(pairs):
        if "=" not in pair[1:]:
            raise UsageError(f"`{pair}` is not an environment variable", "write it as NAME=VALUE")
    split = (pair.partition("=") for pair in many(pairs))
    return {name: value for name, _, value in split}
