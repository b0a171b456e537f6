"""atms.yaml: what it may say, how it is corrected, and what survives an edit."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import config as defaults
from atms_cli.domain import gate
from atms_cli.errors import AtmsError
from atms_cli.store import creation, settings
from atms_cli.store.settings import Settings

COMMENTED = """\
# Ours.
queue:
    strategy: fifo   # oldest first
gates:
    tests: 'pytest -q'   # quick
    # the slow ones
    all:
        command: pytest
        stages:
          - ci
agents: {}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".atms").mkdir()
    return tmp_path


def written(root: Path, text: str) -> Settings:
    (root / "atms.yaml").write_text(text, encoding="utf-8")
    return Settings(str(root))


def test_nothing_said_means_the_defaults(root: Path) -> None:
    assert Settings(str(root)).load() == defaults.default()
    for text in ("", "# nothing\n", "version: 1\n", "queue:\ngates:\nagents:\n"):
        assert written(root, text).load() == defaults.default()


def test_the_template_means_the_defaults(root: Path) -> None:
    assert creation.write_settings(str(root))
    assert not creation.write_settings(str(root)), "one that is there stays"
    assert Settings(str(root)).load() == defaults.default()
    (root / ".atms" / "backups").mkdir()
    creation.back_up_settings(str(root))
    assert not creation.has_settings(str(root))


