"""Git hooks, by real git: they get in and out without a trace, and judge what is committed and nothing else."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

KILLS = int(os.environ.get("ATMS_KILLS", "25"))


def git(
    atms: Atms,
    *arguments: str,
    code: int = 0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text: str | None = None,
) -> str:
    ended = subprocess.run(  # noqa: TID251  a test stands outside
        ["git", *arguments],
        cwd=cwd or atms.root,
        env={**atms.env, "GIT_CONFIG_GLOBAL": os.devnull, **(env or {})},
        check=False,
        capture_output=True,
        text=True,
        input=text,
        timeout=120,
    )
    assert ended.returncode == code, ended
    return (ended.stdout if not code else ended.stdout + ended.stderr).rstrip("\n")


@pytest.fixture
def repo(repository: Atms) -> Atms:
    atms = repository
    git(atms, "config", "user.email", "ann@example.org")
    git(atms, "config", "user.name", "Ann")
    atms.settings("")
    atms.write("a.txt", "good\n")
    git(atms, "add", "a.txt", "atms.yaml")
    git(atms, "commit", "-qm", "first")
    return atms


def gate(atms: Atms, command: str, stage: str = "pre-commit", name: str = "it") -> None:
    atms.settings(f"gates: {{{name}: {{command: {json.dumps(command)}, stages: [{stage}]}}}}\n")
    git(atms, "add", "atms.yaml")
    git(atms, "commit", "-q", "--no-verify", "-m", "gate")


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return all that a person has in a directory, but for git's objects, which are only added to: mode and content by path."""
    found = {}
    for path in root.rglob("*"):
        if not {".atms", "objects"} & {*path.relative_to(root).parts} and not path.is_dir():
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(root))] = (stat.S_IMODE(path.lstat().st_mode), content)
    return found


def hook(atms: Atms, content: str, name: str = "pre-commit", mode: int = 0o755) -> Path:
    path = atms.write(f".git/hooks/{name}", content)
    path.chmod(mode)
    return path


def commits(atms: Atms) -> int:
    return int(git(atms, "rev-list", "--count", "HEAD"))


# In and out

