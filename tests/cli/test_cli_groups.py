"""Queue, agents, features, gates, settings and history on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)


def test_the_queue_gives_the_most_urgent_first(atms: Atms) -> None:
    low, high = atms.add("low", "-p", "low"), atms.add("high", "-p", "high")
    medium = atms.add("medium")
    assert atms("queue", "list", "-q").lines == [high, medium, low]
    assert atms("queue", "list").out == (
        "ID          STATUS    PRIORITY  TITLE   AGENT\n"
        f"{high}  ○ queued  high      high\n{medium}  ○ queued  medium    medium\n{low}  ○ queued  low       low\n"
    )
    assert atms("queue", "next").out == f"○ {high}  high\n"
    assert atms.json("queue", "next")["id"] == high
    assert atms("queue", "next", "-q").line == high
    atms("config", "set", "queue.strategy", "lifo")
    assert atms("queue", "list", "-q").lines == [medium, high, low]


def test_the_queue_in_numbers(atms: Atms) -> None:
    one = atms.add("One")
    two = atms.add("Two", "--after", one)
    atms.add("Three", "--not-before", "1h")
    atms("task", "claim", atms.add("Four"))
    assert atms("queue", "status").out == "ready     1\nrunning   1\nblocked   1\ndelayed   1\nstrategy  priority\n"
    atms("task", "cancel", one)
    assert (
        atms("queue", "status").out
        == "ready     0\nrunning   1\nblocked   1, 1 for ever\ndelayed   1\nstrategy  priority\n"
    )
    numbers = atms.json("queue", "status")
    assert {name: numbers[name] for name in ("ready", "blocked", "running", "paused")} == {
        "ready": 0, "blocked": 1, "running": 1, "paused": False,
    }  # fmt: skip
    first, second, hint, priority, forecast = atms("queue", "explain", two).lines
    assert (first, second) == (f"{two}  Two", f"  ◌ it depends on {one} (One), which is cancelled")
    assert hint == f"    atms task reopen {one}, or go on without it: atms task depend {two} --on {one} --remove"
    assert priority.startswith("  priority medium counts 2, waiting ")
    assert priority.endswith("s adds 0.00: 2.00 in all (lane default, strategy priority)")
    assert forecast == "  no forecast: it is far off, or it waits for what will not end by itself"


def test_a_task_is_explained(atms: Atms) -> None:
    one, two = atms.add("One", "-p", "high", "--command", "true"), atms.add("Two", "--command", "true")
    assert "  → it can start now; it is next\n" in atms("queue", "explain", one).out
    assert f"  → it can start now; 1 task ahead of it: {one} (One)\n" in atms("queue", "explain", two).out
    explained = atms.json("queue", "explain", two)
    assert (explained["id"], explained["rank"], explained["waits_for"]) == (two, 2, [])
    three = atms.add("Three")
    nobody = "`atms run` has nobody for it: it has no command, and no agent is there that `atms run` could start"
    ahead = f"2 tasks ahead of it: {one} (One), {two} (Two)"
    assert f"  ◌ {nobody}\n  → it can be claimed now; {ahead}\n" in atms("queue", "explain", three).out
    atms("task", "claim", one, "--agent", "eve")
    assert "eve is at work on it (assigned)" in atms("queue", "explain", one).out


def test_a_queue_is_paused_and_resumed(atms: Atms) -> None:
    atms.add("One")
    assert atms("queue", "resume").out == "it was not paused\n"
    assert atms("queue", "pause", "--reason", "holidays").out == "paused; go on with: atms queue resume\n"
    assert atms("queue", "pause").out == "it was paused already\n"
    for words in (["queue", "next"], ["task", "claim"]):
        assert atms(*words, code=6).err == "error: the queue is paused\nhint: go on with: atms queue resume\n"
    assert atms("queue", "status").out.endswith("state     paused: holidays\n")
    assert atms.json("queue", "resume") == {"paused": False, "draining": False, "lane": None}
    atms("queue", "next")


def test_agents_register_and_leave(atms: Atms) -> None:
    assert atms("agent", "list").err.startswith("no agents yet; ")
    assert atms("agent", "register", "eve", "--cap", "python", "--language", "go", "--max", "2").out == (
        "NAME  STATUS  TASKS  KIND  CAPABILITIES  NOTES\neve   idle    0/2    pull  python, go\n"
    )
    events = len(atms.json("log"))
    atms("agent", "register", "eve", "--cap", "python", "--language", "go", "--max", "2")
    assert len(atms.json("log")) == events
    atms.add("One", "--cap", "python")
    hard = atms.add("Two", "--cap", "rust", "-p", "critical")
    assert atms.json("task", "claim", "--agent", "eve")["title"] == "One"
    assert atms("task", "claim", "--agent", "eve", code=6).err.startswith(
        "error: nothing in the queue can be started now\n"
    )
    atms.add("Three")
    atms("task", "claim", "--agent", "eve")
    atms.add("Four")
    assert atms("task", "claim", "--agent", "eve", code=6).err == (
        "error: eve is already at work on 2 tasks, its limit\nhint: finish or release one first\n"
    )
    shown = atms.json("agent", "show", "eve")
    assert (shown["name"], shown["active"], shown["status"], shown["max_concurrent"]) == ("eve", 2, "busy", 2)
    assert atms("agent", "remove", "eve").out == "eve removed\n"
    assert atms.json("agent", "list") == []
    assert atms.task(hard)["status"] == "queued"


def test_an_agent_is_changed_where_something_is_said(atms: Atms) -> None:
    atms(
        "agent", "register", "eve", "--cap", "python", "--framework", "django", "--tool", "docker", "--category", "testing",
        "--max-complexity", "simple", "--max-priority", "high", "--rate", "10/1h", "--specialization", "backend",
    )  # fmt: skip
    eve = atms.json("agent", "update", "eve", "--cap", "go", "--clear", "rate", "--clear", "tool", "--max", "3")
    assert (eve["capabilities"], eve["frameworks"], eve["tools"], eve["rate"], eve["max_concurrent"]) == (
        ["go"],
        ["django"],
        [],
        None,
        3,
    )
    assert (eve["categories"], eve["max_complexity"], eve["max_priority"]) == (["testing"], "simple", "high")
    card = atms("agent", "show", "eve").out
    assert "backend, go, django" in card
    assert "testing; up to simple; up to priority high" in card
    assert "nothing to change" in atms("agent", "update", "eve", code=2).err
    assert "do not go together" in atms("agent", "update", "eve", "--cap", "x", "--clear", "cap", code=2).err
    assert "`kind` cannot be cleared" in atms("agent", "update", "eve", "--clear", "kind", code=2).err
    assert "`often` is not a rate" in atms("agent", "update", "eve", "--rate", "often", code=2).err
    assert "`cooking` is not a category" in atms("agent", "update", "eve", "--category", "cooking", code=2).err
    assert "no agent `adam`" in atms("agent", "update", "adam", "--max", "2", code=4).err


def test_who_takes_some_tasks_only_gets_those_and_the_others_say_why_not(atms: Atms) -> None:
    atms("agent", "register", "eve", "--category", "testing", "--max-priority", "medium")
    atms("agent", "register", "bob", "--command", "true", "--max-complexity", "simple", "--tool", "podman")
    for number in range(3):
        atms.add(f"Secure {number}", "-c", "security", "-p", "critical")
    one = atms.add("Test", "-c", "testing")
    assert atms.json("task", "claim", "--agent", "eve")["id"] == one
    assert atms("task", "claim", "--agent", "eve", code=6).err
    (waits,) = atms.json("queue", "explain", atms.add("Hard", "-c", "testing"))["waits_for"]
    assert waits["text"] == "`atms run` has nobody for it: bob: it takes nothing beyond simple, and this is moderate"
    assert "bob: it takes nothing beyond simple, and this is moderate" in atms("run", "--drain", code=8).out


def test_an_agent_of_the_settings_stays_there(atms: Atms) -> None:
    atms.settings("version: 1\nagents:\n  bob: {command: ./work.sh, max_concurrent: 3}\n")
    assert atms("agent", "list", "-q").lines == ["bob"]
    assert atms("agent", "register", "bob", code=5).err.startswith("error: agent `bob` stands in atms.yaml\n")
    assert (
        atms("agent", "remove", "bob", code=5).err == "error: agent `bob` stands in atms.yaml\nhint: remove it there\n"
    )


@pytest.fixture
def roadmap(atms: Atms) -> Atms:
    features = [
        {
            "id": "f1",
            "title": "Dark mode",
            "description": "A theme",
            "category": "new-feature",
            "status": "suggested",
            "x": 1,
        },
        {"id": "f2", "title": "Fix login", "description": "It fails", "category": "bug-fix", "status": "approved"},
        {"id": "g3", "title": "Old", "status": "implemented"},
    ]
    atms.write("FEATURES.json", json.dumps({"features": features, "metadata": {}}, indent=2) + "\n")
    return atms


def test_features_are_listed_decided_and_taken_in(roadmap: Atms) -> None:
    atms = roadmap
    assert atms("feature", "list").out == (
        "ID  STATUS       CATEGORY     TASKS  TITLE\n"
        "f1  suggested    new-feature         Dark mode\n"
        "f2  approved     bug-fix             Fix login\n"
        "g3  implemented                      Old\n"
    )
    assert atms("feature", "list", "--status", "approved", "-q").line == "f2"
    assert atms("feature", "plan").out == "f2  Fix login\n  1. Implement: Fix login  high\n"
    assert atms("feature", "diff", code=1).out == "+ f2  Fix login: 1 task\n"
    assert atms("feature", "sync", "--check", code=1).out == "+ f2  Fix login: 1 task\n"
    assert atms("feature", "approve", "f1", "--notes", "yes").out.splitlines()[1].split() == [
        "f1",
        "approved",
        "new-feature",
        "Dark",
        "mode",
    ]
    assert (
        atms("feature", "approve", "f1", code=1).err
        == "error: only a suggested feature can be approved; `f1` is approved\n"
    )
    synced = atms("feature", "sync").out
    ids = atms("task", "list", "-q").lines
    titles = ["Implement: Dark mode", "Test: Dark mode", "Document: Dark mode", "Implement: Fix login"]
    assert synced == "".join(f"+ {one}  {title}\n" for one, title in zip(ids, titles, strict=True)) + (
        "4 tasks queued; work on them with: atms run --drain\n"
    )
    assert atms("feature", "sync").out == "in step already\n"
    assert atms("feature", "diff").out == "in step\n"
    atms("task", "done", ids[3])
    assert atms("feature", "diff", code=1).out == "→ f2  approved → implemented\n"
    assert atms("feature", "sync").out == "→ f2  approved → implemented\n"
    card = atms("feature", "show", "f2").out
    assert card == (
        "f2  Fix login\nimplemented, bug-fix\nimplemented by: ann\n"
        f"implementation notes: completed by atms: {ids[3]} (Implement: Fix login)\n\nIt fails\n"
        f"  ✓ completed  {ids[3]}  Implement: Fix login\n"
    )


def test_several_features_are_decided_together_or_not_at_all(roadmap: Atms) -> None:
    atms, path = roadmap, roadmap.root / "FEATURES.json"
    before = path.read_bytes()
    atms("feature", "approve", "f1", "f2", code=1)
    atms("feature", "reject", "f1", "nothing", code=4)
    assert path.read_bytes() == before
    assert atms("feature", "show", "f", code=2).err == "error: `f` stands for 2 features\nhint: give more of its id\n"
    rejected = atms.json("feature", "reject", "f1")
    assert (rejected["rejected_by"], rejected["rejection_reason"]) == ("ann", "No reason provided")


def test_another_roadmap_file_can_be_named(roadmap: Atms) -> None:
    atms = roadmap
    atms.write("plan/other.json", json.dumps({"features": [{"id": "o1", "title": "Other", "status": "approved"}]}))
    assert atms("feature", "list", "--file", "plan/other.json", "-q", cwd=atms.root).line == "o1"
    assert atms("feature", "list", "--file", "other.json", "-q", cwd=atms.root / "plan").line == "o1"
    assert atms("feature", "list", "--file", "missing.json", code=4).err.startswith("error: there is no ")


def test_a_roadmap_that_is_not_json_is_refused_by_name(roadmap: Atms) -> None:
    atms = roadmap
    path = atms.write("FEATURES.json", '{"features": [}')
    for words in (["list"], ["sync"], ["approve", "f1"]):
        answer = atms("feature", *words, code=1)
        assert str(path) in answer.err
        assert path.read_text() == '{"features": [}'
    assert atms.json("doctor", code=1)["problems"][0]["check"] == "roadmap"


def test_a_suggestion_is_checked_as_the_original_checks_it(atms: Atms) -> None:
    good = [
        "Offline mode",
        "-d",
        "It works without a network",
        "--business-value",
        "People on trains",
        "-c",
        "new-feature",
    ]
    for position, (option, words) in enumerate(
        (("title", "short"), ("description", "short"), ("business value", "short"))
    ):
        bad = list(good)
        bad[(0, 2, 4)[position]] = words
        assert atms("feature", "suggest", *bad, code=2).err.startswith(f"error: the {option} has 5 characters\n")
    assert not (atms.root / "FEATURES.json").exists()
    feature = atms.json("feature", "suggest", *good)
    assert (feature["status"], feature["suggested_by"]) == ("suggested", "ann")
    assert feature["id"].startswith("feature_")
    assert json.loads((atms.root / "FEATURES.json").read_text())["metadata"]["total_features"] == 1


def test_gates_are_defined_shown_and_taken_away(atms: Atms) -> None:
    path = atms.root / "atms.yaml"
    assert atms("gate", "list").err.startswith("no gates yet; add one: ")
    added = atms(
        "gate", "add", "tests", "--command", "test -e fine", "--kind", "test", "--stage", "task", "--stage", "ci"
    )
    assert added.out == f"tests added to {path}; try it: atms gate run tests\n"
    assert atms("gate", "add", "tests", "--command", "x", code=5).err.startswith(
        "error: there is a gate `tests` already\n"
    )
    atms("gate", "add", "style", "--command", "true", "--advisory", "--timeout", "5s")
    assert atms("gate", "list").out == (
        "NAME   KIND    REQUIRED  STAGES    COMMAND\n"
        "tests  test    required  task, ci  test -e fine\n"
        "style  custom  advisory  task      true\n"
    )
    assert atms.json("gate", "show", "style")["timeout"] == 5
    assert atms("gate", "show", "nothing", code=4).err == "error: no gate `nothing`\nhint: known gates: tests, style\n"
    assert [gate["name"] for gate in atms.json("gate", "run", "--stage", "ci", code=7)["gates"]] == ["tests"]
    one = atms.add("One")
    assert atms("task", "done", one, code=7).err.startswith(
        f"error: `{one}` is not done: gate tests: exit code 1\nhint: see {atms.root}/.atms/"
    )
    assert atms.task(one)["status"] == "queued"
    atms.write("fine", "")
    done = atms.json("task", "done", one)
    assert done["result"]["validation"]["passed"] is True
    assert atms("gate", "remove", "style").out == f"style removed from {path}\n"
    assert atms("gate", "list", "-q").line == "tests"


def test_settings_are_read_changed_and_checked(atms: Atms) -> None:
    path = atms.write("atms.yaml", "# mine\nversion: 1\nexecution:\n  jobs: 3  # three\n")
    assert atms("config", "get", "execution.jobs").out == "3\n"
    assert atms.json("config", "get", "execution")["jobs"] == 3
    changed = atms("config", "set", "execution.timeout", "15m")
    assert (changed.out, changed.err) == ("900.0\n", f"execution.timeout set in {path}\n")
    assert path.read_text() == "# mine\nversion: 1\nexecution:\n  jobs: 3  # three\n  timeout: 15m\n"
    before = path.read_bytes()
    assert atms("config", "set", "execution.jobs", "many", code=1).err.startswith(f"error: {path}: execution.jobs: ")
    assert path.read_bytes() == before
    assert atms("config", "unset", "execution.timeout").out == f"execution.timeout taken out of {path}\n"
    assert path.read_text() == "# mine\nversion: 1\nexecution:\n  jobs: 3  # three\n"
    assert atms("config", "path").out == f"{path}\n"
    assert atms("config", "validate").out == f"{path} is good\n"
    assert "execution.jobs = 3\n" in atms("config", "list").out
    assert "execution.jobs" in atms("config", "list", "-q").lines
    assert atms.json("config", "schema")["$defs"]["Document"]["properties"].keys() >= {
        "queue",
        "execution",
        "gates",
        "agents",
    }


@pytest.mark.parametrize(
    "content",
    ["gates: [", "version: 2\n", "nothing: 1\n", "- a\n", "execution: {jobs: 0}\n", "\ttab: 1\n", "a: b: c\n"],
)
def test_settings_that_are_wrong_are_refused_with_the_place(atms: Atms, content: str) -> None:
    path = atms.write("atms.yaml", content)
    answer = atms("config", "validate", code=1)
    assert answer.err.startswith(f"error: {path}")
    assert "\nhint: " in answer.err
    assert atms.json("doctor", code=1)["problems"][0]["check"] == "settings"
    assert path.read_text() == content


def test_the_history_in_words_and_json(atms: Atms) -> None:
    one = atms.add("One", "-d", "x")
    atms("task", "cancel", one, "--reason", "too\nlate", env={"ATMS_AGENT": "eve"})
    events = atms.json("log")
    assert [event["type"] for event in events] == ["task.created", "task.cancelled"]
    assert all(set(event) >= {"v", "id", "at", "type", "key", "actor", "data"} for event in events)
    assert atms("log").out == (
        f"{events[0]['at']}  task.created          {one}  by ann  One\n"
        f"{events[1]['at']}  task.cancelled        {one}  by agent:eve  too late\n"
    )
    assert atms("log", "-n", "1", "-q").line == events[1]["id"]
    assert atms("log", one[:5], "--type", "*.cancelled", "-q").line == events[1]["id"]
    assert len(atms("log", "--since", "1h").lines) == 2
    assert atms("log", "--since", "2099-01-01").out == ""
    assert atms("log", "-n", "0").out == ""


def test_the_doctor_finds_and_mends(atms: Atms) -> None:
    atms.add("One")
    assert atms("doctor").out == "✓ journal, index, settings and roadmap are in order\n"
    assert atms.json("doctor")["problems"] == []
    (atms.root / ".atms" / "index.sqlite").write_bytes(b"not a database at all" * 100)
    assert len(atms.json("task", "list")) == 1
    atms("doctor", "--fix")
    assert atms("doctor").code == 0


def test_times_that_do_not_exist_are_refused(atms: Atms) -> None:
    for words in ("2026-13-45", "2026-02-30", "2026-01-01T25:00", "2026-01-01T10:61", "99999999999w", "0000-00-00"):
        assert atms("task", "add", "x", "--deadline", words, code=2).err.startswith(
            f"error: `{words}` is not a time\n"
        ), words


def test_agents_change_neither_gates_nor_settings(atms: Atms) -> None:
    atms("gate", "add", "must", "--command", "false")
    as_agent = {"ATMS_AGENT": "eve"}
    for words in (
        ["gate", "remove", "must"],
        ["gate", "add", "easy", "--command", "true"],
        ["config", "set", "gates.must.required", "false"],
        ["config", "unset", "gates.must"],
    ):
        assert atms(*words, code=1, env=as_agent).err.startswith("error: agents cannot change ")
    assert atms("gate", "list", "-q").lines == ["must"]
    assert atms("task", "done", atms.add("One"), code=7, env=as_agent).err


def test_changes_of_settings_are_on_record(atms: Atms) -> None:
    atms("gate", "add", "must", "--command", "false")
    atms("config", "set", "queue.ageing", "1h")
    atms("gate", "remove", "must")
    events = atms.json("log", "--type", "settings.*")
    assert [event["data"]["reason"] for event in events] == [
        "gate must added: false",
        "queue.ageing set to 1h",
        "gate must removed",
    ]


def test_agents_are_disabled_drained_and_enabled(atms: Atms) -> None:
    atms("agent", "register", "eve", "--max", "2")
    one = atms.add("One")
    atms("task", "claim", "--agent", "eve")
    atms("agent", "drain", "eve", "--reason", "night")
    assert atms("task", "claim", "--agent", "eve", code=6).err == (
        "error: the agent eve is disabled (night)\nhint: let it work again: atms agent enable eve\n"
    )
    assert atms.task(one)["status"] == "assigned"
    assert "terminated" in atms("agent", "disable", "eve").out
    assert atms.task(one)["status"] == "queued"
    assert "1 terminated" in atms("status").out
    assert atms.json("status")["agents"]["by_status"] == {"terminated": 1}
    assert "terminated" in atms("agent", "show", "eve").out
    atms("agent", "enable", "eve")
    assert atms.json("task", "claim", "--agent", "eve")["id"] == one
    assert "agents cannot disable" in atms("agent", "disable", "eve", code=1, env={"ATMS_AGENT": "eve"}).err


def test_how_agents_do_is_told_for_all_or_some(atms: Atms) -> None:
    assert atms("agent", "stats").err == "no agent has made an attempt yet\n"
    atms("gate", "add", "there", "--command", "test -e there || { touch there; exit 1; }")
    atms("config", "set", "execution.retry_delay", "0.1")
    atms.add("Work", "--command", "true")
    atms("agent", "register", "eve")
    atms("run", "--drain")
    (shell,) = atms.json("agent", "stats")
    assert {name: shell[name] for name in ("name", "attempts", "completed", "retries", "success_rate", "gate_pass_rate")} == {
        "name": "shell", "attempts": 2, "completed": 1, "retries": 1, "success_rate": 0.5, "gate_pass_rate": 0.5,
    }  # fmt: skip
    header, row = atms("agent", "stats").lines
    assert header.split()[:4] == ["NAME", "ATTEMPTS", "COMPLETED", "SUCCESS"]
    assert row.split()[:5] == ["shell", "2", "1", "50%", "1"]
    assert [each["attempts"] for each in atms.json("agent", "stats", "eve", "shell")] == [0, 2]
    assert "no agent `adam`" in atms("agent", "stats", "adam", code=4).err
    assert "0 attempts" not in atms("agent", "show", "eve").out
