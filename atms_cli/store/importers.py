"""Task lists of other programs, read into drafts of ours: Taskwarrior, beads, TODO/TASKS.json, CSV, Markdown.

A draft holds the fields of a task, an `id` made from the other program's so that a second import finds the first,
`after` with such ids, and the `status` it had.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec  # noqa: TID253

from atms_cli.domain.breakdown import FILE_PRIORITIES
from atms_cli.domain.task import CATEGORIES, PRIORITIES
from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atms_cli.domain.records import JsonObject

#: Our ids are spelled with these; the first character is a letter.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 10


@dataclass(slots=True)
class Draft:
    """A task of another program, in our terms."""

    id: str
    fields: JsonObject
    after: list[str] = field(default_factory=list)
    status: str = "queued"
    #: The whole task and its events, when it comes from another atms.
    original: JsonObject | None = None


def derived_id(source: str, name: str) -> str:
    """Return the id that a task of another program always gets: 49 bits of a hash of its name."""
    digest = sha256(f"{source}\0{name}".encode()).digest()
    return _ALPHABET[10 + digest[0] % 22] + "".join(_ALPHABET[byte & 31] for byte in digest[1:_ID_LENGTH])


def parse(text: str, form: str | None, name: str) -> list[Draft]:
    """Return the drafts in a text, of the form named or recognised.

    Raises:
        UsageError: the form is unknown or cannot be recognised.
        AtmsError: the text is not of that form; the message names the place.

    """
    chosen = form or recognise(text, name)
    if chosen not in _READERS:
        raise UsageError(f"`{chosen}` is not a form of task list", f"choose one of: {', '.join(_READERS)}")
    return _READERS[chosen](text)


def recognise(text: str, name: str) -> str:
    """Return the form of a text, from its file name and its beginning."""
    lowered, start = name.lower(), text.lstrip()[:1]
    if lowered.endswith((".md", ".markdown")):
        return "markdown"
    if lowered.endswith(".csv"):
        return "csv"
    if start not in ("[", "{"):
        raise UsageError(f"cannot tell what {name} is", f"name it: --form, one of {', '.join(_READERS)}")
    first = _first_record(text)
    if "issue_type" in first or ("priority" in first and isinstance(first["priority"], int) and "title" in first):
        return "beads"
    if "uuid" in first:
        return "taskwarrior"
    if "tasks" in first or "features" in first:
        return "todo"
    return "atms"


def _first_record(text: str) -> Mapping[str, object]:
    try:
        value, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except json.JSONDecodeError as error:
        raise AtmsError(f"not JSON: {error.msg} in line {error.lineno}") from error
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, dict) else {}


def _records(text: str) -> list[JsonObject]:
    """Return the objects of a JSON array, or of JSON lines."""
    stripped = text.strip()
    listed = _decoded(stripped, 1) if stripped.startswith("[") else list(_lines(stripped))
    for number, record in enumerate(listed, start=1):
        if not isinstance(record, dict):
            raise AtmsError(f"entry {number} is not an object")
    return listed


def _lines(text: str) -> Iterator[Any]:
    # Not `splitlines`: JSON may hold the other characters that end a line in Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _decoded(line, number)


def _decoded(text: str, line: int) -> Any:  # noqa: ANN401  JSON
    """Decode a text that begins in that line; what msgspec refuses, the slower decoder may take, or say where it is wrong."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise AtmsError(f"not JSON: {error.msg} in line {line + error.lineno - 1}") from error


def _text(record: Mapping[str, object], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str) and each.strip()] if isinstance(value, list) else []


def _titled(title: str, rest: Mapping[str, object]) -> JsonObject:
    one_line = " ".join(title.split()) or "untitled"
    given = {name: value for name, value in rest.items() if value not in (None, "", [])}
    return {"title": one_line[:500], **given}  # type: ignore[dict-item]


