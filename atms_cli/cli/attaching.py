"""Watching an attempt as a person: its output as it comes, and a shell where it works."""

from __future__ import annotations

import sys
from os.path import exists

from atms_cli.cli.following import print_log, wait_until
from atms_cli.errors import UsageError
from atms_cli.services import tasks as service
from atms_cli.services import transcripts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.cli.call import Call


def watch(call: Call, task_id: str, stream: str | None) -> None:
    """Print the output of an attempt until it has ended; a stream, if given, says how to read it."""
    ws = call.workspace
    found = transcripts.attached(ws, task_id)
    if call.json:
        call.document(found.to_json())
        return
    call.say(f"attempt {found.attempt} at {found.task} by {found.agent}, in {found.directory}")
    call.say(f"Ctrl-C leaves it alone; a shell where it works: atms task attach {found.task} --shell")
    try:
        wait_until(call, lambda: exists(found.log) or not transcripts.goes_on(ws, found), None)
        redactor = service.log_redactor(ws, found.task)
        print_log(call, found.log, redactor, lambda: transcripts.goes_on(ws, found), stream or found.stream)
    except KeyboardInterrupt:
        call.say("left alone; it goes on")
        return
    task = service.show(ws, found.task)
    status = str(task["status"]).replace("_", " ")
    call.say(f"{found.task} is {status}" + (f": {task['reason']}" if task["reason"] else ""))


def open_shell(call: Call, task_id: str) -> None:
    """Open a shell where the work on a task lies."""
    from atms_cli.system.terminal import run_shell

    directory = transcripts.place(call.workspace, task_id)
    if not sys.stdin.isatty():
        raise UsageError("--shell needs a terminal", f"go there: cd {directory}")
    call.say(f"a shell in {directory}; leave it with: exit")
    run_shell(directory, call.workspace.environ)
