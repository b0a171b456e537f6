"""The demonstration's gate: the tests of what a task committed must pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run the tests of the modules that the task's commits touched; return the exit code."""
    task = os.environ["ATMS_TASK_ID"]
    log = ["git", "log", f"--grep=^Task: {task}$", "--name-only", "--format="]
    found = subprocess.run(log, check=True, capture_output=True, text=True)  # noqa: TID251  a program of its own
    names = sorted(set(found.stdout.split()))
    if not names:
        sys.stderr.write("the task committed nothing\n")
        return 1
    stems = {Path(name).stem.removeprefix("test_") for name in names if name.endswith(".py")}
    tests = [f"tests.test_{stem}" for stem in sorted(stems) if Path(f"tests/test_{stem}.py").exists()]
    sys.stdout.write(f"checking {', '.join(names)}: {', '.join(tests) or 'no tests yet'}\n")
    if not tests:
        return 0
    return subprocess.run([sys.executable, "-m", "unittest", *tests], check=False).returncode  # noqa: TID251  likewise


if __name__ == "__main__":
    sys.exit(main())
