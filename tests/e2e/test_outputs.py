"""Results that go from task to task, with real processes."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

BUILD = """mkdir -p dist; echo hi > dist/r.txt; printf '{"version": "1.2", "text": "built it"}' > "$ATMS_RESULT" """


def test_what_a_command_leaves_is_given_to_the_next(atms: Atms) -> None:
    one = atms.add("Build", "--command", BUILD, "--output", "report=dist/r.txt", "--output", "version")
    two = atms.add("Use it", "--after", one, "--command", 'cat "$ATMS_INPUTS"')
    three = atms.add("Tell of it", "--after", one)
    alone = atms.add("Alone", "--command", 'echo "${ATMS_INPUTS-none}"')
    atms("run", "--drain", code=8)
    result = atms.task(one)["result"]
    assert (result["text"], result["results"]) == ("built it", {"version": "1.2"})
    file = {
        "name": "report",
        "path": "dist/r.txt",
        "at": str(atms.root / "dist/r.txt"),
        "size": 3,
        "sha256": sha256(b"hi\n").hexdigest(),
    }
    assert result["outputs"] == [file]
    given = json.loads(atms("task", "logs", two).out)
    assert (given["results"], given["files"]) == ({"version": "1.2"}, {"report": file["at"]})
    (left,) = given["tasks"]
    assert left == {
        "id": one,
        "title": "Build",
        "status": "completed",
        "text": "built it",
        "results": {"version": "1.2"},
        "files": [file],
    }
    told = atms("task", "show", three, "--prompt").out
    assert f'## What came of: Build\n\nbuilt it\n\n- version: "1.2"\n- report: the file `{file["at"]}`\n' in told
    assert atms("task", "logs", alone).line == "none"
    shown = atms("task", "show", one).out
    assert "leaves     report (dist/r.txt), version\n" in shown
    assert 'reported   version: "1.2"\n' in shown


def test_without_what_was_declared_nothing_is_done(atms: Atms) -> None:
    """An attempt that comes too short is repeated, and told what was missing."""
    atms("config", "set", "execution.retry_delay", "0.1")
    again = 'test -z "$(ls -A made)" && touch made/one || touch made/two'
    (atms.root / "made").mkdir()
    one = atms.add("Make two", "--command", again, "--output", "it=made/two")
    bad = atms.add("Babble", "--command", 'echo "{oops" > "$ATMS_RESULT"', "--retries", "0")
    atms("run", "--drain", code=8)
    task = atms.task(one)
    assert (task["status"], task["attempts"]) == ("completed", 2)
    assert "it left no file for its output `it` (made/two)" in task["attempt_list"][0]["reason"]
    assert atms.task(bad)["reason"].startswith("its result is not JSON: ")


def test_who_completes_a_task_by_hand_has_to_leave_it_too(atms: Atms) -> None:
    one = atms.add("By hand", "--output", "it=it.txt", "--output", "n")
    refused = atms("task", "done", one, code=1)
    assert "is not done: it left no file for its output `it` (it.txt); it did not report its output `n`" in refused.err
    atms.write("it.txt", "here")
    assert "did not report its output `n`" in atms("task", "done", one, code=1).err
    assert "not JSON" in atms("task", "done", one, "--result", "{n", code=1).err
    done = atms.json("task", "done", one, "--result", '{"n": 3}')
    assert (done["status"], done["result"]["results"], done["result"]["outputs"][0]["size"]) == (
        "completed",
        {"n": 3},
        4,
    )
    two, three = atms.add("Another", "--output", "it=gone.txt"), atms.add("Third")
    assert "one by one" in atms("task", "done", two, three, "--result", "x", code=2).err
    atms("task", "done", two, "--force", "--reason", "not needed any more")
    assert atms.task(two)["result"]["forced"] == "not needed any more"


def test_a_file_outlives_its_worktree(repository: Atms) -> None:
    """Also one that git ignores, which would go with the worktree."""
    repository.settings("execution: {isolation: worktree}\n")
    repository.write(".git/info/exclude", "dist\n.atms\natms.yaml\n")
    one = repository.add("Build", "--command", "mkdir dist && echo hi > dist/r.txt", "--output", "report=dist/r.txt")
    use = """cat "$(python3 -c 'import json, os; print(json.load(open(os.environ["ATMS_INPUTS"]))["files"]["report"])')" """
    two = repository.add("Use it", "--after", one, "--command", use)
    repository("run", "--drain")
    assert repository("task", "logs", two).line == "hi"
    assert not (repository.root / ".atms" / "worktrees" / one).exists()


def test_outputs_that_could_never_be_there_are_refused(atms: Atms) -> None:
    assert "no file within the work" in atms("task", "add", "x", "--output", "a=/etc/passwd", code=2).err
    assert "ends with its parts" in atms("task", "add", "x", "--rollup", "--output", "a", code=2).err
    assert "write it as NAME=VALUE" in atms("task", "add", "x", "--input", "a", code=2).err
    one = atms.add("x", "--output", "a=b", "--input", "limit=3")
    assert "no file within the work" in atms("task", "update", one, "--output", "a=../b", code=2).err
    context = atms.json("task", "update", one, "--output", "c", "--clear", "input")["context"]
    assert (context["outputs"], context["inputs"]) == ({"c": None}, {})


def test_a_pipe_is_no_file_and_is_not_waited_for(atms: Atms) -> None:
    one = atms.add("Pipe", "--command", 'mkfifo pipe; mkfifo "$ATMS_RESULT"', "--output", "it=pipe", "--retries", "0")
    atms("run", "--drain", code=8)
    assert "left no file for its output `it` (pipe)" in atms.task(one)["reason"]


def test_a_failed_attempt_leaves_nothing(repository: Atms) -> None:
    repository.settings("execution: {isolation: worktree}\n")
    repository.write(".git/info/exclude", ".atms\natms.yaml\n")
    one = repository.add(
        "Fail", "--command", 'echo big > it; echo done > "$ATMS_RESULT"; exit 1', "--output", "it=it", "--retries", "0"
    )
    repository("run", "--drain", code=8)
    task = repository.task(one)
    assert task["status"] == "failed"
    assert not task["result"].keys() & {"outputs", "results", "text"}
    assert not list((repository.root / ".atms" / "runs").glob("*/output-*"))


def test_outputs_are_found_again_after_a_kill_while_gates_run(atms: Atms) -> None:
    atms("gate", "add", "slow", "--command", "test -e go || { touch judging; sleep 600; }")
    one = atms.add("Build", "--command", BUILD, "--output", "report=dist/r.txt", "--output", "version")
    loop = atms.start("run", "--drain", out=None)
    atms.appears("judging")
    loop.kill()
    loop.wait()
    atms.kill_keepers()
    atms.write("go", "")
    atms("run", "--drain")
    result = atms.task(one)["result"]
    assert (result["results"], result["outputs"][0]["name"]) == ({"version": "1.2"}, "report")
