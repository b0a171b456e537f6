"""The loop: work on what is ready until it is done."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject
    from atms_cli.loop.plan import Plan


#: Columns of a bar of the plan.
_BAR = 24


def run(
    call: Call,
    drain: o.Drain = False,
    once: o.Once = False,
    jobs: o.Jobs = None,
    agent: o.OnlyAgents = None,
    dry_run: o.DryRun = False,
    progress: o.Progress = None,
    max_time: o.MaxTime = None,
    max_cost: o.MaxCost = None,
    max_tokens: o.MaxTokens = None,
    max_failures: o.MaxFailures = None,
) -> int:
    """Start agents on ready tasks, judge their work, and go on until interrupted."""
    from atms_cli.cli.progress import view
    from atms_cli.loop.forever import Loop
    from atms_cli.loop.plan import Plan

    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} attempts at once make no sense", "give -j 1 or more")
    plan = Plan(
        drain=drain, once=once, jobs=jobs, only=many(agent), max_time_s=_seconds(max_time), max_usd=_usd(max_cost),
        max_tokens=max_tokens, max_failures=max_failures,
    )  # fmt: skip
    if dry_run:
        return _rehearse(call, plan)
    with view(call, progress) as report:
        return Loop(call.workspace, plan, report).run()


def _seconds(text: str | None) -> float | None:
    from atms_cli.domain.moment import parse_duration

    return None if text is None else parse_duration(text)


def _usd(text: str | None) -> float | None:
    """Return an amount of US dollars, with or without the sign."""
    if text is None:
        return None
    try:
        amount = float(text.removeprefix("$"))
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise UsageError(f"`{text}` is no amount of US dollars", "write it like 5 or 0.50")
    return amount


def _rehearse(call: Call, plan: Plan) -> int:
    from atms_cli.loop.rehearsal import rehearse

    steps = rehearse(call.workspace, plan.jobs, plan.only)
    call.answer(steps, [str(step["task"]) for step in steps], lambda: _steps(call, steps) if steps else "")
    if not steps:
        call.say("nothing would be started")
    return 0


def _steps(call: Call, steps: Sequence[JsonObject]) -> str:
    from atms_cli.cli.render import strings, table

    ends = [float(str(step["finish_s"])) for step in steps if step["finish_s"] is not None]
    whole = max(ends, default=0.0) or 1.0
    rows = [
        (
            (str(step["order"]), ""),
            (_bar(step, whole), "cyan"),
            (_when(step), ""),
            (str(step["task"]), "bold"),
            (str(step["agent"] or "nobody"), "" if step["agent"] else "yellow"),
            (", ".join(strings(step["gates"])), "dim"),
            (str(step["title"]), ""),
        )
        for step in steps
    ]
    return table(call, ("#", "WHEN", "START", "TASK", "AGENT", "GATES", "TITLE"), rows, stretch=6)


def _bar(step: JsonObject, whole: float) -> str:
    """Return where a task stands between now and the end of the whole plan."""
    if step["start_s"] is None:
        return ""
    begin = round(float(str(step["start_s"])) / whole * _BAR)
    end = max(begin + 1, round(float(str(step["finish_s"])) / whole * _BAR))
    return ("·" * begin + "█" * (end - begin)).ljust(_BAR, "·")[:_BAR]


def _when(step: JsonObject) -> str:
    from atms_cli.domain.moment import describe_duration

    return "" if step["start_s"] is None else f"+{describe_duration(float(str(step['start_s'])))}"