BEFORE = {
    "none": None,
    "shell": ("#!/bin/sh\necho theirs >> seen\nexit 0\n", 0o750),
    "no first line": ("echo theirs >> seen", 0o755),
    "no end of line": ("#!/bin/bash\nset -eu\necho theirs >> seen", 0o755),
    "python": (f"#!{sys.executable}\nopen('seen', 'a').write('theirs\\n')\n", 0o711),
    "not run": ("#!/bin/sh\nexit 1\n", 0o644),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("stage", ["pre-commit", "pre-push", "commit-msg"])
def test_a_hook_goes_in_beside_what_is_there_and_out_without_a_trace(repo: Atms, before: str, stage: str) -> None:
    there = BEFORE[before]
    if there:
        hook(repo, there[0], stage, there[1])
    gate(repo, "echo ours >> $ATMS_WORKSPACE/seen", stage)
    state = everything(repo.root)
    repo("gate", "install-hook", "--stage", stage)
    installed = everything(repo.root)
    assert installed != state
    assert "already" in repo("gate", "install-hook", "--stage", stage).out
    assert everything(repo.root) == installed

    git(repo, "commit", "-q", "--allow-empty", "-m", "second")
    remote = repo.home / "remote.git"
    git(repo, "init", "-q", "--bare", str(remote))
    git(repo, "push", "-q", str(remote), "HEAD:refs/heads/main")
    theirs = ["theirs"] if there and before != "not run" else []
    assert (repo.root / "seen").read_text().split() == ["ours", *theirs]

    (repo.root / "seen").unlink()
    repo("gate", "uninstall-hook")
    assert {path: each for path, each in everything(repo.root).items() if path.startswith(".git/hooks")} == {
        path: each for path, each in state.items() if path.startswith(".git/hooks")
    }
    assert "did not call atms" in repo("gate", "uninstall-hook", "--stage", stage).out


def test_what_git_says_to_pre_push_reaches_ours_and_theirs(repo: Atms) -> None:
    hook(repo, '#!/bin/sh\nwhile read -r a b c d; do echo "$a $c $1" >> theirs; done\n', "pre-push")
    gate(repo, "git rev-parse HEAD >> $ATMS_WORKSPACE/ours", "pre-push")
    repo("gate", "install-hook", "--stage", "pre-push")
    remote = repo.home / "remote.git"
    git(repo, "init", "-q", "--bare", str(remote))
    git(repo, "remote", "add", "origin", str(remote))
    git(repo, "push", "-q", "origin", "HEAD:refs/heads/one", "HEAD:refs/heads/two")
    assert (repo.root / "theirs").read_text().count("origin") == 2
    assert (repo.root / "ours").read_text().split() == [git(repo, "rev-parse", "HEAD")], "one commit is judged once"
    git(repo, "push", "-q", "origin", ":refs/heads/two")
    git(repo, "push", "-q", "origin", "HEAD:refs/heads/one")
    assert len((repo.root / "ours").read_text().split()) == 1, "a deletion and nothing at all push no commit"
    assert (repo.root / "theirs").read_text().count("origin") == 3


def test_a_link_to_a_script_stays_one(repo: Atms) -> None:
    repo.write("scripts/check", "#!/bin/sh\necho theirs >> seen\n").chmod(0o755)
    (repo.root / ".git/hooks/pre-commit").symlink_to("../../scripts/check")
    gate(repo, "true")
    state = everything(repo.root)
    repo("gate", "install-hook")
    git(repo, "commit", "-q", "--allow-empty", "-m", "second")
    assert (repo.root / "seen").read_text() == "theirs\n"
    (repo.root / "seen").unlink()
    repo("gate", "uninstall-hook")
    after = everything(repo.root)
    assert after[".git/hooks/pre-commit"] == state[".git/hooks/pre-commit"]
    assert after["scripts/check"] == state["scripts/check"]
    assert not [path for path in after if "before-atms" in path]


def test_a_failing_gate_refuses_the_commit_and_theirs_is_not_asked(repo: Atms) -> None:
    hook(repo, "#!/bin/sh\necho theirs >> seen\n")
    gate(repo, "echo what is wrong; false")
    repo("gate", "install-hook")
    before = commits(repo)
    assert "what is wrong" in git(repo, "commit", "-q", "--allow-empty", "-m", "second", code=1)
    assert not (repo.root / "seen").exists()
    git(repo, "commit", "-q", "--allow-empty", "-m", "second", env={"ATMS_SKIP_HOOKS": "1"})
    assert (repo.root / "seen").read_text() == "theirs\n"
    git(repo, "commit", "-q", "--allow-empty", "--no-verify", "-m", "third")
    assert commits(repo) == before + 2


def test_without_atms_nothing_passes_and_the_hook_says_what_to_do(repo: Atms) -> None:
    gate(repo, "true")
    repo("gate", "install-hook")
    path = repo.root / ".git/hooks/pre-commit"
    for gone in ("/nowhere/atms", str(repo.write("broken", "#!/nowhere/python\n"))):
        (repo.root / "broken").chmod(0o755)
        lines = path.read_text().splitlines(keepends=True)
        lines = [f"  atms_program='{gone}'\n" if "atms_program='" in line else line for line in lines]
        path.write_text("".join(lines))
        words = git(
            repo,
            "commit",
            "--allow-empty",
            "-m",
            "second",
            env={"PATH": "/usr/bin:/bin"},
            code=1,
        )
        assert "atms is not there to judge this pre-commit: install it" in words
        assert "ATMS_SKIP_HOOKS=1" in words
    git(repo, "commit", "-q", "--allow-empty", "-m", "second", env={"PATH": "/usr/bin:/bin", "ATMS_SKIP_HOOKS": "1"})


def test_settings_of_all_repositories_are_not_touched(repo: Atms) -> None:
    hooks = repo.home / "hooks for all"
    hooks.mkdir()
    everywhere = repo.home / "gitconfig"
    everywhere.write_text(f'[core]\n\thooksPath = "{hooks}"\n')
    answer = repo("gate", "install-hook", env={"GIT_CONFIG_GLOBAL": str(everywhere)}, code=1)
    assert f"git's global settings have the hooks of more than this repository in {hooks}" in answer.err
    assert not list(hooks.iterdir())
    git(repo, "config", "core.hooksPath", ".githooks")
    answer = repo("gate", "install-hook", env={"GIT_CONFIG_GLOBAL": str(everywhere)})
    assert "commit it" in answer.err
    assert str(repo.env["PATH"].split(":")[0]) not in (repo.root / ".githooks/pre-commit").read_text()


def test_a_new_git_gets_hooks_in_its_settings(repo: Atms) -> None:
    fake = repo.home / "bin" / "git"
    fake.parent.mkdir()
    real = git(repo, "--exec-path") + "/git"
    fake.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo "git version 2.54.0" && exit\nexec "{real}" "$@"\n')
    fake.chmod(0o755)
    env = {"PATH": f"{fake.parent}:{repo.env['PATH']}"}
    gate(repo, "echo ours >> $ATMS_WORKSPACE/seen; false")
    state = everything(repo.root)
    assert "by its settings" in repo("gate", "install-hook", env=env).out
    assert git(repo, "config", "hook.atms-pre-commit.event") == "pre-commit"
    # As git starts it: the command, and the hook's arguments behind it.
    command = git(repo, "config", "hook.atms-pre-commit.command")
    words = ["/bin/sh", "-c", f'{command} "$@"', command]
    ended = subprocess.run(words, cwd=repo.root, env=repo.env, check=False, capture_output=True)  # noqa: TID251
    assert (ended.returncode, (repo.root / "seen").read_text()) == (7, "ours\n")
    (repo.root / "seen").unlink()
    repo("gate", "uninstall-hook", env=env)
    assert everything(repo.root) == state


def test_a_workspace_with_blanks_and_quotes_in_its_path(repo: Atms) -> None:
    place = repo.home / 'it\'s "here" $HOME'
    git(repo, "clone", "-q", str(repo.root), str(place))
    git(repo, "config", "user.email", "ann@example.org", cwd=place)
    git(repo, "config", "user.name", "Ann", cwd=place)
    repo("init", cwd=place)
    (place / "atms.yaml").write_text("gates: {it: {command: 'cat a.txt; ! grep -q bad a.txt', stages: [pre-commit]}}\n")
    repo("gate", "install-hook", cwd=place)
    (place / "a.txt").write_text("bad\n")
    git(repo, "add", ".", cwd=place)
    (place / "a.txt").write_text("good\n")
    assert "bad" in git(repo, "commit", "-m", "second", cwd=place, code=1)
    git(repo, "commit", "-qam", "second", cwd=place)


# What is judged


def test_only_what_is_staged_counts(repo: Atms) -> None:
    gate(repo, "test ! -e untracked.txt && ! grep -q bad a.txt")
    repo("gate", "install-hook")
    repo.write("a.txt", "bad\n")
    git(repo, "add", "a.txt")
    repo.write("a.txt", "good again\n")
    git(repo, "commit", "-m", "second", code=1)
    assert (repo.root / "a.txt").read_text() == "good again\n"
    git(repo, "add", "a.txt")
    repo.write("a.txt", "bad\n")
    repo.write("untracked.txt", "x\n")
    git(repo, "commit", "-qm", "second")
    assert git(repo, "show", "HEAD:a.txt") == "good again"
    assert (repo.root / "a.txt").read_text() == "bad\n"
    assert repo("gate", "run", "--stage", "pre-commit").out.endswith("the gate passed\n")
    assert not list((repo.root / ".atms/staged").iterdir())


def test_commits_of_everything_and_of_a_part(repo: Atms) -> None:
    gate(repo, "git diff --cached --name-only | tee $ATMS_WORKSPACE/.atms/names; cat a.txt; ! grep -q bad a.txt")
    repo("gate", "install-hook")
    names = repo.root / ".atms/names"
    repo.write("a.txt", "bad\n")
    git(repo, "commit", "-qam", "second", code=1)
    assert names.read_text() == "a.txt\n", "a gate that asks git finds what `commit -a` stages"
    repo.write("b.txt", "b\n")
    git(repo, "add", "a.txt", "b.txt")
    git(repo, "commit", "-qm", "second", "b.txt")
    assert names.read_text() == "b.txt\n"
    assert git(repo, "status", "--short") == "M  a.txt"


def test_a_first_commit_an_empty_index_and_files_that_are_only_announced(bare: Atms) -> None:
    atms = bare
    git(atms, "init", "-q")
    atms("init")
    atms.settings("gates: {it: {command: 'ls > $ATMS_WORKSPACE/.atms/names', stages: [pre-commit]}}\n")
    atms("gate", "install-hook")
    env = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    git(atms, "commit", "-q", "--allow-empty", "-m", "nothing", env=env)
    assert (atms.root / ".atms/names").read_text() == ""
    git(atms, "update-ref", "-d", "HEAD")
    atms.write("a.txt", "a\n")
    atms.write("b.txt", "b\n")
    git(atms, "add", "a.txt")
    git(atms, "add", "--intent-to-add", "b.txt")
    git(atms, "commit", "-qm", "first", env=env)
    assert (atms.root / ".atms/names").read_text() == "a.txt\n"


def test_links_modes_renames_deletions_and_line_ends_are_as_in_the_commit(repo: Atms) -> None:
    repo.write(".gitattributes", "*.crlf text eol=crlf\n")
    repo.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    repo.write("old.txt", "old\n" * 20)
    repo.write("gone.txt", "gone\n")
    repo.write("x.crlf", "one\r\n")
    repo.write("weird näme\n.txt", "x\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "more")
    (repo.root / "link").symlink_to("a.txt")
    git(repo, "mv", "old.txt", "new.txt")
    git(repo, "rm", "-q", "gone.txt")
    repo.write("gone.txt", "there again, but not staged\n")
    git(repo, "add", "link")
    repo.write("a.txt", "not staged\n")
    look = "test -L link -a -x run.sh -a -e new.txt -a ! -e old.txt -a ! -e gone.txt && grep -q good link && od -c x.crlf | grep -q '.r'"
    repo.write("atms.yaml", f"gates: {{it: {{command: {json.dumps(look)}, stages: [pre-commit]}}}}\n")
    state = everything(repo.root)
    repo("gate", "run", "--stage", "pre-commit")
    assert everything(repo.root) == state


def test_nothing_is_judged_in_the_middle_of_a_conflict(repo: Atms) -> None:
    gate(repo, "true")
    git(repo, "switch", "-qc", "other")
    repo.write("a.txt", "theirs\n")
    git(repo, "commit", "-qam", "theirs")
    git(repo, "switch", "-q", "-")
    repo.write("a.txt", "ours\n")
    git(repo, "commit", "-qam", "ours")
    git(repo, "merge", "other", code=1)
    assert "in conflict: a.txt" in repo("gate", "run", "--stage", "pre-commit", code=1).err
    repo.write("a.txt", "both\n")
    git(repo, "add", "a.txt")
    repo.write("a.txt", "both, and more\n")
    repo("gate", "install-hook")
    git(repo, "commit", "-qm", "merged")
    assert git(repo, "show", "HEAD:a.txt") == "both"


def test_what_git_ignores_is_at_hand_in_a_copy(repo: Atms) -> None:
    repo.write(".gitignore", "node_modules/\n.env\n__pycache__/\n")
    repo.write("packages/lib/index.txt", "good\n")
    repo.write("node_modules/tool/cli.txt", "tool\n")
    repo.write("node_modules/.bin/keep", "")
    (repo.root / "node_modules/@us").mkdir()
    (repo.root / "node_modules/@us/lib").symlink_to("../../packages/lib")
    repo.write(".env", "SECRET=1\n")
    repo.write("__pycache__/a.pyc", "x")
    repo.write(".tool-cache/.gitignore", "*\n")
    repo.write(".tool-cache/data", "warm\n")
    git(repo, "add", ".")
    gate(
        repo,
        "grep -q SECRET .env && grep -q tool node_modules/tool/cli.txt && grep -q good node_modules/@us/lib/index.txt"
        ' && test ! -e __pycache__ && grep -q warm .tool-cache/data && test -z "$(git status --porcelain)"',
    )
    repo.write("packages/lib/index.txt", "bad\n")
    state = everything(repo.root)
    repo("gate", "run", "--stage", "pre-commit")
    assert everything(repo.root) == state


def test_python_imports_what_is_staged_though_the_working_tree_is_installed(repo: Atms) -> None:
    repo.write(".gitignore", ".venv/\n")
    repo.write("src/pkg/__init__.py", "value = 'good'\n")
    site = repo.root / f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=repo.root, check=True)  # noqa: TID251
    (site / "_pkg.pth").write_text(f"{repo.root}/src\n")
    git(repo, "add", ".")
    gate(repo, ".venv/bin/python -c 'import pkg; print(pkg.__file__); assert pkg.value == \"good\"'")
    repo.write("src/pkg/__init__.py", "value = 'bad'\n")
    repo("gate", "run", "--stage", "pre-commit")
    git(repo, "add", "src")
    repo.write("src/pkg/__init__.py", "value = 'good'\n")
    repo("gate", "run", "--stage", "pre-commit", code=7)


def test_what_gates_say_of_a_copy_is_shown_as_of_the_files_that_people_have(repo: Atms) -> None:
    gate(repo, "pwd; echo $PWD/a.txt:1: wrong; false")
    repo.write("a.txt", "not staged\n")
    answer = repo("gate", "run", "--stage", "pre-commit", code=7)
    assert f"  {repo.root}/a.txt:1: wrong\n" in answer.out
    assert "/staged/" not in answer.out


def test_gates_that_take_files_get_what_is_staged_or_pushed(repo: Atms) -> None:
    gate(repo, "echo {files} > $ATMS_WORKSPACE/.atms/files")
    seen = repo.root / ".atms/files"
    repo.write("new.txt", "x\n")
    repo.write("b c.txt", "x\n")
    git(repo, "add", "new.txt", "b c.txt")
    repo.write("a.txt", "not staged\n")
    repo("gate", "run", "--stage", "pre-commit")
    assert seen.read_text() == "b c.txt new.txt\n"
    repo.settings("gates: {it: {command: 'echo {files} > $ATMS_WORKSPACE/.atms/files', stages: [pre-push]}}\n")
    remote = repo.home / "remote.git"
    git(repo, "init", "-q", "--bare", str(remote))
    git(repo, "remote", "add", "origin", str(remote))
    git(repo, "push", "-q", "origin", "HEAD:refs/heads/main")
    git(repo, "commit", "-qm", "two files")
    git(repo, "commit", "-q", "--allow-empty", "-m", "nothing")
    repo("gate", "install-hook", "--stage", "pre-push")
    git(repo, "push", "-q", "origin", "HEAD:refs/heads/main")
    assert seen.read_text() == "b c.txt new.txt\n", "since what the branch there was"
    seen.unlink()
    git(repo, "update-ref", "refs/remotes/origin/main", "HEAD~2")
    git(repo, "push", "-q", "origin", "HEAD:refs/heads/other")
    assert seen.read_text() == "b c.txt new.txt\n", "since what is known to be there"
    seen.unlink()
    git(repo, "push", "-q", str(remote), "HEAD:refs/heads/third")
    assert "a.txt" in seen.read_text(), "of a remote that nothing is known of all counts as new"


def test_gates_that_change_files_have_judged_something_else(repo: Atms) -> None:
    gate(repo, "sed -i s/x/y/ a.txt && git add a.txt")
    repo("gate", "install-hook")
    repo.write("a.txt", "x\n1\n2\n3\n4\n5\n6\n")
    git(repo, "add", "a.txt")
    repo.write("a.txt", "x\n1\n2\n3\n4\n5\n6\nmine\n")
    answer = git(repo, "commit", "-m", "second", code=1)
    assert (repo.root / "a.txt").read_text() == "x\n1\n2\n3\n4\n5\n6\nmine\n"
    take_over = next(line for line in answer.splitlines() if "take that over" in line).partition("over: ")[2]
    subprocess.run(["/bin/sh", "-c", take_over], cwd=repo.home, env=repo.env, check=True)  # noqa: TID251
    assert (repo.root / "a.txt").read_text() == "y\n1\n2\n3\n4\n5\n6\nmine\n"
    git(repo, "commit", "-qm", "second")
    assert git(repo, "show", "HEAD:a.txt") == "y\n1\n2\n3\n4\n5\n6"
    verdict = repo.json("gate", "run", "--stage", "pre-commit")
    assert (verdict["passed"], verdict["notes"]) == (True, [])


def test_a_formatter_in_the_working_tree_is_seen(repo: Atms) -> None:
    gate(repo, "sed -i s/x/y/ a.txt")
    repo("gate", "install-hook")
    repo.write("a.txt", "x\n")
    git(repo, "add", "a.txt")
    assert "files changed while the gates ran" in git(repo, "commit", "-m", "second", code=1)
    assert git(repo, "diff", "--stat", "--shortstat") != "", "what the formatter did is kept"
    git(repo, "add", "a.txt")
    git(repo, "commit", "-qm", "second")


def test_a_person_may_have_gates_look_at_the_working_tree(repo: Atms) -> None:
    repo.settings(
        "hooks: {tree: working}\ngates: {it: {command: 'grep -q here a.txt', stages: [pre-commit, pre-push]}}\n"
    )
    repo.write("a.txt", "here\n")
    verdict = repo.json("gate", "run", "--stage", "pre-commit")
    assert verdict["passed"]
    assert "gates also see what is not staged, like a.txt" in verdict["notes"][0]
    assert "which is not as what is pushed" in repo.json("gate", "run", "--stage", "pre-push")["notes"][0]
    repo.settings("hooks: {tree: copy}\ngates: {it: {command: 'pwd; grep -q here a.txt', stages: [pre-commit]}}\n")
    git(repo, "add", ".")
    verdict = repo.json("gate", "run", "--stage", "pre-commit")
    assert verdict["passed"]
    assert "/.atms/staged/" in repo.write("x", "").parent.joinpath(verdict["gates"][0]["log"]).read_text()


def test_submodules_are_there_at_the_commit_that_is_staged(repo: Atms) -> None:
    inner = repo.home / "inner"
    inner.mkdir()
    for words in (
        ("init", "-q"),
        ("config", "user.name", "x"),
        ("config", "user.email", "x"),
        ("commit", "-q", "--allow-empty", "-m", "0"),
    ):
        git(repo, *words, cwd=inner)
    (inner / "lib.txt").write_text("lib\n")
    git(repo, "add", ".", cwd=inner)
    git(repo, "commit", "-qm", "lib", cwd=inner)
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "inner")
    git(repo, "commit", "-qm", "submodule")
    gate(repo, 'test -e inner/lib.txt && test -z "$(git status --porcelain)"')
    repo.write("a.txt", "not staged\n")
    repo("gate", "run", "--stage", "pre-commit")
    git(repo, "checkout", "-q", "HEAD^", cwd=repo.root / "inner")
    verdict = repo.json("gate", "run", "--stage", "pre-commit", code=7)
    assert "the submodule inner is not checked out at" in verdict["notes"][0]


