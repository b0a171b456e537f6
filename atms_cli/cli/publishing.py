"""Verdicts for other programs: files in the forms asked for, and what GitHub Actions shows of a step."""

from __future__ import annotations

from atms_cli.errors import AtmsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.cli.call import Call
    from atms_cli.domain.records import Verdict

#: A step's summary may have 1 MiB; who goes beyond it has none.
_MOST_SUMMARY = 900_000


def wanted(given: Sequence[str]) -> list[tuple[str, str]]:
    """Return forms and paths from `FORMAT=PATH`."""
    pairs: list[tuple[str, str]] = []
    if not given:
        return pairs
    from atms_cli.domain.publishing import WRITERS

    for each in given:
        form, _, path = each.partition("=")
        if form not in WRITERS or not path:
            raise UsageError(
                f"`{each}` is no report to write", f"write it like sarif=PATH; formats: {', '.join(WRITERS)}"
            )
        pairs.append((form, path))
    return pairs


def publish(call: Call, verdict: Verdict, pairs: Sequence[tuple[str, str]]) -> None:
    """Write a verdict in each form asked for, and tell GitHub Actions where it is run by that."""
    is_in_actions = call.environ.get("GITHUB_ACTIONS") == "true"
    if not pairs and not is_in_actions:
        return
    from atms_cli.domain.publishing import WRITERS, github

    for form, path in pairs:
        _write(path, WRITERS[form](verdict), "w")
    if not is_in_actions:
        return
    for line in github.lines(verdict):
        call.say(line)
    summary = call.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        _write(summary, WRITERS["md"](verdict)[:_MOST_SUMMARY] + "\n", "a")


def _write(path: str, text: str, mode: str) -> None:
    try:
        with open(path, mode, encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as error:
        raise AtmsError(
            f"cannot write {path}: {error.strerror}", "the gates have run; see: atms gate results"
        ) from error
