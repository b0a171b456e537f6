"""Whatever a report holds, reading it ends with what it says or with why it cannot be read, and a part is never the whole."""

from __future__ import annotations

import codecs
import json
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import reports
from atms_cli.domain.reports.report import MOST_BYTES, Place, Report, UnreadableError
from tests.recorded import NAMES, recorded

SHOP = Place("/home/you/shop", "/home/you/shop")
#: Formats that are closed at their end, so that a missing part is seen.
CLOSED = tuple(name for name in NAMES if name not in ("mypy.jsonl", "mypy-clean.jsonl", "lcov.info"))
LEVELS = ("error", "warning", "note")


def attempted(content: bytes, kind: str) -> Report | None:
    try:
        report = reports.read(content, kind, SHOP)
    except UnreadableError:
        return None
    for finding in report.findings:
        assert finding["level"] in LEVELS
        assert finding["line"] is None or finding["line"] > 0
        # It can be stored and printed.
        json.dumps(finding, ensure_ascii=False).encode()
        text = finding["message"] + finding["rule"] + (finding["path"] or "")
        assert not {category(char) for char in text} & {"Cc", "Cs", "Zl", "Zp"}
    return report


def named(report: Report) -> list[str]:
    return [finding["rule"] for finding in report.findings]


kinds = st.sampled_from(reports.FORMATS)


@given(st.binary(max_size=400), kinds)
def test_any_bytes(content: bytes, kind: str) -> None:
    attempted(content, kind)


@given(st.sampled_from(CLOSED), st.data())
def test_a_beginning_is_never_taken_for_a_report(name: str, data: st.DataObject) -> None:
    content = recorded(name).rstrip()
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    assert attempted(cut, "auto") is None
    assert attempted(cut, reports.detected(content)) is None
    assert attempted(reports.within(cut, "auto"), "auto") is None


@given(st.data())
def test_a_beginning_of_lines_says_nothing_that_the_whole_does_not(data: st.DataObject) -> None:
    content = recorded("lcov.info") * 3
    part = attempted(content[: data.draw(st.integers(0, len(content)))], "lcov")
    whole = attempted(content, "lcov")
    assert whole is not None
    assert whole.coverage is not None
    assert part is None or (part.coverage is not None and part.coverage.files.items() <= whole.coverage.files.items())


@given(st.sampled_from(NAMES), st.data())
def test_flipped_bytes(name: str, data: st.DataObject) -> None:
    content = bytearray(recorded(name))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)):
        content[at] = value
    attempted(bytes(content), data.draw(kinds))
    attempted(bytes(content), "auto")


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=10,
)


@given(st.sampled_from([name for name in NAMES if name.endswith(("json", "sarif"))]), json_values, st.data())
def test_another_value_anywhere(name: str, value: object, data: st.DataObject) -> None:
    document = json.loads(recorded(name))
    place: Any = document
    while True:
        member: Any = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[member], dict | list) or not place[member] or data.draw(st.booleans()):
            break
        place = place[member]
    place[member] = value
    content = json.dumps(document).encode()
    attempted(content, reports.detected(recorded(name)))
    attempted(content, "auto")


@given(st.sampled_from(NAMES), st.sampled_from(("utf-16", "utf-32", "utf-8-sig", "utf-16-le", "cp037", "latin-1")))
def test_other_encodings_say_the_same_or_cannot_be_read(name: str, encoding: str) -> None:
    content = recorded(name)
    kind = "mypy" if name.startswith("mypy") else reports.detected(content)
    report = attempted(content.decode().encode(encoding, errors="replace"), kind)
    assert report is None or named(report) == named(reports.read(content, kind, SHOP))


def test_text_with_a_mark_of_its_encoding_is_read() -> None:
    for name in ("ruff.json", "pytest.xml", "lcov.info"):
        assert attempted(codecs.BOM_UTF8 + recorded(name), "auto") is not None
    assert attempted(recorded("ruff.json").decode().encode("utf-16"), "auto") is not None


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuites><testsuite tests="1"><testcase name="&b;"/></testsuite></testsuites>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE testsuites [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<testsuites><testsuite><testcase name="a"><failure>&x;</failure></testcase></testsuite></testsuites>"""
PARAMETER = b"""<?xml version="1.0"?><!DOCTYPE testsuites [<!ENTITY % x SYSTEM "http://example.com/x.dtd"> %x;]>
<testsuites><testsuite tests="1"/></testsuites>"""


@pytest.mark.parametrize("content", [BOMB, OUTSIDE, PARAMETER], ids=["bomb", "outside", "parameter"])
def test_entities_are_refused(content: bytes) -> None:
    with pytest.raises(UnreadableError, match="it defines"):
        reports.read(content, "junit", SHOP)


def test_a_named_document_type_is_not_fetched_and_its_entities_stay_unknown() -> None:
    content = b"""<!DOCTYPE testsuites SYSTEM "file:///etc/passwd"><testsuites><testsuite><testcase name="a">
    <failure message="m">before &x; behind</failure></testcase></testsuite></testsuites>"""
    report = attempted(content, "junit")
    assert report is None or "root:" not in report.findings[0]["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "why"),
    [
        (b"<testsuites>" + b"<a>" * 100 + b"</a>" * 100 + b"</testsuites>", "junit", "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "ruff", "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "sarif", "nested too deeply"),
        (b"[" + b"[]," * 2_500_000 + b"[]]", "ruff", "too many values"),
        (b"<testsuites>" + b"<a/>" * 1_100_000 + b"</testsuites>", "junit", "too many elements"),
        (b" " * (MOST_BYTES + 1), "junit", "larger than 32 MiB"),
        (b"", "junit", "empty"),
        (b" \n", "ruff", "empty"),
        (b"<html></html>", "junit", "<html>"),
        (b"<html></html>", "auto", "neither JUnit's nor Cobertura's"),
        (b"<coverage/>", "cobertura", "no lines and no totals"),
        (b"3 passed", "auto", "like no format"),
        (b"{}", "auto", "of no tool that is known"),
        (b"{}", "sarif", "version"),
        (b'{"version":"2.1.0"}', "sarif", "a list is missing"),
        (b"{}", "coverage-json", "totals"),
        (b"[1]", "ruff", "no object"),
        (b"SF:a.py\nDA:1,1\n", "lcov", "in the middle"),
        (b"DA:1,1\nend_of_record\n", "lcov", "outside"),
        (b"SF:a.py\nDA:x\nend_of_record\n", "lcov", "no line"),
        ("[“a”]".encode("latin-1", errors="replace") + b"\xff", "ruff", "not text"),
        (b'<?xml version="1.0" encoding="utf-7"?><testsuites/>', "junit", "encoding"),
        (b"[" + b"9" * 5000 + b"]", "ruff", "no JSON"),
    ],
)  # fmt: skip
def test_why_it_cannot_be_read(content: bytes, kind: str, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        reports.read(content, kind, SHOP)