# Messages and pushes


def test_a_message_is_judged_where_git_keeps_it(repo: Atms) -> None:
    gate(repo, "grep -qE '^[A-Z]' {message_file} && test {message_file} = \"$ATMS_COMMIT_MSG_FILE\"", "commit-msg")
    repo("gate", "install-hook", "--stage", "commit-msg")
    git(repo, "commit", "-q", "--allow-empty", "-m", "wrong", code=1)
    (repo.root / "sub dir").mkdir()
    git(repo, "commit", "-q", "--allow-empty", "-m", "Right", cwd=repo.root / "sub dir")
    assert "is given the file" in repo("hook", "run", "commit-msg", code=2).err


def test_each_commit_that_is_pushed_is_judged_and_not_the_working_tree(repo: Atms) -> None:
    gate(repo, "git rev-parse HEAD >> $ATMS_WORKSPACE/.atms/judged; ! grep -q bad a.txt", "pre-push")
    repo("gate", "install-hook", "--stage", "pre-push")
    remote = repo.home / "remote.git"
    git(repo, "init", "-q", "--bare", str(remote))
    git(repo, "remote", "add", "origin", str(remote))
    repo.write("a.txt", "bad, but not committed\n")
    git(repo, "push", "-q", "origin", "HEAD:refs/heads/main")
    git(repo, "switch", "-qc", "other")
    git(repo, "commit", "-qam", "bad")
    git(repo, "switch", "-q", "-")
    git(repo, "tag", "-am", "tag", "v1")
    assert "the gate failed" in git(repo, "push", "origin", "other", code=1)
    git(repo, "push", "-q", "origin", "v1", "HEAD:refs/heads/main")
    good, bad = git(repo, "rev-parse", "HEAD"), git(repo, "rev-parse", "other")
    assert (repo.root / ".atms/judged").read_text().split() == [good, bad, good]
    assert git(repo, "ls-remote", "origin", "refs/heads/other") == ""
    repo("gate", "run", "--stage", "pre-push")


