"""Edits of JSON text: the right value, and not a byte elsewhere."""

from __future__ import annotations

import difflib
import json
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.errors import DamagedError
from atms_cli.store.jsonedit import amend, apply, described, parse, serialize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from atms_cli.domain.records import Edit, Json

    Where = tuple[str | int, ...]

DATA = Path(__file__).parents[3] / "shared" / "data" / "features"
FILES = sorted(DATA.glob("*.json"))
real_files = pytest.mark.parametrize(
    "file",
    FILES or [pytest.param(None, marks=pytest.mark.skip(reason="no sample files here"))],
    ids=lambda file: file.stem if file else "none",
)


def text_of(file: Path) -> str:
    return file.read_bytes().decode()


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and line.strip("+- ")]


def unit_of(file: Path) -> str:
    return "\t" if file.stem.startswith("tab-") else "  "


# Real files


@real_files
def test_real_files_survive_edits_that_change_nothing(file: Path) -> None:
    text = text_of(file)
    document = json.loads(text)
    edits: list[Edit] = [("set", (key,), value) for key, value in document.items()]
    assert apply(text, []) == text
    assert apply(text, edits) == text


@real_files
def test_setting_a_value_in_a_real_file_changes_its_line(file: Path) -> None:
    text = text_of(file)
    updated = json.loads(text)["metadata"]["updated"]
    after = apply(text, [("set", ("metadata", "updated"), "☃")])
    lead = unit_of(file) * 2
    assert changed_lines(text, after) == [f'-{lead}"updated": "{updated}",', f'+{lead}"updated": "☃",']


@real_files
def test_appending_to_a_real_file_adds_lines_after_the_last_entry(file: Path) -> None:
    text = text_of(file)
    history = json.loads(text)["metadata"]["approval_history"]
    after = apply(text, [("append", ("metadata", "approval_history"), {"feature_id": "f", "notes": []})])
    removed = [line for line in changed_lines(text, after) if line[0] == "-"]
    unit = unit_of(file)
    entry = f'{unit * 3}{{\n{unit * 4}"feature_id": "f",\n{unit * 4}"notes": []\n{unit * 3}}}\n{unit * 2}]'
    assert entry in after
    assert len(removed) == (0 if history else 1)
    assert apply(after, [("set", ("metadata", "approval_history"), history)]).count("\n") == text.count("\n")


@real_files
def test_new_members_of_a_real_file_come_last(file: Path) -> None:
    text = text_of(file)
    unit = unit_of(file)
    end = "\n}" + text[text.rindex("}") + 1 :]
    after = apply(text, [("set", ("roadmap", "atms", "on"), True)])
    members = f'{unit}"roadmap": {{\n{unit * 2}"atms": {{\n{unit * 3}"on": true\n{unit * 2}}}\n{unit}}}'
    assert after == f"{text.removesuffix(end)},\n{members}{end}"


