"""Reports of real tools, recorded, and what has to be read in them. The project they are of has five known flaws."""

from __future__ import annotations

import pytest

from atms_cli.domain import reports
from atms_cli.domain.reports.report import MOST_FINDINGS, Place, Report, Tally, UnreadableError, combined
from tests.recorded import recorded

SHOP = Place("/home/you/shop", "/home/you/shop")


def read(name: str, kind: str = "auto") -> Report:
    return reports.read(recorded(name), kind, SHOP)


def places(report: Report) -> list[tuple[str, str | None, int | None, int | None]]:
    return [(each["rule"], each["path"], each["line"], each["column"]) for each in report.findings]


RUFF = [
    ("F401", "src/shop/cart.py", 1, 8),
    ("S602", "src/shop/cart.py", 15, 12),
    ("S101", "tests/test_cart.py", 7, 5),
    ("S101", "tests/test_cart.py", 11, 5),
    ("S101", "tests/test_cart.py", 16, 5),
    ("S101", "tests/test_cart.py", 39, 5),
    ("PT015", "tests/test_cart.py", 39, 5),
]
PYTEST = [
    ("tests.test_cart::test_discount", "tests/test_cart.py", 11, None),
    ("tests.test_cart::test_label[<&>]", "src/shop/cart.py", 15, None),
    ("tests.test_cart::test_refused", "src/shop/cart.py", 7, None),
    ("tests.test_cart::test_with_fixture", "tests/test_cart.py", 25, None),
]


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("ruff.json", "ruff", RUFF),
        ("ruff.sarif", "sarif", RUFF),
        ("mypy.jsonl", "mypy", [("return-value", "src/shop/cart.py", 9, 12)]),
        ("pytest.xml", "junit", PYTEST),
        ("pytest-xunit1.xml", "junit", PYTEST),
        (
            "vitest.xml",
            "junit",
            [
                ("src/cart.test.js::total > takes off the discount", "src/cart.test.js", 9, 30),
                ("src/cart.test.js::total > refuses <too much> & more", "src/cart.js", 4, 11),
            ],
        ),
        ("bandit.json", "bandit", [("B404", "src/shop/cart.py", 2, 1), ("B602", "src/shop/cart.py", 15, 12)]),
        ("eslint.json", "eslint", [("no-var", "src/cart.js", 2, 3), ("no-unused-vars", "src/cart.js", 2, 7)]),
        ("pip-audit.json", "pip-audit", [("PYSEC-2014-8", None, None, None), ("skipped", None, None, None)]),
    ],
)
def test_what_real_tools_found(name: str, kind: str, found: list[object]) -> None:
    assert reports.detected(recorded(name)) == kind
    assert places(read(name)) == found
    assert read(name, kind).findings == read(name).findings


def test_one_tool_says_the_same_in_both_of_its_formats() -> None:
    assert read("ruff.json").findings == read("ruff.sarif").findings


@pytest.mark.parametrize(
    ("name", "levels"),
    [("eslint.json", ["warning", "error"]), ("bandit.json", ["note", "error"]), ("pip-audit.json", ["error", "note"])],
)
def test_levels(name: str, levels: list[str]) -> None:
    assert [each["level"] for each in read(name).findings] == levels


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        ("pytest.xml", Tally(total=8, failed=3, errors=1, skipped=2)),
        ("pytest-xunit1.xml", Tally(total=8, failed=3, errors=1, skipped=2)),
        ("vitest.xml", Tally(total=4, failed=2, errors=0, skipped=1)),
    ],
)
def test_tests_are_counted(name: str, tests: Tally) -> None:
    assert read(name).tests == tests


def test_a_failed_test_keeps_what_it_printed() -> None:
    detail = read("pytest.xml").findings[0]["detail"]
    assert ">       assert total([10], 0.5) == 4" in detail
    assert detail.endswith("tests/test_cart.py:11: AssertionError")