# Places


def test_in_a_linked_worktree_its_own_files_are_judged(repo: Atms) -> None:
    gate(repo, "! grep -q bad a.txt")
    place = repo.home / "a worktree"
    git(repo, "worktree", "add", "-qb", "other", str(place))
    repo("gate", "install-hook", cwd=place)
    repo.write("a.txt", "bad\n")
    (place / "a.txt").write_text("fine\n")
    git(repo, "commit", "-qam", "second", cwd=place)
    (place / "a.txt").write_text("bad\n")
    git(repo, "add", "a.txt", cwd=place)
    (place / "a.txt").write_text("fine\n")
    git(repo, "commit", "-qm", "third", cwd=place, code=1)
    git(repo, "commit", "-qam", "third", "--allow-empty", cwd=place)
    git(repo, "commit", "-qam", "second", code=1)


def test_beside_a_bare_repository(repo: Atms) -> None:
    project = repo.home / "project"
    git(repo, "clone", "-q", "--bare", str(repo.root), str(project / ".bare"))
    (project / ".git").write_text("gitdir: ./.bare\n")
    git(repo, "worktree", "add", "-q", "main", cwd=project)
    for name in ("user.name", "user.email"):
        git(repo, "config", name, "x", cwd=project)
    repo("init", cwd=project)
    (project / "atms.yaml").write_text("gates: {it: {command: '! grep -q bad a.txt', stages: [pre-commit]}}\n")
    repo("gate", "install-hook", cwd=project)
    assert (project / ".bare/hooks/pre-commit").exists()
    main = project / "main"
    (main / "a.txt").write_text("bad\n")
    git(repo, "commit", "-qam", "second", cwd=main, code=1)
    git(repo, "add", "a.txt", cwd=main)
    (main / "a.txt").write_text("good\n")
    git(repo, "commit", "-qm", "second", cwd=main, code=1)
    git(repo, "commit", "-qam", "second", "--allow-empty", cwd=main)