# Examples of each manner of writing


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        ("{}", ("set", ("a",), 1), '{\n  "a": 1\n}'),
        ("[]", ("append", (), {}), "[\n  {}\n]"),
        (" 1\n", ("set", (), [2]), " [2]\n"),
        ("{\r\n}\r\n", ("set", ("a",), [1]), '{\r\n  "a": [\r\n    1\r\n  ]\r\n}\r\n'),
        ('{"a":1}', ("set", ("b", "c"), [1, 2]), '{"a":1,"b":{"c":[1,2]}}'),
        ('{"a": 1}', ("set", ("b", "c"), [1, 2]), '{"a": 1, "b": {"c": [1, 2]}}'),
        ('{ "a": 1 }\n', ("set", ("b",), 2), '{ "a": 1, "b": 2 }\n'),
        ('{"a" : 1}', ("set", ("b",), {"c": 2}), '{"a" : 1, "b" : {"c" : 2}}'),
        ('{"a": [ 1,2 ]}', ("append", ("a",), 3), '{"a": [ 1,2,3 ]}'),
        ('{\n    "a": ["x", "y"]\n}', ("append", ("a",), "z"), '{\n    "a": ["x", "y", "z"]\n}'),
        ('{\n    "a": ["x"]\n}', ("set", ("a",), ["z", "y"]), '{\n    "a": ["z", "y"]\n}'),
        ('{\n    "a": []\n}', ("set", ("a",), ["z"]), '{\n    "a": [\n        "z"\n    ]\n}'),
        ('{\n    "a": [ ]\n}', ("set", ("a",), ["z"]), '{\n    "a": [\n        "z"\n    ]\n}'),
        ('{\n "a": ["x"]\n}', ("set", ("b",), ["y"]), '{\n "a": ["x"],\n "b": [\n  "y"\n ]\n}'),
        ('{"a": {\n}}', ("set", ("a", "b"), 1), '{"a": {\n  "b": 1\n}}'),
        ('{\n\t"a": {}\n}', ("set", ("a", "b"), 1), '{\n\t"a": {\n\t\t"b": 1\n\t}\n}'),
        ('{\n "a": [{"b": 1}]\n}', ("append", ("a",), {"b": 2}), '{\n "a": [{"b": 1}, {"b": 2}]\n}'),
        ('{"a": [{\n  "b": 1\n}]}', ("append", ("a",), {"b": 2}), '{"a": [{\n  "b": 1\n}, {\n  "b": 2\n}]}'),
        ('{\n"a": {\n"b": 1\n}\n}', ("set", ("a", "c"), [2]), '{\n"a": {\n"b": 1,\n"c": [\n2\n]\n}\n}'),
        ('{ "a": 1\n, "b": 2\n}', ("set", ("c",), 3), '{ "a": 1\n, "b": 2\n, "c": 3\n}'),
        ('{"a":1,"a":2}', ("set", ("a",), 3), '{"a":1,"a":3}'),
        ('{"\\u0061":1}', ("set", ("a",), 3), '{"\\u0061":3}'),
        ('{"a":[1e5,-0.0,1.50]}', ("set", ("a", 1), "\n"), '{"a":[1e5,"\\n",1.50]}'),
        ('\ufeff{"a":1}', ("set", ("a",), 2), '\ufeff{"a":2}'),
        ('{"a":"\\ud800"}', ("set", ("b",), "\udc80é"), '{"a":"\\ud800","b":"\\udc80é"}'),
        ('{ "a": 1,\n  "b": [1.0] }\n', ("remove", ("a",), None), '{ "b": [1.0] }\n'),
        ('{\n  "a": 1,\n  "b": 2\n}', ("remove", ("b",), None), '{\n  "a": 1\n}'),
        ('{"a": {\n  "b": 2\n}}', ("remove", ("a", "b"), None), '{"a": {}}'),
        ('{"a":1,"b":1.50,"a":2}', ("remove", ("a",), None), '{"b":1.50}'),
        ('{"a":[1, 2, 3]}', ("remove", ("a", 1), None), '{"a":[1, 3]}'),
        ('{"a":1}', ("remove", ("b",), None), '{"a":1}'),
        ('{"a":1}', ("remove", ("b", "c"), None), '{"a":1}'),
    ],
)
def test_edits_are_written_in_the_manner_of_their_surroundings(before: str, edit: Edit, after: str) -> None:
    assert apply(before, [edit]) == after


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.0", 1),
        ("1E2", 100),
        ('"\\u00e9"', "é"),
        ('{"a":1, "b":[2]}', {"b": [2], "a": 1}),
        ("null", None),
        ("true", True),
    ],
)
def test_an_equal_value_is_not_spelled_anew(text: str, value: Any) -> None:  # noqa: ANN401  # any JSON
    document = f'{{"x":{text}}}'
    assert apply(document, [("set", ("x",), value)]) == document


def test_true_is_not_one() -> None:
    assert apply('{"a":1,"b":[true]}', [("set", ("a",), True), ("set", ("b",), [1])]) == '{"a":true,"b":[1]}'


def test_a_later_edit_finds_what_an_earlier_one_made() -> None:
    edits: list[Edit] = [
        ("append", ("list",), {"id": "a"}),
        ("append", ("list",), {"id": "b"}),
        ("set", ("list", 1, "tags", "x"), 1),
        ("append", ("list", 1, "tags", "y"), 2),
        ("set", ("list", 0), None),
    ]
    assert apply("{}", edits) == serialize({"list": [None, {"id": "b", "tags": {"x": 1, "y": [2]}}]})


def test_the_callers_values_stay_the_callers() -> None:
    mine: dict[str, Any] = {"a": {}}
    assert amend({}, [("set", ("x",), mine), ("set", ("x", "a", "b"), 1)]) == {"x": {"a": {"b": 1}}}
    assert mine == {"a": {}}


def test_one_edit_among_ten_thousand_features() -> None:
    features: list[Json] = [
        {"id": str(number), "description": "d" * 200, "status": "approved"} for number in range(10_000)
    ]
    text = serialize({"features": features})
    after = apply(text, [("set", ("features", 7000, "status"), "implemented")])
    features[7000] = {"id": "7000", "description": "d" * 200, "status": "implemented"}
    assert after == serialize({"features": features})


def test_serialize_writes_as_the_original_does() -> None:
    assert serialize({"a": [], "b": {}, "c": ["é\u2028\x7f", 1.5, None]}) == (
        '{\n  "a": [],\n  "b": {},\n  "c": [\n    "é\u2028\x7f",\n    1.5,\n    null\n  ]\n}'
    )


