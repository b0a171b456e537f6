"""Reports, limits, baselines and results of gates with real commands, as a person, a script, CI and an agent see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.recorded import recorded

if TYPE_CHECKING:
    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)
pytestmark = pytest.mark.e2e

GATES = """
version: 1
execution: {retry_delay: 0.1}
gates:
  lint:
    kind: lint
    command: cp ruff.json {reports}/
    reports: ["{reports}/ruff.json"]
    thresholds: {new_findings: 0}
  tests:
    kind: test
    command: cp pytest.xml coverage.xml {reports}/
    reports: ["{reports}/*.xml"]
    thresholds: {coverage: 80}
"""


@pytest.fixture
def shop(atms: Atms) -> Atms:
    for name in ("ruff.json", "pytest.xml", "coverage.xml"):
        atms.write(name, recorded(name).decode().replace("/home/you/shop", str(atms.root)))
    atms.settings(GATES)
    return atms


def test_what_to_fix_comes_first_and_is_listed_later(shop: Atms) -> None:
    said = shop("gate", "run", code=7).out
    assert "lint  " in said
    assert "7 findings that are new, at most 0" in said
    assert "4 of 6 tests failed" in said
    assert "  src/shop/cart.py:1:8: error: `os` imported but unused [F401]\n" in said
    assert "  src/shop/cart.py:7: error: ValueError: a discount of 2 is more than everything" in said
    assert ".log)" not in said, "where findings are known, the log says nothing more"
    (lint, tests) = sorted(shop.json("gate", "results"), key=lambda each: str(each["name"]))
    assert (lint["status"], tests["status"], lint["run"]) == ("failed", "failed", tests["run"])
    assert tests["coverage"]["line"] == 90.91
    assert shop("gate", "results", "--gate", "lint", "-q").line == lint["run"]
    assert shop.json("gate", "results", "--status", "passed") == []
    whole = {each["name"]: each for each in shop.json("gate", "results", lint["run"])}
    assert len(whole["lint"]["findings"]) == 7
    assert "src/shop/cart.py:15:12: error:" in shop("gate", "results", lint["run"]).out
    assert shop.json("gate", "stats", "tests")[0]["pass_rate"] == 0.0
    assert shop("gate", "results", "nope", code=4).err.startswith("error: no run of gates and no task `nope`")
    assert "choose one of" in shop("gate", "results", "--status", "nope", code=2).err


def test_people_accept_what_is_there_and_agents_do_not(shop: Atms) -> None:
    refused = shop("gate", "baseline", "lint", "--update", env={"ATMS_AGENT": "bob"}, code=1)
    assert refused.err.startswith("error: agents cannot move a baseline")
    assert not (shop.root / ".atms-baseline.json").exists()
    (told,) = shop.json("gate", "baseline", "lint", "--update")
    assert (told["findings"], told["added"], told["gone"]) == (7, 7, 0)
    assert shop.json("gate", "run", "lint")["passed"]
    records = json.loads((shop.root / "ruff.json").read_text())
    for record in records:
        record["location"]["row"] += 10
    shop.write("ruff.json", json.dumps(records))
    assert shop.json("gate", "run", "lint", "--no-cache")["passed"], "lines may move"
    records.append({**records[0], "code": "F999"})
    shop.write("ruff.json", json.dumps(records))
    (lint,) = shop.json("gate", "run", "lint", code=7)["gates"]
    assert lint["reason"] == "1 finding that is new, at most 0"
    assert lint["findings"][0]["rule"] == "F999"
    shop.write(".atms-baseline.json", "<<<<<<< HEAD\n")
    (lint,) = shop.json("gate", "run", "lint", "--no-cache", code=7)["gates"]
    assert (lint["status"], lint["reason"][:35]) == ("error", ".atms-baseline.json cannot be read:")
    shop("gate", "baseline", "--update", code=1)
    shop.write("ruff.json", "[")
    (shop.root / ".atms-baseline.json").unlink()
    refused = shop("gate", "baseline", "--update", code=1)
    assert "lint has found out nothing to accept" in refused.err
    assert not (shop.root / ".atms-baseline.json").exists()


def test_verdicts_for_other_programs(shop: Atms) -> None:
    wanted = [f"--report={form}=out.{form}" for form in ("sarif", "junit", "json", "md")]
    verdict = shop.json("gate", "run", *wanted, code=7)
    sarif = json.loads((shop.root / "out.sarif").read_text())
    uris = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for run in sarif["runs"]
        for result in run["results"]
    }
    assert uris == {"src/shop/cart.py", "tests/test_cart.py"}
    assert json.loads((shop.root / "out.json").read_text()) == verdict
    assert '<testsuites tests="2" failures="2"' in (shop.root / "out.junit").read_text()
    assert (shop.root / "out.md").read_text().startswith("## 2 of 2 gates did not pass")
    assert "formats: sarif, junit, json, md" in shop("gate", "run", "--report", "pdf=x", code=2).err
    assert "cannot write" in shop("gate", "run", "--report", "md=/nowhere/x.md", code=1).err


def test_github_actions_shows_findings_beside_their_lines(shop: Atms) -> None:
    summary = shop.write("summary.md", "before\n")
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    ended = shop("gate", "run", "lint", "--json", env=env, code=7)
    assert ended.document["passed"] is False
    first = "::error file=src/shop/cart.py,line=1,col=8,title=lint%3A F401::`os` imported but unused"
    assert ended.err.splitlines()[0] == first
    assert summary.read_text().startswith("before\n## 1 of 1 gates did not pass\n")


@pytest.mark.parametrize(
    ("leaves", "why"),
    [
        ("true", "it is not there"),
        ("mkfifo {reports}/r", "it is not a file"),
        ("mkdir {reports}/r", "it is not a file"),
        ("head -c 500 pytest.xml > {reports}/r", "it is no XML"),
        ("head -c 40000000 /dev/zero > {reports}/r", "it is larger than 32 MiB"),
        ("printf '[%.0s' $(seq 20000) > {reports}/r", "too deeply"),
        (
            """printf '<!DOCTYPE a [<!ENTITY b "c">]><testsuites tests="1"/>' > {reports}/r""",
            "it defines a document type of its own",
        ),
    ],
)
def test_hostile_reports_neither_pass_nor_hang(shop: Atms, leaves: str, why: str) -> None:
    gate = {"kind": "test", "command": leaves, "reports": ["{reports}/r"]}
    shop.settings(json.dumps({"version": 1, "gates": {"g": gate}}))
    (found,) = shop.json("gate", "run", code=7)["gates"]
    assert found["status"] == "error"
    assert why in found["reason"]


def test_secrets_in_reports_are_masked(shop: Atms) -> None:
    case = '<testsuites><testsuite><testcase name="a"><failure message="token {0}">{0}</failure></testcase></testsuite></testsuites>'
    shop.write("pytest.xml", case.format("ghp_" + "a1" * 18))
    ended = shop("gate", "run", "tests", "--json", code=7)
    assert "[redacted]" in ended.document["gates"][0]["findings"][0]["message"]
    assert "ghp_a1a1" not in ended.out
    kept = [path.read_bytes() for path in shop.root.glob(".atms/**/*") if path.is_file() and path.name != "r"]
    shown = [content for content in kept if b"ghp_a1a1" in content and b"<testsuites>" not in content]
    assert shown == []


def test_an_agent_is_told_which_tests_failed_and_where(shop: Atms) -> None:
    shop("agent", "register", "worker", "--command", "cat {prompt_file} > told-$ATMS_ATTEMPT.md")
    task = shop.add("Mend the cart", "--prompt", "Do it", "--retries", "1", "--agent", "worker")
    shop("run", "--drain", code=8)
    told = (shop.root / "told-2.md").read_text()
    assert "`tests.test_cart::test_discount`" in told
    assert "tests/test_cart.py:11: AssertionError: half of ten" in told
    assert 'assert total([10], 0.5) == 4, "half of ten"' in told
    kept: list[Any] = shop.task(task)["result"]["validation"]["gates"]
    assert {gate["name"]: len(gate["findings"]) for gate in kept} == {"lint": 5, "tests": 4}
    assert not [finding for gate in kept for finding in gate["findings"] if "detail" in finding]
    results = shop.json("gate", "results", task)
    assert (
        sorted((each["name"], each["status"]) for each in results)
        == [("lint", "failed")] * 2 + [("tests", "failed")] * 2
    )
    shop("rebuild")
    assert shop.json("gate", "results", task) == results
