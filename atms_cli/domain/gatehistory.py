"""What the journal keeps of each round of gates, and what many of them tell of a gate: how often it passes, how long it takes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atms_cli.domain.records import Event, Fact, GateResult, JsonObject, Verdict

RAN = "gate.ran"
#: In the files of a run: its verdict with all findings, if there are any.
VERDICT_FILE = "verdict.json"
#: What is kept of a result, where it says anything.
_KEPT = (
    "kind", "exit_code", "duration_s", "reason", "attempts", "flaky", "skip", "cached", "tests", "coverage", "counts", "figures", "content",
    "log",
)  # fmt: skip
_MOST_REASON = 300
#: A gate has a trend only if it was judged so often.
_FEWEST_FOR_TREND = 8
#: The pass rate has to differ by more than that to have changed.
_STEADY = 0.1
JUDGED = ("passed", "failed", "error", "timeout")
#: How a gate may come out.
STATUSES = (*JUDGED, "skipped", "waiting")


def ran(run: str, verdict: Verdict, about: JsonObject) -> list[Fact]:
    """Return that gates were run, with what each found in figures; `about` has the task or the stage."""
    gates = [_short(result) for result in verdict["gates"]]
    return [(RAN, run, {**about, "passed": verdict["passed"], "gates": gates})] if gates else []


def _short(result: GateResult) -> JsonObject:
    kept: JsonObject = {name: result[name] for name in _KEPT if result.get(name) not in (None, [], {}, False)}  # type: ignore[literal-required]
    if result["reason"]:
        kept["reason"] = result["reason"][:_MOST_REASON]
    if result["log"]:
        # The run and the file: a clone that hears of it has them elsewhere, or not at all.
        kept["log"] = "/".join(result["log"].rsplit("/", 2)[-2:])
    return {
        "name": result["name"],
        "status": result["status"],
        **({} if result["required"] else {"required": False}),
        **kept,
    }


def rows(event: Event) -> Iterator[tuple[str, str, JsonObject]]:
    """Yield gate, status and the whole result of each gate that an event tells of."""
    about = {name: value for name, value in event["data"].items() if name not in ("gates", "passed")}
    gates = event["data"].get("gates")
    for result in gates if isinstance(gates, list) else ():
        if isinstance(result, dict):
            whole = {
                "run": event["key"],
                "at": event["at"],
                "actor": event["actor"],
                **about,
                "required": True,
                **result,
            }
            yield str(result.get("name")), str(result.get("status")), whole


def statistics(results: Sequence[JsonObject]) -> JsonObject:
    """Return how a gate has done, from its results, newest first; what was cached or not run says nothing about it."""
    from atms_cli.domain.forecast import percentile

    judged = [each for each in results if each["status"] in JUDGED and not each.get("cached")]
    took = [float(str(each.get("duration_s") or 0)) for each in judged]
    passes = [each["status"] == "passed" for each in judged]
    return {
        "runs": len(judged),
        "passed": sum(passes),
        "cached": sum(bool(each.get("cached")) for each in results),
        "skipped": sum(each["status"] == "skipped" for each in results),
        "pass_rate": _rate(passes),
        "median_s": round(percentile(took, 50), 3) if took else None,
        "p90_s": round(percentile(took, 90), 3) if took else None,
        "flaky": _flaky(judged),
        "trend": _trend(passes),
        "last": None if not judged else judged[0]["status"],
        "last_at": None if not judged else judged[0]["at"],
    }


def _rate(passes: Sequence[bool]) -> float | None:
    return round(sum(passes) / len(passes), 3) if passes else None


def _flaky(judged: Sequence[JsonObject]) -> int:
    """Count passes that came after a failure of the same content, in one run or in two."""
    failed: set[object] = set()
    times = 0
    for each in reversed(judged):
        content = each.get("content")
        if each["status"] != "passed":
            failed |= {content} if content else set()
        elif each.get("flaky") or content in failed:
            times += 1
            failed.discard(content)
    return times


def _trend(passes: Sequence[bool]) -> str | None:
    """Say whether the newer half of the results passed more often than the older one."""
    if len(passes) < _FEWEST_FOR_TREND:
        return None
    half = len(passes) // 2
    newer, older = sum(passes[:half]) / half, sum(passes[half:]) / (len(passes) - half)
    if abs(newer - older) <= _STEADY:
        return "steady"
    return "better" if newer > older else "worse"


def by_gate(results: Sequence[JsonObject]) -> Mapping[str, list[JsonObject]]:
    """Return results by the name of their gate, in the order of the names."""
    found: dict[str, list[JsonObject]] = {}
    for each in sorted(results, key=lambda it: str(it["name"])):
        found.setdefault(str(each["name"]), []).append(each)
    return found
