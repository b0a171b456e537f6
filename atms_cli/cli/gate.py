"""Quality gates: shell commands that judge work."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.domain import gate as gates
from atms_cli.domain.moment import describe_duration, parse_duration
from atms_cli.errors import EXIT_GATES_FAILED, UsageError
from atms_cli.services import gates as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Gate, GateResult, JsonObject, Verdict

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "timeout": ("✗", "red"), "error": ("✗", "red")}
_TAIL_LINES = 12


def add(
    call: Call,
    name: o.GateName,
    command: o.GateCommand,
    kind: o.GateKind = None,
    advisory: o.Advisory = False,
    stage: o.Stages = None,
    timeout: o.GateTimeout = None,
    cwd: o.WorkingDirectory = None,
    env: o.Environment = None,
) -> None:
    """Define a gate in atms.yaml."""
    from atms_cli.cli.task import environment

    fields: JsonObject = {
        "command": command, "kind": kind or "custom", "required": not advisory, "stages": [*(many(stage) or ["task"])],
        "timeout": parse_duration(timeout) if timeout else 600.0, "working_directory": cwd, "environment": environment(env),
    }  # fmt: skip
    if fields["kind"] not in gates.KINDS:
        raise UsageError(f"`{kind}` is not a kind of gate", f"choose one of: {', '.join(gates.KINDS)}")
    _check_stages(many(stage))
    gate = service.add(call.workspace, name, fields)
    call.answer(gate, [name], lambda: f"{name} added to {call.workspace.settings.path}; try it: atms gate run {name}")


def _check_stages(stages: Sequence[str]) -> None:
    for stage in stages:
        if stage not in gates.STAGES:
            raise UsageError(f"`{stage}` is not a stage", f"choose one of: {', '.join(gates.STAGES)}")


def list_(call: Call) -> None:
    """List the gates."""
    defined = list(call.workspace.config["gates"].values())
    call.answer(defined, [gate["name"] for gate in defined], lambda: _table(call, defined) if defined else "")
    if not defined:
        call.say('no gates yet; add one: atms gate add tests --kind test --command "pytest -q"')


def _table(call: Call, defined: Sequence[Gate]) -> str:
    from atms_cli.cli.render import table

    rows = [
        (
            (gate["name"], "bold"), (gate["kind"], ""), ("required" if gate["required"] else "advisory", ""),
            (", ".join(gate["stages"]), ""), (gates.command_text(gate), "dim"),
        )
        for gate in defined
    ]  # fmt: skip
    return table(call, ("NAME", "KIND", "REQUIRED", "STAGES", "COMMAND"), rows, stretch=4)


def show(call: Call, name: o.GateName) -> None:
    """Show one gate."""
    found = gates.named(call.workspace.config["gates"], [name])
    call.answer(found[0] if len(found) == 1 else found, [name], lambda: _table(call, found))


def remove(call: Call, name: o.GateName) -> None:
    """Take a gate out of atms.yaml."""
    service.remove(call.workspace, name)
    call.answer({"name": name, "removed": True}, [name], lambda: f"{name} removed from {call.workspace.settings.path}")


def run(call: Call, names: o.SomeGateNames = None, task: o.TaskOption = None, stage: o.Stage = None) -> int:
    """Run gates and say what to fix; exit with 7 if a required one fails."""
    _check_stages([stage] if stage else [])
    chosen, about = service.select(call.workspace, many(names), stage, task)
    loud = not call.json and not call.quiet
    verdict = service.run_all(
        call.workspace, chosen, task=about, report=(lambda result: call.out(_result(call, result))) if loud else None
    )
    if loud:
        _failures(call, verdict)
    call.answer(verdict, [result["name"] for result in gates.failures(verdict)], lambda: _summary(call, verdict))
    return 0 if verdict["passed"] else EXIT_GATES_FAILED


def _result(call: Call, result: GateResult) -> str:
    mark, style = _MARKS[result["status"]]
    reason = f"  {result['reason']}" if result["reason"] else ""
    advisory = "" if result["required"] else "  (advisory)"
    return f"{call.style(mark, style)} {result['name']}  {call.style(describe_duration(result['duration_s']), 'dim')}{reason}{advisory}"


def _failures(call: Call, verdict: Verdict) -> None:
    for result in gates.failures(verdict):
        log = str(result["log"])
        run_directory, _, name = log.rpartition("/")
        tail = call.workspace.run_files.tail(run_directory.rpartition("/")[2], name, _TAIL_LINES)
        call.out(
            f"\n{call.style(result['name'], 'bold')} ({log})\n" + "\n".join(f"  {line}" for line in tail.splitlines())
        )


def _summary(call: Call, verdict: Verdict) -> str:
    total, failed = len(verdict["gates"]), len(gates.failures(verdict))
    if not total:
        return call.style("no gates to run", "dim")
    if failed:
        return "\n" + call.style(f"{failed} of {total} gates failed", "red")
    return call.style(f"all {total} gates passed" if total > 1 else "the gate passed", "green")
