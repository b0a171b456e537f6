"""What attempts leave: what they printed and reported, with secrets masked, and what they committed."""

from __future__ import annotations

from dataclasses import replace

from atms_cli.domain import attempt, footprint
from atms_cli.domain.outputs import MOST_BYTES
from atms_cli.errors import AtmsError
from atms_cli.services import drivers, isolation, outputs
from atms_cli.services.attempts import OUTPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.hearing import Hearing
    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import Workspace
    from atms_cli.services.attempts import Start
    from atms_cli.services.drivers import Heard


def hear(ws: Workspace, start: Start, hearing: Hearing | None = None, *, is_masked: bool = True) -> Heard:
    """Return what an attempt has printed, of which some may have been heard, and what is kept of that.

    It may take a while, so not in a transaction.
    """
    heard = drivers.hear(ws, start.driver, start.run, OUTPUT, hearing)
    if hearing is not None or not is_masked:
        heard = drivers.masked(heard, redact_for(ws, start))
    told = drivers.evidence(ws, start.task, start.agent, start.driver, start.run, heard.report)
    return replace(heard, told=told, commit=_commit(ws, start) if told.get("usage") else None)


def with_outputs(ws: Workspace, start: Start, heard: Heard) -> Heard:
    """Return what an attempt has printed with what it has left, now that its command has succeeded."""
    reported = ws.run_files.head(start.run, outputs.RESULT, MOST_BYTES + 1)
    if reported:
        reported = _masked(ws, start, reported)
    tree, keep_in = ws.root, None
    if start.is_apart:
        tree, keep_in = ws.worktrees.path(start.task["id"]) or ws.root, start.run
    left = outputs.look(ws, start.task, tree, reported, keep_in)
    return replace(heard, told={**heard.told, **left.kept}, lacks=left.lacks)


def _masked(ws: Workspace, start: Start, reported: bytes) -> bytes:
    """Mask the secrets in what an attempt has reported, also in its file."""
    from atms_cli.services import redaction

    found = redaction.redactor(ws, start.task, start.agent)
    redaction.mask(ws, found, start.run, [outputs.RESULT])
    return found.content(reported)


def _commit(ws: Workspace, start: Start) -> str | None:
    tree = ws.worktrees.path(start.task["id"]) if start.is_apart else ws.root
    return None if tree is None else ws.traces.commit(tree)


def gather(ws: Workspace, start: Start, outcome: JsonObject, hearing: Hearing | None = None) -> Heard:
    """Return what an attempt has left, but for its work if that lies apart."""
    heard = hear(ws, start, hearing, is_masked=_mask_logs(ws, start, outcome))
    if attempt.is_success(outcome):
        heard = with_outputs(ws, start, heard)
    return replace(heard, told={**footprint.measured(outcome), **heard.told})


def _mask_logs(ws: Workspace, start: Start, outcome: JsonObject) -> bool:
    """Mask what secrets an attempt has printed, before anything of that is read; return whether that was possible."""
    logs = [OUTPUT] if outcome.get("output_bytes") != 0 else []
    logs += [isolation.SETUP_LOG] if start.is_apart else []
    # Of one that succeeded it is masked when it is read.
    logs += [] if attempt.is_success(outcome) else [outputs.RESULT]
    if not logs:
        return True
    from atms_cli.services import redaction

    return redaction.mask(ws, redaction.redactor(ws, start.task, start.agent), start.run, logs)


def with_commit(ws: Workspace, start: Start, heard: Heard, result: list[str] | AtmsError) -> Heard:
    """Return what an attempt has left, with what came of committing its work (system/worktree.py)."""
    if isinstance(result, AtmsError):
        return replace(heard, not_committed=redact_for(ws, start)(result.message))
    return replace(heard, unresolved=result, commit=_commit(ws, start) if heard.told.get("usage") else None)


def leaves_work(start: Start, outcome: JsonObject) -> bool:
    """Return whether an attempt that has ended has left work that lies apart and counts."""
    return start.is_apart and outcome.get("exit_code") == 0


def redact_for(ws: Workspace, start: Start) -> Callable[[str], str]:
    """Return what masks secrets in texts of an attempt."""
    from atms_cli.services import redaction

    return redaction.redactor(ws, start.task, start.agent).text
