"""What all tests share: a home directory that nobody may touch, and Hypothesis without a stopwatch."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Timing belongs to the benchmarks; here it only makes tests fail on a busy machine.
settings.register_profile("atms", deadline=None, derandomize=True)
# What no run has tried yet: HYPOTHESIS_PROFILE=search pytest tests/domain
settings.register_profile("search", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "atms"))

_REAL_HOME = os.path.realpath(Path.home())
#: Below these the tests live, also on a machine where they lie in somebody's home.
_ALLOWED = tuple(
    os.path.realpath(path)
    for path in (Path(__file__).parents[1], sys.prefix, sys.base_prefix, tempfile.gettempdir(), os.devnull)
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Audit events by which files change, with the positions of the paths in their arguments.
_CHANGES = {
    "os.mkdir": (0,), "os.rmdir": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,),
    "os.truncate": (0,), "os.chmod": (0,), "shutil.rmtree": (0,), "sqlite3.connect": (0,),
}  # fmt: skip
_armed: list[bool] = []


def pytest_configure() -> None:
    """Let SIGINT reach what tests start: a shell ignores it for what it runs in the background, and children inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _tripwire(event: str, arguments: tuple[object, ...]) -> None:
    if not _armed:
        return
    if event == "open":
        touched = arguments[:1] if isinstance(arguments[2], int) and arguments[2] & _WRITING else ()
    else:
        touched = tuple(arguments[place] for place in _CHANGES.get(event, ()))
    for path in touched:
        if isinstance(path, str | bytes | os.PathLike) and _is_in_real_home(os.fsdecode(path)):
            pytest.fail(f"a test touched the real home directory: {event} {path!r}")


def _is_in_real_home(path: str) -> bool:
    real = os.path.realpath(path)
    return _is_below(real, _REAL_HOME) and not any(_is_below(real, allowed) for allowed in _ALLOWED)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


sys.addaudithook(_tripwire)


@pytest.fixture(scope="session", autouse=True)
def no_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the home directory a plain file, for child processes too, so that nothing can be read or written below it."""
    home = tmp_path_factory.mktemp("home") / "not-a-directory"
    home.write_text("tests have no home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in [name for name in os.environ if name.startswith(("XDG_", "ATMS_", "GIT_"))]:
            patch.delenv(name)
        _armed.append(True)
        yield home
        _armed.clear()
