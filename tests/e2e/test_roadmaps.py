"""Roadmap files as they are found in the wild, from approval to `implemented`, by real agents and gates."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "features"
FILES = sorted(SAMPLES.glob("*.json"))
LEVELS = ("critical", "high", "medium", "low", "background")
SETTINGS = """\
version: 1
execution: {jobs: 1, max_attempts: 3, retry_delay: 50ms}
gates:
  made: test -e made/$ATMS_TASK_ID
  tidy: 'mkdir -p looked; test -e looked/$ATMS_TASK_ID || { touch looked/$ATMS_TASK_ID; echo not tidy yet; exit 1; }'
agents:
  worker: |
    mkdir -p made prompts
    echo "$ATMS_TASK_ID $ATMS_ATTEMPT" >> order
    cat > prompts/$ATMS_TASK_ID.$ATMS_ATTEMPT
    touch made/$ATMS_TASK_ID
"""
MAY_CHANGE = (
    "status",
    "updated_at",
    "implemented_date",
    "implementation_date",
    "implemented_by",
    "implementation_notes",
    "completed_at",
    "updated",
)


def lines_changed(before: str, after: str) -> list[str]:
    """Return lines that are only in one of two texts; a comma behind a former last key is not a change."""
    old, new = (Counter(line.strip().rstrip(",") for line in text.splitlines()) for text in (before, after))
    return [*(old - new), *(new - old)]


def without_outcome(document: Any) -> Any:  # noqa: ANN401  JSON
    for each in (*document["features"], *document.get("tasks", [])):
        for name in MAY_CHANGE:
            each.pop(name, None)
    document["metadata"].pop("updated", None)
    return document


@pytest.mark.skipif(not FILES, reason="the sample files are not part of the repository")
@pytest.mark.parametrize("name", ["FEATURES.json", "TASKS.json"])
@pytest.mark.parametrize("sample", FILES, ids=[path.stem for path in FILES])
def test_a_roadmap_is_worked_through(repository: Atms, sample: Path, name: str) -> None:
    atms, original = repository, sample.read_bytes()
    (atms.root / name).write_bytes(original)
    atms.settings(SETTINGS)
    planned = {
        each["feature"]["id"]: [task["title"] for task in each["tasks"]] for each in atms.json("feature", "plan")
    }
    report = atms.json("feature", "sync")
    created = report["created"]
    assert report["file"] == str(atms.root / name)
    titles: dict[str, list[str]] = {}
    for task in created:
        titles.setdefault(task["feature_id"], []).append(task["title"])
    assert titles == {feature: tasks for feature, tasks in planned.items() if tasks}
    again = atms.json("feature", "sync")
    assert (again["created"], again["written"]) == ([], [])
    assert (atms.root / name).read_bytes() == original
    assert len(atms.json("task", "list")) == len(created)

    *_, summary = atms("run", "--drain", "--json").documents
    assert {key: summary[key] for key in ("type", "completed", "failed", "cancelled", "blocked")} == {
        "type": "summary", "completed": len(created), "failed": 0, "cancelled": 0, "blocked": 0,
    }  # fmt: skip
    assert set(atms.statuses().values()) <= {"completed"}
    check_order(atms, created)
    check_file(original.decode(), (atms.root / name).read_text(), set(titles))
    assert atms("feature", "diff").lines[0] == "in step"
    assert atms("feature", "sync", "-q").out == ""


def check_order(atms: Atms, created: list[Any]) -> None:
    """Every task was tried, found untidy, and tried again with that in its prompt; best first, needs before."""
    attempts = [line.split() for line in (atms.root / "order").read_text().splitlines()] if created else []
    assert Counter(task for task, _ in attempts) == {task["id"]: 2 for task in created}
    firsts = [task for task, number in attempts if number == "1"]
    seconds = {task: place for place, (task, number) in enumerate(attempts) if number == "2"}
    place = {task: attempts.index([task, "1"]) for task in firsts}
    for task in created:
        assert all(seconds[need] < place[task["id"]] for need in task["dependencies"])
        assert "not tidy yet" in (atms.root / "prompts" / f"{task['id']}.2").read_text()
        assert task["title"] in (atms.root / "prompts" / f"{task['id']}.1").read_text()
    free = [task for task in created if not task["dependencies"]]
    best_first = sorted(free, key=lambda task: LEVELS.index(task["priority"]))
    assert [task for task in firsts if task in {each["id"] for each in free}] == [task["id"] for task in best_first]


def check_file(before: str, after: str, worked_on: set[str]) -> None:
    """Only what became of the features is new in the file, and nothing else has moved."""
    old, new = json.loads(before), json.loads(after)
    expected = {each["id"]: "implemented" if each["id"] in worked_on else each["status"] for each in old["features"]}
    assert {each["id"]: each["status"] for each in new["features"]} == expected
    assert [list(each) for each in new["features"] if each["id"] not in worked_on] == [
        list(each) for each in old["features"] if each["id"] not in worked_on
    ]
    for each in new["features"]:
        if each["id"] in worked_on:
            assert "gate" in each["implementation_notes"]
    for line in lines_changed(before, after):
        assert json.loads("{" + line + "}").keys() <= set(MAY_CHANGE), line
    assert without_outcome(new) == without_outcome(old)
    assert (before == after) == (not worked_on)


def test_a_roadmap_that_changes_while_the_loop_works_is_taken_up(repository: Atms) -> None:
    atms = repository
    feature = {
        "id": "f1", "title": "Offline mode", "description": "It works without a network.", "business_value": "Trains",
        "category": "bug-fix", "status": "suggested",
    }  # fmt: skip
    document = {"project": "p", "features": [feature], "metadata": {"approval_history": []}}
    path = atms.write("FEATURES.json", json.dumps(document, indent=2))
    atms.settings("version: 1\nagents:\n  worker: echo $ATMS_FEATURE_ID >> ran\n")
    loop, log = running(atms)
    assert atms.json("task", "list") == []
    feature["status"] = "approved"
    fresh = atms.write("FEATURES.json.new", json.dumps(document, indent=2))
    fresh.replace(path)
    atms.appears("ran", "f1\n")
    atms.appears("FEATURES.json", '"status": "implemented"')
    assert [task["status"] for task in atms.json("task", "list")] == ["completed"]
    path.write_text('{"features": [', encoding="utf-8")
    atms.appears(log, "! ")
    document["features"] = [feature | {"status": "implemented"}, feature | {"id": "f2"}]
    path.write_text(json.dumps(document), encoding="utf-8")
    atms.appears("ran", "f2\n")
    atms.appears("FEATURES.json", '"implementation_notes"')
    loop.send_signal(2)
    assert atms.end(loop).code == 130
    assert (atms.root / "ran").read_text() == "f1\nf2\n"


def test_work_on_what_is_rejected_is_stopped_and_what_waits_is_given_up(repository: Atms) -> None:
    atms = repository
    features = [
        {"id": own, "title": f"Feature {own}", "description": "", "category": "bug-fix", "status": "approved"}
        for own in ("f1", "f2")
    ]
    path = atms.write("FEATURES.json", json.dumps({"features": features, "metadata": {}}, indent=2))
    atms.settings(
        "version: 1\nexecution: {jobs: 1}\nagents:\n  worker: echo $ATMS_FEATURE_ID >> began; exec sleep 600\n"
    )
    loop, log = running(atms)
    atms.appears("began", "f1\n")
    features[0] |= {"status": "rejected", "rejected_by": "bea", "rejection_reason": "too dear"}
    features[1] |= {"status": "implemented", "implemented_by": "bea"}
    path.write_text(json.dumps({"features": features, "metadata": {}}, indent=2), encoding="utf-8")
    atms.appears(log, "its feature was rejected by bea: too dear")
    atms.until(lambda: set(atms.statuses().values()) == {"cancelled"})
    atms.until(lambda: atms.json("status")["tasks"]["by_status"].get("in_progress", 0) == 0)
    loop.send_signal(2)
    assert atms.end(loop).code == 130
    assert (atms.root / "began").read_text() == "f1\n"
    assert [task["reason"] for task in atms.json("task", "list")] == [
        "its feature was rejected by bea: too dear", "its feature was implemented by bea, the file says",
    ]  # fmt: skip
    assert json.loads(path.read_text(encoding="utf-8"))["features"] == features


def test_a_roadmap_is_kept_in_step_without_a_loop(repository: Atms) -> None:
    atms = repository
    feature = {"id": "f1", "title": "Feature f1", "description": "", "category": "bug-fix", "status": "suggested"}
    path = atms.write("FEATURES.json", json.dumps({"features": [feature], "metadata": {}}, indent=2))
    with (atms.root / "watch.log").open("w") as out:
        watcher = atms.start("feature", "watch", "--json", out=out)
    atms.until(lambda: "keeping" in (atms.root / "watch.log").read_text())
    fresh = atms.write(
        "FEATURES.json.new", json.dumps({"features": [feature | {"status": "approved"}], "metadata": {}})
    )
    fresh.replace(path)
    atms.appears("watch.log", '"type":"planned"')
    atms("task", "done", atms.json("task", "list")[0]["id"])
    atms.appears("FEATURES.json", '"implemented"')
    watcher.send_signal(2)
    assert atms.end(watcher).code == 130


def running(atms: Atms) -> Any:  # noqa: ANN401  a process and the name of its log
    """Start the loop and wait until it works."""
    with (atms.root / "loop.log").open("w") as out:
        loop = atms.start("run", "--progress", "plain", out=out)
    atms.appears("loop.log", "atms run: ")
    return loop, "loop.log"


def test_agents_cannot_decide_what_is_worked_on(repository: Atms) -> None:
    atms, agent = repository, {"ATMS_AGENT": "eve"}
    words = [
        "A title long enough",
        "-d",
        "A description long enough",
        "--business-value",
        "Worth the trouble",
        "-c",
        "bug-fix",
    ]
    feature = atms.json("feature", "suggest", *words, env=agent)
    before = (atms.root / "FEATURES.json").read_bytes()
    for verb in ("approve", "reject"):
        assert atms("feature", verb, feature["id"], code=1, env=agent).err == (
            f"error: agents cannot {verb} features\nhint: a person decides what is worked on\n"
        )
    assert (atms.root / "FEATURES.json").read_bytes() == before
    assert atms.json("feature", "sync", env=agent)["created"] == []
    assert atms.json("feature", "approve", feature["id"])["approved_by"] == "ann"
    assert len(atms.json("feature", "sync", env=agent)["created"]) == 1


def test_agents_cannot_pass_over_gates(repository: Atms) -> None:
    atms = repository
    atms.settings("version: 1\ngates:\n  never: exit 1\n")
    one = atms.add("One")
    assert atms("task", "done", one, "--force", "--reason", "trust me", code=1, env={"ATMS_AGENT": "eve"}).err == (
        "error: agents cannot pass over quality gates\nhint: fix what the gates find; a person may use --force\n"
    )
    failed = atms("task", "done", one, code=7, env={"ATMS_AGENT": "eve"})
    assert failed.err.startswith(f"error: `{one}` is not done: gate never: exit code 1\nhint: see ")
    assert atms.task(one)["status"] == "queued"
    assert atms("task", "done", one, "--force", code=2).err.startswith("error: --force needs a reason\nhint: ")
    atms("task", "done", one, "--force", "--reason", "flaky gate")
    assert atms.task(one)["result"]["forced"] == "flaky gate"


def test_an_agent_that_the_loop_started_cannot_decide_either(repository: Atms) -> None:
    atms = repository
    feature = {"id": "f1", "title": "T", "status": "suggested"}
    atms.write("FEATURES.json", json.dumps({"features": [feature], "metadata": {}}))
    one = atms.add(
        "One",
        "--command",
        "atms feature approve f1; echo approve $?; atms task done x --force --reason y; echo force $?",
    )
    atms("run", "--drain")
    log = atms("task", "logs", one).out
    assert "approve 1\n" in log
    assert "force 1\n" in log
    assert atms.json("feature", "show", "f1")["status"] == "suggested"


def test_a_failed_gate_shows_why(repository: Atms) -> None:
    atms = repository
    atms.settings("gates:\n  links:\n    command: echo page 7 is missing; exit 3\n")
    one = atms.add("One", "--command", "echo built", "--retries", "0")
    atms("run", "--drain", code=8)
    assert atms("task", "logs", one).lines == ["built", "== gate links: exit code 3", "page 7 is missing"]
    shown = next(line for line in atms("task", "show", one).lines if line.startswith("  ✗ links "))
    assert "exit code 3, see " in shown


def test_gates_judge_the_worktree_that_one_is_in(repository: Atms) -> None:
    atms = repository
    atms.settings("gates:\n  lint:\n    command: test -f lintok\n    stages: [ci]\n")
    atms.write("lintok", "")
    other = atms.root.parent / "linked"
    words = ["git", "worktree", "add", "-q", str(other)]
    subprocess.run(words, cwd=atms.root, env=atms.env, check=True)  # noqa: TID251  a test stands outside
    atms("gate", "run", "--stage", "ci")
    atms("gate", "run", "--stage", "ci", code=7, cwd=other)
