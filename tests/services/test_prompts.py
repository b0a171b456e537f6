"""What an agent is told: the task, its feature, what came before, what went wrong, and how things are done here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from atms_cli.domain.prompt import VARIABLES
from atms_cli.errors import PromptError
from atms_cli.services import agents, attempts, dispatch, gathering, health, preview, prompts, settling, tasks
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import Finding, GateResult, JsonObject


@pytest.fixture
def ws() -> FakeWorkspace:
    ws = FakeWorkspace()
    agents.register(ws, "worker", {"command": "work"})
    return ws


def add(ws: FakeWorkspace, title: str = "Work", *, after: tuple[str, ...] = (), **fields: object) -> str:
    given: JsonObject = {"title": title, **fields}  # type: ignore[dict-item]
    return tasks.add(ws, given, after=after, draft=False)["id"]


def told(ws: FakeWorkspace, task_id: str) -> str:
    return str(preview.of(ws, task_id)["prompt"])


def judged(name: str, log: str, findings: list[Finding] | None = None) -> GateResult:
    return {
        "name": name, "kind": "test", "status": "failed", "required": True, "exit_code": 1, "duration_s": 1.0, "findings": findings or [],
        "tests": None, "coverage": None, "log": log, "reason": "exit code 1",
    }  # fmt: skip


def fails(ws: FakeWorkspace, task_id: str, reason: str, result: JsonObject) -> None:
    with ws.store.writing("loop") as tx:
        tx.record([("task.started", task_id, {"assigned_agent": "worker", "attempts": 1, "run": "r1"})])
        tx.record([("task.retried", task_id, {"reason": reason, "result": result})])


def test_the_whole_of_a_task_is_told_in_order(ws: FakeWorkspace) -> None:
    ws.define_gate("tests")
    one = add(
        ws, "Make it", description="All of it.", business_value="It is needed.", category="bug_fix", priority="high",
        metadata={"affected_files": ["a.py"]}, validation_criteria={"success_criteria": ["it is there"]},
        context={"inputs": {"limit": 3}, "constraints": {"allowed_files": ["src/*"]}},
    )  # fmt: skip
    assert told(ws, one) == (
        "# Make it\n\nAll of it.\n\nWhy it matters: It is needed.\n\nFiles it is about: a.py\n\n## Given\n\n- limit: 3\n\n"
        '## Keep to\n\n- allowed files: ["src/*"]\n\n## Done when\n\n- it is there\n- the quality gate `tests` passes\n\n'
        f"Task {one}, bug_fix, priority high.\n"
    )


def test_its_feature_is_told_as_the_file_has_it_or_as_it_was_known() -> None:
    feature: JsonObject = {
        "id": "f1", "title": "Dark mode", "description": "Dark for all.", "rationale": "Many have asked.", "status": "approved",
        "business_value": "Calm eyes", "category": "enhancement",
    }  # fmt: skip
    ws = FakeWorkspace({"features": [{"id": "f0"}, feature], "metadata": {}})
    one = add(ws, "Paint it black", feature_id="f1")
    assert "## The feature: Dark mode\n\nDark for all.\n\nMany have asked.\n" in told(ws, one)
    ws.roadmap.document = None
    assert told(ws, one).startswith(f"# Paint it black\n\nTask {one}")


def test_a_gate_that_did_not_pass_is_told_with_tests_places_and_the_end_of_its_log(ws: FakeWorkspace) -> None:
    one = add(ws)
    ws.run_files.files["/nowhere/runs/r1/gate-tests.log"] = (
        "collecting\nsrc/a.py:3: in f\nFAILED tests/a.py::test_f - boom"
    )
    ws.run_files.files["/nowhere/runs/r1/gate-lint.log"] = "```\nbad"
    verdict = {
        "passed": False,
        "gates": [judged("tests", "/nowhere/runs/r1/gate-tests.log"), judged("lint", "/nowhere/runs/r1/gate-lint.log")],
    }
    fails(ws, one, "gate tests: exit code 1", {"validation": verdict, "log": "r1/gate-tests.log"})
    prompt = told(ws, one)
    assert "## The attempt before this one failed\n\ngate tests: exit code 1\n" in prompt
    assert "Tests that failed:\n\n- `tests/a.py::test_f`\n" in prompt
    assert "Places that it names:\n\n- src/a.py:3: in f\n" in prompt
    assert "The end of what the gate `tests` said:\n\n```\ncollecting\n" in prompt
    assert "The end of what the gate `lint` said:\n\n````\n```\nbad\n````\n" in prompt


def test_places_of_a_report_go_before_those_of_a_log(ws: FakeWorkspace) -> None:
    one = add(ws)
    found: list[Finding] = [
        {
            "tool": "t", "rule": "", "level": "error", "message": "unused", "path": "b.py", "line": 9, "column": None, "fingerprint": "f",
        }
    ]  # fmt: skip
    ws.run_files.files["/nowhere/runs/r1/gate-lint.log"] = "src/a.py:3: something"
    verdict = {"passed": False, "gates": [judged("lint", "/nowhere/runs/r1/gate-lint.log", found)]}
    fails(ws, one, "gate lint: exit code 1", {"validation": verdict, "log": "r1/gate-lint.log"})
    assert "Places that it names:\n\n- b.py:9: unused\n\n" in told(ws, one)


def test_a_long_log_is_cut_to_its_end(ws: FakeWorkspace) -> None:
    one = add(ws)
    ws.run_files.files["/nowhere/runs/r1/output.log"] = "\n".join(f"line {number}" for number in range(1000))
    fails(ws, one, "exit code 1", {"log": "r1/output.log"})
    prompt = told(ws, one)
    assert "line 999\n```" in prompt
    assert "line 900\n" not in prompt


@pytest.mark.parametrize(
    ("kind", "files", "named", "expected"),
    [
        ("command", {"CLAUDE.md": "c", "AGENTS.md": "a"}, None, "(AGENTS.md)\n\na"),
        ("command", {"CONTRIBUTING.md": "c"}, None, "(CONTRIBUTING.md)\n\nc"),
        ("command", {"AGENTS.md": "a", "docs/rules.md": "r"}, "docs/rules.md", "(docs/rules.md)\n\nr"),
        ("command", {"AGENTS.md": "a"}, "", None),
        ("command", {}, None, None),
        ("claude", {"CLAUDE.md": "c", "AGENTS.md": "a"}, None, None),
        ("codex", {"AGENTS.md": "a"}, None, None),
        ("gemini", {"AGENTS.md": "a"}, None, "(AGENTS.md)\n\na"),
        ("gemini", {"AGENTS.md": "a", "GEMINI.md": "g"}, None, None),
        ("gemini", {"AGENTS.md": "a", "GEMINI.md": "g"}, "AGENTS.md", "(AGENTS.md)\n\na"),
        ("gemini", {"GEMINI.md": "g"}, "GEMINI.md", None),
    ],
)
def test_conventions_are_told_to_who_does_not_read_them_by_itself(
    kind: str, files: dict[str, str], named: str | None, expected: str | None
) -> None:
    ws = FakeWorkspace()
    agents.register(ws, "anna", {"kind": kind, "command": "work"})
    ws.templates.files = files
    ws.config["execution"]["conventions"] = named
    prompt = told(ws, add(ws))
    if expected is None:
        assert "How things are done here" not in prompt
    else:
        assert f"## How things are done here {expected}\n" in prompt


def test_of_long_conventions_the_beginning_is_told(ws: FakeWorkspace) -> None:
    ws.templates.files["AGENTS.md"] = "x" * 20_000
    prompt = told(ws, add(ws))
    assert "… the rest is in AGENTS.md" in prompt
    assert len(prompt) < 17_000


def test_conventions_that_are_named_have_to_be_there(ws: FakeWorkspace) -> None:
    ws.config["execution"]["conventions"] = "docs/rules.md"
    for ask in (lambda: prompts.check(ws), lambda: told(ws, add(ws))):
        with pytest.raises(PromptError, match=r"execution\.conventions: there is no `docs/rules\.md`"):
            ask()
    assert [each["check"] for each in health.doctor(ws)] == ["settings"]


def test_an_agent_has_a_template_of_its_own(ws: FakeWorkspace) -> None:
    ws.templates.files |= {
        "all.md": "all: {{ task.title }}",
        "mine.md": "{{ agent.name }}: {{ attempt.number }} of {{ attempt.most }}",
    }
    ws.config["execution"]["prompt"] = "all.md"
    one = add(ws)
    assert preview.of(ws, one) == {
        "prompt": "all: Work\n",
        "agent": "worker",
        "template": "all.md",
        "is_continued": False,
    }
    agents.register(ws, "worker", {"command": "work", "prompt": "mine.md"})
    assert told(ws, one) == "worker: 1 of 3\n"


def test_who_asks_is_who_is_told(ws: FakeWorkspace) -> None:
    ws.templates.files["mine.md"] = "{{ agent.name }} ({{ agent.kind }})"
    ws.config["execution"]["prompt"] = "mine.md"
    one = add(ws)
    assert preview.of(ws.acting_as("petra"), one)["prompt"] == "petra (pull)\n"


def test_what_was_imported_may_be_anything(ws: FakeWorkspace) -> None:
    one = add(ws, context={"inputs": ["a"], "outputs": "b", "constraints": 3}, metadata={"properties": None})
    assert told(ws, one).startswith("# Work\n\nTask ")


def upcoming(ws: FakeWorkspace) -> list[str]:
    with ws.store.writing("loop") as tx:
        force = attempts.workforce(ws, tx.read, 2, [])
        read = tx.queue(ws.config["queue"])
        return [task["id"] for task, _ in dispatch.upcoming(ws, read, force, {}, 5, tx.now)]


def test_who_cannot_be_told_anything_gets_nothing_until_its_template_is_mended(ws: FakeWorkspace) -> None:
    ws.templates.files["mine.md"] = "{{ task.titel }}"
    agents.register(ws, "worker", {"command": "work", "prompt": "mine.md"})
    one, two = add(ws), add(ws, command="true")
    assert upcoming(ws) == [two]
    ws.templates.files["mine.md"] = "{{ task.title }}"
    assert sorted(upcoming(ws)) == sorted([one, two])


def test_what_is_only_wrong_when_it_is_filled_in_halts_the_agent_and_costs_the_task_nothing(ws: FakeWorkspace) -> None:
    ws.templates.files["mine.md"] = "{{ task.properties.owner }}"
    agents.register(ws, "worker", {"command": "work", "prompt": "mine.md"})
    one = add(ws)
    with ws.store.writing("loop") as tx:
        force = attempts.workforce(ws, tx.read, 2, [])
        chosen = dispatch.upcoming(ws, tx.queue(ws.config["queue"]), force, {}, 1, tx.now)
        (begun,) = attempts.dispatch(ws, tx, chosen)
    with pytest.raises(PromptError) as caught:
        attempts.launch(ws, begun, ws.root)
    outcome: JsonObject = {"status": "unstartable", "error": caught.value.message, "untold": True}
    with ws.store.writing("loop") as tx:
        settling.settle(ws, tx, begun, gathering.hear(ws, begun), outcome, stopping=False)
    task = ws.store.reading().task(one)
    assert (task["status"], task["attempts"]) == ("queued", 0)
    assert agents.one(ws, "worker")["status"] == "error"
    assert "owner" in str(task["reason"])
    assert json.loads(json.dumps(task)) == task


def test_templates_find_what_the_table_of_variables_says(ws: FakeWorkspace) -> None:
    """The reference is made from that table, and templates are held against it."""
    one = add(ws, "First")
    two = add(ws, "Second", after=(one,), feature_id="f1")
    ws.templates.files |= {"AGENTS.md": "a", "all.md": "\n".join(f"{{{{ {name} | json }}}}" for name in VARIABLES)}
    ws.config["execution"]["prompt"] = "all.md"
    fails(ws, two, "exit code 1", {"log": "r1/output.log"})
    found = dict(zip(VARIABLES, map(json.loads, told(ws, two).splitlines()), strict=True))
    for name, shape in VARIABLES.items():
        (members,) = shape if isinstance(shape, list) else (shape,)
        (value,) = found[name] if isinstance(shape, list) else (found[name],)
        assert value.keys() == members.keys(), name
