"""The table of a whole run: on the terminal with rich, and in docs/reliability.md.

Rules. Figures only; what they mean stands in the document around them. There each bus has a table
of its own, between two markers, which is replaced whole.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from rich.table import Table

from tests.faults.balance import Result
from tests.faults.verdict import Breach, Verdict

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- figures: {} -->"
END: Final = "<!-- end of figures -->"
COLUMNS: Final = (
    *("fault", "runs", "acknowledged", "refusals", "reconnects", "deliveries"),
    *("left out", "said to be lost", "twice", "out of order", "silent", "longest gap, s"),
)


@dataclass
class Row:
    """All runs of one fault."""

    fault: str
    runs: int = 0
    acknowledged: int = 0
    refused: int = 0
    reconnects: int = 0
    longest: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)

    def add(self, result: Result) -> None:
        self.runs += 1
        self.acknowledged += result.acknowledged
        self.refused += result.refused
        self.reconnects += result.reconnects
        self.longest = max(self.longest, result.longest)
        self.verdict.add(result.verdict)

    def merge(self, other: "Row") -> None:
        """Sum up runs of the same fault."""
        self.runs += other.runs
        self.acknowledged += other.acknowledged
        self.refused += other.refused
        self.reconnects += other.reconnects
        self.longest = max(self.longest, other.longest)
        self.verdict.add(other.verdict)

    def cells(self) -> list[str]:
        """As COLUMNS has them. A hole without a word is silent; so is all else that is wrong."""
        breaches = self.verdict.breaches
        silent = sum(breaches.values()) - breaches[Breach.TWICE] - breaches[Breach.DISORDER]
        figures = [
            *(self.runs, self.acknowledged, self.refused, self.reconnects),
            *(self.verdict.delivered, self.verdict.shed, self.verdict.said),
            *(breaches[Breach.TWICE], breaches[Breach.DISORDER], silent),
        ]
        return [self.fault, *(f"{figure:,}" for figure in figures), f"{self.longest:.1f}"]


def table(rows: Sequence[Row]) -> Table:
    """For a terminal."""
    made = Table()
    for i, name in enumerate(COLUMNS):
        made.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        made.add_row(*row.cells(), style=None if row.verdict.balances else "bold red")
    return made


def write(rows: Sequence[Row], bus: str, viewers: int, seed: int) -> None:
    """Put the figures into the document."""
    begin = BEGIN.format(bus)
    before, found, rest = DOCUMENT.read_text(encoding="utf-8").partition(begin)
    assert found, f"{DOCUMENT.name} has no place for the figures of {bus}"
    _, _, after = rest.partition(END)
    lines = [
        f"{machine()}, {date.today().isoformat()}; {viewers} viewers, seeds from {seed} on.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" + "|---:" * (len(COLUMNS) - 1) + "|",
        *("| " + " | ".join(row.cells()) + " |" for row in rows),
    ]
    figures = "\n".join(lines)
    DOCUMENT.write_text(f"{before}{begin}\n\n{figures}\n\n{END}{after}", encoding="utf-8")


def machine() -> str:
    """What this was measured on."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, Linux {platform.release()}, CPython {platform.python_version()}"
