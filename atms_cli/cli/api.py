"""The original TaskManager's API: its commands and arguments, its JSON on standard output, errors included."""

from __future__ import annotations

from atms_cli.errors import EXIT_DONE, EXIT_REFUSED, AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject


def api(
    call: Call,
    command: o.ApiCommand = None,
    arguments: o.ApiArguments = None,
    project_root: o.ProjectRoot = None,
    legacy_exit: o.LegacyExit = False,
) -> int:
    """Answer as the original TaskManager's API does, for callers that know no other; see `atms api guide`."""
    from atms_cli.store.jsonedit import serialize

    document, code, original_code = _answered(call, command, arguments or (), project_root)
    call.out(serialize(document))
    return original_code if legacy_exit else code


def _answered(call: Call, name: str | None, words: Sequence[str], root: str | None) -> tuple[JsonObject, int, int]:
    """Return what to print, and the exit code: ours, and the original's."""
    from atms_cli.domain import legacycommands
    from atms_cli.services import legacy

    throws = True
    try:
        command = legacycommands.find(name)
        values = legacycommands.read(str(name), [call.text(word) or "" for word in words])
        throws = command.throws
        document = legacy.answer(lambda: _workspace(call, root), str(name), values)
    except AtmsError as error:
        return legacycommands.failure(error, name, _now()), error.exit_code, int(throws)
    return document, EXIT_DONE if document["success"] else EXIT_REFUSED, 0


def _workspace(call: Call, root: str | None) -> OpenWorkspace:
    if root is None:
        return call.workspace
    from atms_cli.bootstrap import open_workspace

    return open_workspace(root, call.environ)


def _now() -> str:
    from atms_cli.domain.moment import to_iso
    from atms_cli.system.clock import SystemClock

    return to_iso(SystemClock().now_ms())
