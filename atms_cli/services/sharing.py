"""Sharing one queue between clones of a repository, through refs of our own (docs/explanation/sharing.md).

Each clone writes one ref, so a push is always a fast-forward and nothing can conflict; what others wrote is taken in
after a close look, and one clone's damage stops nobody else.
"""

from __future__ import annotations

from atms_cli.domain.folding import replay
from atms_cli.domain.graph import find_cycle, find_path, order
from atms_cli.errors import AtmsError, NotFoundError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atms_cli.domain.records import Event, JsonObject
    from atms_cli.ports import ReadModel, Replication, Repository, TaskFilter, Transaction, Workspace

#: Where each clone's journal is kept, and the branches that stand in where a host refuses such refs.
REFS = "refs/atms/"
BRANCHES = "refs/heads/atms/"
#: How often to try again what another sync of this very clone got in the way of.
_TRIES = 10
#: What a host says that has refused nothing for good: somebody else was at the same ref.
_IN_THE_WAY = ("cannot lock ref", "failed to update ref", "failed to lock", "incorrect old value", "already exists")
_BEHIND = ("non-fast-forward", "fetch first")
#: What tells a URL or a path from the name of a remote.
_ADDRESS = "/:.\\"


class _Taken:
    """What came in, and what did not, by replica."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refused: dict[str, JsonObject] = {}
        self.repaired: list[JsonObject] = []


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
    replica, pushed = _give(ws, git, name)
    taken = _take(ws, git, name, replica)
    broken = _break_circles(ws, taken.events)
    if broken:
        _give(ws, git, name)
    return {
        "remote": name, "replica": replica, "pushed": pushed, "events": len(taken.events),
        "replicas": sorted({_writer(event) for event in taken.events}), "refused": list(taken.refused.values()),
        "circles_broken": broken, "repaired": taken.repaired,
    }  # fmt: skip


def _remote(git: Repository, wanted: str | None) -> str:
    known = git.remotes()
    if wanted is not None:
        if wanted not in known and not any(sign in wanted for sign in _ADDRESS):
            listed = f"choose one of: {', '.join(known)}" if known else f"git remote add {wanted} URL"
            raise NotFoundError(f"there is no remote `{wanted}`", listed)
        return wanted
    if not known:
        raise NotFoundError("this repository has no remote", "git remote add origin URL, or name one: atms sync URL")
    return "origin" if "origin" in known else known[0]


def _give(ws: Workspace, git: Repository, remote: str) -> tuple[str, str]:
    """Publish our events and push them; return our id and what was pushed to."""
    replica = _publish(ws, git)
    if git.ref(REFS + replica) is None:
        return replica, "nothing to push"
    there = REFS
    for _ in range(_TRIES):
        try:
            git.push(remote, REFS + replica, there + replica)
        except UnavailableError:
            raise
        except AtmsError as refused:
            there = _overcome(ws, git, remote, there, refused)
        else:
            return replica, there + replica
    raise UnavailableError(f"{remote} did not take {there}{replica}", "nothing was lost; sync again")


def _overcome(ws: Workspace, git: Repository, remote: str, there: str, refused: AtmsError) -> str:
    """Do what helps against a refused push; return where to push to next."""
    if any(sign in refused.message for sign in _BEHIND):
        # This repository has forgotten what it pushed, as after cloning it anew around the same workspace.
        replica, _ = ws.replication.own()
        git.fetch(remote, f"+{there}{replica}:{REFS}{replica}")
        _publish(ws, git, is_doubtful=True)
    elif not any(sign in refused.message for sign in _IN_THE_WAY):
        if there == BRANCHES:
            raise refused
        return BRANCHES
    return there


def _publish(ws: Workspace, git: Repository, *, is_doubtful: bool = False) -> str:
    """Put our segments into a commit on our ref, if they have grown; return our id."""
    for tries_left in reversed(range(_TRIES)):
        replica, _ = ws.replication.own()
        before = git.ref(REFS + replica)
        # Looked at after the ref, so that it cannot be less than what another sync has just put there.
        replica, sizes = ws.replication.own()
        stored: Mapping[str, tuple[str, int]] = git.files(before) if before else {}
        _check_ours(ws.replication, git, replica, stored, is_doubtful=is_doubtful)
        if {name: size for name, (_, size) in stored.items()} == sizes:
            return replica
        contents = {
            name: ws.replication.content(replica, name, size)
            for name, size in sizes.items()
            if name not in stored or stored[name][1] != size
        }
        if tries_left and any(len(content) != sizes[name] for name, content in contents.items()):
            continue  # it is being compacted
        blobs = {name: git.add_blob(contents[name]) if name in contents else stored[name][0] for name in sizes}
        try:
            git.move(REFS + replica, git.commit_files(blobs, before, f"atms journal of {replica}"), before)
        except AtmsError:
            if not tries_left:
                raise
        else:
            return replica
    raise AssertionError("the last try returns or raises")


def _check_ours(
    replication: Replication, git: Repository, replica: str, stored: Mapping[str, tuple[str, int]], *, is_doubtful: bool
) -> None:
    """Refuse to go on from a state of our ref that is not a beginning of our journal, as it was before it was compacted."""
    for name, (oid, size) in stored.items():
        is_more = replication.known_size(replica, name) < size
        if is_more or (is_doubtful and not replication.agrees(replica, name, git.blob(oid))):
            raise AtmsError(
                f"somebody else has written events under the id of this workspace, {replica}",
                "it, or a copy of it, was put back from a backup; remove .atms/replica here to go on under another id",
            )


def _take(ws: Workspace, git: Repository, remote: str, own: str) -> _Taken:
    """Fetch and take in the others' refs, then the branches that stand in for them."""
    taken, seen = _Taken(), dict[str, str]()
    for there in (REFS, BRANCHES):
        _fetch(git, remote, there, own)
        present = git.refs(REFS)
        for replica, commit in present.items():
            if replica != own and seen.get(replica) != commit:
                _take_from(ws, git, replica, commit, taken)
        seen = present
    return taken