@pytest.mark.parametrize("name", ["coverage.xml", "coverage.json", "lcov.info"])
def test_coverage_is_the_same_in_each_format(name: str) -> None:
    coverage = read(name).coverage
    assert coverage is not None
    assert (coverage.covered, coverage.lines) == (10, 11)
    assert coverage.percent() == pytest.approx(100 * 10 / 11)
    assert coverage.branch_percent() == 75.0
    assert {path for path, lines in coverage.files.items() if lines} == {"src/shop/cart.py"}
    assert [line for line, hit in coverage.files["src/shop/cart.py"].items() if not hit] == [14]


def test_nothing_at_all_is_a_report_of_mypy_alone() -> None:
    assert read("mypy-clean.jsonl", "mypy").findings == []
    with pytest.raises(UnreadableError, match="it is empty"):
        read("mypy-clean.jsonl", "junit")
    with pytest.raises(UnreadableError, match="it is empty"):
        read("mypy-clean.jsonl")


def test_a_report_among_other_output() -> None:
    printed = b"warning: something [else]\n" + recorded("ruff.json") + b"\nFound 7 errors.\n"
    assert reports.read(reports.within(printed, "auto"), "auto", SHOP).findings == read("ruff.json").findings
    printed = b"Reading...\n" + recorded("mypy.jsonl") + b"note: done\n"
    assert reports.read(reports.within(printed, "mypy"), "mypy", SHOP).findings == read("mypy.jsonl").findings
    assert reports.within(b"Success: no issues found\n", "mypy") == b""
    assert reports.within(b"3 failed\n", "auto") == b""


def test_paths_are_from_the_root_of_the_tree() -> None:
    place = Place("/home/you/shop", "/home/you/shop/web")
    assert place.relative("src/a.js") == "web/src/a.js"
    assert place.relative("../b.py") == "b.py"
    assert place.relative("/home/you/shop/web/a%20b.js") == "web/a%20b.js"
    assert place.relative("file:///home/you/shop/web/a%20b.js") == "web/a b.js"
    assert place.relative("/usr/lib/python3/x.py") == "/usr/lib/python3/x.py"
    assert place.relative("/home/you/shopping/x.py") == "/home/you/shopping/x.py"
    assert place.relative(r"src\a.js") == "web/src/a.js"


def ruff_json(*found: tuple[str, str, int]) -> bytes:
    records = (
        f'{{"filename":"a.py","code":"{rule}","message":"{message}","location":{{"row":{row},"column":1}}}}'
        for rule, message, row in found
    )
    return f"[{','.join(records)}]".encode()


def fingerprints(*found: tuple[str, str, int]) -> list[str]:
    return [each["fingerprint"] for each in reports.read(ruff_json(*found), "ruff", SHOP).findings]


def test_a_fingerprint_stays_when_lines_move() -> None:
    before = fingerprints(("E501", "Line too long (130 > 120)", 3), ("F401", "`os` imported but unused", 9))
    after = fingerprints(("E501", "Line too long (131 > 120)", 13), ("F401", "`os` imported but unused", 19))
    assert before == after


def test_what_is_found_twice_has_two_fingerprints_and_a_third_time_a_third() -> None:
    twice = fingerprints(("S101", "Use of assert", 3), ("S101", "Use of assert", 4))
    thrice = fingerprints(("S101", "Use of assert", 1), ("S101", "Use of assert", 3), ("S101", "Use of assert", 4))
    assert len({*twice}) == 2
    assert thrice[:2] == twice
    assert thrice[2] not in twice


def test_what_a_suite_declares_is_believed_where_its_cases_say_less() -> None:
    hidden = b'<testsuites tests="2" failures="1"><testsuite><testcase name="a"/><testcase name="b"/></testsuite></testsuites>'
    assert reports.read(hidden, "junit", SHOP).tests == Tally(total=2, failed=1)
    nested = b'<testsuite tests="5" errors="1"><testsuite tests="5" errors="1"/></testsuite>'
    assert reports.read(nested, "junit", SHOP).tests == Tally(total=5, errors=1)
    none = b'<testsuites><testsuite name="pytest" tests="0"/></testsuites>'
    assert reports.read(none, "junit", SHOP).tests == Tally()