def _own(text: str) -> list[Draft]:
    drafts: list[Draft] = []
    times: Counter[str] = Counter()
    for number, record in enumerate(_records(text), start=1):
        title = _text(record, "title")
        if not title:
            raise AtmsError(f"entry {number} has no title", 'each task needs one: {"title": "..."}')
        times[title] += 1
        # What was written by hand or by a script has no id; a second import still finds the first.
        task_id = _text(record, "id") or derived_id("atms", f"{title}\0{times[title]}")
        after, status = _texts(record.get("dependencies")), _text(record, "status") or "queued"
        drafts.append(Draft(task_id, {"title": title}, after, status, {**record, "id": task_id}))
    return drafts


_TASKWARRIOR_PRIORITIES = {"H": "high", "M": "medium", "L": "low"}
_TASKWARRIOR_STATUSES = {"completed": "completed", "deleted": "cancelled"}


def _taskwarrior(text: str) -> list[Draft]:
    return [_from_taskwarrior(record) for record in _records(text)]


def _from_taskwarrior(record: JsonObject) -> Draft:
    uuid, depends = _text(record, "uuid"), record.get("depends")
    needs = depends.split(",") if isinstance(depends, str) else _texts(depends)
    notes = record.get("annotations")
    written = (
        [_text(note, "description") for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
    )
    project = _text(record, "project")
    fields = _titled(_text(record, "description"), {
        "description": "\n".join(written), "priority": _TASKWARRIOR_PRIORITIES.get(_text(record, "priority")),
        "tags": [*_texts(record.get("tags")), *([f"project:{project}"] if project else [])],
        "deadline": _compact_time(_text(record, "due")), "not_before": _compact_time(_text(record, "wait")),
        "metadata": {"properties": {"external_id": f"taskwarrior:{uuid}"}},
    })  # fmt: skip
    status = _TASKWARRIOR_STATUSES.get(_text(record, "status"), "queued")
    return Draft(
        derived_id("taskwarrior", uuid), fields, [derived_id("taskwarrior", need) for need in needs if need], status
    )


def _compact_time(words: str) -> str | None:
    """Return `20261201T090000Z` as ISO 8601."""
    if len(words) < len("20261201T090000Z"):
        return None
    return f"{words[:4]}-{words[4:6]}-{words[6:8]}T{words[9:11]}:{words[11:13]}:{words[13:15]}.000Z"


_BEADS_CATEGORIES = {"bug": "bug_fix", "feature": "feature", "chore": "maintenance", "docs": "documentation"}
_BEADS_STATUSES = {"closed": "completed", "tombstone": "cancelled"}


def _beads(text: str) -> list[Draft]:
    return [_from_beads(record) for record in _records(text)]


def _from_beads(record: JsonObject) -> Draft:
    name, level = _text(record, "id"), record.get("priority")
    links = record.get("dependencies")
    # Only these keep an issue from being worked on; the others just relate.
    needs = [
        _text(link, "depends_on_id")
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, dict) and link.get("type", "blocks") == "blocks"
    ]
    criteria = _text(record, "acceptance_criteria")
    parts = (_text(record, name) for name in ("description", "design", "notes"))
    fields = _titled(_text(record, "title"), {
        "description": "\n\n".join(part for part in parts if part),
        "priority": PRIORITIES[level] if isinstance(level, int) and 0 <= level < len(PRIORITIES) else None,
        "category": _BEADS_CATEGORIES.get(_text(record, "issue_type")), "tags": _texts(record.get("labels")),
        "validation_criteria": {"success_criteria": [criteria]} if criteria else None,
        "metadata": {"properties": {"external_id": f"beads:{name}"}},
    })  # fmt: skip
    status = _BEADS_STATUSES.get(_text(record, "status"), "queued")
    return Draft(derived_id("beads", name), fields, [derived_id("beads", need) for need in needs if need], status)


