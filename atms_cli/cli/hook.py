"""What git's hooks call."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.services import hooks as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call


def run(call: Call, stage: o.HookStage, arguments: o.HookArguments = None) -> int:
    """Judge what git is about to commit or push; called by git's hooks, with what git gives them."""
    if not service.gates_of(call.workspace, stage):
        return 0
    from atms_cli.cli.judging import judge

    given = _given(call) if stage == "pre-push" else None
    return judge(call, stage, _absolute(stage, many(arguments)), given)


def _given(call: Call) -> str | None:
    """Return what git says on standard input; nothing if a person calls."""
    import sys

    from atms_cli.domain.hooks import of_pre_commit

    return of_pre_commit(call.environ) or (None if sys.stdin.isatty() else sys.stdin.read())


def _absolute(stage: str, arguments: list[str]) -> list[str]:
    """Return a hook's arguments, with the message file of commit-msg as gates find it from anywhere."""
    if stage != "commit-msg":
        return arguments
    from os.path import abspath

    return [abspath(argument) for argument in arguments]
