"""Rounds of gates: chains, conditions, retries, lists of files, earlier passes, and people who review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.domain import gate as gates
from atms_cli.errors import AtmsError, GatesFailedError
from atms_cli.services import gates as service
from atms_cli.services import reviews, tasks
from atms_cli.services.judging import Round, Scope
from tests.fakes import FakeCheckout, FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import GateResult, JsonObject, Task, Verdict


@pytest.fixture
def ws() -> FakeWorkspace:
    return FakeWorkspace()


def judged(ws: FakeWorkspace, **scope: Any) -> Verdict:  # noqa: ANN401  what a scope holds
    return service.run_all(ws, list(ws.config["gates"].values()), Scope(ws.tree, **scope))


def result(verdict: Verdict, name: str) -> GateResult:
    return next(each for each in verdict["gates"] if each["name"] == name)


def ran(ws: FakeWorkspace) -> list[str]:
    return [str(launch["id"]).split(".")[1] for launch in ws.runner.launched]


def words(ws: FakeWorkspace) -> list[Any]:
    return [launch["argv"] for launch in ws.runner.launched]


# Chains


def test_a_chain_stops_at_the_first_that_does_not_pass(ws: FakeWorkspace) -> None:
    ws.define_gate("lint")
    ws.define_gate("build", depends_on=["lint"])
    ws.define_gate("tests", depends_on=["build"])
    ws.define_gate("docs", required=False)
    ws.runner.ends("lint", status="exited", exit_code=1)
    verdict = judged(ws)
    assert ran(ws) == ["lint", "docs"]
    assert not verdict["passed"]
    assert [each["status"] for each in verdict["gates"]] == ["failed", "skipped", "skipped", "passed"]
    assert result(verdict, "tests")["reason"] == "build did not pass"
    assert [each["name"] for each in gates.failures(verdict)] == ["lint", "build", "tests"]


def test_an_advisory_need_that_fails_stops_the_chain_too(ws: FakeWorkspace) -> None:
    ws.define_gate("lint", required=False)
    ws.define_gate("tests", depends_on=["lint"])
    ws.runner.ends("lint", status="timed_out")
    assert not judged(ws)["passed"]


def test_a_need_that_does_not_apply_stops_nothing(ws: FakeWorkspace) -> None:
    ws.define_gate("lint", when={"paths": ["*.rs"]})
    ws.define_gate("tests", depends_on=["lint"])
    verdict = judged(ws, changed=["a.py"])
    assert verdict["passed"]
    assert (result(verdict, "lint")["skip"], result(verdict, "lint")["reason"]) == (
        "unchanged",
        "nothing changed in *.rs",
    )
    assert ran(ws) == ["tests"]


def test_gates_run_side_by_side_within_bounds(ws: FakeWorkspace) -> None:
    for number in range(7):
        ws.define_gate(f"g{number}", group="all")
    ws.define_gate("last", depends_on=["all"])
    ws.config["execution"]["gate_jobs"] = 3
    assert judged(ws)["passed"]
    assert ws.runner.most_at_once == 3
    assert ran(ws)[-1] == "last"


def test_a_condition_on_results_waits_for_them(ws: FakeWorkspace) -> None:
    ws.define_gate("why", when={"gates": {"tests": ["failed", "timeout"]}}, required=False)
    ws.define_gate("tests")
    assert [each["status"] for each in judged(ws)["gates"]] == ["skipped", "passed"]
    ws.runner.ends("tests", status="exited", exit_code=1)
    assert [each["status"] for each in judged(ws)["gates"]] == ["passed", "failed"]


def test_conditions_look_at_the_task(ws: FakeWorkspace) -> None:
    ws.define_gate("migrations", when={"any_of": [{"tags": ["db"]}, {"category": ["bug_fix"]}]})
    plain = tasks.add(ws, {"title": "Work"}, after=(), draft=False)
    tagged = tasks.add(ws, {"title": "Work", "tags": ["db"]}, after=(), draft=False)
    skipped = result(judged(ws, task=plain), "migrations")
    assert (skipped["skip"], skipped["reason"]) == ("condition", "not tagged db; category is feature, not bug_fix")
    assert result(judged(ws, task=tagged), "migrations")["status"] == "passed"
    assert result(judged(ws), "migrations")["status"] == "passed", "where no task is judged, nothing rules it out"


# Retries


def test_a_flaky_gate_passes_in_the_end_and_says_so(ws: FakeWorkspace) -> None:
    ws.define_gate("tests", retries=2, kind="test")
    ws.files = FakeCheckout()
    ws.runner.ends_in_turn("tests", 1, 1, 0)
    flaky = result(judged(ws), "tests")
    assert (flaky["status"], flaky["attempts"], flaky["flaky"], flaky["duration_s"]) == ("passed", 3, True, 1.5)
    assert str(flaky["log"]).endswith("gate-tests.3.log")
    assert ws.gate_passes == {}, "what passed by luck is not relied on"


def test_a_gate_that_fails_again_and_again_has_failed(ws: FakeWorkspace) -> None:
    ws.define_gate("tests", retries=1)
    ws.runner.ends("tests", status="exited", exit_code=1)
    failed = result(judged(ws), "tests")
    assert (failed["status"], failed["attempts"], failed["flaky"]) == ("failed", 2, False)


def test_what_cannot_be_started_is_not_tried_again(ws: FakeWorkspace) -> None:
    ws.define_gate("tests", retries=5)
    ws.runner.ends("tests", status="unstartable", error="no such program: pytest")
    assert result(judged(ws), "tests")["status"] == "error"
    assert len(ws.runner.launched) == 1


def test_a_round_that_is_stopped_judges_nothing_more(ws: FakeWorkspace) -> None:
    ws.config["execution"]["gate_jobs"] = 1
    for name in ("a", "b"):
        ws.define_gate(name, retries=3)
    ws.define_gate("c", depends_on=["b"])
    judging = Round(ws, list(ws.config["gates"].values()), "run", Scope(ws.tree))
    (launch,) = judging.begin()
    judging.stop()
    assert judging.ended({"id": launch["id"], "status": "killed"}) == []
    assert judging.is_over
    assert [(each["status"], each["reason"]) for each in judging.verdict()["gates"]] == [
        ("error", "was stopped"), ("error", "was stopped"), ("error", "was stopped"),
    ]  # fmt: skip


# What is expected


def test_what_a_gate_prints_can_decide(ws: FakeWorkspace) -> None:
    ws.define_gate("coverage", expect={"exit_codes": [0], "output": [r"TOTAL.*100%"], "no_output": []})
    assert result(judged(ws), "coverage")["reason"] == r"its output has nothing like `TOTAL.*100%`"


# Files


def test_files_stand_for_those_there_are(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    ws.files.held = {"a b.py": "1", "-x.py": "1", "web/c.ts": "1", "web/d.py": "1"}
    ws.define_gate("words", command=["ruff", "check", "{files}"], when={"paths": ["*.py"]})
    ws.define_gate("line", command="ruff check {files}", when={"paths": ["*.py"]})
    ws.define_gate("web", command=["eslint", "--x={files}"], working_directory="web")
    assert judged(ws)["passed"]
    assert words(ws) == [
        ["ruff", "check", "./-x.py", "a b.py", "web/d.py"],
        ["/bin/sh", "-c", "ruff check ./-x.py 'a b.py' web/d.py"],
        ["eslint", "--x=c.ts", "--x=d.py"],
    ]


def test_only_what_changed_is_looked_at(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    ws.define_gate("lint", command=["ruff", "{files}"], when={"paths": ["*.py"]})
    ws.define_gate("tests")
    verdict = judged(ws, changed=["a.py", "gone.py"], is_narrowed=True)
    assert words(ws)[0] == ["ruff", "a.py"], "what was deleted is not there to be looked at"
    assert verdict["passed"]
    verdict = judged(ws, changed=["gone.py"], is_narrowed=True)
    assert (result(verdict, "lint")["skip"], verdict["passed"]) == ("unchanged", True)
    assert result(verdict, "tests")["status"] == "passed"


def test_more_files_than_fit_into_a_command_line_come_in_lots(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    ws.files.held = {f"{'d' * 90}/{number:06d}.py": "1" for number in range(3000)}
    ws.define_gate("lint", command=["ruff", "{files}"])
    ws.runner.ends_in_turn("lint", 0, 1, 0, 0)
    verdict = judged(ws)
    assert result(verdict, "lint")["status"] == "failed", "one lot that fails decides"
    looked_at = [path for argv in words(ws) for path in argv[1:]]
    assert looked_at == ws.files.files()
    assert 2 < len(ws.runner.launched) < 10
    assert all(sum(map(len, argv)) < 100_000 for argv in words(ws))


def test_without_git_nobody_can_tell_which_files_there_are(ws: FakeWorkspace) -> None:
    ws.define_gate("lint", command="ruff {files}")
    found = result(judged(ws), "lint")
    assert (found["status"], found["exit_code"]) == ("error", None)
    assert "not in a git repository" in str(found["reason"])
    with pytest.raises(AtmsError, match="nobody can tell what has changed"):
        service.scope(ws, None, base=None, is_narrowed=True, reuses=True)


# Earlier passes


def lint(ws: FakeWorkspace, **fields: object) -> GateResult:
    ws.define_gate("lint", **{"kind": "lint", "command": "ruff check", **fields})
    return result(judged(ws), "lint")


def test_a_pass_holds_while_all_it_follows_from_is_the_same(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    first = lint(ws)
    assert "cached" not in first
    ws.time.advance(60)
    second = lint(ws)
    assert (second["status"], second["cached"], second["attempts"]) == ("passed", True, 0)
    assert second["cached_from"]["at"] == "2026-01-02T03:04:05.000Z"
    assert second["log"] == first["log"]
    assert len(ws.runner.launched) == 1
    ws.files.held["a.py"] = "2"
    assert "cached" not in lint(ws), "a file has changed"
    assert "cached" not in lint(ws, command="ruff check --fix"), "the command has"
    assert "cached" not in lint(ws, environment={"A": "b"}), "its environment has"
    ws.environ = {**ws.environ, "PYTHONPATH": "elsewhere"}
    assert "cached" not in lint(ws), "the environment around it has"
    ws.runner.version += 1
    assert "cached" not in lint(ws), "the tool has"
    assert "cached" in lint(ws)
    verdict = judged(ws, reuses=False)
    assert "cached" not in result(verdict, "lint")


def test_only_passes_are_kept_and_only_of_kinds_that_follow_from_files(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    ws.runner.ends("lint", status="exited", exit_code=1)
    lint(ws)
    assert ws.gate_passes == {}
    ws.runner.ends("lint", status="exited", exit_code=0)
    lint(ws, kind="security")
    assert ws.gate_passes == {}
    lint(ws, kind="security", cache=True)
    assert len(ws.gate_passes) == 1
    lint(ws, cache=False)
    assert len(ws.gate_passes) == 1


def test_inputs_limit_what_a_result_follows_from(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    lint(ws, inputs=["*.py"])
    ws.files.held["docs/b.md"] = "2"
    assert "cached" in lint(ws, inputs=["*.py"])


def test_work_that_changed_while_it_was_judged_was_not_judged(ws: FakeWorkspace) -> None:
    files = ws.files = FakeCheckout()
    ws.runner.meanwhile = lambda: files.held.update({"a.py": "changed by the gate"})
    assert lint(ws)["status"] == "passed"
    assert ws.gate_passes == {}


def test_a_pass_is_of_the_files_as_the_gates_before_have_left_them(ws: FakeWorkspace) -> None:
    files = ws.files = FakeCheckout()
    ws.define_gate("fix", kind="custom")
    ws.define_gate("lint", kind="lint", depends_on=["fix"])
    judged(ws)
    assert "cached" in result(judged(ws), "lint")
    ws.runner.meanwhile = lambda: files.held.update({"a.py": "as fix has made it"})
    assert "cached" not in result(judged(ws), "lint")


def test_also_without_looking_at_passes_only_what_was_judged_is_kept(ws: FakeWorkspace) -> None:
    files = ws.files = FakeCheckout()
    ws.define_gate("lint", kind="lint")
    ws.runner.meanwhile = lambda: files.held.update({"a.py": "changed by the gate"})
    judged(ws, reuses=False)
    assert ws.gate_passes == {}


def test_gates_that_say_the_same_share_a_pass(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    lint(ws)
    del ws.config["gates"]["lint"]
    ws.define_gate("again", kind="format", command="ruff check", required=False)
    again = result(judged(ws), "again")
    assert (again["cached"], again["kind"], again["required"]) == (True, "format", False)


def test_reports_go_to_a_directory_of_their_own(ws: FakeWorkspace) -> None:
    ws.define_gate("line", command="pytest --junitxml={reports}/x.xml", retries=1)
    ws.define_gate("words", command=["pytest", "--junitxml={reports}/x.xml"])
    ws.runner.ends_in_turn("line", 1, 0)
    judged(ws)
    (run,) = {str(launch["id"]).partition(".")[0] for launch in ws.runner.launched}
    assert words(ws) == [
        ["/bin/sh", "-c", f"pytest --junitxml=/nowhere/runs/{run}/gate-line.reports/x.xml"],
        ["pytest", f"--junitxml=/nowhere/runs/{run}/gate-words.reports/x.xml"],
        ["/bin/sh", "-c", f"pytest --junitxml=/nowhere/runs/{run}/gate-line.2.reports/x.xml"],
    ]


def test_of_a_gate_that_runs_elsewhere_no_pass_is_kept(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    lint(ws, working_directory="/elsewhere")
    assert ws.gate_passes == {}
    lint(ws, working_directory="sub")
    assert len(ws.gate_passes) == 1


def test_where_git_cannot_tell_nothing_is_reused(ws: FakeWorkspace) -> None:
    lint(ws)
    assert "cached" not in lint(ws)
    assert ws.gate_passes == {}


# A task's own commands


def test_a_tasks_own_commands_judge_it_alone(ws: FakeWorkspace) -> None:
    check: JsonObject = {"command": "./smoke", "expect": {"exit_codes": [3], "output": [], "no_output": []}}
    one = tasks.add(ws, {"title": "Work", "validation_criteria": {"commands": [check]}}, after=(), draft=False)
    with pytest.raises(GatesFailedError, match="gate check-1: exit code 0, not 3"):
        tasks.done(ws, [one["id"]], token=None, force_reason=None, note=None)
    ws.runner.ends("check-1", status="exited", exit_code=3)
    (done,) = tasks.done(ws, [one["id"]], token=None, force_reason=None, note=None).tasks
    assert done["status"] == "completed"


# Reviews


def in_review(ws: FakeWorkspace) -> Task:
    ws.define_gate("tests")
    ws.define_gate("eyes", kind="review", command="")
    one = tasks.add(ws, {"title": "Work"}, after=(), draft=False)
    (held,) = tasks.done(ws, [one["id"]], token=None, force_reason=None, note="did it").tasks
    return held


def test_a_review_waits_for_a_person(ws: FakeWorkspace) -> None:
    held = in_review(ws)
    assert (held["status"], held["lease"], held["run"]) == ("review", None, None)
    assert held["reason"] == "gate eyes: waits for a person"
    with pytest.raises(AtmsError, match="agents cannot approve work"):
        reviews.approve(ws.acting_as("robot"), [held["id"]], None)
    (again,) = tasks.done(ws.acting_as("robot"), [held["id"]], token=None, force_reason=None, note=None).tasks
    assert again["status"] == "review", "saying once more that it is done does not help"
    ws.time.advance(60)
    (approved,) = reviews.approve(ws, [held["id"]], "fine")
    assert approved["status"] == "completed"
    found: Any = approved["result"]
    assert found["review"] == {"by": "ann", "at": ws.time.now(), "note": "fine"}
    assert found["note"] == "did it"
    assert [(each["name"], each["status"], each.get("reviewed_by")) for each in found["validation"]["gates"]] == [
        ("tests", "passed", None), ("eyes", "passed", "ann"),
    ]  # fmt: skip
    events = [(event["type"], event["actor"]) for event in ws.store.reading().history(held["id"])]
    assert events[-2:] == [("task.approved", "ann"), ("task.completed", "ann")]
    assert reviews.approve(ws, [held["id"]], None)[0]["status"] == "completed", "once more changes nothing"


def test_a_review_comes_after_the_other_gates(ws: FakeWorkspace) -> None:
    ws.runner.ends("tests", status="exited", exit_code=1)
    with pytest.raises(GatesFailedError, match="gate tests: exit code 1"):
        in_review(ws)


def test_only_what_is_in_review_can_be_approved(ws: FakeWorkspace) -> None:
    held = in_review(ws)
    other = tasks.add(ws, {"title": "Work"}, after=(), draft=False)
    with pytest.raises(AtmsError, match="is queued, so it cannot be approved"):
        reviews.approve(ws, [held["id"], other["id"]], None)
    assert ws.store.reading().task(held["id"])["status"] == "review", "all or none"


def test_work_in_review_is_sent_back_with_a_reason(ws: FakeWorkspace) -> None:
    held = in_review(ws)
    (back,) = tasks.reopen(ws, [held["id"]], "not like this")
    assert (back["status"], back["reason"]) == ("queued", "not like this")


def test_work_that_lies_apart_comes_back_once_it_is_approved(ws: FakeWorkspace) -> None:
    held = in_review(ws)
    ws.worktrees.ensure(held["id"])
    ws.worktrees.merges = [
        {"kind": "again", "into": "main"},
        {"kind": "merged", "into": "main", "commit": "c", "base": "b"},
    ]
    before = len(ws.runner.launched)
    (approved,) = reviews.approve(ws, [held["id"]], None)
    assert len(ws.runner.launched) == before + 1, "on top of what came meanwhile it is judged anew"
    assert str(ws.runner.launched[-1]["cwd"]).startswith(f"/nowhere/worktrees/{held['id']}")
    assert approved["result"] is not None
    assert approved["result"]["merge"] == {"kind": "merged", "into": "main", "commit": "c", "base": "b"}
    assert ws.worktrees.path(held["id"]) is None


def test_work_that_cannot_come_back_is_not_approved(ws: FakeWorkspace) -> None:
    held = in_review(ws)
    ws.worktrees.ensure(held["id"])
    ws.worktrees.merges = [{"kind": "refused", "detail": "a.py would be overwritten"}]
    with pytest.raises(AtmsError, match="would be overwritten"):
        reviews.approve(ws, [held["id"]], None)
    ws.worktrees.merges = [{"kind": "again", "into": "main"}]
    ws.runner.ends("tests", status="exited", exit_code=1)
    with pytest.raises(GatesFailedError, match="on top of what came meanwhile"):
        reviews.approve(ws, [held["id"]], None)
    assert ws.store.reading().task(held["id"])["status"] == "review"
    ws.worktrees.merges = [{"kind": "conflict", "into": "main", "files": ["a.py"]}]
    with pytest.raises(AtmsError, match="is back in the queue: main has gone on meanwhile"):
        reviews.approve(ws, [held["id"]], None)
    assert ws.store.reading().task(held["id"])["status"] == "queued"


def test_agents_ask_for_more_evidence_and_never_for_less(ws: FakeWorkspace) -> None:
    ws.define_gate("tests", stages=["manual"])
    ws.define_gate("lint", stages=["manual"])
    robot = ws.acting_as("robot")
    check: JsonObject = {"command": "./smoke"}
    criteria: JsonObject = {"gates": ["tests"], "commands": [check]}
    one = tasks.add(ws, {"title": "Work", "validation_criteria": criteria}, after=(), draft=False)["id"]

    def asked(who: FakeWorkspace, **criteria: Any) -> Task:  # noqa: ANN401  JSON
        return tasks.update(who, [one], {"validation_criteria": criteria}, tags=(), untags=())[0]

    assert asked(robot, gates=["tests", "lint"])["validation_criteria"]["gates"] == ["tests", "lint"]
    fewer: list[dict[str, Any]] = [{"gates": ["lint"]}, {"gates": []}, {"commands": []}]
    for less in fewer:
        with pytest.raises(AtmsError, match="agents cannot take gates off a task"):
            asked(robot, **less)
    assert asked(ws, gates=[])["validation_criteria"]["gates"] == []