# Refusals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: Expecting value"),
        ('{"a": 1,\n "b" 2}', "2:6: Expecting ':' delimiter"),
        ('{"a": 1}\n}', "2:1: Extra data"),
        ('{"a": "x', "1:7: Unterminated string starting at"),
        ("[" * 100_000, "1:1: maximum recursion depth exceeded"),
        ("9" * 5000, "1:1: Exceeds the limit"),
    ],
)
def test_unreadable_text_is_refused_with_its_position(text: str, message: str) -> None:
    with pytest.raises(DamagedError) as refused:
        parse(text)
    assert refused.value.message.startswith(message)
    with pytest.raises(DamagedError):
        apply(text, [("set", ("a",), 1)])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("set", ("list", "x"), 1), "`list` is an array, not an object"),
        (("set", ("object", 0), 1), "`object` is an object, not an array"),
        (("set", ("list", 0, "deep", "er"), 1), "`list[0].deep` is null, not an object"),
        (("append", ("object",), 1), "`object` is an object, not an array"),
        (("append", ("text",), 1), "`text` is a string, not an array"),
        (("append", (), 1), "the top level is an object, not an array"),
        (("set", ("list", 1), 1), "`list[1]` is beyond the end of the array"),
        (("set", ("list", -1), 1), "`list[-1]` is beyond the end of the array"),
        (("set", ("missing", 0), 1), "`missing[0]` is in an array that is missing"),
        (("set", ("flag", "x"), 1), "`flag` is a truth value, not an object"),
        (("set", ("number", "x"), 1), "`number` is a number, not an object"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_by_name(edit: Edit, message: str) -> None:
    text = '{"list": [{"deep": null}], "object": {}, "text": "", "flag": true, "number": 1}'
    with pytest.raises(DamagedError) as refused:
        apply(text, [edit])
    assert refused.value.message == message


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        apply("{}", [("set", ("a",), float("nan"))])


def test_words_for_kinds_of_values() -> None:
    values: list[Json] = [{}, [], "", False, None, 1.5]
    words = ["an object", "an array", "a string", "a truth value", "null", "a number"]
    assert [described(value) for value in values] == words


# Laws


class Layout(NamedTuple):
    indent: int | str | None
    separators: tuple[str, str] | None
    ascii_only: bool
    newline: str
    start: str
    end: str

    def dump(self, value: object) -> str:
        text = json.dumps(value, indent=self.indent, separators=self.separators, ensure_ascii=self.ascii_only)
        return (self.start + text + self.end).replace("\n", self.newline)


spacings: st.SearchStrategy[tuple[int | str | None, tuple[str, str] | None]] = st.sampled_from(
    [(2, None), (4, None), (0, None), ("\t", None), (2, (",", ":")), (None, None), (None, (",", ":"))]
)
layouts = st.builds(
    lambda spacing, *rest: Layout(*spacing, *rest),
    spacings,
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff", "\ufeff\n", "\n"]),
    st.sampled_from(["", "\n", "\n\n"]),
)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
ascii_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=4)
fractions = st.integers(-9999, 9999).map(lambda number: number + 0.5)


def values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers() | fractions | texts
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=10
    )


@st.composite
def edits_of(draw: st.DrawFn, document: Any, texts: st.SearchStrategy[str]) -> Edit:  # noqa: ANN401  # any JSON
    """Draw an edit that a document allows, in any of its corners."""
    at, path = document, list[str | int]()
    while isinstance(at, list | dict) and at and draw(st.booleans()):
        step = draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
        at = at[step]
        path.append(step)
    if isinstance(at, dict):
        missing = draw(st.lists(texts, min_size=1, max_size=3))
        if missing[0] not in at:
            return draw(st.sampled_from(["set", "append"])), (*path, *missing), draw(values(texts))
    if isinstance(at, list):
        return "append", tuple(path), draw(values(texts))
    if not path:
        return "set", (next(iter(document)),), draw(values(texts))
    return "set", tuple(path), draw(values(texts))


def edited(document: Any, edit: Edit) -> Any:  # noqa: ANN401  # any JSON
    """Make an edit in the simplest way there is; an equal value keeps its order of keys."""
    kind, path, value = edit
    holder: Any = [deepcopy(document)]
    at, last = holder, cast("Any", 0)
    for step in path:
        at = at[last] if isinstance(at, list) else at.setdefault(last, {})
        last = step
    there = isinstance(at, list) or last in at
    if kind == "append":
        (at[last] if there else at.setdefault(last, [])).append(deepcopy(value))
    elif not there or canonical(at[last]) != canonical(value):
        at[last] = deepcopy(value)
    return holder[0]


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(st.data(), layouts)
def test_an_edited_dump_is_the_dump_of_the_edited(data: st.DataObject, layout: Layout) -> None:
    document = data.draw(st.dictionaries(any_text, values(any_text), min_size=1, max_size=4))
    text = layout.dump(document)
    edits: list[Edit] = []
    for _ in range(data.draw(st.integers(0, 4))):
        edits.append(data.draw(edits_of(document, ascii_text if layout.ascii_only else any_text)))
        document = edited(document, edits[-1])
    assert apply(text, edits) == layout.dump(document)
    assert parse(apply(text, edits)) == document


