"""Starts a command in a session of its own: its program, directory, environment, input and output."""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from atms_cli.system.launch import MARKER, OUTER_MARKER
from atms_cli.system.tree import IS_LINUX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from atms_cli.system.launch import Launch

#: What a child must not inherit: Python ignores SIGPIPE, a keeper ignores SIGINT and SIGHUP.
DEFAULT_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}

_STDERR = 2
_SPAWN_ERRORS = {
    errno.ENOEXEC: "not executable: {}; a script must begin with a line such as `#!/bin/sh`",
    errno.ENOENT: "no such interpreter: see the first line of {}",
    errno.EACCES: "not executable: {}",
    errno.E2BIG: "arguments and environment are too long for {}",
}


class UnstartableError(Exception):
    """The command cannot be started, and why."""


def spawn(launch: Launch, before: tuple[str, ...] = ()) -> int:
    """Start a command and give its pid; a program that becomes the command may stand before it.

    Raises:
        UnstartableError: it cannot be started.

    """
    # Input first: if our own descriptors 0 to 2 are closed, no dup2 below overwrites one that a later one needs.
    source = _opened(launch.input or os.devnull, os.O_RDONLY)
    try:
        sink = _opened(launch.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            return _spawn_in_directory(launch, before, source, sink)
        finally:
            os.close(sink)
    finally:
        os.close(source)


def _opened(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, 0o600)
    except (OSError, ValueError) as error:
        raise UnstartableError(f"cannot open {path}: {_reason(error)}") from error


def _spawn_in_directory(launch: Launch, before: tuple[str, ...], source: int, sink: int) -> int:
    # posix_spawn cannot change directory and fork is many times slower, so this process goes there and back.
    home = _opened(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        _enter(launch.cwd)
        program = _program(launch)
        argv = (*before, program, *launch.argv[1:]) if before else launch.argv
        return _posix_spawn(before[0] if before else program, argv, launch, source, sink)
    except ValueError as error:  # a zero byte, an equals sign in the name of a variable
        raise UnstartableError(f"{launch.argv[0]!r}: {error}") from error
    finally:
        os.fchdir(home)
        os.close(home)


def _posix_spawn(program: str, argv: tuple[str, ...], launch: Launch, source: int, sink: int) -> int:
    redirections = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_DUP2, sink, 2)]
    try:
        return os.posix_spawn(
            program,
            argv,
            _environment(launch),
            file_actions=redirections,
            setsid=True,
            setsigmask=(),
            setsigdef=DEFAULT_SIGNALS,
        )
    except OSError as error:
        reason = _SPAWN_ERRORS.get(error.errno or 0, f"{{}}: {error.strerror}")
        raise UnstartableError(reason.format(program)) from error


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except FileNotFoundError as error:
        raise UnstartableError(f"no such directory: {directory}") from error
    except (OSError, ValueError) as error:
        raise UnstartableError(f"cannot enter directory {directory}: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _program(launch: Launch) -> str:
    """Find the file to execute as a shell in the current directory would, given the PATH of the command."""
    name = launch.argv[0] if launch.argv else ""
    path = launch.env.get("PATH", os.defpath)
    places = [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in path.split(":")]
    for place in places:
        if os.access(place, os.X_OK) and not os.path.isdir(place):
            return place
    is_there = name and any(os.path.exists(place) for place in places)
    raise UnstartableError(f"not executable: {name}" if is_there else f"no such program: {name}")


def _environment(launch: Launch) -> dict[str, str]:
    """Mark the environment, and keep the marks of the runs that this one runs within or belongs to."""
    environment = dict(launch.env)
    outer = environment.get(OUTER_MARKER, "").split()
    for within in (environment.get(MARKER, launch.id), launch.id.partition(".")[0]):
        if within not in (launch.id, *outer):
            outer.append(within)
    if outer:
        environment[OUTER_MARKER] = " ".join(outer)
    environment[MARKER] = launch.id
    return environment


def seal_descriptors() -> None:
    """Keep what a caller left open, often a lock of a wrapping script, out of processes that may outlive it."""
    for name in os.listdir("/proc/self/fd" if IS_LINUX else "/dev/fd"):
        if int(name) > _STDERR:
            with contextlib.suppress(OSError):  # the listing's own descriptor is among them, and closed by now
                os.set_inheritable(int(name), False)
