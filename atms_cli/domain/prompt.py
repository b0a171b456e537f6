"""What a template of a prompt may name, and what it finds there. Filling one in is store/templates.py's work."""

from __future__ import annotations

from atms_cli.domain import outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.config import Config
    from atms_cli.domain.records import Agent, Json, JsonObject, Task

    Shape = Mapping[str, Mapping[str, str] | list[Mapping[str, str]]]

#: Of what came of one task, so much is told to those after it.
_MOST_RESULT = 1500
#: Of the conventions of a repository, so much is told.
MOST_CONVENTIONS = 16_000

#: Each variable with what it holds, by member; those in a list hold a list of such. The reference is made from this.
VARIABLES: Shape = {
    "task": {
        "id": "its id",
        "title": "its title",
        "description": "what it is about, at length; may be empty",
        "prompt": "what was given with `--prompt` to take the place of the description, or empty",
        "category": "like `bug_fix`",
        "priority": "like `high`",
        "complexity": "like `moderate`",
        "business_value": "why it is worth doing; may be empty",
        "criteria": "list of text: when it counts as done",
        "gates": "list of text: the names of the gates that must pass",
        "affected_files": "list of text",
        "related_issues": "list of text",
        "tags": "list of text",
        "required_tools": "list of text",
        "working_directory": "where it is done, or empty for the root",
        "constraints": "mapping: what it must keep to, like `allowed_files`",
        "inputs": "mapping: what it was given",
        "outputs": "mapping of names to the files that must be there at its end, or to null for a value to be reported",
        "estimated_effort": "minutes, or null",
        "deadline": "time, or null",
        "properties": "mapping: whatever else was noted",
    },
    "feature": {
        "id": "its id",
        "title": "its title",
        "description": "what it is about",
        "rationale": "why it was suggested",
        "business_value": "what it is good for",
        "category": "its category in the roadmap file",
        "status": "its status there",
        "acceptance_criteria": "list of text",
    },
    "dependencies": [
        {
            "id": "the id of a task that this one waited for",
            "title": "its title",
            "status": "its status",
            "text": "what was said at its end, or empty",
            "results": "mapping: what it has reported, by name",
            "files": "list of its declared files, each with `name`, `path`, `at` (where it can be read), `size`, `sha256`",
        }
    ],
    "failure": {
        "reason": "why the attempt before this one failed",
        "gates": "list of the gates that did not pass, each with `name`, `reason`, `log`",
        "tests": "list of text: the names of tests that failed",
        "places": "list of text: places in files, like `src/a.py:12: undefined name`",
        "log": "the end of what it printed",
    },
    "conventions": {"file": "the file that the text is from", "text": "what it says"},
    "attempt": {
        "number": "of this attempt, from 1",
        "most": "how many there may be",
        "is_continued": "whether the agent goes on in the session of the attempt before, and knows what it was told there",
    },
    "agent": {"name": "who is told this", "kind": "its kind"},
    "workspace": {"root": "the directory of the workspace"},
}
#: Those that may be nothing: a task without a feature, a first attempt, a repository without conventions.
OPTIONAL = ("feature", "failure", "conventions")

#: Where the conventions of a repository usually stand; the first that is there counts.
USUAL_CONVENTIONS = ("AGENTS.md", "CLAUDE.md", "GEMINI.md", "CONTRIBUTING.md")


def files_in(config: Config) -> dict[str, str]:
    """Return the templates that settings name, by the setting."""
    named: JsonObject = {"execution.prompt": config["execution"]["prompt"]}
    named |= {f"agents.{name}.prompt": fields.get("prompt") for name, fields in config["agents"].items()}
    return {setting: file for setting, file in named.items() if isinstance(file, str)}


def about_task(task: Task, gates: Sequence[str]) -> JsonObject:
    """Return what a template is told of a task."""
    context, metadata = task["context"], task["metadata"]
    same = ("id", "title", "description", "category", "priority", "complexity", "business_value", "tags", "deadline")
    whole: Mapping[str, Json] = {**task}  # type: ignore[dict-item]  # a Task is JSON throughout
    return {
        **{name: whole[name] for name in same},
        "prompt": task["prompt"] or "",
        "criteria": task["validation_criteria"]["success_criteria"],
        "gates": list(gates),
        "affected_files": metadata["affected_files"],
        "related_issues": metadata["related_issues"],
        "required_tools": context["required_tools"],
        "working_directory": context["working_directory"] or "",
        "constraints": _mapping(context["constraints"]),
        "inputs": _mapping(context["inputs"]),
        "outputs": {**outputs.declared(task)},
        "estimated_effort": task["estimated_effort"],
        "properties": _mapping(metadata["properties"]),
    }


def _mapping(value: object) -> JsonObject:
    """Return a mapping as it is; a task that was imported may have anything in its place."""
    return value if isinstance(value, dict) else {}


def about_feature(feature: Mapping[str, Json]) -> JsonObject:
    """Return what a template is told of a feature as the roadmap file has it."""
    texts = ("id", "title", "description", "rationale", "business_value", "category", "status")
    criteria = next(
        (
            found
            for name in ("acceptance_criteria", "acceptanceCriteria")
            if isinstance(found := feature.get(name), list)
        ),
        [],
    )
    return {
        **{name: value if isinstance(value := feature.get(name), str) else "" for name in texts},
        "acceptance_criteria": [each for each in criteria if isinstance(each, str)],
    }


def about_dependency(task: Task) -> JsonObject:
    """Return what a template is told of a task before this one."""
    left = outputs.of(task)
    return {**left, "text": str(left["text"])[:_MOST_RESULT]}


def about_agent(agent: Agent) -> JsonObject:
    """Return what a template is told of who is told."""
    return {"name": agent["name"], "kind": agent["kind"]}


def conventions(file: str, text: str) -> JsonObject:
    """Return what a template is told of a repository's conventions; of a long file, the beginning."""
    if len(text) <= MOST_CONVENTIONS:
        return {"file": file, "text": text.strip()}
    return {"file": file, "text": f"{text[:MOST_CONVENTIONS].strip()}\n\n… the rest is in {file}"}
