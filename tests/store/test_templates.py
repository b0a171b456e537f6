"""Templates of prompts: strict, looked through beforehand, and blind to what is filled in."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atms_cli.domain import config as defaults
from atms_cli.domain.prompt import VARIABLES
from atms_cli.errors import PromptError
from atms_cli.store.settings import Settings
from atms_cli.store.templates import Templates, fenced

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str], Templates]


def values(**task: object) -> dict[str, object]:
    """Return all there is, empty but for what is asked."""
    empty: dict[str, object] = {
        name: [] if isinstance(shape, list) else dict.fromkeys(shape, "") for name, shape in VARIABLES.items()
    }
    whole: dict[str, object] = {**dict.fromkeys(map(str, VARIABLES["task"]), ""), **task}
    for name in ("inputs", "outputs", "constraints", "properties"):
        whole.setdefault(name, {})
        whole[name] = whole[name] or {}
    return empty | {"task": whole, "feature": None, "failure": None, "conventions": None}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    templates = Templates(str(tmp_path))

    def written(name: str, text: str) -> Templates:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return templates

    return written


def test_the_built_in_template_names_only_what_there_is(tmp_path: Path) -> None:
    assert Templates(str(tmp_path)).problem("default") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one\n{{ tsk.title }}", "a.md:2: `tsk` is not known; there is: task, feature, dependencies, failure,"),
        ("{{ task.titel }}", "a.md:1: `task.titel` is not known; `task` has: id, title,"),
        ("{{ failure['reson'] }}", "a.md:1: `failure.reson` is not known; `failure` has: reason,"),
        (
            "{% for each in dependencies %}{{ each.name }}{% endfor %}",
            "a.md:1: `each.name` is not known; `each` has: id,",
        ),
        ("{% if task.title %}\n{{ nothing }}{% endif %}", "a.md:2: `nothing` is not known"),
        ("{% if task", "a.md:1: unexpected end of template"),
        ("{{ task.title | shout }}", "a.md:1: No filter named 'shout'"),
        ("{% include 'b.md' %}", "there is no template `b.md`"),
        ("{% extends '../b.md' %}", "`../b.md` does not lie in"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_filled_in(write: Write, text: str, words: str) -> None:
    found = write("a.md", text).problem("a.md")
    assert found is not None
    assert found.startswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "{% for each in dependencies %}{{ each.title }}{% endfor %}{% for each in task.tags %}{{ each.length }}{% endfor %}",
        "{% set task = namespace(mine=1) %}{{ task.mine }}",
        "{% macro cry(task) %}{{ task.mine }}{% endmacro %}{{ cry({'mine': 1}) }}",
        "{% extends 'default' %}{% block conventions %}{{ super() }} Be brief.{% endblock %}",
        "{{ task.properties.anything }}",
    ],
)
def test_what_a_template_makes_itself_may_have_any_members(write: Write, text: str) -> None:
    assert write("a.md", text).problem("a.md") is None


def test_a_mended_template_is_looked_through_again_and_so_are_those_that_extend_it(write: Write) -> None:
    write("base.md", "{{ nothing }}")
    templates = write("a.md", "{% extends 'base.md' %}")
    assert "base.md:1: `nothing`" in str(templates.problem("a.md"))
    write("base.md", "{{ task.title }}, mended")
    assert templates.problem("a.md") is None
    assert templates.render("a.md", values(title="Work")) == "Work, mended\n"
    write("base.md", "{{ task.id }} gone wrong {{ again }}")
    assert templates.problem("a.md") is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n{{ task.properties.owner }}", "a.md:2: 'dict object' has no attribute 'owner'"),
        ("{{ feature.title }}", "a.md:1: 'None' has no attribute 'title'"),
        ("\n\n{{ 1 // 0 }}", "a.md:3: integer division or modulo by zero"),
        ("{% include task.title %}", "there is no template `T`"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'"),
        ("{% for n in range(10 ** 9) %}{% endfor %}", "Range too big"),
    ],
)
def test_what_comes_out_while_it_is_filled_in_is_told_in_words(write: Write, text: str, words: str) -> None:
    with pytest.raises(PromptError) as caught:
        write("a.md", text).render("a.md", values(title="T", properties={}))
    assert words in caught.value.message


@given(st.text())
@example("{{ 7 * 7 }}")
@example("{% raw %}")
@example("{# gone #}")
@example("# line\n{%- if x -%}")
def test_what_a_task_says_is_never_taken_for_a_template(text: str) -> None:
    told = Templates("/nowhere").render(None, values(title="T", description=text, criteria=[text]))
    assert text.strip() in told
    assert f"- {text}".rstrip() in told


@given(st.text(alphabet="`~ \na"))
def test_nothing_in_a_text_ends_its_block(text: str) -> None:
    first, *inner, last = fenced(text).split("\n")
    assert first == last
    assert not any(line.strip().startswith(first) for line in inner)
    assert "\n".join(inner) == text


def test_a_file_of_conventions_is_the_first_there_is(write: Write) -> None:
    templates = write("docs/B.md", "two")
    assert templates.read(["A.md", "docs/B.md"]) == ("docs/B.md", "two")
    assert templates.read(["A.md"]) is None
    with pytest.raises(PromptError):
        templates.read(["/etc/passwd"])


def test_a_setting_that_names_a_bad_template_is_not_written(write: Write, tmp_path: Path) -> None:
    (tmp_path / ".atms").mkdir()
    settings = Settings(str(tmp_path))
    write("a.md", "{{ nothing }}")

    def change(document: dict[str, object]) -> None:
        document["execution"] = {"prompt": "a.md"}

    with pytest.raises(PromptError, match=r"execution\.prompt: a\.md:1: `nothing`"):
        settings.edit(change)
    assert settings.load() == defaults.default()
    write("a.md", "{{ task.title }}")
    settings.edit(change)
    assert settings.load()["execution"]["prompt"] == "a.md"


def test_jinja_is_imported_for_a_prompt_and_not_before() -> None:
    probe = (
        "import sys, atms_cli.loop.forever, atms_cli.services.preview, atms_cli.store.templates as t\n"
        "assert 'jinja2' not in sys.modules\n"
        "assert t.Templates('/nowhere').problem('default') is None\n"
        "assert 'jinja2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)  # noqa: TID251  a fresh interpreter
