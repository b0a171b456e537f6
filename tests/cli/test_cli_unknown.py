"""Words that are no command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atms_cli.cli.unknown import unknown

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
NAMES = ("task", "queue", "status", "sync", "init")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("tsak", "task"), ("taks", "task"), ("task2", "task"), ("tusk", "task"), ("queu", "queue"), ("satus", "status"), ("synch", "sync"),
        ("nonsense", None), ("x", None), ("", None), ("TASK", None),
    ],
)  # fmt: skip
def test_slips_of_the_fingers_are_understood(word: str, meant: str | None) -> None:
    said = unknown(word, NAMES, "atms")
    assert said.message == f"no command `{word}`" + (f"; did you mean `{meant}`?" if meant else "")
    assert said.hint == "see: atms --help"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["nonsense"], "error: no command `nonsense`\nhint: see: atms --help\n"),
        (["tsak", "list"], "error: no command `tsak`; did you mean `task`?\nhint: see: atms --help\n"),
        (["task", "lsit"], "error: no command `lsit`; did you mean `list`?\nhint: see: atms task --help\n"),
        (
            ["--no-input", "task", "lsit"],
            "error: no command `lsit`; did you mean `list`?\nhint: see: atms task --help\n",
        ),
    ],
)
def test_what_is_no_command_is_refused(bare: Atms, words: list[str], error: str) -> None:
    assert bare(*words, code=2).err == error
