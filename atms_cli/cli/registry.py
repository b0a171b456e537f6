"""Which commands there are, and the function behind each; a trailing underscore keeps clear of Python's names."""

from __future__ import annotations

#: Group to its module and the functions in it, in the order of `--help`.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "task": (
        "atms_cli.cli.task",
        (
            "add", "list_", "show", "update", "depend", "queue", "start", "done", "approve", "fail", "block", "unblock", "cancel",
            "reopen", "retry", "archive", "claim", "release", "heartbeat", "progress", "logs", "attach", "diff",
            "worktrees", "wait", "graph",
            "import_", "export",
        ),
    ),
    "queue": (
        "atms_cli.cli.queue",
        (
            "status", "list_", "next_", "explain", "pause", "resume", "drain", "move", "prioritize", "hold", "release", "retry", "dead",
            "stats", "set_",
        ),
    ),
    "agent": (
        "atms_cli.cli.agent",
        (
            "register", "update", "list_", "show", "stats", "heartbeat", "test_", "enable", "disable", "drain", "resume", "remove",
        ),
    ),
    "feature": (
        "atms_cli.cli.feature",
        (
            "list_", "show", "suggest", "approve", "reject", "implement", "fail", "reopen", "edit", "plan", "sync", "diff", "resolve",
            "stats", "watch",
        ),
    ),
    "gate": (
        "atms_cli.cli.gate",
        ("add", "list_", "show", "remove", "run", "results", "stats", "baseline", "install_hook", "uninstall_hook"),
    ),
    "hook": ("atms_cli.cli.hook", ("run",)),
    "config": ("atms_cli.cli.config", ("get", "set_", "unset", "list_", "path", "validate", "schema")),
}  # fmt: skip
#: Commands without a group.
SINGLE: dict[str, str] = {
    "init": "atms_cli.cli.workspace:init",
    "status": "atms_cli.cli.workspace:status",
    "run": "atms_cli.cli.run:run",
    "demo": "atms_cli.cli.demo:demo",
    "undo": "atms_cli.cli.history:undo",
    "sync": "atms_cli.cli.sync:sync",
    "log": "atms_cli.cli.history:log",
    "doctor": "atms_cli.cli.workspace:doctor",
    "compact": "atms_cli.cli.safety:compact",
    "backup": "atms_cli.cli.safety:backup",
    "restore": "atms_cli.cli.safety:restore",
    "rebuild": "atms_cli.cli.safety:rebuild",
    "version": "atms_cli.cli.version:version",
    "api": "atms_cli.cli.api:api",
}


def command_name(function: str) -> str:
    """Return what a person types for a function."""
    return function.rstrip("_").replace("_", "-")


def targets() -> dict[str, str]:
    """Return every command, as typed, with its handler as `module:function`."""
    grouped = {
        f"{group} {command_name(function)}": f"{module}:{function}"
        for group, (module, functions) in GROUPS.items()
        for function in functions
    }
    return SINGLE | grouped
