"""One round of gates over one piece of work: which run now, and what each end means.

A round starts nothing and waits for nothing: it gives commands to whoever runs them, the loop or a person's command, and
hears of their ends. So whatever way work comes to be called done, the same code has judged it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from atms_cli.domain import gate as gates
from atms_cli.domain import gateplan, moment
from atms_cli.errors import AtmsError
from atms_cli.services import gatefiles
from atms_cli.services.surroundings import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from atms_cli.domain.conditions import Situation
    from atms_cli.domain.records import Gate, GateResult, JsonObject, Task, Verdict
    from atms_cli.domain.redaction import Redactor
    from atms_cli.ports import Workspace
    from atms_cli.services.gateevidence import Evidence, Surroundings

#: Of what tells the content apart that a gate looked at, so much is kept with its result.
_CONTENT = 16


@dataclass(frozen=True, slots=True)
class Scope:
    """The work that is judged, and how."""

    tree: str
    task: Task | None = None
    #: Paths that differ from what the work began with; None if nobody knows.
    changed: Sequence[str] | None = None
    #: Whether gates that take files get only those that changed.
    is_narrowed: bool = False
    #: Whether an earlier pass of the same work counts.
    reuses: bool = True
    #: What the changes are against; None: the last commit, or what a worktree of its own comes back to.
    base: str | None = None
    #: For which stage it is judged, if for one.
    stage: str | None = None
    #: Who approved the work, and when.
    approval: JsonObject | None = None


@dataclass(slots=True)
class _Try:
    """A gate at work: the commands of this attempt that have not begun, and how those before ended."""

    gate: Gate
    commands: Sequence[Sequence[str]]
    log: str  # the file name of its output
    key: str  # under which a pass may be kept; empty if it may not
    number: int = 1
    left: list[Sequence[str]] = field(default_factory=list)
    outcomes: list[JsonObject] = field(default_factory=list)
    evidence: Evidence | None = None
    duration_s: float = 0.0


class Round:
    """Gates, their order, and the results so far; `begin`, then `ended` for each command, until `is_over`."""

    def __init__(self, ws: Workspace, chosen: Sequence[Gate], run: str, scope: Scope) -> None:
        self.results: dict[str, GateResult] = {}
        self._ws = ws
        self._run = run
        self._token = ws.ids.token()
        self._scope = scope
        self._news: list[GateResult] = []
        self._chosen = {gate["name"]: gate for gate in chosen}
        self._tries: dict[str, _Try] = {}  # by the id of the command at work
        self._waiting: list[_Try] = []
        self._unbegun = dict(self._chosen)
        self._run_files = ws.run_files
        self._left_over = set(self._run_files.names(run))
        self._environ = environment(ws.environ, {"ATMS_WORKSPACE": ws.root})
        self._at_once = ws.config["execution"]["gate_jobs"] or ws.runner.processors()
        self._files = gatefiles.Files(ws, scope.tree)
        self._is_stopped, self._why_stopped = False, ""
        self._around: Surroundings | None = None
        self._keys: dict[str, str] = {}  # what each gate that may be cached looked at, as far as that is known
        self._passed: list[tuple[str, GateResult]] = []  # by the key under which they may be kept

    @property
    def is_over(self) -> bool:
        """Return whether each gate has a result."""
        return len(self.results) == len(self._chosen)

    @property
    def running(self) -> list[tuple[str, str]]:
        """Return the gates at work, each with the file that its output goes to."""
        return [(each.gate["name"], self._log(each)) for each in self._tries.values()]

    def is_of(self, process: str) -> bool:
        """Return whether a command is one of this round."""
        return process in self._tries

    def take_news(self) -> list[GateResult]:
        """Return, once, the results that are new."""
        news, self._news = self._news, []
        return news

    @classmethod
    def failed(cls, ws: Workspace, chosen: Sequence[Gate], run: str, reason: str) -> Self:
        """Return a round that could not begin: none of its gates has passed."""
        judging = cls(ws, chosen, run, Scope(ws.root))
        judging.stop(reason)
        judging.begin()
        return judging

    def verdict(self) -> Verdict:
        """Return the verdict, results in the order of atms.yaml."""
        return gates.verdict([self.results[name] for name in self._chosen])

    def begin(self) -> list[JsonObject]:
        """Return the first commands to start (system/launch.py)."""
        self._go_on()
        return self._launches()

    def ended(self, outcome: JsonObject) -> list[JsonObject]:
        """Take in how a command ended; return those to start now."""
        each = self._tries.pop(str(outcome["id"]))
        duration = outcome.get("duration_s")
        each.duration_s += duration if isinstance(duration, int | float) else 0.0
        each.outcomes.append(outcome)
        # What a command has changed is looked at anew.
        self._files = gatefiles.Files(self._ws, self._scope.tree)
        self._mask(each, outcome)
        if each.evidence is not None:
            each.evidence.sample()
        if each.left and not self._is_stopped:
            self._waiting.insert(0, each)
        else:
            self._settle(each)
            self._go_on()
        return self._launches()

    def stop(self, reason: str = "was stopped") -> None:
        """Start nothing more: what has no result when the commands at work have ended is not judged."""
        self._is_stopped, self._why_stopped = True, reason
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._take(gates.not_run(each.gate, self._why_stopped))

    def _situation(self) -> Situation:
        statuses = {name: result["status"] for name, result in self.results.items()}
        return {"task": self._scope.task, "changed": self._scope.changed, "results": statuses}

    def _go_on(self) -> None:
        """Take up, or leave out, whatever waits for nothing any more."""
        if self._is_stopped:
            unbegun, self._unbegun = self._unbegun, {}
            for gate in unbegun.values():
                self._take(gates.not_run(gate, self._why_stopped))
            return
        has_news = True
        while self._unbegun and has_news:
            steps = list(gateplan.next_steps(self._chosen, self._unbegun, self.results, self._situation()))
            known = len(self.results)
            for gate, skip in steps:
                del self._unbegun[gate["name"]]
                result = gates.skipped(gate, *skip) if skip else self._at_once_known(gate)
                if result is not None:
                    self._take(result)
            has_news = len(self.results) > known

    def _at_once_known(self, gate: Gate) -> GateResult | None:
        """Return the result of a gate that needs no command, or make its commands wait for their turn."""
        if gate["kind"] == gates.REVIEW:
            return gates.reviewed(gate, self._scope.approval)
        try:
            commands = self._commands(gate)
        except AtmsError as error:
            return gates.not_run(gate, error.message)
        if not commands:
            return gates.skipped(gate, "unchanged", "none of the files it looks at has changed")
        key = self._key(gate) if gates.is_cached(gate) else ""
        self._keys[gate["name"]] = key
        kept = self._ws.gate_passes.get(key) if key and self._scope.reuses else None
        result = None if kept is None else gates.reused(gate, kept)
        if result is None:
            self._waiting.append(_begun(gate, commands, key))
        return result

    def _commands(self, gate: Gate) -> list[list[str]]:
        only = self._scope.changed if self._scope.is_narrowed else None
        return self._files.commands(gate, only)

    def _take(self, result: GateResult) -> None:
        if self._keys.get(result["name"]):
            result["content"] = self._keys[result["name"]][:_CONTENT]
        self.results[result["name"]] = result
        self._news.append(result)

    # Commands

    def _launches(self) -> list[JsonObject]:
        launches: list[JsonObject] = []
        while self._waiting and len(self._tries) < self._at_once:
            each = self._waiting.pop(0)
            launch = self._launch(each)
            self._tries[str(launch["id"])] = each
            launches.append(launch)
        return launches

    def _launch(self, each: _Try) -> JsonObject:
        gate, task, ws = each.gate, self._scope.task, self._ws
        is_first = not each.outcomes
        reports = self._reports(each)
        about = {
            "ATMS_GATE": gate["name"],
            **({"ATMS_REPORTS": reports} if reports else {}),
            **({"ATMS_TASK_ID": task["id"]} if task else {}),
        }
        if is_first:
            self._clear(each.log)
            each.evidence = self._evidence(each, reports)
        return {
            # Another round over the same attempt has ids of its own.
            "id": f"{self._run}.{gate['name']}.{self._token}.{each.number}.{len(each.outcomes)}",
            "argv": gatefiles.with_reports(gate, each.left.pop(0), reports),
            "cwd": gatefiles.directory(self._scope.tree, gate, task),
            "env": {**self._environ, **about, **gate["environment"]},
            "output": self._log(each),
            "input": None,
            "timeout_s": gate["timeout"],
            "silence_s": None,
            "grace_s": ws.config["execution"]["grace"],
            "output_max": ws.config["execution"]["log_max"],
        }

    def _clear(self, log: str) -> None:
        """Remove what an earlier round over the same work has printed."""
        if log in self._left_over:
            self._run_files.clear(self._run, log)

    def _log(self, each: _Try) -> str:
        return self._run_files.path(self._run, each.log)

    def _reports(self, each: _Try) -> str:
        """Return the directory for the reports of an attempt; only who names it gets one."""
        name = f"{self._run}/{each.log.removesuffix('.log')}.reports"
        return self._run_files.prepare(name) if gatefiles.names_reports(each.gate) else ""

    def _mask(self, each: _Try, outcome: JsonObject) -> None:
        """Mask what secrets a command has printed, before anything of that is read."""
        if outcome.get("output_bytes") == 0:
            return
        from atms_cli.services import redaction

        redaction.mask(self._ws, self._redactor(each), self._run, [each.log])

    def _redactor(self, each: _Try) -> Redactor:
        from atms_cli.services import redaction

        return redaction.redactor(self._ws, self._scope.task, more=each.gate["environment"])

    def _evidence(self, each: _Try, reports: str) -> Evidence | None:
        """Begin to watch what an attempt leaves behind, if anybody asks for that."""
        if not (each.gate["reports"] or each.gate["thresholds"]):
            return None
        from atms_cli.services.gateevidence import Evidence

        place = gatefiles.directory(self._scope.tree, each.gate, self._scope.task)
        evidence = Evidence(self._ws, each.gate, place, reports, self._log(each), self._redactor(each))
        evidence.begin()
        return evidence

    # Results

    def _settle(self, each: _Try) -> None:
        """Judge an attempt whose commands have ended, or make another one."""
        result = self._judged(each)
        is_spent = self._is_stopped or each.number > each.gate["retries"] or _is_hopeless(each.outcomes[-1])
        if result["status"] != "passed" and not is_spent:
            self._waiting.append(_begun(each.gate, each.commands, "", each.number + 1, each.duration_s))
            return
        result["attempts"] = each.number
        if each.number > 1:
            result["flaky"] = result["status"] == "passed"
        elif result["status"] == "passed" and each.key:
            self._passed.append((each.key, result))
        self._take(result)

    def _judged(self, each: _Try) -> GateResult:
        gate, expect = each.gate, each.gate["expect"]
        worst = next((it for it in each.outcomes if not gates.is_expected(expect, it)), each.outcomes[-1])
        output = ""
        try:
            if expect["output"] or expect["no_output"]:
                output = self._run_files.text(self._run, each.log)
        except AtmsError as error:
            return gates.not_run(gate, error.message)
        result = gates.judge(gate, {**worst, "duration_s": each.duration_s}, self._log(each), output)
        return result if each.evidence is None else each.evidence.weigh(result, self._surroundings())

    def _surroundings(self) -> Surroundings:
        if self._around is None:
            from atms_cli.services.gateevidence import Surroundings

            self._around = Surroundings(self._ws, self._scope.tree, self._scope.base)
        return self._around

    # Earlier passes

    def _key(self, gate: Gate) -> str:
        """Return what a pass is kept under: all that its result follows from; empty where that is not known."""
        launch_directory = gatefiles.directory(self._scope.tree, gate, self._scope.task)
        return self._files.key(gate, self._commands(gate), launch_directory, {**self._environ, **gate["environment"]})

    @property
    def has_passes(self) -> bool:
        """Return whether something has passed that may be kept."""
        return bool(self._passed)

    def keep_passes(self) -> None:
        """Keep what has passed, if the files are still as they were: what changed meanwhile was not judged."""
        if not self.has_passes:
            return
        self._files = gatefiles.Files(self._ws, self._scope.tree)
        now = moment.to_iso(self._ws.clock.now_ms())
        for key, result in self._passed:
            if self._key(self._chosen[result["name"]]) == key:
                self._ws.gate_passes.put(key, {"run": self._run, "at": now, "result": result})


def _begun(gate: Gate, commands: Sequence[Sequence[str]], key: str, number: int = 1, duration_s: float = 0.0) -> _Try:
    """Return an attempt that has yet to begin; a gate that measures may run its command several times."""
    left = [*commands] * gates.repeats(gate)
    return _Try(gate, commands, log_name(gate, number), key, number, left, duration_s=duration_s)


def _is_hopeless(outcome: JsonObject) -> bool:
    return outcome.get("status") == "unstartable"


def log_name(gate: Gate, number: int = 1) -> str:
    """Return the file name of a gate's output; each attempt after the first has a number."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in gate["name"])
    return f"gate-{safe}.log" if number == 1 else f"gate-{safe}.{number}.log"
