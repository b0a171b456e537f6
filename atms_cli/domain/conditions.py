"""Whether a gate applies: conditions on the task, on what has changed, and on the results of other gates.

A condition is a mapping of clauses, all of which must hold; `all_of`, `any_of` and `not` hold conditions. Of what is not
known, like the task where none is judged, nothing can be said: neither that a clause holds nor that it does not. A gate
is left out only for a reason that is known.
"""

from __future__ import annotations

from atms_cli.domain.globs import matcher
from atms_cli.domain.task import CATEGORIES, COMPLEXITIES, PRIORITIES
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypedDict

    from atms_cli.domain.records import Task

    class Situation(TypedDict):
        """What conditions are about; None is what is not known."""

        task: Task | None
        changed: Sequence[str] | None  # paths from the root
        results: Mapping[str, str]  # the status of each gate that has one

    Condition = Mapping[str, Any]
    #: Whether something holds, None if that is not known, and the reason in words.
    Finding = tuple[bool | None, str]

#: Statuses of results that a condition may ask for.
STATUSES = ("passed", "failed", "timeout", "error", "skipped", "waiting")
_CHOICES = {"category": CATEGORIES, "priority": PRIORITIES, "complexity": COMPLEXITIES}
_SHOWN = 3


def judge(condition: Condition, situation: Situation) -> Finding:
    """Return whether a condition holds, and why: the clauses that decide."""
    return _all([_CLAUSES[name](wanted, situation, name) for name, wanted in condition.items()])


def _all(found: Sequence[Finding]) -> Finding:
    for truth in (False, None):
        words = [why for held, why in found if held is truth]
        if words:
            return truth, "; ".join(words)
    return True, " and ".join(why for _, why in found)


def _any(found: Sequence[Finding]) -> Finding:
    for truth in (True, None):
        words = [why for held, why in found if held is truth]
        if words:
            return truth, " or ".join(words)
    return False, "; ".join(why for _, why in found)


def _not(finding: Finding) -> Finding:
    held, why = finding
    return (None if held is None else not held), why


def _field(wanted: Sequence[str], situation: Situation, name: str) -> Finding:
    task = situation["task"]
    if task is None:
        return None, f"no task, so no {name}"
    own: Mapping[str, object] = task
    held = own[name] in wanted
    return held, f"{name} is {own[name]}" + ("" if held else f", not {_either(wanted)}")


def _tags(wanted: Sequence[str], situation: Situation, _name: str) -> Finding:
    task = situation["task"]
    if task is None:
        return None, "no task, so no tags"
    found = [tag for tag in task["tags"] if tag in wanted]
    return bool(found), f"tagged {', '.join(found)}" if found else f"not tagged {_either(wanted)}"


def _paths(wanted: Sequence[str], situation: Situation, _name: str) -> Finding:
    changed = situation["changed"]
    if changed is None:
        return None, "what has changed is not known"
    is_meant = matcher(wanted)
    found = next((path for path in changed if is_meant(path)), None)
    return found is not None, f"nothing changed in {_either(wanted)}" if found is None else f"{found} changed"


def _gates(wanted: Mapping[str, Sequence[str]], situation: Situation, _name: str) -> Finding:
    return _all([_gate(gate, statuses, situation["results"].get(gate)) for gate, statuses in wanted.items()])


def _gate(gate: str, wanted: Sequence[str], status: str | None) -> Finding:
    if status is None:
        return None, f"gate {gate} is not run"
    held = status in wanted
    return held, f"gate {gate}: {status}" + ("" if held else f", not {_either(wanted)}")


def _either(words: Sequence[str]) -> str:
    shown = list(words[:_SHOWN]) + (["…"] if len(words) > _SHOWN else [])
    return " or ".join(shown)


_CLAUSES: dict[str, Callable[[Any, Situation, str], Finding]] = {
    "category": _field,
    "priority": _field,
    "complexity": _field,
    "tags": _tags,
    "paths": _paths,
    "gates": _gates,
    "all_of": lambda each, situation, _: _all([judge(condition, situation) for condition in each]),
    "any_of": lambda each, situation, _: _any([judge(condition, situation) for condition in each]),
    "not": lambda condition, situation, _: _not(judge(condition, situation)),
}
CLAUSES = tuple(_CLAUSES)


def gates_in(condition: Condition) -> list[str]:
    """Return the gates whose results a condition asks for."""
    found = [*condition.get("gates", ())]
    for inner in _inner(condition):
        found += gates_in(inner)
    return list(dict.fromkeys(found))


def _inner(condition: Condition) -> list[Condition]:
    negated = [condition["not"]] if "not" in condition else []
    return [*condition.get("all_of", ()), *condition.get("any_of", ()), *negated]


def check(condition: Condition) -> None:
    """Refuse a condition that asks for what there is not.

    Raises:
        UsageError: a clause, a value in it or a glob is none.

    """
    for name, wanted in condition.items():
        if name not in _CLAUSES:
            raise UsageError(f"`{name}` is no clause of a condition", f"choose of: {', '.join(CLAUSES)}")
        for value in wanted if name in _CHOICES else ():
            _check_choice(value, name, _CHOICES[name])
        for statuses in wanted.values() if name == "gates" else ():
            for status in statuses:
                _check_choice(status, "status of a gate", STATUSES)
    if "paths" in condition:
        matcher(condition["paths"])
    for inner in _inner(condition):
        check(inner)


def _check_choice(value: str, word: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UsageError(f"`{value}` is not a {word}", f"choose one of: {', '.join(choices)}")
