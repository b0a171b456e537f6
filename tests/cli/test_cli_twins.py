"""The fast lane and Typer on twin workspaces: the same command lines leave the same output, exit codes and journals."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atms_cli import __main__ as program
from atms_cli import bootstrap
from atms_cli.cli import fastlane
from atms_cli.store import creation
from tests.fakes import CountingIds, FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = st.sampled_from(["t1", "t2", "t3", "t", "nobody", ""])
TEXTS = st.sampled_from(["x", "two words", "-", "@missing", "ü"])
PRIORITIES = st.sampled_from(["high", "low", "urgent"])
#: Verbs with what they take; an option is added to any of them now and then.
VERBS = st.one_of(
    st.tuples(st.just("task add"), TEXTS),
    st.tuples(st.sampled_from(["task show", "task start", "task done", "task release", "task heartbeat", "queue explain"]), IDS),
    st.tuples(st.sampled_from(["task claim", "task retry", "task reopen", "task cancel", "task fail", "log"]), IDS),
    st.tuples(st.sampled_from(["task update", "task start", "task done"]), IDS, IDS),
    st.tuples(st.sampled_from(["agent register", "agent heartbeat", "agent show", "agent remove"]), st.sampled_from(["a", "b"])),
    st.tuples(st.sampled_from(["queue next", "queue status", "queue list", "queue pause", "queue resume", "status", "task list"])),
    st.tuples(st.sampled_from(["task claim", "agent list", "log", "undo", "nonsense", "task", "version", "task list --ready"])),
)  # fmt: skip
OPTIONS = st.one_of(
    st.sampled_from(["--json", "-q", "--quiet", "--yes", "--no-input", "--bogus", "--force", "--draft", "--color=never"]).map(
        lambda word: [word]
    ),
    st.tuples(st.sampled_from(["-p", "--priority"]), PRIORITIES).map(list),
    st.tuples(st.sampled_from(["--after", "--parent", "--on"]), IDS).map(list),
    st.tuples(st.sampled_from(["--title", "--reason", "--note", "-t", "--agent", "-d"]), TEXTS).map(list),
    st.tuples(st.sampled_from(["--limit", "--retries", "--lease", "--deadline"]), st.sampled_from(["3", "1h", "x"])).map(list),
)  # fmt: skip
LINES = st.lists(
    st.tuples(VERBS, st.lists(OPTIONS, max_size=2)).map(
        lambda line: [*line[0][0].split(), *line[0][1:], *(word for option in line[1] for word in option)]
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


class Twin:
    """A workspace whose time and ids depend on nothing but what was done in it."""

    def __init__(self, root: Path, *, by_typer: bool) -> None:
        self.root = root
        root.mkdir()
        creation.create(str(root))
        self._by_typer = by_typer
        self._clock, self._ids = FakeClock(), CountingIds()

    def __call__(self, arguments: list[str]) -> tuple[int, str, str]:
        self._clock.advance(1)
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(self.root)
            patch.setenv("USER", "ann")
            patch.setattr("sys.stdin", io.StringIO("said on standard input"))
            patch.setattr(bootstrap, "SystemClock", lambda: self._clock)
            patch.setattr(bootstrap, "RandomIds", lambda: self._ids)
            if self._by_typer:
                patch.setattr(fastlane, "match", lambda _: None)
            code = program._guarded(arguments)  # noqa: SLF001  the program without its end
        return code, self._plain(out), self._plain(err)

    def _plain(self, stream: io.StringIO) -> str:
        return stream.getvalue().replace(str(self.root), "ROOT")

    def journal(self) -> dict[str, bytes]:
        root = self.root / ".atms" / "journal"
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.glob("*/*"))}


@pytest.fixture(scope="module")
def directories() -> Iterator[Iterator[Path]]:
    with tempfile.TemporaryDirectory() as name:
        yield (Path(os.path.realpath(name)) / str(number) for number in count())


@settings(max_examples=60)
@given(lines=LINES)
def test_both_lanes_come_to_the_same(directories: Iterator[Path], lines: list[list[str]]) -> None:
    place = next(directories)
    place.mkdir()
    fast, slow = Twin(place / "fast", by_typer=False), Twin(place / "slow", by_typer=True)
    for line in [["task", "add", "first"], ["task", "add", "second", "--after", "t1"], *lines]:
        assert fast(line) == slow(line), line
    assert fast.journal() == slow.journal()
