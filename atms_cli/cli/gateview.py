"""Gates and their results in words, and what is seen of them while they run."""

from __future__ import annotations

import sys
from functools import partial

from atms_cli.cli.gatelines import line
from atms_cli.cli.lines import one_line
from atms_cli.cli.render import cut, pairs, plural, prose, table, terminal_width
from atms_cli.domain import gate as gates
from atms_cli.domain.moment import describe_duration
from atms_cli.services import redaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import RawIOBase

    from atms_cli.cli.call import Call
    from atms_cli.cli.following import Printer
    from atms_cli.domain.records import Gate, GateResult, JsonObject, Task, Verdict
    from atms_cli.services.judging import Round

#: What does not keep a verdict from being good, in words.
_APART = {
    "failed, which stops nothing": ("failed", "error", "timeout"), "skipped": ("skipped",), "waiting for a person": ("waiting",),
}  # fmt: skip
_TAIL_LINES = 12
_MOST_FINDINGS = 20


def table_of(call: Call, defined: Sequence[Gate]) -> str:
    """Return gates as a table."""
    rows = [
        (
            (gate["name"], "bold"), (gate["kind"], ""), ("required" if gate["required"] else "advisory", ""),
            (", ".join(gate["stages"]), ""), (", ".join(gate["depends_on"]), ""), (gates.command_text(gate), "dim"),
        )
        for gate in defined
    ]  # fmt: skip
    columns = ("NAME", "KIND", "REQUIRED", "STAGES", "AFTER", "COMMAND")
    if not any(gate["depends_on"] for gate in defined):
        rows, columns = [(*row[:4], row[5]) for row in rows], (*columns[:4], columns[5])  # type: ignore[misc,assignment]
    return table(call, columns, rows, stretch=len(columns) - 1)


def card(call: Call, gate: Gate) -> str:
    """Return all that a gate says; what is as usual is left out."""
    expect = gate["expect"]
    facts = [
        ("kind", f"{gate['kind']}, {'required' if gate['required'] else 'advisory'}"),
        ("command", gates.command_text(gate) or "none: a person approves"),
        ("stages", ", ".join(gate["stages"])),
        ("group", gate["group"] or ""),
        ("after", ", ".join(gate["depends_on"])),
        ("when", _condition(gate["when"])),
        ("timeout", describe_duration(gate["timeout"]) if gate["command"] else ""),
        ("retries", str(gate["retries"] or "")),
        ("in", gate["working_directory"] or ""),
        ("environment", " ".join(f"{name}={value}" for name, value in gate["environment"].items())),
        ("exit codes", "" if expect["exit_codes"] == [0] else " ".join(map(str, expect["exit_codes"]))),
        ("prints", ", ".join(expect["output"])),
        ("never prints", ", ".join(expect["no_output"])),
        ("reports", ", ".join(f"{each['path']} ({each['format']})" for each in gate["reports"])),
        ("thresholds", ", ".join(f"{name} {_limit(value)}" for name, value in gate["thresholds"].items())),
        ("cached", _cached(gate) if gate["command"] else ""),
    ]
    return f"{call.style(gate['name'], 'bold')}\n" + pairs(call, [(name, one_line(value)) for name, value in facts])


def _limit(value: object) -> str:
    from json import dumps

    if isinstance(value, dict):
        return " and ".join(f"{name} {_limit(each)}" for name, each in value.items())
    return dumps(value, ensure_ascii=False)


def _cached(gate: Gate) -> str:
    if not gates.is_cached(gate):
        return "no"
    return (
        f"while these stay the same: {', '.join(gate['inputs'])}" if gate["inputs"] else "while all files stay the same"
    )


def _condition(condition: JsonObject) -> str:
    return ", and ".join(_clause(name, wanted) for name, wanted in condition.items())


def _clause(name: str, wanted: object) -> str:
    if isinstance(wanted, dict) and name == "not":
        return f"not ({_condition(wanted)})"
    if isinstance(wanted, dict):
        return ", and ".join(f"gate {gate} is {' or '.join(statuses)}" for gate, statuses in wanted.items())
    if isinstance(wanted, list) and name in ("all_of", "any_of"):
        word = " or " if name == "any_of" else " and "
        return word.join(f"({_condition(each)})" for each in wanted)
    words = " or ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)
    return f"{words} changed" if name == "paths" else f"{name} {words}"