@given(st.data(), layouts)
def test_what_is_removed_leaves_the_dump_of_the_rest(data: st.DataObject, layout: Layout) -> None:
    document = data.draw(st.dictionaries(any_text, values(any_text), min_size=1, max_size=4))
    at, path = cast("Any", document), list[str | int]()
    while isinstance(at, list | dict) and at and (not path or data.draw(st.booleans())):
        path.append(data.draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at)))))
        at = getitem(cast("Any", at), path[-1])
    rest = deepcopy(document)
    holder: Any = reduce(getitem, path[:-1], cast("Any", rest))
    del holder[path[-1]]
    edit: Edit = ("remove", tuple(path), None)
    assert apply(layout.dump(document), [edit]) == layout.dump(rest)
    assert amend(document, [edit]) == rest


class Scribble:
    """Writes a document with random spacing, spelling and repeated keys, and remembers where its values lie."""

    def __init__(self, random: Random, document: object) -> None:
        self.random = random
        self.text = random.choice(["", "\ufeff"]) + self.blanks()
        self.spans: dict[Where, tuple[int, int]] = {}
        self.write(document, ())
        self.text += self.blanks()

    def blanks(self) -> str:
        return "".join(self.random.choices(" \t\r\n", k=self.random.choice([0, 0, 1, 3])))

    def write(self, value: object, path: Where) -> None:
        start = len(self.text)
        if isinstance(value, dict):
            self.write_all("{}", value, lambda key: self.write_member(key, value[key], path))
        elif isinstance(value, list):
            self.write_all("[]", range(len(value)), lambda index: self.write(value[index], (*path, index)))
        else:
            self.text += json.dumps(value, ensure_ascii=self.random.random() < 0.5)
        self.spans[path] = start, len(self.text)

    def write_all(self, brackets: str, steps: Any, write: Callable[[Any], None]) -> None:  # noqa: ANN401  # keys or indexes
        self.text += brackets[0] + self.blanks()
        for number, step in enumerate(steps):
            self.text += f",{self.blanks()}" if number else ""
            write(step)
            self.text += self.blanks()
        self.text += brackets[1]

    def write_member(self, key: str, value: object, path: Where) -> None:
        name = json.dumps(key, ensure_ascii=self.random.random() < 0.5)
        if self.random.random() < 0.2:
            self.text += f"{name}{self.blanks()}:{self.blanks()}0{self.blanks()},{self.blanks()}"
        self.text += f"{name}{self.blanks()}:{self.blanks()}"
        self.write(value, (*path, key))


def place(spans: dict[Where, tuple[int, int]], document: Any, path: Where) -> tuple[int, int]:  # noqa: ANN401  # any JSON
    """Return the span that an edit may change: the value's, or from a container's last value to where it ends."""
    at = document
    for depth, step in enumerate(path):
        if isinstance(at, dict) and step not in at:
            return gap(spans, at, path[:depth])
        at = at[step]
    return spans[path]


def gap(spans: dict[Where, tuple[int, int]], container: Any, path: Where) -> tuple[int, int]:  # noqa: ANN401  # any JSON
    start, end = spans[path]
    steps: Sequence[str | int] = list(container) if isinstance(container, dict) else range(len(container))
    return (spans[*path, steps[-1]][1], end) if steps else (start + 1, end)


@given(st.data(), st.randoms(use_true_random=False))
def test_however_it_is_written_only_the_edited_place_changes(data: st.DataObject, random: Random) -> None:
    document = data.draw(st.dictionaries(any_text, values(any_text), min_size=1, max_size=4))
    scribble = Scribble(random, document)
    kind, path, _ = edit = data.draw(edits_of(document, any_text))
    after = apply(scribble.text, [edit])
    start, end = place(scribble.spans, document, path)
    if kind == "append" and scribble.text[start:end].startswith("["):
        start, end = gap(scribble.spans, reduce(getitem, path, cast("Any", document)), path)
    assert parse(after) == edited(document, edit)
    assert after.startswith(scribble.text[:start])
    assert after.endswith(scribble.text[end:])
    assert apply(scribble.text, []) == scribble.text


@given(st.dictionaries(any_text, values(any_text), max_size=4), st.data())
def test_text_and_value_are_edited_alike(document: dict[str, Any], data: st.DataObject) -> None:
    document = document or {"": 0}
    edit = data.draw(edits_of(document, any_text))
    assert amend(deepcopy(document), [edit]) == edited(document, edit)
