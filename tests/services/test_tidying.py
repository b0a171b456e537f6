"""Which files of attempts go, and what the doctor says of them."""

from __future__ import annotations

import pytest

from atms_cli.services import health, tasks, tidying
from tests.fakes import START_MS, FakeWorkspace

NOW_S = START_MS / 1000
DAY_S = 86_400.0


@pytest.fixture
def ws() -> FakeWorkspace:
    return FakeWorkspace()


def attempt(ws: FakeWorkspace, age_days: float, size: int = 10, *, ends: bool = True) -> str:
    """Make an attempt that has files, and end its task or not."""
    task = tasks.add(ws, {"title": "x"}, after=(), draft=False)["id"]
    tasks.start(ws, [task], agent=None, token=None)
    (made,) = ws.store.reading().attempts(task)
    if ends:
        tasks.done(ws, [task], token=None, note=None, force_reason=None)
    ws.run_files.runs.append((made["run"], NOW_S - age_days * DAY_S, size))
    return made["run"]


def left(ws: FakeWorkspace) -> set[str]:
    return {name for name, _, _ in ws.run_files.runs}


def test_what_is_old_goes_unless_its_task_goes_on(ws: FakeWorkspace) -> None:
    attempt(ws, 31), attempt(ws, 40, 5)
    young, going_on = attempt(ws, 29), attempt(ws, 50, ends=False)
    assert tidying.tidy(ws) == {"runs": 2, "bytes": 15}
    assert left(ws) == {young, going_on}


def test_what_a_task_has_left_stays_while_others_wait_for_it(ws: FakeWorkspace) -> None:
    run = attempt(ws, 31)
    (task_id,) = [task["id"] for task in ws.store.reading().of_status("completed")]
    kept = {
        "outputs": [{"name": "report", "path": "r", "at": f"/nowhere/runs/{run}/output-0-r", "size": 1, "sha256": "x"}]
    }
    with ws.store.writing("ann") as tx:
        tx.record([("task.restored", task_id, {"fields": {"result": kept}})])
    waiting = tasks.add(ws, {"title": "Use it"}, after=[task_id], draft=False)["id"]
    assert tidying.tidy(ws)["runs"] == 0
    tasks.cancel(ws, [waiting], None)
    assert tidying.tidy(ws)["runs"] == 1


def test_what_is_too_much_goes_oldest_first(ws: FakeWorkspace) -> None:
    ws.config["execution"]["logs_total"] = 25
    attempt(ws, 3)
    kept = {attempt(ws, 4, ends=False), attempt(ws, 2), attempt(ws, 1, 4)}
    assert tidying.tidy(ws)["runs"] == 1
    assert left(ws) == kept


def test_without_bounds_everything_stays(ws: FakeWorkspace) -> None:
    ws.config["execution"]["logs_total"] = ws.config["execution"]["logs_keep"] = None
    run = attempt(ws, 4000, 1 << 50)
    assert tidying.tidy(ws) == {"runs": 0, "bytes": 0}
    assert left(ws) == {run}


def test_runs_of_no_attempt_go_when_they_are_surely_over(ws: FakeWorkspace) -> None:
    ws.config["execution"]["logs_total"] = 1
    ws.run_files.runs += [("gate1", NOW_S - 2 * DAY_S, 10), ("gate2", NOW_S - 60, 10)]
    assert tidying.tidy(ws)["runs"] == 1
    assert left(ws) == {"gate2"}


def test_now_and_then_is_not_always(ws: FakeWorkspace) -> None:
    assert tidying.tidy_now_and_then(ws) == {"runs": 0, "bytes": 0}
    assert tidying.tidy_now_and_then(ws) is None
    ws.time.advance(3601)
    assert tidying.tidy_now_and_then(ws) == {"runs": 0, "bytes": 0}


def test_the_doctor_says_what_files_take_and_for_whom_limits_hold(ws: FakeWorkspace) -> None:
    attempt(ws, 1, 3 << 20)
    runs, limits = health.notes(ws)
    assert (runs["detail"], runs["bytes"]) == ("files of attempts take 3 MB (runs: 1)", 3 << 20)
    assert limits["detail"] == "limits on memory would hold for all processes of an attempt together"
    ws.ungrouped = "no groups"
    assert health.notes(ws)[1]["detail"] == "limits on memory would hold for each process alone (no groups)"
    ws.ungrouped, ws.config["execution"]["cgroup"] = None, "off"
    assert "execution.cgroup is off" in str(health.notes(ws)[1]["detail"])


def test_limits_that_are_weaker_than_they_sound_are_told_of(ws: FakeWorkspace) -> None:
    ws.ungrouped = "no groups"
    assert health.weak_limits(ws) == []
    ws.config["execution"]["limits"] |= {"cpu": 5.0, "cores": 2.0}
    (words,) = health.weak_limits(ws)
    assert words.startswith("without a control group cores is not limited (no groups); ")
    ws.ungrouped = None
    assert health.weak_limits(ws) == []
