"""`atms api` as its callers have it: real processes, the shared file, and nothing on standard error."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

IDEA = {
    "title": "Export the list", "description": "Send the whole list to a file.", "business_value": "people ask for it",
    "category": "enhancement",
}  # fmt: skip
CALLERS = 6


def call(atms: Atms, name: str, *given: object, code: int = 0, env: dict[str, str] | None = None) -> Any:  # noqa: ANN401  JSON
    words = [each if isinstance(each, str) else json.dumps(each) for each in given]
    answer = atms("api", name, *words, code=code, env=env)
    assert answer.err == "", answer
    assert answer.document["success"] is (code == 0)
    return answer.document


def test_from_an_idea_to_work_that_is_done(repository: Atms) -> None:
    atms = repository
    own = call(atms, "suggest-feature", IDEA)["feature"]["id"]
    for mark in ({"CLAUDECODE": "1"}, {"ATMS_AGENT": "main"}):
        refused = call(atms, "approve-feature", own, code=1, env=mark)
        assert refused["error"].startswith("agents cannot approve features")
    call(atms, "approve-feature", own, {"approved_by": "bob", "notes": "yes"})
    call(atms, "initialize", "main")
    (task,) = call(atms, "create-tasks-from-features")["created_tasks"]
    assert call(atms, "get-available-tasks", "main")["tasks"][0]["id"] == task["id"]
    lease = call(atms, "assign-task", task["id"], "main")["lease"]
    call(atms, "complete-task", task["id"], code=5, env={"ATMS_AGENT": "other"})
    call(atms, "update-task", task["id"], {"status": "in_progress"}, env={"ATMS_LEASE": lease["token"]})
    assert call(atms, "complete-task", task["id"], {"files": 3})["task"]["result"] == {"files": 3}
    atms("feature", "sync")
    (feature,) = call(atms, "list-features", {"status": "implemented"})["features"]
    assert (feature["id"], feature["approved_by"]) == (own, "bob")


def test_the_file_keeps_every_byte_that_a_call_is_not_about(repository: Atms) -> None:
    text = '{\n\t"features": [],\n\t"agents": {"old": {"n": 1.50}},\n\t"mine": [1e3, "\\u00e9"],\n\t"metadata": {}\n}\n'
    path = repository.write("FEATURES.json", text)
    for name, *words in (
        ["list-features"],
        ["feature-stats"],
        ["get-active-agents"],
        ["create-task", {"title": "x", "description": "y"}],
    ):
        call(repository, str(name), *words)
    assert path.read_text(encoding="utf-8") == text
    call(repository, "initialize", "new")
    call(repository, "unregister-agent", "new")
    after = path.read_text(encoding="utf-8")
    assert after.startswith(text.partition('"metadata"')[0])
    assert after.endswith("}\n")


def test_failures_have_honest_exit_codes_unless_asked_for_the_originals(repository: Atms) -> None:
    atms = repository
    for words, code, original in (
        (["bogus"], 2, 1), ([], 2, 1), (["create-task", "{"], 2, 1), (["get-task", "gone"], 4, 1), (["approve-feature", "gone"], 4, 0),
        (["suggest-feature", "{}"], 2, 0), (["start-websocket", "80"], 1, 1), (["methods"], 0, 0),
    ):  # fmt: skip
        told = [
            json.loads(atms("api", *words, *extra, code=wanted).out)
            for extra, wanted in (([], code), (["--legacy-exit"], original))
        ]
        assert [each["success"] for each in told] == [code == 0] * 2
        assert code == 0 or {"error", "command", "timestamp"} <= set(told[0])


def test_there_may_be_no_workspace(repository: Atms) -> None:
    elsewhere = repository.home / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    refused = repository("api", "list-features", "--project-root", elsewhere, code=4)
    assert "no workspace in" in refused.document["error"]
    assert repository("api", "guide", cwd=elsewhere).document["success"]
    assert repository("api", "get-task-stats", "--project-root", repository.root, cwd=elsewhere).document["success"]


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[" * 50_000, '{"features": 7}', '{"features": [null, 3, {"id": 9}], "metadata": []}']
)
def test_whatever_the_file_is_it_stays_and_the_answer_is_json(repository: Atms, text: str) -> None:
    path = repository.write("FEATURES.json", text)
    for name, *words in (
        ["list-features"],
        ["suggest-feature", json.dumps(IDEA)],
        ["feature-stats"],
        ["initialize", "x"],
    ):
        answer = repository("api", name, *words, code=None)
        assert answer.code in (0, 1), answer
        assert answer.document["success"] is (answer.code == 0)
    assert path.read_text(encoding="utf-8").startswith(text[:20].rstrip("]}"))


def test_a_stop_flag_takes_the_place_of_whatever_is_there(repository: Atms) -> None:
    victim = repository.write("victim", "precious")
    flag = repository.root / ".stop-allowed"
    flag.symlink_to(victim)
    call(repository, "authorize-stop", "main", "all is done")
    found = json.loads(flag.read_text(encoding="utf-8"))
    assert (found["stop_allowed"], found["authorized_by"], found["reason"]) == (True, "main", "all is done")
    assert victim.read_text(encoding="utf-8") == "precious"
    flag.unlink()
    flag.mkdir()
    assert "cannot write" in call(repository, "authorize-stop", "main", code=1)["error"]
    assert [name for name in os.listdir(repository.root) if name.endswith(".tmp")] == []


def test_callers_at_once_lose_nothing(repository: Atms) -> None:
    atms = repository
    call(atms, "initialize", "a1")
    children = [
        atms.start("api", "suggest-feature", json.dumps({**IDEA, "title": f"Export list {n}"})) for n in range(CALLERS)
    ]
    children += [atms.start("api", "initialize", f"agent{n}") for n in range(CALLERS)]
    ended = [(child.communicate()[0], child.returncode) for child in children]
    assert all(code == 0 and json.loads(out)["success"] for out, code in ended), ended
    assert call(atms, "list-features")["total"] == CALLERS
    assert call(atms, "get-initialization-stats")["stats"]["total_initializations"] == CALLERS + 1
    own = call(atms, "create-task", {"title": "One for one", "description": "Only one may have it"})["task"]["id"]
    rivals = [atms.start("api", "assign-task", own, f"agent{n}") for n in range(2)]
    told = [json.loads(child.communicate()[0]) for child in rivals]
    assert sorted(each["success"] for each in told) == [False, True]
