"""The commands of the original TaskManager's API: their arguments, and what is said when a call is no good.

What each does is in services/legacy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import Json, JsonObject
    from atms_cli.errors import AtmsError

_KINDS: dict[type, str] = {dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Argument:
    """One word of a call: plain text, or JSON of a kind."""

    name: str
    kind: type = str
    required: bool = True

    def spelling(self) -> str:
        """Return how it stands in a usage line."""
        forms: dict[type, str] = {str: self.name, dict: f"'{{{self.name}}}'", list: f"'[{self.name}]'"}
        written = forms[self.kind]
        return written if self.required else f"[{written}]"

    def read(self, word: str) -> Json:
        """Return the value that a word gives, text or parsed JSON."""
        if self.kind is str:
            if not word.strip():
                raise UsageError(f"{self.name} is empty", "give it a value")
            return word
        value = parse(word, self.name)
        if not isinstance(value, self.kind):
            raise UsageError(
                f"what was given for {{{self.name}}} is no JSON {_KINDS[self.kind]}", f"write it like {self.spelling()}"
            )
        return value  # type: ignore[return-value]  # json.loads makes nothing else


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the original."""

    about: str
    arguments: tuple[Argument, ...] = ()
    #: Whether a failure is thrown by the original, with exit code 1; those of the others were told with exit code 0.
    throws: bool = True


_FEATURE, _TASK, _AGENT = Argument("FEATURE_ID"), Argument("TASK_ID"), Argument("AGENT_ID")

COMMANDS: dict[str, Command] = {
    "guide": Command("Tell what there is and how to begin", throws=False),
    "methods": Command("List the commands", throws=False),
    "suggest-feature": Command(
        "Add a suggestion", (Argument("title, description, business_value, category, …", dict),), throws=False
    ),
    "approve-feature": Command(
        "Approve a suggestion; people only",
        (_FEATURE, Argument("approved_by, notes", dict, required=False)),
        throws=False,
    ),
    "bulk-approve-features": Command(
        "Approve suggestions, one by one; people only",
        (Argument("FEATURE_ID, …", list), Argument("approved_by, notes", dict, required=False)),
        throws=False,
    ),
    "reject-feature": Command(
        "Reject a feature and end the work on it; people only",
        (_FEATURE, Argument("rejected_by, reason", dict, required=False)),
        throws=False,
    ),
    "list-features": Command(
        "List the features of the file", (Argument("status, category", dict, required=False),), throws=False
    ),
    "feature-stats": Command("Count the features, and show the last decisions", throws=False),
    "get-initialization-stats": Command("Count how often agents began and began again", throws=False),
    "initialize": Command("Begin a session of an agent", (_AGENT,), throws=False),
    "reinitialize": Command("Begin a new session of an agent, and renew its leases", (_AGENT,), throws=False),
    "authorize-stop": Command(
        "Let the stop hook end a session, once", (_AGENT, Argument("REASON", required=False)), throws=False
    ),
    "create-task": Command("Add a task to the queue", (Argument("title, description, …", dict),)),
    "get-task": Command("Show a task", (_TASK,)),
    "update-task": Command(
        "Change a task, its status included", (_TASK, Argument("title, description, status, priority, …", dict))
    ),
    "complete-task": Command(
        "Complete a task whose gates pass", (_TASK, Argument("result", dict, required=False))
    ),
    "assign-task": Command("Give a task to an agent, on a lease", (_TASK, _AGENT)),
    "get-agent-tasks": Command("List the tasks of an agent", (_AGENT,)),
    "get-tasks-by-status": Command("List the tasks of a status", (Argument("STATUS"),)),
    "get-tasks-by-priority": Command("List the tasks of a priority", (Argument("PRIORITY"),)),
    "get-available-tasks": Command("List what an agent may begin now, best first", (_AGENT,)),
    "create-tasks-from-features": Command(
        "Make the tasks of approved features", (Argument("force", dict, required=False),)
    ),
    "get-task-queue": Command(
        "List tasks, most urgent first",
        (Argument("status, assigned_to, priority, type, feature_id", dict, required=False),),
    ),
    "get-task-stats": Command("Count the tasks"),
    "optimize-assignments": Command("Give agents that are free the best tasks for them"),
    "register-agent": Command("Make an agent known", (_AGENT, Argument("CAPABILITY, …", list, required=False))),
    "unregister-agent": Command("Put the tasks of an agent back into the queue, and forget it", (_AGENT,)),
    "get-active-agents": Command("List the agents that are there"),
    "start-websocket": Command("Not here: see `atms log -f --json`", (Argument("PORT"),)),
}  # fmt: skip


