"""What gates' commands leave behind, from the command's end to the verdict; and what people accept of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from atms_cli.domain import baseline
from atms_cli.services import gates as service
from atms_cli.services.judging import Scope
from tests.fakes import FakeCheckout, FakeWorkspace
from tests.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import GateResult, JsonObject

RUFF = recorded("ruff.json").replace(b"/home/you/shop", b"/nowhere")
PYTEST = recorded("pytest.xml")
LCOV = b"SF:a.py\nDA:1,1\nDA:2,0\nend_of_record\n"


@pytest.fixture
def ws() -> FakeWorkspace:
    return FakeWorkspace()


def define(
    ws: FakeWorkspace, *reports: str, leaves: Callable[[JsonObject], object] | None = None, **fields: object
) -> None:
    split = [each.rpartition(":") for each in reports]
    ws.define_gate("g", reports=[{"path": path, "format": kind or "auto"} for kind, _, path in split], **fields)
    if leaves is not None:
        ws.runner.leaves["g"] = leaves


def leaving(ws: FakeWorkspace, **files: bytes | str) -> Callable[[JsonObject], None]:
    def leave(launch: JsonObject) -> None:
        for name, content in files.items():
            path = str(launch["output"]) if name == "output" else f"/nowhere/{name.replace('_', '.')}"
            ws.report_files.write(path, content)

    return leave


def result(ws: FakeWorkspace, **scope: Any) -> GateResult:  # noqa: ANN401  what a scope holds
    (found,) = service.run_all(ws, [ws.config["gates"]["g"]], Scope(ws.tree, **scope))["gates"]
    return found


def test_a_report_fills_the_result(ws: FakeWorkspace) -> None:
    define(ws, "ruff.json", leaves=leaving(ws, ruff_json=RUFF))
    found = result(ws)
    assert found["status"] == "passed"
    assert [each["path"] for each in found["findings"]][:1] == ["src/shop/cart.py"]
    assert found["counts"]["error"] == 7


def test_what_a_command_prints_is_a_report_too(ws: FakeWorkspace) -> None:
    define(ws, "ruff:-", leaves=leaving(ws, output=b"warning: x\n" + RUFF + b"\nFound 7 errors.\n"))
    assert len(result(ws)["findings"]) == 7


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "it is not there"),
        (b"", "it is empty"),
        (PYTEST[:500], "it is no XML"),
        (b"<html/>", "<html>"),
    ],
)
def test_a_report_that_cannot_be_read_is_no_pass(ws: FakeWorkspace, content: bytes | None, why: str) -> None:
    define(ws, "junit:j.xml", kind="test", leaves=leaving(ws, **({} if content is None else {"j_xml": content})))
    found = result(ws)
    assert found["status"] == "error"
    assert str(found["reason"]).startswith("report j.xml cannot be read: ")
    assert why in str(found["reason"])
    ws.runner.ends("g", status="exited", exit_code=1)
    found = result(ws)
    assert found["status"] == "failed"
    assert str(found["reason"]).startswith("exit code 1; report j.xml cannot be read: ")


def test_a_report_of_an_earlier_run_is_none_of_this_one(ws: FakeWorkspace) -> None:
    ws.report_files.write("/nowhere/j.xml", b'<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>')
    define(ws, "j.xml", kind="test")
    assert result(ws)["reason"] == "report j.xml cannot be read: it is of an earlier run, this one has not written it"


def test_of_several_reports_those_of_this_run_are_read(ws: FakeWorkspace) -> None:
    ws.report_files.write("/nowhere/out/old.xml", PYTEST)
    define(ws, "out/*.xml", kind="test")
    case = '<testsuite><testcase name="a"/></testsuite>'

    def leave(_: JsonObject) -> None:
        ws.report_files.write("/nowhere/out/a.xml", case)
        ws.report_files.write("/nowhere/out/b.xml", case)

    ws.runner.leaves["g"] = leave
    assert (result(ws)["status"], result(ws)["tests"]) == (
        "passed",
        {"total": 2, "failed": 0, "errors": 0, "skipped": 0},
    )
    ws.runner.leaves.clear()
    found = result(ws)
    assert (found["status"], found["reason"]) == (
        "error",
        "report out/*.xml cannot be read: none is there that this run has written",
    )


def test_tests_that_fail_are_no_pass_whatever_the_exit_code(ws: FakeWorkspace) -> None:
    define(ws, "j.xml", kind="test", leaves=leaving(ws, j_xml=PYTEST))
    found = result(ws)
    assert (found["status"], found["reason"]) == ("failed", "4 of 6 tests failed")
    define(ws, "j.xml", kind="test", leaves=leaving(ws, j_xml=b'<testsuites tests="0"/>'))
    assert result(ws)["reason"] == "no test ran, at least 1 had to"


def test_who_was_killed_leaves_nothing_that_counts(ws: FakeWorkspace) -> None:
    define(ws, "ruff.json", leaves=leaving(ws, ruff_json=RUFF))
    ws.runner.ends("g", status="timed_out")
    found = result(ws)
    assert (found["status"], found["findings"]) == ("timeout", [])


# Coverage of what has changed


def test_changed_lines_are_those_since_the_base(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    ws.files.diffs = {None: "", "main": "+++ a.py\n@@ -1,0 +2,1 @@\n+x\n", "head": "+++ a.py\n@@ -1,0 +1,1 @@\n+x\n"}
    define(ws, "lcov.info", thresholds={"coverage": {"changed": 50}}, leaves=leaving(ws, lcov_info=LCOV))
    assert result(ws)["limits"][0]["words"] == "no changed line has code to be covered"
    found = result(ws, base="main")
    assert (found["status"], found["coverage"]) == (
        "failed",
        {"line": 50.0, "branch": None, "changed": 0.0, "lines": 2, "covered": 1},
    )
    ws.config["gates"]["g"]["thresholds"] = {"coverage": {"changed": 50, "base": "main"}}
    assert result(ws)["status"] == "failed"


def test_work_in_a_worktree_is_compared_with_what_it_comes_back_to(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    ws.files.diffs = {None: "", "head": "+++ a.py\n@@ -1,0 +2,1 @@\n+x\n"}
    ws.tree = "/nowhere/worktrees/t1"
    define(ws, "lcov.info", thresholds={"coverage": {"changed": 50}})
    ws.runner.leaves["g"] = lambda _: ws.report_files.write("/nowhere/worktrees/t1/lcov.info", LCOV)
    assert str(result(ws)["reason"]).startswith("0 % of 1 changed lines covered, at least 50 %")


def test_where_git_knows_nothing_changed_lines_are_not_known(ws: FakeWorkspace) -> None:
    define(ws, "lcov.info", thresholds={"coverage": {"changed": 0}}, leaves=leaving(ws, lcov_info=LCOV))
    assert result(ws)["reason"] == "nobody can tell which lines have changed"


@pytest.mark.parametrize(
    "thresholds",
    [
        {"coverage": {"changed": 0}},
        {"sizes": [{"files": ["a.py"], "max": 9}]},
        {"performance": [{"name": "t", "pattern": "x"}]},
    ],
)
def test_a_pass_that_follows_from_more_than_files_is_not_kept(ws: FakeWorkspace, thresholds: JsonObject) -> None:
    ws.files = FakeCheckout()
    ws.report_files.write("/nowhere/a.py", "x")
    define(ws, "lcov.info", kind="test", leaves=leaving(ws, lcov_info=LCOV, output="x"))
    assert result(ws)["status"] == "passed"
    assert result(ws)["cached"]
    ws.config["gates"]["g"]["thresholds"] = thresholds
    ws.config["gates"]["g"]["cache"] = True
    result(ws)
    assert "cached" not in result(ws)


# Baselines


def test_accepted_findings_are_not_new(ws: FakeWorkspace) -> None:
    define(ws, "ruff.json", thresholds={"new_findings": {"total": 0}}, leaves=leaving(ws, ruff_json=RUFF))
    found = result(ws)
    assert found["reason"] == "7 findings that are new, at most 0"
    ws.baselines.write({"g": baseline.accepting(found["findings"][1:], {})})
    found = result(ws)
    assert found["reason"] == "1 finding that is new, at most 0"
    assert [each["new"] for each in found["findings"]] == [True] + [False] * 6


# Performance


def test_figures_of_repeated_runs(ws: FakeWorkspace) -> None:
    took = iter((0.9, 5.0, 1.1, 1.0, 1.2))
    thresholds = {"performance": [{"name": "t", "file": "b.json", "pointer": "/s", "max": 1.5}], "repeat": 5}
    define(ws, kind="performance", thresholds=thresholds)
    ws.runner.leaves["g"] = lambda _: ws.report_files.write("/nowhere/b.json", json.dumps({"s": next(took)}))
    found = result(ws)
    assert found["status"] == "passed"
    assert found["limits"][0]["words"] == "t 1.1"
    assert found["figures"]["t"]["samples"] == 5  # type: ignore[call-overload,index]
    assert len(ws.runner.launched) == 5


def test_figures_that_are_printed(ws: FakeWorkspace) -> None:
    thresholds = {"performance": [{"name": "t", "pattern": r"took ([\d.]+)", "max": 1.0}]}
    define(ws, kind="performance", thresholds=thresholds, leaves=leaving(ws, output=b"took 1.5 s\ntook 2.5 s\n"))
    assert result(ws)["reason"] == "t 2, at most 1"


def test_figures_of_an_earlier_run_are_none(ws: FakeWorkspace) -> None:
    ws.report_files.write("/nowhere/b.json", '{"s": 1}')
    define(ws, thresholds={"performance": [{"name": "t", "file": "b.json", "pointer": "/s", "max": 9}]})
    assert result(ws)["reason"] == "t: no figure was found where it should stand"


def test_sizes_are_looked_at_when_the_command_has_ended(ws: FakeWorkspace) -> None:
    define(ws, kind="build", thresholds={"sizes": [{"files": ["*.js"], "max": 3}]}, leaves=leaving(ws, app_js=b"1234"))
    assert result(ws)["reason"] == "app.js has 4 B, at most 3 B"


# History


def test_each_round_is_on_record_with_all_findings_beside_it(ws: FakeWorkspace) -> None:
    define(ws, "ruff.json", leaves=leaving(ws, ruff_json=RUFF))
    result(ws, stage="ci")
    (row,) = ws.store.reading().gate_results({"gate": "g", "status": None, "task": None, "run": None, "limit": 10})
    assert (row["status"], row["stage"], row["actor"]) == ("passed", "ci", "ann")
    kept = json.loads(ws.run_files.files[f"/nowhere/runs/{row['run']}/verdict.json"])
    assert len(kept["gates"][0]["findings"]) == 7
    assert "findings" not in row


def test_results_of_the_same_content_say_so(ws: FakeWorkspace) -> None:
    ws.files = FakeCheckout()
    define(ws, kind="test")
    ws.runner.ends("g", status="exited", exit_code=1)
    first, second = result(ws), result(ws)
    ws.files.held["a.py"] = "2"
    other = result(ws)
    assert first["content"] == second["content"] != other["content"]
