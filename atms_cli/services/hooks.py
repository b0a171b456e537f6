"""Git hooks: putting them in and taking them out, and judging exactly what is committed or pushed."""

from __future__ import annotations

from atms_cli.domain import hooks
from atms_cli.domain.hooks import quoted
from atms_cli.errors import AtmsError, UsageError
from atms_cli.services.identity import people_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from atms_cli.domain.records import Gate, JsonObject, Verdict
    from atms_cli.ports import HookFiles, Place, Snapshots, Workspace

    #: Runs gates in a workspace whose tree is what they judge, on files that have changed since a commit.
    Run = Callable[[Workspace, Sequence[Gate], Sequence[str] | None, str | None], Verdict]
    #: A place, and since when files there count as changed: the last commit if nothing is said.
    Lent = tuple[AbstractContextManager[Place], str | None]

_WHY = "a person decides what is judged before a commit"
_ASIDE = "before-atms"
#: What pre-commit adds to the name of a hook that it found; it calls that first.
_LEGACY = ".legacy"
#: Stands for a commit: all files have changed.
_ALL = ""
#: Where husky keeps what it has generated.
_GENERATED = "_"


def gates_of(ws: Workspace, stage: str) -> list[Gate]:
    """Return the gates of a hook; none if this process has been told to let it pass."""
    _check(stage)
    return [] if hooks.skips(ws.environ) else _at(ws, stage)


def _at(ws: Workspace, stage: str) -> list[Gate]:
    return [gate for gate in ws.config["gates"].values() if stage in gate["stages"]]


# Judging


def judge(
    ws: Workspace, stage: str, arguments: Sequence[str], given: str | None, base: str | None, run: Run
) -> Verdict:
    """Run the gates of a hook on what git would commit or push.

    `arguments` are the hook's own, `given` its standard input; a person who calls for its gates has neither. Files count as
    changed since the work left `base`, or else since what the repository or the remote has.
    """
    from atms_cli.domain.gate import with_needs

    chosen = with_needs(ws.config["gates"], _at(ws, stage))
    if not chosen:
        return {"passed": True, "gates": []}
    if stage == "commit-msg":
        return _judge_message(ws, chosen, arguments, run)
    verdicts: list[Verdict] = []
    for lend, before in _commit(ws) if stage == "pre-commit" else _push(ws, arguments, given):
        with lend as place:
            verdicts.append(_judge_at(ws, place, chosen, base or before, run))
    return {
        "passed": all(verdict["passed"] for verdict in verdicts),
        "gates": [result for verdict in verdicts for result in verdict["gates"]],
        "notes": [note for verdict in verdicts for note in verdict.get("notes", [])],
    }


def _judge_message(ws: Workspace, chosen: Sequence[Gate], arguments: Sequence[str], run: Run) -> Verdict:
    if len(arguments) != 1:
        raise UsageError("a commit-msg hook is given the file with the message", "atms hook run commit-msg FILE")
    command = hooks.with_message_file
    filled: list[Gate] = [{**gate, "command": command(gate["command"], arguments[0])} for gate in chosen]
    return run(ws.at(ws.tree, {"ATMS_COMMIT_MSG_FILE": arguments[0]}), filled, None, None)


def _commit(ws: Workspace) -> list[Lent]:
    """Return the place with what the commit that is being made will hold."""
    snapshots, tree = ws.snapshots, ws.config["hooks"]["tree"]
    unstaged = snapshots.unstaged()
    if tree == "working":
        words = f"gates also see what is not staged, like {unstaged[0]} (hooks.tree is `working`)" if unstaged else ""
        return [(snapshots.here(words), None)]
    if tree == "auto" and not unstaged and snapshots.is_usual_index():
        return [(snapshots.here(), None)]
    return [(snapshots.staged(), None)]


