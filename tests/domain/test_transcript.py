"""What agents print, told to people."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import driver, transcript
from atms_cli.domain.transcript import Transcript
from tests.domain.test_streams import AGY, CLAUDE, CODEX, GEMINI


def told(stream: str, *lines: object) -> str:
    it = Transcript(stream)
    printed = "".join(it.told(each if isinstance(each, str) else json.dumps(each)) for each in lines)
    return printed + it.rest()


@pytest.mark.parametrize(
    ("stream", "text", "expected"),
    [
        ("gemini", GEMINI, "· session g1, gemini-2.5-flash\nI will \n→ write_file\ndo it.\n■ done\n"),
        ("claude", CLAUDE, "· session c1\nDoing it.\n■ done\n"),
        ("codex", CODEX, "· session x1\n! a mere warning\nDone.\n■ done\n"),
        ("agy", AGY, "· session a1\nDone.\n■ done\n"),
    ],
)
def test_a_stream_is_told(stream: str, text: str, expected: str) -> None:
    assert told(stream, *text.splitlines()) == expected


def test_a_message_may_come_in_pieces() -> None:
    pieces = [
        {"type": "message", "role": "assistant", "content": each, "delta": True} for each in ("One ", "two", "\nthree")
    ]
    use = {"type": "tool_use", "tool_name": "run_shell_command", "parameters": {"command": "pytest  -q\n"}}
    assert told("gemini", *pieces, use) == "One two\nthree\n→ run_shell_command: pytest -q\n"


def claude(kind: str, **part: object) -> dict[str, object]:
    return {"type": kind, "message": {"content": [part]}}


def codex(event: str, **item: object) -> dict[str, object]:
    return {"type": event, "item": item}


@pytest.mark.parametrize(
    ("stream", "record", "expected"),
    [
        ("claude", claude("assistant", type="tool_use", name="Bash", input={"command": "ls"}), "→ Bash: ls"),
        ("claude", claude("assistant", type="tool_use", name="X", input={"n": 1}), '→ X: {"n": 1}'),
        ("claude", claude("user", type="tool_result", content="a\nb", is_error=False), "  ✓ b"),
        ("claude", claude("user", type="tool_result", content=[{"text": "no"}], is_error=True), "  ✗ no"),
        ("claude", {"type": "assistant", "message": {"content": "plain"}}, "plain"),
        ("claude", {"type": "result", "subtype": "error_max_turns", "is_error": True}, "■ failed: error_max_turns"),
        ("gemini", {"type": "tool_result", "status": "error", "error": {"message": "denied"}}, "  ✗ denied"),
        ("gemini", {"type": "tool_result", "status": "success", "output": ""}, "  ✓"),
        ("gemini", {"type": "result", "status": "error", "error": {"message": "quota"}}, "■ failed: quota"),
        ("codex", codex("item.started", type="command_execution", command="make"), "→ shell: make"),
        ("codex", codex("item.completed", type="command_execution", aggregated_output="x\nboom", exit_code=2), "  ✗ boom"),
        ("codex", codex("item.completed", type="file_change", changes=[{"path": "a.py", "kind": "add"}]), "→ add: a.py"),
        ("codex", {"type": "turn.failed", "error": {"message": "limit"}}, "■ failed: limit"),
        ("agy", {"type": "result", "status": "ERROR", "error": "no"}, "■ failed: no"),
    ],
)  # fmt: skip
def test_what_is_done_is_a_line(stream: str, record: object, expected: str) -> None:
    assert told(stream, record) == f"{expected}\n"


def test_what_is_no_event_is_printed_as_it_is_and_commands_no_terminal() -> None:
    assert told("claude", "Traceback: boom", "[1, 2]", "") == "Traceback: boom\n[1, 2]\n"
    assert told("claude", "\033]0;title\007 x") == "\ufffd]0;title\ufffd x\n"


def test_every_stream_with_events_is_told() -> None:
    assert [stream for stream in driver.STREAMS if not transcript.has(stream)] == ["plain"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ("type", "role", "content", "delta", "message", "item", "text", "name", "input", "error", "status", "changes", "subtype")
    ) | st.text(max_size=3), inner, max_size=4),
)  # fmt: skip
KINDS = st.sampled_from(
    [
        "init",
        "message",
        "assistant",
        "user",
        "system",
        "result",
        "tool_use",
        "tool_result",
        "item.started",
        "item.completed",
        "error",
    ]
)


@given(
    st.sampled_from([*driver.BUILT_IN]),
    st.lists(st.fixed_dictionaries({"type": KINDS}) | st.dictionaries(st.text(), JSON), max_size=5),
    JSON,
)
def test_whatever_an_agent_prints_is_told_in_whole_lines(
    stream: str, records: list[dict[str, object]], extra: object
) -> None:
    merged = [{**record, "message": extra, "item": extra, "content": extra} for record in records]
    printed = told(stream, *merged, extra)
    assert printed == "" or printed.endswith("\n")
    assert all(c.isprintable() or c in "\n\t" for c in printed)