def _fetch(git: Repository, remote: str, there: str, own: str) -> None:
    """Fetch the other clones' refs. By force: what may be taken in is decided by its content, not by git's history."""
    for tries_left in reversed(range(_TRIES)):
        try:
            git.fetch(remote, f"+{there}*:{REFS}*", f"^{there}{own}")
        except UnavailableError:
            raise
        except AtmsError as error:
            in_the_way = any(sign in error.message for sign in _IN_THE_WAY)
            if not tries_left or not (in_the_way or "could not be updated" in error.message):
                raise
            if not in_the_way:
                return  # a name that cannot stand beside another; the other refs were fetched
        else:
            return


def _take_from(ws: Workspace, git: Repository, replica: str, commit: str, taken: _Taken) -> None:
    try:
        files = sorted(git.files(commit).items())
        for name, (oid, size) in files:
            if ws.replication.wants(replica, name, size, is_last=name == files[-1][0]):
                lost = ws.replication.lost(replica, name)
                events = ws.replication.take_in(replica, name, git.blob(oid))
                taken.events += events
                if lost and events:
                    left = ws.replication.lost(replica, name)
                    taken.repaired.append({"replica": replica, "segment": name, "events": lost - left, "lost": left})
    except UnavailableError:
        raise
    except AtmsError as error:
        taken.refused[replica] = {"replica": replica, "reason": error.message, "hint": error.hint}


def _writer(event: Event) -> str:
    return event["id"][-8:]


#: Tasks that wait, which is what those in a circle do.
_WAITING: TaskFilter = {
    "statuses": [], "priorities": [], "categories": [], "tags": [], "features": [], "agents": [], "buckets": ["waiting"], "lanes": [],
    "due_before": None, "search": "", "sort": "created", "reverse": False, "limit": None, "offset": 0,
}  # fmt: skip


def _break_circles(ws: Workspace, taken: Sequence[Event]) -> list[JsonObject]:
    """Undo the youngest link of each circle that clones closed together; every clone picks the same one.

    What waits is looked at too: a sync that was killed may have taken a circle in.
    """
    read = ws.store.reading()
    touched = {event["key"] for event in taken if event["type"].startswith("task.")}
    suspects = touched | {task["id"] for task in read.tasks(_WAITING)}
    if not _in_circles(read, suspects):
        return []
    broken: list[JsonObject] = []
    with ws.store.writing(ws.actor) as tx:
        while found := _in_circles(tx.read, suspects):
            broken.append(_unlink_youngest(tx, found[0]))
    return broken


def _in_circles(read: ReadModel, suspects: Iterable[str]) -> list[str]:
    """Return a task of each circle that suspects are in or wait for, in time that grows with the number of links."""
    graph: dict[str, list[str]] = {}
    waiting = list(suspects)
    while waiting:
        task_id = waiting.pop()
        if task_id not in graph:
            graph[task_id] = read.needs(task_id)
            waiting += graph[task_id]
    place = {task_id: number for number, task_id in enumerate(order(graph))}
    # In each circle, somebody comes before what it needs.
    early = (task_id for task_id in place if any(place[need] >= place[task_id] for need in graph[task_id]))
    return [task_id for task_id in early if any(find_cycle(task_id, need, read.needs) for need in graph[task_id])]


def _unlink_youngest(tx: Transaction, task_id: str) -> JsonObject:
    """Take away the youngest of the links that are part of circles with a task."""
    links: list[tuple[str, str, str]] = []
    waiting, seen = [task_id], {task_id}
    while waiting:
        task = waiting.pop()
        for on in tx.read.needs(task):
            if find_path(on, task_id, tx.read.needs) is not None:
                links.append((_linked_by(tx.read, task, on), task, on))
                waiting += [on] if on not in seen else []
                seen.add(on)
    _, task, on = max(links)
    circle = find_cycle(task, on, tx.read.needs) or [task]
    tx.record([("task.unlinked", task, {"on": on, "reason": f"it closed a circle: {' -> '.join(circle)}"})])
    return {"task": task, "on": on, "circle": list(circle)}


def _linked_by(read: ReadModel, task_id: str, on: str) -> str:
    """Return the id of the event that made one task wait for another."""
    linked_by, was_linked = "", False
    for _, event, task in replay(read.history(task_id)):
        is_linked = task is not None and on in task["dependencies"]
        if is_linked and not was_linked:
            linked_by = event["id"]
        was_linked = is_linked
    return linked_by
