"""What tasks leave for those after them, and what they are given of those before."""

from __future__ import annotations

from atms_cli.domain import outputs
from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import JsonObject, Task
    from atms_cli.ports import ReadModel, Workspace

#: What a task reports is read from this file of its run, which ATMS_RESULT names.
RESULT = "result"
_INPUTS = "inputs.json"


class Left:
    """What a task has left."""

    __slots__ = ("kept", "lacks")

    def __init__(self, kept: JsonObject, lacks: str | None) -> None:
        #: Of its result: `text`, `results` by name, `outputs` as files.
        self.kept = kept
        #: Why it is not done, if something is not there or not as it should be.
        self.lacks = lacks


def look(ws: Workspace, task: Task, tree: str, reported: bytes | None, keep_in: str | None) -> Left:
    """Return what a task has left in a tree of files, and in what it has reported.

    `keep_in` names a run with which to keep copies of the files, since the tree will go.
    """
    wanted = outputs.declared(task)
    if reported is None and not wanted:
        return Left({}, None)
    try:
        told = outputs.parse(reported or b"")
    except ValueError as error:
        return Left({}, str(error))
    try:
        files = _files(ws, task, tree, keep_in)
    except AtmsError as error:
        return Left(told, error.message)
    results = told.get("results")
    lacks = outputs.lacking(wanted, files, results if isinstance(results, dict) else {})
    return Left({**told, **({"outputs": list(files.values())} if files else {})}, lacks)


def _files(ws: Workspace, task: Task, tree: str, keep_in: str | None) -> dict[str, JsonObject]:
    """Return the declared files that are there, by name of the output."""
    own = task["context"]["working_directory"] or ""
    directory = own if own.startswith("/") else f"{tree}/{own}".rstrip("/")
    found: dict[str, JsonObject] = {}
    for number, (name, path) in enumerate(outputs.declared(task).items()):
        if path is None or not outputs.is_within(path):
            continue
        at = f"{directory}/{path}"
        measured = ws.run_files.measure(at)
        if measured is not None:
            kept = ws.run_files.keep(keep_in, f"output-{number}-{path.rpartition('/')[2]}", at) if keep_in else at
            found[name] = {"name": name, "path": path, "at": kept, **measured}
    return found


def given(ws: Workspace, read: ReadModel, task: Task, run: str) -> str:
    """Write what the tasks before this one have left; return the path of the file, empty if that is nothing."""
    left = [outputs.of(each) for each in before(read, task)]
    if not any(outputs.are_any(each) for each in left):
        return ""
    from json import dumps

    results: JsonObject = {}
    files: JsonObject = {}
    for each in left:
        results |= each["results"] if isinstance(each["results"], dict) else {}
        files |= {file["name"]: file["at"] for file in each["files"]} if isinstance(each["files"], list) else {}
    document = {"results": results, "files": files, "tasks": left}
    return ws.run_files.write(run, _INPUTS, dumps(document, ensure_ascii=False, indent=2) + "\n")


def before(read: ReadModel, task: Task) -> Sequence[Task]:
    """Return the tasks that one waited for."""
    return [read.task(each) for each in task["dependencies"] if read.born(each)]
