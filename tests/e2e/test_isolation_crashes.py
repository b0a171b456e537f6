"""Loops that are killed at one git command or another: the next one brings the same work back, once."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Atms

pytest_plugins = ("tests.cli.commandline",)

#: Stands for git: kills the loop, whose process is in `loop`, before or after the command that has the number.
DEADLY = """#!/bin/sh
here={here}
hit=$(flock "$here/lock" sh -c '
    loop=$(cat "$0/loop" 2>/dev/null) || exit
    count=$(($(cat "$0/count" 2>/dev/null || echo 0) + 1)); echo "$count" > "$0/count"
    [ "$count" != {number} ] || {{ echo "$loop"; rm "$0/loop"; }}' "$here")
[ -z "$hit" ] || [ {when} != before ] || kill -9 "$hit"
{git} "$@"; code=$?
[ -z "$hit" ] || [ {when} != after ] || kill -9 "$hit"
exit $code
"""


def git(atms: Atms, *arguments: str) -> str:
    return subprocess.run(  # noqa: TID251  a test stands outside
        ["git", *arguments], cwd=atms.root, env=atms.env, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.skipif(shutil.which("flock") is None, reason="counts with the help of flock(1)")
@pytest.mark.parametrize("policy", ["fast-forward", "rebase"])
@pytest.mark.parametrize(
    ("number", "when"), [(3, "after"), (9, "before"), (16, "after"), (24, "before"), (31, "after")]
)
def test_at_one_git_or_another(repository: Atms, tmp_path: Path, policy: str, number: int, when: str) -> None:
    atms, here, real = repository, tmp_path / "deadly", shutil.which("git")
    git(atms, "config", "user.email", "ann@example.org")
    git(atms, "config", "user.name", "Ann")
    atms.write("a.txt", "a\n")
    atms.settings(
        f"execution: {{isolation: worktree, merge: {policy}, retry_delay: 0.1}}\ngates: {{ok: {{command: 'true'}}}}\n"
    )
    git(atms, "add", "a.txt", "atms.yaml")
    git(atms, "commit", "-qm", "first")
    meanwhile = f'cd "$ATMS_WORKSPACE"; test -e t.txt || {{ echo t > t.txt; {real} add t.txt; {real} commit -qm t; }}'
    atms.add("X", "--command", f"echo x > x.txt; {meanwhile}")
    atms.add("Y", "--command", "echo y > y.txt")
    here.mkdir()
    (here / "git").write_text(DEADLY.format(here=here, number=number, when=when, git=real))
    (here / "git").chmod(0o755)
    loop = atms.start("run", "--drain", "-j", "2", env={"PATH": f"{here}:{atms.env['PATH']}"})
    (here / "loop").write_text(str(loop.pid))
    assert loop.wait() == -9
    atms("run", "--drain")
    assert {*atms.statuses().values()} == {"completed"}
    assert {"x.txt", "y.txt", "t.txt"} <= {*git(atms, "ls-files").split()}
    assert git(atms, "log", "--format=%s").split("\n").count("X") == 1
    left = (
        git(atms, "status", "--short"),
        git(atms, "branch", "--list", "atms/*"),
        git(atms, "worktree", "list").count("\n"),
    )
    assert left == ("", "", 0)
