"""Two parsers, one meaning: what the fast lane takes, Typer would have taken likewise."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atms_cli.cli import app, fastlane, fastlane_build, fastlane_table, options
from atms_cli.cli.call import COMMON
from atms_cli.cli.registry import GROUPS, SINGLE, targets
from atms_cli.errors import AtmsError

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = fastlane_table.COMMANDS
CLI = Path(fastlane_table.__file__).parent


def handler(target: str) -> Callable[..., object]:
    module, _, function = target.partition(":")
    found: Callable[..., object] = getattr(import_module(module), function)
    return found


def effective(target: str, values: dict[str, object]) -> dict[str, object]:
    """Fill in the handler's defaults; no values are like none given."""
    parameters = list(inspect.signature(handler(target)).parameters.values())[1:]
    defaults = {each.name: None if each.default is inspect.Parameter.empty else each.default for each in parameters}
    merged = {**dict.fromkeys(COMMON), **defaults, **values}
    return {name: None if value in ([], ()) else value for name, value in merged.items()}


def by_typer(arguments: list[str]) -> tuple[str, dict[str, object]] | str:
    """Return what Typer would call, or its complaint."""
    called: list[tuple[str, dict[str, object]]] = []

    def note(target: str, values: dict[str, object]) -> int:
        called.append((target, values))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "invoke", note)
        try:
            app.run(arguments)
        except AtmsError as error:
            return error.message
    (call,) = called
    return call


TEXTS = st.sampled_from(
    ["", "x", "high", "a b", "-", "@f", "ü", "1", "007", "-5", "x=y", "=", "--", "-q", "--json", "٣", "+3", " 4"]
)
NUMBERS = st.sampled_from(["0", "7", "007", "-1", "1.5", "x", "", "٣"])


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Plain and odd spellings around the options that a command has."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    _, positionals, own = COMMANDS[name]
    known = fastlane_table.COMMON | own
    parts: list[list[str]] = [[draw(TEXTS)] for _ in range(draw(st.integers(0, len(positionals) + 1)))]
    for spelling in draw(st.lists(st.sampled_from([*known, "--bogus", "-x", "-h"]), max_size=4)):
        kind = known.get(spelling, ("", "true"))[1]
        value = draw(NUMBERS if kind == "int" and draw(st.booleans()) else TEXTS)
        ways = [[spelling, value], [spelling], [f"{spelling}={value}"], [f"{spelling}{value}"]]
        usual = ways[1] if kind == "true" else ways[0]
        parts.append(usual if draw(st.integers(0, 3)) else draw(st.sampled_from(ways)))
    required = [spelling for spelling, (own, _) in known.items() if (own, "option", True) in positionals]
    is_given = draw(st.booleans())
    if required and is_given:
        parts.append([required[0], "make"])
    mixed = draw(st.permutations(parts))
    words = draw(st.sampled_from([name.split()] * 9 + [[name]]))
    before = draw(st.sampled_from([[], [], [], ["--json"], ["--workspace", "x"]]))
    return [*before, *words, *(word for part in mixed for word in part)]


@settings(max_examples=600, deadline=None)
@given(command_lines())
@example(["task add", "x"])
@example(["task list"])
@example(["task", "add", "x", "-d", "-"])
@example(["gate", "add", "x", "--command", "make"])
@example(["gate", "add", "x"])
@example(["task", "done", "--force", "--reason", "--force", "x"])
@example(["task", "list", "--limit", "007"])
@example(["init", "init"])
@example([])
@example([""])
def test_what_the_fast_lane_takes_means_the_same_to_typer(arguments: list[str]) -> None:
    found = fastlane.match(arguments)
    if found is None:
        return
    target, values = found
    expected = by_typer(list(arguments))
    assert not isinstance(expected, str), f"Typer refuses: {expected}"
    assert (target, effective(target, values)) == (expected[0], effective(*expected))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_fast_lane_takes_the_plain_spelling_of_every_option(name: str) -> None:
    target, positionals, known = COMMANDS[name]
    base = [*name.split(), *("w" for _, kind, required in positionals if required and kind != "option")]
    for own in (spelling for spelling, (own, _) in known.items() if (own, "option", True) in positionals):
        base += [own, "v"]
    for spelling, (value_name, kind) in known.items():
        text = {"int": ["3"], "positive": ["3"], "true": []}.get(kind, ["v"])
        found = fastlane.match([*base, spelling, *text])
        assert found is not None
        assert found[0] == target
        most = ["v", "v"] if (value_name, "option", True) in positionals else ["v"]
        assert found[1][value_name] == {"int": 3, "positive": 3, "true": True, "many": most}.get(kind, "v")


def test_the_table_is_what_the_declarations_make() -> None:
    assert (CLI / "fastlane_table.py").read_text(encoding="utf-8") == fastlane_build.source()


@pytest.mark.parametrize(("name", "target"), sorted(targets().items()))
def test_every_command_has_a_documented_handler(name: str, target: str) -> None:
    function = handler(target)
    assert name
    assert inspect.getdoc(function)
    assert next(iter(inspect.signature(function).parameters)) == "call"


def test_every_annotation_names_a_declared_option() -> None:
    for target in targets().values():
        for parameter in list(inspect.signature(handler(target)).parameters.values())[1:]:
            assert hasattr(options, parameter.annotation.removeprefix("o.")), (target, parameter)


def test_every_declared_option_is_used() -> None:
    used = {
        parameter.annotation.removeprefix("o.")
        for target in targets().values()
        for parameter in list(inspect.signature(handler(target)).parameters.values())[1:]
    }
    common: dict[str, Any] = options.COMMON
    declared = {
        name for name, value in vars(options).items() if hasattr(value, "__metadata__") and value not in common.values()
    }
    assert declared == used | {"Version"}


def test_every_function_of_a_command_module_that_takes_a_call_is_registered() -> None:
    known = set(targets().values())
    modules = {module for module, _ in GROUPS.values()} | {target.partition(":")[0] for target in SINGLE.values()}
    for module in modules:
        for name, function in vars(import_module(module)).items():
            if name.startswith("_") or not inspect.isfunction(function) or function.__module__ != module:
                continue
            if next(iter(inspect.signature(function).parameters), "") == "call":
                assert f"{module}:{name}" in known


def test_the_table_can_be_made_anew(tmp_path: Path) -> None:
    code = "import sys; from atms_cli.cli import fastlane_build as b; sys.stdout.write(b.source())"
    made = subprocess.run(  # noqa: TID251  a fresh interpreter
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    )
    assert made.stdout == fastlane_build.source()