_TODO_STATUSES = {
    "completed": "completed",
    "implemented": "completed",
    "cancelled": "cancelled",
    "rejected": "cancelled",
    "failed": "cancelled",
}
_TODO_TYPES = {
    "error": "bug_fix",
    "test": "testing",
    "testing": "testing",
    "audit": "testing",
    "documentation": "documentation",
}


def _todo(text: str) -> list[Draft]:
    document = _decoded(text, 1)
    listed = document.get("tasks") if isinstance(document, dict) else document
    return [_from_todo(record) for record in listed or [] if isinstance(record, dict)]


def _from_todo(record: JsonObject) -> Draft:
    name, kind = _text(record, "id"), _text(record, "category") or _text(record, "type")
    fields = _titled(_text(record, "title"), {
        "description": _text(record, "description"), "priority": FILE_PRIORITIES.get(_text(record, "priority").lower()),
        "category": kind if kind in CATEGORIES else _TODO_TYPES.get(kind), "feature_id": record.get("feature_id"),
        "required_capabilities": [each for each in _texts(record.get("required_capabilities")) if each != "general"],
        "validation_criteria": {"success_criteria": _texts(record.get("success_criteria"))} if record.get("success_criteria") else None,
        "metadata": {"properties": {"external_id": name}, "affected_files": _texts(record.get("important_files"))},
    })  # fmt: skip
    needs = [derived_id("todo", need) for need in _texts(record.get("dependencies"))]
    return Draft(derived_id("todo", name), fields, needs, _TODO_STATUSES.get(_text(record, "status"), "queued"))


def _csv(text: str) -> list[Draft]:
    import csv
    from io import StringIO

    reader = csv.DictReader(StringIO(text))
    if "title" not in (reader.fieldnames or ()):
        raise AtmsError(
            "the table has no column `title`",
            "its first line names the columns: title, description, priority, category, tags, after",
        )
    return [
        _from_row({name: value for name, value in row.items() if isinstance(name, str) and isinstance(value, str)})
        for row in reader
    ]


def _from_row(row: Mapping[str, str]) -> Draft:
    name = row.get("id") or row["title"]
    fields = _titled(row["title"], {
        "description": row.get("description"), "priority": row.get("priority"), "category": row.get("category"),
        "tags": row.get("tags", "").split(), "command": row.get("command"),
        "metadata": {"properties": {"external_id": f"csv:{name}"}},
    })  # fmt: skip
    needs = (row.get("after") or row.get("dependencies") or "").split()
    return Draft(
        derived_id("csv", name),
        fields,
        [derived_id("csv", need) for need in needs],
        _TODO_STATUSES.get(row.get("status", ""), "queued"),
    )


def _markdown(text: str) -> list[Draft]:
    """Read `- [ ]` items; an indented one is part of the one above it, a heading becomes a tag."""
    drafts: list[Draft] = []
    above: list[tuple[int, str]] = []
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading, above = "-".join(line.lstrip("#").lower().split()), []
            continue
        box = line.lstrip()
        if box[:6].lower() not in ("- [ ] ", "- [x] ", "* [ ] ", "* [x] "):
            continue
        depth, title = len(line) - len(box), box[6:].strip()
        above = [each for each in above if each[0] < depth]
        parent = above[-1][1] if above else None
        task_id = derived_id("markdown", f"{heading}\0{parent}\0{title}")
        properties = {"properties": {"external_id": f"markdown:{title}"}}
        fields = _titled(title, {"parent_id": parent, "tags": [heading] if heading else [], "metadata": properties})
        drafts.append(Draft(task_id, fields, status="completed" if box[3] in "xX" else "queued"))
        above.append((depth, task_id))
    return drafts


_READERS: dict[str, Callable[[str], list[Draft]]] = {
    "atms": _own,
    "taskwarrior": _taskwarrior,
    "beads": _beads,
    "todo": _todo,
    "csv": _csv,
    "markdown": _markdown,
}
FORMS: Sequence[str] = tuple(_READERS)
