"""What a workload hands back, how it is printed, and where it is kept.

Rule: workloads return `Section`s of plain numbers; only this file formats. Everything printed is
also in the JSON under bench/out/, unrounded, so runs can be compared later.
"""

import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.child import HERE, OUT
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures

LOAD_BEFORE = os.getloadavg()
"""When the run began: at its end the load is our own."""


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    form: str = "{:.2f}"


@dataclass(frozen=True)
class Aim:
    """A figure and the bound it should keep: `at_most`, or `at_least` when more is better."""

    what: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    peer: str = ""
    """Whose figure the bound is, when it is the best of the other servers'."""

    @property
    def met(self) -> bool:
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bound = f"≤ {self.at_most:,g}" if self.at_most is not None else f"≥ {self.at_least:,g}"
        return f"{self.what}: {self.value:,.2f} (aim {bound}, {'met' if self.met else 'missed'})"


@dataclass(frozen=True)
class Section:
    """One workload's table: a row of figures per side, and what there is to say about them."""

    title: str
    columns: list[Column]
    rows: dict[str, Figures]
    aims: list[Aim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def show(section: Section, console: Console) -> None:
    table = Table(title=section.title, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for column in section.columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    for name, figures in section.rows.items():
        table.add_row(name, *(_cell(column, figures) for column in section.columns))
    console.print(table)
    for aim in section.aims:
        console.print(f"  [{'green' if aim.met else 'red'}]{aim}[/]")
    for note in section.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    console.print()


def _cell(column: Column, figures: Figures) -> str:
    value = figures.get(column.key)
    return "–" if value is None else column.form.format(value)


def document(
    sections: dict[str, Section], skipped: dict[str, str], failed: dict[str, str]
) -> dict[str, Any]:
    """A run as it is kept: sections by workload, and why the others are missing."""
    return {
        "machine": machine(),
        "skipped": skipped,
        "failed": failed,
        "sections": [
            {
                "workload": workload,
                "title": section.title,
                "rows": section.rows,
                "aims": [vars(aim) | {"met": aim.met} for aim in section.aims],
                "notes": section.notes,
            }
            for workload, section in sections.items()
        ],
    }


def save(run: dict[str, Any]) -> Path:
    """Write this run, and the same again as latest.json."""
    text = json.dumps(run, ensure_ascii=False, indent=1)
    OUT.mkdir(exist_ok=True)
    (OUT / "latest.json").write_text(text)
    path = OUT / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(text)
    return path


def machine() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "server_core": SERVER_CORE,
        "client_core": CLIENT_CORE,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": LOAD_BEFORE,
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def _revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