def _push(ws: Workspace, arguments: Sequence[str], given: str | None) -> list[Lent]:
    """Return a place for each commit that is pushed, and since when a push of it brings changes."""
    snapshots, tree = ws.snapshots, ws.config["hooks"]["tree"]
    remote = arguments[0] if arguments else ""
    places: dict[str, Lent] = {}
    for name, replaced in hooks.pushed(given) if given is not None else [snapshots.upstream()]:
        commit = snapshots.commit_of(name)
        if commit is None or commit in places:
            continue  # a tag on something else than a commit, or two names for one commit
        places[commit] = (_pushed(snapshots, tree, commit), snapshots.base(commit, replaced, remote) or _ALL)
    return list(places.values())


def _pushed(snapshots: Snapshots, tree: str, commit: str) -> AbstractContextManager[Place]:
    if tree == "copy":
        return snapshots.committed(commit)
    if snapshots.is_as(commit):
        return snapshots.here()
    if tree == "working":
        return snapshots.here("gates see the working tree, which is not as what is pushed (hooks.tree is `working`)")
    return snapshots.committed(commit)


def _judge_at(ws: Workspace, place: Place, chosen: Sequence[Gate], base: str | None, run: Run) -> Verdict:
    """Run gates in a place; a pass is none if they changed what they were to judge."""
    verdict = run(ws.at(place.tree, place.environ), chosen, _paths(ws, place, base), base or None)
    changes = place.changed()
    if not changes:
        return {**verdict, "notes": [*place.notes]}
    return {**verdict, "passed": False, "notes": [*place.notes, _changed(ws, place, changes)]}


def _paths(ws: Workspace, place: Place, base: str | None) -> list[str] | None:
    """Return the files that a commit or a push changes."""
    checkout = ws.checkout(place.tree)
    if checkout is None:
        return None
    return checkout.files() if base == _ALL else checkout.changed(base)


def _changed(ws: Workspace, place: Place, patch: bytes) -> str:
    if not place.is_copy:
        return "files changed while the gates ran, so they judged something else; stage what is right (git add), then repeat"
    path = quoted(ws.run_files.write_bytes(ws.ids.run(), "changes.patch", patch))
    take_over = f"cd {quoted(place.origin)} && git apply --cached {path} && git apply {path}"
    return f"gates changed files in their copy, so they judged something else; to take that over: {take_over}"


# Putting them in


def install(ws: Workspace, stages: Sequence[str]) -> list[JsonObject]:
    """Let git call atms at these stages; return what was done for each."""
    people_only(ws, "change git hooks", _WHY)
    files = ws.hook_files
    for stage in stages:
        _check(stage)
    return [_install(files, stage) for stage in stages]


def _check(stage: str) -> None:
    if stage not in hooks.STAGES:
        raise UsageError(f"`{stage}` is no hook that gates have", f"choose one of: {', '.join(hooks.STAGES)}")


def _install(files: HookFiles, stage: str) -> JsonObject:
    there = [where for where in _installed(files, stage) if _is_called(files, where)]
    if there:
        return _did(stage, "already", there[0])
    if hooks.is_version(files.version(), hooks.CONFIG_HOOKS):
        files.configure(f"hook.atms-{stage}.command", hooks.config_command(stage, files.program()))
        files.configure(f"hook.atms-{stage}.event", stage)
        return _did(stage, "configured", f"hook.atms-{stage}")
    return _into_file(files, stage)


def _did(stage: str, how: str, where: str, *, is_shared: bool = False) -> JsonObject:
    return {"stage": stage, "how": how, "where": where, "shared": is_shared}


def _installed(files: HookFiles, stage: str) -> list[str]:
    """Return the places with lines of ours for a stage: git's hook, what pre-commit moves it to, and git's settings."""
    path = _path(files.directory(), stage)
    found = [each for each in (path, f"{path}{_LEGACY}") if (hook := files.read(each)) and hooks.has_block(hook[0])]
    if files.configured(f"hook.atms-{stage}.event"):
        found.append(f"hook.atms-{stage}")
    return found


def _is_called(files: HookFiles, where: str) -> bool:
    """Return whether git comes there: to what pre-commit has set aside only by way of pre-commit."""
    if not where.endswith(_LEGACY):
        return True
    hook = files.read(where.removesuffix(_LEGACY))
    return hook is not None and hooks.is_of_pre_commit(hook[0])


