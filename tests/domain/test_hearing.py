"""Output that is taken in as it grows tells the same as the whole, however it is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import hearing as hearings
from atms_cli.domain import streams
from atms_cli.domain.hearing import Hearing
from tests.domain.test_streams import AGY, CLAUDE, CODEX, GEMINI

WHOLE = {"gemini": GEMINI, "claude": CLAUDE, "codex": CODEX, "agy": AGY}


def heard(stream: str, content: bytes, cuts: list[int]) -> Hearing:
    hearing, begin = Hearing(stream), 0
    for end in [*sorted(cuts), len(content)]:
        hearing.take(content[begin:end])
        begin = end
    hearing.end()
    return hearing


@given(st.sampled_from(sorted(WHOLE)), st.lists(st.integers(0, 400)), st.text(max_size=20))
def test_where_it_is_cut_makes_no_difference(stream: str, cuts: list[int], noise: str) -> None:
    content = f"{WHOLE[stream]}{noise}\n{WHOLE[stream]}last".encode()
    cut = heard(stream, content, [each for each in cuts if each < len(content)])
    assert cut.report == heard(stream, content, []).report
    assert cut.last_words[-1] == "last"
    assert cut.offset == len(content)


def test_a_line_counts_when_it_is_whole() -> None:
    hearing, told = Hearing("claude"), []
    for part in (b'{"type":"result","subtype":"success","result":"Do', b'ne."}', b"\n"):
        hearing.take(part)
        told.append((hearing.report.is_success, hearing.report.text))
    assert told == [(None, ""), (None, ""), (True, "Done.")]


def test_a_line_without_end_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearings, "MOST_LINE", 100)
    hearing = Hearing("claude")
    for _ in range(50):
        hearing.take(b"x" * 99)
    hearing.take(b'"}\n{"type":"system","subtype":"init","session_id":"c1"}\n')
    assert hearing.report.session == "c1"
    assert hearing.last_words == []


def test_what_is_skipped_leaves_no_half_line() -> None:
    hearing = Hearing("claude")
    hearing.skip_to(1000)
    hearing.take(b'"a half":1}\nwhole\n')
    assert (hearing.offset, hearing.last_words) == (1018, ["whole"])


def message(number: str, **usage: int) -> str:
    said = {"id": number, "content": [{"type": "tool_use", "name": "Bash", "input": {"command": "pytest -q"}}]}
    return json.dumps({"type": "assistant", "message": {**said, "usage": usage}}) + "\n"


def test_claude_says_what_it_uses_as_it_goes() -> None:
    """Each message comes in parts that say the same; the sum at the end counts instead."""
    hearing = Hearing("claude")
    hearing.take(message("m1", input_tokens=10, cache_read_input_tokens=90, output_tokens=1).encode())
    hearing.take(message("m1", input_tokens=10, cache_read_input_tokens=90, output_tokens=5).encode())
    report = hearing.report
    assert (report.input_tokens, report.output_tokens, report.cached_tokens) == (100, 5, 90)
    hearing.take(message("m2", input_tokens=10, cache_creation_input_tokens=200, output_tokens=2).encode())
    assert (report.input_tokens, report.output_tokens, report.cached_tokens) == (310, 7, 90)
    assert (report.steps, report.doing) == (3, "Bash: pytest -q")
    assert streams.usage("claude", report, None) == {"input_tokens": 310, "output_tokens": 7, "cached_tokens": 90}
    hearing.take(b'{"type":"result","subtype":"success","usage":{"input_tokens":300,"output_tokens":30}}\n')
    assert (report.input_tokens, report.output_tokens, report.cached_tokens) == (300, 30, 0)


@pytest.mark.parametrize(
    ("stream", "event", "doing"),
    [
        ("gemini", {"type": "tool_use", "tool_name": "write_file", "parameters": {"file_path": "a.py"}}, "write_file: a.py"),
        ("gemini", {"type": "message", "role": "assistant", "content": "I will"}, "I will"),
        ("claude", {"type": "assistant", "message": {"content": [{"type": "text", "text": "Looking."}]}}, "Looking."),
        ("codex", {"type": "item.started", "item": {"type": "command_execution", "command": "ls"}}, "command_execution: ls"),
        ("codex", {"type": "item.completed", "item": {"type": "agent_message", "text": "Done."}}, "Done."),
        ("agy", {"type": "step_update"}, ""),
    ],
)  # fmt: skip
def test_messages_and_uses_of_tools_are_progress(stream: str, event: dict[str, object], doing: str) -> None:
    report = streams.read(stream, [event])
    assert (report.steps, report.doing) == (1, doing)


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        ("codex", {"type": "error", "message": "Reconnecting... 2/5"}),
        ("codex", {"type": "item.completed", "item": {"type": "reasoning", "text": "hm"}}),
        ("claude", {"type": "system", "subtype": "api_retry", "attempt": 7}),
        ("claude", {"type": "assistant", "error": "rate_limit", "message": {}}),
        ("gemini", {"type": "error", "message": "Retrying"}),
        ("plain", {"type": "assistant"}),
    ],
)
def test_trying_again_is_no_progress(stream: str, event: dict[str, object]) -> None:
    assert streams.read(stream, [event, event]).steps == 0