def summary(call: Call, verdict: Verdict) -> str:
    """Return the closing words."""
    total, failed = len(verdict["gates"]), gates.failures(verdict)
    if not total:
        return call.style("no gates to run", "dim")
    if gates.awaits_review(verdict):
        return call.style("all that is missing is a review", "yellow")
    if failed:
        words = f"{len(failed)} of {total} gates failed" if total > 1 else "the gate failed"
        return "\n" + call.style(words, "red")
    if not verdict["passed"]:
        return call.style("not passed: something else was judged", "red")
    passed = sum(it["status"] == "passed" for it in verdict["gates"])
    counts = [(sum(it["status"] in statuses for it in verdict["gates"]), word) for word, statuses in _APART.items()]
    apart = [f"{number} {word}" for number, word in counts if number]
    if not apart:
        return call.style(f"all {total} gates passed" if total > 1 else "the gate passed", "green")
    return call.style(", ".join([f"{passed} of {plural(total, 'gate')} passed", *apart]), "green")


class Watch:
    """What a person sees of gates while they run: results as they come, and what they print or which are at work."""

    def __init__(
        self, call: Call, chosen: Sequence[Gate], task: Task | None, *, is_verbose: bool, tree: str | None = None
    ) -> None:
        self._call = call
        #: Where gates find the files, if that is a copy: what they print is shown with the places that people know.
        self._copied = tree if tree and tree != call.workspace.tree else None
        self._is_loud = not call.json and not call.quiet
        self._total = len(chosen)
        self._is_alone = len(chosen) == 1
        self._streams = self._is_loud and (is_verbose or (self._is_alone and sys.stdout.isatty()))
        self._shows_progress = self._is_loud and not self._streams and sys.stderr.isatty()
        self._task = task
        self._environments = {gate["name"]: gate["environment"] for gate in chosen}
        self._logs: list[RawIOBase] = []
        self._printers: dict[str, Printer] = {}
        self._done = 0
        self._began = call.workspace.clock.monotonic()
        self._is_dirty = False

    @property
    def is_needed(self) -> bool:
        """Return whether there is something to be seen before results are there."""
        return self._streams or self._shows_progress

    def report(self, result: GateResult) -> None:
        """Show a result."""
        self._done += 1
        if not self._is_loud:
            return
        self._wipe()
        if self._streams and result["log"] and not result.get("cached"):
            printer = self._printer(result["name"], result["log"])
            if printer is not None:
                printer.print_rest()
        self._call.out(line(self._call, result))
        sys.stdout.flush()

    def look(self, judging: Round) -> None:
        """Show what has been printed since, or which gates are at work."""
        if self._streams:
            for name, log in judging.running:
                printer = self._printer(name, log)
                if printer is not None:
                    printer.print_more()
            sys.stdout.flush()
        elif judging.running:
            names = ", ".join(name for name, _ in judging.running)
            took = describe_duration(self._call.workspace.clock.monotonic() - self._began)
            text = cut(f"{self._done} of {self._total} done, {took}; running: {names}", terminal_width() - 1)
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
            self._is_dirty = True

    def _wipe(self) -> None:
        if self._is_dirty:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._is_dirty = False

    def _printer(self, name: str, log: str) -> Printer | None:
        """Return what prints the log of a gate, once there is one."""
        if log not in self._printers:
            from atms_cli.cli.following import Printer

            try:
                self._logs.append(open(log, "rb", buffering=0))  # noqa: SIM115  closed with the others
            except FileNotFoundError:
                return None
            redactor = redaction.redactor(self._call.workspace, self._task, more=self._environments.get(name))
            write = partial(self._print_lines, "" if self._is_alone else self._call.style(f"{name} | ", "dim"))
            self._printers[log] = Printer(self._logs[-1].fileno(), redactor, write)
        return self._printers[log]

    def _print_lines(self, head: str, piece: bytes) -> None:
        for each in self._shown(piece.decode(errors="replace")):
            self._call.out(head + each)

    def close(self, verdict: Verdict) -> None:
        """Show what to fix; where no report says it, the end of the log, unless that was shown as it came."""
        from atms_cli.cli.gatetables import findings_text

        self._wipe()
        for file in self._logs:
            file.close()
        for result in gates.failures(verdict):
            if result["findings"]:
                self._call.out("\n" + findings_text(self._call, result["name"], result["findings"], _MOST_FINDINGS))
            elif result["log"] and not self._streams and all(it["passed"] for it in result.get("limits", ())):
                self._show_tail(result["name"], result["log"])

    def _show_tail(self, name: str, log: str) -> None:
        run_directory, _, file = log.rpartition("/")
        tail = self._call.workspace.run_files.tail(run_directory.rpartition("/")[2], file, _TAIL_LINES)
        lines = [f"  {each}" for each in self._shown(tail)]
        self._call.out("\n".join([f"\n{self._call.style(name, 'bold')} ({log})", *lines]))

    def _shown(self, text: str) -> list[str]:
        """Return the lines of what a gate printed."""
        known = text.replace(self._copied, self._call.workspace.tree) if self._copied else text
        return prose(known).splitlines()
