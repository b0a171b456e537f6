"""Secrets, limits and long output, with the real program: what is shown, what lies on the disk, and what is tidied away."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Atms

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
pytest_plugins = ("tests.cli.commandline",)

VALUE = "hunter2-hunter3-9"
TOKEN = "ghp_" + "b2" * 18


def holding(directory: Path, text: str) -> list[str]:
    return [str(path) for path in directory.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def run(atms: Atms) -> dict[str, object]:
    summary: dict[str, object] = atms("run", "--drain", "--json", code=None).documents[-1]
    return summary


@pytest.fixture
def leaking(atms: Atms) -> Atms:
    """A workspace where commands print a secret of their environment and a token."""
    atms.env["DEPLOY_PASSWORD"] = VALUE
    atms.write("leak.sh", f'echo "password $DEPLOY_PASSWORD"; printf %s ghp_; echo {TOKEN[4:]}; echo safe\n')
    return atms


def test_a_secret_that_was_printed_is_nowhere_to_be_found(leaking: Atms) -> None:
    atms = leaking
    atms("config", "set", "execution.max_attempts", "2")
    atms("config", "set", "execution.retry_delay", "0.01")
    atms("gate", "add", "check", "--command", "sh leak.sh; test -e passed || { touch passed; false; }")
    atms("agent", "register", "bot", "--command", "cat; sh leak.sh; sh leak.sh > $ATMS_RESULT")
    task = atms.json("task", "add", "x", "--agent", "bot")["id"]
    assert run(atms)["completed"] == 1
    shown = [atms("task", "logs", task).out, atms("task", "show", task, "--json").out, atms("task", "export").out]
    for secret in (VALUE, TOKEN):
        assert not any(secret in text for text in shown)
        assert holding(atms.root / ".atms", secret) == []
    # The second attempt was told of the gate that failed, without what it must not know.
    assert shown[0].count("password [redacted]*******") >= 2
    assert "safe" in shown[0]


def test_a_secret_that_is_being_printed_is_masked_on_its_way(leaking: Atms) -> None:
    atms = leaking
    task = atms.json("task", "add", "x", "--command", "sh leak.sh; until test -e over; do sleep 0.05; done")["id"]
    loop = atms.start("run", "--drain")
    atms.until(lambda: "safe" in atms("task", "logs", task, code=None).out)
    text = atms("task", "logs", task).out
    assert holding(atms.root / ".atms" / "runs", VALUE)
    assert "password [redacted]*******\n" in text
    assert TOKEN not in text
    (atms.root / "over").touch()
    assert loop.wait(60) == 0
    assert holding(atms.root / ".atms", VALUE) == []


def test_secrets_do_not_get_into_the_journal_by_hand(atms: Atms) -> None:
    for words in (["--env", f"API_KEY={VALUE}"], ["--env", f"HARMLESS={TOKEN}"], ["--command", f"curl -H '{TOKEN}'"]):
        assert "secret" in atms("task", "add", "x", *words, code=2).err
    assert "secret" in atms("agent", "register", "a", "--command", "x", "--env", f"A_TOKEN={VALUE}", code=2).err
    task = atms.json("task", "add", "x", "-d", f"log in with {TOKEN}")["id"]
    atms("task", "block", task, "--reason", f"{TOKEN} is not accepted")
    assert holding(atms.root / ".atms", TOKEN) == []
    assert atms.json("task", "show", task)["description"].startswith("log in with [redacted]")


def test_files_of_attempts_are_private(atms: Atms) -> None:
    atms("task", "add", "x", "--command", "echo hello")
    run(atms)
    (directory,) = (each for each in (atms.root / ".atms" / "runs").iterdir() if each.is_dir())
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in directory.iterdir()} == {"output.log"}
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_limits_end_an_attempt_and_are_named(atms: Atms) -> None:
    atms("config", "set", "execution.limits.cpu", "1s")
    task = atms.json("task", "add", "x", "--command", "while :; do :; done", "--limit", "cpu=30s", "--retries", "0")
    assert task["context"]["constraints"] == {"cpu": 30}
    assert run(atms)["failed"] == 1
    shown = atms.json("task", "show", task["id"])
    assert shown["reason"] == "killed by signal 24: it reached its limit of CPU time"
    (attempt,) = shown["attempt_list"]
    assert attempt["resources"]["hit"] == "cpu"
    assert attempt["resources"]["cpu_s"] > 0.5
    card = atms("task", "show", task["id"]).out
    assert "limits" in card
    assert "cpu 30s" in card
    assert "(CPU " in card
    atms("task", "update", task["id"], "--clear", "limit")
    assert atms.json("task", "show", task["id"])["context"]["constraints"] == {}


def test_limits_that_need_a_control_group_say_what_they_are_without(atms: Atms) -> None:
    atms("config", "set", "execution.limits.memory", "64M")
    notes = {each["check"]: each["detail"] for each in atms.json("doctor")["notes"]}
    records = atms("run", "--drain", "--json", code=None).documents
    warnings = [each["text"] for each in records if each["type"] == "warning"]
    if "each process alone" in notes["limits"]:
        assert any("memory is limited for each process alone" in text for text in warnings)
    else:
        assert warnings == []


def test_of_long_output_both_ends_are_shown(atms: Atms) -> None:
    atms("config", "set", "execution.log_max", "1M")
    command = "echo first; yes 0123456789 | head -c 9000000; echo last"
    task = atms.json("task", "add", "x", "--command", command)["id"]
    assert run(atms)["completed"] == 1
    text = atms("task", "logs", task).out
    assert text.startswith("first\n0123456789\n")
    assert text.endswith("last\n")
    assert "of output were dropped here" in text
    assert len(text) < 1 << 20
    assert atms.json("task", "logs", task)["text"] == text
    (log,) = (atms.root / ".atms" / "runs").glob("*/output.log")
    assert log.stat().st_blocks * 512 <= 1 << 20
    assert atms.json("task", "show", task)["attempt_list"][0]["resources"]["output_bytes"] == 9_000_011


def test_old_files_of_ended_tasks_are_tidied_away(atms: Atms) -> None:
    done = atms.json("task", "add", "done", "--command", "echo hello")["id"]
    open_task = atms.json("task", "add", "open", "--command", "false", "--retries", "5")["id"]
    atms("run", "--once", code=None)
    atms("config", "set", "execution.retry_delay", "1000")
    atms("config", "set", "execution.retry_delay_max", "1000")
    atms("run", "--once", code=None)
    runs = [each for each in (atms.root / ".atms" / "runs").iterdir() if each.is_dir()]
    assert len(runs) == 2
    for each in runs:
        os.utime(each, (1000, 1000))
    # Nothing is tidied twice within the hour, but whoever compacts wants it now.
    assert atms.json("compact")["tidied"]["runs"] == 1
    assert "no longer kept" in atms("task", "logs", done, code=4).err
    assert atms("task", "logs", open_task).code == 0
    assert atms.json("task", "show", done)["attempt_list"][0]["exit_code"] == 0
