"""A task in the index: what is left out comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import decisions
from atms_cli.domain import task as tasks
from atms_cli.store.document import pack, unpack

if TYPE_CHECKING:
    from atms_cli.domain.records import JsonObject, Task

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip


def born(**fields: object) -> Task:
    (fact,) = decisions.create("t1", {"title": "Work", **fields}, created_by="ann", draft=False)  # type: ignore[dict-item]
    task = tasks.evolve(
        None, {"v": 1, "id": "e", "at": "2026-11-24T10:00:00.000Z", "type": fact[0], "key": "t1", "actor": "ann", "data": fact[2]}
    )  # fmt: skip
    assert task is not None
    return task


@given(
    st.dictionaries(st.sampled_from([*tasks.DEFAULTS, *tasks.NESTED_DEFAULTS, "title", "of a later version"]), VALUES)
)
def test_whatever_a_task_holds_comes_back(fields: JsonObject) -> None:
    task: Task = {**born(), **fields}  # type: ignore[typeddict-item]
    assert unpack(pack(task)) == task


def test_what_is_usual_is_left_out() -> None:
    task = born(priority="high")
    text = pack(task)
    assert '"priority":"high"' in text
    assert "complexity" not in text
    assert len(text) < len(repr(task)) / 3
