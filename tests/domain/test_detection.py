"""Gates that a project has already: what its files set up, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.domain import gate
from atms_cli.domain.detection import NAMES, TEMPLATES, detect


def commands(files: dict[str, str], template: str = "auto") -> dict[str, str]:
    return {each["name"]: each["command"] for each in detect(files, template)}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, {}),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, {}),
        ({"pyproject.toml": "[tool.ruff]\n"}, {"ruff": "ruff check ."}),
        (
            {
                "pyproject.toml": "[tool.ruff.format]\n[tool.mypy]\nfiles = ['x']\n[tool.pytest.ini_options]\n[tool.bandit]\n"
            },
            {
                "ruff": "ruff check .",
                "ruff-format": "ruff format --check .",
                "mypy": "mypy",
                "pytest": "pytest -q",
                "bandit": "bandit -q -c pyproject.toml -r .",
            },
        ),
        (
            {"setup.cfg": "[tool:pytest]\n[flake8]\n[mypy]\n"},
            {"flake8": "flake8", "mypy": "mypy .", "pytest": "pytest -q"},
        ),
        ({"ruff.toml": "[format]\n"}, {"ruff": "ruff check .", "ruff-format": "ruff format --check ."}),
        ({"pyproject.toml": "[tool.ruff]\n", "uv.lock": ""}, {"ruff": "uv run ruff check ."}),
        ({"pyproject.toml": "[dependency-groups]\ndev = ['pytest>=8', 'pytest-cov']\n"}, {"pytest": "pytest -q"}),
        ({"pyproject.toml": "[dependency-groups]\ndev = ['pytest-cov']\n"}, {}),
        ({"pyproject.toml": "[tool.poetry.group.dev.dependencies]\npytest = '*'\n"}, {"pytest": "pytest -q"}),
        ({"requirements-dev.txt": "pytest==8.0\n"}, {"pytest": "pytest -q"}),
        (
            {
                "package.json": '{"scripts": {"lint": "eslint .", "format": "prettier -w .", "test": "vitest", "build": "tsc", "dev": "x"}}'
            },
            {"npm-lint": "npm run lint", "npm-test": "npm run test", "npm-build": "npm run build"},
        ),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, {}),
        ({"package.json": '{"scripts": {"test": "jest --watch"}}'}, {}),
        (
            {"package.json": '{"scripts": {"format:check": "x"}}', "pnpm-lock.yaml": ""},
            {"pnpm-format-check": "pnpm run format:check"},
        ),
        ({"package.json": '{"packageManager": "yarn@4", "scripts": {"test": "x"}}'}, {"yarn-test": "yarn run test"}),
        ({"go.mod": "module x"}, {"go-vet": "go vet ./...", "go-test": "go test ./..."}),
        ({"Cargo.toml": "[package]"}, {"cargo-test": "cargo test --quiet"}),
        (
            {"Cargo.toml": "[lints.clippy]\n", "rustfmt.toml": ""},
            {
                "cargo-test": "cargo test --quiet",
                "clippy": "cargo clippy --all-targets",
                "rustfmt": "cargo fmt --check",
            },
        ),
        ({".pre-commit-config.yaml": "repos: []\n"}, {"pre-commit": "pre-commit run --all-files"}),
        ({"lefthook.yml": "pre-commit:\n  commands: {}\n"}, {"lefthook": "lefthook run pre-commit --all-files"}),
        ({"lefthook.yml": "commit-msg:\n"}, {}),
        ({"tox.ini": "[testenv]\n", "noxfile.py": ""}, {"tox": "tox -q"}),
        ({"noxfile.py": ""}, {"nox": "nox"}),
        (
            {"Makefile": "X := 1\nlint:\n\truff\ntest: lint\n\tpytest\n.PHONY: x\n"},
            {"make-lint": "make lint", "make-test": "make test"},
        ),
        ({"Makefile": "test := 1\ncheck ::\n"}, {}),
        (
            {"justfile": "lint:\n  x\ntest name:\n  x\n@check:\n  x\n"},
            {"just-lint": "just lint", "just-check": "just check"},
        ),
        (
            {"pyproject.toml": "[tool.ruff]\n", "Makefile": "lint:\ntest:\n"},
            {"ruff": "ruff check .", "make-test": "make test"},
        ),
    ],
)
def test_what_is_found(files: dict[str, str], found: dict[str, str]) -> None:
    assert commands(files) == found
    assert commands(files, "generic") == {}


def test_one_template_looks_at_its_own_tools() -> None:
    files = {"pyproject.toml": "[tool.ruff]\n", "go.mod": "module x", "Makefile": "build:\n"}
    assert [*commands(files, "python")] == ["ruff"]
    assert [*commands(files, "go")] == ["go-vet", "go-test"]
    assert [*commands(files)] == ["ruff", "go-vet", "go-test", "make-build"]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=60)), st.sampled_from(TEMPLATES))
def test_whatever_the_files_hold_what_is_found_can_be_defined(files: dict[str, str], template: str) -> None:
    found = detect(files, template)
    names = [each["name"] for each in found]
    assert len(set(names)) == len(names)
    assert all(each["source"] in files for each in found)
    gate.check({each["name"]: {**gate.DEFAULTS, **each} for each in found})  # type: ignore[typeddict-item]
