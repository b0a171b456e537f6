"""Odd words: wide, long, empty, in several lines, with codes for the terminal in them."""

from __future__ import annotations

import pytest

from atms_cli.cli import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

TITLES = {
    "wide": "日本語のタイトル",
    "emoji": "🎉 done 👩‍👩‍👧",
    "combining": "Cafe\u0301 au lait",
    "right to left": "שלום עולם",
    "long": "very long " * 49,
    "dash": "-x",
    "dashes": "--force",
    "at": "@home",
    "quotes": 'it\'s "quoted" `so` $HOME {braces} %s',
    "backslash": "C:\\new\\table",
    "number": "007",
    "html": "<b>&amp;</b>",
    "rich": "[bold]no[/bold]",
    "newlines": "one\ntwo\r\nthree\ttabbed",
    "escape": "red \033[31mtext\033[0m bell \a erase \r gone",
    "csi": "c1 \x9b31m",
    "spaces": "  inner   spaces  ",
    "bidi": "abc\u202edef",
    "separator": "line\u2028separator",
}


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_any_title_is_kept_as_it_is_and_shown_in_one_harmless_line(atms: Atms, title: str) -> None:
    one = atms("task", "add", "-q", "--", title).line
    task = atms.task(one)
    assert task["title"] == title
    shown = [
        atms("task", "list").out, atms("task", "show", one).out, atms("queue", "next").out, atms("queue", "list").out,
        atms("queue", "explain", one).out, atms("log").out, atms("task", "claim", one).out, atms("task", "done", one).out,
    ]  # fmt: skip
    expected_lines = [2, None, 1, 2, None, 1, 1, 1]
    for text, count in zip(shown, expected_lines, strict=True):
        assert all(line.isprintable() for line in text.split("\n")), text
        assert count is None or len(text.splitlines()) == count
    assert atms.json("task", "list", "--search", title.split(maxsplit=1)[0][:5])[0]["id"] == one


@pytest.mark.parametrize("title", ["", " ", "\n\t ", "\u3000"])
def test_an_empty_title_is_refused(atms: Atms, title: str) -> None:
    assert atms("task", "add", title, code=2).err == (
        'error: a task needs a title\nhint: give it in quotes: atms task add "Fix the login redirect"\n'
    )
    one = atms.add("One")
    assert atms("task", "update", one, "--title", title, code=2).err.startswith("error: a task needs a title\n")


def test_a_title_has_a_limit(atms: Atms) -> None:
    assert len(atms.task(atms.add("x" * 500))["title"]) == 500
    assert atms("task", "add", "x" * 501, code=2).err == (
        "error: the title has 501 characters, more than 500\nhint: put the details into -d TEXT\n"
    )
    one = atms.add("One")
    atms("task", "update", one, "--title", "x" * 501, code=2)


def test_words_that_are_not_utf_8_are_no_crash(atms: Atms) -> None:
    command = "atms task add \"$(printf 'caf\\351')\" -q; echo $?"
    answer = atms.end(atms.start("-c", command, program=("/bin/sh",)))
    assert answer.out.split()[-1] in ("0", "2")
    assert "bug" not in answer.err
    assert isinstance(atms.json("task", "list"), list)


@pytest.mark.parametrize("lang", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_every_locale_gets_utf_8(atms: Atms, lang: str) -> None:
    one = atms.add("Grüße 日本")
    answer = atms("task", "list", env={"LANG": lang, "LC_ALL": lang})
    assert f"{one}  ○ queued  medium    Grüße 日本" in answer.out


def test_long_texts_stay_whole(atms: Atms) -> None:
    text = "\n".join(f"line {number} " + "ü" * 90 for number in range(1000))
    one = atms("task", "add", "Long", "-d", "-", "-q", text=text + "\n").line
    assert atms.task(one)["description"] == text
    assert text in atms("task", "show", one).out


def test_descriptions_keep_their_lines_and_lose_their_codes(atms: Atms) -> None:
    one = atms.add("One", "-d", "first\n\tsecond \033[2Jthird")
    assert "\n\nfirst\n\tsecond \ufffd[2Jthird\n" in atms("task", "show", one).out


@pytest.mark.parametrize("columns", ["20", "60", "100", "200"])
def test_a_table_fits_the_terminal_as_far_as_it_can(atms: Atms, columns: str) -> None:
    for title in TITLES.values():
        atms("task", "add", "-q", "--", title)
    lines = atms("task", "list", env={"COLUMNS": columns}).lines
    assert len(lines) == len(TITLES) + 1
    assert max(map(render.width, lines)) <= max(int(columns), 10 + 2 + 8 + 2 + 8 + 2 + 20 + 2 + 5)
    titles = lines[0].index("TITLE")
    assert all(line[titles - 1] == " " for line in lines)


def test_wide_characters_keep_columns_aligned(atms: Atms) -> None:
    one, two = atms.add("日本語"), atms.add("abc")
    for task in (one, two):
        atms("task", "claim", task, "--agent", "eve")
    _, first, second = atms("task", "list").lines
    assert render.width(first.partition("eve")[0]) == render.width(second.partition("eve")[0])


def test_reasons_are_shown_in_one_harmless_line(atms: Atms) -> None:
    one = atms.add("One")
    atms("task", "fail", one, "--reason", "first\nsecond \033[31m")
    card = atms("task", "show", one).out
    assert "failed: first second \ufffd[31m\n" in card
    assert all(line.isprintable() for line in atms("log").lines)


def test_bad_ids_are_quoted_harmlessly(atms: Atms) -> None:
    for odd in ("\033[31m", "%", "_", "'", "a b", "ü", "*"):
        answer = atms("task", "show", odd, code=4)
        assert answer.err.endswith("hint: see them all: atms task list\n")
        assert "\033" not in answer.err
