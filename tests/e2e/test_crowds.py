"""Many processes at once: nothing is lost, nothing happens twice, nothing is given to two."""

from __future__ import annotations

import random
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from atms_cli.bootstrap import open_workspace
from atms_cli.services import tasks as service

if TYPE_CHECKING:
    from commandline import Atms

    from atms_cli.domain.records import JsonObject

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

SHELL = ("/bin/sh", "-c")


def add_all(atms: Atms, commands: list[str], rng: random.Random | None = None) -> list[str]:
    """Add tasks in this process, each behind up to two earlier ones if a generator is given."""
    ws = open_workspace(str(atms.root), atms.env)
    ids: list[str] = []
    for number, command in enumerate(commands):
        after = rng.sample(ids[-20:], rng.randrange(min(3, len(ids) + 1))) if rng else []
        fields: JsonObject = {"title": f"t{number}", "command": command}
        ids.append(service.add(ws, fields, after=after, draft=False)["id"])
    return ids


def test_tasks_from_eight_processes_run_once_each_while_the_loop_works(repository: Atms) -> None:
    atms = repository
    with (atms.root / "loop.log").open("w") as out:
        loop = atms.start("run", "-j", "4", "--progress", "plain", out=out)
    atms.appears("loop.log", "atms run: ")
    adding = "for i in $(seq 50); do atms task add \"$0 $i\" -q --command 'echo $ATMS_TASK_ID >> ran' >> ids.$0 || exit 9; done"
    adders = [atms.start(adding, str(number), program=SHELL) for number in range(8)]
    assert [atms.end(adder).code for adder in adders] == [0] * 8
    ids = [line for number in range(8) for line in (atms.root / f"ids.{number}").read_text().split()]
    assert len(set(ids)) == 400
    atms("task", "wait", *ids, "--timeout", "100s", "-q")
    loop.send_signal(signal.SIGINT)
    assert atms.end(loop).code == 130
    assert Counter((atms.root / "ran").read_text().split()) == dict.fromkeys(ids, 1)
    assert atms.statuses() == dict.fromkeys(ids, "completed")
    assert atms.json("doctor")["problems"] == []


def test_kills_of_the_loop_lose_nothing_and_repeat_nothing(repository: Atms) -> None:
    atms, rng = repository, random.Random(20261122)  # noqa: S311  a repeatable test, not a secret
    work = "echo start $ATMS_TASK_ID >> ran; sleep {}; echo end $ATMS_TASK_ID >> ran"
    ids = add_all(atms, [work.format(rng.randrange(20, 100) / 1000) for _ in range(200)], rng)
    kills = 0
    for _ in range(30):
        loop = atms.start("run", "--drain", "-j", "3", "--progress", "none")
        try:
            loop.wait(rng.uniform(0.02, 0.6))
        except Exception:  # noqa: BLE001  it lives, as it should
            loop.kill()
            kills += 1
        assert atms.end(loop).code in (0, -signal.SIGKILL)
    assert kills > 15
    final = atms("run", "--drain", "--json")
    assert final.documents[-1]["failed"] == 0
    happened = (atms.root / "ran").read_text().splitlines()
    assert Counter(happened) == {f"{what} {one}": 1 for what in ("start", "end") for one in ids}
    tasks = {task["id"]: task for task in atms.json("task", "list")}
    assert {one: (task["status"], task["attempts"]) for one, task in tasks.items()} == dict.fromkeys(
        ids, ("completed", 1)
    )
    place = {line: number for number, line in enumerate(happened)}
    for one, task in tasks.items():
        assert all(place[f"end {need}"] < place[f"start {one}"] for need in task["dependencies"])
    assert atms.json("doctor")["problems"] == []


