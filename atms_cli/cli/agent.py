"""Agents: who may work on tasks."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.errors import EXIT_UNAVAILABLE, UsageError
from atms_cli.services import agents as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Agent, JsonObject


def register(
    call: Call,
    name: o.AgentName,
    kind: o.Kind = None,
    command: o.AgentCommand = None,
    specialization: o.Specialization = None,
    cap: o.AgentCapabilities = None,
    language: o.Languages = None,
    framework: o.Frameworks = None,
    tool: o.Tools = None,
    category: o.AgentCategories = None,
    max_complexity: o.MaxComplexity = None,
    max_priority: o.MaxPriority = None,
    max: o.MaxConcurrent = None,  # noqa: A002  the option's name
    rate: o.AgentRate = None,
    model: o.Model = None,
    approval: o.Approval = None,
    arg: o.AgentArgs = None,
    env: o.AgentVariables = None,
    isolation: o.Isolation = None,
    prompt: o.AgentPrompt = None,
) -> None:
    """Make an agent known; one with a command, or of a kind that atms can start, is started by `atms run`."""
    said = _said({
        "kind": kind or ("command" if command else "pull"), "command": command, "specialization": specialization, "cap": cap,
        "language": language, "framework": framework, "tool": tool, "category": category, "max-complexity": max_complexity,
        "max-priority": max_priority, "max": max, "rate": rate, "model": model, "approval": approval, "arg": arg, "env": env,
        "isolation": isolation, "prompt": prompt,
    })  # fmt: skip
    _shown(call, service.register(call.workspace, name, said))


def update(
    call: Call,
    name: o.AgentName,
    kind: o.Kind = None,
    command: o.AgentCommand = None,
    specialization: o.Specialization = None,
    cap: o.AgentCapabilities = None,
    language: o.Languages = None,
    framework: o.Frameworks = None,
    tool: o.Tools = None,
    category: o.AgentCategories = None,
    max_complexity: o.MaxComplexity = None,
    max_priority: o.MaxPriority = None,
    max: o.MaxConcurrent = None,  # noqa: A002  the option's name
    rate: o.AgentRate = None,
    model: o.Model = None,
    approval: o.Approval = None,
    arg: o.AgentArgs = None,
    env: o.AgentVariables = None,
    isolation: o.Isolation = None,
    prompt: o.AgentPrompt = None,
    clear: o.ClearsOfAgent = None,
) -> None:
    """Change what is known of a registered agent; what is not said stays."""
    said = _said({
        "kind": kind, "command": command, "specialization": specialization, "cap": cap, "language": language, "framework": framework,
        "tool": tool, "category": category, "max-complexity": max_complexity, "max-priority": max_priority, "max": max, "rate": rate,
        "model": model, "approval": approval, "arg": arg, "env": env, "isolation": isolation, "prompt": prompt,
    })  # fmt: skip
    forgotten = _forgotten(many(clear), said)
    if not said and not forgotten:
        raise UsageError("nothing to change", "name a field: atms agent update --help")
    _shown(call, service.update(call.workspace, name, {**said, **forgotten}))


#: What an agent has by the options that say it.
_FIELDS = {
    "kind": "kind", "command": "command", "specialization": "specialization", "cap": "capabilities", "language": "languages",
    "framework": "frameworks", "tool": "tools", "category": "categories", "max-complexity": "max_complexity",
    "max-priority": "max_priority", "max": "max_concurrent", "rate": "rate", "model": "model", "approval": "approval", "arg": "args",
    "env": "env", "isolation": "isolation", "prompt": "prompt",
}  # fmt: skip


def _said(options: Mapping[str, object]) -> JsonObject:
    """Return the fields that options say something of."""
    said: JsonObject = {}
    for option, value in options.items():
        if option == "env" and isinstance(value, list | tuple) and value:
            said["env"] = _variables(value)
        elif isinstance(value, list | tuple):
            said |= {_FIELDS[option]: [*value]} if value else {}
        elif isinstance(value, str | int):
            said[_FIELDS[option]] = value
    return said


def _forgotten(options: Sequence[str], said: JsonObject) -> JsonObject:
    """Return the fields of which nothing is to be known any more, as a new agent has them."""
    from atms_cli.domain.agent import DEFAULTS

    for option in options:
        if option not in _FIELDS or option in ("kind", "max"):
            others = sorted(_FIELDS.keys() - {"kind", "max"})
            raise UsageError(f"`{option}` cannot be cleared", f"choose from: {', '.join(others)}")
        if _FIELDS[option] in said:
            raise UsageError(f"--{option} and --clear {option} do not go together", "give one of them")
    return {_FIELDS[option]: DEFAULTS[_FIELDS[option]] for option in options}


def _variables(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise UsageError(f"`{pair}` sets no variable", "write it like --env NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _shown(call: Call, agent: Agent) -> None:
    call.answer(agent, [agent["name"]], lambda: _table(call, [agent]))


def _table(call: Call, agents: Sequence[Agent]) -> str:
    from atms_cli.cli.render import agent_table

    return agent_table(call, agents)


def list_(call: Call) -> None:
    """List all agents."""
    agents = service.everyone(call.workspace)
    call.answer(agents, [agent["name"] for agent in agents], lambda: _table(call, agents) if agents else "")
    for agent in agents:
        if (agent["halted"] or {}).get("times") and agent["status"] == "error":
            call.say(f"{agent['name']} gets nothing more; when that is mended: atms agent resume {agent['name']}")
    if not agents:
        call.say(
            'no agents yet; tasks with a --command run without one. Add one: atms agent register NAME --command "…"'
        )


def show(call: Call, name: o.AgentName) -> None:
    """Show one agent, and how its last attempts went."""
    from atms_cli.cli.render import agent_card

    agent = service.shown(call.workspace, name)
    call.answer(agent, [name], lambda: agent_card(call, agent))


def stats(call: Call, names: o.SomeAgentNames = None) -> None:
    """Show how agents do: success, times, retries, gates and cost of their last attempts."""
    from atms_cli.cli.render import performance_table

    found = service.performances(call.workspace, many(names))
    call.answer(found, [str(each["name"]) for each in found], lambda: performance_table(call, found) if found else "")
    if not found:
        call.say("no agent has made an attempt yet")


def heartbeat(call: Call, name: o.AgentName) -> None:
    """Say that an agent is alive."""
    agent = service.beat(call.workspace, name)
    call.answer(agent, [name], lambda: f"{name} was heard of at {agent['last_heartbeat']}")


def test_(call: Call, name: o.AgentName, dry_run: o.TestDryRun = False) -> int:  # noqa: PT028  no test of ours
    """Start an agent with a harmless prompt and say what it used and answered; exit with 75 if it did not get through."""
    from atms_cli.cli.render import agent_test
    from atms_cli.services import drivers
    from atms_cli.services.redaction import redactor

    ws, agent = call.workspace, service.one(call.workspace, name)
    run = ws.ids.run()
    launch = drivers.trial(ws, agent, run)
    masked = redactor(ws, None, agent).text
    used_by = drivers.variables(agent, drivers.find(ws, agent["kind"]))
    variables = {name: masked(value) for name, value in used_by.items()}
    if dry_run:
        used: JsonObject = {"argv": launch["argv"], "cwd": launch["cwd"], "env": variables, "input": launch["input"]}
        call.answer(used, [name], lambda: agent_test(call, agent, launch, variables))
        return 0
    if not call.json and not call.quiet:
        call.out(agent_test(call, agent, launch, variables))
    result = drivers.ask(ws, agent, launch)
    call.answer(result, [name], lambda: _verdict(call, result))
    return 0 if result["answered"] else EXIT_UNAVAILABLE


def _verdict(call: Call, result: JsonObject) -> str:
    from atms_cli.cli.lines import one_line
    from atms_cli.cli.render import tokens
    from atms_cli.domain.moment import describe_duration

    seconds, trouble = result["seconds"], result["trouble"]
    took = describe_duration(seconds) if isinstance(seconds, int | float) else ""
    if not isinstance(trouble, dict):
        said = f": {one_line(str(result['text']))[:200]}" if result["text"] else ""
        return f"{call.style('✓', 'green')} it answered in {took}{said}{tokens(result['report'])}"
    until = f"; over at {trouble['until']}" if trouble["until"] else ""
    return (
        f"{call.style('✗', 'red')} it did not get through after {took} ({trouble['kind']}): {one_line(str(trouble['reason']))}"
        f"{until}\n{call.style('see', 'dim')} {result['log']}"
    )


def disable(call: Call, name: o.AgentName, reason: o.Reason = None) -> None:
    """Give an agent nothing more; what it has goes back into the queue, and what runs of it is stopped."""
    _shown(call, service.disable(call.workspace, name, call.text(reason), finishes=False))


def drain(call: Call, name: o.AgentName, reason: o.Reason = None) -> None:
    """Give an agent nothing more, and let it finish what it has."""
    _shown(call, service.disable(call.workspace, name, call.text(reason), finishes=True))


def enable(call: Call, name: o.AgentName) -> None:
    """Let an agent work again that was disabled or drained."""
    _shown(call, service.enable(call.workspace, name))


def resume(call: Call, name: o.AgentName) -> None:
    """Let an agent work again that was halted because it could not log in, was refused, or kept failing."""
    _shown(call, service.resume(call.workspace, name))


def remove(call: Call, name: o.AgentName) -> None:
    """Forget an agent."""
    service.remove(call.workspace, name)
    call.answer({"name": name, "removed": True}, [name], lambda: f"{name} removed")
