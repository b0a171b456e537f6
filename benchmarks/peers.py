"""What other task lists on this machine take for the same, whole processes in milliseconds; none has to be there.

Each works in a home and directory of its own, on as many open tasks without dependencies. It is asked for the first
ready task and for 50 tasks, as atms is, where it can be; todo.txt lists all, and filigree prints all that is ready.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from os.path import dirname, join
from shutil import which

import measure
import seeding
from measure import MeasuringFailedError, TooSlowError
from report import Report, count, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from measure import Sample

#: What a program may take to be given its tasks, and for one command; longer is too slow to measure.
_SEED_LIMIT_S = 60.0
_LIMIT_S = 20.0
_MOST_ROUNDS = 5
#: How often the base is run in a round, as it goes into every ratio.
_BASES = 3
_OPERATIONS = ("add", "next", "list", "show", "done")
_BORN = "2026-11-02T09:12:44.120000+00:00"
#: Made-up version-4 ids, told apart by their number.
_UUID = "00000000-0000-4000-8000-{:012d}"


@dataclass(frozen=True)
class Peer:
    """A program, how it is given tasks, and its words for each operation; `{}` is a task."""

    name: str
    programs: tuple[str, ...]
    #: Takes the path of the program, a directory, the environment and how many; returns tasks to be named.
    seed: Callable[[str, str, Mapping[str, str], int], Sequence[str]]
    lines: Mapping[str, tuple[str, ...]]
    environ: Mapping[str, str]
    #: Makes the program say its version.
    version: str

    def path(self) -> str | None:
        """Return where the program is."""
        return next((found for name in self.programs if (found := which(name)) is not None), None)


def measured(report: Report, atms: str, python: str, directory: str, sizes: Sequence[int], rounds: int) -> str:
    """Measure atms and every peer that is there at each size; return a table."""
    everyone = [(_atms(), atms), *((peer, path) for peer in _PEERS if (path := peer.path()) is not None)]
    rows = []
    for number, size in enumerate(sizes):
        for peer, path in everyone:
            home = join(directory, f"{peer.name}{number}", "tasks")
            os.makedirs(home)
            rows.append(_row(peer, path, python, home, size, min(rounds, _MOST_ROUNDS)))
    if len(everyone) == 1:
        report.failures.append("none of the peers is on the path")
    headers = ("program", "open tasks", *(f"{name}, ms (ratio)" for name in _OPERATIONS))
    return table(headers, rows)


def _row(peer: Peer, path: str, python: str, home: str, size: int, rounds: int) -> tuple[str, ...]:
    environ = {**os.environ, "HOME": dirname(home), **{k: v.format(home) for k, v in peer.environ.items()}}
    name = f"{peer.name} {_version(path, peer.version)}"
    try:
        tasks = peer.seed(path, home, environ, size)
    except MeasuringFailedError as error:
        return (name, count(size), f"not given its tasks: {_why_not(error)}", *[""] * (len(_OPERATIONS) - 1))
    contestants: dict[str, Callable[[], Sample]] = {"base": lambda: measure.took([python, "-c", "pass"])}
    named = iter(tasks)
    for operation, words in peer.lines.items():
        contestants[operation] = _program(path, words, home, environ, named)
    found, failures = measure.rounds(contestants, rounds, {"base": _BASES})
    return (name, count(size), *(_cell(operation, found, failures) for operation in _OPERATIONS))


def _version(path: str, word: str) -> str:
    found = re.search(r"\d+(\.\d+)+", measure.output([path, word]))
    return found[0] if found else ""


def _program(
    path: str, words: Sequence[str], home: str, environ: Mapping[str, str], tasks: Iterator[str]
) -> Callable[[], Sample]:
    def run() -> Sample:
        named = [word.replace("{}", next(tasks)) if "{}" in word else word for word in words]
        return measure.took([path, *named], within=home, environ=environ, limit_s=_LIMIT_S)

    return run


def _cell(operation: str, found: Mapping[str, Sequence[Sample]], failures: Mapping[str, MeasuringFailedError]) -> str:
    if operation in failures:
        return _why_not(failures[operation])
    if operation not in found:
        return "–"
    ratio = measure.wall_ratio(found[operation], found["base"])
    return f"{measure.wall(found[operation]) * 1000:.0f} ({ratio:.1f})"


def _why_not(error: MeasuringFailedError) -> str:
    return "too slow" if isinstance(error, TooSlowError) else f"failed: {error}"


def _prepare(path: str, home: str, environ: Mapping[str, str], *words: str) -> None:
    measure.took([path, *words], within=home, environ=environ, limit_s=_SEED_LIMIT_S)


def _title(number: int) -> str:
    return str(seeding.plain(number)["title"])


def _about(number: int) -> str:
    return str(seeding.plain(number)["description"]).strip()


# atms itself


def _atms() -> Peer:
    lines = {
        "add": ("task", "add", "One more"), "next": ("queue", "next"), "list": ("task", "list", "--limit", "50"),
        "show": ("task", "show", "{}"), "done": ("task", "done", "{}"),
    }  # fmt: skip
    return Peer("atms", ("atms",), _seed_atms, lines, {}, "version")


def _seed_atms(path: str, home: str, environ: Mapping[str, str], size: int) -> Sequence[str]:
    del path, environ
    return seeding.add(seeding.new_workspace(home), size, seeding.plain)


# Taskwarrior


def _seed_taskwarrior(path: str, home: str, environ: Mapping[str, str], size: int) -> Sequence[str]:
    with open(join(home, "taskrc"), "w", encoding="utf-8") as file:
        file.write(f"data.location={home}/data\nconfirmation=off\n")
    os.mkdir(join(home, "data"))
    ids = [_UUID.format(number) for number in range(size)]
    records = [
        {
            "uuid": ids[number], "description": _title(number), "status": "pending", "entry": "20261102T091244Z",
            "priority": "HML"[number % 3], "tags": [f"tag{number % 10}"],
            "annotations": [{"entry": "20261102T091244Z", "description": _about(number)}],
        }
        for number in range(size)
    ]  # fmt: skip
    with open(join(home, "tasks.json"), "w", encoding="utf-8") as file:
        json.dump(records, file)
    _prepare(path, home, environ, "import", "tasks.json")
    return ids


# The todo.txt command


def _seed_todo_txt(path: str, home: str, environ: Mapping[str, str], size: int) -> Sequence[str]:
    del path, environ
    with open(join(home, "config"), "w", encoding="utf-8") as file:
        file.write("".join(f'export {name}="{home}{end}"\n' for name, end in _TODO_FILES))
    with open(join(home, "todo.txt"), "w", encoding="utf-8") as file:
        file.writelines(
            f"({'ABCDE'[number % 5]}) 2026-11-02 {_title(number)} {_about(number)} @tag{number % 10}\n"
            for number in range(size)
        )
    return [str(number + 1) for number in range(size)]


_TODO_FILES = (
    ("TODO_DIR", ""), ("TODO_FILE", "/todo.txt"), ("DONE_FILE", "/done.txt"), ("REPORT_FILE", "/report.txt"),
)  # fmt: skip


# dogcat


def _seed_dogcat(path: str, home: str, environ: Mapping[str, str], size: int) -> Sequence[str]:
    """Write the file as dogcat does; by itself it takes half a second for each task."""
    _prepare(path, home, environ, "init")
    _prepare(path, home, environ, "create", "First", "-d", "About it", "-l", "tag1")
    journal = join(home, ".dogcats", "issues.jsonl")
    with open(journal, encoding="utf-8") as file:
        issue, born = (json.loads(line) for line in file)
    ids = [_base36(number) for number in range(size)]
    with open(journal, "a", encoding="utf-8") as file:
        for number, short in enumerate(ids):
            about = {"title": _title(number), "description": _about(number), "priority": number % 5}
            file.write(json.dumps({**issue, **about, "id": short, "labels": [f"tag{number % 10}"]}) + "\n")
            name = f"{issue['namespace']}-{short}"
            file.write(json.dumps({**born, "issue_id": name, "title": _title(number)}) + "\n")
    return [f"{issue['namespace']}-{short}" for short in ids]


def _base36(number: int) -> str:
    """Return a number as five characters, as dogcat names many issues."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(digits[number // 36**place % 36] for place in reversed(range(5)))


