"""The lines that make a git hook call atms, and what is pushed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import hooks

SHEBANGS = st.sampled_from([b"", b"#!/bin/sh\n", b"#!/usr/bin/env bash\n", b"#!/bin/sh -e\r\n"])
STAGES = st.sampled_from(hooks.STAGES)
PROGRAMS = st.sampled_from([None, "/opt/atms", '/a b/it\'s "quoted" $HOME `x`/atms'])


@given(SHEBANGS, st.binary(max_size=200), STAGES, PROGRAMS)
def test_what_was_inserted_comes_out_without_a_trace(
    first: bytes, rest: bytes, stage: str, program: str | None
) -> None:
    content = first + rest
    if first or not rest.startswith(b"#!"):
        inserted = hooks.inserted(content, stage, program)
        assert hooks.has_block(inserted)
        assert not hooks.is_made(inserted)
        assert inserted.startswith(first)
        assert hooks.without(inserted) == content


@given(STAGES, PROGRAMS, st.sampled_from([None, "pre-commit.before-atms"]))
def test_a_hook_that_is_ours_is_known_until_somebody_adds_to_it(
    stage: str, program: str | None, aside: str | None
) -> None:
    made = hooks.made(stage, program, aside=aside)
    assert hooks.is_made(made)
    assert hooks.aside_of(made) == aside
    assert not hooks.is_made(made + b"echo mine\n")
    assert not hooks.is_made(made.replace(b"#!/bin/sh\n", b"#!/bin/sh\necho mine\n"))


@pytest.mark.parametrize(
    ("content", "is_shell"),
    [
        (b"#!/bin/sh\ntrue\n", True), (b"#!/usr/bin/env bash\n", True), (b"#! /usr/bin/env -S zsh -f\n", True), (b"echo x\n", True),
        (b"", True), (b"#!/usr/bin/python3\n", False), (b"#!/usr/bin/env node\n", False), (b"\x7fELF\0\0", False), (b"#!/bin/sh", False),
        (b"#!\n", False), (b"#!/usr/bin/env\n", False),
    ],
)  # fmt: skip
def test_lines_of_shell_go_only_into_scripts_that_a_shell_reads(content: bytes, is_shell: bool) -> None:  # noqa: FBT001
    assert hooks.is_shell(content, executable=True) is is_shell
    assert not hooks.is_shell(content, executable=False), "git does not run it, and it must not begin to"


@pytest.mark.parametrize(
    ("words", "has"),
    [
        ("git version 2.54.0", True), ("git version 2.60.1.windows.1", True), ("git version 3.0", True), ("git version 2.53.9", False),
        ("git version 2.39.5 (Apple Git-154)", False), ("git version 2.54-rc0", False), ("nonsense", False),
    ],
)  # fmt: skip
def test_git_knows_hooks_in_its_settings_since_2_54(words: str, has: bool) -> None:  # noqa: FBT001
    assert hooks.is_version(words, hooks.CONFIG_HOOKS) is has


def test_what_is_pushed_is_read_from_standard_input() -> None:
    a, b, none = "a" * 40, "b" * 40, "0" * 40
    given_ = (
        f"refs/heads/main {a} refs/heads/main {b}\n(delete) {none} refs/heads/gone {b}\nrefs/heads/new {a} refs/heads/new {none}\n"
        f"HEAD {a} refs/heads/main {b}\n\n"
    )
    assert hooks.pushed(given_) == [(a, b), (a, "")]
    assert hooks.pushed("") == []


def test_the_message_file_is_one_word_in_any_form_of_command() -> None:
    assert hooks.with_message_file("grep x {message_file}", "/it's/M") == "grep x '/it'\"'\"'s/M'"
    assert hooks.with_message_file(["grep", "x", "{message_file}"], "/it's/M") == ["grep", "x", "/it's/M"]


def test_pre_commit_says_in_variables_what_is_pushed() -> None:
    told = {"PRE_COMMIT_FROM_REF": "a" * 40, "PRE_COMMIT_TO_REF": "b" * 40}
    assert hooks.pushed(hooks.of_pre_commit(told)) == [("b" * 40, "a" * 40)]
    assert hooks.pushed(hooks.of_pre_commit({"PRE_COMMIT_TO_REF": "b" * 40})) == [("b" * 40, "")]
    assert hooks.of_pre_commit({}) == ""
