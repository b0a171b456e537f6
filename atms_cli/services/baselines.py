"""Accepting what gates find today, so that only what comes on top counts. People do that."""

from __future__ import annotations

from atms_cli.domain import baseline
from atms_cli.domain import gate as gates
from atms_cli.errors import AtmsError, UsageError
from atms_cli.services.gates import run_all
from atms_cli.services.identity import note_settings, people_only
from atms_cli.services.judging import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atms_cli.domain.records import Gate, GateResult, JsonObject
    from atms_cli.domain.thresholds import Baseline
    from atms_cli.ports import Workspace


def shown(ws: Workspace, names: Sequence[str]) -> list[JsonObject]:
    """Return what is accepted of gates: of those named, or of all that have a baseline."""
    accepted = ws.baselines.read()
    wanted = [gate["name"] for gate in gates.named(ws.config["gates"], names)] if names else sorted(accepted)
    return [_told(name, accepted.get(name, baseline.nothing())) for name in wanted]


def _told(name: str, accepted: Baseline) -> JsonObject:
    return {"name": name, "findings": len(accepted["findings"]), "figures": dict(accepted["figures"])}


def update(ws: Workspace, names: Sequence[str], report: Callable[[GateResult], None]) -> list[JsonObject]:
    """Run gates and accept all that they find; what they found before and no longer do is taken out.

    Raises:
        AtmsError: an agent asks, or one of them could not find out anything; then nothing is accepted.

    """
    people_only(ws, "move a baseline", "a person decides what counts as done")
    chosen = _with_something_to_accept(ws, names)
    verdict = run_all(ws, chosen, Scope(ws.tree, reuses=False), report)
    # What they depend on has run too, and is not meant.
    results = [result for result in verdict["gates"] if result["name"] in {gate["name"] for gate in chosen}]
    for result in results:
        _refuse_unknown(result)
    accepted = ws.baselines.read()
    fresh = {result["name"]: baseline.accepting(result["findings"], result.get("figures", {})) for result in results}
    told = [_change(name, accepted.get(name, baseline.nothing()), after) for name, after in fresh.items()]
    ws.baselines.write({**accepted, **fresh})
    note_settings(ws, f"baseline of {', '.join(fresh)} moved")
    return told


def _with_something_to_accept(ws: Workspace, names: Sequence[str]) -> list[Gate]:
    defined = ws.config["gates"]
    chosen = gates.named(defined, names) if names else list(defined.values())
    able = [gate for gate in chosen if gate["reports"] or "performance" in gate["thresholds"]]
    if names and len(able) < len(chosen):
        without = next(gate["name"] for gate in chosen if gate not in able)
        raise UsageError(f"`{without}` has no reports and no figures to accept", "give it some in atms.yaml: `reports`")
    if not able:
        raise UsageError("no gate has reports or figures to accept", "give one some in atms.yaml: `reports`")
    return able


def _refuse_unknown(result: GateResult) -> None:
    if result["status"] not in gates.ENDED or "counts" not in result:
        raise AtmsError(
            f"{result['name']} has found out nothing to accept: {result['reason'] or result['status']}",
            f"nothing was changed; see {result['log']}",
        )
    if result["counts"]["dropped"]:
        raise AtmsError(f"{result['name']} finds too much to accept", "nothing was changed; let it look at less")


def _change(name: str, before: Baseline, after: Baseline) -> JsonObject:
    added, gone = baseline.difference(before, after)
    return {**_told(name, after), "added": added, "gone": gone}