def test_hooks_are_put_into_this_repository_from_a_hook_of_another(repo: Atms) -> None:
    other = repo.home / "other"
    git(repo, "init", "-q", str(other))
    told = {"GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": str(other / ".git/index"), "GIT_WORK_TREE": str(other)}
    repo("gate", "install-hook", env=told)
    assert (repo.root / ".git/hooks/pre-commit").exists()
    assert not (other / ".git/hooks/pre-commit").exists()


def test_a_gate_that_commits_does_not_run_the_hook_within_the_hook(repo: Atms) -> None:
    gate(repo, "echo x >> $ATMS_WORKSPACE/.atms/times; git checkout -q --detach; git commit -q --allow-empty -m within")
    repo("gate", "install-hook")
    repo.write("a.txt", "not staged\n")
    git(repo, "commit", "-q", "--allow-empty", "-m", "second")
    assert (repo.root / ".atms/times").read_text() == "x\n"


def test_the_loop_commits_without_asking_hooks_of_ours(repo: Atms) -> None:
    repo.settings(
        "execution: {isolation: worktree}\ngates: {no: {command: 'echo x >> $ATMS_WORKSPACE/.atms/times; false', stages: [pre-commit]}}\n"
    )
    git(repo, "commit", "-qam", "settings")
    repo("gate", "install-hook")
    repo.add("Write it", "--command", "echo b > b.txt")
    repo("run", "--drain")
    assert git(repo, "show", "HEAD:b.txt") == "b"
    assert not (repo.root / ".atms/times").exists()


