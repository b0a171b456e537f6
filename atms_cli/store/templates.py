"""Templates of prompts, in Jinja's language, and other words that a repository has for agents.

jinja2 is imported when a prompt is made or a template is checked, and never before.
"""

from __future__ import annotations

import os
from os.path import dirname, join, normpath

from atms_cli.errors import PromptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jinja2.sandbox import SandboxedEnvironment

    Stamp = tuple[int, int, int] | None

#: The built-in template; others may extend it.
DEFAULT = "default"
DEFAULT_FILE = join(dirname(__file__), "default_prompt.md")
#: Longer than any template and any conventions.
_MOST_BYTES = 1_000_000
#: What can go wrong while a template is filled in beside Jinja's own errors.
_MISHAPS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
_HINT = "mend the template, and see what comes of it: atms task show ID --prompt"


class Templates:
    """The templates of one workspace: files, by their paths from its root, and the built-in one."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._environment: SandboxedEnvironment | None = None
        #: By template: what it and those that it is made of were like when they were looked through, and what was found.
        self._checked: dict[str, tuple[dict[str, Stamp], str | None]] = {}

    def read(self, names: Sequence[str]) -> tuple[str, str] | None:
        """Return the first of some files that exists, by name and text."""
        for name in names:
            text = self._text(name)
            if text is not None:
                return name, text
        return None

    def render(self, name: str | None, values: Mapping[str, object]) -> str:
        """Return a prompt: a template filled in, the built-in one unless another is named.

        Raises:
            PromptError: there is no such template, or it asks for what there is not.

        """
        from jinja2 import TemplateError

        from atms_cli.store.templatecheck import where, words_of

        template = name or DEFAULT
        try:
            text = self._jinja().get_template(template).render(values)
        except TemplateError as error:
            raise PromptError(f"the prompt cannot be made: {words_of(error, template)}", _HINT) from error
        except _MISHAPS as error:
            raise PromptError(f"the prompt cannot be made: {where(error, template)}: {error}", _HINT) from error
        return text.strip() + "\n"

    def problem(self, name: str) -> str | None:
        """Say what is wrong with a template, or with one that it is made of: its grammar, or a name that there is not."""
        known = self._checked.get(name)
        if known is not None and all(self._stamp(each) == stamp for each, stamp in known[0].items()):
            return known[1]
        from atms_cli.store.templatecheck import look_through

        seen: dict[str, Stamp] = {}

        def source(each: str) -> str | None:
            seen[each] = self._stamp(each)
            return self._text(each)

        try:
            found = look_through(self._jinja(), name, source)
        except PromptError as error:
            found = error.message
        self._checked[name] = seen, found
        return found

    def check(self, files: Mapping[str, str]) -> None:
        """Hold templates to what there is; they are given by the settings that name them.

        Raises:
            PromptError: one of them cannot be filled in; the message names the setting and the place.

        """
        for setting, name in files.items():
            found = self.problem(name)
            if found is not None:
                raise PromptError(f"{setting}: {found}", _HINT)

    def _path(self, name: str) -> str:
        if name == DEFAULT:
            return DEFAULT_FILE
        path = normpath(join(self._root, name))
        if not path.startswith(self._root.rstrip("/") + "/"):
            raise PromptError(f"`{name}` does not lie in {self._root}", "name a file of the repository, from its root")
        return path

    def _stamp(self, name: str) -> Stamp:
        try:
            status = os.stat(self._path(name))
        except (OSError, PromptError):
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _text(self, name: str) -> str | None:
        """Return what a file below the root holds, or None if there is none."""
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                return file.read(_MOST_BYTES).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise PromptError(f"cannot read {path}: {error.strerror}", "check its permissions") from error

    def _jinja(self) -> SandboxedEnvironment:
        if self._environment is None:
            from jinja2 import FunctionLoader, StrictUndefined
            from jinja2.sandbox import SandboxedEnvironment

            self._environment = SandboxedEnvironment(
                loader=FunctionLoader(self._load),
                undefined=StrictUndefined,
                autoescape=False,  # a prompt is no HTML
                trim_blocks=True,
                lstrip_blocks=True,
            )
            self._environment.filters |= {"fenced": fenced, "json": _json}
        return self._environment

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        stamp, text = self._stamp(name), self._text(name)
        return None if text is None else (text, name, lambda: self._stamp(name) == stamp)


def fenced(text: str) -> str:
    """Return a text as a block of code that nothing in it can end."""
    longest = 2
    for line in text.splitlines():
        bare = line.lstrip()
        longest = max(longest, len(bare) - len(bare.lstrip("`")))
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _json(value: object) -> str:
    from json import dumps

    return dumps(value, ensure_ascii=False)