def test_short_forms(root: Path) -> None:
    config = written(
        root, "gates:\n  tests: pytest -q\nagents:\n  anton: ./work\nclaims: {lease: 1h30m}\nqueue: {ageing: 90}\n"
    ).load()
    assert config["gates"]["tests"] == {**gate.DEFAULTS, "name": "tests", "command": "pytest -q"}
    assert config["agents"]["anton"]["command"] == "./work"
    assert (config["claims"]["lease"], config["queue"]["ageing"]) == (5400.0, 90.0)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("queue: {strategy: best}\n", "queue.strategy"),
        ("queue: {ageing: 0}\n", "queue.ageing"),
        ("queue: {strategy: best}\n", "choose one of: priority, fifo"),
        ("queue: {weights: {b: 1, a: -1}}\n", "queue: the weight of `a` is -1.0"),
        ("queue: {lanes: {x: , y: {concurrency: 0}}}\n", "queue.lanes.y.concurrency"),
        ("queue: {quiet: [sat, lunch]}\n", "queue.quiet.1: `lunch`"),
        ("agents: {b: work, a: {rate: often}}\n", "agents.a.rate: `often` is not a rate"),
        ("gates: {b: x, a: {commnd: x}}\n", "gates.a: Object contains unknown field `commnd`"),
        ("queue: {ageing: .inf}\n", "queue.ageing"),
        ("queue: {ageing: .nan}\n", "queue.ageing"),
        ("queue: {ageing: soon}\n", "`soon` is not a duration"),
        ("execution: {jobs: 0}\n", "execution.jobs"),
        ("execution: {timeout: -5s}\n", "execution.timeout"),
        ("gates: {a: {command: ''}}\n", "gates.a: it has no command"),
        ("gates: {a: {command: []}}\n", "gates.a: it has no command"),
        ("gates: {a: {command: x, kind: review}}\n", "gates.a: a review has no command"),
        ("gates: {a: {command: x, depends_on: [b]}}\n", "gates.a: it depends on `b`"),
        ("gates: {a: {command: x, depends_on: [b]}, b: {command: x, depends_on: [a]}}\n", "a -> b -> a"),
        ("gates: {b: x, a: {command: x, when: {category: red}}}\n", "gates.a.when: `red` is not a category"),
        ("gates: {a: {command: x, when: {any_of: [{paths: '{'}]}}}\n", "gates.a.when.any_of.0: `{` is no glob"),
        ("gates: {a: {command: x, when: {colour: red}}}\n", "gates.a.when: Object contains unknown field `colour`"),
        ("gates: {a: {command: x, inputs: ['{']}}\n", "gates.a: `{` is no glob"),
        ("gates: {a: {command: x, expect: {output: ['(']}}}\n", "gates.a: `(` is no regular expression"),
        ("gates: {a: {command: x, expect: {exit_codes: [300]}}}\n", "gates.a: 300 is no exit code"),
        ("gates: {a: {command: x, retries: -1}}\n", "gates.a.retries"),
        ("gates: {a: {command: x, timeout: 0}}\n", "gates.a.timeout"),
        ("execution: {gate_jobs: 0}\n", "execution.gate_jobs"),
        ("gates: {a: {command: x, stages: [never]}}\n", "gates.a.stages.0"),
        ("gates: {a: 5}\n", "gates.a"),
        ("agents: {shell: work}\n", "always there"),
        ("agents: {anton: {kind: command}}\n", "needs a command"),
        ("surprise: 1\n", "surprise"),
        ("version: 2\n", "version"),
        ("- a list\n", "keys and values"),
        ("just words", "keys and values"),
        ("queue: {strategy: fifo\n", "line 2"),
        ("queue:\n  a: 1\n a: 2\n", "line 3"),
        ("a: 1\na: 2\n", "duplicate"),
        ("\tqueue: 1\n", "line 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(root: Path, text: str, place: str) -> None:
    with pytest.raises(AtmsError) as refusal:
        written(root, text).load()
    assert place in refusal.value.message
    assert str(root / "atms.yaml") in refusal.value.message
    assert refusal.value.hint


@given(st.text(st.sampled_from("aq:{}[]-#&*!|>'\"%@`? \n\t,1.~é"), max_size=30) | st.text(max_size=30))
def test_any_text_is_settings_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(AtmsError):
        settings.parse(text, "atms.yaml")


def test_bytes_that_are_no_text_are_an_error_of_ours(root: Path) -> None:
    (root / "atms.yaml").write_bytes(b"queue: \xff\n")
    with pytest.raises(AtmsError, match="cannot read"):
        Settings(str(root)).load()


def test_an_edit_touches_nothing_else(root: Path) -> None:
    found = written(root, COMMENTED)
    found.edit(lambda tree: tree["queue"].update(strategy="lifo"))
    text = (root / "atms.yaml").read_text(encoding="utf-8")
    assert text == COMMENTED.replace("fifo ", "lifo ")
    assert found.load()["queue"]["strategy"] == "lifo"
    found.edit(lambda tree: tree["gates"].update(lint={"command": "ruff check"}))
    added = (root / "atms.yaml").read_text(encoding="utf-8")
    assert set(text.splitlines()) <= set(added.splitlines())
    assert list(found.load()["gates"]) == ["tests", "all", "lint"]


def test_an_edit_leaves_its_own_settings_compiled_and_nobody_elses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = written(root, COMMENTED)
    replace = os.replace

    def overtaken(source: str, target: str) -> None:
        replace(source, target)
        if target.endswith("atms.yaml"):
            (root / "other").write_text("queue: {strategy: deadline}\n", encoding="utf-8")
            replace(root / "other", root / "atms.yaml")

    found.edit(lambda tree: tree["queue"].update(strategy="lifo"))
    monkeypatch.setattr(settings, "parse", lambda *_: pytest.fail("it was compiled already"))
    assert found.load()["queue"]["strategy"] == "lifo"
    monkeypatch.undo()
    monkeypatch.setattr(os, "replace", overtaken)
    found.edit(lambda tree: tree["queue"].update(strategy="fifo"))
    assert found.load()["queue"]["strategy"] == "deadline"


def test_an_edit_keeps_the_mode_and_makes_a_missing_file(root: Path) -> None:
    Settings(str(root)).edit(lambda tree: tree.update(queue={"strategy": "lifo"}))
    assert (root / "atms.yaml").read_text(encoding="utf-8") == "queue:\n  strategy: lifo\n"
    (root / "atms.yaml").chmod(0o640)
    Settings(str(root)).edit(lambda tree: tree["queue"].update(strategy="fifo"))
    assert (root / "atms.yaml").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in root.iterdir()) == [".atms", "atms.yaml"]


