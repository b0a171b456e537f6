"""What is found in logs of test runners, compilers and linters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import failures


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("FAILED tests/a.py::test_x[a b] - assert 1 == 2", "tests/a.py::test_x[a b]"),
        ("ERROR tests/b.py - ImportError: c", "tests/b.py"),
        ("FAIL: test_y (tests.b.B)", "test_y (tests.b.B)"),
        ("    --- FAIL: TestZ/sub (0.00s)", "TestZ/sub"),
        ("test util::works ... FAILED", "util::works"),
        ("  ● Login › redirects", "Login › redirects"),
        ("not ok 3 - adds", "adds"),
        ("com.A > b() FAILED", "com.A > b()"),
        (" × src/a.test.ts > adds 3ms", "src/a.test.ts > adds"),
    ],
)
def test_runners_name_what_failed(line: str, name: str) -> None:
    assert failures.tests_in(f"before\n{line}\nafter, FAILED as it did") == [name]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('  File "/w/src/a.py", line 3, in f', "/w/src/a.py:3: in f"),
        ("src/a.py:12:3: F821 undefined name", "src/a.py:12: F821 undefined name"),
        ("src/x.ts(12,5): error TS2304: no name", "src/x.ts:12: error TS2304: no name"),
        ("    at foo (src/b.js:3:9)", "src/b.js:3"),
        (" --> src/main.rs:4:5", "src/main.rs:4"),
        ("tests/a.py:5: AssertionError", "tests/a.py:5: AssertionError"),
        ("a-b/c+d.go:7:2: undefined: x", "a-b/c+d.go:7: undefined: x"),
    ],
)
def test_places_are_found_with_what_is_said_of_them(line: str, place: str) -> None:
    assert failures.places_in(f"{line}\n{line}") == [place]


@pytest.mark.parametrize(
    "line",
    [
        '  File "/usr/lib/python3.11/site-packages/x.py", line 3, in f', "12:30:15 started", "http://host.com:80/x", "10.0.0.1:8080",
        "at node_modules/x/y.js:3:9", "FAILED to connect", "nothing at all",
    ],
)  # fmt: skip
def test_what_is_no_place_or_not_ours_is_passed_over(line: str) -> None:
    assert failures.places_in(line) == failures.tests_in(line) == []


def test_findings_of_a_report_say_where() -> None:
    found = [
        {"path": "a.py", "line": 3, "message": "unused"},
        {"path": "b.py", "rule": "X1"},
        {"message": "no place"},
        "no finding",
    ]
    assert failures.places_of(found) == ["a.py:3: unused", "b.py: X1"]


@given(st.text(), st.integers(1, 100))
def test_there_are_never_too_many_nor_too_long_ones(text: str, times: int) -> None:
    log = "\n".join(f"FAILED tests/{number}.py::{text}\nsrc/{number}.py:1: {text}" for number in range(times))
    for found in (failures.tests_in(log), failures.places_in(log)):
        assert len(found) <= failures.MOST
        assert all(0 < len(each) <= 200 for each in found)
