"""Pictures of dependencies: everything is in them once, and no title can break out of its quotes."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain.drawing import COLOURS, dot, mermaid, tree
from atms_cli.domain.task import STATUSES

TASKS = [
    ("ship", "Ship it", "queued"),
    ("build", "Build", "in_progress"),
    ("docs", "Write docs", "queued"),
    ("design", "Design", "completed"),
    ("alone", "Alone", "created"),
]
EDGES = [
    ("ship", "build", "success"),
    ("ship", "docs", "soft"),
    ("build", "design", "success"),
    ("docs", "design", "always"),
    ("docs", "gone", "success"),
    ("ship", "build", "failure"),
]
Node = tuple[str, str, str]
Edge = tuple[str, str, str]

SIZE = 7
titles = st.text(alphabet='ab"\\[](){}|<>&#;`\n\t\x1b\u202e_*%é:', max_size=12)
nodes = st.lists(st.tuples(titles, st.sampled_from(STATUSES)), min_size=1, max_size=SIZE).map(
    lambda found: [(f"t{place}", title, status) for place, (title, status) in enumerate(found)]
)
ids = st.integers(min_value=0, max_value=SIZE).map(lambda number: f"t{number}")
edges = st.lists(st.tuples(ids, ids, st.sampled_from(["success", "failure", "always", "soft"])), max_size=12)


def test_a_tree() -> None:
    assert (
        "\n".join(tree(TASKS, EDGES))
        == """\
ship Ship it (queued)
├── build Build (in progress)
│   └── design Design (completed)
└── docs [soft] Write docs (queued)
    └── design [always] (see above)
alone Alone (created)"""
    )


def test_a_digraph() -> None:
    assert list(dot(TASKS[:2], [("ship", "build", "failure"), ("build", "ship", "success")])) == [
        "digraph tasks {",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
        '  "ship" [label="ship\\nShip it", class="queued", fillcolor="#dbeafe", color="#3b82f6"];',
        '  "build" [label="build\\nBuild", class="in_progress", fillcolor="#fef9c3", color="#ca8a04"];',
        '  "build" -> "ship" [label="on failure", style=dashed];',
        '  "ship" -> "build";',
        "}",
    ]


def test_a_flowchart() -> None:
    assert list(mermaid(TASKS[:2], [("ship", "build", "always"), ("build", "ship", "success")])) == [
        "flowchart LR",
        '  t0["ship<br/>Ship it"]:::queued',
        '  t1["build<br/>Build"]:::in_progress',
        '  t1 -->|"always"| t0',
        "  t0 --> t1",
        "  classDef in_progress fill:#fef9c3,stroke:#ca8a04,color:#111827",
        "  classDef queued fill:#dbeafe,stroke:#3b82f6,color:#111827",
    ]


def test_nothing_at_all() -> None:
    assert list(tree([], [])) == []
    assert list(dot([], EDGES))[-1] == "}"
    assert list(mermaid([], EDGES)) == ["flowchart LR"]


def test_every_status_has_its_colours() -> None:
    assert tuple(sorted(COLOURS)) == tuple(sorted(STATUSES))


LINE = re.compile(r"^[│├└─ ]*(t\d+)(?: \[(?:on failure|always|soft)\])?(?: (\(see (?:above|below)\))$| )")


def drawn(tasks: list[Node], links: list[Edge]) -> tuple[list[str], list[str]]:
    full: list[str] = []
    marked: list[str] = []
    for line in tree(tasks, links):
        found = LINE.match(line)
        assert found is not None
        (marked if found[2] else full).append(found[1])
    return full, marked


@given(nodes, edges)
def test_each_task_once_in_full_and_each_edge_once(tasks: list[Node], links: list[Edge]) -> None:
    full, marked = drawn(tasks, links)
    known = {task for task, _, _ in tasks}
    inner = {(task, need) for task, need, _ in links if task in known and need in known}
    assert Counter(full) == Counter(known)
    # Each edge is a line below its task; a line more for each that is on top.
    tops = sum(not line.startswith(("│", "├", "└", " ")) for line in tree(tasks, links))
    assert len(full) + len(marked) == len(inner) + tops


@given(nodes, edges)
def test_no_title_breaks_a_line_or_moves_the_cursor(tasks: list[Node], links: list[Edge]) -> None:
    for draw in (tree, dot, mermaid):
        for line in draw(tasks, links):
            assert line.isprintable()


def clean(title: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in title).split())


DOT_NODE = re.compile(r'^  "(t\d+)" \[label="((?:[^"\\]|\\.)*)", class="(\w+)", fillcolor="[^"]*", color="[^"]*"\];$')


@given(nodes, edges)
def test_graphviz_reads_the_titles_as_they_are(tasks: list[Node], links: list[Edge]) -> None:
    lines = [line for line in dot(tasks, links) if "[label=" in line and "->" not in line]
    for line, (task, title, status) in zip(lines, tasks, strict=True):
        found = DOT_NODE.match(line)
        assert found is not None
        assert (found[1], found[3]) == (task, status)
        name, _, label = found[2].partition("\\n")
        read = re.sub(r"\\(.)", r"\1", label).replace("&amp;", "&")
        assert (name, read) == (task, clean(title))


MERMAID_NODE = re.compile(r'^  t\d+\["(t\d+)<br/>((?:\w|[ .,:-]|#\d+;)*)"\]:::(\w+)$')


@given(nodes, edges)
def test_mermaid_reads_the_titles_as_they_are(tasks: list[Node], links: list[Edge]) -> None:
    lines = [line for line in mermaid(tasks, links) if '["' in line]
    for line, (task, title, status) in zip(lines, tasks, strict=True):
        found = MERMAID_NODE.match(line)
        assert found is not None
        assert (found[1], found[3]) == (task, status)
        assert "_" not in found[2]
        assert re.sub(r"#(\d+);", lambda number: chr(int(number[1])), found[2]) == clean(title)


def test_long_titles_are_cut_in_diagrams_but_not_in_the_tree() -> None:
    task = ("a", "word " * 30, "queued")
    assert len(next(tree([task], []))) > 150
    assert len(next(line for line in dot([task], []) if "label=" in line)) < 160
    assert "…" in "".join(dot([task], []))


def test_a_chain_of_a_hundred_thousand_goes_on_below() -> None:
    length = 100_000
    tasks = [(f"t{number}", "Work", "queued") for number in range(length)]
    links = [(f"t{number}", f"t{number + 1}", "success") for number in range(length - 1)]
    lines = list(tree(tasks, links))
    assert sum("(queued)" in line for line in lines) == length
    assert max(map(len, lines)) < 120
    assert sum("see below" in line for line in lines) == sum(line.startswith("t") for line in lines) - 1
