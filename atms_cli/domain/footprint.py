"""What an attempt may use of the machine, what it has used, and both in words."""

from __future__ import annotations

from atms_cli.domain.moment import describe_duration, parse_duration
from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atms_cli.domain.records import Constraints, JsonObject

#: What can be limited, with the least that makes sense of it.
LIMITS = {"memory": 1 << 20, "cpu": 1, "files": 16, "processes": 1, "file_size": 4096, "cores": 0.01}
#: Of these a control group is needed, or better: what each process may use says little of the whole.
SHARED = ("memory", "processes", "cores")
GROUP_HINT = "for a control group of its own, start it as: systemd-run --user --scope -p Delegate=yes atms run"
_SIZES = ("memory", "file_size")
_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: What is kept of an attempt, if it is more than nothing.
_MEASURES = ("cpu_s", "max_rss_kb", "read_kb", "written_kb", "output_bytes", "hit")
_KILOBYTE = 1024
_TENTHS_BELOW = 10


def parse_size(text: str) -> int:
    """Return the bytes of `4096`, `500K`, `64MB`, `1.5G`, `2GiB`; K is 1024 bytes."""
    bare = text.strip().upper()
    digits = bare.rstrip("BIKMGT ")
    unit = bare[len(digits) :].strip().removesuffix("IB").removesuffix("B")
    if not digits[:1].isdigit():
        digits = ""
    try:
        return round(float(digits) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        raise UsageError(f"`{text}` is not a size", "write it like 500K, 64M or 2G") from None


def describe_size(count: float) -> str:
    """Return bytes for people: `12 B`, `3.4 kB`, `64 MB`; a kB has 1024 bytes."""
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while round(size) >= _KILOBYTE and len(units) > 1:
        size, units = size / _KILOBYTE, units[1:]
    is_small = size < _TENTHS_BELOW and units[0] != "B" and round(size, 1) != round(size)
    return f"{size:.1f} {units[0]}" if is_small else f"{round(size)} {units[0]}"


def parse_limits(words: Sequence[str]) -> JsonObject:
    """Return the limits of `memory=2G`, `cpu=10m`, `files=1024`, by name."""
    limits: JsonObject = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in LIMITS or not value:
            raise UsageError(f"`{word}` is not a limit", f"write it as NAME=VALUE; names: {', '.join(LIMITS)}")
        limits[name] = _parse_limit(name, value)
    return limits


def _parse_limit(name: str, value: str) -> float:
    try:
        amount = _amount(name, value)
    except ValueError:
        raise UsageError(f"`{value}` is not a number", f"write it like {name}=64") from None
    if amount < LIMITS[name]:
        raise UsageError(f"{name}={value} is less than {LIMITS[name]}")
    return amount


def _amount(name: str, value: str) -> float:
    if name in _SIZES:
        return parse_size(value)
    if name == "cpu":
        return parse_duration(value)
    return float(value) if name == "cores" else int(value)


def limits_for(workspace: Mapping[str, float | None], task: Constraints) -> dict[str, float]:
    """Return what holds for an attempt: of the workspace's limits and the task's own the stricter ones."""
    own: Mapping[str, object] = task
    found: dict[str, float] = {}
    for name in LIMITS:
        given = [each for each in (workspace[name], own.get(name)) if isinstance(each, int | float)]
        if given:
            found[name] = min(given)
    return found


def describe_limit(name: str, value: object) -> str:
    """Return a limit for people."""
    if not isinstance(value, int | float):
        return f"{name} {value}"
    amount = describe_size(value) if name in _SIZES else describe_duration(value) if name == "cpu" else f"{value:g}"
    return f"{name.replace('_', ' ')} {amount}"


def measured(outcome: JsonObject) -> JsonObject:
    """Return what is kept of the use of an attempt."""
    return {name: outcome[name] for name in _MEASURES if outcome.get(name)}


def describe_hit(name: str) -> str:
    """Say which limit was met."""
    words = {"cpu": "CPU time", "file_size": "the size of a file"}
    return f"it reached its limit of {words.get(name, name)}"


def describe_use(used: Mapping[str, object]) -> str:
    """Return the use of an attempt for people."""
    cpu, memory = _number(used, "cpu_s"), _number(used, "max_rss_kb")
    disk, printed = [_number(used, name) for name in ("read_kb", "written_kb")], _number(used, "output_bytes")
    parts = [
        f"CPU {describe_duration(cpu)}" if cpu else "",
        describe_size(memory * _KILOBYTE) if memory else "",
        f"read {describe_size(disk[0] * _KILOBYTE)}" if disk[0] else "",
        f"wrote {describe_size(disk[1] * _KILOBYTE)}" if disk[1] else "",
        f"printed {describe_size(printed)}" if printed else "",
    ]
    return ", ".join(part for part in parts if part)


def _number(used: Mapping[str, object], name: str) -> float:
    value = used.get(name)
    return value if isinstance(value, int | float) else 0.0
