"""Quality gates: commands that judge work, and people who review it."""

from __future__ import annotations

from atms_cli.cli.call import environment, many
from atms_cli.domain import gate as gates
from atms_cli.errors import EXIT_GATES_FAILED, UsageError
from atms_cli.services import gates as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call


def add(
    call: Call,
    name: o.GateName,
    command: o.GateCommand = None,
    arg: o.GateArgs = None,
    kind: o.GateKind = None,
    advisory: o.Advisory = False,
    stage: o.Stages = None,
    group: o.Group = None,
    after: o.AfterGates = None,
    category: o.ForCategories = None,
    priority: o.ForPriorities = None,
    tag: o.ForTags = None,
    path: o.ForPaths = None,
    when: o.When = None,
    timeout: o.GateTimeout = None,
    retries: o.GateRetries = None,
    expect_exit: o.ExpectExit = None,
    expect_output: o.ExpectOutput = None,
    refuse_output: o.RefuseOutput = None,
    report: o.Reports = None,
    threshold: o.Thresholds = None,
    cache: o.Cache = None,
    input: o.GateInputs = None,  # noqa: A002  the option's name
    cwd: o.WorkingDirectory = None,
    env: o.Environment = None,
) -> None:
    """Define a gate in atms.yaml."""
    from atms_cli.cli import defining

    _check_stages(many(stage))
    clauses = {"category": many(category), "priority": many(priority), "tags": many(tag), "paths": many(path)}
    expected = (many(expect_exit), many(expect_output), many(refuse_output))
    gate = service.add(call.workspace, name, {
        "command": defining.command(command, arg, kind), "kind": defining.kind(kind), "required": not advisory,
        "stages": many(stage) or ["task"],
        "group": group, "depends_on": many(after), "when": defining.condition(call.text(when), clauses),
        "timeout": defining.timeout(timeout), "retries": retries or 0, "expect": defining.expectation(*expected),
        "reports": defining.reports(report), "thresholds": defining.thresholds(threshold), "cache": defining.cache(cache),
        "inputs": many(input), "working_directory": cwd, "environment": environment(env),
    })  # fmt: skip
    call.answer(gate, [name], lambda: f"{name} added to {call.workspace.settings.path}; try it: atms gate run {name}")


def _check_stages(stages: Sequence[str]) -> None:
    for stage in stages:
        if stage not in gates.STAGES:
            raise UsageError(f"`{stage}` is not a stage", f"choose one of: {', '.join(gates.STAGES)}")


def list_(call: Call) -> None:
    """List the gates."""
    from atms_cli.cli.gateview import table_of

    defined = list(call.workspace.config["gates"].values())
    call.answer(defined, [gate["name"] for gate in defined], lambda: table_of(call, defined) if defined else "")
    if not defined:
        call.say('no gates yet; add one: atms gate add tests --kind test --command "pytest -q"')


def show(call: Call, name: o.GateOrGroup) -> None:
    """Show all that a gate, or each gate of a group, says."""
    from atms_cli.cli.gateview import card

    found = gates.named(call.workspace.config["gates"], [name])
    call.answer(
        found[0] if len(found) == 1 else found,
        [gate["name"] for gate in found],
        lambda: "\n\n".join(card(call, gate) for gate in found),
    )


def remove(call: Call, name: o.GateName) -> None:
    """Take a gate out of atms.yaml."""
    service.remove(call.workspace, name)
    call.answer({"name": name, "removed": True}, [name], lambda: f"{name} removed from {call.workspace.settings.path}")


def run(
    call: Call,
    names: o.SomeGateNames = None,
    task: o.TaskOption = None,
    stage: o.Stage = None,
    changed: o.OnlyChanged = False,
    base: o.Base = None,
    no_cache: o.NoCache = False,
    verbose: o.Verbose = False,
) -> int:
    """Run gates and say what to fix; exit with 7 if a required one does not pass."""
    from atms_cli.cli.gateview import Watch, summary

    _check_stages([stage] if stage else [])
    ws = call.workspace
    chosen, about = service.select(ws, many(names), stage, task)
    scope = service.scope(ws, about, base=base, is_narrowed=changed or base is not None, reuses=not no_cache)
    watch = Watch(call, chosen, about, is_verbose=verbose)
    verdict = service.run_all(ws, chosen, scope, watch.report, watch.look if watch.is_needed else None)
    if not call.json and not call.quiet:
        watch.close(verdict)
    call.answer(verdict, [result["name"] for result in gates.failures(verdict)], lambda: summary(call, verdict))
    return 0 if verdict["passed"] else EXIT_GATES_FAILED