# Kills

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_copy_is_exactly_what_is_staged(repo: Atms, seed: int) -> None:
    gate(repo, "git write-tree > $ATMS_WORKSPACE/.atms/tree; git diff --stat; git ls-files --others; pwd")
    chance = random.Random(seed)  # noqa: S311  a test
    random_changes(repo, chance)
    git(repo, "add", "--intent-to-add", ".")
    random_changes(repo, chance)
    repo.write("untracked.txt", "x")
    state = everything(repo.root)
    verdict = repo.json("gate", "run", "--stage", "pre-commit")
    assert everything(repo.root) == state
    printed = (repo.root / verdict["gates"][0]["log"]).read_text().splitlines()
    assert len(printed) == 1, printed
    assert "/.atms/staged/" in printed[0]
    assert (repo.root / ".atms/tree").read_text().strip() == git(repo, "write-tree")


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


#: What becomes of a file that was written: what git is told of it, and what is done to it afterwards.
CHANGES: dict[str, tuple[tuple[str, ...], Callable[[Path], object]]] = {
    "write": ((), Path.exists),
    "stage": (("add",), Path.exists),
    "stage a part": (("add",), lambda path: path.write_text("later\n")),
    "delete": (("add",), Path.unlink),
    "stage deletion": (("rm", "-q", "--cached", "--force", "--ignore-unmatch"), Path.exists),
    "link": (("add",), to_link),
    "mode": (("add",), lambda path: path.chmod(0o755)),
    "announce": (("add", "--intent-to-add"), Path.exists),
}


