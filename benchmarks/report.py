"""Printing what was measured: a rate beside the rate it is held against."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

console = Console(width=120)


@dataclass(frozen=True)
class Measured:
    """One line: rows a second, what it is held against, and the ratio that is wanted, if any."""

    name: str
    rate: float
    beside: float | None = None
    wanted: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.rate / self.beside if self.beside else None


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def show(title: str, unit: str, lines: list[Measured]) -> None:
    table = Table("", unit, "ratio", "wanted", "", title=title, title_justify="left", show_edge=False)
    for line in lines:
        ratio = f"{line.ratio:.2f}" if line.ratio is not None else ""
        wanted = f"≥ {line.wanted}" if line.wanted is not None else ""
        verdict = "" if line.ratio is None or line.wanted is None else ("ok" if line.ratio >= line.wanted else "MISSED")
        table.add_row(line.name, f"{line.rate:,.0f}", ratio, wanted, verdict)
    console.print(table)
    console.print()
