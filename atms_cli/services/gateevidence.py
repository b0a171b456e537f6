"""What a gate's command has left behind, read and held against the gate's limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from posixpath import normpath

from atms_cli.domain import baseline, figures, gateevidence, hunks, reports, thresholds
from atms_cli.domain import gate as gates
from atms_cli.domain.reports import jsontext
from atms_cli.domain.reports.report import MOST_BYTES, Place, UnreadableError, combined
from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Gate, GateResult, ReportFile
    from atms_cli.domain.redaction import Redactor
    from atms_cli.domain.reports.report import Report
    from atms_cli.domain.thresholds import Baseline, Measure, Thresholds
    from atms_cli.ports import Workspace

#: What a command prints, in place of a path.
OUTPUT = "-"
_WILD = ("*", "?", "[", "{")


class Surroundings:
    """What all gates of a round share: the tree, what has changed in it, and what was accepted before."""

    def __init__(self, ws: Workspace, tree: str, base: str | None) -> None:
        self.tree = tree
        self._ws = ws
        self._base = base

    @cached_property
    def baselines(self) -> Mapping[str, Baseline]:
        """Return what people have accepted, as the workspace has it: whoever works in a worktree does not move it."""
        return self._ws.baselines.read()

    def changed_lines(self, base: str | None) -> Mapping[str, Sequence[range]] | None:
        """Return the lines that the work has added, None if nobody can tell."""
        checkout = self._ws.checkout(self.tree)
        if checkout is None:
            return None
        return hunks.added_lines(checkout.diff(base or self._base or self._fork()))

    def _fork(self) -> str | None:
        """Return the commit that work in a worktree of its own comes back to."""
        main = self._ws.checkout(self._ws.root) if self.tree != self._ws.root else None
        return main.head() if main is not None else None


@dataclass(slots=True)
class Evidence:
    """The reports of one attempt of a gate: looked at before it begins, after each command, and when it has ended."""

    ws: Workspace
    gate: Gate
    directory: str
    reports: str  # the directory that `{reports}` stands for
    log: str
    redactor: Redactor  # of what is read: secrets neither get into results nor to agents
    marks: dict[str, str] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    #: Why nobody knows what was there before.
    trouble: str | None = None

    def __post_init__(self) -> None:
        self.directory = normpath(self.directory)

    @property
    def _limits(self) -> Thresholds:
        limits: Thresholds = self.gate["thresholds"]  # type: ignore[assignment]  # atms.yaml was checked
        return limits

    def begin(self) -> None:
        """Note what lies there already: a report of an earlier run is none of this one."""
        measured = (measure["file"] for measure in self._limits.get("performance", ()) if "file" in measure)
        try:
            paths = [*(path for each in self.gate["reports"] for path in self._paths(each)), *map(self._path, measured)]
        except AtmsError as error:
            self.trouble = error.message
            return
        self.marks = {path: self.ws.report_files.mark(path) for path in paths}

    def sample(self) -> None:
        """Take the figures that the command which has just ended wrote into files."""
        for measure in self._limits.get("performance", ()):
            if "file" in measure:
                self.samples.setdefault(measure["name"], []).extend(self._in_file(measure))

    def _in_file(self, measure: Measure) -> list[float]:
        path = self._path(measure["file"])
        if self.marks.get(path) == self.ws.report_files.mark(path):
            return []
        self.marks[path] = self.ws.report_files.mark(path)
        try:
            content = self._content_of(path)
            pattern, pointer = measure.get("pattern"), measure.get("pointer")
            if pattern is not None:
                return figures.in_text(jsontext.decoded(content), pattern)
            return figures.at_pointer(jsontext.parse(content), pointer or "")
        except (AtmsError, UnreadableError):
            # No figure, which is said to be missing.
            return []

    def weigh(self, result: GateResult, around: Surroundings) -> GateResult:
        """Return a gate's result with what its reports say and how its limits are kept."""
        if result["status"] not in gates.ENDED:
            return result
        place = Place(around.tree, self.directory)
        read, unreadable = self._read(place)
        whole = combined(read, place)
        try:
            facts = self._facts(around)
        except AtmsError as error:
            return gateevidence.weighed(
                result, whole, [*unreadable, error.message], [], thresholds.Facts(baseline.nothing())
            )
        # A report that is missing is said to be; that what it should say is missing too is not worth a word.
        limits = [] if unreadable else thresholds.judge(self._limits, self.gate["kind"], whole, facts)
        return gateevidence.weighed(result, whole, unreadable, limits, facts)

    def _read(self, place: Place) -> tuple[list[Report], list[str]]:
        """Return what the reports say, and a sentence for each that cannot be read."""
        read: list[Report] = []
        unreadable = [] if self.trouble is None else [self.trouble]
        for wanted in self.gate["reports"]:
            try:
                kind = wanted["format"]
                read += [reports.read(self._content(wanted, path), kind, place) for path in self._written(wanted)]
            except (AtmsError, UnreadableError) as error:
                words = error.message if isinstance(error, AtmsError) else str(error)
                unreadable.append(f"report {wanted['path']} cannot be read: {words}")
        return read, unreadable

    def _written(self, wanted: ReportFile) -> list[str]:
        """Return the paths of a report; of several that a glob means, those that this run has written."""
        if not _is_glob(wanted):
            return [self._path(wanted["path"])]
        fresh = [path for path in self._paths(wanted) if self.ws.report_files.mark(path) != self.marks.get(path, "")]
        if not fresh:
            raise AtmsError("none is there that this run has written")
        return fresh

    def _content(self, wanted: ReportFile, path: str) -> bytes:
        if wanted["path"] == OUTPUT:
            return reports.within(self._content_of(self.log), wanted["format"])
        mark = self.ws.report_files.mark(path)
        if mark and mark == self.marks.get(path):
            raise AtmsError("it is of an earlier run, this one has not written it")
        return self._content_of(path)

    def _content_of(self, path: str) -> bytes:
        return self.redactor.content(self.ws.report_files.read(path, MOST_BYTES))

    def _paths(self, wanted: ReportFile) -> list[str]:
        if not _is_glob(wanted):
            return [] if wanted["path"] == OUTPUT else [self._path(wanted["path"])]
        glob = self._path(wanted["path"])
        base = glob[: min(glob.find(sign) for sign in _WILD if sign in glob)].rpartition("/")[0]
        return [f"{base}/{path}" for path, _ in self.ws.report_files.found(base, [glob.removeprefix(f"{base}/")])]

    def _path(self, path: str) -> str:
        filled = path.replace(gates.REPORTS, self.reports)
        return filled if filled.startswith("/") else f"{self.directory}/{filled}"

    def _facts(self, around: Surroundings) -> thresholds.Facts:
        limits = self._limits
        coverage = limits.get("coverage", {})
        return thresholds.Facts(
            around.baselines.get(self.gate["name"], baseline.nothing()),
            around.changed_lines(coverage.get("base")) if "changed" in coverage else None,
            {**self.samples, **self._in_output()},
            [self.ws.report_files.found(self.directory, budget["files"]) for budget in limits.get("sizes", ())],
        )

    def _in_output(self) -> dict[str, list[float]]:
        """Return the figures in what the commands printed, all of them together."""
        wanted = [each for each in self._limits.get("performance", ()) if "file" not in each]
        if not wanted:
            return {}
        text = self._content_of(self.log).decode(errors="replace")
        return {each["name"]: figures.in_text(text, each.get("pattern") or "") for each in wanted}


def _is_glob(wanted: ReportFile) -> bool:
    return any(sign in wanted["path"].replace(gates.REPORTS, "") for sign in _WILD)