def test_sarif_that_is_suppressed_absent_or_fine_is_left_out() -> None:
    results = ",".join(
        f'{{"ruleId":"r{at}","message":{{"text":"m"}},{more}}}'
        for at, more in enumerate(
            (
                '"level":"error"',
                '"suppressions":[{"kind":"inSource"}]',
                '"suppressions":[{"kind":"external","status":"rejected"}]',
                '"baselineState":"absent"',
                '"kind":"pass"',
            )
        )
    )
    content = f'{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"t"}}}},"results":[{results}]}}]}}'.encode()
    found = reports.read(content, "auto", SHOP).findings
    assert [(each["rule"], each["level"]) for each in found] == [("r0", "error"), ("r2", "warning")]


def test_sarif_takes_levels_from_rules_and_paths_from_bases() -> None:
    content = b"""{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t","rules":[
      {"id":"a","defaultConfiguration":{"level":"note"},"shortDescription":{"text":"short"}}]}},
      "originalUriBaseIds":{"SRC":{"uri":"file:///home/you/shop/src/"}},
      "results":[{"ruleIndex":0,"locations":[{"physicalLocation":{"artifactLocation":{"uri":"x%20y.c","uriBaseId":"SRC"},
      "region":{"startLine":4}}}]}]}]}"""
    (found,) = reports.read(content, "sarif", SHOP).findings
    assert (found["rule"], found["level"], found["message"]) == ("a", "note", "short")
    assert (found["path"], found["line"]) == ("src/x y.c", 4)


def test_a_tool_that_says_it_did_not_get_through_has_found_nothing_out() -> None:
    content = b'{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}'
    with pytest.raises(UnreadableError, match="t says in it that it did not get through"):
        reports.read(content, "sarif", SHOP)


def test_cobertura_with_a_document_type_and_methods() -> None:
    content = b"""<?xml version="1.0" ?><!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
    <coverage lines-valid="9" lines-covered="9"><sources><source>/home/you/shop</source></sources><packages><package name="p"><classes>
    <class name="c" filename="src/c.js"><methods><method name="f"><lines><line number="1" hits="1"/></lines></method></methods>
    <lines><line number="1" hits="1"/><line number="2" hits="0" branch="true" condition-coverage="50% (1/2)"/></lines></class>
    </classes></package></packages></coverage>"""
    coverage = reports.read(content, "auto", SHOP).coverage
    assert coverage is not None
    assert coverage.files == {"src/c.js": {1: True, 2: False}}
    assert (coverage.covered, coverage.lines, coverage.covered_branches, coverage.branches) == (1, 2, 1, 2)


def test_several_reports_of_one_gate_are_one() -> None:
    halves = [
        reports.read(f"SF:a.py\nDA:1,{one}\nDA:2,{other}\nend_of_record\n".encode(), "lcov", SHOP)
        for one, other in ((1, 0), (0, 1))
    ]
    both = combined([*halves, read("pytest.xml"), read("vitest.xml"), read("ruff.json")], SHOP)
    assert both.coverage is not None
    assert both.coverage.percent() == 100.0
    assert both.tests == Tally(total=12, failed=5, errors=1, skipped=3)
    assert len(both.findings) == 4 + 2 + 7


def test_of_very_many_findings_some_are_only_counted() -> None:
    many = reports.read(ruff_json(*[("E1", "m", 1)] * (MOST_FINDINGS + 5)), "ruff", SHOP)
    assert (len(many.findings), many.dropped) == (MOST_FINDINGS, 5)
    both = combined([many, many], SHOP)
    assert (len(both.findings), both.dropped) == (MOST_FINDINGS, MOST_FINDINGS + 10)


def test_control_characters_and_half_surrogates_do_not_get_through() -> None:
    content = rb'[{"filename":"a\u0000\n\u001b[2J.py","code":"E1","message":"\u001b]0;x\u0007\ud800two\nlines","location":{}}]'
    (found,) = reports.read(content, "ruff", SHOP).findings
    assert found["path"] == "a [2J.py"
    assert found["message"] == "]0;x two lines"
    assert found["line"] is None
