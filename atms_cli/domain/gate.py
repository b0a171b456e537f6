"""Quality gates: which judge what, what a result is, and the verdict over many."""

from __future__ import annotations

import re

from atms_cli.domain import conditions, globs, hooks
from atms_cli.domain.attempt import describe
from atms_cli.domain.graph import closure, find_path
from atms_cli.errors import CycleError, NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Check, Expectation, Finding, Gate, GateResult, JsonObject, Verdict

REVIEW = "review"
KINDS = (
    "lint", "format", "types", "test", "coverage", "security", "performance", "build", "docs", REVIEW, "custom",
)  # fmt: skip
STAGES = ("task", *hooks.STAGES, "ci", "manual")
#: Kinds whose result follows from the files alone. What the others find may depend on the day, the machine, or on what
#: they leave behind: they are cached if the gate says so.
CACHED_KINDS = ("lint", "format", "types", "test", "coverage", "docs")
_PASSES: Expectation = {"exit_codes": [0], "output": [], "no_output": []}
DEFAULTS: JsonObject = {
    "kind": "custom",
    "command": "",
    "required": True,
    "stages": ["task"],
    "group": None,
    "depends_on": [],
    "when": {},
    "timeout": 600.0,
    "retries": 0,
    "working_directory": None,
    "environment": {},
    "expect": {**_PASSES},
    "reports": [],
    "thresholds": {},
    "cache": None,
    "inputs": [],
}
#: Stands in a command for the files that it shall look at.
FILES = "{files}"
#: Stands in commands and paths of reports for a directory of one attempt of one gate.
REPORTS = "{reports}"


# Choosing


def for_task(gates: Mapping[str, Gate], asked: Sequence[str], commands: Sequence[Check] = ()) -> list[Gate]:
    """Return the gates that judge a task: all of stage `task`, those it asks for by name, and its own commands.

    Raises:
        NotFoundError: it asks for a gate that is not defined.

    """
    chosen = {name: gate for name, gate in gates.items() if "task" in gate["stages"]}
    for gate in named(gates, asked):
        chosen[gate["name"]] = {**gate, "required": True}
    return [*with_needs(gates, list(chosen.values())), *map(_own, range(1, len(commands) + 1), commands)]


def _own(number: int, command: Check) -> Gate:
    """Return a command of one task alone as a gate."""
    expect = command.get("expect", _PASSES)
    return {**DEFAULTS, "name": f"check-{number}", "command": command["command"], "expect": expect}  # type: ignore[typeddict-item]


def named(gates: Mapping[str, Gate], names: Sequence[str]) -> list[Gate]:
    """Return the gates of those names, and those of groups so named.

    Raises:
        NotFoundError: there is no such gate.

    """
    found: dict[str, Gate] = {}
    for name in names:
        members = members_of(gates, name)
        if not members:
            known = ", ".join(gates) or "none is defined"
            raise NotFoundError(f"no gate `{name}`", f"known gates: {known}")
        found |= {member: gates[member] for member in members}
    return list(found.values())


def members_of(gates: Mapping[str, Gate], name: str) -> list[str]:
    """Return the gate of a name, or the gates of a group of that name."""
    return [name] if name in gates else [gate["name"] for gate in gates.values() if gate["group"] == name]


def at_stage(gates: Mapping[str, Gate], stage: str) -> list[Gate]:
    """Return the gates of a stage, in the order of atms.yaml."""
    return [gate for gate in gates.values() if stage in gate["stages"]]


def without_being_asked_for(gates: Mapping[str, Gate]) -> list[Gate]:
    """Return the gates that judge files whoever asks: none of stage `manual` alone, and no review, for which there is no task."""
    return [gate for gate in gates.values() if set(gate["stages"]) != {"manual"} and gate["kind"] != REVIEW]


def needs_of(gates: Mapping[str, Gate], gate: Gate) -> list[str]:
    """Return the gates that have to pass before one runs."""
    return [member for name in gate["depends_on"] for member in members_of(gates, name) if member != gate["name"]]


def with_needs(gates: Mapping[str, Gate], chosen: Sequence[Gate]) -> list[Gate]:
    """Return gates and all that they depend on, in the order of atms.yaml."""
    by_name = {gate["name"]: gate for gate in chosen}
    needs = closure(by_name, lambda name: needs_of(gates, gates[name]) if name in gates else ())
    wanted = {**{name: gates[name] for name in needs}, **by_name}
    return [wanted[name] for name in dict.fromkeys((*gates, *by_name)) if name in wanted]