# filigree


def _seed_filigree(path: str, home: str, environ: Mapping[str, str], size: int) -> Sequence[str]:
    _prepare(path, home, environ, "init")
    _prepare(path, home, environ, "create", "First")
    _prepare(path, home, environ, "export", "first.jsonl")
    with open(join(home, "first.jsonl"), encoding="utf-8") as file:
        first = next(record for record in map(json.loads, file) if record["_type"] == "issue")
    prefix = first["id"].rpartition("-")[0]
    ids = [f"{prefix}-{number:010x}" for number in range(size)]
    with open(join(home, "tasks.jsonl"), "w", encoding="utf-8") as file:
        for number, name in enumerate(ids):
            about = {"title": _title(number), "description": _about(number), "priority": number % 5}
            file.write(json.dumps({**first, **about, "id": name}) + "\n")
            file.write(json.dumps({"issue_id": name, "label": f"tag{number % 10}", "_type": "label"}) + "\n")
    _prepare(path, home, environ, "import", "tasks.jsonl")
    return ids


_PEERS = (
    Peer("Taskwarrior", ("task",), _seed_taskwarrior, {
        "add": ("add", "One more", "priority:H"), "next": ("next", "limit:1"), "list": ("list", "limit:50"),
        "show": ("{}", "info"), "done": ("{}", "done"),
    }, {"TASKRC": "{}/taskrc"}, "--version"),
    Peer("todo.txt", ("todo-txt", "todo.sh"), _seed_todo_txt, {
        "add": ("-d", "config", "add", "(B) One more"), "list": ("-d", "config", "-p", "ls"),
        "done": ("-d", "config", "-a", "do", "{}"),
    }, {}, "-V"),
    Peer("dogcat", ("dcat",), _seed_dogcat, {
        "add": ("create", "One more", "-p", "1"), "next": ("ready", "--limit", "1"), "list": ("list", "--limit", "50"),
        "show": ("show", "{}"), "done": ("close", "{}"),
    }, {}, "version"),
    Peer("filigree", ("filigree",), _seed_filigree, {
        "add": ("create", "One more", "-p", "1"), "next": ("ready",), "list": ("list", "--limit", "50"),
        "show": ("show", "{}"), "done": ("close", "{}"),
    }, {}, "--version"),
)  # fmt: skip
