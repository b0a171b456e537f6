"""What a task may declare and report, and what is missing of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import outputs
from atms_cli.errors import UsageError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text().filter(lambda name: name != "text"), VALUES, max_size=5))
def test_results_come_as_they_were_reported(results: dict[str, object]) -> None:
    reported = json.dumps(results).encode()
    if len(reported) <= outputs.MOST_BYTES:
        assert outputs.parse(reported).get("results", {}) == results


@pytest.mark.parametrize(
    ("reported", "parsed"),
    [
        (b"", {}),
        (b" \n", {}),
        (b"All done.\n", {"text": "All done."}),
        (b"[1, 2]", {"text": "[1, 2]"}),
        (b'{"text": "All done.", "n": 1}', {"results": {"n": 1}, "text": "All done."}),
        (b'{"text": 3}', {"results": {"text": 3}}),
        (b"{}", {}),
    ],
)
def test_words_and_results(reported: bytes, parsed: dict[str, object]) -> None:
    assert outputs.parse(reported) == parsed


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        (b"x" * (outputs.MOST_BYTES + 1), "longer than 65536 bytes"),
        (b"caf\xe9", "not text in UTF-8: .* at byte 3"),
        (b'{"a": }', r"not JSON: .* \(line 1, column 7\)"),
        (b'{"a": NaN}', "not JSON: NaN is no number"),
        (b'{"a": "\\ud800"}', "half of a character"),
        (b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "nested too deep"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(reported: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        outputs.parse(reported)


@given(st.binary(max_size=200))
def test_whatever_is_reported_is_kept_or_refused(reported: bytes) -> None:
    try:
        found = outputs.parse(reported)
    except ValueError:
        return
    assert found.keys() <= {"text", "results"}
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", " "])
def test_a_file_lies_within_the_work(path: str) -> None:
    with pytest.raises(UsageError, match="`report` is no file within the work"):
        outputs.check({"report": path})


def test_a_name_is_one() -> None:
    outputs.check({"report": "dist/r..html", "version": None})
    for name in ("", " ", "x" * 101):
        with pytest.raises(UsageError, match="not a good name"):
            outputs.check({name: None})


def test_what_is_missing_is_named() -> None:
    wanted = {"report": "dist/r.html", "log": "x.log", "version": None, "size": None}
    assert outputs.lacking(wanted, {"log": {}}, {"size": 3}) == (
        "it left no file for its output `report` (dist/r.html); it did not report its output `version`"
    )
    assert outputs.lacking(wanted, {"log": {}, "report": {}}, {"size": 3, "version": None}) is None
