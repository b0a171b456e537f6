"""What people have accepted of each gate, as the text of a file that is committed and merges well."""

from __future__ import annotations

from atms_cli.errors import DamagedError, NewerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Finding, JsonObject
    from atms_cli.domain.thresholds import Baseline

#: Beside atms.yaml (docs/decisions/0021-gate-evidence.md).
FILE = ".atms-baseline.json"
_VERSION = 1
_HINT = "restore it from git, or accept anew what gates find: atms gate baseline --update"
_MOST_WORDS = 160


def nothing() -> Baseline:
    """Return the baseline of a gate that has none."""
    return {"findings": {}, "figures": {}}


def parse(text: str) -> dict[str, Baseline]:
    """Return the baselines by gate.

    Raises:
        DamagedError: the file is not one of these, as after a merge that was not resolved.

    """
    import json

    try:
        document = json.loads(text)
        if document["version"] > _VERSION:
            raise NewerError(f"{FILE} is of a newer version of atms", "upgrade atms")
        return {name: _of_gate(about) for name, about in document["gates"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{FILE} cannot be read: {error}", _HINT) from None


def _of_gate(about: Mapping[str, Mapping[str, object]]) -> Baseline:
    found = {str(name): dict(record) for name, record in about.get("figures", {}).items()}  # type: ignore[call-overload]
    return {"findings": {name: str(words) for name, words in about.get("findings", {}).items()}, "figures": found}


def render(baselines: Mapping[str, Baseline]) -> str:
    """Return the text of the file: a line for each finding, in an order of their own, so that two changes seldom meet."""
    import json

    kept = {name: {part: it for part, it in about.items() if it} for name, about in baselines.items()}
    gates = {name: about for name, about in kept.items() if about}
    return json.dumps({"version": _VERSION, "gates": gates}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def accepting(findings: Sequence[Finding], figures: JsonObject) -> Baseline:
    """Return the baseline that accepts what a gate has found just now."""
    kept = {name: figure for name, figure in figures.items() if isinstance(figure, dict)}
    return {"findings": {each["fingerprint"]: _words(each) for each in findings}, "figures": kept}


def _words(finding: Finding) -> str:
    """Return what a person who reads the file recognises a finding by; lines move, so none is named."""
    parts = (finding["level"], finding["rule"], finding["path"] or "", finding["message"])
    return " ".join(part for part in parts if part)[:_MOST_WORDS]


def difference(before: Baseline, after: Baseline) -> tuple[int, int]:
    """Return how many findings are accepted anew, and how many are gone."""
    return len(after["findings"].keys() - before["findings"].keys()), len(
        before["findings"].keys() - after["findings"].keys()
    )
