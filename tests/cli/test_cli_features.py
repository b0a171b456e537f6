"""Features on the command line: given as options, JSON or in an editor, decided by people, and settled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

FIELDS = {
    "title": "Export all lists", "description": "Each of them, to a file of its own.", "business_value": "people ask for it",
    "category": "bug-fix",
}  # fmt: skip


def write(atms: Atms, *found: dict[str, object], **more: object) -> None:
    atms.write("FEATURES.json", json.dumps({"features": list(found), "metadata": {}, **more}, indent=2))


def feature(own: str = "f1", **fields: object) -> dict[str, object]:
    return {"id": own, **FIELDS, "status": "approved", **fields}


def test_a_suggestion_may_be_json(repository: Atms) -> None:
    atms = repository
    atms.write("idea.json", json.dumps(FIELDS))
    made = atms.json("feature", "suggest", "--from", "idea.json", "--priority", "high")
    assert {name: made[name] for name in (*FIELDS, "priority", "status")} == {
        **FIELDS,
        "priority": "high",
        "status": "suggested",
    }
    piped = atms("feature", "suggest", "Another title for it", "--from", "-", "-q", text=json.dumps(FIELDS)).line
    assert atms.json("feature", "show", piped)["title"] == "Another title for it", "options go first"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "error: standard input is not JSON: "), ("[]", "error: standard input is not a JSON object\n"),
        ('{"status": "approved"}', "error: `status` is not a field that can be given\n"),
        ("{}", "error: a suggestion needs a title\n"),
    ],
)  # fmt: skip
def test_what_is_no_suggestion_is_refused(repository: Atms, text: str, words: str) -> None:
    refused = repository("feature", "suggest", "--from", "-", code=None, text=text)
    assert refused.code in (1, 2)
    assert refused.err.startswith(words)
    assert not (repository.root / "FEATURES.json").exists()


def test_fields_may_be_written_in_an_editor(repository: Atms) -> None:
    atms = repository
    write(atms, feature(status="suggested"))
    editor = {"VISUAL": "", "EDITOR": "sed -i -e s/Export/Import/"}
    assert atms.json("feature", "edit", "f1", "--edit", env=editor)["title"] == "Import all lists"
    before = (atms.root / "FEATURES.json").read_bytes()
    failed = atms("feature", "edit", "f1", "--edit", code=1, env={"EDITOR": "false"})
    assert failed.err == "error: the editor `false` ended with exit code 1\nhint: name another one in $EDITOR\n"
    atms("feature", "edit", "f1", "--edit", "--no-input", code=2, env=editor)
    atms("feature", "edit", "f1", "--edit", env={"EDITOR": "true"})
    atms("feature", "edit", "f1", code=2)
    assert (atms.root / "FEATURES.json").read_bytes() == before


def test_the_whole_life_of_a_feature(repository: Atms) -> None:
    atms = repository
    own = atms("feature", "suggest", "--from", "-", "-q", text=json.dumps(FIELDS)).line
    atms("feature", "approve", own)
    (task,) = atms.json("feature", "sync")["created"]
    atms("feature", "reject", own, "--reason", "too dear")
    assert atms.task(task["id"])["reason"] == "its feature was rejected by ann: too dear"
    atms("feature", "reopen", own)
    atms("feature", "approve", own)
    assert atms("feature", "diff").out == "in step\n", "what a person decides with atms reaches tasks at once"
    assert atms.statuses() == {task["id"]: "queued"}
    atms("feature", "fail", own, "--reason", "no way")
    atms("feature", "reopen", own)
    atms("feature", "implement", own, "--notes", "by hand")
    stats = atms.json("feature", "stats")
    assert (stats["total"], stats["by_status"], stats["with_tasks"]) == (1, {"implemented": 1}, 1)
    assert "1 feature, 1 with tasks" in atms("feature", "stats").out


def test_a_conflict_is_shown_and_settled(repository: Atms) -> None:
    atms = repository
    write(atms, feature(priority="low"))
    (task,) = atms.json("feature", "sync")["created"]
    atms("task", "update", task["id"], "-p", "critical")
    write(atms, feature(priority="high"))
    assert atms("feature", "sync").err == "1 waiting for a person; see: atms feature diff\n"
    words = (
        "✗ f1  priority: the file says high, the queue critical; before it was low; "
        "settle it: atms feature resolve f1 --take file|queue\n"
    )
    assert atms("feature", "diff", code=1).out == words
    assert words in atms("feature", "show", "f1").out
    assert "file and queue disagree on its priority" in atms("doctor", code=None).out
    assert atms("feature", "resolve", "f1", "--take", "mine", code=2).err.startswith("error: `mine` is not a side\n")
    atms("feature", "resolve", "f1", "--take", "file")
    assert atms.task(task["id"])["priority"] == "high"
    assert atms("feature", "sync", "--check").out == "in step\n"


def test_what_is_odd_in_a_file_is_listed_with_its_place(repository: Atms) -> None:
    atms = repository
    write(atms, feature(), feature(), tasks=[{"id": "t", "feature_id": "gone"}])
    assert atms("feature", "sync", "-q").err == ""
    assert atms("feature", "sync").err == "2 odd in the file; see: atms feature diff\n"
    assert atms("feature", "diff").lines == [
        "in step",
        "! features[1].id is `f1`, as of features[0]; only the first one counts", "! tasks[0].feature_id is `gone`, which no feature has",
    ]  # fmt: skip
    found: Any = atms.json("feature", "diff")["problems"]
    assert [each["path"] for each in found] == ["features[1].id", "tasks[0].feature_id"]
