"""The command line as a person or a script has it: real processes in a workspace of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

INSTALLED = Path(sys.executable).parent / "atms"
Child = subprocess.Popen[str]  # noqa: TID251  a test stands outside
PROGRAM = (str(INSTALLED),) if INSTALLED.exists() else (sys.executable, "-m", "atms_cli")
TIMEOUT_S = 120


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401  JSON
        return json.loads(self.out)

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.err)["error"]
        return found

    @property
    def line(self) -> str:
        assert self.out.count("\n") == 1, self
        return self.out.rstrip("\n")

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Atms:
    """`atms` in one workspace, with nothing of the surroundings."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.home = home
        self.children: list[Child] = []
        self.env = {
            "PATH": f"{INSTALLED.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(home),
            "TMPDIR": str(home),
            "USER": "ann",
            "LANG": "C.UTF-8",
        }

    def __call__(
        self,
        *arguments: str | Path,
        code: int | None = 0,
        text: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Answer:
        """Run a command to its end and hold it to an exit code."""
        ended = subprocess.run(  # noqa: TID251  a test stands outside
            [*PROGRAM, *map(str, arguments)],
            cwd=cwd or self.root,
            env={**self.env, **(env or {})},
            input=text if text is not None else "",
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
        answer = Answer(ended.returncode, ended.stdout, ended.stderr)
        assert "Traceback" not in answer.err, answer
        if code is not None:
            assert answer.code == code, (arguments, answer)
        return answer

    def json(self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  JSON
        """Return what a command prints with --json."""
        return self(*arguments, "--json", code=code, env=env).document

    def add(self, title: str, *arguments: str) -> str:
        """Return the id of a new task."""
        return self("task", "add", title, *arguments, "-q").line

    def task(self, task_id: str) -> Any:  # noqa: ANN401  JSON
        """Return a task as it is now."""
        return self.json("task", "show", task_id)

    def statuses(self) -> dict[str, str]:
        """Return each task's status."""
        return {task["id"]: task["status"] for task in self.json("task", "list")}

    def until(self, is_true: Callable[[], object], what: str = "it", timeout_s: float = 60) -> None:
        """Wait until something is true, at most so long."""
        give_up_at = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < give_up_at, f"{what} did not come true"
            time.sleep(0.005)

    def write(self, name: str, content: str) -> Path:
        """Write a file of the workspace."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def settings(self, content: str) -> None:
        """Write atms.yaml."""
        self.write("atms.yaml", content)

    def start(
        self,
        *arguments: str,
        program: tuple[str, ...] = PROGRAM,
        env: Mapping[str, str] | None = None,
        out: int | IO[str] | None = subprocess.PIPE,
    ) -> Child:
        """Start a command and go on."""
        child = subprocess.Popen(  # noqa: TID251  a test stands outside
            [*program, *arguments],
            cwd=self.root,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE if out == subprocess.PIPE else out,
            encoding="utf-8",
        )
        self.children.append(child)
        return child

    def end(self, child: Child) -> Answer:
        """Wait for the end of what was started."""
        out, err = child.communicate(timeout=TIMEOUT_S)
        assert "Traceback" not in (err or ""), err
        return Answer(child.returncode, out or "", err or "")

    def appears(self, name: str, content: str = "", timeout_s: float = 60) -> str:
        """Wait until a file of the workspace exists and holds a text; return what it holds."""
        path = self.root / name

        def there() -> bool:
            return path.exists() and content in path.read_text(encoding="utf-8")

        self.until(there, f"{name} with `{content}`", timeout_s)
        return path.read_text(encoding="utf-8")

    def processes(self, words: str = "") -> list[int]:
        """Return the processes that belong to this workspace and have these words in their command line."""
        return [pid for pid, command in processes(self.root).items() if words in command]

    def kill_keepers(self) -> None:
        """Kill the processes that watch the commands of loops here."""
        for pid in self.processes("keeper.lock"):
            kill(pid)

    def kill_all(self) -> None:
        """Kill all that the workspace has started, whatever it starts meanwhile."""
        # Keepers first: they must not see the end of what they watch.
        self.kill_keepers()
        while found := self.processes():
            for pid in found:
                kill(pid)

    def close(self) -> None:
        """End what a failed test has left, then hold that nothing is left by a good one."""
        left = [child for child in self.children if child.poll() is None]
        for child in left:
            child.kill()
        for child in self.children:
            child.communicate(timeout=TIMEOUT_S)
        survivors = settled_processes(self.root)
        for pid in survivors:
            kill(pid)
        assert not left, f"still running: {[child.args for child in left]}"
        assert not survivors, f"left over: {survivors}"
        reports = [path.read_text() for path in self.home.glob("atms-report-*")]
        assert not reports, "\n".join(reports)


def processes(root: Path) -> dict[int, str]:
    """Return the processes that belong to a workspace: marked with it, or a keeper that holds its files open."""
    marker = f"\0ATMS_WORKSPACE={root}\0".encode()
    lock = f"{root}/.atms/keeper.lock".encode()
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if marker in b"\0" + (entry / "environ").read_bytes() or lock in command:
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def settled_processes(root: Path, patience_s: float = 5) -> dict[int, str]:
    """Return what is left when what was about to end has had its time."""
    give_up_at = time.monotonic() + patience_s
    while (found := processes(root)) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return found


def kill(pid: int) -> None:
    """Kill a process that belongs to a test's workspace."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Atms]:
    """`atms` where there is no workspace yet."""
    root, home = tmp_path / "work", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    atms = Atms(root, home)
    yield atms
    atms.close()


@pytest.fixture
def atms(bare: Atms) -> Atms:
    """`atms` in a fresh workspace with the default settings."""
    bare("init")
    (bare.root / "atms.yaml").unlink()  # checking one takes longer than most commands here
    return bare


@pytest.fixture
def repository(bare: Atms) -> Atms:
    """`atms` in a git repository with one commit and a workspace made by `atms init`."""
    identity = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "Ann"}
    bare.env |= {**identity, "GIT_COMMITTER_EMAIL": "a@b.c"}
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], cwd=bare.root, env=bare.env, check=True)  # noqa: TID251  a test stands outside
    bare("init")
    return bare
