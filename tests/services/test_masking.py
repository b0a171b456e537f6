"""What an attempt has printed is masked before anything of it is kept, whatever is in the way of masking its file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from atms_cli.errors import AtmsError
from atms_cli.services import agents, attempts, dispatch, gathering, outputs, tasks
from tests.fakes import FakeWorkspace

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject

TOKEN = "ghp_" + "a1" * 18
VALUE = "hunter2-hunter3-9"
SECRETS = (TOKEN, VALUE)


@pytest.fixture
def ws() -> FakeWorkspace:
    workspace = FakeWorkspace()
    workspace.environ = {**workspace.environ, "DEPLOY_TOKEN": VALUE}
    workspace.config["agents"]["clara"] = {"name": "clara", "kind": "claude"}
    return workspace


def begun(ws: FakeWorkspace) -> attempts.Start:
    tasks.add(ws, {"title": "x"}, after=(), draft=False)
    with ws.store.writing("loop") as tx:
        force = list(agents.known(ws, tx.read).values())
        chosen = dispatch.upcoming(ws, tx.queue(ws.config["queue"]), force, {}, 1, tx.now)
        (start,) = attempts.dispatch(ws, tx, chosen)
    return start


def print_secrets(ws: FakeWorkspace, start: attempts.Start) -> JsonObject:
    text = f"I used {' and '.join(SECRETS)}."
    events = [{"type": "result", "subtype": "success", "is_error": False, "result": text, "session_id": "s"}]
    said = "\n".join([*(json.dumps(event) for event in events), text])
    ws.run_files.files[ws.run_files.path(start.run, attempts.OUTPUT)] = said
    ws.run_files.files[ws.run_files.path(start.run, outputs.RESULT)] = json.dumps({"text": text, "key": VALUE})
    return {"status": "exited", "exit_code": 0, "cpu_s": 0.5, "output_bytes": len(said)}


def test_nothing_secret_is_gathered(ws: FakeWorkspace) -> None:
    start = begun(ws)
    heard = gathering.gather(ws, start, print_secrets(ws, start))
    kept = json.dumps([heard.told, heard.last_words, ws.run_files.files])
    assert not any(secret in kept for secret in SECRETS)
    assert "I used [redacted]" in kept
    assert heard.told["cpu_s"] == 0.5


def test_what_cannot_be_masked_on_the_disk_is_masked_when_it_is_read(
    ws: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AtmsError("the disk is broken")

    monkeypatch.setattr(ws.run_files, "mask", refuse)
    start = begun(ws)
    heard = gathering.gather(ws, start, print_secrets(ws, start))
    kept = json.dumps([heard.told, heard.last_words])
    assert not any(secret in kept for secret in SECRETS)


def test_who_printed_nothing_is_not_looked_through(ws: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws.run_files, "mask", lambda *_: pytest.fail("there is nothing to mask"))
    gathering.gather(ws, begun(ws), {"status": "exited", "exit_code": 0, "output_bytes": 0})
