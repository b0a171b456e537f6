"""Sharing the queue with other clones of the repository."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject


def sync(call: Call, remote: o.Remote = None) -> int:
    """Give this clone's events to the others through git, and take in theirs."""
    from atms_cli.errors import EXIT_REFUSED
    from atms_cli.services import sharing

    report = sharing.sync(call.workspace, remote)
    call.answer(report, [], lambda: _words(call, report))
    return EXIT_REFUSED if report["refused"] else 0


def _words(call: Call, report: JsonObject) -> str:
    from atms_cli.cli.render import plural, records

    replicas = report["replicas"] if isinstance(report["replicas"], list) else []
    taken = plural(int(str(report["events"])), "new event") + (
        f" from {plural(len(replicas), 'clone')}" if replicas else ""
    )
    lines = [f"{call.style('✓', 'green')} in step with {report['remote']}: {taken}"]
    lines += [_circle(call, each) for each in records(report["circles_broken"])]
    lines += [_repaired(call, each) for each in records(report["repaired"])]
    for each in records(report["refused"]):
        lines.append(f"{call.style('✗', 'red')} not taken from {each['replica']}: {each['reason']}")
        lines += [f"  {call.style(str(each['hint']), 'dim')}"] if each["hint"] else []
    return "\n".join(lines)


def _circle(call: Call, each: JsonObject) -> str:
    return (
        f"{call.style('!', 'yellow')} {each['task']} no longer waits for {each['on']}: two clones had closed a circle"
    )


def _repaired(call: Call, each: JsonObject) -> str:
    from atms_cli.cli.render import plural

    back = plural(int(str(each["events"])), "lost event")
    rest = f"; {each['lost']} are still lost" if each["lost"] else ""
    return f"{call.style('✓', 'green')} repaired {each['replica']}/{each['segment']}: {back} came back{rest}"