def _path(directory: str, stage: str) -> str:
    """Return the hook that people write: husky calls those of the directory above its own."""
    return f"{directory.removesuffix(_GENERATED)}{stage}" if _is_of_husky(directory) else f"{directory}/{stage}"


def _is_of_husky(directory: str) -> bool:
    """Return whether hooks are what husky has generated; it hands those of the directory above to a shell."""
    return directory.endswith(f"/.husky/{_GENERATED}")


def _into_file(files: HookFiles, stage: str) -> JsonObject:
    directory = files.directory()
    is_private = files.is_private(directory)
    lefthook = files.lefthook(_call(stage))
    if lefthook and lefthook[1]:
        return _did(stage, "already", lefthook[0])
    if not is_private and not files.is_shared(directory):
        _refuse_others(files, directory, stage)
    _refuse_lefthook(files, f"{directory}/{stage}", stage, lefthook[0] if lefthook else None)
    path = _path(directory, stage)
    hook = files.read(path)
    if hook and hooks.is_of_pre_commit(hook[0]):
        # It calls this one first, and leaves it alone when it writes its own anew.
        path = f"{path}{_LEGACY}"
        hook = files.read(path)
    # Everybody has atms at another place.
    program = files.program() if is_private else None
    if hook is None:
        files.make(path, hooks.made(stage, program))
        return _did(stage, "made", path, is_shared=not is_private)
    content, is_executable, is_link = hook
    if not is_link and hooks.is_shell(content, executable=is_executable or _is_of_husky(directory)):
        files.rewrite(path, hooks.inserted(content, stage, program))
        return _did(stage, "inserted", path, is_shared=not is_private)
    files.set_aside(path, f"{path}.{_ASIDE}")
    files.make(path, hooks.made(stage, program, aside=f"{path.rpartition('/')[2]}.{_ASIDE}"))
    return _did(stage, "chained", path, is_shared=not is_private)


def _call(stage: str) -> str:
    return f"atms hook run {stage}"


def _refuse_others(files: HookFiles, directory: str, stage: str) -> None:
    raise AtmsError(
        f"git's {files.origin() or 'other'} settings have the hooks of more than this repository in {directory}",
        f'add this to {directory}/{stage}: {_call(stage)} "$@"; or give this repository hooks of its own: '
        "git config core.hooksPath .git/hooks",
    )


def _refuse_lefthook(files: HookFiles, path: str, stage: str, its_file: str | None) -> None:
    """Refuse hooks that lefthook will write anew, without lines of ours."""
    hook = files.read(path)
    if its_file or (hook and hooks.is_of_lefthook(hook[0])):
        raise AtmsError(
            "lefthook writes the hooks of this repository, and would drop lines of ours",
            f"add this to {its_file or 'lefthook.yml'}:\n\n{hooks.lefthook_snippet(stage)}",
        )


# Taking them out


def uninstall(ws: Workspace, stages: Sequence[str]) -> list[JsonObject]:
    """Let git no longer call atms at these stages; return what was done for each."""
    people_only(ws, "change git hooks", _WHY)
    files = ws.hook_files
    for stage in stages:
        _check(stage)
    return [done for stage in stages for done in _uninstall(files, stage)]


def _uninstall(files: HookFiles, stage: str) -> list[JsonObject]:
    done: list[JsonObject] = []
    for where in _installed(files, stage):
        if where == f"hook.atms-{stage}":
            files.forget(where)
            done.append(_did(stage, "removed", where))
        else:
            done.append(_did(stage, _out_of_file(files, where), where))
    return done or [_did(stage, "absent", "")]


def _out_of_file(files: HookFiles, path: str) -> str:
    hook = files.read(path)
    content = hook[0] if hook else b""
    name = hooks.aside_of(content)
    aside = f"{path.rpartition('/')[0]}/{name}" if name else ""
    if not hooks.is_made(content):
        if aside:
            raise AtmsError(
                f"{path} has more than our lines, and {aside} is what was there before", "make one of the two"
            )
        files.rewrite(path, hooks.without(content))
    elif aside:
        files.put_back(aside, path)
        return "restored"
    else:
        files.remove(path)
    return "removed"
