"""The demonstration's agent: a stand-in for a coding agent that writes, and commits, real code.

It knows a handful of features by heart. Like any agent of kind `command` it gets its prompt on standard input and its
task in the environment; what it does not know it refuses. The first time it mends the word counter it gets it wrong.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

_SLUGS = '''"""Readable addresses."""

import unicodedata


def slug(title: str) -> str:
    """Return a title as lower-case ASCII words joined by dashes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return "-".join("".join(c if c.isalnum() else " " for c in plain.lower()).split())
'''
_TEST_SLUGS = """import unittest

from textkit.slugs import slug


class SlugTest(unittest.TestCase):
    def test_accents_and_punctuation_go(self) -> None:
        self.assertEqual(slug("Crème brûlée, at last!"), "creme-brulee-at-last")
"""
_DOC_SLUGS = (
    "# Slugs\n\n`textkit.slugs.slug(title)` makes a readable address: `Crème brûlée!` becomes `creme-brulee`.\n"
)
_HASTY_WORDS = '''"""Counting words."""


def count(text: str) -> int:
    """Return the number of words in a text."""
    return len(text.split())
'''
_WORDS = '''"""Counting words."""


def count(text: str) -> int:
    """Return the number of words in a text; a lonely dash is none."""
    return sum(any(character.isalnum() for character in word) for word in text.split())
'''
_READING = '''"""How long an article takes."""

from textkit.words import count

WORDS_PER_MINUTE = 230


def minutes(text: str) -> int:
    """Return the minutes that reading a text takes, one at least."""
    return max(1, round(count(text) / WORDS_PER_MINUTE))
'''
#: Feature and kind of work to the files written for it.
_KNOWN = {
    ("slugs", "Implement"): {"textkit/slugs.py": _SLUGS},
    ("slugs", "Test"): {"tests/test_slugs.py": _TEST_SLUGS},
    ("slugs", "Document"): {"docs/slugs.md": _DOC_SLUGS},
    ("words", "Implement"): {"textkit/words.py": _WORDS},
    ("reading", "Implement"): {"textkit/reading.py": _READING},
}
_THINKING_S = 0.4


def main() -> int:
    """Do the task in the environment; return the exit code."""
    prompt = sys.stdin.read()
    title, feature = os.environ["ATMS_TASK_TITLE"], os.environ["ATMS_FEATURE_ID"].rpartition("_")[2]
    files = _KNOWN.get((feature, title.partition(":")[0]))
    if files is None:
        sys.stderr.write(f"I do not know how to do this: {title}\n")
        return 1
    if feature == "words" and not re.search("attempt before this one failed", prompt):
        files = {"textkit/words.py": _HASTY_WORDS}
    time.sleep(_THINKING_S)
    for name, content in files.items():
        sys.stdout.write(f"writing {name}\n")
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    _commit(title, list(files))
    return 0


def _commit(title: str, names: list[str]) -> None:
    """Commit the files alone, one agent at a time, with the task in a trailer."""
    with Path(".git/demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = f"{title}\n\nTask: {os.environ['ATMS_TASK_ID']}"
        for command in (["add", "--", *names], ["commit", "-q", "--allow-empty", "-m", message, "--", *names]):
            subprocess.run(["git", *command], check=True)  # noqa: TID251  a program of its own, not a part of atms


if __name__ == "__main__":
    sys.exit(main())
