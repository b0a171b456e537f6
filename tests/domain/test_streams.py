"""What agents print, as recorded from gemini 0.61, claude 2.1 and codex 0.169, and what is made of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import driver, streams, trouble
from atms_cli.domain.agent import DEFAULTS
from atms_cli.domain.moment import plus

if TYPE_CHECKING:
    from atms_cli.domain.records import Agent, JsonObject
    from atms_cli.domain.streams import Report
    from atms_cli.domain.trouble import Trouble

NOW = "2026-01-02T15:00:00.000Z"
#: 10:00 where the machine stands.
MINUTE = 600


def read(stream: str, text: str) -> Report:
    return streams.read(stream, [json.loads(line) for line in text.splitlines() if line])


def found(stream: str, text: str = "", code: int = 0, *last_words: str, status: str = "exited") -> Trouble | None:
    outcome: JsonObject = {"status": status, "exit_code": code}
    return trouble.find(stream, read(stream, text), outcome, last_words, NOW, MINUTE)


def kind(stream: str, text: str = "", code: int = 0, *last_words: str, status: str = "exited") -> str | None:
    it = found(stream, text, code, *last_words, status=status)
    return None if it is None else it.kind


GEMINI = """\
{"type":"init","timestamp":"2026-11-24T10:00:00.000Z","session_id":"g1","model":"gemini-2.5-flash"}
{"type":"message","role":"user","content":"Do it."}
{"type":"message","role":"assistant","content":"I will ","delta":true}
{"type":"tool_use","tool_name":"write_file","tool_id":"1","parameters":{}}
{"type":"message","role":"assistant","content":"do it.","delta":true}
{"type":"result","status":"success","stats":{"total_tokens":170,"input_tokens":130,"output_tokens":37,"cached":20}}
"""
CLAUDE = """\
{"type":"system","subtype":"init","session_id":"c1","tools":[]}
{"type":"assistant","message":{"content":[{"type":"text","text":"Doing it."}]}}
{"type":"result","subtype":"success","is_error":false,"num_turns":3,"result":"Done.","terminal_reason":"completed","session_id":"c1",\
"total_cost_usd":0.25,"usage":{"input_tokens":10,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":50}}
"""
CODEX = """\
{"type":"thread.started","thread_id":"x1"}
{"type":"turn.started"}
{"type":"item.completed","item":{"id":"0","type":"error","message":"a mere warning"}}
{"type":"item.completed","item":{"id":"1","type":"agent_message","text":"Done."}}
{"type":"turn.completed","usage":{"input_tokens":300,"cached_input_tokens":100,"output_tokens":40}}
"""
AGY = """\
{"type":"init","conversation_id":"a1"}
{"type":"step_update","step":1}
{"type":"result","conversation_id":"a1","status":"SUCCESS","response":"Done.","num_turns":2,\
"usage":{"input_tokens":70,"output_tokens":5,"thinking_tokens":4,"cache_read_tokens":3}}
"""


@pytest.mark.parametrize(
    ("stream", "text", "session", "said", "tokens"),
    [
        ("gemini", GEMINI, "g1", "I will do it.", (130, 40, 20)),
        ("claude", CLAUDE, "c1", "Done.", (1110, 50, 1000)),
        ("codex", CODEX, "x1", "Done.", (300, 40, 100)),
        ("agy", AGY, "a1", "Done.", (70, 9, 3)),
    ],
)
def test_an_agent_that_got_through(
    stream: str, text: str, session: str, said: str, tokens: tuple[int, int, int]
) -> None:
    report = read(stream, text)
    assert (report.is_success, report.has_begun, report.session, report.text) == (True, True, session, said)
    assert (report.input_tokens, report.output_tokens, report.cached_tokens) == tokens
    assert kind(stream, text) is None
    assert report.to_json()["session"] == session


@pytest.mark.parametrize(("stream", "text"), [("gemini", GEMINI), ("claude", CLAUDE), ("codex", CODEX), ("agy", AGY)])
def test_exit_code_0_without_the_last_event_is_no_success(stream: str, text: str) -> None:
    cut = "\n".join(text.splitlines()[:-1])
    it = found(stream, cut)
    assert it is not None
    assert (it.kind, it.reason) == ("crash", "it ended without saying how it went (exit code 0)")
    assert kind(stream, text, 1) == "crash", "nor is the last event with another exit code"


@pytest.mark.parametrize("status", ["signalled", "killed", "vanished"])
def test_who_was_stopped_did_not_get_through_whatever_was_said(status: str) -> None:
    assert kind("claude", CLAUDE, 0, status=status) == "crash"


LIMIT = '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1767373200}}\n'
REFUSED_LOGIN = """\
{"type":"assistant","error":"authentication_failed","message":{}}
{"type":"result","subtype":"success","is_error":true,"result":"Not logged in · Please run /login","terminal_reason":"api_error"}
"""


@pytest.mark.parametrize(
    ("stream", "text", "code", "last_words", "expected"),
    [
        ("claude", REFUSED_LOGIN, 1, [], "auth"),
        ("claude", LIMIT + '{"type":"result","subtype":"success","is_error":true,"result":"You\'ve hit your limit"}', 1, [], "rate_limit"),
        ("claude", '{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"result":"x"}', 1, [], "rate_limit"),
        ("claude", '{"type":"result","subtype":"error_max_budget_usd","is_error":true}', 1, [], "budget"),
        ("claude", '{"type":"result","subtype":"error_max_turns","is_error":true}', 1, [], "turns"),
        ("claude", '{"type":"result","subtype":"success","is_error":true,"result":"API Error: ECONNREFUSED"}', 1, [], "network"),
        ("claude", "", 1, ["--dangerously-skip-permissions cannot be used with root/sudo privileges"], "refused"),
        ("gemini", "", 41, ["Please set an Auth method"], "auth"),
        ("gemini", "", 55, [], "refused"),
        ("gemini", "", 53, [], "turns"),
        ("gemini", "", 173, [], "rate_limit"),
        ("gemini", "", 1, ["You have exhausted your daily quota on this model."], "rate_limit"),
        ("gemini", '{"type":"result","status":"error","error":{"message":"API key not valid."}}', 144, [], "auth"),
        ("codex", '{"type":"turn.failed","error":{"message":"You\'ve hit your usage limit … try again at 3:06 PM."}}', 1, [], "rate_limit"),
        ("codex", "", 1, ["Not inside a trusted directory and --skip-git-repo-check was not specified."], "refused"),
        ("codex", '{"type":"turn.failed","error":{"message":"unexpected status 401 Unauthorized"}}', 1, [], "auth"),
        ("agy", '{"type":"result","status":"ERROR","error":"RESOURCE_EXHAUSTED"}', 1, [], "rate_limit"),
        ("plain", "", 75, [], "rate_limit"),
        ("plain", "", 1, ["401 Unauthorized"], "crash"),
    ],
)  # fmt: skip
def test_what_was_in_the_way(stream: str, text: str, code: int, last_words: list[str], expected: str) -> None:
    assert kind(stream, text, code, *last_words) == expected
    assert expected in trouble.CLASSES


def test_an_agent_that_connects_for_ever_is_cut_off_by_the_network() -> None:
    waiting = '{"type":"thread.started","thread_id":"x"}\n{"type":"error","message":"Reconnecting... 2/5"}'
    assert kind("codex", waiting, 0, status="timed_out") == "network"
    assert kind("codex", CODEX, 0, status="timed_out") == "timeout"
    retrying = '{"type":"system","subtype":"api_retry","attempt":7,"error_status":429,"error":"rate_limit"}\n'
    assert kind("claude", retrying, 0, status="stalled") == "rate_limit"
    assert kind("claude", retrying + CLAUDE.splitlines()[1], 0, status="stalled") == "stalled", "it got on again"


def test_a_program_that_is_missing_is_missing_for_every_task() -> None:
    def refusal(stream: str, error: str) -> str | None:
        it = trouble.find(stream, read(stream, ""), {"status": "unstartable", "error": error}, (), NOW, MINUTE)
        return None if it is None else it.kind

    assert refusal("claude", "no such program: claude") == "refused"
    assert refusal("claude", "not executable: claude") == "refused"
    assert refusal("claude", "no such directory: /work") == "crash", "that is the task's own mistake"
    assert refusal("plain", "no such program: sh") == "crash"


def test_a_limit_ends_when_the_agent_says() -> None:
    it = found("claude", LIMIT, 1)
    assert it is not None
    assert it.resets_at == "2026-01-02T17:00:00.000Z"
    allowed = found("claude", LIMIT.replace("rejected", "allowed"), 1)
    assert allowed is not None
    assert (allowed.kind, allowed.resets_at) == ("crash", None)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("try again in 34.5s", 34.5),
        ("Please retry in 1h 2m 3s.", 3723),
        ("Try again after 5 minutes", 300),
        ("resets in 2 days", 2 * 86_400),
        ("try again at 3:06 PM", (15 * 60 + 6 - MINUTE) * 60),
        ("You've hit your limit · resets 2pm", 4 * 3600),
        ("You've hit your limit · resets 2pm (Asia/Shanghai)", None),
        ("resets 15:00 UTC", None),
        ("retry in 500ms", 0.5),
        ("resets in 2 months", None),
        ("resets in 100 days", 8 * 86_400),
        ("resets at 09:30", (23 * 60 + 30) * 60),
        ("try again at 10:00", 86_400),
        ("resets 12am", 14 * 3600),
        ("try again later", None),
        ("resets 3 counters", None),
        ("try again at 27:00", None),
    ],
)
def test_reset_times(said: str, seconds: float | None) -> None:
    expected = None if seconds is None else plus(NOW, seconds)
    assert trouble.reset_time([said], NOW, MINUTE) == expected


@pytest.mark.parametrize("number", ["NaN", "1e400", "-1e400", '"5"', "true", "null", "[]"])
def test_numbers_that_are_none_count_as_nothing(number: str) -> None:
    text = CLAUDE.replace("0.25", number).replace('"output_tokens":50', f'"output_tokens":{number}')
    report = read("claude", text)
    assert (report.cost_usd, report.output_tokens) == (None, 0)
    assert report.is_success is True
    json.dumps(report.to_json(), allow_nan=False)


def test_what_a_cut_off_attempt_does_not_tell_is_not_counted_twice() -> None:
    before = read("codex", CODEX).to_json()
    cut = streams.carried_on("codex", read("codex", CODEX.splitlines()[0]), before)
    assert (cut["input_tokens"], cut["output_tokens"]) == (300, 40)
    after = read("codex", CODEX.replace("300", "450"))
    assert streams.usage("codex", after, cut)["input_tokens"] == 150


def test_codex_counts_from_the_beginning_of_a_session() -> None:
    before = read("codex", CODEX).to_json()
    after = read("codex", CODEX.replace("300", "450").replace('"output_tokens":40', '"output_tokens":70'))
    assert streams.usage("codex", after, before) == {"input_tokens": 150, "output_tokens": 30, "cached_tokens": 0}
    again = read("claude", CLAUDE)
    assert streams.usage("claude", again, again.to_json())["input_tokens"] == 1110
    assert streams.usage("claude", again, None)["cost_usd"] == 0.25
    assert streams.usage("plain", read("plain", ""), None) == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "status", "error", "item", "usage", "stats", "message", "result", "session_id", "rate_limit_info", "resetsAt"]
    ), inner, max_size=5),
    max_leaves=10,
)  # fmt: skip
kinds = st.sampled_from(
    ["init", "message", "result", "error", "assistant", "rate_limit_event", "turn.completed", "item.completed", "x"]
)


@given(st.sampled_from(driver.STREAMS), st.lists(st.tuples(kinds, json_values), max_size=8), st.integers(-1, 300))
def test_no_stream_breaks_a_reader(stream: str, records: list[tuple[str, object]], code: int) -> None:
    given_records = [
        {**(rest if isinstance(rest, dict) else {"content": rest}), "type": kind} for kind, rest in records
    ]
    report = streams.read(stream, [*given_records, None, 5, []])
    json.dumps(report.to_json())
    outcome: JsonObject = {"status": "exited", "exit_code": code}
    it = trouble.find(stream, report, outcome, ["x"], NOW, MINUTE)
    assert it is None or it.kind in trouble.CLASSES
    assert (it is None) == (code == 0 and (stream == "plain" or report.is_success is True))


# Command lines


def agent(**fields: object) -> Agent:
    return {"name": "a", **DEFAULTS, **fields}  # type: ignore[typeddict-item]


VALUES = {"prompt": "Do {it}.", "prompt_file": "/p.md", "task_id": "t1", "run_id": "r1", "workspace": "/w"}


def line(kind: str, *, session: str | None = None, is_new: bool = True, **fields: object) -> list[str]:
    return driver.command_line(
        driver.BUILT_IN[kind], agent(kind=kind, **fields), VALUES, session=session, is_new=is_new
    )


def test_command_lines() -> None:
    assert line("gemini", session="u", model="m") == [
        "gemini", "--output-format", "stream-json", "--approval-mode", "auto_edit", "--model", "m", "--session-id", "u",
    ]  # fmt: skip
    assert line("claude", session="u", is_new=False, approval="full", args=["--max-turns", "9"]) == [
        "claude", "-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "bypassPermissions",
        "--max-turns", "9", "--resume", "u",
    ]  # fmt: skip
    assert line("codex", session="x", is_new=False)[-5:] == ["--sandbox", "workspace-write", "resume", "x", "-"]
    assert line("codex")[-3:] == ["--sandbox", "workspace-write", "-"]
    assert line("agy")[-2:] == ["-p", "Do {it}."], "what is filled in is not filled in again"


def test_the_agents_own_command_stands_for_the_program() -> None:
    assert line("codex", command="npx -y codex")[:5] == ["npx", "-y", "codex", "exec", "--json"]


def test_a_prompt_that_no_argument_can_hold_is_read_from_its_file() -> None:
    values = {**VALUES, "prompt": "é" * 60_000}
    argv = driver.command_line(driver.BUILT_IN["agy"], agent(kind="agy"), values, session=None, is_new=True)
    assert argv[-1] == "Read the file /p.md and do what it says."


def test_a_driver_says_at_least_what_is_started() -> None:
    assert driver.whole({"argv": ["x"], "prompt": ["{prompt}"], "surprise": 1}) == {
        **driver.DEFAULTS, "argv": ["x"], "prompt": ["{prompt}"],
    }  # fmt: skip
    for argv in (None, [], "x", [1]):
        with pytest.raises(ValueError, match="argv"):
            driver.whole({"argv": argv})


@given(st.text(st.sampled_from("ab{}$ "), max_size=20))
def test_only_placeholders_that_are_known_are_filled_in(text: str) -> None:
    assert driver.filled(text, {}) == text
    assert driver.filled(text, {"a": "{b}", "b": "!"}) == text.replace("{b}", "!").replace("{a}", "{b}")
