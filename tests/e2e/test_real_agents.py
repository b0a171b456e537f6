"""The real Gemini CLI, Claude Code and Codex CLI, offline: their programs from npm, their models played on this machine.

They are installed only if asked for: `ATMS_REAL_AGENTS=DIRECTORY pytest tests/e2e/test_real_agents.py`. The directory is kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

PACKAGES = ("@google/gemini-cli@0.61.0", "@anthropic-ai/claude-code@2", "@openai/codex@0.169.0")
WHERE = os.environ.get("ATMS_REAL_AGENTS")
pytestmark = [
    pytest.mark.skipif(not WHERE, reason="set ATMS_REAL_AGENTS to a directory for the real agents"),
    pytest.mark.skipif(not shutil.which("npm"), reason="there is no npm to install the real agents with"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("real agents"),
]
SECRET = "not a secret"  # noqa: S105


@pytest.fixture(scope="module")
def programs() -> Path:
    """Install the agents once and return where their programs are."""
    directory = Path(str(WHERE)).absolute()
    found = directory / "node_modules" / ".bin"
    if not (found / "codex").exists():
        directory.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
        ended = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)  # noqa: TID251
        if ended.returncode:
            pytest.skip(f"npm could not install the real agents: {ended.stderr[-300:]}")
    return found


class Model(ThreadingHTTPServer):
    """Answers as the APIs of Anthropic and OpenAI stream; `is_limited` makes them refuse."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.is_limited = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._reply(200, b"", "text/plain")

    def do_GET(self) -> None:
        self._reply(404, b"{}", "application/json")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.server.is_limited:
            error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
            self._reply(429, json.dumps(error).encode(), "application/json")
        elif "count_tokens" in self.path:
            self._reply(200, b'{"input_tokens":5}', "application/json")
        else:
            events = _anthropic() if "/messages" in self.path else _openai()
            stream = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)
            self._reply(200, stream.encode(), "text/event-stream")

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _anthropic() -> list[dict[str, Any]]:
    message: dict[str, Any] = {
        "id": "m1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1},
    }  # fmt: skip
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ready"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]


def _openai() -> list[dict[str, Any]]:
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ready"}]}
    usage = {
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
    }  # fmt: skip
    return [
        {"type": "response.created", "response": {"id": "r1"}},
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"id": "r1", "usage": usage}},
    ]


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def real(repository: Atms, programs: Path, model: Model, tmp_path: Path) -> Atms:
    """A workspace whose agents are the real ones, and whose gate passes the second time."""
    atms = repository
    home = tmp_path / "home of the agents"
    home.mkdir()
    node = Path(str(shutil.which("npm"))).parent
    atms.env |= {
        "PATH": f"{programs}:{node}:{atms.env['PATH']}", "HOME": str(home), "ANTHROPIC_BASE_URL": model.url,
        "ANTHROPIC_API_KEY": SECRET, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "FAKE_KEY": SECRET, "GEMINI_API_KEY": SECRET,
    }  # fmt: skip
    atms("config", "set", "execution.retry_delay", "0.1")
    atms(
        "gate", "add", "second-time", "--command", "test -e .seen || { touch .seen; echo 'x.py:1: once more'; exit 1; }"
    )
    return atms


def _gemini(atms: Atms, *parts: Mapping[str, object]) -> list[str]:
    def answer(part: Mapping[str, object]) -> str:
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        return json.dumps(
            {"method": "generateContentStream", "response": [{"candidates": [candidate], "usageMetadata": usage}]}
        )

    call = {"functionCall": {"name": "write_file", "args": {"file_path": "done.txt", "content": "hello"}}}
    answers = atms.write("answers.jsonl", "".join(f"{answer(part)}\n" for part in parts or (call, {"text": "ready"})))
    return ["--model", "gemini-2.5-flash", "--arg=--fake-responses", f"--arg={answers}"]


def _codex(model: Model) -> list[str]:
    provider = f'{{name="fake",base_url="{model.url}/v1",env_key="FAKE_KEY",wire_api="responses"}}'
    settings = (
        'model_provider="fake"',
        f"model_providers.fake={provider}",
        "features.enable_request_compression=false",
    )
    return ["--model", "gpt-5", *(word for setting in settings for word in ("--arg=-c", f"--arg={setting}"))]


@pytest.mark.parametrize("kind", ["gemini", "claude", "codex"])
def test_a_task_is_done_and_after_a_gate_its_session_goes_on(real: Atms, model: Model, kind: str) -> None:
    options = _gemini(real) if kind == "gemini" else _codex(model) if kind == "codex" else []
    real("agent", "register", kind, "--kind", kind, *options)
    tried = real.json("agent", "test", kind)
    assert (tried["answered"], tried["text"]) == (True, "ready")
    one = real.add("Write hello into done.txt")
    real("run", "--drain")
    task = real.task(one)
    assert (task["status"], task["attempts"]) == ("completed", 2)
    result = task["result"]
    assert (result["continued"], result["report"]["text"]) == (1, "ready")
    assert result["session"] == result["report"]["session"]
    # What codex counts from the beginning of its session is told apart.
    assert {attempt["usage"]["input_tokens"] for attempt in task["attempt_list"]} == {20 if kind == "gemini" else 10}
    if kind == "gemini":
        assert (real.root / "done.txt").read_text() == "hello"


def test_gemini_is_stopped_in_the_middle_of_its_turn(real: Atms) -> None:
    call = {"functionCall": {"name": "run_shell_command", "args": {"command": "sleep 600"}}}
    real("agent", "register", "gemini", "--kind", "gemini", "--approval", "full", *_gemini(real, call))
    real("config", "set", "budget.attempt_tokens", "15")
    one = real.add("Wait for ever")
    real("run", "--drain", code=8)
    task = real.task(one)
    assert task["reason"] == "gemini: the attempt's budget is used up: 15 of 15 tokens are used up"
    assert [each["usage"]["input_tokens"] for each in task["attempt_list"]] == [10]


def test_claude_is_not_logged_in(real: Atms) -> None:
    del real.env["ANTHROPIC_API_KEY"]
    real("agent", "register", "claude", "--kind", "claude")
    assert real.json("agent", "test", "claude", code=75)["trouble"]["kind"] == "auth"


def test_gemini_has_no_key(real: Atms) -> None:
    del real.env["GEMINI_API_KEY"]
    real("agent", "register", "gemini", "--kind", "gemini")
    assert real.json("agent", "test", "gemini", code=75)["trouble"]["kind"] == "auth"


def test_claude_meets_a_limit_until_somebody_cuts_it_off(real: Atms, model: Model) -> None:
    model.is_limited = True
    real("agent", "register", "claude", "--kind", "claude")
    real("config", "set", "execution.timeout", "6s")
    one = real.add("Write hello into done.txt")
    real("run", "--once", code=8)
    assert real.json("agent", "show", "claude")["halted"]["kind"] == "rate_limit"
    assert (real.task(one)["status"], real.task(one)["attempts"]) == ("queued", 1), "it ran into its timeout"
