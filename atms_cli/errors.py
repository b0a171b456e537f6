"""Every error a person or a script can meet: a message, what to do about it, and an exit code."""

#: Exit codes, as documented in docs/reference/exit-codes.md.
EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 3
EXIT_NOT_FOUND = 4
EXIT_CONFLICT = 5
EXIT_NOTHING_TO_DO = 6
EXIT_GATES_FAILED = 7
EXIT_WORK_FAILED = 8
EXIT_UNAVAILABLE = 75
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class AtmsError(Exception):
    """The root: something was refused or failed, nothing was changed."""

    exit_code = EXIT_REFUSED
    code = "refused"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AtmsError):
    """The words of the command are off."""

    exit_code = EXIT_USAGE
    code = "usage"


class NotFoundError(AtmsError):
    """No such task, agent, feature, gate or workspace."""

    exit_code = EXIT_NOT_FOUND
    code = "not_found"


class ConflictError(AtmsError):
    """Somebody else holds it, or it changed meanwhile."""

    exit_code = EXIT_CONFLICT
    code = "conflict"


class NothingToDoError(AtmsError):
    """The queue has nothing to give."""

    exit_code = EXIT_NOTHING_TO_DO
    code = "nothing_to_do"


class GatesFailedError(AtmsError):
    """Required quality gates did not pass."""

    exit_code = EXIT_GATES_FAILED
    code = "gates_failed"


class PromptError(AtmsError):
    """What an agent is to be told cannot be put together."""

    code = "prompt"


class UnavailableError(AtmsError):
    """Try again later: a lock is held, a rate is limited."""

    exit_code = EXIT_UNAVAILABLE
    code = "unavailable"


class InternalError(AtmsError):
    """A bug of ours; a report names it."""

    exit_code = EXIT_INTERNAL
    code = "internal"


class CycleError(AtmsError):
    """A dependency would close a circle; `path` holds it, first id repeated at the end."""

    code = "cycle"

    def __init__(self, path: list[str]) -> None:
        super().__init__(
            "dependencies would form a cycle: " + " -> ".join(path), "remove one of these dependencies first"
        )
        self.path = path


class DamagedError(AtmsError):
    """A file of ours cannot be read as what it should be."""

    code = "damaged"


class NewerError(DamagedError):
    """A file of ours is whole, but of a newer version than this one can read."""
