"""Looking a template through before anything is started: its grammar, and that it names nothing that there is not.

What can only be known when it is filled in, such as a member of something that the template has computed, is found then.
"""

from __future__ import annotations

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, meta, nodes  # noqa: TID253

from atms_cli.domain.prompt import VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jinja2.sandbox import SandboxedEnvironment


def look_through(environment: SandboxedEnvironment, name: str, source: Callable[[str], str | None]) -> str | None:
    """Return the first thing that is wrong with a template or with those that it extends or includes, or None."""
    waiting = [name]
    # The list grows while it is walked.
    for each in waiting:
        text = source(each)
        if text is None:
            return _absent(each)
        try:
            tree = environment.parse(text)
            environment.compile(tree, each, each)
        except TemplateError as error:
            return words_of(error, each)
        found = next(_unknown(tree), None)
        if found is not None:
            return f"{each}:{found}"
        waiting += [other for other in meta.find_referenced_templates(tree) if other and other not in waiting]
    return None


def words_of(error: TemplateError, name: str) -> str:
    """Say what Jinja found, and where."""
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or name}:{error.lineno}: {error.message}"
    if isinstance(error, TemplateNotFound):
        return _absent(str(error.name))
    return f"{where(error, name)}: {error.message}"


def _absent(name: str) -> str:
    return f"there is no template `{name}`"


def where(error: Exception, name: str) -> str:
    """Return the template and the line where something went wrong while it was filled in; Jinja puts them into the trace."""
    trace, place = error.__traceback__, name
    while trace is not None:
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _unknown(tree: nodes.Template) -> Iterator[str]:
    """Yield, with their lines, the variables and members that a template names and that there are not."""
    undeclared = meta.find_undeclared_variables(tree) - VARIABLES.keys()
    for node in tree.find_all(nodes.Name):
        if node.name in undeclared:
            yield f"{node.lineno}: `{node.name}` is not known; there is: {', '.join(VARIABLES)}"
    members = _members(tree)
    for line, owner, member in _asked(tree):
        known = members.get(owner)
        if known is not None and member not in known:
            yield f"{line}: `{owner}.{member}` is not known; `{owner}` has: {', '.join(known)}"


def _asked(tree: nodes.Template) -> Iterator[tuple[int, str, str]]:
    """Yield which members of which names a template asks for, with the lines."""
    for attribute in tree.find_all(nodes.Getattr):
        if isinstance(attribute.node, nodes.Name):
            yield attribute.lineno, attribute.node.name, attribute.attr
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.node, nodes.Name) and isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            yield item.lineno, item.node.name, item.arg.value


def _members(tree: nodes.Template) -> dict[str, Mapping[str, str]]:
    """Return the members of each name whose meaning is the same all over the template."""
    found = {name: shape for name, shape in VARIABLES.items() if not isinstance(shape, list)}
    loops: dict[str, set[str]] = {}
    for loop in tree.find_all(nodes.For):
        if isinstance(loop.target, nodes.Name):
            loops.setdefault(loop.target.name, set()).add(loop.iter.name if isinstance(loop.iter, nodes.Name) else "")
    for name, over in loops.items():
        elements = [shape[0] for each in over if isinstance(shape := VARIABLES.get(each), list)]
        if len(elements) == len(over) == 1:
            found[name] = elements[0]
    bound = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"} - loops.keys()
    return {name: shape for name, shape in found.items() if name not in bound}