def usage(name: str) -> str:
    """Return how a command is written."""
    return " ".join(["atms api", name, *(argument.spelling() for argument in COMMANDS[name].arguments)])


def find(name: str | None) -> Command:
    """Return the command of a name."""
    if not name:
        raise UsageError("no command is given", "see what there is: atms api methods")
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean `{near[0]}`?" if near else "see what there is: atms api methods"
        raise UsageError(f"unknown command: {name}", hint)
    return COMMANDS[name]


def read(name: str, words: Sequence[str]) -> list[Json]:
    """Return the values of a call's arguments, as many as are given."""
    arguments = COMMANDS[name].arguments
    missing = [argument.name for argument in arguments[len(words) :] if argument.required]
    if missing:
        raise UsageError(f"`{name}` lacks {missing[0]}", f"write it like: {usage(name)}")
    if len(words) > len(arguments):
        raise UsageError(f"`{name}` does not take `{words[len(arguments)]}`", f"write it like: {usage(name)}")
    return [argument.read(word) for argument, word in zip(arguments, words, strict=False)]


def parse(text: str, name: str) -> object:
    """Return the value of a JSON text, strictly: nothing that another program could not read back."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number")

    try:
        value: object = json.loads(text, parse_constant=refuse)
        # Beyond the numbers of a double, and halves of character pairs: these can be written, and cannot be kept.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"what was given for {{{name}}} is not JSON: {error}", 'quote it once for the shell: \'{"key": "value"}\''
        ) from error
    return value


def failure(error: AtmsError, name: str | None, now: str) -> JsonObject:
    """Return an error in the original's shape, with a hint."""
    told: JsonObject = {"success": False, "error": error.message, **({"hint": error.hint} if error.hint else {})}
    told |= {"command": name, "timestamp": now}
    if isinstance(error, UsageError):
        told["guide"] = {
            "message": "Every command is described by `guide`",
            "helpText": usage(name) if name in COMMANDS else "atms api guide",
            "commands": list(COMMANDS),
        }
    return told


def methods() -> JsonObject:
    """Return the commands by name, in the shape of the original's list."""
    return {
        "success": True,
        "message": f"{len(COMMANDS)} commands",
        "cliMapping": {name: _camel_case(name) for name in COMMANDS},
        "availableCommands": list(COMMANDS),
        "guide": "atms api guide",
    }


def _camel_case(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


def guide() -> JsonObject:
    """Return what there is, and how to begin."""
    return {
        "success": True,
        "message": "The commands of the original TaskManager API, answered by atms",
        "commands": {name: {"description": command.about, "usage": usage(name)} for name, command in COMMANDS.items()},
        "workflow": [
            usage("initialize"), usage("suggest-feature"), "a person approves it: atms feature approve FEATURE_ID",
            usage("create-tasks-from-features"), usage("get-available-tasks"), usage("assign-task"), usage("complete-task"),
        ],
        "rules": [
            "Features are approved and rejected by people; an agent is refused",
            "A task is completed only after its quality gates have passed",
            "An assigned task goes back into the queue when its lease ends; reinitialize renews the leases of an agent",
            "A failure has success false and an exit code that is not 0; --legacy-exit keeps the original's exit codes",
        ],
    }  # fmt: skip
