"""The order of gates: what can run now, what is left out, and what has still to wait."""

from __future__ import annotations

from atms_cli.domain import conditions
from atms_cli.domain import gate as gates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atms_cli.domain.conditions import Situation
    from atms_cli.domain.records import Gate, GateResult

#: Why a gate is not run, and that in words.
Skip = tuple[str, str]


def next_steps(
    chosen: Mapping[str, Gate], unbegun: Mapping[str, Gate], results: Mapping[str, GateResult], situation: Situation
) -> Iterator[tuple[Gate, Skip | None]]:
    """Yield those of the gates not begun that wait for nothing any more; with those that are not to be run, why not.

    `chosen` holds with each gate all that it depends on; `situation` has the results as far as they are known.
    """
    for gate in unbegun.values():
        if all(other in results for other in gates.waits_for(chosen, gate) if other in chosen):
            yield gate, _why_left_out(chosen, results, gate, situation)


def _why_left_out(
    chosen: Mapping[str, Gate], results: Mapping[str, GateResult], gate: Gate, situation: Situation
) -> Skip | None:
    for need in gates.needs_of(chosen, gate):
        if not gates.counts_as_passed(results[need]):
            return "need", f"{need} did not pass"
    holds, why = conditions.judge(gate["when"], situation)
    if holds is False:
        is_about_changes = [*gate["when"]] == ["paths"]
        return ("unchanged" if is_about_changes else "condition"), why
    return None
