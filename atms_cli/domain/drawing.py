"""Tasks and what they need as pictures: a tree of text, Graphviz's DOT, Mermaid's flowchart.

In the tree a task stands above what it needs; in the diagrams arrows point the way work goes, from what is needed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Id, title and status of a task.
Node = tuple[str, str, str]
#: A task, the one it needs, and how: success, failure, always or soft. Both are among the tasks, or it is not drawn.
Edge = tuple[str, str, str]

#: Status to the colours of its box: inside, and border.
COLOURS = {
    "created": ("#f3f4f6", "#9ca3af"),
    "queued": ("#dbeafe", "#3b82f6"),
    "assigned": ("#e0e7ff", "#6366f1"),
    "in_progress": ("#fef9c3", "#ca8a04"),
    "validating": ("#ffedd5", "#ea580c"),
    "review": ("#f3e8ff", "#9333ea"),
    "blocked": ("#fce7f3", "#db2777"),
    "completed": ("#dcfce7", "#16a34a"),
    "failed": ("#fee2e2", "#dc2626"),
    "cancelled": ("#e5e7eb", "#6b7280"),
    "archived": ("#e5e7eb", "#6b7280"),
}
_OTHER_COLOURS = ("#ffffff", "#000000")
_WORDS = {"success": "", "failure": "on failure", "always": "always", "soft": "soft"}
_DASHED = ("failure", "soft")
#: What is deeper goes on below, from the left again: a chain of thousands would be wider than anybody can read.
_MOST_INDENT = 4 * 20
_TITLE_LENGTH = 60


def tree(tasks: Sequence[Node], edges: Sequence[Edge]) -> Iterator[str]:
    """Yield the lines of a tree: on top what nothing else needs, each task in full once, and marked where it comes again."""
    nodes = {task: (title, status) for task, title, status in tasks}
    needs = _needs(nodes, edges)
    needed = {need for found in needs.values() for need in found}
    drawn: set[str] = set()
    # After the tops, what is in circles alone: nothing there is on top.
    for top in [*(task for task in nodes if task not in needed), *nodes]:
        # The list grows while it is walked: what is too deep waits at its end.
        starts = [top]
        for start in starts:
            if start not in drawn:
                yield from _branches(start, nodes, needs, drawn, starts)


def _needs(nodes: Mapping[str, tuple[str, str]], edges: Sequence[Edge]) -> dict[str, dict[str, str]]:
    """Return for each task what it needs and how, in the order given."""
    found: dict[str, dict[str, str]] = {task: {} for task in nodes}
    for task, need, kind in edges:
        if task in nodes and need in nodes:
            found[task].setdefault(need, kind)
    return found


def _branches(
    start: str,
    nodes: Mapping[str, tuple[str, str]],
    needs: Mapping[str, Mapping[str, str]],
    drawn: set[str],
    starts: list[str],
) -> Iterator[str]:
    # Task, kind of the edge to it, what stands before it, and what stands before those below it.
    waiting = [(start, "success", "", "")]
    while waiting:
        task, kind, lead, below = waiting.pop()
        how = f" [{_WORDS.get(kind, kind)}]" if _WORDS.get(kind, kind) else ""
        if task in drawn:
            yield f"{lead}{task}{how} (see above)"
        elif needs[task] and len(below) >= _MOST_INDENT:
            starts.append(task)
            yield f"{lead}{task}{how} (see below)"
        else:
            drawn.add(task)
            title, status = nodes[task]
            yield f"{lead}{task}{how} {_clean(title)} ({status.replace('_', ' ')})"
            waiting.extend(_below(needs[task], below))


def _below(needs: Mapping[str, str], before: str) -> list[tuple[str, str, str, str]]:
    """Return what is drawn below a task, the last first, as a stack has it."""
    found = [(need, kind, f"{before}├── ", f"{before}│   ") for need, kind in needs.items()]
    if found:
        need, kind, _, _ = found[-1]
        found[-1] = need, kind, f"{before}└── ", f"{before}    "
    return found[::-1]


def _clean(title: str) -> str:
    """Return a title without what moves the cursor, breaks the line or turns its direction."""
    return " ".join("".join(character if character.isprintable() else " " for character in title).split())


def _short(title: str) -> str:
    clean = _clean(title)
    return clean if len(clean) <= _TITLE_LENGTH else clean[: _TITLE_LENGTH - 1].rstrip() + "…"


def dot(tasks: Sequence[Node], edges: Sequence[Edge]) -> Iterator[str]:
    """Yield the lines of a digraph for Graphviz."""
    yield "digraph tasks {"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fontname="sans-serif"];'
    for task, title, status in tasks:
        inside, border = COLOURS.get(status, _OTHER_COLOURS)
        label = f'"{_in_dot(task)}\\n{_in_dot(_short(title))}"'
        yield f'  "{_in_dot(task)}" [label={label}, class="{_in_dot(status)}", fillcolor="{inside}", color="{border}"];'
    for task, need, kind in _known(tasks, edges):
        words = _WORDS.get(kind, kind)
        look = [*([f'label="{_in_dot(words)}"'] if words else []), *(["style=dashed"] if kind in _DASHED else [])]
        yield f'  "{_in_dot(need)}" -> "{_in_dot(task)}"' + (f" [{', '.join(look)}];" if look else ";")
    yield "}"


def _in_dot(text: str) -> str:
    # Graphviz reads `\N` as the name of the node, and `&lt;` as a character.
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _known(tasks: Sequence[Node], edges: Sequence[Edge]) -> Iterator[Edge]:
    nodes = {task: (title, status) for task, title, status in tasks}
    for task, found in _needs(nodes, edges).items():
        for need, kind in found.items():
            yield task, need, kind


def mermaid(tasks: Sequence[Node], edges: Sequence[Edge]) -> Iterator[str]:
    """Yield the lines of a flowchart for Mermaid; the boxes have names of their own, since it stumbles over `end`."""
    yield "flowchart LR"
    names = {task: f"t{place}" for place, (task, _, _) in enumerate(tasks)}
    for task, title, status in tasks:
        look = f":::{status}" if status in COLOURS else ""
        yield f'  {names[task]}["{_in_mermaid(task)}<br/>{_in_mermaid(_short(title))}"]{look}'
    for task, need, kind in _known(tasks, edges):
        words = _WORDS.get(kind, kind)
        arrow = ("-.->" if kind in _DASHED else "-->") + (f'|"{_in_mermaid(words)}"|' if words else "")
        yield f"  {names[need]} {arrow} {names[task]}"
    for status in sorted({status for _, _, status in tasks} & COLOURS.keys()):
        inside, border = COLOURS[status]
        yield f"  classDef {status} fill:{inside},stroke:{border},color:#111827"


def _in_mermaid(text: str) -> str:
    """Write as its number every character that could be of the syntax, of HTML or of Markdown."""
    return "".join(
        character if character.isalnum() or character in " -.,:" else f"#{ord(character)};" for character in text
    )