def is_cached(gate: Gate) -> bool:
    """Return whether a pass holds for as long as what the gate looks at stays the same.

    What a limit compares with may change by itself: the day's figures, files that git ignores, the base of a branch.
    """
    coverage = gate["thresholds"].get("coverage")
    if (
        "performance" in gate["thresholds"]
        or "sizes" in gate["thresholds"]
        or (isinstance(coverage, dict) and "changed" in coverage)
    ):
        return False
    return gate["kind"] in CACHED_KINDS if gate["cache"] is None else gate["cache"]


def takes_files(gate: Gate) -> bool:
    """Return whether the files to look at stand in the command."""
    return FILES in gate["command"] if isinstance(gate["command"], str) else any(FILES in w for w in gate["command"])


def repeats(gate: Gate) -> int:
    """Return how often the command of a gate runs in one attempt."""
    repeat = gate["thresholds"].get("repeat")
    return repeat if isinstance(repeat, int) else 1


def command_text(gate: Gate) -> str:
    """Return a command as a person would type it."""
    if isinstance(gate["command"], str):
        return gate["command"]
    from shlex import join

    return join(gate["command"])


# Checking definitions


def check(gates: Mapping[str, Gate]) -> None:
    """Refuse gates that could not be run, or that wait for each other.

    Raises:
        UsageError: something in one is wrong; the message begins with its name.
        CycleError: gates depend on each other in a circle.

    """
    for name, gate in gates.items():
        try:
            _check_alone(gate)
            _check_among(gates, gate)
        except UsageError as error:
            raise UsageError(f"{name}: {error.message}", error.hint) from error
    for name, gate in gates.items():
        for need in waits_for(gates, gate):
            path = find_path(need, name, lambda each: waits_for(gates, gates[each]))
            if path is not None:
                raise CycleError([name, *path])


def waits_for(gates: Mapping[str, Gate], gate: Gate) -> list[str]:
    """Return the gates that have to have a result before one can be run or left out."""
    asked = [name for name in conditions.gates_in(gate["when"]) if name in gates]
    return list(dict.fromkeys([*needs_of(gates, gate), *asked]))


def _check_alone(gate: Gate) -> None:
    if re.fullmatch(r"check-\d+", gate["name"]):
        raise UsageError("commands of tasks have such names", "call it something else")
    if gate["kind"] == REVIEW and gate["command"]:
        raise UsageError("a review has no command", "a person approves: atms task approve ID; or choose another kind")
    if gate["kind"] != REVIEW and not gate["command"]:
        raise UsageError("it has no command", "say what it runs: command: pytest -q")
    conditions.check(gate["when"])
    globs.matcher(gate["inputs"])
    check_expectation(gate["expect"])
    if gate["reports"] or gate["thresholds"]:
        from atms_cli.domain import thresholds

        thresholds.check(gate)


#: What a process can end with.
_MOST_EXIT_CODE = 255


def check_expectation(expect: Expectation) -> None:
    """Refuse what no command can fulfil.

    Raises:
        UsageError: a pattern is no regular expression, or a number no exit code.

    """
    for pattern in (*expect["output"], *expect["no_output"]):
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(
                f"`{pattern}` is no regular expression: {error}", "see docs.python.org/library/re"
            ) from error
    for code in expect["exit_codes"]:
        if not 0 <= code <= _MOST_EXIT_CODE:
            raise UsageError(f"{code} is no exit code", f"they go from 0 to {_MOST_EXIT_CODE}")
    if not expect["exit_codes"]:
        raise UsageError("no exit code passes", "leave `exit_codes` out for 0")


def _check_among(gates: Mapping[str, Gate], gate: Gate) -> None:
    known = f"known gates: {', '.join(gates)}"
    if gate["group"] in gates:
        raise UsageError(f"the group `{gate['group']}` has the name of a gate", "give it a name of its own")
    for name in gate["depends_on"]:
        members = members_of(gates, name)
        if not members:
            raise UsageError(f"it depends on `{name}`, which is not defined", known)
        if any(gates[member]["kind"] == REVIEW for member in members):
            raise UsageError(f"it depends on the review `{name}`", "a review comes last")
    for name in conditions.gates_in(gate["when"]):
        if name not in gates:
            raise UsageError(f"its condition is about `{name}`, which is not defined", known)


# Judging

#: Statuses of a gate whose command ended by itself: what it has written is whole.
ENDED = ("passed", "failed")
#: The journal keeps so many findings of a gate; a file of the run has all of them.
_MOST_KEPT = 5


