"""Sharing one queue between clones of a repository, through refs of our own (docs/explanation/sharing.md).

Each clone writes one ref, so a push is always a fast-forward and nothing can conflict; what others wrote is taken in
after a close look, and one clone's damage stops nobody else.
"""

from __future__ import annotations

from itertools import pairwise

from atms_cli.domain.graph import find_cycle
from atms_cli.errors import AtmsError, NotFoundError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Event, JsonObject
    from atms_cli.ports import Repository, Transaction, Workspace

#: Where each clone's journal is kept, and the branches that stand in where a host refuses such refs.
REFS = "refs/atms/"
BRANCHES = "refs/heads/atms/"


def sync(ws: Workspace, remote: str | None) -> JsonObject:
    """Give our events to the remote and take in the others'; return what happened.

    Raises:
        UnavailableError: the remote cannot be reached; our events stay here until the next time.

    """
    git = ws.repository
    if not git.is_repository():
        raise NotFoundError(
            f"{ws.root} is not in a git repository", "sharing goes through git: git init, git remote add origin URL"
        )
    name = _remote(git, remote)
    replica, published = _publish(ws, git)
    pushed = _push(git, name, replica) if published else "nothing to push"
    _fetch(git, name, replica)
    taken, refused = _take_in_all(ws, git, replica)
    broken = _break_circles(ws, taken)
    return {
        "remote": name, "replica": replica, "pushed": pushed, "events": len(taken), "replicas": sorted({_writer(e) for e in taken}),
        "refused": refused, "circles_broken": broken,
    }  # fmt: skip


def _remote(git: Repository, wanted: str | None) -> str:
    known = git.remotes()
    if wanted is not None:
        return wanted
    if not known:
        raise NotFoundError("this repository has no remote", "git remote add origin URL, or name one: atms sync URL")
    return "origin" if "origin" in known else known[0]


def _publish(ws: Workspace, git: Repository) -> tuple[str, bool]:
    """Put our segments into a commit on our ref; return our id and whether there is anything."""
    replica, sizes = ws.replication.own()
    if not sizes:
        return replica, False
    ref = REFS + replica
    before = git.ref(ref)
    stored: Mapping[str, tuple[str, int]] = git.files(before) if before else {}
    if before and {name: size for name, (_, size) in stored.items()} == sizes:
        return replica, True
    blobs = {
        name: stored[name][0]
        if name in stored and stored[name][1] == size
        else git.add_blob(ws.replication.content(replica, name, size))
        for name, size in sizes.items()
    }
    git.move(ref, git.commit_files(blobs, before, f"atms journal of {replica}"), before)
    return replica, True


def _push(git: Repository, remote: str, replica: str) -> str:
    """Push our ref; where the host takes no such refs, push a branch instead."""
    try:
        git.push(remote, REFS + replica, REFS + replica)
    except UnavailableError:
        raise
    except AtmsError as refused:
        if "non-fast-forward" in refused.message or "fetch first" in refused.message:
            hint = "a copy of this workspace goes on under the same id; remove .atms/replica in one of them"
            raise AtmsError(f"the remote has newer events of {replica}", hint) from refused
        git.push(remote, REFS + replica, BRANCHES + replica)
        return BRANCHES + replica
    return REFS + replica


def _fetch(git: Repository, remote: str, replica: str) -> None:
    """Fetch the other clones' refs; without force, so that a rewritten one is not taken."""
    for there in (REFS, BRANCHES):
        try:
            git.fetch(remote, f"{there}*:{REFS}*", f"^{there}{replica}")
        except UnavailableError:
            raise
        except AtmsError as error:
            if "non-fast-forward" not in error.message and "rejected" not in error.message:
                raise


def _take_in_all(ws: Workspace, git: Repository, own: str) -> tuple[list[Event], list[JsonObject]]:
    taken: list[Event] = []
    refused: list[JsonObject] = []
    for replica, commit in git.refs(REFS).items():
        if replica == own:
            continue
        try:
            taken += _take_in(ws, git, replica, commit)
        except AtmsError as error:
            refused.append({"replica": replica, "reason": error.message, "hint": error.hint})
    return taken, refused


def _take_in(ws: Workspace, git: Repository, replica: str, commit: str) -> list[Event]:
    taken: list[Event] = []
    for name, (oid, size) in sorted(git.files(commit).items()):
        if size > ws.replication.known_size(replica, name):
            taken += ws.replication.take_in(replica, name, git.blob(oid))
    return taken


def _writer(event: Event) -> str:
    return event["id"][-8:]


def _break_circles(ws: Workspace, taken: Sequence[Event]) -> list[JsonObject]:
    """Undo the youngest link of each circle that two clones closed together; every clone picks the same one."""
    linked = {event["key"] for event in taken if event["type"] == "task.linked" or event["data"].get("dependencies")}
    if not linked:
        return []
    broken: list[JsonObject] = []
    with ws.store.writing(ws.actor) as tx:
        for task_id in sorted(linked):
            while (circle := _circle(tx, task_id)) is not None:
                broken.append(_unlink_youngest(tx, circle))
    return broken


def _circle(tx: Transaction, task_id: str) -> list[str] | None:
    cycles = (find_cycle(task_id, needed, tx.read.needs) for needed in tx.read.needs(task_id))
    return next((cycle for cycle in cycles if cycle is not None), None)


def _unlink_youngest(tx: Transaction, circle: Sequence[str]) -> JsonObject:
    links = [(_linked_by(tx, task, on), task, on) for task, on in pairwise(circle)]
    _, task, on = max(links)
    tx.record([("task.unlinked", task, {"on": on, "reason": f"it closed a circle: {' -> '.join(circle)}"})])
    return {"task": task, "on": on, "circle": list(circle)}


def _linked_by(tx: Transaction, task: str, on: str) -> str:
    """Return the id of the event that made one task wait for another."""
    events = [event for event in tx.read.history(task) if event["data"].get("on") == on or on in _dependencies(event)]
    return max((event["id"] for event in events if event["type"] in ("task.linked", "task.created")), default="")


def _dependencies(event: Event) -> list[object]:
    listed = event["data"].get("dependencies")
    return list(listed) if isinstance(listed, list) else []
