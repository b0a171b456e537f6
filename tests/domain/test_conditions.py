"""When a gate applies: globs, clauses, and what follows from not knowing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import conditions
from atms_cli.domain.globs import matcher
from atms_cli.domain.task import evolve
from atms_cli.errors import UsageError

if TYPE_CHECKING:
    from atms_cli.domain.conditions import Situation
    from atms_cli.domain.records import Event, Task

NOTHING: Situation = {"task": None, "changed": None, "results": {}}


def task(**fields: object) -> Task:
    born: Event = {
        "v": 1, "id": "e", "at": "2026-01-01T00:00:00.000Z", "type": "task.created", "key": "t", "actor": "ann",
        "data": {"title": "Work", **fields},  # type: ignore[dict-item]
    }  # fmt: skip
    made = evolve(None, born)
    assert made is not None
    return made


def situation(**known: object) -> Situation:
    return {**NOTHING, **known}  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("glob", "path", "is_meant"),
    [
        ("*.py", "deep/down/x.py", True),
        ("src/*.py", "src/x.py", True),
        ("src/*.py", "src/deep/x.py", False),
        ("src/**/*.py", "src/x.py", True),
        ("src/**/*.py", "src/deep/down/x.py", True),
        ("src/**", "src/deep/x", True),
        ("docs/", "docs/deep/x", True),
        ("docs/", "src/docs/x", True),
        ("*.{ts,tsx}", "a.tsx", True),
        ("*.{ts,tsx}", "a.txt", False),
        ("?.py", "ab.py", False),
        ("[!a].py", "b.py", True),
        ("/x.py", "deep/x.py", False),
        ("a+b(c).py", "a+b(c).py", True),
        ("a,b", "a,b", True),
    ],
)
def test_what_a_glob_means(glob: str, path: str, *, is_meant: bool) -> None:
    assert matcher([glob])(path) == is_meant


def test_the_last_glob_that_matches_decides() -> None:
    is_meant = matcher(["*.py", "!tests/", "tests/conftest.py"])
    assert [is_meant(path) for path in ("a.py", "tests/b.py", "tests/conftest.py", "a.md")] == [
        True,
        False,
        True,
        False,
    ]
    assert matcher(["!docs/"])("src/x.py"), "where something is only taken away, all else is meant"
    assert not matcher([])("x")


@pytest.mark.parametrize("glob", ["", "/", "!", "{a,b", "[\\]"])
def test_what_is_no_glob(glob: str) -> None:
    with pytest.raises(UsageError):
        matcher([glob])


@given(st.text(alphabet="ab/*?[]{},!.\\", max_size=12), st.text(alphabet="ab/.,", max_size=12))
def test_any_glob_matches_or_is_refused(glob: str, path: str) -> None:
    try:
        is_meant = matcher([glob])
    except UsageError:
        return
    assert is_meant(path) in (True, False)


@pytest.mark.parametrize(
    ("condition", "known", "finding"),
    [
        ({}, {}, (True, "")),
        ({"category": ["feature"]}, {"task": task()}, (True, "category is feature")),
        ({"category": ["bug_fix"]}, {"task": task()}, (False, "category is feature, not bug_fix")),
        ({"category": ["bug_fix"]}, {}, (None, "no task, so no category")),
        ({"tags": ["a", "b"]}, {"task": task(tags=["b"])}, (True, "tagged b")),
        ({"tags": ["a", "b"]}, {"task": task()}, (False, "not tagged a or b")),
        ({"paths": ["*.py"]}, {"changed": ["a.md", "b.py"]}, (True, "b.py changed")),
        ({"paths": ["*.py"]}, {"changed": []}, (False, "nothing changed in *.py")),
        ({"paths": ["*.py"]}, {}, (None, "what has changed is not known")),
        ({"gates": {"lint": ["passed"]}}, {"results": {"lint": "failed"}}, (False, "gate lint: failed, not passed")),
        ({"gates": {"lint": ["failed"]}}, {"results": {"lint": "failed"}}, (True, "gate lint: failed")),
        ({"gates": {"lint": ["failed"]}}, {}, (None, "gate lint is not run")),
        ({"not": {"priority": ["low"]}}, {"task": task()}, (True, "priority is medium, not low")),
        ({"not": {"priority": ["medium"]}}, {"task": task()}, (False, "priority is medium")),
        ({"not": {"priority": ["low"]}}, {}, (None, "no task, so no priority")),
        (
            {"any_of": [{"tags": ["risky"]}, {"paths": ["src/"]}]},
            {"task": task(), "changed": ["docs/a.md"]},
            (False, "not tagged risky; nothing changed in src/"),
        ),
        (
            {"any_of": [{"tags": ["risky"]}, {"paths": ["src/"]}]},
            {"task": task()},
            (None, "what has changed is not known"),
        ),
        ({"all_of": [{"tags": ["risky"]}, {"paths": ["src/"]}]}, {"task": task()}, (False, "not tagged risky")),
    ],
)
def test_whether_a_condition_holds_and_why(condition: Any, known: Any, finding: object) -> None:  # noqa: ANN401  JSON
    assert conditions.judge(condition, situation(**known)) == finding


leaves = st.sampled_from([
    {"category": ["feature"]}, {"category": ["bug_fix"]}, {"paths": ["*.py"]}, {"paths": ["*.md"]}, {"gates": {"lint": ["passed"]}},
])  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"all_of": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any_of": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=6,
)


@given(trees)
def test_what_is_known_does_not_change_with_what_else_is_found_out(condition: Any) -> None:  # noqa: ANN401  JSON
    conditions.check(condition)
    unknown, _ = conditions.judge(condition, NOTHING)
    partly, _ = conditions.judge(condition, situation(task=task()))
    wholly, why = conditions.judge(condition, situation(task=task(), changed=["a.py"], results={"lint": "failed"}))
    assert wholly is not None
    assert why
    assert unknown is None
    assert partly in (None, wholly)
    assert conditions.judge({"not": condition}, situation(task=task()))[0] == (None if partly is None else not partly)


@pytest.mark.parametrize(
    "condition",
    [
        {"colour": ["red"]},
        {"category": ["nope"]},
        {"gates": {"lint": ["nice"]}},
        {"paths": ["{a"]},
        {"any_of": [{"not": {"priority": ["urgent"]}}]},
    ],
)
def test_a_condition_that_asks_for_what_there_is_not(condition: Any) -> None:  # noqa: ANN401  JSON
    with pytest.raises(UsageError):
        conditions.check(condition)


def test_the_gates_that_a_condition_asks_for() -> None:
    condition = {
        "gates": {"a": ["passed"]},
        "any_of": [{"gates": {"b": ["failed"]}}, {"not": {"gates": {"a": ["error"]}}}],
    }
    assert conditions.gates_in(condition) == ["a", "b"]
