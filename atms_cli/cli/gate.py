"""Quality gates: commands that judge work, and people who review it."""

from __future__ import annotations

from atms_cli.cli.call import environment, many
from atms_cli.cli.githooks import install_hook, uninstall_hook
from atms_cli.domain import hooks
from atms_cli.errors import EXIT_GATES_FAILED, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Gate

__all__ = [
    "add", "baseline", "install_hook", "list_", "remove", "results", "run", "show", "stats", "uninstall_hook",
]  # fmt: skip


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
    from atms_cli.services import gates as service

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
    call.answer(gate, [name], lambda: f"{name} added to {call.workspace.settings.path}; {_next_step(gate)}")


def _next_step(gate: Gate) -> str:
    from shlex import quote

    from atms_cli.domain.gate import REVIEW

    if gate["kind"] == REVIEW:
        return "tasks that it judges wait for a person: atms task approve ID"
    return f"try it: atms gate run {quote(gate['name'])}"


def _check_stages(stages: Sequence[str]) -> None:
    from atms_cli.domain import gate as gates

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
    from atms_cli.domain import gate as gates

    found = gates.named(call.workspace.config["gates"], [name])
    call.answer(
        found[0] if len(found) == 1 else found,
        [gate["name"] for gate in found],
        lambda: "\n\n".join(card(call, gate) for gate in found),
    )


def remove(call: Call, name: o.GateName) -> None:
    """Take a gate out of atms.yaml."""
    from atms_cli.services import gates as service

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
    report: o.Publish = None,
    verbose: o.Verbose = False,
) -> int:
    """Run gates and say what to fix; exit with 7 if a required one does not pass."""
    from atms_cli.cli import publishing
    from atms_cli.cli.gateview import Watch, summary
    from atms_cli.domain import gate as gates
    from atms_cli.services import gates as service

    _check_stages([stage] if stage else [])
    published = publishing.wanted(many(report))
    if stage in hooks.TREE_STAGES and not names and task is None:
        from atms_cli.cli.judging import judge

        return judge(call, stage, base=base, reuses=not no_cache, is_verbose=verbose, published=published)
    ws = call.workspace
    chosen, about = service.select(ws, many(names), stage, task)
    scope = service.scope(
        ws, about, base=base, is_narrowed=changed or base is not None, reuses=not no_cache, stage=stage
    )
    watch = Watch(call, chosen, about, is_verbose=verbose)
    verdict = service.run_all(ws, chosen, scope, watch.report, watch.look if watch.is_needed else None)
    if not call.json and not call.quiet:
        watch.close(verdict)
    publishing.publish(call, verdict, published)
    call.answer(verdict, [result["name"] for result in gates.failures(verdict)], lambda: summary(call, verdict))
    return 0 if verdict["passed"] else EXIT_GATES_FAILED


def results(
    call: Call,
    id: o.RunOrTask = None,  # noqa: A002  the argument's name
    gate: o.OfGate = None,
    status: o.OfGateStatus = None,
    limit: o.ResultLimit = 50,
) -> None:
    """List what gates have found, newest first; of one run, everything."""
    from atms_cli.cli.gatetables import results_text
    from atms_cli.domain.gatehistory import STATUSES
    from atms_cli.services.gateresults import listed

    if status is not None and status not in STATUSES:
        raise UsageError(f"`{status}` is not a status of a gate", f"choose one of: {', '.join(STATUSES)}")
    found = listed(call.workspace, id, gate=gate, status=status, limit=limit)
    call.answer(found, dict.fromkeys(str(each["run"]) for each in found), lambda: results_text(call, found))


def stats(call: Call, names: o.SomeGates = None) -> None:
    """Show how often gates pass, how long they take, and which are flaky."""
    from atms_cli.cli.gatetables import stats_text
    from atms_cli.services.gateresults import statistics

    found = statistics(call.workspace, many(names))
    call.answer(found, [str(each["name"]) for each in found], lambda: stats_text(call, found))


def baseline(call: Call, names: o.SomeGateNames = None, update: o.UpdateBaseline = False) -> None:
    """Show what is accepted of gates, so that only new findings count, or accept what they find now."""
    from atms_cli.cli.gatelines import line
    from atms_cli.cli.gatetables import baseline_text
    from atms_cli.services import baselines

    if update:
        loud = not call.json and not call.quiet
        told = baselines.update(
            call.workspace, many(names), lambda result: call.out(line(call, result)) if loud else None
        )
    else:
        told = baselines.shown(call.workspace, many(names))
    path = call.workspace.baselines.path
    call.answer(told, [str(each["name"]) for each in told], lambda: baseline_text(call, told, path))
