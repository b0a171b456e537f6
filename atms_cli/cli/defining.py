"""What the options of `gate add` and `task add --check` mean, as atms.yaml and tasks have it."""

from __future__ import annotations

from json import loads

from atms_cli.cli.call import many
from atms_cli.domain import conditions
from atms_cli.domain import gate as gates
from atms_cli.domain.moment import parse_duration
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Json, JsonObject


def kind(named: str | None) -> str:
    """Return a kind of gate."""
    found = named or str(gates.DEFAULTS["kind"])
    if found not in gates.KINDS:
        raise UsageError(f"`{found}` is not a kind of gate", f"choose one of: {', '.join(gates.KINDS)}")
    return found


def command(line: str | None, words: Sequence[str] | None, named: str | None) -> str | list[str]:
    """Return a line of shell, or the words of a command."""
    if line is not None and words:
        raise UsageError("a gate has a line of shell or words, not both", "leave out --command or --arg")
    if not line and not words and named != gates.REVIEW:
        raise UsageError("a gate needs a command", 'like: atms gate add tests --command "pytest -q"')
    return line or many(words) or ""


def condition(text: str | None, clauses: Mapping[str, Sequence[str]]) -> JsonObject:
    """Return a condition given as JSON, and clauses that have options of their own."""
    given: object = {}
    if text is not None:
        try:
            given = loads(text)
        except ValueError as error:
            raise UsageError(
                f"--when is no JSON: {error}", 'like: --when \'{"any_of": [{"tags": ["db"]}]}\''
            ) from error
    if not isinstance(given, dict):
        raise UsageError("--when has to be an object", f"its clauses are: {', '.join(conditions.CLAUSES)}")
    return {**given, **{name: list(wanted) for name, wanted in clauses.items() if wanted}}


def timeout(words: str | None) -> Json:
    """Return the seconds that a gate may take."""
    return parse_duration(words) if words else gates.DEFAULTS["timeout"]


def expectation(exits: Sequence[str], output: Sequence[str], no_output: Sequence[str]) -> JsonObject:
    """Return how a command that passes ends, whole."""
    usual = gates.DEFAULTS["expect"]
    given: JsonObject = {"exit_codes": [_exit_code(each) for each in exits], "output": output, "no_output": no_output}
    whole: JsonObject = {
        **(usual if isinstance(usual, dict) else {}),
        **{name: said for name, said in given.items() if said},
    }
    gates.check_expectation(whole)  # type: ignore[arg-type]  # it has the keys of one
    return whole


def _exit_code(word: str) -> int:
    if not word.isdigit():
        raise UsageError(f"`{word}` is no exit code", "write a number from 0 to 255")
    return int(word)


def reports(given: Sequence[str] | None) -> list[Json]:
    """Return report files from `[FORMAT:]PATH`."""
    split = [each.rpartition(":") for each in many(given)]
    return [{"path": path, "format": form or "auto"} for form, _, path in split]


def thresholds(given: Sequence[str] | None) -> JsonObject:
    """Return limits from `NAME=VALUE` and `NAME.PART=VALUE`; what is no JSON is text."""
    found: JsonObject = {}
    for each in many(given):
        names, is_pair, text = each.partition("=")
        name, is_part, part = names.partition(".")
        if not name or not is_pair or bool(is_part) != bool(part):
            raise UsageError(f"`{each}` is no threshold", "write it like coverage.line=80 or new_findings=0")
        if part:
            found[name] = {**_parts(found.get(name), each), part: _value(text)}
        else:
            found[name] = _value(text)
    return found


def _parts(known: Json, given: str) -> JsonObject:
    if known is None or isinstance(known, dict):
        return known or {}
    raise UsageError(f"`{given}` is at odds with a threshold before it", "give the whole limit, or its parts")


def _value(text: str) -> Json:
    try:
        value: Json = loads(text)
    except ValueError:
        return text
    return value


def cache(how: str | None) -> bool | None:
    """Return whether passes are kept."""
    choices = {None: None, "yes": True, "no": False}
    if how not in choices:
        raise UsageError(f"`{how}` is not a way to cache", "choose one of: yes, no")
    return choices[how]


def checks(lines: Sequence[str] | None, exits: Sequence[str] | None, outputs: Sequence[str] | None) -> list[Json]:
    """Return the commands of one task alone."""
    if not lines and (exits or outputs):
        raise UsageError("there is no command to expect that of", "give it with: --check CMD")
    if not exits and not outputs:
        return [{"command": line} for line in many(lines)]
    expect = expectation(many(exits), many(outputs), ())
    return [{"command": line, "expect": expect} for line in many(lines)]
