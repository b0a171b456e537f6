"""The files of gates: those they look at, as words of their commands and as what their results follow from, and reports."""

from __future__ import annotations

from atms_cli.domain import gate as gates
from atms_cli.domain.globs import matcher
from atms_cli.errors import AtmsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atms_cli.domain.records import Gate, Json, JsonObject, Task
    from atms_cli.ports import Checkout, Workspace

#: Far below what any system takes for one command line, and for one word of it.
_MOST_CHARACTERS = 98_304
#: Variables, or beginnings of their names, that commonly change what tools find.
_MATTERS = (
    "PATH",
    "VIRTUAL_ENV",
    "PYTHON",
    "NODE",
    "NPM_CONFIG",
    "GO",
    "RUST",
    "CARGO",
    "JAVA",
    "CI",
    "LANG",
    "LC_",
    "TZ",
)
#: Raise it when what a result holds, or what it follows from, changes.
_KEY_VERSION = 2


class Files:
    """A tree of files, looked at once."""

    def __init__(self, ws: Workspace, tree: str) -> None:
        self._ws = ws
        self._tree = tree
        self._contents: Mapping[str, str] | None = None

    def commands(self, gate: Gate, only: Sequence[str] | None) -> list[list[str]]:
        """Return the command lines of a gate: one, or if it takes files as many as it takes to name them all.

        Raises:
            AtmsError: it takes files and nobody can tell which there are.

        """
        if not gates.takes_files(gate):
            return [_argv(gate["command"])]
        wanted = gate["when"].get("paths")
        is_meant = matcher(wanted) if isinstance(wanted, list) else _anything
        among = self._checkout().files() if only is None else set(only) & set(self._checkout().files())
        found = list(_below(gate["working_directory"] or "", sorted(filter(is_meant, among))))
        return [_filled(gate["command"], batch) for batch in _batches(gate["command"], found)]

    def _checkout(self) -> Checkout:
        checkout = self._ws.checkout(self._tree)
        if checkout is None:
            raise AtmsError(f"{self._tree} is not in a git repository, so nobody can tell which files there are")
        return checkout

    def key(self, gate: Gate, commands: Sequence[Sequence[str]], directory: str, environ: Mapping[str, str]) -> str:
        """Return a name for all that a gate's result follows from, empty where it is not known."""
        # What a gate sees elsewhere nobody has looked at.
        contents = self._known_contents() if f"{directory}/".startswith(f"{self._tree}/") else None
        if contents is None:
            return ""
        from hashlib import sha256
        from json import dumps

        is_meant = matcher(gate["inputs"]) if gate["inputs"] else _anything
        tools = sorted({self._ws.runner.identify(command, directory, environ) for command in commands})
        own: JsonObject = {
            "version": _KEY_VERSION, "commands": commands, "tools": tools, "in": directory.removeprefix(self._tree),
            **{name: gate[name] for name in ("environment", "expect", "reports", "thresholds")},
            "around": {name: value for name, value in environ.items() if name.startswith(_MATTERS)},
            "accepted": self._accepted(gate),
            "files": {path: content for path, content in contents.items() if is_meant(path)},
        }  # fmt: skip
        return sha256(dumps(own, sort_keys=True).encode(errors="surrogateescape")).hexdigest()

    def _accepted(self, gate: Gate) -> Json:
        """Return what people have accepted of a gate, if that matters to it."""
        accepted = self._ws.baselines.read().get(gate["name"]) if "new_findings" in gate["thresholds"] else None
        return None if accepted is None else sorted(accepted["findings"])

    def _known_contents(self) -> Mapping[str, str] | None:
        if self._contents is None:
            checkout = self._ws.checkout(self._tree)
            self._contents = {} if checkout is None else checkout.contents() or {}
        # An empty tree has nothing to go by either.
        return self._contents or None


def directory(tree: str, gate: Gate, task: Task | None) -> str:
    """Return where a gate runs."""
    own = gate["working_directory"] or (task["context"]["working_directory"] if task else None) or "."
    return own if own.startswith("/") else f"{tree}/{own}"


def names_reports(gate: Gate) -> bool:
    """Return whether a gate writes reports into a directory of its own."""
    words = [gate["command"]] if isinstance(gate["command"], str) else gate["command"]
    paths = [report["path"] for report in gate["reports"]]
    return any(gates.REPORTS in word or "ATMS_REPORTS" in word for word in (*words, *paths))


def with_reports(gate: Gate, argv: Sequence[str], reports: str) -> list[str]:
    """Return a command line with the directory of its reports in its place, quoted in a line of shell."""
    if not reports:
        return [*argv]
    from shlex import quote

    own = quote(reports) if isinstance(gate["command"], str) else reports
    return [word.replace(gates.REPORTS, own) for word in argv]


def _anything(_path: str) -> bool:
    return True


def _argv(command: str | Sequence[str]) -> list[str]:
    return ["/bin/sh", "-c", command] if isinstance(command, str) else [*command]


def _below(directory: str, paths: Sequence[str]) -> Iterator[str]:
    """Yield paths as seen from the directory of a gate, and none that could be taken for an option."""
    prefix = directory.strip("/").removeprefix("./")
    for path in paths:
        if not prefix or prefix == "." or path.startswith(f"{prefix}/"):
            own = path if prefix in ("", ".") else path[len(prefix) + 1 :]
            yield f"./{own}" if own.startswith("-") else own


def _batches(command: str | Sequence[str], paths: Sequence[str]) -> Iterator[list[str]]:
    """Yield paths in lots that fit into one command line beside the command."""
    from shlex import quote

    room = _MOST_CHARACTERS - len(command if isinstance(command, str) else " ".join(command))
    lot: list[str] = []
    size = 0
    for path in paths:
        length = len(quote(path).encode(errors="surrogateescape")) + 1
        if lot and size + length > room:
            yield lot
            lot, size = [], 0
        lot.append(path)
        size += length
    if lot:
        yield lot


def _filled(command: str | Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return a command line in which paths stand for `{files}`: a word for each, or quoted in a line of shell."""
    if isinstance(command, str):
        from shlex import quote

        return _argv(command.replace(gates.FILES, " ".join(map(quote, paths))))
    words: list[str] = []
    for word in command:
        words += [word.replace(gates.FILES, path) for path in paths] if gates.FILES in word else [word]
    return words
