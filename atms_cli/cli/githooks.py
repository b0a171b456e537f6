"""Letting git call atms, and no longer."""

from __future__ import annotations

from atms_cli.cli.call import many
from atms_cli.services import hooks as service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli import options as o
    from atms_cli.cli.call import Call
    from atms_cli.domain.records import JsonObject

_HOW = {
    "made": "{stage}: git calls atms from {where}, which was made",
    "inserted": "{stage}: git calls atms from {where}, before what was there",
    "chained": "{stage}: git calls atms from {where}, then what was there, which is {where}.before-atms now",
    "configured": "{stage}: git calls atms by its settings ({where})",
    "already": "{stage}: git calls atms already ({where})",
    "removed": "{stage}: git no longer calls atms ({where})",
    "restored": "{stage}: git no longer calls atms; {where} is again what it was",
    "absent": "{stage}: git did not call atms",
}


def install_hook(call: Call, stage: o.HookStages = None) -> None:
    """Let git judge what it commits or pushes by the gates of that stage."""
    workspace = call.workspace
    done = service.install(workspace, many(stage) or ["pre-commit"])
    _answer(call, done)
    for each in done:
        if each["shared"]:
            call.say(
                f"hint: {each['where']} is for everybody who works on this repository; commit it: git add {each['where']}"
            )
        if not service.gates_of(workspace, str(each["stage"])):
            call.say(f"hint: no gate has this stage yet: atms gate add NAME --command CMD --stage {each['stage']}")


def uninstall_hook(call: Call, stage: o.HookStages = None) -> None:
    """Take atms out of git's hooks again; they are then as they were."""
    from atms_cli.domain.hooks import STAGES

    asked = many(stage)
    done = service.uninstall(call.workspace, asked or STAGES)
    _answer(call, done if asked else [each for each in done if each["how"] != "absent"] or done)


def _answer(call: Call, done: Sequence[JsonObject]) -> None:
    words = [_HOW[str(each["how"])].format(**each) for each in done]
    call.answer(done, [str(each["stage"]) for each in done], lambda: "\n".join(words))
