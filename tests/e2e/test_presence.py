"""Agents that fall silent, come back, and are disabled in the middle of their work, with real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)


def events_of(atms: Atms, agent: str) -> list[str]:
    return [event["type"] for event in atms.json("log", agent)]


def status(atms: Atms, agent: str) -> str:
    found: str = atms.json("agent", "show", agent)["status"]
    return found


def test_silence_and_return_are_on_record_once_each(atms: Atms) -> None:
    atms.settings("claims: {offline: 1s}\n")
    atms("agent", "register", "eve")
    assert status(atms, "eve") == "initializing"
    atms("agent", "heartbeat", "eve")
    atms.until(lambda: status(atms, "eve") == "offline", "eve offline")
    assert events_of(atms, "eve") == ["agent.registered"], "who only looks records nothing"
    assert "agent eve has not been heard of since" in atms("run", "--drain").out
    assert "agent eve" not in atms("run", "--drain").out
    assert "1 offline" in atms("status").out
    atms("agent", "heartbeat", "eve")
    atms("agent", "heartbeat", "eve")
    assert events_of(atms, "eve") == ["agent.registered", "agent.offline", "agent.recovered"]


def test_what_runs_of_a_disabled_agent_is_stopped_and_was_no_attempt(atms: Atms) -> None:
    atms("agent", "register", "worker", "--command", "touch begun; sleep 600")
    one = atms.add("Work")
    loop = atms.start("run", "--progress", "plain")
    atms.appears("begun")
    atms("agent", "disable", "worker", "--reason", "enough")
    task = atms.task(one)
    assert (task["status"], task["attempts"], task["reason"]) == ("queued", 0, "worker was disabled")
    atms.until(lambda: status(atms, "worker") == "terminated", "worker terminated")
    loop.terminate()
    ended = atms.end(loop)
    assert ended.code == 143, ended
    assert atms.task(one)["status"] == "queued"
