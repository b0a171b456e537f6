"""Secrets do not survive: not by their form, not by their value, not in pieces; and what is no secret stays."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain.redaction import FORMS, LONGEST, Redactor, Stream, check_pattern, mask
from atms_cli.domain.secrets import SIGNS, is_secret, refuse_secrets, secret_values, without_secrets
from atms_cli.errors import UsageError

_ALNUM = string.ascii_letters + string.digits


def _random(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


_KEY = (
    "-----BEGIN RSA PRIVATE KEY-----{0}Proc-Type: 4,ENCRYPTED{0}{0}{1}{0}{1}{0}c0FF=={0}-----END RSA PRIVATE KEY-----"
)
#: What no output may hold afterwards, with the text it stands in.
SECRETS = st.one_of(
    _random(_ALNUM, 36, 36).map("ghp_{}".format),
    _random(_ALNUM + "_", 40, 82).map("github_pat_{}".format),
    _random(_ALNUM + "-_", 24, 100).map("sk-{}".format),
    _random(_ALNUM + "-_", 40, 95).map("sk-ant-api03-{}".format),
    _random(_ALNUM + "-_", 35, 35).map("AIza{}".format),
    _random(string.ascii_uppercase + string.digits, 16, 16).map("AKIA{}".format),
    _random(string.digits, 10, 12).map("xoxb-{}-abcdef".format),
    _random(_ALNUM, 64, 64).map(lambda body: _KEY.format("\n", body)),
    _random(_ALNUM, 64, 64).map(lambda body: _KEY.format("\\n", body)),
).map(lambda secret: (secret, secret))
IN_WORDS = st.one_of(
    _random(_ALNUM + "-._", 20, 60).map(lambda token: (token + "7", f"Authorization: Bearer {token}7")),
    _random(_ALNUM + "+/", 8, 40).map(lambda token: (token, f"authorization: basic {token}")),
    _random(_ALNUM + "!$%", 4, 20).map(lambda word: (word, f"https://joe:{word}@example.com/x")),
)
#: What may stand before and behind: a letter right before would make another word of a token.
AROUND = st.text(st.sampled_from(" ab=:\"'\n\r\t,;(){}[]é…\x00\\n"), max_size=40).map(lambda text: text + " ")


def in_pieces(redactor: Redactor, content: bytes, sizes: list[int]) -> bytes:
    stream, out = Stream(redactor), b""
    for size in sizes:
        piece, content = content[:size], content[size:]
        out += stream.feed(piece)
    return out + stream.feed(content) + stream.end()


@given(AROUND, st.one_of(SECRETS, IN_WORDS), AROUND, st.lists(st.integers(0, 40), max_size=30))
def test_no_secret_survives(before: str, pair: tuple[str, str], after: str, sizes: list[int]) -> None:
    secret, words = pair
    text = f"{before}{words} {after}"
    masked = Redactor().text(text)
    assert secret not in masked
    assert len(masked) == len(text)
    assert masked.startswith(before)
    assert masked.endswith(f" {after}")
    assert in_pieces(Redactor(), text.encode(), sizes).decode() == masked


@given(AROUND, st.text(min_size=8, max_size=60), AROUND, st.lists(st.integers(0, 20), max_size=30))
def test_no_known_value_survives(before: str, value: str, after: str, sizes: list[int]) -> None:
    redactor = Redactor(values=[value])
    lines = [value] if len(value.splitlines()) == 1 else [line for line in value.splitlines() if len(line) >= 16]
    for line in lines:
        for spelt in (line, json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1]):
            # As a word of its own, so that nothing else is masked that reaches into it.
            content = f"{before} {spelt} {after}".encode("utf-8", "surrogatepass")
            masked = redactor.content(content)
            assert spelt.encode("utf-8", "surrogatepass") not in masked.replace(b"*", b"").replace(b"[redacted]", b"")
            assert in_pieces(redactor, content, sizes) == masked


@given(st.lists(st.one_of(AROUND, SECRETS.map(lambda pair: pair[1]), IN_WORDS.map(lambda pair: pair[1]))).map(" ".join))
def test_masking_twice_is_masking_once(text: str) -> None:
    redactor = Redactor(["[0-9]{6}"], ["correct-horse-7"])
    assert redactor.text(redactor.text(text)) == redactor.text(text)


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_line_of_any_length_is_cut_nowhere(cut: int) -> None:
    secret = b"ghp_" + b"a1" * 18
    content = b"x" * (2 * LONGEST + cut) + b" " + secret + b" " + b"y" * (2 * LONGEST)
    stream = Stream(Redactor())
    given_on = [stream.feed(content[at : at + 4096]) for at in range(0, len(content), 4096)]
    # What is certain is not held back.
    assert sum(map(len, given_on)) >= len(content) - LONGEST - 4096
    assert b"".join([*given_on, stream.end()]) == content.replace(secret, mask(secret))


@pytest.mark.parametrize(
    "text",
    [
        "task-0123456789012345678901 is done",
        "the basic understanding of authorization: none",
        "see https://example.com:8080/a@b and git@github.com:a/b.git",
        "disk-usage and risk-assessment-of-everything-we-did",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "bearer of bad news: internationalization",
        "monkey_patch=1 keyboard eyJ AKIA sk- ghp_",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_key_that_is_cut_off_is_masked_as_far_as_it_goes() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n" + "aB3+\n" * 5
    assert Redactor().text(text).count("a") == Redactor().text(text).count("[redacted]")
    quoted = "if text.startswith('-----BEGIN PRIVATE KEY-----'): raise"
    assert Redactor().text(quoted).endswith("'): raise")


def test_patterns_of_ones_own() -> None:
    redactor = Redactor(["card [0-9]{4}", "^pin .*$"], [])
    assert redactor.text("a card 1234\npin 9\nno pin 9") == "a *********\n*****\nno pin 9"
    for text in ("(", "a*", "(?P<x>a)", r"(a)\1", "(?i)a"):
        with pytest.raises(UsageError):
            check_pattern(text)
    check_pattern("(?i:a)b+")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", "abcd1234efgh"), ("DB_PASSWORD", "correct horse 7 battery"), ("api_key", "9f8e7d6c5b4a39281706"),
        ("AUTH", "dXNlcjpwYXNzd29yZDE="), ("AWS_SECRET_ACCESS_KEY", "/a8sd+fk3jh4kjh"), ("MY_CREDENTIALS", "hunter2hunter2"),
        ("DATABASE_AUTH_URL", "postgres://joe:pw@db/x"), ("API_KEY", "s3cret"),
    ],
)  # fmt: skip
def test_variables_that_are_secrets(name: str, value: str) -> None:
    assert is_secret(name, value)
    with pytest.raises(UsageError):
        refuse_secrets({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", "none"), ("SSH_AUTH_SOCK", "/run/ssh-XXXX/agent.1"), ("KEYBOARD", "de-latin1-nodeadkeys"),
        ("AUTH_METHOD", "oauth2-device-code"), ("TOKEN_LIMIT", "10000000"), ("SECRET_SANTA", "enabled everywhere"),
        ("AUTH_URL", "https://login.example.com"), ("PATH", "sk-is-not-looked-at-here"), ("XAUTHORITY", "~/.Xauthority"),
    ],
)  # fmt: skip
def test_variables_that_are_none(name: str, value: str) -> None:
    assert not is_secret(name, value)


def test_a_token_is_refused_whatever_it_is_called() -> None:
    with pytest.raises(UsageError, match="looks like a secret"):
        refuse_secrets({"HARMLESS": "ghp_" + "a1" * 18})
    refuse_secrets({"HARMLESS": "a long text that is nothing of the kind"})


def test_the_signs_of_all_forms_are_known() -> None:
    assert set(SIGNS) == {sign.decode() for signs, _ in FORMS for sign in signs}


def test_what_somebody_wrote_loses_its_tokens() -> None:
    token = "ghp_" + "a1" * 18
    assert without_secrets(f"use {token} for it") == "use [redacted]****************************** for it"
    assert without_secrets("see https://example.com/sk-1") == "see https://example.com/sk-1"


def test_what_is_short_is_refused_and_not_masked() -> None:
    assert secret_values({"API_KEY": "s3cret", "API_TOKEN": "s3cret-and-long"}) == ["s3cret-and-long"]
    assert not is_secret("API_KEY", "")
