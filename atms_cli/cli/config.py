"""Settings: what stands in atms.yaml, and what holds."""

from __future__ import annotations

from atms_cli.errors import NotFoundError, UsageError
from atms_cli.services.identity import note_settings, people_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call

_WHY = "a person decides how work is done and judged"


def get(call: Call, key: o.Key) -> None:
    """Print one setting as it holds."""
    value: object = call.workspace.config
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise NotFoundError(f"no setting `{key}`", "see them all: atms config list")
        value = value[part]
    call.answer(value, [key], lambda: _words(value))


def _words(value: object) -> str:
    from atms_cli.store.jsontext import encode

    return value if isinstance(value, str) else encode(value)  # type: ignore[arg-type]


def set_(call: Call, key: o.Key, value: o.Setting) -> None:
    """Change one setting in atms.yaml; comments stay."""
    people_only(call.workspace, "change settings", _WHY)
    parsed = _parsed(value)

    def change(document: dict[str, object]) -> None:
        *above, last = key.split(".")
        section = document
        for part in above:
            inner = section.get(part)
            if not isinstance(inner, dict):
                section[part] = inner = {}
            section = inner
        section[last] = parsed

    call.workspace.settings.edit(change)
    call.workspace.reload_config()
    note_settings(call.workspace, f"{key} set to {value}")
    call.say(f"{key} set in {call.workspace.settings.path}")
    get(call, key)


def _parsed(value: str) -> object:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(value)
    except YAMLError as error:
        raise UsageError(f"`{value}` is not a YAML value", "put text with special characters in quotes") from error


def unset(call: Call, key: o.Key) -> None:
    """Take one setting out of atms.yaml, so that its default holds."""
    people_only(call.workspace, "change settings", _WHY)

    def change(document: dict[str, object]) -> None:
        *above, last = key.split(".")
        section: object = document
        for part in above:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            raise NotFoundError(f"`{key}` is not set in {call.workspace.settings.path}")
        del section[last]

    call.workspace.settings.edit(change)
    note_settings(call.workspace, f"{key} unset")
    call.answer({"unset": key}, [key], lambda: f"{key} taken out of {call.workspace.settings.path}")


def list_(call: Call) -> None:
    """Print all settings as they hold."""
    config = call.workspace.config
    lines = list(_flat("", config))
    call.answer(
        config, [name for name, _ in lines], lambda: "\n".join(f"{name} = {_words(value)}" for name, value in lines)
    )


def _flat(prefix: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [each for name, member in value.items() for each in _flat(f"{prefix}{name}.", member)]
    return [(prefix.rstrip("."), value)]


def path(call: Call) -> None:
    """Print where atms.yaml is."""
    where = call.workspace.settings.path
    call.answer({"path": where}, [where], lambda: where)


def validate(call: Call) -> None:
    """Check atms.yaml."""
    from atms_cli.services import prompts

    call.workspace.settings.load()
    prompts.check(call.workspace)
    call.answer({"valid": True}, [], lambda: f"{call.workspace.settings.path} is good")


def schema(call: Call) -> None:
    """Print the JSON Schema of atms.yaml, for editors."""
    from atms_cli.store.settings_schema import json_schema

    call.document(json_schema())
