"""What is kept of gates, and what many results tell of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import gate as gates
from atms_cli.domain import gatehistory
from tests.gateresults import ended, found, verdicts, with_findings

if TYPE_CHECKING:
    from atms_cli.domain.records import Event, JsonObject, Verdict


def event(verdict: Verdict, **about: object) -> Event:
    ((kind, key, data),) = gatehistory.ran("run1", verdict, about)  # type: ignore[arg-type]
    return {
        "v": 1,
        "id": "e1",
        "at": "2026-01-01T00:00:00.000Z",
        "type": kind,
        "key": key,
        "actor": "ann",
        "data": data,
    }


@given(verdicts())
def test_each_gate_is_found_again(verdict: Verdict) -> None:
    if not verdict["gates"]:
        assert gatehistory.ran("run1", verdict, {}) == []
        return
    rows = list(gatehistory.rows(event(verdict, task="t1")))
    assert [(name, status) for name, status, _ in rows] == [(it["name"], it["status"]) for it in verdict["gates"]]
    for (_, _, row), result in zip(rows, verdict["gates"], strict=True):
        assert row["required"] == result["required"]
        assert (row["task"], row["run"], row["actor"]) == ("t1", "run1", "ann")
        assert "findings" not in row


def test_what_is_kept_is_short() -> None:
    listed = found(("error", "E", "m", "a.py", 1))
    result = with_findings(ended("lint", 1), listed)
    result["reason"], result["log"] = "x" * 1000, "/w/.atms/runs/r1/gate-lint.log"
    ((_, _, row),) = gatehistory.rows(event(gates.verdict([result]), stage="ci"))
    assert row["log"] == "r1/gate-lint.log"
    assert len(str(row["reason"])) == 300
    assert row["counts"] == {"error": 1, "warning": 0, "note": 0, "total": 1, "dropped": 0}
    assert row["stage"] == "ci"


def result(status: str, **more: object) -> JsonObject:
    return {"name": "g", "status": status, "at": "now", "duration_s": 1.0, **more}  # type: ignore[dict-item]


def test_statistics() -> None:
    listed = [
        result("passed", content="b"),
        result("passed", cached=True),
        result("failed", content="b", duration_s=3.0),
        result("skipped"),
        result("passed", flaky=True, content="a"),
        result("timeout", duration_s=9.0),
    ]
    told = gatehistory.statistics(listed)
    assert told["runs"] == 4
    assert told["pass_rate"] == 0.5
    assert (told["cached"], told["skipped"]) == (1, 1)
    assert told["median_s"] == 1.0
    assert told["flaky"] == 2, "once it passed after a failure of the same content, once in a second try"
    assert told["trend"] is None
    assert (told["last"], told["last_at"]) == ("passed", "now")


def test_a_pass_of_other_content_is_not_flaky() -> None:
    assert gatehistory.statistics([result("passed", content="b"), result("failed", content="a")])["flaky"] == 0
    assert gatehistory.statistics([result("passed"), result("failed")])["flaky"] == 0


def test_trends() -> None:
    good, bad = [result("passed")] * 5, [result("failed")] * 5
    assert gatehistory.statistics([*good, *bad])["trend"] == "better"
    assert gatehistory.statistics([*bad, *good])["trend"] == "worse"
    assert gatehistory.statistics([*good, *good])["trend"] == "steady"


@given(st.lists(st.sampled_from((*gatehistory.JUDGED, "skipped", "waiting")).map(result), max_size=30))
def test_statistics_of_anything(listed: list[JsonObject]) -> None:
    told = gatehistory.statistics(listed)
    rate, passed, runs = told["pass_rate"], told["passed"], told["runs"]
    assert isinstance(passed, int)
    assert isinstance(runs, int)
    assert passed <= runs <= len(listed)
    assert rate is None or (isinstance(rate, float) and 0 <= rate <= 1)
