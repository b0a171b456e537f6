"""Real drains of a queue with lanes, resources, kinds of dependencies and recurring tasks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

#: Fails if another one is in there already.
ALONE = "mkdir alone && sleep 0.02 && rmdir alone && echo $ATMS_TASK_TITLE >> order"


def test_a_drain_keeps_lanes_apart_and_resources_to_themselves(repository: Atms) -> None:
    atms = repository
    atms.settings(
        "execution: {jobs: 3, max_attempts: 1}\nqueue:\n  lanes:\n    fast: {strategy: lifo}\n    slow: {concurrency: 1}\n"
    )
    flood = [atms.add(f"slow{number}", "--lane", "slow", "--command", "true") for number in range(6)]
    alone = [atms.add(f"fast{number}", "--lane", "fast", "--exclusive", "x", "--command", ALONE) for number in range(4)]
    alone.append(atms.add("default", "--exclusive", "x", "--command", ALONE))
    bad = atms.add("bad", "--command", "exit 3")
    clean_up = atms.add("clean up", "--after-failure", bad, "--command", "echo clean >> cleaned")
    never = atms.add("never", "--after-failure", flood[0], "--command", "echo never >> cleaned")
    always = atms.add("always", "--after-any", bad, "--command", "echo always >> cleaned")
    answer = atms("run", "--drain", "--progress", "plain", code=8)
    statuses = atms.statuses()
    assert {statuses[each] for each in (*flood, *alone, clean_up, always)} == {"completed"}, answer
    assert (statuses[bad], statuses[never]) == ("failed", "cancelled")
    assert atms.task(never)["reason"] == f"not needed: {flood[0]} was completed"
    order = (atms.root / "order").read_text().split()
    assert [each for each in order if each.startswith("fast")] == ["fast3", "fast2", "fast1", "fast0"]
    assert sorted((atms.root / "cleaned").read_text().split()) == ["always", "clean"]
    spans = sorted(
        (attempt["started_at"], attempt["ended_at"]) for each in flood for attempt in atms.task(each)["attempt_list"]
    )
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans)), "one slow one at a time"


def test_a_drain_that_a_limit_ends_says_what_is_left_and_why(repository: Atms) -> None:
    atms = repository
    atms.settings("queue: {rate: 1/1h}\n")
    atms.add("One", "--command", "true")
    atms.add("Two", "--command", "true")
    answer = atms("run", "--drain", "--progress", "plain", code=8)
    assert sorted(atms.statuses().values()) == ["completed", "queued"]
    *_, done, limit, left = answer.out.splitlines()
    assert done == "ended: 1 completed"
    assert limit.startswith("  the queue has used up its rate of 1 in 1h until 20")
    assert left == "1 task left; go on with: atms run --drain"


def test_alerts_are_told(repository: Atms) -> None:
    atms = repository
    atms.settings("queue: {alerts: {size: 1}}\n")
    atms.add("One", "--command", "true")
    atms.add("Two", "--command", "true")
    answer = atms("run", "--drain", "--progress", "plain")
    assert "! 2 tasks in the queue, above 1\n" in answer.out
    assert "✓ over: 2 tasks in the queue, above 1\n" in answer.out
    assert atms.json("queue", "status")["alerts"] == []
    assert [each["type"] for each in atms.json("log", "alert/size")] == ["queue.alerted", "queue.calmed"]


def test_a_recurring_task_is_made_and_run(repository: Atms) -> None:
    atms = repository
    template = atms.add("Every minute", "--every", "* * * * *", "--missed", "all", "--command", "echo ran >> ran")
    # As if nobody had looked for a while.
    atms("task", "update", template, "--not-before", "2020-01-01T00:00")
    atms("task", "update", template, "--title", "Every minute, newer")
    atms.settings("queue: {alerts: {size: 50}}\nexecution: {jobs: 4}\n")
    answer = atms("run", "--drain", "--progress", "plain")
    assert "Every minute, newer  due\n" in answer.out
    # Alerts are looked after before what recurs is made, and then every half minute.
    assert answer.out.endswith("completed\n")
    made = [task for task in atms.json("task", "list") if task["id"] != template]
    assert len(made) >= 100, "the newest hundred of six years"
    assert {task["status"] for task in made} == {"completed"}
    assert {task["metadata"]["properties"]["recurs_from"] for task in made} == {template}
    assert atms.task(template)["status"] == "created"
    assert len((atms.root / "ran").read_text().split()) == len(made)
    assert atms.task(template)["not_before"] > max(task["metadata"]["properties"]["occurrence"] for task in made)
