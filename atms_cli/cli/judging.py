"""What people see when gates judge what they commit or push."""

from __future__ import annotations

from atms_cli.cli.gateview import Watch, summary
from atms_cli.cli.publishing import publish
from atms_cli.domain import gate as gates
from atms_cli.errors import EXIT_GATES_FAILED
from atms_cli.services import gates as running
from atms_cli.services import hooks as service
from atms_cli.services.judging import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Gate, Verdict
    from atms_cli.ports import Workspace


def judge(
    call: Call,
    stage: str,
    arguments: Sequence[str] = (),
    given: str | None = None,
    *,
    base: str | None = None,
    reuses: bool = True,
    is_verbose: bool = False,
    published: Sequence[tuple[str, str]] = (),
) -> int:
    """Run the gates of a git hook on what is committed or pushed; exit with 7 if a required one does not pass."""

    def run(ws: Workspace, chosen: Sequence[Gate], changed: Sequence[str] | None, since: str | None) -> Verdict:
        watch = Watch(call, chosen, None, is_verbose=is_verbose, tree=ws.tree)
        scope = Scope(ws.tree, None, changed, is_narrowed=changed is not None, reuses=reuses, base=since, stage=stage)
        verdict = running.run_all(ws, chosen, scope, watch.report, watch.look if watch.is_needed else None)
        if not call.json and not call.quiet:
            watch.close(verdict)
        return verdict

    verdict = service.judge(call.workspace, stage, arguments, given, base, run)
    publish(call, verdict, published)
    for note in verdict.get("notes", []):
        call.say(f"note: {note}")
    call.answer(verdict, [result["name"] for result in gates.failures(verdict)], lambda: summary(call, verdict))
    return 0 if verdict["passed"] else EXIT_GATES_FAILED