def random_changes(atms: Atms, chance: random.Random) -> None:
    """Change files in every way there is, and stage some of it, some of that in part."""
    for number in range(chance.randrange(3, 9)):
        path = atms.root / f"d{number % 3}" / f"f{number} ä.txt"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(2000)))
        told, done = CHANGES[chance.choice(list(CHANGES))]
        if told:
            git(atms, *told, "--", str(path))
        done(path)


@pytest.fixture
def changed(repo: Atms) -> Iterator[Atms]:
    gate(repo, "find . -type f | sort | head -50; git status --short; sleep 0.05; sed -i s/good/better/ a.txt")
    repo("gate", "install-hook")
    yield repo
    # Commands of a gate outlive whoever killed atms itself.
    repo.kill_all()


def test_kills_at_any_moment_leave_the_working_tree_and_the_index_as_they_were(changed: Atms) -> None:
    atms = changed
    for seed in range(KILLS):
        chance = random.Random(seed)  # noqa: S311  a test
        random_changes(atms, chance)
        state = everything(atms.root)
        child = atms.start("hook", "run", "pre-commit")
        try:
            child.wait(chance.uniform(0.02, 0.6))
        except subprocess.TimeoutExpired:
            child.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        child.wait()
        assert everything(atms.root) == state, seed
    atms("gate", "run", "--stage", "pre-commit", code=7)
    assert not list((atms.root / ".atms/staged").iterdir()), "what kills have left is swept up"
