"""atms.yaml: checked with msgspec, compiled to JSON for the hot path, edited so that comments survive."""

from __future__ import annotations

import os
from os.path import dirname, join

from atms_cli.errors import AtmsError, NewerError
from atms_cli.store.jsontext import decode, encode
from atms_cli.store.paths import COMPILED_CONFIG, CONFIG, DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from atms_cli.domain.config import Config
    from atms_cli.domain.records import JsonObject

#: Raise it when compiled settings mean something else, so that old ones are compiled anew.
_COMPILED_VERSION = 9
#: The newest version of atms.yaml that this program knows.
_VERSION = 1


class Settings:
    """The settings of one workspace."""

    def __init__(self, root: str) -> None:
        self.path = join(root, CONFIG)
        self._compiled = join(root, DIRECTORY, COMPILED_CONFIG)

    def load(self) -> Config:
        """Return the settings; from the compiled form while atms.yaml has not changed.

        Raises:
            AtmsError: atms.yaml is wrong; the message names the place.

        """
        fingerprint = self._fingerprint()
        if not fingerprint:
            from atms_cli.domain.config import default

            return default()
        try:
            with open(self._compiled, encoding="utf-8") as file:
                stored = decode(file.read())
            if stored["fingerprint"] == fingerprint:
                config: Config = stored["config"]
                return config
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return self._compile(fingerprint)

    def _fingerprint(self) -> list[int]:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return []
        return _fingerprint_of(status)

    def _compile(self, fingerprint: list[int]) -> Config:
        return self._keep(parse(self._text(), self.path), fingerprint)

    def _keep(self, config: Config, fingerprint: list[int]) -> Config:
        """Write the compiled form of settings."""
        record: JsonObject = {"fingerprint": list(fingerprint), "config": config}
        try:
            write_atomically(self._compiled, encode(record).encode())
        except AtmsError:
            # A read-only workspace can still be read; it just compiles every time.
            return config
        return config

    def _text(self) -> str:
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise AtmsError(f"cannot read {self.path}: {error}") from error

    def edit(self, change: Callable[[Any], None]) -> None:
        """Change atms.yaml through its parsed form; comments and order stay, and a wrong result is not written."""
        text = self._text()
        yaml = _editor(text)
        tree = _tree(text, self.path, yaml)
        before = _plain(tree)
        change(tree)
        new = _with_changes(text, before, tree, yaml)
        config = parse(new, self.path)
        self._check_prompts(config)
        status = write_atomically(self.path, new.encode())
        self._keep(config, _fingerprint_of(status))

    def _check_prompts(self, config: Config) -> None:
        """Refuse templates that cannot be filled in, before they are written down."""
        from atms_cli.domain.prompt import files_in

        if files_in(config):
            from atms_cli.store.templates import Templates

            Templates(dirname(self.path)).check(files_in(config))


def _with_changes(text: str, before: JsonObject, tree: Any, yaml: Any) -> str:  # noqa: ANN401  a YAML tree
    """Return a text that says what a changed tree does: edited in place, or written anew where that is beyond us."""
    from atms_cli.store.yamledit import UneditableError, edited

    after = _plain(tree)
    try:
        new = edited(text, before, after, lambda value: _dumped(value, yaml), _mapping_indent(text))
        if _plain(_tree(new, "", _editor(new))) == after:
            return new
    except (UneditableError, AtmsError):
        pass
    return _dumped(tree, yaml)


def _dumped(value: Any, yaml: Any) -> str:  # noqa: ANN401
    from io import StringIO

    buffer = StringIO()
    yaml.dump(value, buffer)
    return buffer.getvalue()


def _plain(value: Any) -> Any:  # noqa: ANN401  a YAML tree holds anything
    if isinstance(value, dict):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _editor(text: str) -> Any:  # noqa: ANN401  what ruamel.yaml has no type for
    """Return a YAML writer that keeps comments, quotes, and the text's own indentation."""
    from contextlib import suppress

    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.util import load_yaml_guess_indent

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    indent = offset = None
    if any(line.lstrip().startswith("- ") for line in text.splitlines()):
        with suppress(YAMLError):  # said by whoever loads the text
            _, indent, offset = load_yaml_guess_indent(text)
    yaml.indent(mapping=_mapping_indent(text), sequence=indent or 4, offset=offset or 2)
    return yaml


def _tree(text: str, path: str, yaml: Any) -> Any:  # noqa: ANN401
    """Return the keys and values of a text, as that YAML reader makes them."""
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    try:
        tree = yaml.load(text)
    except YAMLError as error:
        raise AtmsError(f"{path} is not YAML: {_one_line(error)}", "correct it by hand: atms config path") from error
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, dict):
        raise AtmsError(f"{path} must hold keys and values", "what it may hold: atms config schema")
    return tree


def _mapping_indent(text: str) -> int:
    """Return by how much the first key below another is indented."""
    for line in text.splitlines():
        body = line.lstrip(" ")
        if body != line and body[:1] not in ("", "#", "-"):
            return len(line) - len(body)
    return 2


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or error}{place}".replace("\n", " ")


def parse(text: str, path: str) -> Config:
    """Return the settings in the text of an atms.yaml.

    Raises:
        AtmsError: something in it is wrong; the message names the first place.

    """
    from ruamel.yaml import YAML

    from atms_cli.store import settings_schema

    tree = _plain(_tree(text, path, YAML(typ="safe", pure=True)))
    version = tree.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise NewerError(f"{path}: version {version} is of a newer atms, this one knows {_VERSION}", "upgrade atms")
    try:
        return settings_schema.parse(tree)
    except ValueError as error:
        raise AtmsError(f"{path}: {error}", "what it may hold: atms config schema") from error


def _fingerprint_of(status: os.stat_result) -> list[int]:
    return [_COMPILED_VERSION, status.st_mtime_ns, status.st_size, status.st_ino]


def write_atomically(path: str, content: bytes) -> os.stat_result:
    """Put a file in place whole, or not at all; return its status, whoever has put another there since.

    Raises:
        AtmsError: the disk is full or not writable; the file is as it was.

    """
    try:
        return _write_atomically(path, content)
    except OSError as error:
        raise AtmsError(f"cannot write {path}: {error.strerror}", "check permissions and free space") from error


def _write_atomically(path: str, content: bytes) -> os.stat_result:
    fresh = f"{path}.{os.getpid()}.new"
    try:
        with open(fresh, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            status = os.fstat(file.fileno())
        if os.path.exists(path):
            os.chmod(fresh, os.stat(path).st_mode & 0o777)
        os.replace(fresh, path)
        return status
    finally:
        if os.path.exists(fresh):
            os.remove(fresh)
