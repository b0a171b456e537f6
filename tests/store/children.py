"""Work in processes that may die: a fresh interpreter that forks, so that a test can afford thousands of deaths.

A test's own process has threads, which a fork would not bring along; hence the interpreter between.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, Popen  # noqa: TID251  a test stands outside
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
#: What a child ends with if what it did raised an error.
RAISED = 99


def alone(
    function: Callable[..., object],
    *arguments: object,
    env: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Any:  # noqa: ANN401  JSON
    """Call a function of a module in an interpreter of its own, in which nothing else runs; return what it returns."""
    name = f"{function.__module__}:{function.__qualname__}"
    command = [*within, sys.executable, "-m", "tests.store.children", name, json.dumps(arguments, default=str)]
    with Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=PIPE, stderr=PIPE, text=True) as child:
        try:
            out, err = child.communicate()
        except BaseException:
            child.kill()
            raise
    assert child.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def forked(work: Callable[[], object]) -> int:
    """Do something in a child and return what it ended with: 0, or `RAISED`, or whatever killed it."""
    return ended(begun(work))


def begun(work: Callable[[], object]) -> int:
    """Return the child that does something."""
    child = os.fork()
    if child:
        return child
    code = RAISED
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001  nothing may get out of a child into the parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Wait for the end of a child; return its exit code, or the negative number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    module, _, function_name = sys.argv[1].partition(":")
    print(json.dumps(getattr(import_module(module), function_name)(*json.loads(sys.argv[2]))))  # noqa: T201
