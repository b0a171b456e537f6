"""What gates have found so far, and how they have done."""

from __future__ import annotations

from atms_cli.domain import gatehistory
from atms_cli.errors import AtmsError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from atms_cli.domain.records import GateResult, JsonObject
    from atms_cli.ports import ResultFilter, Workspace

_EVERYTHING: ResultFilter = {"gate": None, "status": None, "task": None, "run": None, "limit": 1}
#: A verdict has no more findings than that takes.
_MOST_BYTES = 256 * 1024 * 1024
#: So many results of each gate tell how it does.
LOOKED_AT = 200


def listed(ws: Workspace, named: str | None, *, gate: str | None, status: str | None, limit: int) -> list[JsonObject]:
    """Return the newest results of gates, newest first: all, or those of a run or a task.

    Raises:
        NotFoundError: there is neither a run nor a task of that name, or there never was such a gate.

    """
    read = ws.store.reading()
    wanted: ResultFilter = {**_EVERYTHING, "gate": gate, "status": status, "limit": limit}
    if gate is not None and not read.gate_results({**_EVERYTHING, "gate": gate}):
        _check_is_defined(ws, gate)
    if named is None:
        return read.gate_results(wanted)
    if read.gate_results({**_EVERYTHING, "run": named}):
        return [_with_findings(ws, each) for each in read.gate_results({**wanted, "run": named})]
    try:
        return read.gate_results({**wanted, "task": read.resolve(named)})
    except NotFoundError:
        raise NotFoundError(f"no run of gates and no task `{named}`", "see them all: atms gate results") from None


def _with_findings(ws: Workspace, result: JsonObject) -> JsonObject:
    """Return a result with all that was found, if the files of its run are here."""
    whole = next((each for each in _verdict(ws, str(result["run"])) if each["name"] == result["name"]), None)
    if whole is None:
        return result
    return {**result, "findings": whole["findings"], "limits": whole.get("limits", [])}


def in_full(ws: Workspace, result: GateResult) -> GateResult:
    """Return a result of which the journal has kept little with all that was found, if the files of its run are here."""
    run = str(result["log"]).rsplit("/", 2)[-2] if result["log"] and "/" in result["log"] else ""
    return next((each for each in _verdict(ws, run) if each["name"] == result["name"]), result) if run else result


def _verdict(ws: Workspace, run: str) -> Sequence[GateResult]:
    from json import loads

    try:
        found = loads(ws.report_files.read(ws.run_files.path(run, gatehistory.VERDICT_FILE), _MOST_BYTES))
    except (AtmsError, ValueError):
        # Another clone's, or cleared away.
        return []
    gates: Sequence[GateResult] = found["gates"] if isinstance(found, dict) else []
    return gates


def statistics(ws: Workspace, names: Sequence[str]) -> list[JsonObject]:
    """Return how gates have done lately: those named, or all that are defined.

    Raises:
        NotFoundError: there never was such a gate.

    """
    found: list[JsonObject] = []
    for name in names or list(ws.config["gates"]):
        results = ws.store.reading().gate_results({**_EVERYTHING, "gate": name, "limit": LOOKED_AT})
        if not results:
            _check_is_defined(ws, name)
        found.append({"name": name, **gatehistory.statistics(results)})
    return found


def _check_is_defined(ws: Workspace, name: str) -> None:
    if name not in ws.config["gates"]:
        known = ", ".join(ws.config["gates"]) or "none is defined"
        raise NotFoundError(f"no gate `{name}`", f"known gates: {known}")
