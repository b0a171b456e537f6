"""Which gates a project has already: what its own files set up, as commands. Nothing is proposed that is not there."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, TypedDict

    class Proposal(TypedDict):
        """A gate, and the file that it was found in."""

        name: str
        kind: str
        command: str
        source: str

    #: Contents of files by name, as far as they are there.
    Files = Mapping[str, str]

_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_JUSTFILES = ("justfile", "Justfile", ".justfile")
_LEFTHOOKS = ("lefthook.yml", ".lefthook.yml", "lefthook.yaml", ".lefthook.yaml", "lefthook.toml", ".lefthook.toml")
_GOLANGCI = (".golangci.yml", ".golangci.yaml", ".golangci.toml", ".golangci.json")
#: Lock files that say through what the tools of a project are called.
_PYTHON_RUNNERS = {"uv.lock": "uv run ", "poetry.lock": "poetry run ", "pdm.lock": "pdm run "}
_NODE_RUNNERS = {
    "pnpm-lock.yaml": "pnpm run ",
    "yarn.lock": "yarn run ",
    "bun.lock": "bun run ",
    "bun.lockb": "bun run ",
    "package-lock.json": "npm run ",
}
#: All files that are looked at.
NAMES = (
    "pyproject.toml", "setup.cfg", "tox.ini", "noxfile.py", "ruff.toml", ".ruff.toml", "mypy.ini", ".mypy.ini", "pyrightconfig.json",
    "pytest.ini", ".pytest.ini", ".flake8", "requirements-dev.txt", "dev-requirements.txt", "requirements.txt", "package.json", "go.mod",
    "Cargo.toml", "clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml", ".pre-commit-config.yaml", *_GOLANGCI, *_LEFTHOOKS,
    *_MAKEFILES, *_JUSTFILES, *_PYTHON_RUNNERS, *_NODE_RUNNERS,
)  # fmt: skip
#: Names of scripts, targets and recipes that judge, and what they look at. What would change files is not among them.
_TASKS = {
    **dict.fromkeys(("lint", "check-lint", "lint-check"), "lint"),
    **dict.fromkeys(("format-check", "check-format", "fmt-check"), "format"),
    **dict.fromkeys(("format:check", "check:format", "prettier:check"), "format"),
    **dict.fromkeys(("types", "typecheck", "type-check", "check-types", "check:types"), "types"),
    **dict.fromkeys(("test", "tests", "check"), "test"),
    "coverage": "coverage",
    "build": "build",
}
#: What npm puts into a new package.json.
_NO_TEST = "no test specified"


def detect(files: Files, template: str) -> list[Proposal]:
    """Return the gates of a project, from its files by name; those of one template, or of all with `auto`.

    Tools that a project has set up come first; its tox, nox, make and just fill in what those do not look at.
    """
    found = [each for name, look in _ECOSYSTEMS.items() if template in ("auto", name) for each in look(files)]
    if template == "auto":
        kinds = {each["kind"] for each in found}
        found += _first_of_each_kind(each for each in _of_runners(files) if each["kind"] not in kinds)
        found += _of_hooks(files)
    return found


def _first_of_each_kind(proposals: Iterator[Proposal]) -> list[Proposal]:
    first: dict[str, Proposal] = {}
    for each in proposals:
        first.setdefault(each["kind"], each)
    return list(first.values())


def _gate(name: str, kind: str, command: str, source: str) -> Proposal:
    return {"name": name, "kind": kind, "command": command, "source": source}


# Python


def _python(files: Files) -> Iterator[Proposal]:
    tools = _table(_toml(files.get("pyproject.toml")), "tool")
    run = next((prefix for name, prefix in _PYTHON_RUNNERS.items() if name in files), "")
    for name, kind, command, source in (*_of_linters(files, tools), *_of_checkers(files, tools)):
        if source:
            yield _gate(name, kind, f"{run}{command}", source)


def _of_linters(files: Files, tools: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str | None]]:
    ruff = _where("ruff", files, tools, ("ruff.toml", ".ruff.toml"))
    yield "ruff", "lint", "ruff check .", ruff
    if "format" in _ruff(files, tools):
        yield "ruff-format", "format", "ruff format --check .", ruff
    yield "black", "format", "black --check .", "pyproject.toml" if "black" in tools else None
    yield "flake8", "lint", "flake8", _where("flake8", files, {}, (".flake8",))


def _of_checkers(files: Files, tools: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str | None]]:
    mypy = "mypy" if _says_what_to_check(files, tools) else "mypy ."
    yield "mypy", "types", mypy, _where("mypy", files, tools, ("mypy.ini", ".mypy.ini"))
    yield "pyright", "types", "pyright", _where("pyright", files, tools, ("pyrightconfig.json",))
    pytest = _where("pytest", files, tools, ("pytest.ini", ".pytest.ini")) or _asked_for("pytest", files)
    yield "pytest", "test", "pytest -q", pytest
    bandit = "pyproject.toml" if "bandit" in tools else None
    yield "bandit", "security", "bandit -q -c pyproject.toml -r .", bandit


def _where(tool: str, files: Files, tools: Mapping[str, Any], own: Sequence[str]) -> str | None:
    """Return the file that sets a tool up."""
    if tool in tools:
        return "pyproject.toml"
    for name in own:
        if name in files:
            return name
    for name in ("setup.cfg", "tox.ini"):
        if {tool, f"tool:{tool}"} & set(_sections(files.get(name))):
            return name
    return None


def _ruff(files: Files, tools: Mapping[str, Any]) -> Mapping[str, Any]:
    own = next((files[name] for name in ("ruff.toml", ".ruff.toml") if name in files), None)
    return _table(tools, "ruff") if own is None else _toml(own)


def _says_what_to_check(files: Files, tools: Mapping[str, Any]) -> bool:
    """Return whether mypy is told what to look at."""
    said = set(_table(tools, "mypy"))
    for name in ("mypy.ini", ".mypy.ini", "setup.cfg"):
        said |= set(_sections(files.get(name)).get("mypy", ()))
    return bool(said & {"files", "packages", "modules"})


def _asked_for(tool: str, files: Files) -> str | None:
    """Return the file that has a tool among what the project depends on."""
    is_named = re.compile(rf"^{tool}(?![\w-])").match
    project = _toml(files.get("pyproject.toml"))
    if any(is_named(word) for word in _dependencies(project)):
        return "pyproject.toml"
    for name in ("requirements-dev.txt", "dev-requirements.txt", "requirements.txt"):
        if any(is_named(line.strip()) for line in files.get(name, "").splitlines()):
            return name
    return None


def _dependencies(project: Mapping[str, Any]) -> Iterator[str]:
    """Yield the requirements of a pyproject.toml, wherever its builder keeps them."""
    own = _table(project, "project")
    lists = [own.get("dependencies"), *_table(own, "optional-dependencies").values()]
    lists += _table(project, "dependency-groups").values()
    yield from (word for each in lists if isinstance(each, list) for word in each if isinstance(word, str))
    poetry = _table(_table(project, "tool"), "poetry")
    for group in (poetry, {"dependencies": poetry.get("dev-dependencies")}, *_table(poetry, "group").values()):
        yield from _table(group, "dependencies")


# Others


def _node(files: Files) -> Iterator[Proposal]:
    package = _json(files.get("package.json"))
    manager = str(package.get("packageManager", "")).partition("@")[0]
    named = {"pnpm": "pnpm run ", "yarn": "yarn run ", "bun": "bun run "}.get(manager)
    run = named or next((prefix for name, prefix in _NODE_RUNNERS.items() if name in files), "npm run ")
    for script, line in _table(package, "scripts").items():
        if script in _TASKS and _NO_TEST not in str(line) and "--watch" not in str(line):
            name = f"{run.partition(' ')[0]}-{script.replace(':', '-')}"
            yield _gate(name, _TASKS[script], f"{run}{script}", "package.json")


def _go(files: Files) -> Iterator[Proposal]:
    if "go.mod" not in files:
        return
    yield _gate("go-vet", "lint", "go vet ./...", "go.mod")
    yield _gate("go-test", "test", "go test ./...", "go.mod")
    for name in _GOLANGCI:
        if name in files:
            yield _gate("golangci-lint", "lint", "golangci-lint run", name)
            return


def _rust(files: Files) -> Iterator[Proposal]:
    if "Cargo.toml" not in files:
        return
    yield _gate("cargo-test", "test", "cargo test --quiet", "Cargo.toml")
    clippy = next((name for name in ("clippy.toml", ".clippy.toml") if name in files), None)
    if clippy or "clippy" in _table(_toml(files["Cargo.toml"]), "lints"):
        yield _gate("clippy", "lint", "cargo clippy --all-targets", clippy or "Cargo.toml")
    for name in ("rustfmt.toml", ".rustfmt.toml"):
        if name in files:
            yield _gate("rustfmt", "format", "cargo fmt --check", name)
            return


_ECOSYSTEMS: dict[str, Callable[[Files], Iterator[Proposal]]] = {
    "python": _python,
    "node": _node,
    "go": _go,
    "rust": _rust,
}
#: What a workspace may be made from; `generic` has no gates.
TEMPLATES = ("auto", *_ECOSYSTEMS, "generic")


# Runners and hooks


def _of_runners(files: Files) -> Iterator[Proposal]:
    tools = _table(_toml(files.get("pyproject.toml")), "tool")
    if any(name.startswith(("tox", "testenv")) for name in _sections(files.get("tox.ini"))):
        yield _gate("tox", "test", "tox -q", "tox.ini")
    elif "tox" in tools:
        yield _gate("tox", "test", "tox -q", "pyproject.toml")
    if "noxfile.py" in files:
        yield _gate("nox", "test", "nox", "noxfile.py")
    for program, names, pattern in (("make", _MAKEFILES, _TARGET), ("just", _JUSTFILES, _RECIPE)):
        name = next((name for name in names if name in files), None)
        for task in dict.fromkeys(pattern.findall(files[name])) if name else ():
            if task in _TASKS:
                yield _gate(f"{program}-{task}", _TASKS[task], f"{program} {task}", str(name))


_TARGET = re.compile(r"^([A-Za-z][\w-]*)\s*:(?![:=])", re.MULTILINE)
#: Without parameters, for which nobody would know the values.
_RECIPE = re.compile(r"^@?([A-Za-z][\w-]*)\s*:(?!=)", re.MULTILINE)


def _of_hooks(files: Files) -> Iterator[Proposal]:
    if "repos:" in files.get(".pre-commit-config.yaml", ""):
        yield _gate("pre-commit", "lint", "pre-commit run --all-files", ".pre-commit-config.yaml")
    for name in _LEFTHOOKS:
        if re.search(r"^\[?pre-commit\b", files.get(name, ""), re.MULTILINE):
            yield _gate("lefthook", "lint", "lefthook run pre-commit --all-files", name)
            return


# Reading; what cannot be read sets nothing up


def _toml(text: str | None) -> Mapping[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text or "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _json(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sections(text: str | None) -> Mapping[str, Any]:
    from configparser import Error, RawConfigParser

    parser = RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text or "")
    except Error:
        return {}
    return {name: dict(parser[name]) for name in parser.sections()}


def _table(within: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = within.get(name) if isinstance(within, dict) else None
    return found if isinstance(found, dict) else {}
