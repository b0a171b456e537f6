"""What was promised, what was measured, and tables of both."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal


@dataclass
class Promise:
    """A bound, and every value that has been held against it."""

    what: str
    side: Literal["at most", "at least"]
    limit: float
    unit: str = ""
    remark: str = ""
    values: list[tuple[float, str]] = field(default_factory=list)

    def judged(self, value: float, of: str) -> str:
        """Note a value, and return it as text: bold if it breaks the promise."""
        self.values.append((value, of))
        return self.text(value) if self.is_kept_by(value) else f"**{self.text(value)}**"

    def is_kept_by(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value <= self.limit if self.side == "at most" else value >= self.limit

    def text(self, value: float) -> str:
        """Return a value as people read it."""
        return f"{value:.2f}" if 0 < value < 10 else f"{value:.0f}"  # noqa: PLR2004  three digits say enough

    @property
    def bound(self) -> str:
        """Return the bound in words."""
        limit = f"{self.limit:g}" if self.limit < 1000 else f"{self.limit:.0f}"  # noqa: PLR2004  no exponents
        return f"{self.side} {limit}{self.unit}{f' ({self.remark})' if self.remark else ''}"

    def row(self) -> tuple[str, ...]:
        """Return what was promised and the value that comes closest to breaking it, or breaks it most."""
        if not self.values:
            return (self.what, self.bound, "not measured", "", "")
        value, of = (max if self.side == "at most" else min)(self.values)
        broken = sum(not self.is_kept_by(value) for value, _ in self.values)
        verdict = f"no: {broken} of {len(self.values)}" if broken else "yes"
        return (self.what, self.bound, f"{self.text(value)}{self.unit}", of, verdict)


@dataclass
class Report:
    """Everything that was found, in the order in which it is printed."""

    promises: list[Promise] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def promise(
        self, what: str, side: Literal["at most", "at least"], limit: float, unit: str = "", remark: str = ""
    ) -> Promise:
        """Return a promise that the summary will show."""
        made = Promise(what, side, limit, unit, remark)
        self.promises.append(made)
        return made

    def summary(self) -> str:
        """Return a table of all promises."""
        return table(
            ("operation", "bound", "worst measured", "that is", "holds"), [each.row() for each in self.promises]
        )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def count(number: int) -> str:
    """Return a number of things, its thousands apart."""
    return f"{number:,}".replace(",", " ")
