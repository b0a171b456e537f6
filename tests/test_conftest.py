"""The tripwire itself: tests have no home."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

REAL_HOME = pwd.getpwuid(os.getuid()).pw_dir


def test_home_cannot_be_written_or_read(no_home: Path) -> None:
    assert Path("~").expanduser() == no_home
    with pytest.raises(NotADirectoryError):
        (no_home / ".atms").mkdir()
    with pytest.raises(NotADirectoryError):
        (no_home / ".gitconfig").read_text()


def test_child_processes_have_no_home_either() -> None:
    program = "import pathlib; pathlib.Path('~/.atms').expanduser().mkdir()"
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)  # noqa: TID251  a test stands outside
    assert "NotADirectoryError" in ended.stderr


@pytest.mark.skipif(not os.path.isdir(REAL_HOME), reason="this user has no home directory")
def test_the_home_of_the_password_file_is_guarded_too() -> None:
    touches: tuple[Callable[[Path], object], ...] = (
        lambda path: path.mkdir(),
        lambda path: path.write_text("mine"),
        lambda path: path.unlink(),
        lambda path: path.with_name("other").rename(path),
    )
    for touch in touches:
        with pytest.raises(pytest.fail.Exception, match="real home"):
            touch(Path(REAL_HOME) / ".atms-tripwire-test")
    assert not (Path(REAL_HOME) / ".atms-tripwire-test").exists()


def test_other_places_stay_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("fine")
    with open(os.devnull, "w", encoding="utf-8") as sink:
        sink.write("fine")