def test_an_edit_that_would_be_wrong_is_not_written(root: Path) -> None:
    found = written(root, COMMENTED)
    with pytest.raises(AtmsError, match="strategy"):
        found.edit(lambda tree: tree["queue"].update(strategy="best"))
    assert (root / "atms.yaml").read_text(encoding="utf-8") == COMMENTED


def test_the_compiled_form_is_used_while_the_file_is_the_same(root: Path) -> None:
    found = written(root, COMMENTED)
    assert found.load()["queue"]["strategy"] == "fifo"
    compiled = root / ".atms" / "config.json"
    record = json.loads(compiled.read_text(encoding="utf-8"))
    record["config"]["queue"]["strategy"] = "from the compiled form"
    compiled.write_text(json.dumps(record, separators=(",", ":")), encoding="utf-8")
    assert found.load()["queue"]["strategy"] == "from the compiled form"
    status = (root / "atms.yaml").stat()
    (root / "atms.yaml").write_text(COMMENTED.replace("fifo", "lifo"), encoding="utf-8")
    os.utime(root / "atms.yaml", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert found.load()["queue"]["strategy"] == "lifo"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"fingerprint":[]}', '{"config":{}}', "\0"])
def test_a_broken_compiled_form_is_made_again(root: Path, content: str) -> None:
    found = written(root, COMMENTED)
    expected = found.load()
    (root / ".atms" / "config.json").write_text(content, encoding="utf-8")
    assert found.load() == expected
    assert json.loads((root / ".atms" / "config.json").read_text(encoding="utf-8"))["config"] == expected


def test_without_a_place_for_the_compiled_form_it_still_works(tmp_path: Path) -> None:
    assert written(tmp_path, COMMENTED).load()["queue"]["strategy"] == "fifo"


def lines_of(root: Path) -> list[str]:
    return (root / "atms.yaml").read_text(encoding="utf-8").splitlines()


def test_gates_come_and_go_and_every_comment_stays_in_its_place(root: Path) -> None:
    creation.write_settings(str(root))
    template = lines_of(root)
    found = Settings(str(root))
    found.edit(lambda tree: tree.update(gates={"lint": {"command": ["ruff", "check"]}}))
    found.edit(lambda tree: tree["gates"].update(tests={"command": "pytest", "depends_on": ["lint"]}))
    place = template.index("gates: {}")
    added = ["gates:", "  lint:", "    command:", "      - ruff", "      - check", "  tests:", "    command: pytest"]
    added += ["    depends_on:", "      - lint"]
    assert lines_of(root) == [*template[:place], *added, *template[place + 1 :]]
    found.edit(lambda tree: tree.update(gates={"tests": {"command": "pytest"}}))
    found.edit(lambda tree: tree["gates"].pop("tests"))
    assert lines_of(root) == template


NAMES = st.sampled_from(["a", "b", "c"])
GATES = st.dictionaries(
    NAMES,
    st.fixed_dictionaries(
        {"command": st.sampled_from(["x", "x: y # z", "two\nlines\n", "'"])}, optional={"inputs": st.lists(NAMES)}
    ),
)


@given(GATES, st.lists(GATES, max_size=3), st.sampled_from(["", "\n"]))
def test_whatever_is_edited_is_said_and_no_comment_moves(
    first: dict[str, object], following: list[dict[str, object]], end: str
) -> None:
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory())
        root = Path(directory)
        (root / ".atms").mkdir()
        (root / "atms.yaml").write_text(
            f"# 1\nversion: 1 # 2\n# 3\ngates: {{}} # 4\n# 5\nqueue:\n  # 6\n  strategy: lifo # 7{end}"
        )
        found = Settings(directory)
        for gates in (first, *following):
            found.edit(lambda tree, gates=gates: tree.update(gates=gates))  # type: ignore[misc]
            said = {name: {key: it[key] for key in gates[name]} for name, it in found.load()["gates"].items()}  # type: ignore[attr-defined,literal-required]
            assert said == gates
            text = (root / "atms.yaml").read_text(encoding="utf-8")
            assert re.findall(r"# (\d)", text) == [*"1234567"]
            assert text.endswith("strategy: lifo # 7" + end)
