"""Gates on the command line: every option of `gate add`, what is refused, what `init` finds, and what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)


def test_all_that_a_gate_can_say(atms: Atms) -> None:
    atms(
        "gate",
        "add",
        "lint",
        "--arg",
        "ruff",
        "--arg",
        "check",
        "--arg",
        "{files}",
        "--kind",
        "lint",
        "--group",
        "fast",
    )
    words = [
        "--command", "pytest -q --junitxml={reports}/x.xml", "--kind", "test", "--after", "fast", "--category", "feature",
        "--priority", "high", "--tag", "db", "--path", "*.py", "--when", '{"not": {"complexity": ["trivial"]}}',
        "--timeout", "5m", "--retries", "2", "--expect-exit", "0", "--expect-exit", "5", "--expect-output", "passed",
        "--refuse-output", "rror", "--report", "junit:{reports}/x.xml", "--report", "coverage.xml",
        "--threshold", "coverage=80", "--cache", "no", "--input", "src/", "--cwd", "sub", "--env", "A=b",
        "--stage", "ci", "--advisory",
    ]  # fmt: skip
    assert atms.json("gate", "add", "tests", *words) == {
        "name": "tests", "command": "pytest -q --junitxml={reports}/x.xml", "kind": "test", "required": False, "stages": ["ci"],
        "group": None, "depends_on": ["fast"],
        "when": {
            "category": ["feature"], "priority": ["high"], "tags": ["db"], "paths": ["*.py"], "not": {"complexity": ["trivial"]},
        },
        "timeout": 300.0, "retries": 2, "working_directory": "sub", "environment": {"A": "b"},
        "expect": {"exit_codes": [0, 5], "output": ["passed"], "no_output": ["rror"]},
        "reports": [{"path": "{reports}/x.xml", "format": "junit"}, {"path": "coverage.xml", "format": "auto"}],
        "thresholds": {"coverage": {"line": 80}}, "cache": False, "inputs": ["src/"],
    }  # fmt: skip
    shown = atms("gate", "show", "tests").out
    for part in (
        "test, advisory",
        "fast",
        "category feature",
        "*.py changed",
        "not (complexity trivial)",
        "5m",
        "0 5",
        "junit",
        "A=b",
    ):
        assert part in shown
    assert "AFTER" in atms("gate", "list").out
    assert [gate["name"] for gate in atms.json("gate", "run", "--stage", "ci", code=7)["gates"]] == ["lint", "tests"]
    assert "ruff check '{files}'" in atms("gate", "show", "fast").out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["a"], 2, "a gate needs a command"),
        (["a", "--command", "x", "--arg", "y"], 2, "not both"),
        (["a", "--command", "x", "--kind", "nice"], 2, "`nice` is not a kind of gate"),
        (["a", "--command", "x", "--stage", "never"], 2, "`never` is not a stage"),
        (["a", "--command", "x", "--expect-exit", "one"], 2, "`one` is no exit code"),
        (["a", "--command", "x", "--expect-output", "("], 2, "`(` is no regular expression"),
        (["a", "--command", "x", "--when", "{"], 2, "--when is no JSON"),
        (["a", "--command", "x", "--when", "[]"], 2, "--when has to be an object"),
        (["a", "--command", "x", "--cache", "maybe"], 2, "`maybe` is not a way to cache"),
        (["a", "--command", "x", "--threshold", "high"], 2, "`high` is no threshold"),
        (["a", "--command", "x", "--retries", "11"], 1, "gates.a.retries: "),
        (["a", "--command", "x", "--after", "b"], 1, "gates.a: it depends on `b`, which is not defined"),
        (["a", "--command", "x", "--path", "{"], 1, "gates.a.when: `{` is no glob"),
        (["a", "--command", "x", "--when", '{"colour": 1}'], 1, "gates.a.when: Object contains unknown field `colour`"),
        (["a", "--command", "x", "--kind", "review"], 1, "gates.a: a review has no command"),
    ],
)
def test_what_cannot_be_defined(atms: Atms, words: list[str], code: int, message: str) -> None:
    atms.settings("gates: {b2: x}  # ours\n")
    assert message in atms("gate", "add", *words, code=code).err
    assert (atms.root / "atms.yaml").read_text(encoding="utf-8") == "gates: {b2: x}  # ours\n"


def test_a_circle_is_shown_and_refused(atms: Atms) -> None:
    atms("gate", "add", "a", "--command", "x")
    atms("gate", "add", "b", "--command", "x", "--after", "a")
    refused = atms("config", "set", "gates.a.depends_on", "[b]", code=1)
    assert "dependencies would form a cycle: a -> b -> a" in refused.err


def test_a_gate_that_others_depend_on_cannot_go_first(atms: Atms) -> None:
    atms("gate", "add", "a", "--command", "x", "--group", "g")
    atms("gate", "add", "b", "--command", "x", "--after", "a")
    assert "it depends on `a`" in atms("gate", "remove", "a", code=1).err
    assert "`g` is a group" in atms("gate", "remove", "g", code=2).err


def test_commands_of_one_task_alone(atms: Atms) -> None:
    one = atms.add(
        "Work", "--check", "exit 3", "--check-exit", "3", "--check", "echo fine; exit 3", "--check-output", "."
    )
    expect = {"exit_codes": [3], "output": ["."], "no_output": []}
    assert atms.task(one)["validation_criteria"]["commands"] == [
        {"command": "exit 3", "expect": expect}, {"command": "echo fine; exit 3", "expect": expect},
    ]  # fmt: skip
    assert "`exit 3` ends with 3, prints ." in atms("task", "show", one).out
    assert "gate check-1: its output has nothing like `.`" in atms("task", "done", one, code=7).err
    atms("task", "update", one, "--check", "true")
    atms("task", "done", one)
    assert "there is no command to expect that of" in atms("task", "add", "x", "--check-exit", "1", code=2).err
    two = atms.add("More", "--check", "false")
    atms("task", "update", two, "--clear", "check")
    atms("task", "done", two)


def test_limits_by_their_parts(atms: Atms) -> None:
    words = [
        "--command",
        "x",
        "--report",
        "c.xml",
        "--threshold",
        "coverage.line=80",
        "--threshold",
        "coverage.changed=90",
    ]
    assert atms.json("gate", "add", "a", *words)["thresholds"] == {"coverage": {"line": 80, "changed": 90}}
    refused = atms("gate", "add", "b", *words, "--threshold", "coverage=1", "--threshold", "coverage.line=2", code=2)
    assert "`coverage.line=2` is at odds with a threshold before it" in refused.err


def test_what_to_do_with_a_new_gate(atms: Atms) -> None:
    assert "try it: atms gate run 'two words'\n" in atms("gate", "add", "two words", "--command", "true").out
    assert "wait for a person: atms task approve ID\n" in atms("gate", "add", "eyes", "--kind", "review").out


def test_an_advisory_gate_that_failed_has_not_passed(atms: Atms) -> None:
    atms("gate", "add", "hint", "--command", "false", "--advisory")
    assert atms("gate", "run").out.endswith("0 of 1 gate passed, 1 failed, which stops nothing\n")
    atms("gate", "add", "hard", "--command", "false")
    assert atms("gate", "run", "hard", code=7).out.endswith("\nthe gate failed\n")


def test_no_results_at_all_are_no_number_to_ask_for(atms: Atms) -> None:
    assert "is not in the range x>=1" in atms("gate", "results", "-n", "0", code=2).err


def test_results_of_a_run_have_their_reasons_whole(atms: Atms) -> None:
    atms(
        "gate",
        "add",
        "a",
        "--command",
        "echo no",
        "--expect-output",
        "a pattern that is longer than what a table has room for",
    )
    atms("gate", "run", code=7)
    run = atms("gate", "results", "-q").line
    assert (
        "\n\na  its output has nothing like `a pattern that is longer than what a table has room for`\n"
        in atms("gate", "results", run).out
    )
    assert "no gate `b`" in atms("gate", "results", "--gate", "b", code=4).err
    atms("gate", "remove", "a")
    assert atms("gate", "results", "--gate", "a", "-q").line == run, "what was found of a gate that is gone stays"


def test_init_proposes_what_is_there(atms: Atms) -> None:
    atms.write("Makefile", "lint:\n\ttrue\n")
    assert "found make-lint; make gates of them: atms init --template auto" in atms("init").err
    assert "`cobol` is not a template" in atms("init", "--template", "cobol", code=2).err
    made = atms("init", "--template", "auto")
    assert "gate make-lint: make lint  (from Makefile)" in made.out
    assert [gate["kind"] for gate in atms.json("gate", "list")] == ["lint"]
    assert "found" not in atms("init").err, "it has the gate already"
    again = atms("init", "--template", "auto")
    assert "no gate was added" in again.err
    assert "agents cannot change gates" in atms("init", "--template", "auto", code=1, env={"ATMS_AGENT": "x"}).err
