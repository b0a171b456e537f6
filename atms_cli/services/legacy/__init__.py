"""What the callers of the original TaskManager's API ask for, done by our services and told in its shapes.

The commands and their arguments are in domain/legacycommands.py.
"""

from __future__ import annotations

from atms_cli.domain import legacycommands
from atms_cli.services.legacy import features, sessions, tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import Json, JsonObject
    from atms_cli.ports import Workspace

#: Commands that need no workspace.
ALONE: dict[str, Callable[[], JsonObject]] = {"guide": legacycommands.guide, "methods": legacycommands.methods}
#: The others, each taking the workspace and its arguments.
ANSWERS: dict[str, Callable[..., JsonObject]] = {
    "suggest-feature": features.suggest,
    "approve-feature": features.approve,
    "bulk-approve-features": features.approve_all,
    "reject-feature": features.reject,
    "list-features": features.list_all,
    "feature-stats": features.stats,
    "get-initialization-stats": sessions.stats,
    "initialize": sessions.begin,
    "reinitialize": sessions.begin_again,
    "authorize-stop": sessions.authorize_stop,
    "create-task": tasks.create,
    "get-task": tasks.get,
    "update-task": tasks.update,
    "complete-task": tasks.complete,
    "assign-task": tasks.assign,
    "get-agent-tasks": tasks.of_agent,
    "get-tasks-by-status": tasks.by_status,
    "get-tasks-by-priority": tasks.by_priority,
    "get-available-tasks": tasks.available,
    "create-tasks-from-features": tasks.from_features,
    "get-task-queue": tasks.in_order,
    "get-task-stats": tasks.stats,
    "optimize-assignments": tasks.optimize,
    "register-agent": sessions.register,
    "unregister-agent": sessions.unregister,
    "get-active-agents": sessions.active,
    "start-websocket": sessions.start_websocket,
}


def answer(opened: Callable[[], Workspace], name: str, values: Sequence[Json]) -> JsonObject:
    """Do what a command says and return what the original would print."""
    return ALONE[name]() if name in ALONE else ANSWERS[name](opened(), *values)