def judge(gate: Gate, outcome: JsonObject, log: str | None, output: str = "") -> GateResult:
    """Return the result of a gate from how its process ended and what it printed, if it expects something of that."""
    reason = _why_not(gate["expect"], outcome, output)
    code, duration = outcome.get("exit_code"), outcome.get("duration_s")
    return {
        **_result(gate, "passed" if reason is None else _failure(str(outcome.get("status"))), reason),
        "exit_code": code if isinstance(code, int) else None,
        "duration_s": round(duration, 3) if isinstance(duration, int | float) else 0.0,
        "log": log,
        "attempts": 1,
    }


def _result(gate: Gate, status: str, reason: str | None) -> GateResult:
    return {
        "name": gate["name"], "kind": gate["kind"], "status": status, "required": gate["required"], "exit_code": None, "duration_s": 0.0,
        "findings": [], "tests": None, "coverage": None, "log": None, "reason": reason, "attempts": 0,
    }  # fmt: skip


def is_expected(expect: Expectation, outcome: JsonObject) -> bool:
    """Return whether a command ended by itself, and with an exit code that passes."""
    return outcome.get("status") == "exited" and outcome.get("exit_code") in expect["exit_codes"]


def _why_not(expect: Expectation, outcome: JsonObject, output: str) -> str | None:
    if not is_expected(expect, outcome):
        is_usual = outcome.get("status") != "exited" or expect["exit_codes"] == [0]
        return describe(outcome) + ("" if is_usual else f", not {' or '.join(map(str, expect['exit_codes']))}")
    for pattern in expect["output"]:
        if not re.search(pattern, output, re.MULTILINE):
            return f"its output has nothing like `{pattern}`"
    for pattern in expect["no_output"]:
        if found := re.search(pattern, output, re.MULTILINE):
            return f"its output has `{found.group()}`"
    return None


def _failure(status: str) -> str:
    return {"timed_out": "timeout", "exited": "failed"}.get(status, "error")


def not_run(gate: Gate, reason: str) -> GateResult:
    """Return the result of a gate that had to be run and could not be."""
    return _result(gate, "error", reason)


def reused(gate: Gate, kept: JsonObject) -> GateResult | None:
    """Return an earlier pass as the result of a gate, None if what is kept is not one."""
    result = kept.get("result")
    if not isinstance(result, dict) or result.get("status") != "passed":
        return None
    own = {
        **{name: gate[name] for name in ("name", "kind", "required")},
        "duration_s": 0.0,
        "attempts": 0,
        "cached": True,
    }
    return {**result, **own, "cached_from": {"run": kept["run"], "at": kept["at"]}}  # type: ignore[return-value]


def skipped(gate: Gate, skip: str, reason: str) -> GateResult:
    """Return the result of a gate that was not run: its `condition` does not hold, nothing is `unchanged`, or a `need` failed."""
    return {**_result(gate, "skipped", reason), "skip": skip}


def reviewed(gate: Gate, approval: JsonObject | None) -> GateResult:
    """Return the result of a review: it waits for a person, unless one has approved."""
    if approval is None:
        return _result(gate, "waiting", "waits for a person")
    return {**_result(gate, "passed", None), "reviewed_by": str(approval["by"])}


def counts_as_passed(result: GateResult) -> bool:
    """Return whether nothing speaks against going on: it passed, or it does not apply."""
    return result["status"] == "passed" or (result["status"] == "skipped" and result.get("skip") != "need")


def verdict(results: Sequence[GateResult]) -> Verdict:
    """Return whether every required gate passed or does not apply; one that could not run has not."""
    return {
        "passed": all(counts_as_passed(result) or not result["required"] for result in results),
        "gates": list(results),
    }


def failures(judged: Verdict) -> list[GateResult]:
    """Return the required gates that did not pass."""
    return [result for result in judged["gates"] if result["required"] and not counts_as_passed(result)]


def awaits_review(judged: Verdict) -> bool:
    """Return whether nothing but the word of a person is missing."""
    missing = failures(judged)
    return bool(missing) and all(result["status"] == "waiting" for result in missing)


def summarise(judged: Verdict) -> str:
    """Say which gates failed and how, for a reason on a task."""
    return "; ".join(f"gate {result['name']}: {result['reason']}" for result in failures(judged))


def kept(judged: Verdict) -> Verdict:
    """Return what the journal keeps of a verdict: everybody who lists tasks reads it."""
    return {**judged, "gates": [_kept(result) for result in judged["gates"]]}


def _kept(result: GateResult) -> GateResult:
    short: GateResult = {**result, "findings": [_without_detail(each) for each in result["findings"][:_MOST_KEPT]]}
    if "limits" in result:
        short["limits"] = [limit for limit in result["limits"] if not limit["passed"]]
    return short


def _without_detail(finding: Finding) -> Finding:
    return {name: value for name, value in finding.items() if name != "detail"}  # type: ignore[return-value]
