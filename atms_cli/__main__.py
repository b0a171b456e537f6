"""argv in, exit code out: the only place where an error becomes text and the process ends."""

from __future__ import annotations

import gc
import os
import sys

from atms_cli.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_REFUSED, AtmsError, InternalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: What a shell reports for a program that wrote into a closed pipe (128 + SIGPIPE).
_EXIT_PIPE = 141


def main() -> NoReturn:
    """Run the command in sys.argv and end the process."""
    # Most commands are over before a search for cycles finds any; what runs long turns it on again.
    gc.disable()
    _open_closed_streams()
    code = _guarded(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = _EXIT_PIPE
    except OSError as error:
        os.write(2, f"error: cannot write the output: {error.strerror}\n".encode())
        code = code or 1
    # Finalising the interpreter would cost a tenth of the whole start; nothing of ours waits for it.
    os._exit(code)


def _open_closed_streams() -> None:
    """Put the null device where a standard stream is closed.

    Otherwise a file of ours would get its number, and whatever a child says would be written into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _guarded(arguments: list[str]) -> int:
    try:
        from atms_cli.cli.fastlane import run

        return run(arguments)
    except AtmsError as error:
        _tell(error, arguments)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _EXIT_PIPE
    except OSError as error:
        return _blame(error, arguments) if _is_heard() else EXIT_REFUSED
    except Exception as error:  # noqa: BLE001  a bug must end in a report, not in a traceback on a person's screen
        return _blame(error, arguments)


def _blame(error: Exception, arguments: list[str]) -> int:
    """Say what the surroundings do not let us do; anything else is a bug."""
    if isinstance(error.__cause__, KeyboardInterrupt):
        # Python 3.11 makes a RuntimeError of an interrupt that comes while a class is being made.
        return EXIT_INTERRUPTED
    if isinstance(error, OSError) and _is_of_the_surroundings(error):
        where = f"{error.filename}: " if error.filename else ""
        _tell(AtmsError(f"{where}{error.strerror}", "check permissions and free space"), arguments)
        return EXIT_REFUSED
    if type(error).__module__ == "sqlite3":
        # Loading it only to name its errors would cost every command.
        _tell(AtmsError(f"the index cannot be used: {error}", "build it anew: atms rebuild"), arguments)
        return EXIT_REFUSED
    return _report(arguments)


def _is_of_the_surroundings(error: OSError) -> bool:
    """Return whether there is no room, no right or no working disk, which is no bug of ours."""
    from errno import EACCES, EDQUOT, EIO, EMFILE, ENFILE, ENOSPC, EPERM, EROFS

    return error.errno in (EACCES, EDQUOT, EIO, EMFILE, ENFILE, ENOSPC, EPERM, EROFS)


def _is_heard() -> bool:
    """Return whether what was said so far can be written; if not, `main` says so."""
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _tell(error: AtmsError, arguments: list[str]) -> None:
    if "--json" in arguments:
        from atms_cli.store.jsontext import encode

        record = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
        sys.stderr.write(encode(record) + "\n")
        return
    from atms_cli.cli.render import prose

    sys.stderr.write(prose(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else "")) + "\n")


def _report(arguments: list[str]) -> int:
    """Write what went wrong to a file and name it."""
    import platform
    import tempfile
    import traceback

    from atms_cli import __version__

    report = f"atms {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    report += f"arguments: {arguments}\n\n{traceback.format_exc()}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="atms-report-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(report)
        hint = f"please report it with this file: {file.name}"
    except OSError:
        hint = f"please report it with this:\n{report}"
    _tell(InternalError("atms has a bug and could not go on", hint), arguments)
    return EXIT_INTERNAL


if __name__ == "__main__":
    main()
