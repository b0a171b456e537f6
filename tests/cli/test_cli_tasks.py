"""Tasks on the command line: exact words, keys and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

TASK_KEYS = {
    "id", "title", "description", "category", "priority", "status", "complexity", "estimated_effort", "business_value", "dependencies",
    "blocked_by", "parent_id", "feature_id", "assigned_agent", "tags", "command", "prompt", "attempts", "created_at", "updated_at",
    "queued_at", "started_at", "completed_at", "deadline", "not_before", "timeout", "max_attempts", "lease", "result", "reason", "context",
    "metadata", "validation_criteria", "required_capabilities", "agent",
}  # fmt: skip


def test_an_added_task_is_shown_with_its_id_and_what_it_waits_for(atms: Atms) -> None:
    first = atms("task", "add", "Fix the login redirect")
    assert first.err == ""
    mark, one, *words = first.line.split()
    assert (mark, words) == ("○", ["Fix", "the", "login", "redirect"])
    assert len(one) == 10
    second = atms("task", "add", "Test it", "--after", one[:4])
    two = second.line.split()[1]
    assert second.out == f"○ {two}  Test it  (waits for {one})\n"
    draft = atms("task", "add", "Later", "--draft").line
    assert draft.startswith("· ")


def test_an_added_task_has_everything_that_was_said(atms: Atms) -> None:
    one, two = atms.add("one"), atms.add("two")
    task = atms.json(
        "task", "add", "All", "-d", "long", "-p", "critical", "-c", "bug_fix", "--complexity", "simple", "--effort", "30", "--value",
        "much", "--after", one, "--after", two, "--parent", two, "--feature", "f1", "-t", "a", "--tag", "b", "--cap", "python",
        "--criterion", "it works", "--command", "true", "--agent", "eve", "--cwd", "src", "--env", "A=b=c", "--env", "E=",
        "--deadline", "2030-01-02", "--not-before", "2029-01-02T03:04+01:00", "--timeout", "1m30s", "--retries", "4",
    )  # fmt: skip
    assert set(task) >= TASK_KEYS
    expected = {
        "title": "All", "description": "long", "priority": "critical", "category": "bug_fix", "complexity": "simple",
        "estimated_effort": 30, "business_value": "much", "dependencies": [one, two], "blocked_by": [one, two], "parent_id": two,
        "feature_id": "f1", "tags": ["a", "b"], "required_capabilities": ["python"], "command": "true", "agent": "eve",
        "deadline": "2030-01-02T00:00:00.000Z", "not_before": "2029-01-02T02:04:00.000Z", "timeout": 90, "max_attempts": 5,
        "status": "queued", "attempts": 0, "assigned_agent": None,
    }  # fmt: skip
    assert {name: task[name] for name in expected} == expected
    assert task["context"]["working_directory"] == "src"
    assert task["context"]["environment"] == {"A": "b=c", "E": ""}
    assert task["validation_criteria"]["success_criteria"] == ["it works"]
    assert task["metadata"]["created_by"] == "ann"
    assert atms.task(task["id"])["title"] == "All"


def test_a_table_of_tasks(atms: Atms) -> None:
    one = atms.add("Fix the login redirect", "-p", "high")
    two = atms.add("Test it", "--after", one)
    three = atms.add("Later", "--draft", "-p", "background")
    atms("task", "claim", one, "--agent", "eve")
    assert atms("task", "list").out == (
        "ID          STATUS      PRIORITY    TITLE                   AGENT\n"
        f"{one}  ◔ assigned  high        Fix the login redirect  eve\n"
        f"{two}  ◌ waiting   medium      Test it\n"
        f"{three}  · created   background  Later\n"
    )


def test_no_tasks_is_a_success_that_says_so_on_stderr(atms: Atms) -> None:
    answer = atms("task", "list")
    assert (answer.out, answer.err) == ("", "no tasks like that\n")
    assert atms("task", "list", "-q").err == ""
    assert atms.json("task", "list") == []
    assert atms.json("queue", "list") == []
    assert atms("queue", "list").err == "nothing can start now\n"


def test_a_table_ends_after_fifty_and_says_so(atms: Atms) -> None:
    command = 'for i in $(seq 52); do atms task add "t$i" -q; done'
    assert atms.end(atms.start("-c", command, program=("/bin/sh",))).code == 0
    answer = atms("task", "list")
    assert len(answer.lines) == 51
    assert answer.err == "and more; see them with --limit N or --offset 50\n"
    assert len(atms("task", "list", "--limit", "51").lines) == 52
    assert len(atms("task", "list", "--offset", "50").lines) == 3
    assert len(atms.json("task", "list")) == 52
    assert len(atms("task", "list", "-q").lines) == 52
    assert len(atms("queue", "list").lines) == 51
    assert len(atms("queue", "list", "--limit", "3").lines) == 4


def test_forms_of_a_list(atms: Atms) -> None:
    one = atms.add('He said "no", twice', "-t", "a", "-t", "b")
    two = atms.add("Zwei")
    assert atms("task", "list", "--format", "ids").lines == [one, two]
    assert [task["id"] for task in atms("task", "list", "--format", "json").document] == [one, two]
    assert [task["id"] for task in atms("task", "list", "--format", "jsonl").documents] == [one, two]
    header, first, _ = atms("task", "list", "--format", "csv").lines
    assert header.startswith("id,title,status,priority,category")
    assert first.startswith(f'{one},"He said ""no"", twice",queued,medium,feature,moderate,,,a b,,')


def test_lists_are_filtered_and_sorted(atms: Atms) -> None:
    old = atms.add("old", "-p", "low", "-c", "testing", "-t", "x", "--feature", "f1", "--deadline", "2020-01-01")
    new = atms.add("new", "-p", "high", "-d", "about OAuth", "-t", "x", "-t", "y")
    waiting = atms.add("waiting", "--after", old)

    def listed(*options: str) -> list[str]:
        return atms("task", "list", "-q", *options).lines

    assert listed("--ready") == [old, new]
    assert listed("--blocked") == [waiting]
    assert listed("--overdue") == [old]
    assert listed("-p", "high", "-p", "low") == [old, new]
    assert listed("-c", "testing") == [old]
    assert listed("-t", "x", "-t", "y") == [new]
    assert listed("--feature", "f1") == [old]
    assert listed("--search", "oauth") == [new]
    assert listed("--status", "queued") == [old, new, waiting]
    assert listed("--sort", "created", "--reverse") == [waiting, new, old]
    assert listed("--limit", "1", "--offset", "1") == [new]
    assert listed("--limit", "0") == []
    atms("task", "claim", new, "--agent", "eve")
    assert listed("--agent", "eve") == [new]


def test_a_card(atms: Atms) -> None:
    one = atms.add("One")
    two = atms.add(
        "Two", "-d", "First line\nsecond line", "-p", "high", "--effort", "90", "-t", "a", "--criterion", "it works", "--after", one
    )  # fmt: skip
    three = atms.add("Three", "--after", two)
    card = atms("task", "show", two[:5]).out
    created = atms.task(two)["created_at"]
    assert card.replace(card[card.index(" (") : card.index("ago)") + 4], " (AGE)") == (
        f"{two}  Two\n\n"
        "status       queued\n"
        "priority     high\n"
        "category     feature, moderate\n"
        "tags         a\n"
        "effort       1h 30m\n"
        "holds up     1 task; its end frees 1\n"
        f"longest way  2h 30m of work: {two} → {three}\n"
        f"created      {created} (AGE)\n\n"
        "First line\nsecond line\n\n"
        f"Waits for\n  ○ {one}  One\n\n"
        f"Unblocks\n  ○ {three}  Three\n\n"
        "Done when\n  - it works\n"
    )
    shown = atms.task(two)
    assert [each["id"] for each in shown["blockers"]] == [one]
    assert [each["id"] for each in shown["dependents"]] == [three]
    assert [event["type"] for event in shown["history"]] == ["task.created"]
    path = {"tasks": [two, three], "minutes": 150}
    assert shown["impact"] == {"frees": [three], "holds_up": 1, "is_more": False, "critical_path": path}
    assert shown["attempt_list"] == []


def test_what_hangs_on_a_task(atms: Atms) -> None:
    one, other = atms.add("One", "--effort", "10"), atms.add("Other", "--effort", "10")
    short = atms.add("Short", "--effort", "5", "--after", one)
    long = atms.add("Long", "--effort", "60", "--after", one, "--after", other)
    last = atms.add("Last", "--effort", "1", "--after", short, "--after-any", long)
    atms.add("Whenever", "--soft-after", one)
    atms.add("Sorry", "--after-failure", one)
    path = {"tasks": [one, long, last], "minutes": 71}
    assert atms.task(one)["impact"] == {"frees": [short], "holds_up": 3, "is_more": False, "critical_path": path}
    assert atms.task(last)["impact"] is None
    atms("task", "done", one)
    assert atms.task(one)["impact"] is None
    assert atms.task(other)["impact"]["frees"] == [long]


def test_of_what_hangs_on_a_task_not_everything_is_looked_at(atms: Atms) -> None:
    one = atms.add("One")
    rows = "".join(f'{{"id": "wait{number:06d}", "title": "x", "dependencies": ["{one}"]}}\n' for number in range(101))
    atms("task", "import", "-", "--form", "atms", text=rows)
    impact = atms.task(one)["impact"]
    assert len(impact["frees"]) == 101
    assert (impact["holds_up"], impact["is_more"], impact["critical_path"]) == (100, True, None)
    assert "holds up  more than 100 tasks; its end frees 101\n" in atms("task", "show", one).out


def test_only_a_newline_ends_a_line_of_an_import(atms: Atms) -> None:
    rows = '{"id": "one", "title": "a\u2028b", "description": "c\u0085d"}\n\n{"id": "two", "title": "\\ud83d\\ude80"}\n'
    assert atms("task", "import", "-", "--form", "atms", text=rows).out.endswith("2 tasks added\n")
    assert (atms.task("one")["title"], atms.task("one")["description"]) == ("a\u2028b", "c\u0085d")
    assert atms.task("two")["title"] == "\N{ROCKET}"


def test_what_a_script_writes_needs_only_titles(atms: Atms) -> None:
    rows = '{"title": "One", "command": "true"}\n{"title": "Two", "priority": "high"}\n{"title": "One"}\n'
    assert atms("task", "import", "-", text=rows).out == "3 tasks added\n"
    assert atms("task", "import", "-", text=rows).out == "0 tasks added, 3 known already\n"
    assert sorted(task["title"] for task in atms.json("task", "list")) == ["One", "One", "Two"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"id": "one"}\n', "entry 1 has no title"),
        ('{"id": "one", "title": "One"}\n\n{"id": "two", title}\n', "in line 3"),
        ('[{"id": "one", "title": "One"},\n{"id": "two"\n', "in line 2"),
        ('{"id": "one", "title": "One"}\n[]\n', "entry 2 is not an object"),
        ('{"id": "one", "title": "One", "timeout": NaN}\n[]\n', "entry 2 is not an object"),
    ],
)
def test_what_cannot_be_imported_is_named_with_its_line(atms: Atms, text: str, says: str) -> None:
    assert says in atms("task", "import", "-", "--form", "atms", text=text, code=1).err
    assert atms.json("task", "list") == []


def test_the_life_of_a_task_in_words(atms: Atms) -> None:
    one = atms.add("One")
    two = atms.add("Two", "--after", one)
    assert atms("task", "start", one).out == f"▶ {one}  One  started\n"
    assert atms("task", "fail", one, "--reason", "no luck").out == f"✗ {one}  One  failed\n"
    assert "status       failed: no luck\n" in atms("task", "show", one).out
    assert atms("task", "retry", one).out == f"○ {one}  One  queued again\n"
    assert atms("task", "done", one, "--note", "by hand").out == f"✓ {one}  One\n→ {two}  Two  can start now\n"
    assert atms.task(one)["result"]["note"] == "by hand"
    assert atms("task", "reopen", one).out == f"○ {one}  One  reopened\n"
    assert atms("task", "cancel", one, two).out == f"– {one}  One  cancelled\n– {two}  Two  cancelled\n"
    assert atms("task", "update", one, "--title", "Uno", "-t", "x").out == f"– {one}  Uno  updated\n"


def test_doing_again_what_is_done_succeeds(atms: Atms) -> None:
    one = atms.add("One")
    for words in (["start"], ["done"], ["reopen"], ["cancel"]):
        first = atms("task", *words, one)
        events = len(atms.json("log", one))
        assert atms("task", *words, one).out.split()[:2] == first.out.split()[:2]
        assert len(atms.json("log", one)) == events


def test_done_in_json_names_what_it_unblocked(atms: Atms) -> None:
    one = atms.add("One")
    two = atms.add("Two", "--after", one)
    assert [each["id"] for each in atms.json("task", "done", one)["unblocked"]] == [two]
    three, four = atms.add("Three"), atms.add("Four")
    both = atms.json("task", "done", three, four)
    assert [task["id"] for task in both] == [three, four]


def test_several_ids_act_on_all_or_on_none(atms: Atms) -> None:
    one, two, three = atms.add("One"), atms.add("Two"), atms.add("Three")
    atms("task", "cancel", three)
    assert atms("task", "done", one, two, three, code=1).err == (
        f"error: `{three}` is cancelled, so it cannot be done\nhint: bring it back first: atms task reopen {three}\n"
    )
    assert (
        atms("task", "start", one, "nothing", code=4).err
        == "error: no task `nothing`\nhint: see them all: atms task list\n"
    )
    assert set(atms.statuses().values()) == {"queued", "cancelled"}
    assert atms("task", "done", one, two, "-q").lines == [one, two]
    assert atms("task", "done", one, one[:6], "-q").lines == [one]


def test_ids_may_be_abbreviated_as_long_as_they_are_clear(atms: Atms) -> None:
    ids = [atms.add(str(number)) for number in range(24)]
    taken = {one[0] for one in ids}
    shared = next(letter for letter in taken if sum(one[0] == letter for one in ids) > 1)
    error = atms("task", "show", shared, code=2).err
    assert error.startswith(f"error: `{shared}` ")
    assert "hint: " in error
    unique = next(one for one in ids if sum(other[:4] == one[:4] for other in ids) == 1)
    assert atms("task", "show", unique[:4], "-q").line == unique
    assert atms("task", "show", unique[:4].upper(), "-q", code=None).code in (0, 4)


def test_dependencies_are_made_and_taken_away(atms: Atms) -> None:
    one, two, three = atms.add("One"), atms.add("Two"), atms.add("Three")
    assert atms("task", "depend", three, "--on", one, "--on", two).out == f"○ {three}  Three  waits for {one}, {two}\n"
    assert atms.task(three)["blocked_by"] == [one, two]
    error = atms("task", "depend", one, "--on", three, code=1).err
    assert error == (
        f"error: dependencies would form a cycle: {one} -> {three} -> {one}\nhint: remove one of these dependencies first\n"
    )
    assert atms("task", "depend", one, "--on", one, code=1).err.startswith("error: dependencies would form a cycle:")
    assert (
        atms("task", "depend", three, "--on", one, "--remove").out == f"○ {three}  Three  no longer waits for {one}\n"
    )
    assert atms.task(three)["blocked_by"] == [two]


def test_changes_by_update(atms: Atms) -> None:
    one = atms.add("One", "-t", "a", "--env", "A=1")
    task = atms.json(
        "task", "update", one, "-d", "new", "-p", "low", "-t", "b", "--untag", "a", "--env", "B=2", "--timeout", "2h"
    )
    assert (task["description"], task["priority"], task["tags"], task["timeout"]) == ("new", "low", ["b"], 7200)
    error = atms("task", "update", one, code=2).err
    assert error == "error: nothing to change\nhint: name a field: atms task update --help\n"
    atms("task", "update", one, "--title", " ", code=2)
    events = len(atms.json("log", one))
    atms("task", "update", one, "-p", "low")
    assert len(atms.json("log", one)) == events


def test_what_was_given_can_be_cleared(atms: Atms) -> None:
    options = {
        "agent": "eve", "cap": "sql", "command": "make", "criterion": "it works", "cwd": ".", "deadline": "2h", "description": "long",
        "effort": "5", "env": "A=1", "exclusive": "db", "feature": "F1", "isolation": "worktree", "lane": "ops",
        "needs": "gpu", "not-before": "1h", "parent": atms.add("Whole"), "retries": "1", "tag": "a", "timeout": "1h", "value": "much",
    }  # fmt: skip
    plain = atms.task(atms.add("One"))
    one = atms.add("One", *(word for name, value in options.items() for word in (f"--{name}", value)))
    changed = atms.json("task", "update", one, *(word for name in options for word in ("--clear", name)))
    own = ("id", "created_at", "updated_at", "queued_at")
    assert {name: value for name, value in changed.items() if name not in own} == {
        name: plain[name] for name in changed if name not in own
    }


def test_clearing_keeps_what_is_given_beside_it(atms: Atms) -> None:
    one = atms.add("One", "--cwd", ".", "--env", "A=1", "-t", "a", "-t", "b")
    task = atms.json("task", "update", one, "--clear", "cwd", "--env", "B=2", "--clear", "tag", "-t", "c")
    assert (task["context"]["working_directory"], task["context"]["environment"]) == (None, {"B": "2"})
    assert task["tags"] == ["c"]
    assert atms.json("task", "update", one, "--prompt", "go")["prompt"] == "go"
    assert atms.json("task", "update", one, "--clear", "prompt")["prompt"] is None
    error = atms("task", "update", one, "--clear", "cwd", "--clear", "env", "--env", "C=3", code=2).err
    assert error == "error: --env and --clear env do not go together\nhint: give one of them\n"
    assert atms("task", "update", one, "--clear", "title", code=2).err.startswith("error: `title` cannot be cleared\n")
    assert atms.task(one)["context"]["environment"] == {"B": "2"}


@pytest.mark.parametrize("option", ["-d", "--value", "--prompt"])
def test_texts_come_from_stdin_and_files(atms: Atms, option: str, tmp_path: Path) -> None:
    field = {"-d": "description", "--value": "business_value", "--prompt": "prompt"}[option]
    file = tmp_path / "text.md"
    file.write_text("Über\nzwei Zeilen\n\n", encoding="utf-8")
    for said, kept in (("-", "from\nstdin"), (f"@{file}", "Über\nzwei Zeilen"), ("@@home", "@home"), ("", "")):
        one = atms("task", "add", "One", option, said, "-q", text="from\nstdin\n").line
        assert (atms.task(one)[field] or "") == kept


def test_reasons_and_notes_are_texts_too(atms: Atms) -> None:
    one = atms.add("One")
    atms("task", "done", one, "--note", "-", text="ein\nBericht\n")
    assert atms.task(one)["result"]["note"] == "ein\nBericht"
    two = atms.add("Two")
    atms("task", "cancel", two, "--reason", "-", text="zu teuer")
    assert atms.task(two)["reason"] == "zu teuer"


def test_claims_in_words_and_json(atms: Atms) -> None:
    low, high = atms.add("low", "-p", "low"), atms.add("high", "-p", "high")
    claimed = atms.json("task", "claim", "--agent", "eve", "--lease", "1h")
    assert (claimed["id"], claimed["assigned_agent"], claimed["status"]) == (high, "eve", "assigned")
    assert set(claimed["lease"]) >= {"token", "expires_at"}
    token = claimed["lease"]["token"]
    again = atms.json("task", "claim", high, "--agent", "eve")
    assert again["lease"]["token"] == token
    answer = atms("task", "claim", low)
    lease = atms.task(low)["lease"]
    assert answer.out == f"◔ {low}  low  yours until {lease['expires_at']}, token {lease['token']}\n"
    assert lease["agent"] == "ann"
    beat = atms("task", "heartbeat", low, "--lease", "5h")
    assert beat.out == f"{low} is yours until {atms.task(low)['lease']['expires_at']}\n"
    assert atms("task", "claim", code=6).err == (
        "error: nothing in the queue can be started now\nhint: see what waits for what: atms task list --blocked\n"
    )
    released = atms("task", "release", high, "--token", token)
    assert released.out == f"○ {high}  high  released\n"
    assert atms("task", "done", high, "--token", token, code=5).err == (
        f"error: the lease on `{high}` is no longer yours; your work is untouched\n"
        f"hint: see who has it now: atms task show {high}\n"
    )


def test_what_somebody_else_holds_is_a_conflict(atms: Atms) -> None:
    one = atms.add("One")
    atms("task", "claim", one, "--agent", "eve")
    until = atms.task(one)["lease"]["expires_at"]
    for words in (["claim"], ["start"], ["done"], ["fail"], ["heartbeat"]):
        error = atms("task", *words, one, code=5, env={"ATMS_AGENT": "bob"}).err
        assert error.startswith(f"error: `{one}` is claimed by eve until {until}\nhint: ")
    atms("task", "cancel", one, code=5, env={"ATMS_AGENT": "bob"})
    assert atms.task(one)["status"] == "assigned"
    lease = {"ATMS_AGENT": "eve", "ATMS_LEASE": atms.task(one)["lease"]["token"]}
    atms("task", "start", one, env=lease)
    assert atms("task", "done", one, "-q", env=lease).line == one


def test_drafts_are_not_given_out_but_can_be_started(atms: Atms) -> None:
    one = atms.add("One", "--draft")
    atms("queue", "next", code=6)
    assert atms.json("task", "start", one)["status"] == "in_progress"
