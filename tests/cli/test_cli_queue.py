"""Lanes, limits, moves, recurring tasks and kinds of dependencies on the command line, and what is said of odd input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)


def unchanged(atms: Atms, *words: str, code: int, says: str, hint: str = "") -> None:
    """Hold that a command is refused with these words, and that it changed nothing."""
    before, settings = atms.json("log"), atms.root / "atms.yaml"
    there = settings.read_text() if settings.exists() else None
    answer = atms(*words, code=code)
    assert answer.out == ""
    first, *rest = answer.err.splitlines()
    assert first.startswith("error: "), answer.err
    assert says in first
    assert hint in "".join(rest)
    assert atms.json("log") == before
    assert (settings.read_text() if settings.exists() else None) == there


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "strategy",
            "fastest",
            "queue.strategy: `fastest` is not possible; choose one of: priority, fifo, lifo, dependency",
        ),
        ("lanes.docs.strategy", "fastest", "queue.lanes.docs.strategy: `fastest` is not possible"),
        ("rate", "0/1h", "queue.rate: `0/1h` is not a rate; write it like 10/1h"),
        ("rate", "often", "queue.rate: `often` is not a rate; write it like 10/1h"),
        ("lanes.docs.rate", "1/0s", "`1/0s` is not a rate"),
        ("quiet", '["25:00-26:00"]', "queue.quiet.0: `25:00-26:00` is not a time of the week"),
        ("weights", '{"x": -1}', "the weight of `x` is -1.0; a weight is a number above 0"),
        ("weights", '{"x": 0}', "the weight of `x` is 0.0"),
        ("by", "colour", "queue.by: `colour` is not possible; choose one of: feature, category, agent, tag, creator"),
        ("half_life", "0", "queue.half_life: `0` is no time to wait"),
        ("concurrency", "0", "queue.concurrency: Expected `int` >= 1"),
        ("resources.gpu", "0", "queue.resources.gpu: Expected `int` >= 1"),
        ("alerts.size", "0", "queue.alerts.size: Expected `int` >= 1"),
        ("alerts.failure_rate", "2", "queue.alerts.failure_rate: Expected `float` <= 1.0"),
        ("alerts.speed", "2", "queue.alerts: Object contains unknown field `speed`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(atms: Atms, key: str, value: str, says: str) -> None:
    unchanged(atms, "queue", "set", key, value, code=1, says=says, hint="what it may hold: atms config schema")


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["--every", "0 0 30 2 *"], "`0 0 30 2 *` is not a cron expression: bad day-of-month", "@daily"),
        (["--every", "now and then"], "`now and then` is not a cron expression: it needs 5 fields", "@daily"),
        (["--every", "61 * * * *"], "`61 * * * *` is not a cron expression", "@daily"),
        (["--missed", "once"], "`--missed once` says nothing", "give --every too, and one of: skip, once, all"),
        (["--every", "@daily", "--missed", "never"], "`--missed never` says nothing", "one of: skip, once, all"),
    ],
)
def test_recurring_tasks_that_make_no_sense_are_refused(atms: Atms, words: list[str], says: str, hint: str) -> None:
    unchanged(atms, "task", "add", "Nightly", *words, code=2, says=says, hint=hint)


def test_dependencies_that_make_no_sense_are_refused(atms: Atms) -> None:
    one = atms.add("One")
    two = atms.add("Two", "--soft-after", one)
    unchanged(
        atms, "task", "depend", two, "--on", one, "--kind", "sometimes",
        code=2, says="`sometimes` is not a kind of dependency", hint="choose one of: success, failure, always, soft",
    )  # fmt: skip
    for kind in ("success", "failure", "always", "soft"):
        words = ("task", "depend", one, "--on", two, "--kind", kind)
        unchanged(atms, *words, code=1, says=f"dependencies would form a cycle: {one} -> {two} -> {one}")
    unchanged(atms, "task", "add", "Three", "--after-failure", "nope", code=4, says="no task `nope`")
    unchanged(atms, "task", "add", "Three", "--after-any", "nope", code=4, says="no task `nope`")


def test_moves_that_make_no_sense_are_refused(atms: Atms) -> None:
    one, two, elsewhere, running = (
        atms.add("One"), atms.add("Two"), atms.add("Else", "--lane", "docs"), atms.add("Running"),
    )  # fmt: skip
    atms("task", "start", running)
    for words in ([], ["--first", "--last"], ["--first", "--before", two]):
        unchanged(atms, "queue", "move", one, *words, code=2, says="where to?", hint="--first, --last, --before ID")
    for task_id, other, code, says in (
        (one, one, 2, "a task cannot be put before itself"),
        (one, elsewhere, 1, f"`{elsewhere}` is in lane docs, `{one}` in default"),
        (one, running, 1, f"`{running}` is not ready to start, so nothing can be put before it"),
        (running, one, 1, f"`{running}` is in progress, so it cannot be moved"),
        (one, "nope", 4, "no task `nope`"),
        ("nope", one, 4, "no task `nope`"),
    ):
        unchanged(atms, "queue", "move", task_id, "--before", other, code=code, says=says)
    unchanged(atms, "queue", "move", running, "--first", code=1, says="it cannot be moved", hint="atms task release")
    atms("queue", "set", "strategy", "fair_share")
    says = "the strategy of lane default leaves no task where it was put"
    unchanged(atms, "queue", "move", two, "--before", one, code=1, says=says, hint=f"atms queue move {two} --first")


def test_tasks_are_moved(atms: Atms) -> None:
    one, two, three = (atms.add(name) for name in ("One", "Two", "Three"))
    assert atms("queue", "move", three, "--first").out == f"○ {three}  Three  moved\n"
    assert atms("queue", "move", one, "--last", "-q").line == one
    (moved,) = atms.json("queue", "move", two, "--before", three)
    assert (moved["id"], sorted(moved["place"])) == (two, ["level", "nudge", "pin", "since"])
    assert atms("queue", "list", "-q").lines == [two, three, one]
    assert [event["type"] for event in atms.json("log", one)] == ["task.created", "task.moved"]
    assert "; moved last)" in atms("queue", "explain", one).out


def test_changes_of_many_tasks_say_which(atms: Atms) -> None:
    one, two = atms.add("One", "-t", "x"), atms.add("Two", "-t", "x")
    hint = "--tag, --feature, --category, --lane or --search"
    for words in (["hold"], ["release"], ["retry"], ["prioritize", "high"]):
        unchanged(atms, "queue", *words, code=2, says="which tasks?", hint=hint)
    says = "`urgent` is not a priority"
    unchanged(atms, "queue", "prioritize", one, "urgent", code=2, says=says, hint="critical, high, medium")
    assert atms("queue", "hold", "--tag", "x", "--reason", "later", "-q").lines == [one, two]
    assert atms("queue", "hold", "--tag", "x").err == "no task is so\n"
    assert atms.json("queue", "hold", "--tag", "x") == []
    assert atms("queue", "release", one).out == f"○ {one}  One  let go\n"
    assert atms("queue", "release", "--search", "Two", "-q").lines == [two]
    assert atms("queue", "prioritize", "high", "--tag", "x", "-q").lines == [one, two]
    assert atms.task(two)["priority"] == "high"
    atms("task", "fail", one)
    assert atms("queue", "retry", "--lane", "default").out == f"○ {one}  One  queued again\n"


def test_lanes_are_paused_drained_and_resumed(atms: Atms) -> None:
    one = atms.add("One", "--lane", "docs")
    assert atms("queue", "pause", "--lane", "docs").out == "paused; go on with: atms queue resume --lane docs\n"
    assert atms("queue", "next", code=6).err.startswith("error: nothing in the queue can be started now\n")
    assert "  ◌ the lane docs is paused\n" in atms("queue", "explain", one).out
    assert atms.json("queue", "resume", "--lane", "docs") == {"paused": False, "draining": False, "lane": "docs"}
    assert atms("queue", "drain", "--lane", "docs").out == "draining; go on with: atms queue resume --lane docs\n"
    assert atms.json("queue", "drain", "--lane", "docs") == {"draining": True, "lane": "docs"}
    late = atms("task", "add", "Late", "--lane", "docs")
    (draft,) = [task_id for task_id in atms.statuses() if task_id != one]
    assert late.err == f"the queue takes nothing new in now, so it is a draft; later: atms task queue {draft}\n"
    assert atms("queue", "status").out == (
        "ready     1\nrunning   0\nblocked   0\ndelayed   0\nstrategy  priority\nlanes     docs (priority, draining)\n"
    )
    atms("queue", "resume", "--lane", "docs")
    assert atms("task", "queue", draft, "-q").line == draft
    assert atms("task", "list", "--lane", "docs", "-q").lines == [one, draft]


def test_a_recurring_task_says_when_it_is_next(atms: Atms) -> None:
    added = atms("task", "add", "Nightly", "--every", "@yearly", "--missed", "all").line
    assert "  (every @yearly, next at " in added
    (template,) = atms.json("task", "list", "--status", "created")
    assert template["recurrence"] == {"cron": "@yearly", "missed": "all"}
    assert atms("queue", "status").out == (
        "ready      0\nrunning    0\nblocked    0\ndelayed    0\nrecurring  1\nstrategy   priority\n"
    )


def test_the_keys_of_the_queues_documents(atms: Atms) -> None:
    one = atms.add("One", "--needs", "gpu", "--exclusive", "db", "--lane", "docs")
    two = atms.add("Two", "--after", one)
    assert sorted(atms.json("queue", "status")) == [
        "alerts", "blocked", "delayed", "draining", "lanes", "pause_reason", "paused", "ready", "recurring", "running", "strategy",
        "stuck", "throttled",
    ]  # fmt: skip
    assert sorted(atms.json("queue", "stats")) == [
        "completed_last_day", "completed_last_hour", "failure_rate", "oldest_wait_s", "run_s", "size", "starving", "stuck", "wait_s",
    ]  # fmt: skip
    explained = atms.json("queue", "explain", two)
    assert sorted(explained) == [
        "ahead", "base_priority", "effective_priority", "forecast", "id", "inherited", "lane", "pinned", "priority", "rank",
        "root_causes", "status", "strategy", "title", "waited_s", "waits_for",
    ]  # fmt: skip
    assert sorted(explained["forecast"]) == ["basis", "finish", "start", "thin"]
    assert sorted(explained["waits_for"][0]) == ["id", "kind", "status", "text", "when"]
    task = atms.task(one)
    assert (task["resources"], task["exclusive"], task["lane"]) == (["gpu"], "db", "docs")
    atms("task", "fail", one, "--reason", "broken")
    (dead,) = atms.json("queue", "dead")
    assert sorted(dead) == ["attempts", "failed_at", "id", "log_tail", "reason", "title"]
    assert atms("queue", "dead").out == (
        f"✗ {one}  One\n  0 attempts: broken\n→ try again: atms queue retry ID; put out of sight: atms task archive ID\n"
    )
    graph = atms.json("task", "graph")
    assert (sorted(graph), sorted(graph["tasks"][0]), graph["edges"]) == (
        ["edges", "tasks"], ["id", "status", "title"], [{"task": two, "needs": one, "kind": "success"}],
    )  # fmt: skip
    says = "`svg` is not a form of graph"
    unchanged(atms, "task", "graph", "--format", "svg", code=2, says=says, hint="text, dot, mermaid")


@pytest.mark.parametrize("option", ["--lane", "--tag", "--needs", "--exclusive", "--cap", "--env"])
def test_names_that_say_nothing_are_refused(atms: Atms, option: str) -> None:
    unchanged(atms, "task", "add", "One", option, "=x" if option == "--env" else " ", code=2, says="")


def test_nobody_gets_past_a_held_key_by_naming_the_task(atms: Atms) -> None:
    one, two = atms.add("One", "--exclusive", "db"), atms.add("Two", "--exclusive", "db")
    atms("task", "claim", one, "--agent", "eve")
    for words in (["task", "claim", two, "--agent", "ann"], ["task", "start", two, "--agent", "ann"]):
        unchanged(atms, *words, code=5, says="db", hint=f"wait until it is free: atms queue explain {two}")
    atms("task", "release", one, env={"ATMS_AGENT": "eve"})
    atms("task", "start", two, "--agent", "ann")


def test_queue_next_waits_where_claiming_would(atms: Atms) -> None:
    atms("queue", "set", "concurrency", "1")
    one = atms.add("One")
    atms.add("Two")
    assert atms("queue", "next", "-q").line == one
    atms("task", "start", one)
    unchanged(atms, "queue", "next", code=6, says="", hint="try again when a task has ended")


def test_undo_goes_past_settings(atms: Atms) -> None:
    one = atms.add("One")
    atms("config", "set", "execution.jobs", "3")
    atms("undo")
    assert atms.task(one)["status"] == "archived"


def test_a_lane_that_is_paused_or_draining_is_shown(atms: Atms) -> None:
    assert atms.json("queue", "status")["lanes"] == []
    atms("queue", "pause", "--lane", "docs")
    (lane,) = atms.json("queue", "status")["lanes"]
    assert (lane["lane"], lane["paused"]) == ("docs", True)
    unchanged(atms, "queue", "pause", "--lane", " ", code=2, says="a lane needs a name")


def test_what_is_done_only_if_another_fails_is_not_needed_after_a_success(atms: Atms) -> None:
    one = atms.add("One")
    atms("task", "done", one)
    two = atms.add("Two", "--after-failure", one)
    assert (atms.task(two)["status"], atms.task(two)["reason"]) == ("cancelled", f"not needed: {one} was completed")


def test_a_task_shows_how_it_goes_through_the_queue(atms: Atms) -> None:
    one = atms.add("One", "--lane", "ops", "--needs", "gpu", "--exclusive", "db", "--cap", "sql", "--every", "@daily")
    lines = dict(line.split(maxsplit=1) for line in atms("task", "show", one).out.splitlines()[2:])
    shown = (lines["lane"], lines["needs"], lines["exclusive"], lines["takes"], lines["every"])
    assert shown == ("ops", "gpu", "db", "sql", "@daily, missed: once")


def test_what_is_imported_into_a_queue_that_drains_stays_a_draft(atms: Atms) -> None:
    one = atms.add("One")
    exported = atms("task", "export").out
    atms("queue", "drain")
    atms("task", "import", "-", "--form", "markdown", text="- [ ] Two\n- [x] Three\n")
    found = {task["title"]: task["status"] for task in atms.json("task", "list")}
    assert found == {"One": "queued", "Two": "created", "Three": "completed"}
    other = atms.root / "other"
    other.mkdir()
    atms("init", cwd=other)
    atms("queue", "drain", cwd=other)
    (listed,) = json.loads(atms("task", "import", "-", "--json", text=exported, cwd=other).out)["new"]
    assert (listed["id"], listed["status"]) == (one, "created")