@pytest.mark.parametrize("victims", ["keeper", "both"])
def test_kills_of_the_keeper_leave_nothing_running_beside_its_next_attempt(repository: Atms, victims: str) -> None:
    atms, rng = repository, random.Random(7)  # noqa: S311  a repeatable test, not a secret
    work = "echo start $ATMS_TASK_ID $ATMS_ATTEMPT >> ran; sleep 0.{}; echo end $ATMS_TASK_ID $ATMS_ATTEMPT >> ran"
    atms.settings("version: 1\nexecution: {max_attempts: 30, retry_delay: 10ms, retry_delay_max: 20ms}\n")
    ids = add_all(atms, [work.format(rng.randrange(1, 4)) for _ in range(40)], rng)
    for _ in range(10):
        loop = atms.start("run", "--drain", "-j", "3", "--progress", "none")
        try:
            loop.wait(rng.uniform(0.3, 0.9))
        except Exception:  # noqa: BLE001  it lives, as it should
            atms.kill_keepers()
            if victims == "both":
                loop.kill()
        assert atms.end(loop).code in (0, 1, 75, -signal.SIGKILL)
    atms("run", "--drain")
    assert atms.statuses() == dict.fromkeys(ids, "completed")
    happened = [line.split() for line in (atms.root / "ran").read_text().splitlines()]
    assert max(Counter(map(tuple, happened)).values()) == 1
    latest: dict[str, int] = {}
    for what, task, attempt in happened:
        if what == "start":
            assert int(attempt) > latest.get(task, 0)
            latest[task] = int(attempt)
        assert latest[task] == int(attempt), "an attempt went on beside the next one"


def test_no_task_is_claimed_by_two(repository: Atms) -> None:
    atms = repository
    ids = add_all(atms, ["true"] * 40)
    claiming = 'while id=$(atms task claim -q --agent "$0"); do echo "$id" >> claims.$0; done; atms task claim --agent "$0"; exit $?'
    agents = [atms.start(claiming, f"agent{number}", program=SHELL) for number in range(20)]
    assert [atms.end(agent).code for agent in agents] == [6] * 20
    claims = [(one, path.suffix[1:]) for path in atms.root.glob("claims.*") for one in path.read_text().split()]
    assert Counter(one for one, _ in claims) == dict.fromkeys(ids, 1)
    assert {task["id"]: task["assigned_agent"] for task in atms.json("task", "list")} == dict(claims)


def test_a_lease_ends_and_its_token_with_it(repository: Atms) -> None:
    atms = repository
    one = atms.add("One")
    late = atms.json("task", "claim", "--agent", "late", "--lease", "300ms")["lease"]["token"]
    found: list[str] = []

    def claimed() -> bool:
        answer = atms("task", "claim", "--json", code=None, env={"ATMS_AGENT": "eve"})
        assert answer.code in (0, 6)
        found.extend([answer.document["lease"]["token"]] if answer.code == 0 else [])
        return bool(found)

    atms.until(claimed, "the end of the lease")
    for words in (["done"], ["fail"], ["release"], ["heartbeat"], ["start"]):
        error = atms("task", *words, one, "--token", late, code=5, env={"ATMS_AGENT": "late"}).err
        assert error.startswith(f"error: the lease on `{one}` is no longer yours; your work is untouched\n")
    assert atms.json("task", "done", one, env={"ATMS_LEASE": found[0], "ATMS_AGENT": "eve"})["status"] == "completed"
    types = [event["type"] for event in atms.json("log", one)]
    assert types == ["task.created", "task.claimed", "task.lease_expired", "task.claimed", "task.completed"]


#: Asks who runs the loop, as `atms status` and `atms task release` do, as often as it can.
ASKING = """
import os, sys
from atms_cli.bootstrap import open_workspace
ws = open_workspace(sys.argv[1], os.environ)
while not os.path.exists("enough"):
    ws.loop_holder()
"""


def test_a_question_for_the_loop_never_keeps_one_from_starting(repository: Atms) -> None:
    atms = repository
    asker = atms.start("-c", ASKING, str(atms.root), program=(sys.executable,))
    answers = [atms("run", "--drain", code=None) for _ in range(6)]
    atms.write("enough", "")
    assert atms.end(asker).code == 0
    assert [answer.err for answer in answers if answer.code] == []
